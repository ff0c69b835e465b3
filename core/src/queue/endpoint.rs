//! An endpoint: its permits, its waiting requests, and their order.

use super::circuit_breaker::CircuitBreaker;
use super::host::authority;
use super::order::{LONGEST_WAIT, OVERDUE_AFTER, SMALLEST_ADVANCE, alternate};
use super::{Admission, Budget, EndpointResult, ObjectName, Queued, Wake};
use crate::issuer::FailureKind;
use crate::schedule::rate_limiter::RateLimiter;
use crate::time::Moment;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

mod probing;

/// A resource that waits for an endpoint that is down is woken when it is up or its turn to probe comes, and checks
/// again after one to two times this.
const LONGEST_OUTAGE_WAIT: Duration = Duration::from_secs(60);
/// Head start for a prober that must write its intent first.
const INTENT_WRITE_TIME: Duration = Duration::from_secs(1);

/// An endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The host and port that it is at.
    authority: String,
    budget: Budget,
    permits: RateLimiter,
    circuit_breaker: CircuitBreaker,
    /// Requests in flight, by key.
    in_flight: HashMap<String, InFlight>,
    /// Waiting requests.
    waiting: BTreeMap<ObjectName, Waiting>,
    /// Resources whose last request found the endpoint down: each waits for its own moment to retry.
    failed: BTreeMap<ObjectName, Waiting>,
    /// Those of them that need not wait any longer: the endpoint is up again.
    released_retries: HashSet<ObjectName>,
    /// The last request was no retry: the next may be.
    is_retry_next: bool,
    /// The resource chosen for the next probe, and when it was woken.
    prober: Option<(ObjectName, Moment)>,
}

#[derive(Debug)]
struct InFlight {
    entry: Waiting,
    is_probe: bool,
}

/// A waiting request.
#[derive(Clone, Debug)]
struct Waiting {
    request_key: String,
    expires: Moment,
    expired_at: Option<Moment>,
    is_retry: bool,
    /// The resource could send its request, and is writing the intent.
    is_writing_intent: bool,
    /// When it was woken for.
    wake_at: Moment,
}

impl Endpoint {
    /// An endpoint without any request yet.
    pub(super) fn new(endpoint: &str, budget: Budget, now: Moment) -> Self {
        Self {
            authority: authority(endpoint),
            budget,
            permits: RateLimiter::new(f64::from(budget.per_second), now),
            circuit_breaker: CircuitBreaker::default(),
            in_flight: HashMap::new(),
            waiting: BTreeMap::new(),
            failed: BTreeMap::new(),
            released_retries: HashSet::new(),
            is_retry_next: false,
            prober: None,
        }
    }

    /// The host and port that it is at.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// True while a request with this key is in flight.
    pub(super) fn is_in_flight(&self, request_key: &str) -> bool {
        self.in_flight.contains_key(request_key)
    }

    /// Its circuit breaker.
    pub(super) fn circuit_breaker(&self) -> &CircuitBreaker {
        &self.circuit_breaker
    }

    /// Notes that it gave `resource` its token at `at`, according to the stored state.
    pub(super) fn was_served(&mut self, resource: &ObjectName, at: Moment) {
        self.circuit_breaker.was_served(resource, at);
    }

    /// True when nothing worth keeping is known of it.
    pub(super) fn is_forgotten(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty() && self.circuit_breaker.is_unknown()
    }

    /// Queues a request whose intent is to be written if it could be admitted. The resource keeps its place while it
    /// writes, but no longer than others wait for a late resource; where a probe is due, another resource is woken soon
    /// in case it does not come.
    pub(super) fn reserve(&mut self, queued: &Queued<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let at = self.enqueue(queued, now);
        if at > now {
            return (Admission::Wait(at), Vec::new());
        }
        if let Some(waiting) = self.waiting.get_mut(queued.resource) {
            waiting.is_writing_intent = true;
        }
        self.prober.take_if(|(prober, _)| prober == queued.resource);
        (Admission::Admitted, self.choose_prober(now + INTENT_WRITE_TIME).into_iter().collect())
    }

