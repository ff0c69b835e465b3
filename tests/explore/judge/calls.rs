//! Promises about all calls: each has one of the causes that there are, none is made to cover a failed write, all are bounded.

use super::beyond;
use super::facts::{Base, Facts};
use super::history::What;
use super::question::{Given, Question};
use super::subject::{Content, Part, Role, Seen};
use issuer_simulator::journal::{Api, Token};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};

/// Answers are whole seconds: an end may be believed to be earlier than it is by so much.
const ROUNDING: SignedDuration = SignedDuration::from_secs(2);
/// State may be read so long before a call at an end.
const READ_AHEAD: SignedDuration = SignedDuration::from_secs(2);
/// Calls around one token of an application when nothing goes wrong; a pair is extended once.
const CALLS: usize = 6;
const EXTENSIONS: usize = 1;
/// How many more a fault or a deed is good for.
const CALLS_MORE: usize = 6;
const STEPS: usize = 8;

#[derive(Default)]
pub(crate) struct Calls {
    /// The active token of the state Secret, as it was last.
    recorded: Option<String>,
    /// The one before it, and when it was replaced.
    replaced: Option<(String, Timestamp)>,
    ever_recorded: HashSet<String>,
    /// What the token Secret holds of ours: a lost state is restored from it.
    delivered: Option<String>,
    /// What each process was given and has not recorded.
    in_hand: HashMap<String, (String, Base)>,
    /// Who was given an answer and has not written the state since.
    unrecorded: HashSet<String>,
    /// The last call brought nothing, or what it brought died with its process.
    is_open: bool,
    /// Whose last call brought nothing.
    brought_nothing: HashSet<String>,
    /// When somebody gave cause for a call, if none has been made since and answered.
    wanted: Option<Timestamp>,
    /// When each process asked last, and whether that was an extension that was due anyway.
    asked: HashMap<String, (Timestamp, bool)>,
    checks: HashMap<String, usize>,
    /// How often a standby was asked, by the token in the way and its owner.
    turns: HashMap<(Option<String>, String), usize>,
    /// When a write that a process has given up, or left behind, takes effect.
    landing: Option<Timestamp>,
    around_this_token: usize,
    allowance: usize,
}

