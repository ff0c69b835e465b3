//! The body of a response as the issuer wrote it: undoes compression on the way. No client required.

use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use std::io::Read;

/// No answer of the API comes near this, compressed or not; what is larger is not from the API.
pub const LIMIT_BYTES: usize = 64 * 1024;

/// A gateway may compress an already compressed body; more layers do not occur.
const MOST_ENCODINGS: usize = 2;
/// Encodings that are registered and not understood here. Other names are not repeated.
const FOREIGN: [&str; 5] = ["br", "zstd", "compress", "dcb", "dcz"];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a body could not be decoded. Reads after "with".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// In this encoding.
    #[error("a body in the encoding {0}, although no encoding was requested")]
    Foreign(&'static str),
    /// In an unknown encoding.
    #[error("a body in an unknown encoding, although no encoding was requested")]
    Unknown,
    /// In more encodings than are in use.
    #[error("a body encoded more than twice, although no encoding was requested")]
    TooOften,
    /// Not in the declared encoding.
    #[error("a body that is declared as {0} but is not valid {0}")]
    Broken(&'static str),
    /// Too large once it is decoded.
    #[error("a body that is larger than 64 KiB once decoded")]
    TooLarge,
}

/// `bytes` without the encodings that `declared` lists (the values of `Content-Encoding`, in the order in which they were
/// applied), of which gzip and deflate are understood. Never more than [`LIMIT_BYTES`] are held.
///
/// The bytes are believed before the header: JSON is not encoded, whatever header a proxy left, and gzip is gzip even
/// if a proxy removed the header.
///
/// # Errors
/// When the encoding is unsupported, or the bytes are not in it.
pub fn decoded(mut bytes: Vec<u8>, declared: &str) -> Result<Vec<u8>, Undecodable> {
    let names = declared.split(',').map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<_> = names.filter(|name| !name.is_empty() && name != "identity").collect();
    for (undone, name) in names.iter().rev().enumerate() {
        if looks_like_json(&bytes) {
            break;
        }
        if undone == MOST_ENCODINGS {
            return Err(Undecodable::TooOften);
        }
        bytes = undo(name, &bytes)?;
    }
    if bytes.starts_with(&GZIP_MAGIC) { undo("gzip", &bytes) } else { Ok(bytes) }
}

fn looks_like_json(bytes: &[u8]) -> bool {
    without_mark(bytes).starts_with(b"{")
}

/// `bytes` without white space before them, and without the byte order marks that some put before UTF-8.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes.trim_ascii_start();
    while let Some(unmarked) = rest.strip_prefix("\u{feff}".as_bytes()) {
        rest = unmarked.trim_ascii_start();
    }
    rest
}

fn undo(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Undecodable> {
    match name {
        "gzip" | "x-gzip" => gunzipped(bytes),
        // RFC 9110 means zlib by it; some send what is inside of that.
        "deflate" => match inflated(ZlibDecoder::new(bytes), "deflate") {
            Err(Undecodable::Broken(_)) => inflated(DeflateDecoder::new(bytes), "deflate"),
            result => result,
        },
        name => Err(FOREIGN
            .iter()
            .find(|foreign| **foreign == name)
            .map_or(Undecodable::Unknown, |foreign| Undecodable::Foreign(foreign))),
    }
}

/// Consecutive gzip members, which may be padded with zeros.
fn gunzipped(mut bytes: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let mut all = Vec::new();
    loop {
        let mut member = GzDecoder::new(bytes);
        inflate(&mut member, "gzip", &mut all)?;
        bytes = member.into_inner();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(all);
        }
    }
}

fn inflated(decoder: impl Read, name: &'static str) -> Result<Vec<u8>, Undecodable> {
    let mut bytes = Vec::new();
    inflate(decoder, name, &mut bytes)?;
    Ok(bytes)
}