    /// Puts `queued` into the queue, and returns when its turn comes.
    pub(super) fn enqueue(&mut self, queued: &Queued<'_>, now: Moment) -> Moment {
        self.drop_overdue(now);
        self.waiting.insert(queued.resource.clone(), Waiting::of(queued, now));
        let must_probe = self.must_probe(queued.resource, queued.expired_at);
        let at = if must_probe { self.probe_at(queued, now) } else { self.permit_at(queued.resource, now) };
        self.set_wake(queued.resource, at.max(now));
        at
    }

    /// Ends a request. Returns the resources that should come, and when.
    pub(super) fn request_ended(
        &mut self,
        request_key: &str,
        resource: &ObjectName,
        result: Option<EndpointResult>,
        now: Moment,
    ) -> Vec<Wake> {
        let Some(InFlight { entry: waiting, is_probe }) = self.in_flight.remove(request_key) else { return Vec::new() };
        self.waiting.remove(resource);
        let Some(result) = result else {
            self.permits.give_back();
            return self.wake_next(now);
        };
        if result == EndpointResult::Failed(FailureKind::Unavailable) {
            self.failed.insert(resource.clone(), Waiting { is_retry: true, is_writing_intent: false, ..waiting });
        } else {
            self.failed.remove(resource);
        }
        if self.circuit_breaker.request_ended(resource, result, is_probe, now) {
            self.release_all(now)
        } else {
            self.wake_next(now)
        }
    }

    /// Withdraws the request of `resource`. Returns the resources that should come, and when.
    pub(super) fn withdraw(&mut self, resource: &ObjectName, now: Moment) -> Vec<Wake> {
        let was_expected =
            self.waiting.remove(resource).is_some() | self.prober.take_if(|(told, _)| told == resource).is_some();
        let nobody_comes = self.prober.is_none() && self.in_flight.is_empty();
        if was_expected || nobody_comes { self.wake_next(now) } else { Vec::new() }
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&mut self, resource: &ObjectName) {
        self.waiting.remove(resource);
        self.failed.remove(resource);
        self.released_retries.remove(resource);
        self.prober.take_if(|(prober, _)| prober == resource);
        self.circuit_breaker.forget(resource);
    }

    /// True once after the endpoint came up again, for a resource whose last request had found it down.
    pub(super) fn take_retry_release(&mut self, resource: &ObjectName) -> bool {
        self.released_retries.remove(resource)
    }

    fn drop_overdue(&mut self, now: Moment) {
        self.waiting.retain(|_, waiting| now <= waiting.wake_at + OVERDUE_AFTER);
        self.prober.take_if(|(_, wake_at)| *wake_at + OVERDUE_AFTER < now);
    }

    /// Starts the request of a resource whose turn it is.
    pub(super) fn request_started(&mut self, resource: &ObjectName, now: Moment) {
        let Some(waiting) = self.waiting.remove(resource) else { return };
        let is_probe = self.circuit_breaker.is_down_for(resource);
        self.permits.take(now, self.budget.refill());
        self.is_retry_next = !waiting.is_retry;
        self.prober = None;
        self.in_flight.insert(waiting.request_key.clone(), InFlight { entry: waiting, is_probe });
    }

    fn set_wake(&mut self, resource: &ObjectName, at: Moment) {
        if let Some(waiting) = self.waiting.get_mut(resource) {
            waiting.wake_at = at;
        }
    }

    /// Notes that `resource`, which could be admitted here, has to wait for its host until `at`.
    pub(super) fn wait_for_host(&mut self, resource: &ObjectName, at: Moment) {
        if let Some(waiting) = self.waiting.get_mut(resource) {
            (waiting.wake_at, waiting.is_writing_intent) = (at, false);
        }
    }

