//! The custom resource as its users see it. The doc comments here are what `kubectl explain` prints.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which token is wanted, and where it is to be kept.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "syniverse.dev",
    version = "v1alpha1",
    kind = "SyniverseToken",
    plural = "syniversetokens",
    shortname = "syt",
    category = "syniverse",
    namespaced,
    status = "SyniverseTokenStatus",
    derive = "PartialEq",
    derive = "Default"
)]
#[serde(rename_all = "camelCase")]
pub struct SyniverseTokenSpec {
    /// Tokens of an application of the Syniverse Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationSpec>,
    /// Tokens of a session of the security management application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// The lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_before: Option<String>,
    /// The token Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<TokenSecretSpec>,
    /// What becomes of the Secrets when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// No calls while true.
    #[serde(default)]
    pub suspend: bool,
    /// How a rotation reaches running Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<PropagationSpec>,
}

/// The application issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSpec {
    /// URL.
    #[serde(default = "default_application_endpoint")]
    pub endpoint: String,
    /// Credentials.
    pub credentials: ApplicationCredentials,
    /// Standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby_credentials: Option<ApplicationCredentials>,
    /// Validity.
    #[serde(default = "default_validity")]
    pub validity: String,
}

/// Where an application's consumer key, consumer secret and old token are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationCredentials {
    /// Secret.
    pub secret_ref: SecretReference,
    /// Keys.
    #[serde(default)]
    pub keys: ApplicationKeys,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Its name.
    pub name: String,
}

/// The names of the keys in the credentials Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationKeys {
    /// Consumer key.
    pub consumer_key: String,
    /// Consumer secret.
    pub consumer_secret: String,
    /// Old token.
    pub old_token: String,
}

impl Default for ApplicationKeys {
    fn default() -> Self {
        Self { consumer_key: "consumerKey".into(), consumer_secret: "consumerSecret".into(), old_token: "oldToken".into() }
    }
}

/// The session issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// URL.
    pub endpoint: String,
    /// Credentials.
    pub credentials: SessionCredentials,
}

/// Where a session's token pair or login is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCredentials {
    /// Secret.
    pub secret_ref: SecretReference,
}

/// The token Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSecretSpec {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Key.
    #[serde(default = "default_key")]
    pub key: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub template: BTreeMap<String, String>,
}

/// What becomes of the two Secrets when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They go with it.
    #[default]
    Delete,
    /// They stay.
    Retain,
}

/// How a rotation reaches running Pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropagationSpec {
    /// Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodPropagation>,
    /// Restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPropagation>,
}

/// What is done to Pods that mount the token Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodPropagation {
    /// Annotate them.
    Annotate,
}

/// Which workloads are rolled after a rotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartPropagation {
    /// Mode.
    #[serde(default)]
    pub mode: RestartMode,
    /// Workloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadReference>,
}

/// Which workloads are rolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartMode {
    /// None.
    #[default]
    Off,
    /// Those that cannot see the change.
    Unaware,
    /// Those listed.
    Listed,
}

/// A workload of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadReference {
    /// Kind.
    pub kind: WorkloadKind,
    /// Name.
    pub name: String,
}

/// The kinds of workload that can be rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// apps/v1 Deployment
    Deployment,
    /// apps/v1 StatefulSet
    StatefulSet,
    /// apps/v1 DaemonSet
    DaemonSet,
}

/// What the operator last saw and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyniverseTokenStatus {
    /// The generation this status speaks of; -1 until the first pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The token Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// First 8 hex digits of the SHA-256 of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the token was issued (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_time: Option<String>,
    /// When it expires (RFC 3339); absent when never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
    /// The next planned call to the issuer (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_refresh_time: Option<String>,
    /// The value of the refresh annotation that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_refresh: Option<String>,
}

/// The endpoint of the Syniverse Platform.
pub const DEFAULT_APPLICATION_ENDPOINT: &str = "https://api.syniverse.com/saop-rest-data/v1/apptoken-refresh";

fn default_application_endpoint() -> String {
    DEFAULT_APPLICATION_ENDPOINT.into()
}

fn default_validity() -> String {
    "24h".into()
}

fn default_key() -> String {
    "accessToken".into()
}
