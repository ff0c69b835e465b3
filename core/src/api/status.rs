//! What the operator says about a token.

use super::rules;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw and did. It never holds a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyniverseTokenStatus {
    /// The generation of the resource that this status speaks of; -1 until the operator has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: whether a live token is in the Secret. Reconciling: whether the first token is still on its way. Stalled:
    /// whether a person must act. The reason and message of Ready say the most important thing to know; there is no Ready
    /// while a resource is suspended before its first token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::conditions)]
    pub conditions: Vec<Condition>,
    /// Name of the Secret that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// The first 8 hex digits of the SHA-256 of the token, to tell one token from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the token was issued (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_time: Option<String>,
    /// When the token expires (RFC 3339); absent if it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
    /// When the issuer is asked next according to plan (RFC 3339); retries after a failure are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_refresh_time: Option<String>,
    /// The value of the annotation syniverse.dev/refresh that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_refresh: Option<String>,
}
