//! The custom resource as its users see it. The doc comments here are what `kubectl explain` prints.

mod crd;
mod duration;
mod issuer;
mod names;
mod propagation;
mod reserved;
mod rules;
mod status;
mod token_secret;

pub use crd::{crd, crd_yaml};
pub use duration::parse_duration;
pub use issuer::{
    ApplicationCredentials, ApplicationKeys, ApplicationSpec, DEFAULT_APPLICATION_ENDPOINT, IssuerSpec,
    SecretReference, SessionCredentials, SessionSpec,
};
pub use names::{ADOPT_ANNOTATION, CONSENT_LABEL, REFRESH_ANNOTATION, REFRESH_LENGTH, STATE_SECRET_SUFFIX};
pub use propagation::{
    PodPropagation, PropagationSpec, RestartMode, RestartPropagation, WorkloadKind, WorkloadReference,
};
pub use reserved::{owner_of_annotation, owner_of_label};
pub use status::SyniverseTokenStatus;
pub use token_secret::{DEFAULT_KEY, DeletionPolicy, EXPIRATION_TIME_KEY, TokenSecretSpec};

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which token is wanted, where it is kept, and when it is refreshed. Exactly one of application and session says
/// who issues the token.
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
    doc = "SyniverseToken keeps a live Syniverse access token in a Secret of its namespace, for as long as the resource exists: the token is issued, refreshed and replaced without anybody touching it. Workloads mount that Secret.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether a live token is in the Secret"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The most important thing to know about the token"
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
        description = "When the issuer is asked next",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::spec)]
pub struct SyniverseTokenSpec {
    /// A token of an application of the Syniverse Platform, from the apptoken-refresh API. The issuer gives a new
    /// token only after the old one has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationSpec>,
    /// A token of a login session, from the /api/v2/auth/token API. The session is extended before its token
    /// expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// How long before its expiry the token is refreshed, as a duration such as 90s, 5m or 1h30m. At most half of
    /// the application's validity, unless that is 0s. If not set: a tenth of the validity but at most 5m; with
    /// standbyCredentials a third of the validity but at most 1h; of a session a third of its lifetime. The time
    /// really used is never more than half of the lifetime that the issuer reported, and of a session not less than
    /// a twentieth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::duration)]
    pub refresh_before: Option<String>,
    /// The Secret that the token is written to. If not set, it has the name of this resource and holds the token
    /// under accessToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<TokenSecretSpec>,
    /// What becomes of the Secrets when this resource is deleted. Delete: they are deleted with it. Retain: they
    /// stay, and a resource of the same name created later carries on from them. A Secret that the operator did
    /// not create is never deleted.
    #[serde(default, deserialize_with = "token_secret::known_or_retain")]
    pub deletion_policy: DeletionPolicy,
    /// While true the issuer is not asked, so that the token ends at its expiry. The Secret is still restored if
    /// somebody deletes or edits it.
    #[serde(default)]
    pub suspend: bool,
    /// How a new token reaches Pods that already run. If not set, nothing is done: kubelet updates a mounted Secret
    /// within about a minute, and an environment variable or a subPath mount never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<PropagationSpec>,
}

impl SyniverseTokenSpec {
    /// The issuer that it names; none only in an object that the API server has not validated.
    pub fn issuer(&self) -> Option<IssuerSpec<'_>> {
        let application = self.application.as_ref().map(IssuerSpec::Application);
        application.or_else(|| self.session.as_ref().map(IssuerSpec::Session))
    }
}
