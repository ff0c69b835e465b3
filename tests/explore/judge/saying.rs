//! The promise that the status tells the truth: of a dead token soon, and of a live one as well.

use super::dead_time::delays;
use super::facts::{Facts, Stored, StoredPair};
use super::history::{Entry, What};
use super::subject::{Part, Role};
use jiff::{SignedDuration, Timestamp};

/// For so long Ready stays True while an application's token is at its end and nothing fails.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// A second for a session, which is extended long before its end, and everything at its usual speed.
const SLACK: SignedDuration = SignedDuration::from_millis(1_200);
/// How soon a live token in the Secret is said to be there.
const NEWS: SignedDuration = SignedDuration::from_secs(3);

/// A time during which something is said that is not so.
struct Lie {
    from: Timestamp,
    to: Timestamp,
    limit: SignedDuration,
    words: &'static str,
}

pub(crate) fn untrue(part: &Part<'_>) -> Vec<String> {
    let told = lies(part).into_iter().filter_map(|Lie { from, to, limit, words }| {
        let allowed = limit + part.slack + delays(blinding(part), from, to);
        let lasted = to.duration_since(from);
        (lasted > allowed).then(|| format!("{words} for {lasted:#} from {from}, allowed {allowed:#}"))
    });
    told.chain(falsely_lost(part)).collect()
}

/// What kept the operator from knowing or saying how things stand: an issuer that is down does not.
fn blinding<'a>(part: &'a Part<'_>) -> impl Iterator<Item = (&'a Entry, Timestamp)> {
    part.faults().filter(|(entry, _)| !matches!(entry.what, What::Trouble { blinds: false, .. }))
}

fn lies(part: &Part<'_>) -> Vec<Lie> {
    let (mut lies, mut facts): (Vec<Lie>, _) = (Vec::new(), Facts::default());
    for pair in part.entries.windows(2) {
        let [entry, next] = pair else { continue };
        facts.take_in(entry);
        let lie = lie(part, &facts, entry.at, next.at).filter(|lie| lie.from < lie.to);
        let Some(lie) = lie else { continue };
        match lies.last_mut().filter(|last| last.to == lie.from && last.words == lie.words) {
            Some(last) => last.to = lie.to,
            None => lies.push(lie),
        }
    }
    lies
}

/// What is said and not so between two entries.
fn lie(part: &Part<'_>, facts: &Facts<'_>, now: Timestamp, next: Timestamp) -> Option<Lie> {
    if !facts.somebody_works() {
        return None;
    }
    let is_ready = facts.resource?.ready.as_ref().is_some_and(|ready| ready.is_true);
    let token = facts.delivered.and_then(|token| part.journal.token(token));
    let death = token.map_or(Some(now), |token| token.death().map(|death| death.at));
    if is_ready {
        let grace = if facts.is_session() { SignedDuration::ZERO } else { GRACE };
        let known = if is_overtaken(facts) { death } else { token.map_or(Some(now), |token| token.expires) };
        let words = "Ready is True of a dead token";
        return Some(Lie { from: known?.max(now), to: next, limit: SLACK + grace, words });
    }
    let is_ours = facts.state.is_some_and(|state| state.active.as_deref() == facts.delivered);
    let to = death.map_or(next, |death| death.min(next));
    is_ours.then_some(Lie { from: now, to, limit: NEWS, words: "Ready is not True of a live token" })
}

/// True when the state tells that the token in the Secret is no longer the issuer's: that a call has superseded it nobody
/// knows before its answer is recorded.
fn is_overtaken(facts: &Facts<'_>) -> bool {
    let is_over = |pair: &StoredPair| pair.is_ended && Some(pair.token.as_str()) == facts.delivered;
    let told =
        |state: &Stored| state.active.as_deref() != facts.delivered || state.session.as_ref().is_some_and(is_over);
    facts.state.is_some_and(told)
}

/// A session that is said to be lost while its pair lives.
fn falsely_lost(part: &Part<'_>) -> Vec<String> {
    let (mut facts, mut broken) = (Facts::default(), Vec::new());
    for entry in &part.entries {
        facts.take_in(entry);
        let ready = facts.resource.and_then(|resource| resource.ready.as_ref());
        let says_lost = ready.is_some_and(|ready| ready.reason == "SessionLost");
        if entry.role != Some(Role::Resource) || entry.process.is_none() || !says_lost {
            continue;
        }
        if let Some(pair) = facts.pair().filter(|pair| part.is_live(pair, entry.at)) {
            broken.push(format!(
                "a session is said to be lost at {}, though {} lives",
                entry.at,
                part.token_name(pair)
            ));
        }
    }
    broken
}
