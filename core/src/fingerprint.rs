//! Short names for secret values: safe to show (tokens) or safe to store (keyed, for everything weaker).

use crate::redacted::Redacted;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The first 8 hex digits of the SHA-256 of a token: what status, annotations and logs show of it.
pub fn fingerprint(token: &Redacted) -> String {
    hex(&Sha256::digest(token.expose().as_bytes()), 8)
}

/// A keyed hash of a named value, 32 hex digits. Without the salt of the state Secret it reveals nothing about weak
/// values; with the salt it is worth no more than the token stored beside it.
pub fn keyed(salt: &str, name: &str, value: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt.as_bytes()) else { return String::new() };
    mac.update(name.as_bytes());
    mac.update(&[0]);
    mac.update(value.as_bytes());
    hex(&mac.finalize().into_bytes(), 32)
}

/// A stable number for a text; that of another key says nothing about it.
pub fn keyed_number(key: &str, text: &str) -> u64 {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return 0 };
    mac.update(text.as_bytes());
    number(&mac.finalize().into_bytes())
}

/// A stable number for a text: spreads moments and jitter without randomness.
pub fn spread(text: &str) -> u64 {
    number(&Sha256::digest(text.as_bytes()))
}

/// The first 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn hex(bytes: &[u8], digits: usize) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|d| char::from_digit(d.into(), 16))
        .take(digits)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_start_of_the_sha_256() {
        // SHA-256("abc") = ba7816bf 8f01cfea ... (FIPS 180-2, B.1)
        assert_eq!(fingerprint(&Redacted::new("abc")), "ba7816bf");
    }

    #[test]
    fn a_keyed_hash_depends_on_salt_name_and_value() {
        let hash = keyed("salt", "name", "value");
        assert_eq!(hash.len(), 32);
        for other in [keyed("other", "name", "value"), keyed("salt", "other", "value"), keyed("salt", "name", "other")]
        {
            assert_ne!(hash, other);
        }
        assert_ne!(keyed("s", "ab", "c"), keyed("s", "a", "bc"));
    }
}