impl Calls {
    pub(crate) fn see(&mut self, part: &Part<'_>, facts: &Facts<'_>, entry: &Seen<'_>) -> Option<String> {
        let process = entry.process.clone().unwrap_or_default();
        match &entry.what {
            What::Died => {
                self.in_hand.remove(&process);
                // One whose name is not known may have been this one.
                let dead: Vec<_> = self.unrecorded.extract_if(|one| *one == process || !facts.knows(one)).collect();
                self.is_open |= !dead.is_empty();
            }
            What::User { is_cause, .. } => {
                self.wanted = is_cause.then_some(entry.at).or(self.wanted);
                self.allowance += CALLS_MORE;
            }
            // The steps of a boundary, or a retry every 4 s while it lasts.
            What::Trouble { until, .. } => {
                let seconds = usize::try_from(until.duration_since(entry.at).as_secs()).unwrap_or_default();
                self.allowance += facts.running.len().max(1) * (STEPS + seconds / 4);
            }
            What::Fault { until, lands_later, .. } => {
                self.allowance += CALLS_MORE;
                self.landing = lands_later.then_some(*until);
            }
            What::Changed(change) => match entry.role {
                Some(Role::State) => {
                    let stored = entry.state().flatten();
                    // An intent, or a label, records nothing.
                    let is_record = stored.is_some_and(|stored| stored.intent.is_none());
                    if is_record || change.is.is_none() {
                        self.unrecorded.remove(&process);
                    }
                    // Who has read the state before that cannot know.
                    self.is_open |= self.landing == Some(entry.at);
                    self.in_hand.retain(|_, (_, base)| !stored.is_some_and(|state| base.is_overtaken_by(state)));
                    self.stored(stored.and_then(|stored| stored.active.clone()), entry.at);
                    self.recorded(stored.map(|stored| stored.tokens.as_slice()).unwrap_or_default());
                }
                Some(Role::Resource) if change.is.is_none() => {
                    // What it was given and nobody has recorded went with it, as with a process.
                    self.is_open |= !std::mem::take(&mut self.unrecorded).is_empty();
                    self.in_hand.clear();
                    self.delivered = None;
                }
                Some(Role::Token) => {
                    self.delivered = match &entry.content {
                        Content::Token(token) => self.ever_recorded.get(token).cloned(),
                        _ => None,
                    };
                }
                _ => {}
            },
            What::Asked(question) => return self.asked(part, facts, &process, question, entry.at),
            What::Answered { to, given: Given::Token(token) } => {
                self.brought_nothing.remove(to.owner(&part.journal).unwrap_or_default());
                // What is given for a resource that is gone brings nothing.
                self.is_open = facts.base_of(&process).is_none();
                let asked = self.asked.get(&process).copied();
                let is_for = |wanted| asked.is_none_or(|(asked, was_due)| asked > wanted && !was_due);
                // What a person changed may be the standby's, and nothing has been heard of that.
                let is_of_active = self
                    .recorded
                    .as_ref()
                    .and_then(|token| part.journal.token(token))
                    .is_some_and(|it| facts.has_standby() && to.owner(&part.journal) == Some(&it.owner));
                self.wanted.take_if(|wanted| is_for(*wanted) && !is_of_active);
                self.unrecorded.insert(process.clone());
                let base =
                    facts.base_of(&process).filter(|_| facts.knows(&process) && !self.ever_recorded.contains(token));
                let base = base.filter(|base| !facts.state.is_some_and(|state| base.is_overtaken_by(state)));
                self.in_hand.extend(base.map(|base| (process, (token.clone(), base))));
            }
            _ => {}
        }
        None
    }

    fn stored(&mut self, token: Option<String>, at: Timestamp) {
        if self.recorded != token {
            self.replaced = self.recorded.take().map(|replaced| (replaced, at));
            (self.around_this_token, self.recorded) = (0, token);
        }
    }

    /// A standby has a token of its own.
    fn recorded(&mut self, tokens: &[String]) {
        self.in_hand.retain(|_, (held, _)| !tokens.contains(held));
        self.ever_recorded.extend(tokens.iter().cloned());
    }

    fn asked(
        &mut self,
        part: &Part<'_>,
        facts: &Facts<'_>,
        process: &str,
        question: &Question,
        at: Timestamp,
    ) -> Option<String> {
        let has_cause = facts.is_refresh_wanted() || self.has_cause(part, facts, process, question, at);
        self.is_open = true;
        self.brought_nothing.extend(question.owner(&part.journal).map(str::to_owned));
        self.asked.insert(process.to_owned(), (at, self.is_due_extension(part, facts, question, at)));
        // A pair whose time is over before it could be recorded makes way.
        let is_over =
            |token: &Token| token.api == Api::Session && token.expires.is_some_and(|end| end <= at + ROUNDING);
        self.in_hand.retain(|_, (token, _)| !part.journal.token(token).is_some_and(is_over));
        self.around_this_token += 1;
        if let Some((token, _)) = self.in_hand.get(process) {
            let name = part.token_name(token);
            return Some(format!("{process} asks again at {at} with {name} in hand, which is not yet recorded"));
        }
        let limit = match question.api() {
            Api::Session => EXTENSIONS,
            // Two tokens have an end.
            _ if facts.has_standby() => 2 * CALLS,
            _ => CALLS,
        };
        let too_many = || beyond("calls around one token", self.around_this_token, limit + self.allowance);
        if has_cause { too_many() } else { Some(format!("{process} asks at {at} without a cause")) }
    }

