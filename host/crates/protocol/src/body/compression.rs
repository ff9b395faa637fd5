//! kombu's compressions, both ways. What a stream unpacks to and the window it asks for are capped
//! before memory is spent.

use std::io::{self, Read, Write as _};

/// A stream that refers further back than this is refused. Brotli cannot; the `xz` that Python
/// writes asks for 8 MiB, its zstd for 2.
const MAX_WINDOW: u32 = 16 << 20;

/// kombu's compressions (PROTOCOL 1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// What kombu calls gzip: a bare zlib stream.
    Zlib,
    Bzip2,
    Lzma,
    Brotli,
    Zstd,
}

impl Compression {
    pub const ALL: [Compression; 5] = [
        Compression::Zlib,
        Compression::Bzip2,
        Compression::Lzma,
        Compression::Brotli,
        Compression::Zstd,
    ];

    /// By content type or by one of kombu's aliases.
    pub fn named(name: &str) -> Option<Compression> {
        Some(match name {
            "application/x-gzip" | "gzip" | "zlib" => Compression::Zlib,
            "application/x-bz2" | "bzip2" | "bzip" => Compression::Bzip2,
            "application/x-lzma" | "lzma" | "xz" => Compression::Lzma,
            "application/x-brotli" | "brotli" => Compression::Brotli,
            "application/zstd" | "zstd" | "zstandard" => Compression::Zstd,
            _ => return None,
        })
    }

    /// What the header `compression` says.
    pub fn content_type(self) -> &'static str {
        match self {
            Compression::Zlib => "application/x-gzip",
            Compression::Bzip2 => "application/x-bz2",
            Compression::Lzma => "application/x-lzma",
            Compression::Brotli => "application/x-brotli",
            Compression::Zstd => "application/zstd",
        }
    }

    /// Unpacks one stream, to at most `cap` bytes. The complaint says what is wrong.
    pub fn unpack(self, data: &[u8], cap: u64) -> Result<Vec<u8>, String> {
        let unpacked = match self {
            Compression::Zlib => drain(flate2::bufread::ZlibDecoder::new(data), cap),
            Compression::Bzip2 => drain(bzip2::bufread::BzDecoder::new(data), cap),
            Compression::Lzma => unpack_xz(data, cap),
            Compression::Brotli => unpack_brotli(data, cap),
            Compression::Zstd => unpack_zstd(data, cap),
        };
        let unpacked =
            unpacked.map_err(|error| format!("corrupt {} data: {error}", self.format()))?;
        if unpacked.len() as u64 > cap {
            return Err(format!("unpacks to more than {cap} bytes"));
        }
        Ok(unpacked)
    }

    /// One stream that holds `data`.
    pub fn pack(self, data: &[u8]) -> Vec<u8> {
        let packed = match self {
            Compression::Zlib => pack_zlib(data),
            Compression::Bzip2 => pack_bzip2(data),
            Compression::Lzma => pack_xz(data),
            Compression::Brotli => pack_brotli(data),
            Compression::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                Ok(ruzstd::encoding::compress_to_vec(data, level))
            }
        };
        packed.expect("writing to a vector cannot fail")
    }

    fn format(self) -> &'static str {
        match self {
            Compression::Zlib => "zlib",
            Compression::Bzip2 => "bzip2",
            Compression::Lzma => "xz",
            Compression::Brotli => "brotli",
            Compression::Zstd => "zstd",
        }
    }
}

/// At most one byte more than allowed, which tells a full body from a bomb.
fn drain(stream: impl Read, cap: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    stream.take(cap.saturating_add(1)).read_to_end(&mut out)?;
    Ok(out)
}

fn unpack_xz(data: &[u8], cap: u64) -> io::Result<Vec<u8>> {
    // Beside its window, the decoder counts buffers of about 100 KiB.
    const MEMORY_KIB: u32 = MAX_WINDOW / 1024 + 128;
    drain(lzma_rust2::XzReader::new_mem_limit(data, false, MEMORY_KIB), cap)
}

fn unpack_brotli(data: &[u8], cap: u64) -> io::Result<Vec<u8>> {
    // The extension for windows of up to a gigabyte, which plain brotli has no such header for.
    if data.first().is_some_and(|first| first & 0x7f == 0x11) {
        return Err(io::Error::other("its window is too large"));
    }
    drain(brotli::Decompressor::new(data, 4096), cap)
}

fn unpack_zstd(data: &[u8], cap: u64) -> io::Result<Vec<u8>> {
    let stream =
        ruzstd::decoding::StreamingDecoder::new_with_max_window_size(data, MAX_WINDOW.into());
    drain(stream.map_err(io::Error::other)?, cap)
}

fn pack_zlib(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(data)?;
    packer.finish()
}

fn pack_bzip2(data: &[u8]) -> io::Result<Vec<u8>> {
    // A level is a block size in units of 100 kB; a larger one than needed only costs memory.
    let level = (data.len() / 100_000 + 1).min(9) as u32;
    let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
    packer.write_all(data)?;
    packer.finish()
}

fn pack_xz(data: &[u8]) -> io::Result<Vec<u8>> {
    // Python's preset 6 takes ten times the time to save a quarter. Its window of 8 MiB is kept, or
    // what there is to look back at.
    let mut options = lzma_rust2::XzOptions::with_preset(0);
    options.lzma_options.dict_size = data.len().clamp(4 << 10, 8 << 20) as u32;
    let mut packer = lzma_rust2::XzWriter::new(Vec::new(), options)?;
    packer.write_all(data)?;
    packer.finish()
}

fn pack_brotli(data: &[u8]) -> io::Result<Vec<u8>> {
    // Higher qualities cost many times the time for a few percent.
    let params = brotli::enc::BrotliEncoderParams {
        quality: 5,
        size_hint: data.len(),
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &data[..], &mut out, &params)?;
    Ok(out)
}
