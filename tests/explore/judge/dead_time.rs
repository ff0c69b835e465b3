//! The promise about dead-token time, expired and superseded: at most the faults' duration, the delay then in force, and
//! a second; for a session also the time for which the intent of a dead process is left alone.

use super::facts::{Facts, Stored};
use super::history::{Entry, What};
use super::subject::{Part, Seen};
use jiff::{SignedDuration, Timestamp};

/// Everything at its usual speed, and the second that is promised.
const SLACK: SignedDuration = SignedDuration::from_millis(1_200);
/// Faults that long before a death can still be waited for.
const BEFORE: SignedDuration = SignedDuration::from_secs(20);
/// The delay after the first failure in a row, at most; each further one is twice as long, up to a minute.
const FIRST_DELAY_MILLIS: i64 = 1_250;
/// The longest delay while a token is dead and the endpoint down, or of a step around an end.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_secs(5);
/// The call timeout and the time for recording.
const HONOURED: SignedDuration = SignedDuration::from_secs(15);

/// The lead of a hand-over in every scenario with a standby: a third of the validity, and at most half of the time for
/// which the token could be used, which is less where it was found alive.
const LEAD: SignedDuration = SignedDuration::from_secs(40);
/// What is not left over of a lead when all goes at its usual speed: no fault that is shorter than the rest makes a token
/// die.
const LEAD_USED: SignedDuration = SignedDuration::from_secs(6);

/// The times during which a live token was wanted and the token Secret held none, longer than promised.
pub(crate) fn too_long_dead(part: &Part<'_>) -> Vec<String> {
    let left_behind = left_behind(part);
    let judged = gaps(part).into_iter().filter_map(|(from, to)| {
        let faults = delays(part.faults(), from, to) + waits(&left_behind, from, to);
        let promised = match has_standby_at(part, from) {
            true => (faults - lead_left(part, from)).max(SignedDuration::ZERO),
            false => faults + SLACK + part.slack,
        };
        let gap = to.duration_since(from);
        (gap > promised).then(|| format!("no live token in the Secret for {gap:#} from {from}, promised {promised:#}"))
    });
    judged.collect()
}

/// What those of `faults` that matter between these times are good for.
pub(super) fn delays<'a>(
    faults: impl Iterator<Item = (&'a Entry, Timestamp)>,
    from: Timestamp,
    to: Timestamp,
) -> SignedDuration {
    let near = faults.filter(|(entry, until)| entry.at <= to && *until + BEFORE >= from);
    let mut delays = SignedDuration::ZERO;
    for (count, (entry, until)) in near.enumerate() {
        let delay = match entry.what {
            What::Trouble { .. } => LONGEST_DELAY,
            _ => SignedDuration::from_millis((FIRST_DELAY_MILLIS << count.min(6)).min(75_000)),
        };
        delays += until.duration_since(entry.at) + delay;
    }
    delays
}

/// True when the resource had a standby, and a token, then.
fn has_standby_at(part: &Part<'_>, at: Timestamp) -> bool {
    let mut facts = Facts::default();
    part.entries.iter().take_while(|entry| entry.at < at).for_each(|entry| facts.take_in(entry));
    facts.has_standby() && facts.delivered.is_some()
}

/// What is left over of the lead before `end`, when the token in the token Secret ends.
fn lead_left(part: &Part<'_>, end: Timestamp) -> SignedDuration {
    let (mut facts, mut since) = (Facts::default(), None);
    for entry in part.entries.iter().take_while(|entry| entry.at < end) {
        let before = facts.delivered;
        facts.take_in(entry);
        since = if facts.delivered == before { since } else { Some(entry.at) };
    }
    since.map_or(LEAD, |since| LEAD.min(end.duration_since(since) / 2)) - LEAD_USED
}

/// For how long the intents that were left behind then are left alone.
fn waits(left_behind: &[Timestamp], from: Timestamp, to: Timestamp) -> SignedDuration {
    let near = left_behind.iter().filter(|at| **at <= to && **at + HONOURED >= from);
    near.map(|_| HONOURED).sum()
}

/// When an intent was left behind by a process that died.
fn left_behind(part: &Part<'_>) -> Vec<Timestamp> {
    let mut facts = Facts::default();
    let mut left_behind = Vec::new();
    for entry in &part.entries {
        left_behind.extend(leaves_intent(part, &facts, entry).then_some(entry.at));
        facts.take_in(entry);
    }
    left_behind
}

fn gaps(part: &Part<'_>) -> Vec<(Timestamp, Timestamp)> {
    let mut gaps: Vec<(Timestamp, Timestamp)> = Vec::new();
    let (mut facts, mut has_started) = (Facts::default(), false);
    for (place, entry) in part.entries.iter().enumerate() {
        facts.take_in(entry);
        has_started |= matches!(entry.what, What::Started);
        let Some(next) = part.entries.get(place + 1) else { break };
        let from = dead_from(part, &facts, place).filter(|from| has_started && *from < next.at);
        let Some(from) = from else { continue };
        match gaps.last_mut().filter(|gap| gap.1 == from) {
            Some(gap) => gap.1 = next.at,
            None => gaps.push((from, next.at)),
        }
    }
    gaps
}

/// True when a process dies while an intent is stored, or an intent is stored that nobody may know of.
fn leaves_intent(part: &Part<'_>, facts: &Facts<'_>, entry: &Seen<'_>) -> bool {
    let intent = |state: Option<&Stored>| state.and_then(|state| state.intent.clone());
    let before = intent(facts.state);
    match (&entry.what, entry.state()) {
        (What::Died, _) => before.is_some(),
        (_, Some(state)) => {
            let after = intent(state);
            after.is_some() && before != after && part.entries.iter().any(|entry| lands(&entry.what))
        }
        _ => false,
    }
}

fn lands(what: &What) -> bool {
    matches!(what, What::Fault { lands_later: true, .. })
}

/// From when on, not before this entry, the Secret holds no live token though it should; none = not as things stand.
fn dead_from(part: &Part<'_>, facts: &Facts<'_>, place: usize) -> Option<Timestamp> {
    let now = part.entries[place].at;
    facts.resource.and(facts.credentials())?;
    if is_beyond_help(part, facts, place) {
        return None;
    }
    let delivered = facts.delivered.and_then(|token| part.journal.token(token));
    let Some(token) = delivered else { return Some(now) };
    token.death().map(|death| death.at.max(now))
}

/// True of a session without a login whose pairs are over, if something went wrong while the last of them lived.
fn is_beyond_help(part: &Part<'_>, facts: &Facts<'_>, place: usize) -> bool {
    let now = part.entries[place].at;
    if !facts.is_session() || facts.has_login() {
        return false;
    }
    let stored = facts.state.and_then(|state| state.session.as_ref()).map(|pair| pair.token.as_str());
    let pasted = facts.credentials().and_then(|credentials| credentials.pasted.as_deref());
    let pairs = || stored.into_iter().chain(pasted);
    let lives = |token: &str| part.is_live(token, now);
    let born = pairs().filter_map(|token| part.journal.token(token)).map(|token| token.birth).max();
    let went_wrong =
        |what: &What| matches!(what, What::Died | What::Fault { .. } | What::Trouble { .. } | What::User { .. });
    let since = part.entries[..=place].iter().rev().take_while(|entry| born.is_none_or(|born| entry.at >= born));
    !pairs().any(lives) && since.into_iter().any(|entry| went_wrong(&entry.what))
}
