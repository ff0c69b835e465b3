//! Promises about calls that cannot be repeated: each is announced, nobody else is at it meanwhile, no pair is used
//! twice, and a log in is the last resort.
//!
//! One exception, and what it costs is known: a session near its end is extended without an announcement by a process
//! whose last writes of the state failed. Without that it would be lost for certain; with it, only if that process dies
//! before it can write the answer.

use super::facts::{Facts, Intent, Stored};
use super::history::What;
use super::question::{Given, Question};
use super::subject::{Content, Part, Role, Seen};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use syniverse_token_core::api::STATE_SECRET_SUFFIX;

/// The call timeout and the time for recording: so long another holder's intent is left alone.
const HONOURED: SignedDuration = SignedDuration::from_secs(15);
/// How soon after its intent a call is made.
const RECORDING: SignedDuration = SignedDuration::from_secs(5);
/// A state that could not be written is tried again within this.
const RETRY: SignedDuration = SignedDuration::from_secs(22);
/// An extension that cannot be recorded comes this long before the end at most.
const LAST_TRIES: SignedDuration = SignedDuration::from_secs(60);
/// What was changed so shortly before may not have been read yet.
const READING: SignedDuration = SignedDuration::from_secs(1);

#[derive(Default)]
pub(crate) struct Exchanges {
    /// Who has announced a call that is still to be made, and when.
    announced: HashMap<String, Timestamp>,
    /// How the last use of each pair went, by its token.
    uses: HashMap<String, Use>,
    /// The same of states that are gone, by their salts.
    lost: HashMap<String, HashMap<String, Use>>,
    /// The pairs that the issuer has said to be over.
    ended: HashSet<String>,
    /// The user name changed, and nobody has logged in since.
    is_other_user: bool,
    credentials_changed: Option<Timestamp>,
    /// The wall clock was set: intents written before say nothing for certain.
    clock_set: Option<Timestamp>,
    /// When each process last failed to write the state, unless it has managed to since.
    unwritten: HashMap<String, Timestamp>,
    /// The pairs that processes were given and could not record yet, by the process.
    in_hand: HashMap<String, String>,
    /// Made without an announcement, as far as could be seen.
    unannounced: Option<(Timestamp, String)>,
}

struct Use {
    by: String,
    at: Timestamp,
    outcome: Outcome,
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Open,
    Failed,
    Extended(String),
}

impl Exchanges {
    pub(crate) fn see(&mut self, part: &Part<'_>, facts: &Facts<'_>, entry: &Seen<'_>) -> Vec<String> {
        let process = entry.process.as_deref().unwrap_or_default();
        match &entry.what {
            What::Requested { request, code }
                if request.ends_with(STATE_SECRET_SUFFIX) && !request.starts_with("Get") =>
            {
                self.wrote(process, *code < 300, entry.at);
            }
            What::Fault { request, .. } if request.ends_with(STATE_SECRET_SUFFIX) && !request.starts_with("Get") => {
                self.wrote(process, false, entry.at);
            }
            What::Died => {
                self.in_hand.remove(process);
                self.announced.remove(process);
                let dead = self.uses.values_mut().filter(|last| last.by == process || !facts.knows(&last.by));
                dead.for_each(|last| last.outcome = Outcome::Failed);
            }
            What::User { deed, .. } if deed.contains("wall clock") => self.clock_set = Some(entry.at),
            What::Changed(change) => match entry.role {
                Some(Role::State) => {
                    return self.state_changed(part, process, facts.state, entry.state().flatten(), entry.at);
                }
                Some(Role::Resource) if change.is.is_none() => self.resource_gone(facts),
                Some(Role::Credentials) => self.credentials_change(facts, &entry.content, entry.at),
                _ => {}
            },
            What::Asked(question @ (Question::Extend { .. } | Question::LogIn { .. })) => {
                return self.asked(part, facts, process, question, entry.at);
            }
            What::Answered { to: Question::Extend { token }, given } => {
                self.extended(process, token, given, facts.base_of(process).is_none());
            }
            _ => {}
        }
        Vec::new()
    }

