//! A host and port: limits of all its endpoints together, so that many paths cannot circumvent a budget.

use super::order::{LONGEST_WAIT, OVERDUE_AFTER, SMALLEST_ADVANCE, alternate};
use super::{Budget, ObjectName, Queued, Wake};
use crate::schedule::rate_limiter::RateLimiter;
use crate::time::Moment;
use std::collections::BTreeMap;
use url::Url;

/// A host and port.
#[derive(Debug)]
pub(super) struct Host {
    budget: Budget,
    permits: RateLimiter,
    in_flight: usize,
    /// Requests that their endpoint would admit.
    waiting: BTreeMap<ObjectName, Waiting>,
    /// The last request was no retry: the next may be.
    is_retry_next: bool,
}

#[derive(Debug)]
struct Waiting {
    expires: Moment,
    is_retry: bool,
    /// When it was woken for.
    wake_at: Moment,
}

/// The host and port that a call to `endpoint` connects to; the text itself where it is no URL with a host.
pub(super) fn authority(endpoint: &str) -> String {
    let url = Url::parse(endpoint).ok();
    let connected = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    let text = connected.map(|(host, port)| format!("{}:{port}", host.strip_suffix('.').unwrap_or(host)));
    text.unwrap_or_else(|| endpoint.to_owned())
}

impl Host {
    /// A host without any request yet. Each of its endpoints may be sent `budget`.
    pub(super) fn new(budget: Budget, now: Moment) -> Self {
        let permits = RateLimiter::new(f64::from(budget.per_second), now);
        let budget = Budget { in_flight: budget.in_flight.saturating_mul(2), ..budget };
        Self { budget, permits, in_flight: 0, waiting: BTreeMap::new(), is_retry_next: false }
    }

    /// Queues `queued`, which its endpoint would admit, and returns when it may be sent.
    pub(super) fn enqueue(&mut self, queued: &Queued<'_>, now: Moment) -> Moment {
        self.drop_overdue(now);
        let waiting = Waiting { expires: queued.expires, is_retry: queued.is_retry, wake_at: now };
        self.waiting.insert(queued.resource.clone(), waiting);
        let rank = self.in_order().iter().take_while(|next| *next != queued.resource).count();
        let permitted = self.permits.ready_for(rank, now, self.budget.refill());
        let at = if rank < self.free_slots() { permitted } else { permitted.max(now + LONGEST_WAIT) };
        self.set_wake(queued.resource, at);
        at
    }

    /// Starts an admitted request.
    pub(super) fn request_started(&mut self, resource: &ObjectName, now: Moment) {
        self.is_retry_next = self.waiting.remove(resource).is_some_and(|waiting| !waiting.is_retry);
        self.permits.take(now, self.budget.refill());
        self.in_flight += 1;
    }

    /// Ends a request, sent or not. Returns the resources that may come earlier, and when.
    pub(super) fn request_ended(&mut self, was_made: bool, now: Moment) -> Vec<Wake> {
        self.in_flight = self.in_flight.saturating_sub(1);
        if !was_made {
            self.permits.give_back();
        }
        self.wake_next(now)
    }

    /// Withdraws the request of `resource`. Returns the resources that may come earlier, and when.
    pub(super) fn withdraw(&mut self, resource: &ObjectName, now: Moment) -> Vec<Wake> {
        if self.waiting.remove(resource).is_some() { self.wake_next(now) } else { Vec::new() }
    }

    /// True when nothing worth keeping is known of it.
    pub(super) fn is_forgotten(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }

    fn drop_overdue(&mut self, now: Moment) {
        self.waiting.retain(|_, waiting| now <= waiting.wake_at + OVERDUE_AFTER);
    }

    fn wake_next(&mut self, now: Moment) -> Vec<Wake> {
        self.drop_overdue(now);
        let mut woken = Vec::new();
        for (rank, resource) in self.in_order().into_iter().take(self.free_slots()).enumerate() {
            let at = self.permits.ready_for(rank, now, self.budget.refill());
            if self.waiting.get(&resource).is_some_and(|waiting| at + SMALLEST_ADVANCE < waiting.wake_at) {
                self.set_wake(&resource, at);
                woken.push((resource, at));
            }
        }
        woken
    }

    /// Waiting requests in order: retries and others alternate, each by expiry.
    fn in_order(&self) -> Vec<ObjectName> {
        let mut line: Vec<_> = self.waiting.iter().collect();
        line.sort_by_key(|(_, waiting)| waiting.expires);
        let (retries, fresh): (Vec<_>, Vec<_>) = line.into_iter().partition(|(_, waiting)| waiting.is_retry);
        let line = if self.is_retry_next { alternate(retries, fresh) } else { alternate(fresh, retries) };
        line.into_iter().map(|(resource, _)| resource.clone()).collect()
    }

    fn set_wake(&mut self, resource: &ObjectName, at: Moment) {
        if let Some(waiting) = self.waiting.get_mut(resource) {
            waiting.wake_at = at;
        }
    }

    fn free_slots(&self) -> usize {
        self.budget.in_flight.saturating_sub(self.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_and_port_is_the_same_one() {
        for endpoint in [
            "https://api.syniverse.com/a",
            "https://API.Syniverse.COM:443/b",
            "https://api.syniverse.com./c?d",
            "HTTPS://api.syniverse.com:0443",
        ] {
            assert_eq!(authority(endpoint), "api.syniverse.com:443", "{endpoint}");
        }
        assert_eq!(authority("https://[0::0001]:8443/a"), "[::1]:8443");
        assert_eq!(authority("https://127.1/a"), "127.0.0.1:443");
        assert_eq!(authority("nowhere"), "nowhere");
    }
}
