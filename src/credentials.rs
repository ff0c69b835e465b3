//! What the credentials Secret holds, once it has been found usable.

use crate::api::ApplicationCredentials;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;

/// Longest value that is taken from a credentials Secret, in bytes: it has to fit into a URL.
const LONGEST_VALUE: usize = 4096;

/// The credentials of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Names the application.
    pub consumer_key: Redacted,
    /// Proves that we may ask.
    pub consumer_secret: Redacted,
    /// A token that the application has had, where the user gave one that can be sent.
    pub old_token: Option<Redacted>,
    /// What is wrong with the one that the user gave: it matters only where no other token is known.
    pub old_token_problem: Option<Finding>,
}

impl Credentials {
    /// Reads them out of the Secret that `wanted` refers to.
    ///
    /// # Errors
    /// A finding that names the Secret, the key and what to do: the Secret is missing, a key is missing or empty, or a
    /// value is not text that can be sent.
    pub fn read(wanted: &ApplicationCredentials, secret: Option<&Secret>) -> Result<Self, Finding> {
        let name = wanted.secret_ref.name.as_str();
        let Some(secret) = secret else {
            return Err(Finding::new(
                Reason::CredentialsNotFound,
                format!(
                    "Secret {name} does not exist: create it with the keys {}, {} and {} from the application's Auth \
                     Keys page",
                    wanted.keys.consumer_key, wanted.keys.consumer_secret, wanted.keys.old_token
                ),
            ));
        };
        let values = Values { name, secret };
        let old_token = values.optional(&wanted.keys.old_token);
        Ok(Self {
            consumer_key: values.required(&wanted.keys.consumer_key)?,
            consumer_secret: values.required(&wanted.keys.consumer_secret)?,
            old_token_problem: old_token.as_ref().err().cloned(),
            old_token: old_token.unwrap_or_default(),
        })
    }
}

struct Values<'a> {
    name: &'a str,
    secret: &'a Secret,
}

impl Values<'_> {
    fn required(&self, key: &str) -> Result<Redacted, Finding> {
        self.optional(key)?.ok_or_else(|| {
            Finding::new(
                Reason::CredentialsIncomplete,
                format!("Secret {} has no value under key {key}: add it (portal: Applications, Auth Keys)", self.name),
            )
        })
    }

    /// A pasted value often ends in a line break that nobody meant: surrounding white space is dropped.
    fn optional(&self, key: &str) -> Result<Option<Redacted>, Finding> {
        let Some(bytes) = self.secret.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| self.invalid(key, "is not UTF-8 text"))?.trim();
        if text.len() > LONGEST_VALUE {
            return Err(self.invalid(key, &format!("is longer than {LONGEST_VALUE} bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err(self.invalid(key, "holds a line break or another control character"));
        }
        Ok((!text.is_empty()).then(|| Redacted::new(text)))
    }

    fn invalid(&self, key: &str, what: &str) -> Finding {
        Finding::new(
            Reason::CredentialsInvalid,
            format!("the value under key {key} of Secret {} {what}: write it again", self.name),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::{ApplicationKeys, SecretReference};
    use k8s_openapi::ByteString;

    fn wanted() -> ApplicationCredentials {
        ApplicationCredentials { secret_ref: SecretReference { name: "sdc".into() }, keys: ApplicationKeys::default() }
    }

    fn secret(values: &[(&str, &[u8])]) -> Secret {
        let data = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn refusal(values: &[(&str, &[u8])]) -> Finding {
        Credentials::read(&wanted(), Some(&secret(values))).unwrap_err()
    }

    #[test]
    fn a_line_break_at_the_end_of_a_value_is_dropped() {
        let read = Credentials::read(&wanted(), Some(&secret(&[("consumerKey", b"k\n"), ("consumerSecret", b" s ")])));
        let read = read.unwrap();
        assert_eq!((read.consumer_key.expose(), read.consumer_secret.expose(), read.old_token), ("k", "s", None));
    }

    #[test]
    fn a_missing_secret_is_named() {
        let finding = Credentials::read(&wanted(), None).unwrap_err();
        assert_eq!(finding.reason, Reason::CredentialsNotFound);
        assert!(finding.message.contains("Secret sdc does not exist"));
    }

    #[test]
    fn a_missing_or_empty_value_is_incomplete_and_names_its_key() {
        for values in [&[("consumerKey", b"k".as_slice())][..], &[("consumerKey", b"k"), ("consumerSecret", b"\n")]] {
            let finding = refusal(values);
            assert_eq!(finding.reason, Reason::CredentialsIncomplete);
            assert!(finding.message.contains("consumerSecret"), "{}", finding.message);
        }
    }

    #[test]
    fn values_that_cannot_be_sent_are_invalid_and_are_not_echoed() {
        let long = vec![b'x'; 5000];
        for value in [b"\xff\xfe".as_slice(), b"a\nb", &long] {
            let finding = refusal(&[("consumerKey", value), ("consumerSecret", b"s")]);
            assert_eq!(finding.reason, Reason::CredentialsInvalid);
            assert!(finding.message.len() < 120, "{}", finding.message);
        }
    }
}
