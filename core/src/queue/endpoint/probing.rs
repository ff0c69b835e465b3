//! Probes of an endpoint that is down: which resource, and when.

use super::Endpoint;
use crate::queue::{Next, ObjectName};
use crate::time::Moment;

impl Endpoint {
    /// True while `resource` may send requests only as a probe of the endpoint.
    pub(super) fn must_probe(&self, resource: &ObjectName, expired_at: Option<Moment>) -> bool {
        self.circuit_breaker.is_down_for(resource) && !self.circuit_breaker.allows_one_request(resource, expired_at)
    }

    /// The resource for the next probe: alone, when the probe is due, and of those that `may_come` the one whose
    /// namespace, and then whose own last request, is the longest ago.
    pub(super) fn next_prober(&self, now: Moment, may_come: impl Fn(&str) -> bool) -> Next {
        if self.probers.is_empty() || self.in_use().next().is_some() {
            return Next::Later;
        }
        let at = self.next_probe(now);
        if at > now {
            return Next::At(at);
        }
        let may_come = self.probers.iter().filter(|(_, resource)| may_come(resource.namespace()));
        let next = may_come.min_by_key(|(expires, resource)| (self.circuit_breaker.probe_order(resource), *expires));
        next.map_or(Next::Later, |(_, resource)| Next::Turn(resource.clone()))
    }

    fn next_probe(&self, now: Moment) -> Moment {
        let earliest_failed = self.failed.values().map(|request| request.expires).min();
        let earliest = self.probers.first().map(|(expires, _)| *expires).into_iter().chain(earliest_failed).min();
        let probe = self.circuit_breaker.next_probe(earliest).unwrap_or(now);
        probe.max(self.limiter.ready_at(now, self.budget.refill()))
    }
}
