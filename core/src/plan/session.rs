//! The session issuer: a pair that is extended while it lives, each answer being the only copy of the next pair.

use super::candidates::{Question, Side};
use super::{Delivery, Desk, StateWrite};
use crate::api::SessionSpec;
use crate::credential::SessionCredentials;
use crate::fingerprint::fingerprint;
use crate::intent::Intent;
use crate::issuer::{Ask, Cause, Extend, FailureKind, LogIn, Pair};
use crate::messages;
use crate::reason::{Finding, Reason};
use crate::schedule::{Due, Life};
use crate::state::inputs::{ENDPOINT, PASSWORD, REFRESH_TOKEN, TOKEN, USERNAME};
use crate::state::{Inputs, Issued, SESSION, State};
use crate::time::Moment;

/// The side of a session.
pub(super) struct Session<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) spec: &'a SessionSpec,
    pub(super) credentials: SessionCredentials,
}

impl<'a> Session<'a> {
    /// With whatever its Secret holds: a pair that lives needs none of it.
    pub(super) fn new(desk: &'a Desk<'a>, spec: &'a SessionSpec) -> Self {
        let read = || SessionCredentials::read(&spec.credentials, desk.observed.credentials.as_ref());
        let withheld = |finding| SessionCredentials { problem: Some(finding), ..SessionCredentials::default() };
        let credentials = desk.not_consented().map_or_else(read, withheld);
        Self { desk, spec, credentials }
    }

    /// The pair that a person pasted and that was not tried yet, or at another endpoint only.
    fn pasted(&self, question: &Question<'_>) -> Option<Pair> {
        let (asked, recorded) = (&question.attempt.inputs, &question.state.inputs);
        let is_new = asked.has_new_pair(recorded) || question.state.pair_refused && asked.differs(recorded, ENDPOINT);
        self.credentials.pair.clone().filter(|_| is_new)
    }

    /// A changed login is what the call is about; and one that was refused is asked for again with every new wish.
    fn wants_login(&self, question: &Question<'_>, cause: Option<Cause>) -> bool {
        match cause {
            Some(Cause::Changed(USERNAME | PASSWORD)) => true,
            Some(Cause::Changed(ENDPOINT) | Cause::Requested) => question.state.login_refused,
            _ => false,
        }
    }

    /// Another resource was given this pair first: it would be dead by now.
    fn is_taken(&self, question: &Question<'_>) -> bool {
        let said = || question.still_said(Reason::SessionShared).is_some_and(|said| said == self.taken());
        self.desk.observed.neighbours.sharing.before_us || said()
    }

    fn taken(&self) -> Finding {
        let pair = self.credentials.pair.as_ref().map(|pair| fingerprint(&pair.token));
        messages::session_shared(&self.spec.credentials.secret_ref.name, &pair.unwrap_or_default())
    }

    /// The stored pair. At another endpoint it is worth a try although the one before has said that it is over.
    fn stored(question: &Question<'_>) -> Option<Pair> {
        let known = question.known()?;
        let is_elsewhere = question.attempt.inputs.differs(&question.state.inputs, ENDPOINT);
        if is_elsewhere { known.any_pair() } else { known.pair() }
    }

    /// Nothing is left to ask with.
    fn lost(&self, question: &Question<'_>, is_taken: bool) -> Finding {
        let secret = &self.spec.credentials.secret_ref.name;
        match &self.credentials.problem {
            _ if is_taken => self.taken(),
            Some(problem) => problem.clone(),
            None if question.known().is_some() || self.credentials.pair.is_some() => {
                messages::session_lost(secret, self.credentials.slip())
            }
            None => messages::no_session(secret),
        }
    }
}

