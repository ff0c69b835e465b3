//! Probes of an endpoint that is down: which resource, and when.

use super::{Endpoint, LONGEST_OUTAGE_WAIT, Waiting};
use crate::fingerprint::spread;
use crate::queue::order::OVERDUE_AFTER;
use crate::queue::{ObjectName, Queued, Wake};
use crate::time::Moment;

impl Endpoint {
    /// True while `resource` may send requests only as a probe of the endpoint.
    pub(super) fn must_probe(&self, resource: &ObjectName, expired_at: Option<Moment>) -> bool {
        self.circuit_breaker.is_down_for(resource) && !self.circuit_breaker.allows_one_request(resource, expired_at)
    }

    /// When `queued` may be sent to an endpoint that is down: alone, when the next probe is due, and no other resource
    /// was woken for it.
    pub(super) fn probe_at(&mut self, queued: &Queued<'_>, now: Moment) -> Moment {
        let longest_wait =
            now + LONGEST_OUTAGE_WAIT.mul_f64(1.0 + (spread(&queued.resource.name) % 1000) as f64 / 1000.0);
        if !self.in_flight.is_empty() {
            return longest_wait;
        }
        let at = self.next_probe(now);
        match &self.prober {
            Some((prober, wake_at)) if prober != queued.resource && *wake_at <= at => {
                if at <= now {
                    *wake_at + OVERDUE_AFTER
                } else {
                    longest_wait
                }
            }
            _ => {
                self.prober = Some((queued.resource.clone(), at));
                at
            }
        }
    }

    pub(super) fn next_probe(&self, now: Moment) -> Moment {
        let earliest = self.waiting.values().chain(self.failed.values()).map(|waiting| waiting.expires).min();
        let probe = self.circuit_breaker.next_probe(earliest).unwrap_or(now);
        probe.max(self.permits.ready_at(now, self.budget.refill()))
    }

    /// The resource whose namespace, and then whose own last request, is the longest ago; not before `now`.
    pub(super) fn choose_prober(&mut self, now: Moment) -> Option<Wake> {
        if !self.in_flight.is_empty() || self.prober.is_some() {
            return None;
        }
        let rank = |(resource, waiting): &(&ObjectName, &Waiting)| {
            (self.circuit_breaker.probe_order(resource), waiting.expires)
        };
        let waits = |(resource, waiting): &(&ObjectName, &Waiting)| {
            !waiting.is_writing_intent && self.must_probe(resource, waiting.expired_at)
        };
        let (resource, _) = self.waiting.iter().filter(waits).min_by_key(rank)?;
        let chosen = (resource.clone(), self.next_probe(now));
        self.set_wake(&chosen.0, chosen.1);
        self.prober = Some(chosen.clone());
        Some(chosen)
    }
}
