//! A value as compressed JSON: thousands of resources, statuses and states are kept, and each is read only when a pass
//! begins.

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// What nearly all of them say, so that they say it in a few bytes. Nothing is kept beyond the life of a process: it may
/// be changed at will.
const DICTIONARY: &[u8] = include_bytes!("packed_json/dictionary.json");

/// A value as compressed JSON. It may hold tokens.
#[derive(Clone)]
pub struct PackedJson(Box<[u8]>);

impl PackedJson {
    /// Packs `value`.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self::of_json(&serde_json::to_vec(value)?))
    }

    /// Packs what is JSON already.
    pub fn of_json(json: &[u8]) -> Self {
        Self(compress_prepend_size_with_dict(json, DICTIONARY).into_boxed_slice())
    }

    /// How many bytes it takes.
    #[allow(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value; none when it cannot be read as one.
    pub fn value<T: DeserializeOwned>(&self) -> Option<T> {
        let json = decompress_size_prepended_with_dict(&self.0, DICTIONARY).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl fmt::Debug for PackedJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_value_comes_back_as_it_was() {
        for value in [json!({"token": "\u{1}ü\"", "uid": ["", "\",\"uid\":\""]}), json!(null), json!("x".repeat(9999))]
        {
            let packed = PackedJson::of(&value).unwrap();
            assert_eq!(packed.value::<Value>(), Some(value));
        }
        assert_eq!(PackedJson::of(&"text").unwrap().value::<u64>(), None);
    }

    #[test]
    fn what_all_say_takes_little_room_and_what_is_kept_cannot_be_printed() {
        let said: Value = serde_json::from_slice(DICTIONARY).unwrap();
        let packed = PackedJson::of(&said).unwrap();
        assert!(packed.0.len() * 10 < DICTIONARY.len(), "{} of {}", packed.0.len(), DICTIONARY.len());
        assert_eq!(format!("{packed:?}"), format!("[{} bytes]", packed.0.len()));
    }
}
