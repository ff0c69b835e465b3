//! A host and port: limits of all its endpoints together, so that many paths cannot circumvent a budget.

use super::lines::Shares;
use super::{Budget, ObjectName, Priority, QueuedRequest};
use crate::schedule::rate_limiter::RateLimiter;
use crate::time::Moment;
use std::collections::HashMap;
use url::Url;

/// Namespaces whose turns are remembered.
const REMEMBERED: usize = 1024;

/// A host and port.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) budget: Budget,
    pub(super) limiter: RateLimiter,
    /// How many of its endpoints are known.
    pub(super) endpoints: usize,
    /// Permits by namespace.
    pub(super) permits: HashMap<String, usize>,
    /// The turns that each namespace has had, and the last of them.
    turns: HashMap<String, u64>,
    turn: u64,
    shares: Shares,
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
        let limiter = RateLimiter::new(f64::from(budget.per_second), now);
        let budget = Budget { in_flight: budget.in_flight.saturating_mul(2), ..budget };
        let (permits, turns) = (HashMap::new(), HashMap::new());
        Self { budget, limiter, endpoints: 0, permits, turns, turn: 0, shares: Shares::default() }
    }

    /// When its rate allows another request.
    pub(super) fn ready_at(&self, now: Moment) -> Moment {
        self.limiter.ready_at(now, self.budget.refill())
    }

    /// True while a request of `namespace` may be sent: one namespace has at most half of the permits, so that an
    /// endpoint of its own that hangs leaves room for the others.
    pub(super) fn has_room(&self, namespace: &str) -> bool {
        let of_all: usize = self.permits.values().sum();
        let of_namespace = self.permits.get(namespace).copied().unwrap_or_default();
        of_all < self.budget.in_flight && of_namespace < self.budget.in_flight.div_ceil(2)
    }

    /// Sort key of the requests whose turn it is at their endpoints.
    pub(super) fn order(&self, resource: &ObjectName, request: &QueuedRequest) -> (u64, u32, Priority, Moment) {
        let turn = self.turns.get(resource.namespace()).copied().unwrap_or_default().max(self.turn);
        (turn, self.shares.had(request.priority), request.priority, request.expires)
    }

    /// Notes a permit, while requests of these priorities wait.
    pub(super) fn granted(&mut self, resource: &ObjectName, priority: Priority, waiting: [bool; 3], now: Moment) {
        self.limiter.take(now, self.budget.refill());
        self.takes_room(resource.namespace());
        let turn = self.turns.entry(resource.namespace().to_owned()).or_default();
        self.turn = self.turn.max(*turn);
        *turn = self.turn + 1;
        self.shares.take(priority, waiting);
        if self.turns.len() > REMEMBERED {
            let turn = self.turn;
            self.turns.retain(|_, had| *had > turn);
        }
    }

    /// A permit takes up no room any longer.
    pub(super) fn makes_room(&mut self, namespace: &str) {
        if let Some(permits) = self.permits.get_mut(namespace) {
            *permits = permits.saturating_sub(1);
        }
        self.permits.retain(|_, permits| *permits > 0);
    }

    /// A permit takes up room again.
    pub(super) fn takes_room(&mut self, namespace: &str) {
        *self.permits.entry(namespace.to_owned()).or_default() += 1;
    }

    /// A permit was not used.
    pub(super) fn give_back(&mut self) {
        self.limiter.give_back();
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
