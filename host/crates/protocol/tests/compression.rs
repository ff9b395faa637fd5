//! Streams of every compression: read back, and stopped when they grow too large.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use proptest::prelude::*;
use umbel_protocol::body::{Compression, MAX_BODY};

fn refused(compression: Compression, data: &[u8], cap: u64) -> String {
    compression.unpack(data, cap).unwrap_err()
}

#[test]
fn a_stream_is_read_back() {
    let text = b"a text of some length, and again: a text of some length; ".repeat(1_000);
    for compression in Compression::ALL {
        for data in [&text[..], b"x", b""] {
            let packed = compression.pack(data);
            assert_eq!(compression.unpack(&packed, MAX_BODY), Ok(data.to_vec()), "{compression:?}");
        }
        assert!(compression.pack(&text).len() < text.len() / 50, "{compression:?}");
    }
}

#[test]
fn a_stream_may_unpack_to_the_cap_and_no_further() {
    for compression in Compression::ALL {
        let packed = compression.pack(&[b' '; 1000]);
        assert_eq!(compression.unpack(&packed, 1000), Ok(vec![b' '; 1000]));
        assert_eq!(refused(compression, &packed, 999), "unpacks to more than 999 bytes");
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_cap() {
    let zeros = vec![0; 4 << 20];
    for compression in Compression::ALL {
        let bomb = compression.pack(&zeros);
        assert!(bomb.len() < zeros.len() / 500, "{compression:?} makes {} bytes", bomb.len());
        assert_eq!(refused(compression, &bomb, 1 << 16), "unpacks to more than 65536 bytes");
    }
}

#[test]
fn half_a_stream_is_corrupt() {
    let data: Vec<u8> = (0..10_000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    for compression in Compression::ALL {
        let packed = compression.pack(&data);
        for cut in [1, packed.len() / 2, packed.len() - 1] {
            let error = refused(compression, &packed[..cut], MAX_BODY);
            assert!(error.starts_with("corrupt "), "{compression:?}: {error}");
        }
    }
}

#[test]
fn a_huge_window_is_refused_before_there_is_memory_for_it() {
    // A frame without content size: 0x70 asks for 2^(10 + 14) bytes and 0xa8 for 2^31.
    let frame = |window: u8| [0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01, 0x00, 0x00];
    assert_eq!(Compression::Zstd.unpack(&frame(0x70), MAX_BODY), Ok(vec![]));
    assert!(refused(Compression::Zstd, &frame(0xa8), MAX_BODY).contains("indow"));
    // Large window brotli of 2^30 bytes.
    assert!(refused(Compression::Brotli, &[0x11, 30, 0x03], MAX_BODY).contains("window"));
    assert!(refused(Compression::Lzma, &xz_with_dictionary(40), MAX_BODY).contains("memory"));
    assert_eq!(Compression::Lzma.unpack(&xz_with_dictionary(24), MAX_BODY), Ok(vec![b'x']));
}

/// An .xz of one byte whose header asks for a dictionary of that size, as its property byte.
fn xz_with_dictionary(property: u8) -> Vec<u8> {
    let mut packed = Compression::Lzma.pack(b"x");
    let header = &mut packed[12..24];
    assert_eq!(header[2..4], [0x21, 0x01], "the LZMA2 filter and its one property");
    header[4] = property;
    let checksum = crc32(&header[..8]);
    header[8..12].copy_from_slice(&checksum.to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}

proptest! {
    #[test]
    fn any_data_is_read_back(compression in compressions(), data in any::<Vec<u8>>(), times in 1..50usize) {
        let data = data.repeat(times);
        prop_assert_eq!(compression.unpack(&compression.pack(&data), MAX_BODY), Ok(data));
    }

    #[test]
    fn any_bytes_are_unpacked_or_refused(compression in compressions(), bytes in any::<Vec<u8>>()) {
        let _ = compression.unpack(&bytes, 1 << 20);
    }

    #[test]
    fn a_spoiled_stream_is_unpacked_or_refused(
        compression in compressions(),
        data in any::<Vec<u8>>(),
        (at, byte) in any::<(usize, u8)>(),
    ) {
        let mut packed = compression.pack(&data.repeat(20));
        let at = at % packed.len();
        packed[at] = byte;
        let _ = compression.unpack(&packed, 1 << 20);
    }
}