    pub(crate) fn end(&mut self) -> Option<String> {
        self.unannounced.take().map(|(_, broken)| broken)
    }

    /// What its last use brought and nobody has recorded went with it, as with a process.
    fn resource_gone(&mut self, facts: &Facts<'_>) {
        let stored = facts.state.and_then(|state| state.session.as_ref()).map(|pair| &pair.token);
        let is_recorded = |last: &Use| matches!(&last.outcome, Outcome::Extended(next) if Some(next) == stored);
        let lost = self.uses.values_mut().filter(|last| !is_recorded(last));
        lost.for_each(|last| last.outcome = Outcome::Failed);
    }

    fn state_changed(
        &mut self,
        part: &Part<'_>,
        process: &str,
        was: Option<&Stored>,
        is: Option<&Stored>,
        at: Timestamp,
    ) -> Vec<String> {
        // What was tried is forgotten with the state, and known again once that comes back from a backup.
        match (was, is) {
            (Some(was), None) => drop(self.lost.insert(was.salt.clone(), std::mem::take(&mut self.uses))),
            (None, Some(is)) => self.uses.extend(self.lost.remove(&is.salt).into_iter().flatten()),
            _ => {}
        }
        let token = |state: &Stored| state.session.as_ref().map(|pair| pair.token.clone());
        let [before, after] = [was, is].map(|state| state.and_then(token));
        self.is_other_user &=
            after.is_none() || before == after || is_extension(part, before.as_deref(), after.as_deref());
        let old = was.and_then(|state| state.intent.as_ref());
        let Some(new) = is.and_then(|state| state.intent.as_ref()).filter(|new| Some(*new) != old) else {
            return Vec::new();
        };
        let seen_late = self.unannounced.take_if(|(asked, _)| at.duration_since(*asked) <= part.blur).is_some();
        if !seen_late {
            self.announced.insert(process.to_owned(), at);
        }
        self.overtaken(old, new, at).into_iter().collect()
    }

    fn overtaken(&self, old: Option<&Intent>, new: &Intent, at: Timestamp) -> Option<String> {
        let old = old.filter(|old| old.holder != new.holder)?;
        let age = new.time.duration_since(old.time);
        let is_certain = self.clock_set.is_none_or(|set| set + HONOURED < at);
        (is_certain && age.abs() < HONOURED)
            .then(|| format!("{} announced a call at {at}, {age:#} after {} had announced one", new.holder, old.holder))
    }

    fn credentials_change(&mut self, facts: &Facts<'_>, is: &Content, at: Timestamp) {
        self.credentials_changed = Some(at);
        let was = facts.credentials().and_then(|credentials| credentials.username.clone());
        let is = match is {
            Content::Credentials(credentials) => credentials.username.clone(),
            _ => None,
        };
        self.is_other_user |= was.is_some() && is.is_some() && was != is;
    }

    fn asked(
        &mut self,
        part: &Part<'_>,
        facts: &Facts<'_>,
        process: &str,
        question: &Question,
        at: Timestamp,
    ) -> Vec<String> {
        let unannounced = self.unannounced.take().map(|(_, broken)| broken);
        let announced = self.announced.remove(process).filter(|announced| *announced + RECORDING + part.blur >= at);
        if announced.is_none() && !self.is_last_resort(part, process, question, at) {
            self.unannounced = Some((at, format!("{process} asks at {at} without having announced it")));
        }
        let wrong = match question {
            Question::Extend { token } => self.wrong_extension(part, facts, process, token, at),
            _ => self.wrong_log_in(part, facts, at),
        };
        if let Question::Extend { token } = question {
            self.uses.insert(token.clone(), Use { by: process.to_owned(), at, outcome: Outcome::Open });
        }
        unannounced.into_iter().chain(wrong).collect()
    }

    fn wrote(&mut self, process: &str, is_taken: bool, at: Timestamp) {
        if is_taken {
            self.unwritten.remove(process);
            self.in_hand.remove(process);
        } else {
            self.unwritten.insert(process.to_owned(), at);
        }
    }

