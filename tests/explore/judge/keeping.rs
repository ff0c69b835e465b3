//! Promise 1 for sessions: a pair that was given is recorded, unless its process dies first or a newer one is recorded.

use super::facts::{Base, Facts, Stored};
use super::history::What;
use super::question::{Given, Question};
use super::subject::{Part, Role, Seen};
use jiff::{SignedDuration, Timestamp};

/// What was given so shortly before the end may not be recorded yet.
const RECORDING: SignedDuration = SignedDuration::from_secs(1);

#[derive(Default)]
pub(crate) struct Keeping {
    in_hand: Vec<InHand>,
}

struct InHand {
    process: String,
    token: String,
    at: Timestamp,
    base: Base,
}

impl Keeping {
    pub(crate) fn see(&mut self, facts: &Facts<'_>, entry: &Seen<'_>) {
        let process = entry.process.as_deref().unwrap_or_default();
        match &entry.what {
            What::Answered { to: Question::Extend { .. } | Question::LogIn { .. }, given: Given::Token(token) } => {
                let base = facts.base_of(process);
                let base = base.filter(|base| !facts.state.is_some_and(|state| base.is_overtaken_by(state)));
                let held = |base| InHand { process: process.to_owned(), token: token.clone(), at: entry.at, base };
                self.in_hand.extend(base.map(held));
            }
            What::Died => self.in_hand.retain(|held| held.process != process && facts.knows(&held.process)),
            What::Changed(change) => match entry.role {
                Some(Role::State) => {
                    let Some(state) = entry.state().flatten() else { return };
                    self.in_hand.retain(|held| !held.is_settled_by(state));
                }
                Some(Role::Resource) if change.is.is_none() => self.in_hand.clear(),
                _ => {}
            },
            _ => {}
        }
    }

    pub(crate) fn end(&self, part: &Part<'_>) -> Vec<String> {
        let end = part.entries.last().map(|entry| entry.at).unwrap_or_default();
        let lost = self.in_hand.iter().filter(|held| held.at + RECORDING < end);
        let told = |held: &InHand| {
            format!("{} is given {} at {} and never records it", held.process, part.token_name(&held.token), held.at)
        };
        lost.map(told).collect()
    }
}

impl InHand {
    fn is_settled_by(&self, state: &Stored) -> bool {
        let is_recorded = state.session.as_ref().is_some_and(|pair| pair.token == self.token);
        is_recorded || self.base.is_overtaken_by(state)
    }
}
