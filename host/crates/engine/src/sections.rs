//! The sections of a WebAssembly binary, as far as their borders: enough to find one by its number
//! without trusting what is in it.

/// What a binary says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Module,
    Component,
}

/// The layer of a binary, by its first eight bytes.
pub(crate) fn layer(binary: &[u8]) -> Option<Layer> {
    match binary {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Some(Layer::Module),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Some(Layer::Component),
        _ => None,
    }
}

/// Number and content of each section, up to the first that does not end within the binary.
pub(crate) fn sections(binary: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = binary.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&id, tail) = rest.split_first()?;
        let (size, tail) = leb(tail)?;
        let (section, tail) = tail.split_at_checked(size)?;
        rest = tail;
        Some((id, section))
    })
}

/// Name and content of a custom section.
pub(crate) fn custom(section: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, tail) = leb(section)?;
    tail.split_at_checked(length)
}

/// An unsigned LEB128 number of at most 32 bits.
fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}
