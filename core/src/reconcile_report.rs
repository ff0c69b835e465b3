//! Report of a pass.

use crate::api::SyniverseTokenStatus;
use crate::issuer::Kind;
use crate::issuer::{Cause, Failure, TokenResponse};
use crate::queue::QueuedRequest;
use crate::time::Moment;

/// Result of a pass, for the report and for the next wake.
#[derive(Debug, Default)]
pub struct ReconcileReport {
    /// The steps, in order.
    pub steps: Vec<StepResult>,
    /// The status before the pass; none = no status yet.
    pub before: Option<SyniverseTokenStatus>,
    /// The status after the pass; none when the resource is gone.
    pub after: Option<SyniverseTokenStatus>,
    /// The token that it wrote to the token Secret, if worth reporting.
    pub new_token: Option<NewToken>,
    /// The token that the token Secret held when the pass began, if that was ours.
    pub served_before: Option<ServedToken>,
    /// The token that it holds now, likewise.
    pub served_after: Option<ServedToken>,
    /// True while the standby is able to take over, as far as is known; none without a standby.
    pub is_standby_ready: Option<bool>,
    /// When the next pass is due; none = when something changes.
    pub wake: Option<Moment>,
    /// The request that is due then, if that is the cause.
    pub request: Option<QueuedRequest>,
}

/// A token in a token Secret.
#[derive(Clone, Debug)]
pub struct ServedToken {
    /// Of the token.
    pub fingerprint: String,
    /// The kind of the credential that it was issued to.
    pub kind: Kind,
    /// When it dies as far as is known; none = never.
    pub expires: Option<Moment>,
    /// When this pass wrote it there; none = an earlier pass did.
    pub written_at: Option<Moment>,
}

/// A token that is new to workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewToken {
    /// The first token of this resource.
    First,
    /// The successor of another token.
    Next,
}

/// A step of a pass.
#[derive(Debug)]
pub enum StepResult {
    /// Sent a request to the issuer.
    Requested(Cause, Result<TokenResponse, Failure>),
    /// Found the issuer's clock ahead of ours by so many seconds.
    SawSkew(i64),
    /// Wrote the state Secret.
    WroteState,
    /// Wrote the token Secret with a token, key or template that is new in it.
    WroteToken,
    /// Restored a Secret that another writer had changed or deleted; its name.
    Repaired(String),
    /// The API server did not accept a write; a clause for people.
    FailedWrite(String),
    /// Wrote the status.
    WroteStatus,
}
