//! The promise that the status tells the truth: of a dead token soon, and of a live one as well.

use super::dead_time::{delays, left_behind, waits};
use super::facts::Facts;
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
    let left_behind = left_behind(part);
    let told = lies(part).into_iter().filter_map(|Lie { from, to, limit, words }| {
        let allowed = limit + part.slack + delays(part, from, to) + waits(&left_behind, from, to);
        let lasted = to.duration_since(from);
        (lasted > allowed).then(|| format!("{words} for {lasted:#} from {from}, allowed {allowed:#}"))
    });
    told.chain(falsely_lost(part)).collect()
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
        let words = "Ready is True of a dead token";
        return Some(Lie { from: death?.max(now), to: next, limit: SLACK + grace, words });
    }
    let is_ours = facts.state.is_some_and(|state| state.active.as_deref() == facts.delivered);
    let to = death.map_or(next, |death| death.min(next));
    is_ours.then_some(Lie { from: now, to, limit: NEWS, words: "Ready is not True of a live token" })
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
