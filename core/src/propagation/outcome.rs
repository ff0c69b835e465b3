//! What became of the delivery of a token, and what the status says of it.

use super::Names;
use super::messages::{self, PROPAGATION_UNKNOWN};
use crate::api::{PropagationSpec, PropagationStatus, SyniverseTokenStatus};
use crate::reason::{Finding, Reason};
use crate::secrets::rfc3339;
use crate::time::Moment;
use jiff::Timestamp;

/// Reasons that stay said until a delivery shows otherwise.
const LASTING: [Reason; 3] = [Reason::PropagationRefused, Reason::ConsumersUnaware, Reason::RestartWithheld];
/// Workloads in the status: what its schema takes.
pub const MOST_WORKLOADS: usize = 1024;

/// A token to be delivered: it is in the token Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The UID of the resource that asks for it.
    pub uid: String,
    /// The generation of the resource that asks for it.
    pub generation: i64,
    /// Whom to tell.
    pub spec: PropagationSpec,
    /// The token Secret.
    pub secret: String,
    /// Of the token.
    pub fingerprint: String,
    /// When the token was put into the token Secret, or issued where that is not known.
    pub since: Timestamp,
    /// When it expires; none = never.
    pub expires: Option<Moment>,
    /// When it was written, by this process.
    pub written_at: Option<Moment>,
    /// When the token before it ends, if it lives on: the time over which restarts are spread.
    pub old_ends: Option<Moment>,
}

impl Delivery {
    /// True when the status says that it is done.
    pub fn is_said_in(&self, status: Option<&PropagationStatus>) -> bool {
        let is_it = |said: &PropagationStatus| {
            said.observed_generation == Some(self.generation) && said.fingerprint.as_ref() == Some(&self.fingerprint)
        };
        status.is_some_and(is_it)
    }

    /// True when the other one is of the same token, for the same spec.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.generation, &self.fingerprint, &self.secret) == (other.generation, &other.fingerprint, &other.secret)
    }
}

/// What became of a [`Delivery`] so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The generation of the resource that asked for it.
    pub generation: i64,
    /// Of the token.
    pub fingerprint: String,
    /// Nothing is left to be done for this token.
    pub is_complete: bool,
    /// Running Pods that know of it; none where they are not to be told.
    pub pods: Option<usize>,
    /// Workloads that were restarted for it; the status names up to [`MOST_WORKLOADS`].
    pub workloads: Vec<String>,
    /// When the last one was reached; none = all had been before.
    pub reached_at: Option<Timestamp>,
    /// What was refused, as a clause for people.
    pub refusal: Option<String>,
    /// Consumers that never see a change, and that nothing restarts.
    pub unaware: Names,
    /// Workloads that are not restarted, and why.
    pub withheld: Names,
    /// Workloads that are restarted when they have replaced their Pods.
    pub rolling: Names,
}

impl Outcome {
    fn finding(&self) -> Option<Finding> {
        let refused = self.refusal.as_deref().map(messages::refused);
        let withheld = || (!self.withheld.is_empty()).then(|| messages::restart_withheld(&self.withheld));
        let unaware = || (!self.unaware.is_empty()).then(|| messages::consumers_unaware(&self.unaware));
        refused.or_else(withheld).or_else(unaware)
    }

    fn status(&self) -> PropagationStatus {
        PropagationStatus {
            observed_generation: Some(self.generation),
            fingerprint: Some(self.fingerprint.clone()),
            time: self.reached_at.map(rfc3339),
            pods: self.pods.and_then(|pods| i64::try_from(pods).ok()),
            workloads: self.workloads.iter().take(MOST_WORKLOADS).cloned().collect(),
        }
    }
}

/// What the status says of the delivery of tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The last token that was delivered.
    pub status: Option<PropagationStatus>,
    /// What is wrong.
    pub finding: Option<Finding>,
}

/// What is to be said: of `outcome`, and until there is one what `before` says. Nothing without a spec for it.
pub fn shown(
    spec: Option<&PropagationSpec>,
    outcome: Option<&Outcome>,
    before: Option<&SyniverseTokenStatus>,
) -> Shown {
    if !spec.is_some_and(PropagationSpec::is_wanted) {
        return Shown::default();
    }
    let said = before.and_then(|before| before.propagation.as_deref().cloned());
    let Some(outcome) = outcome else {
        return Shown { status: said, finding: before.and_then(lasting) };
    };
    let newer = spec.filter(|spec| spec.is_newer()).map(|_| messages::refused(PROPAGATION_UNKNOWN));
    let (is_done, finding) = (outcome.is_complete && newer.is_none(), newer.or_else(|| outcome.finding()));
    if !is_done {
        return Shown { status: said, finding };
    }
    let status = outcome.status();
    // Who restarts the operator learns that there is nothing to do: when it was done is what was said.
    let known = said.filter(|said| said.fingerprint == status.fingerprint && status.time.is_none());
    let time = known.map_or_else(|| status.time.clone(), |said| said.time);
    Shown { status: Some(PropagationStatus { time, ..status }), finding }
}

/// What was said of an earlier delivery.
fn lasting(before: &SyniverseTokenStatus) -> Option<Finding> {
    let known = |reason: &str| LASTING.into_iter().find(|lasting| lasting.as_str() == reason);
    before
        .conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .find_map(|condition| Some(Finding::new(known(&condition.reason)?, condition.message.clone())))
}