    /// When `resource` may send its request to an endpoint that is up.
    fn permit_at(&self, resource: &ObjectName, now: Moment) -> Moment {
        let Some(rank) = self.in_order().iter().position(|next| *next == resource) else { return now + LONGEST_WAIT };
        let permitted = self.permits.ready_for(rank, now, self.budget.refill());
        match self.free_slots() {
            free if rank < free => permitted,
            0 => permitted.max(now + LONGEST_WAIT),
            // The resources before it were already woken: if they do not come, no request ends that could wake it.
            _ => permitted.max(now + OVERDUE_AFTER),
        }
    }

    /// Returns the resources that can come earlier than planned, and when.
    fn wake_next(&mut self, now: Moment) -> Vec<Wake> {
        self.drop_overdue(now);
        let prober = self.choose_prober(now);
        let next: Vec<_> = self.in_order().into_iter().take(self.free_slots()).cloned().collect();
        prober.into_iter().chain(self.wake_in_order(next, now)).collect()
    }

    /// The endpoint is up again: all waiting resources may come, at the budgeted rate.
    fn release_all(&mut self, now: Moment) -> Vec<Wake> {
        self.drop_overdue(now);
        self.permits.empty(now);
        self.prober = None;
        for (resource, waiting) in std::mem::take(&mut self.failed) {
            self.released_retries.insert(resource.clone());
            self.waiting.entry(resource).or_insert(waiting);
        }
        self.waiting.values_mut().for_each(|waiting| waiting.wake_at = now + 2 * LONGEST_OUTAGE_WAIT);
        let all = self.in_order().into_iter().cloned().collect();
        self.wake_in_order(all, now)
    }

    fn wake_in_order(&mut self, next: Vec<ObjectName>, now: Moment) -> Vec<Wake> {
        let mut wakes = Vec::new();
        for (rank, resource) in next.into_iter().enumerate() {
            let at = self.permits.ready_for(rank, now, self.budget.refill());
            if self.waiting.get(&resource).is_some_and(|waiting| at + SMALLEST_ADVANCE < waiting.wake_at) {
                self.set_wake(&resource, at);
                wakes.push((resource, at));
            }
        }
        wakes
    }

    /// Requests that could be sent if there were room, in order: of each key the first; those whose last request did
    /// not fail, by expiry, and retries, by expiry. While both wait they alternate, and retries beyond half of the
    /// permits in flight are left out.
    fn in_order(&self) -> Vec<&ObjectName> {
        // Requests that wait for an endpoint to come up again are in no order.
        let is_in_line = |(resource, entry): &(&ObjectName, &Waiting)| !self.must_probe(resource, entry.expired_at);
        let mut waiting: Vec<_> = self.waiting.iter().filter(is_in_line).collect();
        waiting.sort_by_key(|(_, entry)| (entry.is_retry, entry.expires));
        let mut keys = HashSet::new();
        waiting
            .retain(|(_, entry)| !self.in_flight.contains_key(&entry.request_key) && keys.insert(&entry.request_key));
        let (mut retries, fresh): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, entry)| entry.is_retry);
        if !fresh.is_empty() {
            retries.truncate(self.room_for_retries());
        }
        let line = if self.is_retry_next { alternate(retries, fresh) } else { alternate(fresh, retries) };
        line.into_iter().map(|(resource, _)| resource).collect()
    }

    fn room_for_retries(&self) -> usize {
        let retrying = self.in_flight.values().filter(|in_flight| in_flight.entry.is_retry).count();
        self.budget.in_flight.div_ceil(2).saturating_sub(retrying)
    }

    fn free_slots(&self) -> usize {
        self.budget.in_flight.saturating_sub(self.in_flight.len())
    }
}

impl Waiting {
    fn of(queued: &Queued<'_>, now: Moment) -> Self {
        Self {
            request_key: queued.request_key.to_owned(),
            expires: queued.expires,
            expired_at: queued.expired_at,
            is_retry: queued.is_retry,
            is_writing_intent: false,
            wake_at: now,
        }
    }
}