    /// Somebody else was faster: the state may be read so long before a boundary.
    fn is_late_at_an_end(&self, part: &Part<'_>, question: &Question, at: Timestamp) -> bool {
        let Question::Refresh { old_token, .. } = question else { return false };
        let Some((replaced, when)) = &self.replaced else { return false };
        let death = part.journal.token(replaced).and_then(|token| token.death());
        replaced == old_token
            && at <= *when + READ_AHEAD + part.blur
            && death.is_some_and(|death| at + ROUNDING >= death.at)
    }

    /// Of the recorded pair, and near its end.
    fn is_due_extension(&self, part: &Part<'_>, facts: &Facts<'_>, question: &Question, at: Timestamp) -> bool {
        let Question::Extend { token } = question else { return false };
        let recorded = part.journal.token(token).filter(|_| self.recorded.as_ref() == Some(token));
        recorded.is_some_and(|token| is_near_expiry(token, facts, at))
    }

    fn has_cause(
        &mut self,
        part: &Part<'_>,
        facts: &Facts<'_>,
        process: &str,
        question: &Question,
        at: Timestamp,
    ) -> bool {
        // What extends a session is not in its token Secret.
        let left = self.delivered.as_ref().filter(|_| question.api() != Api::Session);
        let Some(recorded) = self.recorded.as_ref().or(left) else { return true };
        let is_open = self.brought_nothing.contains(question.owner(&part.journal).unwrap_or_default());
        if self.is_open || is_open || self.wanted.is_some() {
            return true;
        }
        // Of the other API: this is a first issue.
        let known = part.journal.token(recorded).filter(|token| token.api == question.api());
        let Some(token) = known else { return true };
        if self.is_late_at_an_end(part, question, at) {
            return true;
        }
        if question.api() == Api::Session {
            // Nothing but its own end is a cause: that it was superseded meanwhile nobody can know.
            return is_near_expiry(token, facts, at);
        }
        let Some(death) = token.death() else {
            let checks = self.checks.entry(recorded.clone()).or_default();
            // It lives for ever, so the issuer says: whether that is true is asked once, at the end that was asked for.
            *checks += 1;
            let asked_end = facts.validity().map(|validity| token.birth + validity);
            return asked_end.is_some_and(|end| end <= at) && *checks <= facts.running.len().max(1);
        };
        if at + ROUNDING >= death.at {
            return true;
        }
        let is_near = at + ROUNDING + lead(token, facts) >= death.at;
        if question.owner(&part.journal) != Some(&token.owner) {
            // What another process was given and has not recorded nobody can know.
            let is_unknown = self.unrecorded.iter().any(|other| other != process);
            return is_near && (self.is_turn(part, question, at) || is_unknown);
        }
        let checks = self.checks.entry(recorded.clone()).or_default();
        *checks += 1;
        // The check of a token that is to be handed over comes half way to that.
        (is_near || facts.has_standby()) && *checks <= facts.running.len().max(1)
    }

    /// The standby is asked once when the hand-over opens, and again at the end of the token that it still has.
    fn is_turn(&mut self, part: &Part<'_>, question: &Question, at: Timestamp) -> bool {
        let owner = question.owner(&part.journal).unwrap_or_default();
        let last = part.journal.tokens.iter().rfind(|token| token.owner == owner && token.birth <= at);
        let asked = self.turns.entry((self.recorded.clone(), owner.to_owned())).or_default();
        *asked += 1;
        *asked == 1 || last.and_then(Token::death).is_some_and(|death| at + ROUNDING >= death.at)
    }
}

fn is_near_expiry(token: &Token, facts: &Facts<'_>, at: Timestamp) -> bool {
    token.expires.is_some_and(|end| at + ROUNDING + lead(token, facts) >= end)
}

fn lead(token: &Token, facts: &Facts<'_>) -> SignedDuration {
    facts.lead(token.expires.map_or(SignedDuration::ZERO, |end| end.duration_since(token.birth)))
}