    /// An extension near the end of a pair by a process that cannot write the state.
    fn is_last_resort(&self, part: &Part<'_>, process: &str, question: &Question, at: Timestamp) -> bool {
        let Question::Extend { token } = question else { return false };
        let cannot_write = self.unwritten.get(process).is_some_and(|failed| *failed + RETRY >= at);
        let expires = part.journal.token(token).and_then(|token| token.expires);
        cannot_write && expires.is_some_and(|end| end + part.blur >= at && end <= at + LAST_TRIES)
    }

    /// `is_lost` where the resource is gone that it was asked for.
    fn extended(&mut self, process: &str, token: &str, given: &Given, is_lost: bool) {
        if *given == Given::Ended {
            self.ended.insert(token.to_owned());
        }
        if let Given::Token(next) = given {
            self.in_hand.insert(process.to_owned(), next.clone());
        }
        let Some(last) = self.uses.get_mut(token).filter(|last| last.by == process) else { return };
        last.outcome = match given {
            Given::Token(next) if !is_lost => Outcome::Extended(next.clone()),
            _ => Outcome::Failed,
        };
    }

    /// Of a pair that is neither stored nor pasted, or that may have been used up.
    fn wrong_extension(
        &self,
        part: &Part<'_>,
        facts: &Facts<'_>,
        process: &str,
        token: &str,
        at: Timestamp,
    ) -> Option<String> {
        let name = part.token_name(token);
        let stored = facts.state.and_then(|state| state.session.as_ref());
        let pasted = facts.credentials().and_then(|credentials| credentials.pasted.as_ref());
        let is_ours =
            stored.is_some_and(|stored| stored.token == token) || pasted.is_some_and(|pasted| pasted == token);
        let is_ours = is_ours || self.in_hand.get(process).is_some_and(|in_hand| in_hand == token);
        let is_settled = self.credentials_changed.is_none_or(|changed| changed + READING < at);
        // A process that holds the state in memory knows the pair before it has restored it.
        if facts.knows(process) && facts.state.is_some() && is_settled && !is_ours {
            return Some(format!("{process} extends {name} at {at}, which is neither stored nor pasted"));
        }
        let last = self.uses.get(token)?;
        match &last.outcome {
            Outcome::Failed => None,
            Outcome::Extended(next) if stored.is_some_and(|stored| stored.token == *next) => {
                Some(format!("{process} extends {name} at {at}, of which the next one is stored"))
            }
            // The clock may have been set: who comes later is not known.
            _ if self.clock_set.is_some_and(|set| set > last.at) => None,
            _ => (last.at + HONOURED > at + part.blur)
                .then(|| format!("{process} extends {name} at {at}, while {} was at it", last.by)),
        }
    }

    /// With a pair that may still be extended.
    fn wrong_log_in(&self, part: &Part<'_>, facts: &Facts<'_>, at: Timestamp) -> Option<String> {
        if self.is_other_user || self.credentials_changed.is_some_and(|changed| changed + READING > at) {
            return None;
        }
        let pasted = facts.credentials().and_then(|credentials| credentials.pasted.as_deref());
        let untried = pasted.filter(|pasted| !self.uses.contains_key(*pasted));
        // What the state says of its end is the operator's word; that of the issuer counts.
        let stored = facts.state.and_then(|state| state.session.as_ref()).map(|pair| pair.token.as_str());
        let usable = stored.into_iter().chain(untried).find(|pair| !self.ended.contains(*pair))?;
        Some(format!("a log in at {at}, where {} has not been said to be over", part.token_name(usable)))
    }
}

/// The one ended when the other began.
fn is_extension(part: &Part<'_>, before: Option<&str>, after: Option<&str>) -> bool {
    let [before, after] = [before, after].map(|token| part.journal.token(token?));
    before.and_then(|before| before.superseded).is_some_and(|end| after.is_some_and(|after| after.birth == end))
}
