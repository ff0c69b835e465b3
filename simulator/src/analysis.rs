//! What a run was worth: dead-token time, lateness and calls per rotation, from a journal and what a Secret held.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::journal::{Call, Cause, Death, Journal};

/// What a Secret held from an instant on, as an observer saw it. A history is a list of these in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it was first seen there.
    pub since: Timestamp,
    /// The token; anything the journal does not know counts as no token.
    pub token: String,
}

/// The change from one token to the next in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The token that went.
    pub old: String,
    /// The token that came.
    pub new: String,
    /// How the old token died or will die.
    pub death: Death,
    /// From the old token's death to the new one's arrival in the Secret; negative when it came before.
    pub lateness: SignedDuration,
}

/// Time during which a Secret held a token that the issuer no longer accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadTime {
    /// Past the token's end.
    pub expired: SignedDuration,
    /// After an extension or a Re-Generate had killed it.
    pub superseded: SignedDuration,
}

/// The rotations of a Secret, in order. A token that never dies has none.
pub fn rotations(journal: &Journal, history: &[Held]) -> Vec<Rotation> {
    let deaths = deaths(journal);
    let mut known: Vec<&Held> = history.iter().filter(|held| deaths.contains_key(held.token.as_str())).collect();
    known.dedup_by(|later, earlier| later.token == earlier.token);
    let changes = known.iter().zip(known.iter().skip(1));
    changes.filter_map(|(old, new)| Some(rotation(old, new, (*deaths.get(old.token.as_str())?)?))).collect()
}

fn rotation(old: &Held, new: &Held, death: Death) -> Rotation {
    let lateness = new.since.duration_since(death.at);
    Rotation { old: old.token.clone(), new: new.token.clone(), death, lateness }
}

/// The dead-token time of a Secret from the start of its history to `until`.
pub fn dead_time(journal: &Journal, history: &[Held], until: Timestamp) -> DeadTime {
    let deaths = deaths(journal);
    let ends = history.iter().skip(1).map(|next| next.since).chain([until]);
    let mut total = DeadTime::default();
    for (held, end) in history.iter().zip(ends) {
        let Some(Some(death)) = deaths.get(held.token.as_str()) else { continue };
        let dead = end.min(until).duration_since(held.since.max(death.at)).max(SignedDuration::ZERO);
        match death.cause {
            Cause::Expired => total.expired += dead,
            Cause::Superseded => total.superseded += dead,
        }
    }
    total
}

fn deaths(journal: &Journal) -> HashMap<&str, Option<Death>> {
    journal.tokens.iter().map(|token| (token.value.as_str(), token.death())).collect()
}

/// Calls between one birth and the next of the same owner, the call that brought it included; one number a rotation.
pub fn calls_per_rotation(journal: &Journal) -> Vec<usize> {
    let mut births: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for token in &journal.tokens {
        births.entry(&token.owner).or_default().push(token.birth);
    }
    let mut arrivals: HashMap<&str, Vec<Timestamp>> = HashMap::new();
    for call in &journal.calls {
        arrivals.entry(call.owner.as_deref().unwrap_or_default()).or_default().push(call.received);
    }
    births.iter().flat_map(|(owner, births)| between(births, arrivals.get(owner).map_or(&[], Vec::as_slice))).collect()
}

/// How many of the sorted `arrivals` lie after each birth, up to the next one.
fn between(births: &[Timestamp], arrivals: &[Timestamp]) -> Vec<usize> {
    let up_to = |instant: &Timestamp| arrivals.partition_point(|arrival| arrival <= instant);
    births.iter().zip(births.iter().skip(1)).map(|(from, to)| up_to(to) - up_to(from)).collect()
}

/// The most of these calls that were in flight at one time.
pub fn peak_in_flight<'a>(calls: impl IntoIterator<Item = &'a Call>) -> usize {
    // An end sorts before an arrival at the same instant: those two were never in flight together.
    let both = |call: &Call| [Some((call.received, 1)), call.ended.map(|ended| (ended, -1))];
    let mut steps: Vec<(Timestamp, isize)> = calls.into_iter().flat_map(both).flatten().collect();
    steps.sort_unstable();
    let levels = steps.iter().scan(0_isize, |level, (_, step)| {
        *level += step;
        Some(*level)
    });
    levels.max().unwrap_or_default().unsigned_abs()
}

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread<T> {
    /// How many there are.
    pub count: usize,
    /// The smallest.
    pub least: T,
    /// The middle one; of an even number the upper of the two.
    pub median: T,
    /// The one that 99 of 100 do not exceed.
    pub p99: T,
    /// The largest.
    pub most: T,
}

impl<T: Ord + Copy> Spread<T> {
    /// The spread of these values; none of no values.
    pub fn of(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut sorted: Vec<T> = values.into_iter().collect();
        sorted.sort_unstable();
        let count = sorted.len();
        let at = |index: usize| sorted.get(index).copied();
        let p99 = at((count * 99).div_ceil(100).saturating_sub(1))?;
        Some(Self { count, least: at(0)?, median: at(count / 2)?, p99, most: at(count - 1)? })
    }
}

impl<T: fmt::Debug> fmt::Display for Spread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, least, median, p99, most } = self;
        write!(f, "{count} values: least {least:?}, median {median:?}, p99 {p99:?}, most {most:?}")
    }
}

/// How often each value occurs.
pub fn occurrences<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}
