//! Messages about the delivery of tokens to Pods.

use super::Names;
use crate::reason::{Finding, Reason};

/// What delivers a token is refused, because of `problem`.
pub(super) fn refused(problem: &str) -> Finding {
    let message = format!("the token is in the Secret, but its users are not told: {problem}");
    Finding::new(Reason::PropagationRefused, message)
}

/// A spec that a newer version of the operator stored.
pub(super) const PROPAGATION_UNKNOWN: &str =
    "spec.propagation has a value that this version of the operator does not know: remove it, or update the operator";

/// A right that delivery needs, and the value of the chart that grants it.
pub fn right_missing(verb: &str, resource: &str, value: &str, detail: &str) -> String {
    format!(
        "no right to {verb} {resource} ({detail}): set {value} to true in the chart, or grant that right, or take it out of the spec"
    )
}

/// A write that a policy or the API server's own rules refuse.
pub fn denied(verb: &str, resource: &str, detail: &str) -> String {
    format!(
        "the API server refuses to {verb} {resource} as it stands ({detail}): exempt the operator's account there, or take it out of the spec"
    )
}

/// Consumers that will never see a change.
pub(super) fn consumers_unaware(names: &Names) -> Finding {
    let message = format!(
        "used in an environment variable or through a subPath, where a new token is never seen: {names}; mount the Secret \
         as a volume, or set spec.propagation.restart"
    );
    Finding::new(Reason::ConsumersUnaware, message)
}

/// Workloads that are not restarted.
pub(super) fn restart_withheld(reasons: &Names) -> Finding {
    Finding::new(Reason::RestartWithheld, format!("not restarted for the new token: {reasons}"))
}
