//! One endpoint: who may call it now, who waits for that, and in what order.

use super::circuit_breaker::Health;
use super::host::authority;
use super::order::{LATE, PATIENCE, WORTH_WAKING, alternate};
use super::{Admission, Budget, ObjectName, Outcome, Wake, Wish};
use crate::issuer::FailureKind;
use crate::schedule::rate_limiter::Bucket;
use crate::time::Moment;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

mod probing;

/// A member that waits for an endpoint that is down is woken when it is up or its turn to probe comes, and looks again
/// after one to two times this.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(60);
/// A prober that announces its call first is given this before another one may.
const ANNOUNCING: Duration = Duration::from_secs(1);

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The host and port that it is at.
    authority: String,
    budget: Budget,
    permits: Bucket,
    health: Health,
    /// The calls that are being made, by call key.
    in_flight: HashMap<String, Flight>,
    /// Those that want to call.
    queue: BTreeMap<ObjectName, Place>,
    /// Those whose last call met an endpoint that was not there: they wait for a moment of their own to try again.
    failed: BTreeMap<ObjectName, Place>,
    /// Those of them that need not wait any longer: it is there again.
    released: HashSet<ObjectName>,
    /// The last call that began was no retry: the next one may be.
    retries_turn: bool,
    /// Who was told to make the next probe, and when.
    prober: Option<(ObjectName, Moment)>,
}

#[derive(Debug)]
struct Flight {
    place: Place,
    is_probe: bool,
}

/// What is known of a resource that wants to call.
#[derive(Clone, Debug)]
struct Place {
    call_key: String,
    expires: Moment,
    boundary: Option<Moment>,
    is_retry: bool,
    /// It could call, and is writing down that it will.
    is_announcing: bool,
    /// When it was told to come.
    told: Moment,
}

impl Endpoint {
    /// One that nobody has called.
    pub(super) fn new(endpoint: &str, budget: Budget, now: Moment) -> Self {
        Self {
            authority: authority(endpoint),
            budget,
            permits: Bucket::new(f64::from(budget.per_second), now),
            health: Health::default(),
            in_flight: HashMap::new(),
            queue: BTreeMap::new(),
            failed: BTreeMap::new(),
            released: HashSet::new(),
            retries_turn: false,
            prober: None,
        }
    }

    /// The host and port that it is at.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// True while a call with this key is being made.
    pub(super) fn is_in_flight(&self, call_key: &str) -> bool {
        self.in_flight.contains_key(call_key)
    }

    /// How it fares.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Notes that it gave `member` its token at `at`, as what is stored tells.
    pub(super) fn was_served(&mut self, member: &ObjectName, at: Moment) {
        self.health.was_served(member, at);
    }

    /// True when nothing is known of it that anybody could miss.
    pub(super) fn is_forgotten(&self) -> bool {
        self.in_flight.is_empty() && self.queue.is_empty() && self.health.is_unknown()
    }

    /// Takes in a wish that is to be announced if it could be granted. Its maker has a place while it writes, but no
    /// longer than others wait for somebody who is late; where a probe is due, another one is told to come soon in case
    /// it does not.
    pub(super) fn line_up(&mut self, wish: &Wish<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let at = self.place(wish, now);
        if at > now {
            return (Admission::Later(at), Vec::new());
        }
        if let Some(place) = self.queue.get_mut(wish.member) {
            place.is_announcing = true;
        }
        self.prober.take_if(|(prober, _)| prober == wish.member);
        (Admission::Go, self.choose_prober(now + ANNOUNCING).into_iter().collect())
    }

    /// Puts the maker of `wish` into the queue, and says when it is its turn.
    pub(super) fn place(&mut self, wish: &Wish<'_>, now: Moment) -> Moment {
        self.drop_the_late(now);
        self.queue.insert(wish.member.clone(), Place::of(wish, now));
        let has_to_probe = self.has_to_probe(wish.member, wish.boundary);
        let at = if has_to_probe { self.probe_at(wish, now) } else { self.turn_at(wish.member, now) };
        self.tell(wish.member, at.max(now));
        at
    }

    /// Ends a call. Names who should come, and when.
    pub(super) fn ended(
        &mut self,
        call_key: &str,
        member: &ObjectName,
        outcome: Option<Outcome>,
        now: Moment,
    ) -> Vec<Wake> {
        let Some(Flight { place, is_probe }) = self.in_flight.remove(call_key) else { return Vec::new() };
        self.queue.remove(member);
        let Some(outcome) = outcome else {
            self.permits.give_back();
            return self.call_up(now);
        };
        if outcome == Outcome::Failed(FailureKind::Unavailable) {
            self.failed.insert(member.clone(), Place { is_retry: true, is_announcing: false, ..place });
        } else {
            self.failed.remove(member);
        }
        if self.health.called(member, outcome, is_probe, now) { self.release(now) } else { self.call_up(now) }
    }

    /// Takes back the wish of `member`. Names who should come, and when.
    pub(super) fn withdraw(&mut self, member: &ObjectName, now: Moment) -> Vec<Wake> {
        let was_expected =
            self.queue.remove(member).is_some() | self.prober.take_if(|(told, _)| told == member).is_some();
        let nobody_comes = self.prober.is_none() && self.in_flight.is_empty();
        if was_expected || nobody_comes { self.call_up(now) } else { Vec::new() }
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&mut self, member: &ObjectName) {
        self.queue.remove(member);
        self.failed.remove(member);
        self.released.remove(member);
        self.prober.take_if(|(prober, _)| prober == member);
        self.health.forget(member);
    }