impl Side for Session<'_> {
    fn id(&self, _: &State) -> String {
        SESSION.to_owned()
    }

    fn inputs(&self, salt: &str) -> Inputs {
        Inputs::of_session(salt, &self.spec.endpoint, &self.credentials)
    }

    /// A changed password makes no call, unless the login was refused (see below); nor does a login that is added to a pair, or a pair
    /// that is another resource's.
    fn causes(&self, question: &Question<'_>) -> Vec<&'static str> {
        let State { login_refused, inputs, .. } = question.state;
        let pair = [TOKEN, REFRESH_TOKEN].into_iter().filter(|_| !self.is_taken(question));
        let username = Some(USERNAME).filter(|_| *login_refused || inputs.knows(USERNAME));
        pair.chain(username).chain([ENDPOINT]).collect()
    }

    /// The process that was refused knows what it asked with. Another one goes by the version of the Secret, and asks once
    /// too often where that was written again with the same values.
    fn has_new_password(&self, question: &Question<'_>) -> bool {
        let State { login_refused, refused_credentials, inputs, .. } = question.state;
        let (asked, desk) = (&question.attempt.inputs, self.desk);
        let is_new = match (&desk.memory.refused_login, refused_credentials) {
            (Some(refused), _) => asked.differs(refused, PASSWORD),
            (None, Some(version)) => desk.observed.credentials_version().as_ref() != Some(version),
            // Older versions have recorded a hash.
            (None, None) => asked.differs(inputs, PASSWORD),
        };
        *login_refused && self.credentials.login.is_some() && is_new
    }

    fn event(&self, _: &Question<'_>, issued: &Issued) -> Option<Cause> {
        issued.ended.then_some(Cause::Ended)
    }

    /// As late as is safe while the next token could not be delivered: the extension would kill the one that is.
    fn next_due(&self, question: &Question<'_>, issued: &Issued, life: &Life) -> Option<Due> {
        let (terms, now) = (self.desk.observed.terms(), self.desk.now);
        Some(match question.delivery {
            Delivery::InOrder => terms.next_extension(issued, life, now),
            Delivery::InTrouble => terms.last_extension(issued, life, now),
            Delivery::Unrecorded => terms.unrecorded_extension(issued, life, now),
        })
    }

    /// A pair or an account that the issuer does not take must not cost the session that there is, nor keep the login from
    /// opening another one.
    fn upkeep(&self, question: &Question<'_>) -> Option<Ask> {
        let endpoint = self.spec.endpoint.clone();
        Some(match Self::stored(question) {
            Some(pair) => Ask::Extend(Extend { endpoint, pair }),
            None => Ask::LogIn(LogIn { endpoint, login: self.credentials.login.clone()? }),
        })
    }

    /// A pasted pair, then the stored one, then the login, which comes before the stored pair where it has changed.
    fn ask(&self, question: &Question<'_>, cause: Option<Cause>) -> Result<Ask, Finding> {
        let pasted = self.pasted(question);
        let is_taken = pasted.is_some() && self.is_taken(question);
        let login = self.credentials.login.clone();
        let other_login = login.is_some() && self.wants_login(question, cause);
        let stored = Self::stored(question).filter(|_| !other_login);
        let endpoint = self.spec.endpoint.clone();
        match (pasted.filter(|_| !is_taken).or(stored), login) {
            (Some(pair), _) => Ok(Ask::Extend(Extend { endpoint, pair })),
            (None, Some(login)) => Ok(Ask::LogIn(LogIn { endpoint, login })),
            (None, None) => Err(self.lost(question, is_taken)),
        }
    }

    fn announcement(&self, question: &Question<'_>) -> Option<StateWrite> {
        if question.delivery == Delivery::Unrecorded {
            return None;
        }
        let now = self.desk.now;
        let found = question.state.intent.as_ref();
        if found.is_some_and(|intent| self.desk.memory.is_about_to_call(intent, now.mono)) {
            return None;
        }
        let intent = Some(Intent { time: now.wall, holder: self.desk.observed.holder.clone() });
        self.desk.write_state(State { intent, ..question.state.clone() })
    }

    fn honoured_until(&self, question: &Question<'_>) -> Option<Moment> {
        let (observed, now) = (self.desk.observed, self.desk.now);
        let intent = question.state.intent.as_ref()?;
        let is_over = observed.calls_over_by.is_some_and(|over| now.moment_of(intent.time) <= over);
        intent.honoured_until(&observed.holder, now, observed.call_timeout).filter(|_| !is_over)
    }

    fn notices(&self, question: &Question<'_>) -> Vec<Finding> {
        let is_refused = question.state.login_refused && self.credentials.login.is_some();
        let secret = &self.spec.credentials.secret_ref.name;
        let refused = is_refused.then(|| messages::login_refused_meanwhile(secret, self.credentials.slip()));
        let is_taken = self.pasted(question).is_some() && self.is_taken(question);
        let taken = is_taken.then(|| self.taken());
        let is_unusable = question.issued().is_some_and(Issued::is_short_lived);
        let unusable = is_unusable.then(messages::session_lifetime_unusable);
        self.credentials.problem.iter().cloned().chain(unusable).chain(refused).chain(taken).collect()
    }

    fn is_provisional(&self, question: &Question<'_>) -> bool {
        self.is_taken(question) != self.desk.observed.neighbours.sharing.before_us
    }

    fn remedy(&self, kind: FailureKind) -> String {
        let (secret, slip) = (&self.spec.credentials.secret_ref.name, self.credentials.slip());
        match kind {
            FailureKind::LoginRefused => messages::login_remedy(secret, slip),
            _ => messages::session_remedy(secret, slip),
        }
    }
}
