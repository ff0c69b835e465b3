//! How an endpoint fares: whether it is down, when it is probed, and how the calls of each resource ended.

use super::{ObjectName, Outcome};
use crate::issuer::FailureKind;
use crate::time::Moment;
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
    /// Failures of the resources that it has served: the only ones that say something to those.
    of_served: Row,
    /// Failures of all resources: what those go by that it never served.
    of_all: Row,
    outage: Option<Outage>,
    last_calls: BTreeMap<ObjectName, LastCall>,
}

/// Failures in a row that are the endpoint's own.
#[derive(Debug, Default)]
struct Row {
    count: u32,
    /// Whose they were.
    failed: BTreeSet<ObjectName>,
    /// They are more than one tenant's own doing could be.
    is_general: bool,
}

#[derive(Debug)]
struct Outage {
    /// Probes that failed.
    probes: u32,
    /// When the last one did, or when the outage began.
    failed_at: Moment,
    /// When each namespace, and each resource, last made a probe.
    by_namespace: BTreeMap<String, Moment>,
    by_resource: BTreeMap<ObjectName, Moment>,
}

impl Outage {
    fn begins(now: Moment) -> Self {
        Self { probes: 0, failed_at: now, by_namespace: BTreeMap::new(), by_resource: BTreeMap::new() }
    }
}

/// How the last call of a resource ended.
#[derive(Clone, Copy, Debug)]
struct LastCall {
    at: Moment,
    success: bool,
    /// This call or an earlier one brought a token.
    is_served: bool,
    /// The moment it bears witness of: when it succeeded, or when the first of a row of failures came. Later failures
    /// of the same resource say nothing new of the endpoint.
    witness: Moment,
}

impl Row {
    fn add(&mut self, member: &ObjectName) {
        self.count = self.count.saturating_add(1);
        self.failed.insert(member.clone());
    }

    fn remove(&mut self, member: &ObjectName) {
        if self.failed.remove(member) && self.failed.is_empty() {
            *self = Self::default();
        }
    }

    /// Judges the row among those `known` that it could be about. Failures in two namespaces are no accident; where one
    /// namespace is all there is, all of it has to fail.
    fn judge<'a>(&mut self, known: impl Iterator<Item = &'a ObjectName>) {
        let namespaces: BTreeSet<_> = self.failed.iter().map(|member| &member.namespace).collect();
        let (mut known_count, mut is_alone) = (0, true);
        for member in known {
            known_count += 1;
            is_alone &= namespaces.contains(&member.namespace);
        }
        self.is_general = namespaces.len() > 1 || is_alone && self.failed.len() == known_count;
    }

    fn concerns(&self, member: &ObjectName) -> bool {
        self.count >= DOWN_AFTER && (self.is_general || self.failed.contains(member))
    }
}

impl Health {
    /// True while the endpoint counts as down for `member`: what fails for one tenant alone may be its own doing, and what
    /// fails for those that were never served says nothing to those that were.
    pub(super) fn is_down_for(&self, member: &ObjectName) -> bool {
        let row = if self.has_served(member) { &self.of_served } else { &self.of_all };
        self.outage.is_some() && row.concerns(member)
    }

    fn has_served(&self, member: &ObjectName) -> bool {
        self.last_calls.get(member).is_some_and(|last| last.is_served)
    }

    /// True when `member` is at the end of a token that it was given here, and has not called since: then it may call once
    /// although the endpoint counts as down. No probe could tell more.
    pub(super) fn grants_turn(&self, member: &ObjectName, boundary: Option<Moment>) -> bool {
        let last = self.last_calls.get(member).filter(|last| last.is_served);
        last.zip(boundary).is_some_and(|(last, boundary)| last.at < boundary)
    }

