//! Single values of a credentials Secret, once they have been found usable.

use super::value;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;

/// The values of a credentials Secret.
pub(super) struct SecretValues<'a> {
    pub(super) name: &'a str,
    pub(super) secret: &'a Secret,
    pub(super) longest: usize,
}

impl SecretValues<'_> {
    /// A value that must be there; `whence` says where people find it.
    pub(super) fn required(&self, key: &str, whence: &str) -> Result<Redacted, Finding> {
        self.optional(key)?.ok_or_else(|| self.incomplete(key, whence))
    }

    /// Two values that are only valid together.
    pub(super) fn both(&self, one: &str, other: &str) -> Result<Option<(Redacted, Redacted)>, Finding> {
        match (self.optional(one)?, self.optional(other)?) {
            (None, None) => Ok(None),
            (Some(one), Some(other)) => Ok(Some((one, other))),
            (None, Some(_)) => Err(self.incomplete(one, &format!(": {one} and {other} are only valid together"))),
            (Some(_), None) => Err(self.incomplete(other, &format!(": {one} and {other} are only valid together"))),
        }
    }

    fn incomplete(&self, key: &str, why: &str) -> Finding {
        let message = format!("Secret {} has no value under key {key}: add it{why}", self.name);
        Finding::new(Reason::CredentialsIncomplete, message)
    }

    /// A pasted value often ends in an unintended line break: invisible characters around it are dropped.
    pub(super) fn optional(&self, key: &str) -> Result<Option<Redacted>, Finding> {
        let Some(bytes) = self.secret.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| self.invalid(key, "is not UTF-8 text"))?;
        let text = value::trimmed(text);
        if text.len() > self.longest {
            return Err(self.invalid(key, &format!("is longer than {} bytes", self.longest)));
        }
        if let Some(flaw) = value::flaw(text) {
            return Err(self.invalid(key, &flaw));
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

/// The likely mistake in a value that the issuer refuses, as a clause that names its key.
pub(super) fn likely_mistake<const N: usize>(values: [(&str, Option<&Redacted>); N]) -> Option<String> {
    let mistakes = |(key, value): (&str, Option<&Redacted>)| {
        value::likely_mistake(value?.expose()).map(|what| format!("the value under key {key} {what}"))
    };
    values.into_iter().find_map(mistakes)
}
