//! Text that must never be shown: credentials and tokens.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A credential or a token.
///
/// It cannot be printed (`Debug` shows a placeholder, there is no `Display`), is not serialised unless a
/// field asks for [`exposed`] by name, is compared in constant time and is wiped from memory when dropped.
#[derive(Clone)]
pub struct Redacted(SecretString);

impl Redacted {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself, for the only place that sends or writes it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Redacted {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Redacted {}

/// `#[serde(with = "redacted::exposed")]`: the only way a [`Redacted`] is written out, for the state Secret.
pub mod exposed {
    use super::Redacted;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the text itself.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(secret: &Redacted, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When the input is not a string.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Redacted, D::Error> {
        String::deserialize(deserializer).map(Redacted::new)
    }
}

/// The same for a value that may be absent.
pub mod exposed_option {
    use super::Redacted;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the text itself.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(secret: &Option<Redacted>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Redacted::expose).serialize(serializer)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When the input is neither a string nor null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Redacted>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Redacted::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_a_placeholder() {
        assert_eq!(format!("{:?}", Redacted::new("canary")), "[redacted]");
    }

    #[test]
    fn equality_is_of_the_text() {
        assert_eq!(Redacted::new("a"), Redacted::new("a"));
        assert_ne!(Redacted::new("a"), Redacted::new("b"));
    }
}
