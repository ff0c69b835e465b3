//! Circuit breaker of an endpoint: whether it is down, when it is probed, and how the requests of each resource ended.

use super::census::{Census, Witnesses};
use super::{EndpointResult, ObjectName};
use crate::issuer::FailureKind;
use crate::time::Moment;
use std::collections::BTreeMap;
use std::time::Duration;

/// An endpoint is down after this many consecutive failures of its own.
const DOWN_AFTER: u32 = 3;
/// Between two probes: this, doubling ...
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// ... up to this while a token is dead or urgent ...
const URGENT_PROBE: Duration = Duration::from_secs(4);
/// ... and up to this else.
const LONGEST_PROBE: Duration = Duration::from_secs(60);
/// A token that expires within this time is urgent.
const URGENT: Duration = Duration::from_secs(60);
/// How old results of other resources may be, relative to the first failure of a resource, to say something about it:
/// tokens with an hour's validity or less are requested within it, so an issuer that began to fail since has failed
/// another resource, too.
const PEER_MEMORY: Duration = Duration::from_secs(3600);

/// Circuit breaker of an endpoint.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    /// Failures of resources that it has served: the only failures that count for those.
    served_failures: FailureCount,
    /// Failures of all resources: count for those that it never served.
    all_failures: FailureCount,
    outage: Option<Outage>,
    last_calls: BTreeMap<ObjectName, LastCall>,
    /// The resources that it has served, and all.
    served: Known,
    all: Known,
}

/// Consecutive failures that are the endpoint's own.
#[derive(Debug, Default)]
struct FailureCount {
    count: u32,
    /// The resources that failed.
    failed: Census,
    /// The failures cannot be caused by a single tenant.
    is_general: bool,
}

/// What is known of the resources of a kind.
#[derive(Debug, Default)]
struct Known {
    census: Census,
    witnesses: Witnesses,
}

/// For which resources an endpoint counts as down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    is_out: bool,
    /// For those that failed, and for all, of those that were served and of the others.
    reach: [(bool, bool); 2],
}

#[derive(Debug)]
struct Outage {
    /// Probes that failed.
    probes: u32,
    /// When the last probe failed, or when the outage began.
    failed_at: Moment,
    /// When each namespace, and each resource, last sent a probe.
    by_namespace: BTreeMap<String, Moment>,
    by_resource: BTreeMap<ObjectName, Moment>,
}

impl Outage {
    fn new(now: Moment) -> Self {
        Self { probes: 0, failed_at: now, by_namespace: BTreeMap::new(), by_resource: BTreeMap::new() }
    }
}

/// How the last request of a resource ended.
#[derive(Clone, Copy, Debug)]
struct LastCall {
    at: Moment,
    is_success: bool,
    /// This request or an earlier request returned a token.
    is_served: bool,
    /// The moment of its evidence: when it succeeded, or when the first of consecutive failures came. Later failures of
    /// the same resource say nothing new about the endpoint.
    evidence_at: Moment,
}

impl FailureCount {
    fn add(&mut self, resource: &ObjectName) {
        self.count = self.count.saturating_add(1);
        self.failed.insert(resource);
    }

    fn remove(&mut self, resource: &ObjectName) {
        if self.failed.remove(resource) && self.failed.is_empty() {
            *self = Self::default();
        }
    }

    /// Judges consecutive failures among the `known` resources concerned. Failures in two namespaces are no accident;
    /// with a single namespace, all of it has to fail.
    fn judge(&mut self, known: &Census) {
        let is_alone = known.namespaces() == self.failed.namespaces();
        self.is_general = self.failed.namespaces() > 1 || is_alone && self.failed.len() == known.len();
    }

    fn reach(&self) -> (bool, bool) {
        (self.count >= DOWN_AFTER, self.count >= DOWN_AFTER && self.is_general)
    }

    fn applies_to(&self, resource: &ObjectName) -> bool {
        self.count >= DOWN_AFTER && (self.is_general || self.failed.contains(resource))
    }
}

impl CircuitBreaker {
    /// True while the endpoint counts as down for `resource`: failures of a single tenant may be its own fault, and
    /// failures of resources that were never served say nothing to those that were.
    pub(super) fn is_down_for(&self, resource: &ObjectName) -> bool {
        let failures = if self.has_served(resource) { &self.served_failures } else { &self.all_failures };
        self.outage.is_some() && failures.applies_to(resource)
    }

    /// For which resources the endpoint counts as down.
    pub(super) fn verdict(&self) -> Verdict {
        Verdict { is_out: self.outage.is_some(), reach: [self.served_failures.reach(), self.all_failures.reach()] }
    }

    /// True when resources of other namespaces have sent requests.
    pub(super) fn has_other_namespaces(&self, namespace: &str) -> bool {
        self.all.census.has_others_than(namespace)
    }

    fn has_served(&self, resource: &ObjectName) -> bool {
        self.last_calls.get(resource).is_some_and(|last| last.is_served)
    }

    /// True when a token of `resource` from here has expired, and no request was sent since: a single request is
    /// allowed although the endpoint counts as down. No probe could tell more.
    pub(super) fn allows_one_request(&self, resource: &ObjectName, boundary: Option<Moment>) -> bool {
        let last = self.last_calls.get(resource).filter(|last| last.is_served);
        last.zip(boundary).is_some_and(|(last, boundary)| last.at < boundary)
    }

