//! One host and port: what all endpoints there may be sent together, so that many paths are no way round a budget.

use super::order::{LATE, PATIENCE, WORTH_WAKING, alternate};
use super::{Budget, ObjectName, Wake, Wish};
use crate::schedule::rate_limiter::Bucket;
use crate::time::Moment;
use std::collections::BTreeMap;
use url::Url;

/// One host and port.
#[derive(Debug)]
pub(super) struct Host {
    budget: Budget,
    permits: Bucket,
    in_flight: usize,
    /// Those whose endpoint would let them call.
    waiting: BTreeMap<ObjectName, Place>,
    /// The last call that began was no retry: the next one may be.
    retries_turn: bool,
}

#[derive(Debug)]
struct Place {
    expires: Moment,
    is_retry: bool,
    /// When it was told to come.
    told: Moment,
}

/// The host and port that a call to `endpoint` connects to; the text itself where it is no URL with a host.
pub(super) fn authority(endpoint: &str) -> String {
    let url = Url::parse(endpoint).ok();
    let connected = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    let text = connected.map(|(host, port)| format!("{}:{port}", host.strip_suffix('.').unwrap_or(host)));
    text.unwrap_or_else(|| endpoint.to_owned())
}

impl Host {
    /// One that nobody has called. Each of its endpoints may be sent `budget`.
    pub(super) fn new(budget: Budget, now: Moment) -> Self {
        let permits = Bucket::new(f64::from(budget.per_second), now);
        let budget = Budget { in_flight: budget.in_flight.saturating_mul(2), ..budget };
        Self { budget, permits, in_flight: 0, waiting: BTreeMap::new(), retries_turn: false }
    }

    /// Puts the maker of `wish`, whose endpoint would let it call, among those that wait, and says when it may.
    pub(super) fn place(&mut self, wish: &Wish<'_>, now: Moment) -> Moment {
        self.drop_the_late(now);
        let place = Place { expires: wish.expires, is_retry: wish.is_retry, told: now };
        self.waiting.insert(wish.member.clone(), place);
        let rank = self.line().iter().take_while(|next| *next != wish.member).count();
        let permitted = self.permits.ready_for(rank, now, self.budget.refill());
        let at = if rank < self.free() { permitted } else { permitted.max(now + PATIENCE) };
        self.tell(wish.member, at);
        at
    }

    /// Begins the call of a member that may make it.
    pub(super) fn begin(&mut self, member: &ObjectName, now: Moment) {
        self.retries_turn = self.waiting.remove(member).is_some_and(|place| !place.is_retry);
        self.permits.take(now, self.budget.refill());
        self.in_flight += 1;
    }

    /// Ends a call, made or not. Names those who may come earlier, and when.
    pub(super) fn ended(&mut self, was_made: bool, now: Moment) -> Vec<Wake> {
        self.in_flight = self.in_flight.saturating_sub(1);
        if !was_made {
            self.permits.give_back();
        }
        self.call_up(now)
    }

    /// Takes back the wish of `member`. Names those who may come earlier, and when.
    pub(super) fn withdraw(&mut self, member: &ObjectName, now: Moment) -> Vec<Wake> {
        if self.waiting.remove(member).is_some() { self.call_up(now) } else { Vec::new() }
    }

    /// True when nothing is known of it that anybody could miss.
    pub(super) fn is_forgotten(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }

    fn drop_the_late(&mut self, now: Moment) {
        self.waiting.retain(|_, place| now <= place.told + LATE);
    }

    fn call_up(&mut self, now: Moment) -> Vec<Wake> {
        self.drop_the_late(now);
        let mut woken = Vec::new();
        for (rank, member) in self.line().into_iter().take(self.free()).enumerate() {
            let at = self.permits.ready_for(rank, now, self.budget.refill());
            if self.waiting.get(&member).is_some_and(|place| at + WORTH_WAKING < place.told) {
                self.tell(&member, at);
                woken.push((member, at));
            }
        }
        woken
    }

    /// Those that wait, in the order in which they may: retries and others take turns, each by expiry.
    fn line(&self) -> Vec<ObjectName> {
        let mut line: Vec<_> = self.waiting.iter().collect();
        line.sort_by_key(|(_, place)| place.expires);
        let (retries, fresh): (Vec<_>, Vec<_>) = line.into_iter().partition(|(_, place)| place.is_retry);
        let line = if self.retries_turn { alternate(retries, fresh) } else { alternate(fresh, retries) };
        line.into_iter().map(|(member, _)| member.clone()).collect()
    }

    fn tell(&mut self, member: &ObjectName, at: Moment) {
        if let Some(place) = self.waiting.get_mut(member) {
            place.told = at;
        }
    }

    fn free(&self) -> usize {
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
