//! The custom resource as its users see it. `kubectl explain` prints the doc comments here.

mod client_credentials;
mod crd;
mod duration;
mod issuer;
mod names;
mod propagation;
mod reserved;
mod rules;
mod status;
mod token_secret;

pub use client_credentials::{
    ClientAuthentication, ClientCredentialsKeys, ClientCredentialsReference, ClientCredentialsSpec,
};
pub use crd::{crd, crd_yaml};
pub use duration::parse_duration;
pub use issuer::{
    ApplicationCredentials, ApplicationKeys, ApplicationSpec, ApplicationStandby, DEFAULT_APPLICATION_ENDPOINT,
    IssuerSpec, SecretReference, SessionCredentials, SessionSpec,
};
pub use names::{
    ADOPT_ANNOTATION, CONSENT_LABEL, READ_ANNOTATIONS, REFRESH_ANNOTATION, REFRESH_LENGTH, REJECTED_ANNOTATION,
    STATE_SECRET_SUFFIX,
};
pub use propagation::{
    PodPropagation, PropagationSpec, RestartMode, RestartPropagation, WorkloadKind, WorkloadReference,
};
pub use reserved::{owner_of_annotation, owner_of_label};
pub use status::{PropagationStatus, SyniverseTokenStatus};
pub use token_secret::{DEFAULT_KEY, DeletionPolicy, EXPIRATION_TIME_KEY, TokenSecretSpec};

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The token to keep, where to store it, and when to refresh it. Exactly one of application, session and
/// clientCredentials selects the issuer.
#[allow(clippy::duplicated_attributes, reason = "each printcolumn has a type of its own")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    ),
    group = "syniverse.dev",
    version = "v1alpha1",
    kind = "SyniverseToken",
    plural = "syniversetokens",
    shortname = "syt",
    category = "syniverse",
    namespaced,
    status = "SyniverseTokenStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "SyniverseToken keeps a live Syniverse access token in a Secret of its namespace, for as long as the \
        resource exists: the token is issued, refreshed and replaced automatically. Workloads mount that Secret.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the Secret holds a live token"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The most important current fact about the token"
    ),
    printcolumn(
        name = "Secret",
        type_ = "string",
        json_path = ".status.secretName",
        description = "The Secret that holds the token"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.expirationTime",
        description = "When the token expires; empty if it never does"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = ".status.nextRefreshTime",
        description = "When the next request to the issuer is planned",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::spec)]
pub struct SyniverseTokenSpec {
    /// A token of a Syniverse Platform application, from the apptoken-refresh API. The issuer issues a new token only
    /// after the old token has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationSpec>,
    /// A token of a login session, from the /api/v2/auth/token API. The session is extended before its token
    /// expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// A token of an OAuth 2.0 client, by the grant client_credentials of RFC 6749. It is asked for again before the
    /// token expires: if the issuer gives a new token while the old token lives, there is no gap between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<ClientCredentialsSpec>,
    /// How long before its expiry the token is refreshed, as a duration such as 90s, 5m or 1h30m. At most half of the
    /// application's validity, unless that is 0s. If not set: a tenth of the validity, at most 5m; with
    /// a standby a third of the validity, at most 1h; for a session a third of its lifetime; for clientCredentials a
    /// third of the lifetime, at most 1h. The time actually used is never more than half of the lifetime that the issuer
    /// reported and, for a session, never less than a twentieth of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::duration)]
    pub refresh_before: Option<String>,
    /// The Secret that the token is written to. If not set, it has the name of this resource and holds the token
    /// under accessToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<TokenSecretSpec>,
    /// What happens to the Secrets when this resource is deleted. Delete: they are deleted with it. Retain: they stay,
    /// and a re-created resource of the same name resumes from them. A Secret that the operator did not create is never
    /// deleted.
    #[serde(default, deserialize_with = "token_secret::known_or_retain")]
    pub deletion_policy: DeletionPolicy,
    /// While true, no token is requested, so the token runs out at its expiry. The Secret is still restored if it is
    /// deleted or edited.
    #[serde(default)]
    pub suspend: bool,
    /// How a new token reaches running Pods. If not set, nothing is done: the kubelet updates a mounted Secret within
    /// about a minute; an environment variable or a subPath mount never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<PropagationSpec>,
}

impl SyniverseTokenSpec {
    /// The issuer that the spec names; none only in an object that the API server has not validated.
    pub fn issuer(&self) -> Option<IssuerSpec<'_>> {
        let application = self.application.as_ref().map(IssuerSpec::Application);
        let session = || self.session.as_ref().map(IssuerSpec::Session);
        let client_credentials = || self.client_credentials.as_ref().map(IssuerSpec::ClientCredentials);
        application.or_else(session).or_else(client_credentials)
    }
}