    /// Notes how a call ended; true when that shows that the endpoint is up again.
    pub(super) fn called(&mut self, member: &ObjectName, outcome: Outcome, is_probe: bool, now: Moment) -> bool {
        self.remember(member, outcome == Outcome::Answered, now);
        if let Some(outage) = self.outage.as_mut().filter(|_| is_probe) {
            (outage.probes, outage.failed_at) = (outage.probes.saturating_add(1), now);
            outage.by_namespace.insert(member.namespace.clone(), now);
            outage.by_resource.insert(member.clone(), now);
        }
        match outcome {
            Outcome::Failed(FailureKind::Unavailable) => {
                self.failed(member, now);
                false
            }
            // Nothing was sent; or the request was wrong, and whoever stands before the issuer may have said so.
            Outcome::Failed(FailureKind::EndpointNotAllowed | FailureKind::Rejected) => false,
            Outcome::Answered
            | Outcome::Failed(FailureKind::Refused | FailureKind::Ended | FailureKind::LoginRefused) => {
                (self.of_served, self.of_all) = (Row::default(), Row::default());
                self.outage.take().is_some()
            }
        }
    }

    fn failed(&mut self, member: &ObjectName, now: Moment) {
        self.of_all.add(member);
        if self.has_served(member) {
            self.of_served.add(member);
        }
        self.judge();
        if self.of_all.count >= DOWN_AFTER {
            self.outage.get_or_insert_with(|| Outage::begins(now));
        }
    }

    fn judge(&mut self) {
        self.of_all.judge(self.last_calls.keys());
        let served = self.last_calls.iter().filter(|(_, last)| last.is_served);
        self.of_served.judge(served.map(|(member, _)| member));
    }

    /// Notes that `member` was given its token at `at`, as what is stored tells; what this process has seen itself is
    /// younger.
    pub(super) fn was_served(&mut self, member: &ObjectName, at: Moment) {
        let served = LastCall { at, success: true, is_served: true, witness: at };
        if self.last_calls.contains_key(member) {
            return;
        }
        self.last_calls.insert(member.clone(), served);
        if self.outage.is_some() {
            self.judge();
        }
    }

    fn remember(&mut self, member: &ObjectName, success: bool, now: Moment) {
        let before = self.last_calls.get(member);
        let witness = before.filter(|last| !last.success && !success).map_or(now, |last| last.witness);
        let is_served = success || before.is_some_and(|last| last.is_served);
        self.last_calls.insert(member.clone(), LastCall { at: now, success, is_served, witness });
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

    /// Orders those that could make the next probe: namespaces take turns, and in each of them the resources. None for those
    /// that had none in this outage.
    pub(super) fn probe_turn(&self, member: &ObjectName) -> (Option<Moment>, Option<Moment>) {
        let Some(outage) = &self.outage else { return (None, None) };
        (outage.by_namespace.get(&member.namespace).copied(), outage.by_resource.get(member).copied())
    }

    /// True when nobody has called.
    pub(super) fn is_unknown(&self) -> bool {
        self.last_calls.is_empty()
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&mut self, member: &ObjectName) {
        if self.last_calls.remove(member).is_none() {
            return;
        }
        self.of_served.remove(member);
        self.of_all.remove(member);
        if self.of_all.failed.is_empty() {
            self.outage = None;
        }
        if let Some(outage) = &mut self.outage {
            outage.by_resource.remove(member);
            self.judge();
        }
    }

    /// Whether others succeed, by the latest of what they bear witness of; none when that is too old to say something
    /// about `member`. Those that were never served say nothing to one that was.
    pub(super) fn others_succeed(&self, member: &ObjectName, now: Moment) -> Option<bool> {
        let own = self.last_calls.get(member).filter(|last| !last.success);
        let since = own.map_or(now, |last| last.witness) - NEIGHBOUR_MEMORY;
        let is_stranger = !self.has_served(member);
        let others = self
            .last_calls
            .iter()
            .filter(|(other, last)| *other != member && last.witness > since && (last.is_served || is_stranger));
        others.map(|(_, last)| (last.witness, last.success)).max().map(|(_, success)| success)
    }
}
