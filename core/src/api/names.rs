//! The names that follow from a resource: its Secrets, the Secrets it reads, its annotations.

use super::{DEFAULT_KEY, IssuerSpec, SyniverseToken, SyniverseTokenSpec};

/// Suffix of the names of state Secrets; no token Secret may have it.
pub const STATE_SECRET_SUFFIX: &str = "-syniverse-state";

/// Annotation of a Secret: the name of the SyniverseToken that may take it over.
pub const ADOPT_ANNOTATION: &str = "syniverse.dev/adopt";

/// Label of a credentials Secret, with the value `true`: consent to its use, where the operator's settings require it.
pub const CONSENT_LABEL: &str = "syniverse.dev/credentials";

/// Annotation of a SyniverseToken: a new value requests a refresh now. Its first [`REFRESH_LENGTH`] characters count.
pub const REFRESH_ANNOTATION: &str = "syniverse.dev/refresh";

/// Annotation of a SyniverseToken: the fingerprint of a token that the API refused to one who used it. The issuer is asked
/// once.
pub const REJECTED_ANNOTATION: &str = "syniverse.dev/rejected";

/// The annotations of a SyniverseToken that are read.
pub const READ_ANNOTATIONS: [&str; 2] = [REFRESH_ANNOTATION, REJECTED_ANNOTATION];

/// Number of characters read of the refresh annotation, which is kept in memory, in the state and in the status.
pub const REFRESH_LENGTH: usize = 256;

/// A longer text is no fingerprint, and is not kept.
const LONGEST_FINGERPRINT: usize = 64;

impl SyniverseToken {
    /// The name of the token Secret; empty only for an object that has no name itself.
    pub fn secret_name(&self) -> &str {
        let chosen = self.spec.secret.as_ref().and_then(|secret| secret.name.as_deref());
        chosen.unwrap_or_else(|| self.own_name())
    }

    /// The name of the state Secret.
    pub fn state_secret_name(&self) -> String {
        format!("{}{STATE_SECRET_SUFFIX}", self.own_name())
    }

    /// The refresh annotation, as far as it counts.
    pub fn refresh(&self) -> Option<String> {
        let wish = self.metadata.annotations.as_ref()?.get(REFRESH_ANNOTATION)?;
        Some(wish.chars().take(REFRESH_LENGTH).collect())
    }

    /// The fingerprint of the token that was refused to one who used it; none for what cannot be a fingerprint.
    pub fn rejected(&self) -> Option<&str> {
        let word = self.metadata.annotations.as_ref()?.get(REJECTED_ANNOTATION)?;
        Some(word.as_str()).filter(|word| word.len() <= LONGEST_FINGERPRINT)
    }

    /// The names of the Secrets that credentials are read from, each once.
    pub fn referenced_secrets(&self) -> Vec<&str> {
        let mut names = self.spec.referenced_secrets();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn own_name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl SyniverseTokenSpec {
    /// The key of the token Secret that holds the token.
    pub fn key(&self) -> &str {
        self.secret.as_ref().map_or(DEFAULT_KEY, |secret| &secret.key)
    }

    fn referenced_secrets(&self) -> Vec<&str> {
        let issuer = self.issuer();
        let both = [issuer.map(IssuerSpec::credentials_secret), issuer.and_then(IssuerSpec::standby_secret)];
        both.into_iter().flatten().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn token(spec: Value) -> SyniverseToken {
        SyniverseToken::new("messaging", serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn the_token_secret_is_called_like_the_resource_unless_it_is_named() {
        assert_eq!(token(json!({})).secret_name(), "messaging");
        assert_eq!(token(json!({"secret": {"key": "t"}})).secret_name(), "messaging");
        assert_eq!(token(json!({"secret": {"name": "other"}})).secret_name(), "other");
    }

    #[test]
    fn the_state_secret_is_called_after_the_resource_whatever_the_token_secret_is_called() {
        assert_eq!(token(json!({"secret": {"name": "other"}})).state_secret_name(), "messaging-syniverse-state");
    }

    #[test]
    fn the_token_is_kept_under_access_token_unless_a_key_is_named() {
        assert_eq!(token(json!({})).spec.key(), "accessToken");
        assert_eq!(token(json!({"secret": {}})).spec.key(), "accessToken");
        assert_eq!(token(json!({"secret": {"key": "t"}})).spec.key(), "t");
    }

    #[test]
    fn every_secret_that_holds_credentials_is_referenced_once() {
        let application = json!({"application": {
            "credentials": {"secretRef": {"name": "b"}}, "standby": {"credentials": {"secretRef": {"name": "a"}}}}});
        assert_eq!(token(application).referenced_secrets(), ["a", "b"]);
        let shared = json!({"application": {
            "credentials": {"secretRef": {"name": "a"}}, "standby": {"credentials": {"secretRef": {"name": "a"}}}}});
        assert_eq!(token(shared).referenced_secrets(), ["a"]);
        let session = json!({"session": {"endpoint": "https://x", "credentials": {"secretRef": {"name": "s"}}}});
        assert_eq!(token(session).referenced_secrets(), ["s"]);
        let client =
            json!({"clientCredentials": {"tokenURL": "https://x", "credentials": {"secretRef": {"name": "c"}}}});
        assert_eq!(token(client).referenced_secrets(), ["c"]);
        assert_eq!(token(json!({})).referenced_secrets(), Vec::<&str>::new());
    }
}