fn inflate(decoder: impl Read, name: &'static str, into: &mut Vec<u8>) -> Result<(), Undecodable> {
    let left = LIMIT_BYTES - into.len();
    match decoder.take(left as u64 + 1).read_to_end(into) {
        Ok(length) if length > left => Err(Undecodable::TooLarge),
        Ok(_) => Ok(()),
        Err(_) => Err(Undecodable::Broken(name)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    const JSON: &[u8] = br#"{"accessToken":"t"}"#;

    fn all(mut encoder: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        encoder.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        all(GzEncoder::new(bytes, Compression::best()))
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        all(ZlibEncoder::new(bytes, Compression::best()))
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        all(DeflateEncoder::new(bytes, Compression::best()))
    }

    #[test]
    fn gzip_and_both_forms_of_deflate_are_undone_in_the_order_of_their_names() {
        for (bytes, declared) in [
            (gzip(JSON), "gzip"),
            (gzip(JSON), " X-GZip "),
            (gzip(JSON), "identity, gzip, identity"),
            (zlib(JSON), "deflate"),
            (raw(JSON), "deflate"),
            (gzip(&zlib(JSON)), "deflate, gzip"),
            (raw(&gzip(JSON)), "gzip,deflate"),
            (JSON.to_vec(), ""),
            (JSON.to_vec(), "identity"),
        ] {
            assert_eq!(decoded(bytes, declared).unwrap(), JSON, "{declared}");
        }
    }

    #[test]
    fn the_bytes_are_believed_before_the_header() {
        let marked = [b"\xef\xbb\xbf \r\n", JSON].concat();
        for declared in ["gzip", "br", "gzip, gzip, gzip, gzip"] {
            assert_eq!(decoded(JSON.to_vec(), declared).unwrap(), JSON, "{declared}");
            assert_eq!(decoded(marked.clone(), declared).unwrap(), marked, "{declared}");
        }
        assert_eq!(decoded(gzip(JSON), "").unwrap(), JSON);
        let twice = [" \u{feff}\n\u{feff}".as_bytes(), JSON].concat();
        assert_eq!(decoded(twice.clone(), "gzip").unwrap(), twice);
        assert_eq!(without_mark(&twice), JSON);
    }

    #[test]
    fn members_of_gzip_follow_each_other_and_may_be_padded_with_zeros() {
        let (start, end) = JSON.split_at(7);
        let (start, end, zeros) = (gzip(start), gzip(end), vec![0; 512]);
        for bytes in [[start.as_slice(), &end].concat(), [start.as_slice(), &end, &zeros].concat()] {
            assert_eq!(decoded(bytes, "gzip").unwrap(), JSON);
        }
        let whole = gzip(JSON);
        assert_eq!(decoded([whole.as_slice(), &[0]].concat(), "").unwrap(), JSON);
        for bytes in [[whole.as_slice(), b"more"].concat(), [&whole[..20], &zeros].concat(), zeros] {
            assert_eq!(decoded(bytes, "gzip"), Err(Undecodable::Broken("gzip")));
        }
        let full = gzip(&vec![b' '; LIMIT_BYTES]);
        assert_eq!(decoded([full, gzip(b" ")].concat(), "gzip"), Err(Undecodable::TooLarge));
    }

    #[test]
    fn an_encoding_that_is_not_understood_is_named_if_it_is_registered() {
        let said = |declared: &str| decoded(vec![0x0b, 0x02], declared).unwrap_err().to_string();
        assert!(said("br").contains("encoding br"), "{}", said("br"));
        assert!(said("gzip, ZSTD").contains("encoding zstd"));
        for unknown in ["canary", "br;q=1", "br canary"] {
            let said = said(unknown);
            assert!(said.contains("an unknown encoding") && !said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn what_is_not_in_its_encoding_is_no_body() {
        let cut = gzip(JSON)[..20].to_vec();
        let mut spoilt = gzip(JSON);
        *spoilt.last_mut().unwrap() ^= 1;
        for bytes in [cut, spoilt, b"<html>".to_vec(), Vec::new()] {
            assert_eq!(decoded(bytes, "gzip"), Err(Undecodable::Broken("gzip")));
        }
        assert_eq!(decoded(b"<html>".to_vec(), "deflate"), Err(Undecodable::Broken("deflate")));
        let thrice = gzip(&gzip(&gzip(JSON)));
        assert_eq!(decoded(thrice, "gzip, gzip, gzip"), Err(Undecodable::TooOften));
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let fits = [JSON, &vec![b' '; LIMIT_BYTES - JSON.len()]].concat();
        assert_eq!(decoded(gzip(&fits), "gzip").unwrap(), fits);
        let bomb = gzip(&vec![b' '; 8 * 1024 * 1024]);
        assert!(bomb.len() < LIMIT_BYTES, "it comes in");
        assert_eq!(decoded(bomb.clone(), "gzip"), Err(Undecodable::TooLarge));
        assert_eq!(decoded(gzip(&bomb), "gzip, gzip"), Err(Undecodable::TooLarge));
        let slightly = [fits.as_slice(), b" "].concat();
        for (bytes, declared) in [(gzip(&slightly), "gzip"), (zlib(&slightly), "deflate"), (raw(&slightly), "deflate")]
        {
            assert_eq!(decoded(bytes, declared), Err(Undecodable::TooLarge));
        }
    }
}
