//! What a gateway that compresses makes of a body.

use std::io::Read;

use flate2::Compression;
use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::fault::Encoding;

/// The most that one block of brotli holds.
const BROTLI_BLOCK: usize = 1 << 16;

impl Encoding {
    /// The value of the Content-Encoding header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate | Self::RawDeflate => "deflate",
            Self::Brotli => "br",
        }
    }
}

/// `bytes` in this encoding.
pub(crate) fn encoded(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Gzip => read(GzEncoder::new(bytes, Compression::default())),
        Encoding::Deflate => read(ZlibEncoder::new(bytes, Compression::default())),
        Encoding::RawDeflate => read(DeflateEncoder::new(bytes, Compression::default())),
        Encoding::Brotli => brotli(bytes),
    }
}

/// Reading from memory cannot fail.
fn read(mut encoder: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _infallible = encoder.read_to_end(&mut bytes);
    bytes
}

/// Stored blocks after RFC 7932, section 9.2: brotli that saves no byte. The window of 2^16 bytes is the first bit alone.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (index, block) in bytes.chunks(BROTLI_BLOCK).enumerate() {
        // Not the last block, its length less one in 16 bits, uncompressed; up to the end of a byte.
        let header = ((block.len() - 1) as u32) << 3 | 1 << 19;
        let header = if index == 0 { header << 1 } else { header };
        encoded.extend(&header.to_le_bytes()[..3]);
        encoded.extend(block);
    }
    // The last block, empty; the window alone before it where there was no other.
    encoded.push(if bytes.is_empty() { 0b110 } else { 0b11 });
    encoded
}
