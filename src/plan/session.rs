//! The session issuer: a pair that is extended while it lives, each answer being the only copy of the next pair.

use super::question::{Question, Side};
use super::{Desk, StateWrite};
use crate::api::SessionSpec;
use crate::credentials::SessionCredentials;
use crate::intent::Intent;
use crate::issuer::{Ask, Cause, Extend, LogIn, Pair};
use crate::moment::Moment;
use crate::reason::{Finding, Reason};
use crate::schedule::{Due, Life};
use crate::state::inputs::{ENDPOINT, REFRESH_TOKEN, TOKEN, USERNAME};
use crate::state::{Inputs, Issued, SESSION, State};
use crate::verdict;

/// The side of a session.
pub(super) struct Session<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) spec: &'a SessionSpec,
    pub(super) credentials: SessionCredentials,
}

impl<'a> Session<'a> {
    /// With whatever its Secret holds: a pair that lives needs none of it.
    pub(super) fn new(desk: &'a Desk<'a>, spec: &'a SessionSpec) -> Self {
        let credentials = SessionCredentials::read(&spec.credentials, desk.observed.credentials.as_ref());
        Self { desk, spec, credentials }
    }

    /// The pair that a person pasted and that was not tried yet.
    fn pasted(&self, question: &Question<'_>) -> Option<Pair> {
        let is_new = question.attempt.inputs.has_new_pair(&question.state.inputs);
        self.credentials.pair.clone().filter(|_| is_new)
    }

    /// Another resource was given this pair first: it would be dead by now.
    fn is_taken(&self, question: &Question<'_>) -> bool {
        self.desk.observed.neighbours.sharing.before_us || question.still_said(Reason::SessionShared).is_some()
    }

    /// Nothing is left to ask with.
    fn lost(&self, question: &Question<'_>, is_taken: bool) -> Finding {
        let secret = &self.spec.credentials.secret_ref.name;
        match &self.credentials.problem {
            _ if is_taken => verdict::session_shared(secret),
            Some(problem) => problem.clone(),
            None if question.known().is_some() || self.credentials.pair.is_some() => verdict::session_lost(secret),
            None => verdict::no_session(secret),
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

    /// A changed password alone makes no call.
    fn causes(&self) -> &'static [&'static str] {
        &[TOKEN, REFRESH_TOKEN, USERNAME, ENDPOINT]
    }

    fn event(&self, _: &Question<'_>, issued: &Issued) -> Option<Cause> {
        issued.ended.then_some(Cause::Ended)
    }

    fn next_due(&self, _: &Question<'_>, issued: &Issued, life: &Life) -> Option<Due> {
        Some(self.desk.observed.terms().next_extension(issued, life, self.desk.now))
    }

    /// A pasted pair, then the stored one, then the login, which comes before the stored pair where its user changed.
    fn ask(&self, question: &Question<'_>, cause: Option<Cause>) -> Result<Ask, Finding> {
        let pasted = self.pasted(question);
        let is_taken = pasted.is_some() && self.is_taken(question);
        let login = self.credentials.login.clone();
        let other_user = login.is_some() && cause == Some(Cause::Changed(USERNAME));
        let stored = question.known().and_then(Issued::pair).filter(|_| !other_user);
        let endpoint = self.spec.endpoint.clone();
        match (pasted.filter(|_| !is_taken).or(stored), login) {
            (Some(pair), _) => Ok(Ask::Extend(Extend { endpoint, pair })),
            (None, Some(login)) => Ok(Ask::LogIn(LogIn { endpoint, login })),
            (None, None) => Err(self.lost(question, is_taken)),
        }
    }

    fn announcement(&self, question: &Question<'_>) -> Option<StateWrite> {
        let now = self.desk.now;
        let found = question.state.intent.as_ref();
        if found.is_some_and(|intent| self.desk.memory.is_about_to_call(intent, now.mono)) {
            return None;
        }
        let intent = Some(Intent { time: now.wall, holder: self.desk.observed.holder.clone() });
        self.desk.write_state(State { intent, ..question.state.clone() })
    }

    fn honoured_until(&self, question: &Question<'_>) -> Option<Moment> {
        let observed = self.desk.observed;
        question.state.intent.as_ref()?.honoured_until(&observed.holder, self.desk.now, observed.call_timeout)
    }

    fn notices(&self, _: &Question<'_>) -> Vec<Finding> {
        self.credentials.problem.iter().cloned().collect()
    }

    fn is_provisional(&self, question: &Question<'_>) -> bool {
        self.is_taken(question) != self.desk.observed.neighbours.sharing.before_us
    }

    fn remedy(&self) -> String {
        verdict::session_remedy(&self.spec.credentials.secret_ref.name)
    }
}
