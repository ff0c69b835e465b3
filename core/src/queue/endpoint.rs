//! An endpoint: its permits, and the requests that wait for them.

use super::circuit_breaker::CircuitBreaker;
use super::host::authority;
use super::lines::Lines;
use super::load::Load;
use super::{Budget, EndpointResult, Next, ObjectName, Priority, QueuedRequest};
use crate::issuer::FailureKind;
use crate::schedule::rate_limiter::RateLimiter;
use crate::time::Moment;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use permit::Permit;

mod permit;
mod probing;

/// An endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The host and port that it is at.
    authority: String,
    pub(super) budget: Budget,
    pub(super) limiter: RateLimiter,
    circuit_breaker: CircuitBreaker,
    /// Its tokens and round trips.
    pub(super) load: Load,
    permits: HashMap<ObjectName, Permit>,
    waiting: BTreeMap<ObjectName, QueuedRequest>,
    /// The waiting requests by their key: only the first of each key has a place.
    by_key: HashMap<String, SameKey>,
    /// The places of requests that may be sent while the endpoint is up.
    pub(super) lines: Lines,
    /// The places of requests that may be sent only as probes, by expiry.
    probers: BTreeSet<(Moment, ObjectName)>,
    /// Resources whose last request found the endpoint down: each waits for its own moment to retry.
    failed: BTreeMap<ObjectName, QueuedRequest>,
    /// Those of them that need not wait any longer: the endpoint is up again.
    released_retries: HashSet<ObjectName>,
}

/// Waiting requests with the same key, the first first.
#[derive(Debug, Default)]
struct SameKey {
    members: BTreeSet<(Priority, Moment, ObjectName)>,
    placed: Option<ObjectName>,
}

impl Endpoint {
    /// An endpoint without any request yet.
    pub(super) fn new(endpoint: &str, budget: Budget, now: Moment) -> Self {
        Self {
            authority: authority(endpoint),
            budget,
            limiter: RateLimiter::new(f64::from(budget.per_second), now),
            circuit_breaker: CircuitBreaker::default(),
            load: Load::new(budget),
            permits: HashMap::new(),
            waiting: BTreeMap::new(),
            by_key: HashMap::new(),
            lines: Lines::default(),
            probers: BTreeSet::new(),
            failed: BTreeMap::new(),
            released_retries: HashSet::new(),
        }
    }

    /// The host and port that it is at.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Its circuit breaker.
    pub(super) fn circuit_breaker(&self) -> &CircuitBreaker {
        &self.circuit_breaker
    }

    /// The waiting request of `resource`.
    pub(super) fn waiting(&self, resource: &ObjectName) -> Option<&QueuedRequest> {
        self.waiting.get(resource)
    }

    /// True while requests wait.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Which priorities wait.
    pub(super) fn priorities_waiting(&self) -> [bool; 3] {
        self.lines.waiting()
    }

    /// Notes that `namespace` had its turn at another endpoint of the same host.
    pub(super) fn turn_taken(&mut self, namespace: &str) {
        self.lines.turn_taken(namespace);
    }

    /// True when nothing worth keeping is known of it.
    pub(super) fn is_forgotten(&self) -> bool {
        let is_idle = self.permits.is_empty() && self.waiting.is_empty();
        is_idle && self.circuit_breaker.is_unknown() && self.load.is_empty()
    }

    /// Puts a request in line, in place of what `resource` had there.
    pub(super) fn enqueue(&mut self, resource: &ObjectName, request: QueuedRequest) {
        self.leave_line(resource);
        let key = request.request_key.clone();
        let same = self.by_key.entry(key.clone()).or_default();
        same.members.insert((request.priority, request.expires, resource.clone()));
        self.waiting.insert(resource.clone(), request);
        self.settle(&key);
    }

    /// The request whose turn it is, of namespaces that `may_come`.
    pub(super) fn next(&self, now: Moment, may_come: impl Fn(&str) -> bool) -> Next {
        let refilled = self.limiter.ready_at(now, self.budget.refill());
        let in_line = self
            .has_slot()
            .then(|| self.lines.first(|priority, namespace| may_come(namespace) && self.has_room(priority, namespace)));
        match in_line.flatten() {
            Some(next) if refilled <= now => Next::Turn(next.clone()),
            Some(_) => Next::At(refilled),
            None => self.next_prober(now, may_come),
        }
    }

    /// Gives the permit to `resource`, whose turn it is.
    pub(super) fn grant(&mut self, resource: &ObjectName, now: Moment) {
        let Some(request) = self.waiting.get(resource).cloned() else { return };
        let is_probe = self.must_probe(resource, request.expired_at);
        if !is_probe {
            self.lines.take(request.priority, request.expires, resource);
        }
        self.leave_line(resource);
        self.limiter.take(now, self.budget.refill());
        let key = request.request_key.clone();
        self.permits.insert(resource.clone(), Permit { request, is_probe, is_sent: false, is_lapsed: false });
        self.settle(&key);
    }

