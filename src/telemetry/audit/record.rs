//! A line of the audit log. Its texts are names of objects, fingerprints, and words from closed lists: nothing that an
//! issuer or a policy says, no credential and no token.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use syniverse_token_core::issuer::Cause;

/// It was done.
pub const SUCCESS: &str = "success";
/// Another writer was faster; everything is read again.
pub const CONFLICT: &str = "conflict";
/// The object, its namespace or the SyniverseToken is deleted.
pub const GONE: &str = "gone";
/// A right, a policy, a webhook, a quota or a limit refuses it.
pub const REFUSED: &str = "refused";
/// The API server did not take it, or its response did not arrive.
pub const FAILED: &str = "failed";
/// What comes of a write instead of success.
pub const OUTCOMES_OF_WRITES: [&str; 4] = [CONFLICT, GONE, REFUSED, FAILED];

/// A line of the audit log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// When the line was made, RFC 3339 in UTC
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Number of the line in this process, from 1. A number that is missing is a line that was lost
    pub sequence: u64,
    /// The process: its host name, in a cluster the name of the Pod, and a random part that changes with each start
    pub process: String,
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub entry: Entry,
}

impl AuditRecord {
    /// The text of the line.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// What is done, to what, why, and what came of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What is done
    pub action: Action,
    /// `attempt`: it is about to be done; `outcome`: it was done
    pub phase: Phase,
    /// For the outcome of an `issuing-call`: the `sequence` of its attempt. An attempt without an outcome may have had its
    /// effects at the issuer: the process ended, or the pass was given up, before the response
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The SyniverseToken that it is done for
    pub resource: AuditedResource,
    /// Why: the cause of the request to the issuer, also for the writes that belong to it; or `repair`, `content` or
    /// `delivery`
    #[schemars(with = "String")]
    pub cause: AuditCause,
    /// The kind of the issuer, for an `issuing-call`: `application`, `session` or `client-credentials`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'static str>,
    /// `resourceVersion` of the Secret with the credentials that an `issuing-call` is made with
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_version: Option<String>,
    /// `success`, or what came instead (below); absent in an attempt
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// The HTTP status of what came instead of success; absent if no response came
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Fingerprint of the token before: the last of the credential that is used, or that in the Secret
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Fingerprint of the token after: that of the response, that in the Secret as it was to be written, or that which Pods
    /// are told of. A state Secret counts with the token that is in use
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The object that was written; absent for an `issuing-call`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<AuditedObject>,
}

impl Entry {
    /// An entry with what every entry has.
    pub fn new(action: Action, phase: Phase, resource: AuditedResource, cause: AuditCause) -> Self {
        Self {
            action,
            phase,
            attempt: None,
            resource,
            cause,
            issuer: None,
            credentials_version: None,
            outcome: None,
            status: None,
            before: None,
            after: None,
            object: None,
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A request to an issuer, which may make a token or end one. Its attempt is in the log before it is sent
    IssuingCall,
    /// A write of the Secret that workloads read
    WriteTokenSecret,
    /// A write of the Secret with the operator's own state
    WriteStateSecret,
    /// The annotation of a Pod that mounts the Secret
    AnnouncePod,
    /// The annotation of the template of a workload, which replaces its Pods
    RestartWorkload,
}

/// Whether it is about to be done, or was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// About to be done.
    Attempt,
    /// Done.
    Outcome,
}

/// Why it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditCause {
    /// A request to the issuer, for this cause.
    Request(Cause),
    /// Another writer had changed or deleted the Secret.
    Repair,
    /// The Secret is to have other contents, without a request of this pass.
    Content,
    /// A token is to be delivered to Pods.
    Delivery,
}

impl AuditCause {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request(cause) => cause.as_str(),
            Self::Repair => "repair",
            Self::Content => "content",
            Self::Delivery => "delivery",
        }
    }
}

impl Serialize for AuditCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A SyniverseToken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditedResource {
    /// Its namespace, which is also that of the object
    pub namespace: String,
    /// Its name
    pub name: String,
    /// Its UID
    pub uid: String,
    /// Its `metadata.generation`: the version of its spec
    pub generation: i64,
}

/// An object that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditedObject {
    /// `Secret`, `Pod`, `Deployment`, `StatefulSet` or `DaemonSet`
    pub kind: &'static str,
    /// Its name
    pub name: String,
    /// Its `resourceVersion` after the write; absent if it was not written
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}
