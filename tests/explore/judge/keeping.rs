//! Promise 1 for sessions: a pair that was given is recorded, unless its process dies first, another process has recorded
//! a newer one, its time is over before it can be recorded, or its process was given the next one for it.

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
    /// What its own process has overtaken: it had forgotten it.
    forgotten: Vec<InHand>,
}

struct InHand {
    process: String,
    token: String,
    at: Timestamp,
    base: Base,
    /// Its process can be told from others.
    is_known: bool,
}

impl Keeping {
    pub(crate) fn see(&mut self, part: &Part<'_>, facts: &Facts<'_>, entry: &Seen<'_>) {
        let process = entry.process.as_deref().unwrap_or_default();
        match &entry.what {
            What::Answered {
                to: to @ (Question::Extend { .. } | Question::LogIn { .. }),
                given: Given::Token(token),
            } => {
                self.in_hand.retain(|held| held.process != process || !held.is_extended_by(to));
                let base = facts.base_of(process);
                let base = base.filter(|base| !facts.state.is_some_and(|state| base.is_overtaken_by(state)));
                let is_known = facts.knows(process);
                let held =
                    |base| InHand { process: process.to_owned(), token: token.clone(), at: entry.at, base, is_known };
                self.in_hand.extend(base.map(held));
            }
            What::Died => self.in_hand.retain(|held| held.process != process && facts.knows(&held.process)),
            What::Changed(change) => match entry.role {
                Some(Role::State) => {
                    let Some(state) = entry.state().flatten() else { return };
                    self.in_hand.retain(|held| !held.is_recorded_in(state));
                    let overtaken: Vec<_> =
                        self.in_hand.extract_if(.., |held| held.base.is_overtaken_by(state)).collect();
                    let is_own =
                        |held: &InHand| held.is_known && held.process == process && !held.is_over(part, entry.at);
                    self.forgotten.extend(overtaken.into_iter().filter(is_own));
                }
                Some(Role::Resource) if change.is.is_none() => self.in_hand.clear(),
                _ => {}
            },
            _ => {}
        }
    }

    pub(crate) fn end(&self, part: &Part<'_>) -> Vec<String> {
        let end = part.entries.last().map(|entry| entry.at).unwrap_or_default();
        let lost = self
            .forgotten
            .iter()
            .chain(self.in_hand.iter().filter(|held| held.at + RECORDING < end && !held.is_over(part, end)));
        let told = |held: &InHand| {
            format!("{} is given {} at {} and never records it", held.process, part.token_name(&held.token), held.at)
        };
        lost.map(told).collect()
    }
}

impl InHand {
    fn is_recorded_in(&self, state: &Stored) -> bool {
        state.session.as_ref().is_some_and(|pair| pair.token == self.token)
    }

    /// The issuer has invalidated it, and its process holds the next one.
    fn is_extended_by(&self, question: &Question) -> bool {
        matches!(question, Question::Extend { token } if *token == self.token)
    }

    fn is_over(&self, part: &Part<'_>, at: Timestamp) -> bool {
        part.journal.token(&self.token).and_then(|token| token.expires).is_some_and(|end| end <= at)
    }
}