    /// Ends a permit; `result` is none when nothing was sent. Gives whether it took up room; none when there was no
    /// permit.
    pub(super) fn permit_ended(
        &mut self,
        resource: &ObjectName,
        result: Option<EndpointResult>,
        now: Moment,
    ) -> Option<bool> {
        let Permit { request, is_probe, is_lapsed, .. } = self.permits.remove(resource)?;
        self.settle(&request.request_key.clone());
        let Some(result) = result else {
            self.limiter.give_back();
            return Some(!is_lapsed);
        };
        self.leave_line(resource);
        if result == EndpointResult::Failed(FailureKind::Unavailable) {
            self.failed.insert(resource.clone(), QueuedRequest { priority: Priority::Retry, ..request });
        } else {
            self.failed.remove(resource);
        }
        let before = self.circuit_breaker.verdict();
        if self.circuit_breaker.request_ended(resource, result, is_probe, now) {
            self.release_all(now);
        } else if self.circuit_breaker.verdict() != before {
            self.settle_all();
        }
        Some(!is_lapsed)
    }

    /// Withdraws the request of `resource`, and ends a permit that was not used, as [`Endpoint::permit_ended`].
    pub(super) fn withdraw(&mut self, resource: &ObjectName, now: Moment) -> Option<bool> {
        self.leave_line(resource);
        self.permits.get(resource).filter(|permit| !permit.is_sent)?;
        self.permit_ended(resource, None, now)
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&mut self, resource: &ObjectName) {
        self.leave_line(resource);
        self.failed.remove(resource);
        self.released_retries.remove(resource);
        self.load.forget(resource);
        let before = self.circuit_breaker.verdict();
        self.circuit_breaker.forget(resource);
        if self.circuit_breaker.verdict() != before {
            self.settle_all();
        }
    }

    /// Notes that it gave `resource` its token at `at`, according to the stored state.
    pub(super) fn was_served(&mut self, resource: &ObjectName, at: Moment) {
        let before = self.circuit_breaker.verdict();
        self.circuit_breaker.was_served(resource, at);
        if self.circuit_breaker.verdict() != before {
            self.settle_all();
        } else if let Some(key) = self.waiting.get(resource).map(|request| request.request_key.clone()) {
            self.settle(&key);
        }
    }

    /// True once after the endpoint came up again, for a resource whose last request had found it down.
    pub(super) fn take_retry_release(&mut self, resource: &ObjectName) -> bool {
        self.released_retries.remove(resource)
    }

    /// The endpoint is up again: all that failed may come, at the budgeted rate.
    fn release_all(&mut self, now: Moment) {
        self.limiter.empty(now);
        for (resource, request) in std::mem::take(&mut self.failed) {
            self.released_retries.insert(resource.clone());
            if !self.waiting.contains_key(&resource) {
                self.enqueue(&resource, request);
            }
        }
        self.settle_all();
    }

    fn leave_line(&mut self, resource: &ObjectName) {
        let Some(request) = self.waiting.remove(resource) else { return };
        if let Some(same) = self.by_key.get_mut(&request.request_key) {
            same.members.remove(&(request.priority, request.expires, resource.clone()));
            same.placed.take_if(|placed| placed == resource);
        }
        self.leave_place(resource, &request);
        self.settle(&request.request_key);
    }

    fn leave_place(&mut self, resource: &ObjectName, request: &QueuedRequest) {
        self.lines.remove(request.priority, request.expires, resource);
        self.probers.remove(&(request.expires, resource.clone()));
    }

    fn settle_all(&mut self) {
        let keys: Vec<_> = self.by_key.keys().cloned().collect();
        keys.iter().for_each(|key| self.settle(key));
    }

    /// Gives the first request with this key its place, unless another one is in flight.
    fn settle(&mut self, key: &str) {
        let is_used = self.permits.values().any(|permit| permit.request.request_key == key);
        let Some(same) = self.by_key.get_mut(key) else { return };
        let first = same.members.first().filter(|_| !is_used).map(|(_, _, resource)| resource.clone());
        let before = std::mem::replace(&mut same.placed, first.clone());
        if same.members.is_empty() {
            self.by_key.remove(key);
        }
        if let Some((before, request)) = before.and_then(|before| self.waiting.get_key_value(&before)) {
            let (before, request) = (before.clone(), request.clone());
            self.leave_place(&before, &request);
        }
        if let Some((first, request)) = first.and_then(|first| self.waiting.get_key_value(&first)) {
            let (first, request) = (first.clone(), request.clone());
            if self.must_probe(&first, request.expired_at) {
                self.probers.insert((request.expires, first));
            } else {
                self.lines.insert(request.priority, request.expires, &first);
            }
        }
    }
}
