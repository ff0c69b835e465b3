//! The Secret that workloads mount, as the resource describes it.

use super::rules;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The key of the token Secret that holds the token, if the resource does not name another.
pub const DEFAULT_KEY: &str = "accessToken";

/// The key of the token Secret that holds the moment of expiry; no other value may take it.
pub const EXPIRATION_TIME_KEY: &str = "expirationTime";

/// The token Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::token_secret)]
pub struct TokenSecretSpec {
    /// Name of the Secret; if not set, the name of this resource. It cannot be changed later. An existing Secret of
    /// that name is left alone unless it has the annotation syniverse.dev/adopt with the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::object_name)]
    pub name: Option<String>,
    /// Key of the Secret that holds the token. If it is changed, the old key is removed in the same write.
    #[serde(default = "default_key")]
    #[schemars(transform = rules::token_key)]
    pub key: String,
    /// Labels to put on the Secret and on the state Secret; labels set by others stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = rules::labels)]
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on the Secret; annotations set by others stay. The state Secret gets none of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = rules::annotations)]
    pub annotations: BTreeMap<String, String>,
    /// Further keys of the Secret with their values, in which only $(token) and $(expirationTime) are replaced. For
    /// example authorization: "Bearer $(token)". All keys and values together may take at most 256 KiB.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = rules::template)]
    pub template: BTreeMap<String, String>,
}

/// What happens to the two Secrets when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They go with it.
    #[default]
    Delete,
    /// They stay.
    Retain,
}

impl Default for TokenSecretSpec {
    fn default() -> Self {
        Self {
            name: None,
            key: default_key(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            template: BTreeMap::new(),
        }
    }
}

fn default_key() -> String {
    DEFAULT_KEY.into()
}

/// A policy that only a newer version knows keeps the Secrets: a single such object must not fail the list of all
/// objects, and Secrets kept by mistake can still be deleted.
pub(super) fn known_or_retain<'de, D: Deserializer<'de>>(input: D) -> Result<DeletionPolicy, D::Error> {
    let policy = String::deserialize(input)?;
    Ok(if policy == "Delete" { DeletionPolicy::Delete } else { DeletionPolicy::Retain })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::SyniverseTokenSpec;
    use serde_json::json;

    #[test]
    fn a_deletion_policy_of_a_newer_version_keeps_the_secrets() {
        for (policy, read) in
            [("Delete", DeletionPolicy::Delete), ("Retain", DeletionPolicy::Retain), ("Orphan", DeletionPolicy::Retain)]
        {
            let spec: SyniverseTokenSpec = serde_json::from_value(json!({"deletionPolicy": policy})).unwrap();
            assert_eq!(spec.deletion_policy, read);
        }
        assert_eq!(
            serde_json::from_value::<SyniverseTokenSpec>(json!({})).unwrap().deletion_policy,
            DeletionPolicy::Delete
        );
    }
}