    /// True once after the endpoint came up again, for a member whose last call had met it down.
    pub(super) fn take_release(&mut self, member: &ObjectName) -> bool {
        self.released.remove(member)
    }

    fn drop_the_late(&mut self, now: Moment) {
        self.queue.retain(|_, place| now <= place.told + LATE);
        self.prober.take_if(|(_, told)| *told + LATE < now);
    }

    /// Begins the call of a member whose turn it is.
    pub(super) fn begin(&mut self, member: &ObjectName, now: Moment) {
        let Some(place) = self.queue.remove(member) else { return };
        let is_probe = self.health.is_down_for(member);
        self.permits.take(now, self.budget.refill());
        self.retries_turn = !place.is_retry;
        self.prober = None;
        self.in_flight.insert(place.call_key.clone(), Flight { place, is_probe });
    }

    fn tell(&mut self, member: &ObjectName, at: Moment) {
        if let Some(place) = self.queue.get_mut(member) {
            place.told = at;
        }
    }

    /// Notes that `member`, whose turn it would be here, has to wait for its host until `at`.
    pub(super) fn held_up(&mut self, member: &ObjectName, at: Moment) {
        if let Some(place) = self.queue.get_mut(member) {
            (place.told, place.is_announcing) = (at, false);
        }
    }

    /// When `member` may call an endpoint that is up.
    fn turn_at(&self, member: &ObjectName, now: Moment) -> Moment {
        let Some(rank) = self.line().iter().position(|next| *next == member) else { return now + PATIENCE };
        let permitted = self.permits.ready_for(rank, now, self.budget.refill());
        match self.free() {
            free if rank < free => permitted,
            0 => permitted.max(now + PATIENCE),
            // Before it are such as were told to come: if they do not, no call ends that could wake it.
            _ => permitted.max(now + LATE),
        }
    }

    /// Names those who can come earlier than they were told, and when.
    fn call_up(&mut self, now: Moment) -> Vec<Wake> {
        self.drop_the_late(now);
        let prober = self.choose_prober(now);
        let next: Vec<_> = self.line().into_iter().take(self.free()).cloned().collect();
        prober.into_iter().chain(self.tell_in_order(next, now)).collect()
    }

    /// The endpoint is up again: all who wait may come, at the budgeted rate.
    fn release(&mut self, now: Moment) -> Vec<Wake> {
        self.drop_the_late(now);
        self.permits.empty(now);
        self.prober = None;
        for (member, place) in std::mem::take(&mut self.failed) {
            self.released.insert(member.clone());
            self.queue.entry(member).or_insert(place);
        }
        self.queue.values_mut().for_each(|place| place.told = now + 2 * OUTAGE_PATIENCE);
        let all = self.line().into_iter().cloned().collect();
        self.tell_in_order(all, now)
    }

    fn tell_in_order(&mut self, next: Vec<ObjectName>, now: Moment) -> Vec<Wake> {
        let mut wakes = Vec::new();
        for (rank, member) in next.into_iter().enumerate() {
            let at = self.permits.ready_for(rank, now, self.budget.refill());
            if self.queue.get(&member).is_some_and(|place| at + WORTH_WAKING < place.told) {
                self.tell(&member, at);
                wakes.push((member, at));
            }
        }
        wakes
    }

    /// Those that could call if there were room, in the order in which they may: of each call key the first; those
    /// whose last call did not fail, by expiry, and retries, by expiry. While both wait they take turns, and retries
    /// that would have more than half of the room in flight are not in line.
    fn line(&self) -> Vec<&ObjectName> {
        // Who waits for an endpoint to be up again is in no line.
        let is_in_line = |(member, place): &(&ObjectName, &Place)| !self.has_to_probe(member, place.boundary);
        let mut waiting: Vec<_> = self.queue.iter().filter(is_in_line).collect();
        waiting.sort_by_key(|(_, place)| (place.is_retry, place.expires));
        let mut keys = HashSet::new();
        waiting.retain(|(_, place)| !self.in_flight.contains_key(&place.call_key) && keys.insert(&place.call_key));
        let (mut retries, fresh): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, place)| place.is_retry);
        if !fresh.is_empty() {
            retries.truncate(self.room_for_retries());
        }
        let line = if self.retries_turn { alternate(retries, fresh) } else { alternate(fresh, retries) };
        line.into_iter().map(|(member, _)| member).collect()
    }

    fn room_for_retries(&self) -> usize {
        let retrying = self.in_flight.values().filter(|flight| flight.place.is_retry).count();
        self.budget.in_flight.div_ceil(2).saturating_sub(retrying)
    }

    fn free(&self) -> usize {
        self.budget.in_flight.saturating_sub(self.in_flight.len())
    }
}

impl Place {
    fn of(wish: &Wish<'_>, now: Moment) -> Self {
        Self {
            call_key: wish.call_key.to_owned(),
            expires: wish.expires,
            boundary: wish.boundary,
            is_retry: wish.is_retry,
            is_announcing: false,
            told: now,
        }
    }
}
