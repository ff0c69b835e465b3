//! The promise about dead-token time: at most the faults' duration, the delay then in force, and a second.

use crate::api_server::Kind;
use crate::history::{CREDENTIALS, History, NAME, What, stored_token};
use jiff::{SignedDuration, Timestamp};

/// Everything at its usual speed, and the second that is promised.
const SLACK: SignedDuration = SignedDuration::from_millis(1_200);
/// Faults that long before a death can still be waited for.
const BEFORE: SignedDuration = SignedDuration::from_secs(20);
/// The delay after the first failure in a row, at most; each further one is twice as long, up to a minute.
const FIRST_DELAY_MILLIS: i64 = 1_250;
/// The longest delay while a token is dead and the endpoint down, or of a step around an end.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_secs(5);

/// The times during which a live token was wanted and the token Secret held none, longer than promised.
pub(crate) fn too_long_dead(history: &History) -> Vec<String> {
    let judged = gaps(history).into_iter().filter_map(|(from, to)| {
        let (gap, promised) = (to.duration_since(from), promised(history, from, to));
        (gap > promised).then(|| format!("no live token in the Secret for {gap:#} from {from}, promised {promised:#}"))
    });
    judged.collect()
}

fn promised(history: &History, from: Timestamp, to: Timestamp) -> SignedDuration {
    let near = history.faults().filter(|(entry, until)| entry.at <= to && *until + BEFORE >= from);
    let mut promised = SLACK;
    for (count, (entry, until)) in near.enumerate() {
        let delay = match entry.what {
            What::Trouble { .. } => LONGEST_DELAY,
            _ => SignedDuration::from_millis((FIRST_DELAY_MILLIS << count.min(6)).min(75_000)),
        };
        promised += until.duration_since(entry.at) + delay;
    }
    promised
}

/// What the world looks like to a workload, from one change to the next.
#[derive(Default)]
struct Facts {
    resource: bool,
    credentials: bool,
    started: bool,
    token: Option<String>,
}

fn gaps(history: &History) -> Vec<(Timestamp, Timestamp)> {
    let mut gaps: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut facts = Facts::default();
    for (entry, next) in history.entries.iter().zip(history.entries.iter().skip(1)) {
        facts.take_in(&entry.what);
        let Some(from) = facts.dead_from(history, entry.at).filter(|from| *from < next.at) else { continue };
        match gaps.last_mut().filter(|gap| gap.1 == from) {
            Some(gap) => gap.1 = next.at,
            None => gaps.push((from, next.at)),
        }
    }
    gaps
}

impl Facts {
    fn take_in(&mut self, what: &What) {
        match what {
            What::Started => self.started = true,
            What::Changed(change) => match (change.key.kind, change.key.name.as_str()) {
                (Kind::SyniverseToken, _) => self.resource = change.is.is_some(),
                (_, CREDENTIALS) => self.credentials = change.is.is_some(),
                (_, NAME) => self.token = change.is.as_ref().and_then(|is| stored_token(NAME, is)),
                _ => {}
            },
            _ => {}
        }
    }

    /// From when on, not before `now`, the Secret holds no live token though it should; none = not as things stand.
    fn dead_from(&self, history: &History, now: Timestamp) -> Option<Timestamp> {
        if !(self.resource && self.credentials && self.started) {
            return None;
        }
        let Some(token) = self.token.as_ref().and_then(|token| history.journal.token(token)) else { return Some(now) };
        token.death().map(|death| death.at.max(now))
    }
}
