//! Who probes an endpoint that is down, and when.

use super::{Endpoint, OUTAGE_PATIENCE, Place};
use crate::fingerprint::spread;
use crate::queue::order::LATE;
use crate::queue::{ObjectName, Wake, Wish};
use crate::time::Moment;

impl Endpoint {
    /// True while `member` may call only as one of those that find out whether the endpoint is up again.
    pub(super) fn has_to_probe(&self, member: &ObjectName, boundary: Option<Moment>) -> bool {
        self.health.is_down_for(member) && !self.health.grants_turn(member, boundary)
    }

    /// When the maker of `wish` may call an endpoint that is down: alone, when the time of the next probe has come, and
    /// nobody else was told to come for it.
    pub(super) fn probe_at(&mut self, wish: &Wish<'_>, now: Moment) -> Moment {
        let patience = now + OUTAGE_PATIENCE.mul_f64(1.0 + (spread(&wish.member.name) % 1000) as f64 / 1000.0);
        if !self.in_flight.is_empty() {
            return patience;
        }
        let at = self.next_probe(now);
        match &self.prober {
            Some((prober, told)) if prober != wish.member && *told <= at => {
                if at <= now {
                    *told + LATE
                } else {
                    patience
                }
            }
            _ => {
                self.prober = Some((wish.member.clone(), at));
                at
            }
        }
    }

    pub(super) fn next_probe(&self, now: Moment) -> Moment {
        let earliest = self.queue.values().chain(self.failed.values()).map(|place| place.expires).min();
        let probe = self.health.next_probe(earliest).unwrap_or(now);
        probe.max(self.permits.ready_at(now, self.budget.refill()))
    }

    /// The one whose namespace, and then whose own last call, is the longest ago; not before `now`.
    pub(super) fn choose_prober(&mut self, now: Moment) -> Option<Wake> {
        if !self.in_flight.is_empty() || self.prober.is_some() {
            return None;
        }
        let rank = |(member, place): &(&ObjectName, &Place)| (self.health.probe_turn(member), place.expires);
        let waits =
            |(member, place): &(&ObjectName, &Place)| !place.is_announcing && self.has_to_probe(member, place.boundary);
        let (member, _) = self.queue.iter().filter(waits).min_by_key(rank)?;
        let chosen = (member.clone(), self.next_probe(now));
        self.tell(&chosen.0, chosen.1);
        self.prober = Some(chosen.clone());
        Some(chosen)
    }
}
