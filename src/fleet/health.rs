//! How an endpoint fares: whether it is down, when it is probed, and how the calls of each resource ended.

use super::{ObjectName, Outcome};
use crate::issuer::FailureKind;
use crate::moment::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An endpoint is down after this many failures in a row that are its own.
const DOWN_AFTER: u32 = 3;
/// Between two probes: this, doubling ...
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// ... up to this while a token is dead or nearly so ...
const PRESSING_PROBE: Duration = Duration::from_secs(4);
/// ... and up to this else.
const LONGEST_PROBE: Duration = Duration::from_secs(60);
/// A token that dies within this time presses.
const PRESSING: Duration = Duration::from_secs(60);
/// How long before a resource began to fail what happened to others still says something about it: tokens of an hour's
/// validity or less are asked for within it, and an issuer that began to fail since has failed somebody else, too.
const NEIGHBOUR_MEMORY: Duration = Duration::from_secs(3600);

/// How an endpoint fares.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures_in_row: u32,
    /// Whose they were.
    failed: BTreeSet<ObjectName>,
    outage: Option<Outage>,
    last_calls: BTreeMap<ObjectName, LastCall>,
}

#[derive(Debug)]
struct Outage {
    /// Probes that failed.
    probes: u32,
    /// When the last one did, or when the outage began.
    failed_at: Moment,
}

/// How the last call of a resource ended.
#[derive(Clone, Copy, Debug)]
struct LastCall {
    at: Moment,
    success: bool,
    /// The moment it bears witness of: when it succeeded, or when the first of a row of failures came. Later failures
    /// of the same resource say nothing new of the endpoint.
    witness: Moment,
}

impl Health {
    /// True while the endpoint counts as down for `member`: a row of failures of one resource alone may be its own doing,
    /// and says nothing to those whom the endpoint has served.
    pub(super) fn is_down_for(&self, member: &ObjectName) -> bool {
        let concerns_all = self.failed.len() > 1 || self.failed.len() == self.last_calls.len();
        self.outage.is_some() && (concerns_all || self.failed.contains(member))
    }

    /// Notes how a call ended; true when that shows that the endpoint is up again.
    pub(super) fn called(&mut self, member: &ObjectName, outcome: Outcome, is_probe: bool, now: Moment) -> bool {
        self.remember(member, outcome == Outcome::Answered, now);
        if let Some(outage) = self.outage.as_mut().filter(|_| is_probe) {
            (outage.probes, outage.failed_at) = (outage.probes.saturating_add(1), now);
        }
        match outcome {
            Outcome::Failed(FailureKind::Unavailable) => {
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                self.failed.insert(member.clone());
                if self.failures_in_row >= DOWN_AFTER {
                    self.outage.get_or_insert(Outage { probes: 0, failed_at: now });
                }
                false
            }
            // Nothing was sent.
            Outcome::Failed(FailureKind::EndpointNotAllowed) => false,
            Outcome::Answered
            | Outcome::Failed(
                FailureKind::Rejected | FailureKind::Refused | FailureKind::Ended | FailureKind::LoginRefused,
            ) => {
                self.failures_in_row = 0;
                self.failed.clear();
                self.outage.take().is_some()
            }
        }
    }

    /// Notes that `member` was given its token at `at`, as what is stored tells; what this process has seen itself is
    /// younger.
    pub(super) fn was_served(&mut self, member: &ObjectName, at: Moment) {
        let served = LastCall { at, success: true, witness: at };
        self.last_calls.entry(member.clone()).or_insert(served);
    }

    fn remember(&mut self, member: &ObjectName, success: bool, now: Moment) {
        let before = self.last_calls.get(member).filter(|last| !last.success && !success);
        let witness = before.map_or(now, |last| last.witness);
        self.last_calls.insert(member.clone(), LastCall { at: now, success, witness });
    }

    /// When the next probe is due, if the endpoint is down and `expires` is the earliest expiry of a token that waits:
    /// more often from the moment on at which that presses.
    pub(super) fn next_probe(&self, expires: Option<Moment>) -> Option<Moment> {
        let outage = self.outage.as_ref()?;
        let growing = FIRST_PROBE.saturating_mul(1 << outage.probes.min(16));
        let relaxed = outage.failed_at + growing.min(LONGEST_PROBE);
        let pressing = outage.failed_at + growing.min(PRESSING_PROBE);
        Some(expires.map_or(pressing, |expires| relaxed.min(pressing.max(expires - PRESSING))))
    }

    /// True when nobody has called.
    pub(super) fn is_unknown(&self) -> bool {
        self.last_calls.is_empty()
    }

    /// When the last call of `member` ended.
    pub(super) fn last_call(&self, member: &ObjectName) -> Option<Moment> {
        self.last_calls.get(member).map(|last| last.at)
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&mut self, member: &ObjectName) {
        self.last_calls.remove(member);
        if self.failed.remove(member) && self.failed.is_empty() {
            (self.failures_in_row, self.outage) = (0, None);
        }
    }

    /// Whether others succeed, by the latest of what they bear witness of; none when that is too old to say something
    /// about `member`.
    pub(super) fn others_succeed(&self, member: &ObjectName, now: Moment) -> Option<bool> {
        let own = self.last_calls.get(member).filter(|last| !last.success);
        let since = own.map_or(now, |last| last.witness) - NEIGHBOUR_MEMORY;
        let others = self.last_calls.iter().filter(|(other, last)| *other != member && last.witness > since);
        others.map(|(_, last)| (last.witness, last.success)).max().map(|(_, success)| success)
    }
}
