//! Promises about calls: each has a cause of design section 4, none is made to cover a failed write, all are bounded.

use crate::api_server::Kind;
use crate::check::beyond;
use crate::fault::Fault;
use crate::history::{Entry, History, NAME, STATE, What, stored_token};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};

/// Answers are whole seconds: an end may be believed to be earlier than it is by so much.
const ROUNDING: SignedDuration = SignedDuration::from_secs(2);
/// `refreshBefore` of the scenarios.
const LEAD: SignedDuration = SignedDuration::from_secs(5);
/// Calls around one token when nothing goes wrong, and how many more a fault or a deed is good for.
const CALLS: usize = 6;
const CALLS_MORE: usize = 6;
const STEPS: usize = 8;

#[derive(Default)]
pub(crate) struct Calls {
    running: HashSet<String>,
    /// The active token of the state Secret.
    recorded: Option<String>,
    ever_recorded: HashSet<String>,
    /// What the token Secret holds of ours: a lost state is restored from it.
    delivered: Option<String>,
    /// What each process was given and has not recorded.
    in_hand: HashMap<String, String>,
    /// Who was given an answer and has not written the state since.
    unrecorded: HashSet<String>,
    /// The last call brought nothing, or what it brought died with its process.
    is_open: bool,
    /// Somebody gave cause for a call, and none has been answered since.
    is_wanted: bool,
    checks: HashMap<String, usize>,
    /// When a write that a process has given up, or left behind, takes effect.
    landing: Option<Timestamp>,
    around_this_token: usize,
    allowance: usize,
}

impl Calls {
    pub(crate) fn see(&mut self, history: &History, entry: &Entry) -> Option<String> {
        let process = entry.process.clone().unwrap_or_default();
        match &entry.what {
            What::Started => {
                self.running.insert(process);
            }
            What::Died => {
                self.running.remove(&process);
                self.in_hand.remove(&process);
                self.is_open |= self.unrecorded.remove(&process);
            }
            What::User { is_cause, .. } => {
                self.is_wanted |= is_cause;
                self.allowance += CALLS_MORE;
            }
            // The steps of a boundary, or a retry every 4 s while it lasts.
            What::Trouble { until, .. } => {
                let seconds = usize::try_from(until.duration_since(entry.at).as_secs()).unwrap_or_default();
                self.allowance += self.running.len() * (STEPS + seconds / 4);
            }
            What::Fault { fault, until, .. } => {
                self.allowance += CALLS_MORE;
                self.landing = matches!(fault, Fault::LandsLater | Fault::DiesAndLandsLater).then_some(*until);
            }
            What::Changed(change) if change.key.name == STATE => {
                self.unrecorded.remove(&process);
                // Who has read the state before that cannot know.
                self.is_open |= self.landing == Some(entry.at);
                self.stored(change.is.as_ref().and_then(|is| stored_token(STATE, is)));
            }
            What::Changed(change) if change.key.kind == Kind::SyniverseToken && change.is.is_none() => {
                debug_assert_eq!(change.key.name, NAME);
                self.in_hand.clear();
                self.delivered = None;
            }
            What::Changed(change) if change.key.name == NAME && change.key.kind == Kind::Secret => {
                let token = change.is.as_ref().and_then(|is| stored_token(NAME, is));
                self.delivered = token.filter(|token| self.ever_recorded.contains(token));
            }
            What::Asked { .. } => return self.asked(history, &process, entry.at),
            What::Answered { token: Some(token) } => {
                (self.is_open, self.is_wanted) = (false, false);
                self.unrecorded.insert(process.clone());
                if !self.ever_recorded.contains(token) {
                    self.in_hand.insert(process, token.clone());
                }
            }
            _ => {}
        }
        None
    }

    fn stored(&mut self, token: Option<String>) {
        if self.recorded != token {
            (self.around_this_token, self.recorded) = (0, token.clone());
        }
        let Some(token) = token else { return };
        self.in_hand.retain(|_, held| *held != token);
        self.ever_recorded.insert(token);
    }

    fn asked(&mut self, history: &History, process: &str, at: Timestamp) -> Option<String> {
        let has_cause = self.has_cause(history, at);
        self.is_open = true;
        self.around_this_token += 1;
        if let Some(token) = self.in_hand.get(process) {
            let name = history.token_name(token);
            return Some(format!("{process} asks again at {at} with {name} in hand, which is not yet recorded"));
        }
        let limit = CALLS + self.allowance;
        let too_many = || beyond("calls around one token", self.around_this_token, limit);
        if has_cause { too_many() } else { Some(format!("{process} asks at {at} without a cause")) }
    }

    fn has_cause(&mut self, history: &History, at: Timestamp) -> bool {
        let Some(recorded) = self.recorded.as_ref().or(self.delivered.as_ref()) else { return true };
        if self.is_open || self.is_wanted {
            return true;
        }
        let Some(death) = history.journal.token(recorded).map(|token| token.death()) else { return true };
        let Some(death) = death else { return false };
        if at + ROUNDING >= death.at {
            return true;
        }
        let checks = self.checks.entry(recorded.clone()).or_default();
        *checks += 1;
        at + ROUNDING + LEAD >= death.at && *checks <= self.running.len()
    }
}
