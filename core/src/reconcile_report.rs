//! What one pass did.

use crate::api::SyniverseTokenStatus;
use crate::issuer::Kind;
use crate::issuer::{Cause, Failure, TokenResponse};
use crate::time::Moment;

/// What one pass did, for the report and for the next wake.
#[derive(Debug, Default)]
pub struct ReconcileReport {
    /// What was done, in order.
    pub steps: Vec<StepResult>,
    /// What was said of the resource before; none = nothing yet.
    pub before: Option<SyniverseTokenStatus>,
    /// What should be said of the resource now; none when it is gone.
    pub after: Option<SyniverseTokenStatus>,
    /// The token that it brought into the token Secret, if that is worth telling.
    pub new_token: Option<NewToken>,
    /// The token that the token Secret held when the pass began, if that was ours.
    pub served_before: Option<ServedToken>,
    /// The token that it holds now, likewise.
    pub served_after: Option<ServedToken>,
    /// When to look again; none = when something changes.
    pub wake: Option<Moment>,
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
    /// When this pass wrote it there; none = an earlier one did.
    pub written_at: Option<Moment>,
}

/// A token that workloads have not seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewToken {
    /// The first one of this resource.
    First,
    /// The one after another.
    Next,
}

/// One thing that a pass did.
#[derive(Debug)]
pub enum StepResult {
    /// Asked the issuer.
    Requested(Cause, Result<TokenResponse, Failure>),
    /// Found the issuer's clock ahead of ours by so many seconds.
    SawSkew(i64),
    /// Wrote the state Secret.
    WroteState,
    /// Wrote the token Secret with a token, key or template that is new in it.
    WroteToken,
    /// Wrote again what somebody else had changed or deleted; the Secret's name.
    Repaired(String),
    /// The API server did not take a write; one clause for people.
    FailedWrite(String),
    /// Wrote the status.
    WroteStatus,
}
