//! Load of an endpoint: its tokens by expiry, and how long it takes to issue a token.

use super::{Budget, ObjectName};
use crate::schedule::EndpointLoad;
use crate::time::{MINUTE, Moment};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The spans of time in which tokens that expire must leave half of the budget: a wave may be over within seconds.
const SPANS: [Duration; 2] = [Duration::from_secs(10), MINUTE];
/// A token that expired this long ago is not about to be renewed: its credentials fail.
const OVERDUE: Duration = MINUTE;
/// The shortest of this many round trips is known, and of up to twice as many.
const ROUND_TRIPS: usize = 64;

/// Load of an endpoint.
#[derive(Debug)]
pub struct Load {
    budget: Budget,
    /// When the token of each resource expires, in whole seconds.
    tokens: HashMap<ObjectName, Moment>,
    /// How many of them expire in each second.
    expiries: BTreeMap<Moment, usize>,
    round_trips: RoundTrips,
}

impl Load {
    /// No token yet, at an endpoint with this budget.
    pub fn new(budget: Budget) -> Self {
        let (tokens, expiries) = (HashMap::new(), BTreeMap::new());
        Self { budget, tokens, expiries, round_trips: RoundTrips::default() }
    }

    /// Notes that a request that brought a new token, or came too early for it, took this long.
    pub fn round_trip(&mut self, round_trip: Duration) {
        self.round_trips.add(round_trip);
    }

    /// Notes that `resource` has a token of this endpoint, and until when.
    pub fn token_until(&mut self, resource: &ObjectName, expires: Moment) {
        let expires = expires.whole_second();
        let before = match self.tokens.get_mut(resource) {
            Some(known) => Some(std::mem::replace(known, expires)),
            None => self.tokens.insert(resource.clone(), expires),
        };
        before.into_iter().for_each(|before| self.uncount(before));
        *self.expiries.entry(expires).or_default() += 1;
    }

    /// Forgets the token of `resource`.
    pub fn forget(&mut self, resource: &ObjectName) {
        let before = self.tokens.remove(resource);
        before.into_iter().for_each(|before| self.uncount(before));
    }

    /// True while no resource has a token of this endpoint.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The load as it is `now`. Takes a step for each second in which a token expires within a minute, before or after.
    pub fn at(&self, now: Moment) -> EndpointLoad {
        EndpointLoad {
            served_tokens: self.tokens.len(),
            shortest_round_trip: self.round_trips.shortest(),
            is_busy: SPANS.into_iter().any(|span| self.is_busy(span, now)),
        }
    }

    fn is_busy(&self, span: Duration, now: Moment) -> bool {
        let due: usize = self.expiries.range(now - OVERDUE..now + span).map(|(_, count)| count).sum();
        due as u64 > u64::from(self.budget.per_second) * span.as_secs() / 2
    }

    fn uncount(&mut self, expires: Moment) {
        if let Some(count) = self.expiries.get_mut(&expires) {
            *count -= 1;
            if *count == 0 {
                self.expiries.remove(&expires);
            }
        }
    }
}

/// The shortest of the last round trips, without keeping each of them.
#[derive(Debug, Default)]
struct RoundTrips {
    /// The shortest of the last [`ROUND_TRIPS`], once there were so many.
    before: Option<Duration>,
    /// The shortest since.
    since: Option<Duration>,
    /// Number of round trips since.
    count: usize,
}

impl RoundTrips {
    fn add(&mut self, round_trip: Duration) {
        if self.count == ROUND_TRIPS {
            (self.before, self.count) = (self.since.take(), 0);
        }
        self.since = Some(self.since.map_or(round_trip, |since| since.min(round_trip)));
        self.count += 1;
    }

    fn shortest(&self) -> Option<Duration> {
        [self.before, self.since].into_iter().flatten().min()
    }
}
