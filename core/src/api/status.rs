//! Status of a token.

use super::rules;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The observed state of the token. It never holds the token itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyniverseTokenStatus {
    /// The generation of the resource that this status describes; -1 until the operator has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: whether the Secret holds a live token. Reconciling: whether the first token is still pending. Stalled:
    /// whether somebody must act. The reason and message of Ready give the most important current fact; there is no
    /// Ready while a resource is suspended before its first token.
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
    /// When the next request to the issuer is planned (RFC 3339); retries after a failure are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_refresh_time: Option<String>,
    /// The last value of the annotation syniverse.dev/refresh that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_refresh: Option<String>,
    /// The last delivery of a token to running Pods, if spec.propagation asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Box<PropagationStatus>>,
}

/// The last token that was delivered to all who use it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropagationStatus {
    /// The generation of the resource that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The first 8 hex digits of the SHA-256 of that token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the last Pod or workload was reached (RFC 3339); absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The running Pods that mount the Secret and were annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<i64>,
    /// The workloads that were restarted, such as Deployment web.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::restarted)]
    pub workloads: Vec<String>,
}