    /// Notes how a request ended; true when that shows that the endpoint is up again.
    pub(super) fn request_ended(
        &mut self,
        resource: &ObjectName,
        result: EndpointResult,
        is_probe: bool,
        now: Moment,
    ) -> bool {
        self.record_result(resource, result == EndpointResult::Responded, now);
        if let Some(outage) = self.outage.as_mut().filter(|_| is_probe) {
            (outage.probes, outage.failed_at) = (outage.probes.saturating_add(1), now);
            outage.by_namespace.insert(resource.namespace().to_owned(), now);
            outage.by_resource.insert(resource.clone(), now);
        }
        match result {
            EndpointResult::Failed(FailureKind::Unavailable) => {
                self.add_failure(resource, now);
                false
            }
            // Nothing was sent; or the request was rejected, perhaps by a gateway in front of the issuer.
            EndpointResult::Failed(FailureKind::EndpointNotAllowed | FailureKind::Rejected) => false,
            EndpointResult::Responded
            | EndpointResult::Failed(FailureKind::Refused | FailureKind::Ended | FailureKind::LoginRefused) => {
                (self.served_failures, self.all_failures) = (FailureCount::default(), FailureCount::default());
                self.outage.take().is_some()
            }
        }
    }

    fn add_failure(&mut self, resource: &ObjectName, now: Moment) {
        self.all_failures.add(resource);
        if self.has_served(resource) {
            self.served_failures.add(resource);
        }
        self.judge_failures();
        if self.all_failures.count >= DOWN_AFTER {
            self.outage.get_or_insert_with(|| Outage::new(now));
        }
    }

    fn judge_failures(&mut self) {
        self.all_failures.judge(&self.all.census);
        self.served_failures.judge(&self.served.census);
    }

    /// Notes that `resource` received its token at `at`, according to the stored state; this process' own results are
    /// newer.
    pub(super) fn was_served(&mut self, resource: &ObjectName, at: Moment) {
        let served = LastCall { at, is_success: true, is_served: true, evidence_at: at };
        if self.last_calls.contains_key(resource) {
            return;
        }
        self.note(resource, served);
        if self.outage.is_some() {
            self.judge_failures();
        }
    }

    fn record_result(&mut self, resource: &ObjectName, is_success: bool, now: Moment) {
        let before = self.last_calls.get(resource);
        let evidence_at = before.filter(|last| !last.is_success && !is_success).map_or(now, |last| last.evidence_at);
        let is_served = is_success || before.is_some_and(|last| last.is_served);
        self.note(resource, LastCall { at: now, is_success, is_served, evidence_at });
    }

    fn note(&mut self, resource: &ObjectName, last: LastCall) {
        self.last_calls.insert(resource.clone(), last);
        let known = [Some(&mut self.all), last.is_served.then_some(&mut self.served)];
        for known in known.into_iter().flatten() {
            known.census.insert(resource);
            known.witnesses.hear(resource, (last.evidence_at, last.is_success));
        }
    }

    /// When the next probe is due, if the endpoint is down and `expires` is the earliest expiry of a token that waits:
    /// more often from the moment at which that is urgent.
    pub(super) fn next_probe(&self, expires: Option<Moment>) -> Option<Moment> {
        let outage = self.outage.as_ref()?;
        let growing = FIRST_PROBE.saturating_mul(1 << outage.probes.min(16));
        let relaxed = outage.failed_at + growing.min(LONGEST_PROBE);
        let urgent = outage.failed_at + growing.min(URGENT_PROBE);
        Some(expires.map_or(urgent, |expires| relaxed.min(urgent.max(expires - URGENT))))
    }

    /// Sort key of candidates for the next probe: namespaces take turns, and in each of them the resources. None
    /// without a probe in this outage.
    pub(super) fn probe_order(&self, resource: &ObjectName) -> (Option<Moment>, Option<Moment>) {
        let Some(outage) = &self.outage else { return (None, None) };
        (outage.by_namespace.get(resource.namespace()).copied(), outage.by_resource.get(resource).copied())
    }

    /// True without any request.
    pub(super) fn is_unknown(&self) -> bool {
        self.last_calls.is_empty()
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&mut self, resource: &ObjectName) {
        if self.last_calls.remove(resource).is_none() {
            return;
        }
        self.served_failures.remove(resource);
        self.all_failures.remove(resource);
        for known in [&mut self.served, &mut self.all] {
            known.census.remove(resource);
        }
        self.hear_others(resource);
        if self.all_failures.failed.is_empty() {
            self.outage = None;
        }
        if let Some(outage) = &mut self.outage {
            outage.by_resource.remove(resource);
            self.judge_failures();
        }
    }

    /// Of a witness that is gone, those that are left take the place.
    fn hear_others(&mut self, gone: &ObjectName) {
        if self.all.witnesses.forget(gone) | self.served.witnesses.forget(gone) {
            for (resource, last) in &self.last_calls {
                let said = (last.evidence_at, last.is_success);
                self.all.witnesses.hear(resource, said);
                last.is_served.then(|| self.served.witnesses.hear(resource, said));
            }
        }
    }

    /// Whether others succeed, by the latest evidence; none when that is too old to say something about `resource`.
    /// Resources that were never served say nothing to a resource that was.
    pub(super) fn others_succeed(&self, resource: &ObjectName, now: Moment) -> Option<bool> {
        let own = self.last_calls.get(resource).filter(|last| !last.is_success);
        let since = own.map_or(now, |last| last.evidence_at) - PEER_MEMORY;
        let peers = if self.has_served(resource) { &self.served } else { &self.all };
        let (at, is_success) = peers.witnesses.other_than(resource)?;
        (at > since).then_some(is_success)
    }
}
