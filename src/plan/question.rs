//! What the issuer would be asked for one resource, and when: the one list of causes, and what holds a call back.

use super::{Call, Desk};
use crate::credentials::Credentials;
use crate::fingerprint::fingerprint;
use crate::issuer::{Ask, Cause};
use crate::memory::{Attempt, Failing};
use crate::moment::Moment;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::schedule::boundary::Boundary;
use crate::schedule::governor::refill;
use crate::schedule::{Due, Terms};
use crate::secrets;
use crate::state::{Issued, State};
use crate::status;
use crate::verdict;
use std::time::Duration;

/// How long a process gets to know all resources after its start.
pub(super) const SETTLING: Duration = Duration::from_secs(60);

/// What the issuer would be asked, and when.
pub(super) struct Question<'a> {
    desk: &'a Desk<'a>,
    state: &'a State,
    credentials: &'a Credentials,
    application: String,
    attempt: Attempt,
}

impl<'a> Question<'a> {
    pub(super) fn new(desk: &'a Desk<'a>, state: &'a State, credentials: &'a Credentials) -> Self {
        let inputs = desk.inputs(&state.salt, credentials);
        let attempt = Attempt { inputs, refresh: desk.observed.refresh() };
        Self { desk, state, credentials, application: state.application_id(&credentials.consumer_key), attempt }
    }

    fn issued(&self) -> Option<&Issued> {
        self.state.applications.get(&self.application).filter(|_| self.state.active.as_ref() == Some(&self.application))
    }

    /// The one list of causes, in order.
    pub(super) fn due(&self) -> Option<Due> {
        let now = self.desk.now;
        let at_once = |cause| Some(Due { cause, at: now.mono });
        let Some(issued) = self.issued() else { return at_once(Cause::FirstIssue) };
        if let Some(name) = self.attempt.inputs.change_since(&self.state.inputs) {
            return at_once(Cause::Changed(name));
        }
        if self.attempt.refresh.is_some() && self.attempt.refresh != self.state.refresh {
            return at_once(Cause::Requested);
        }
        let elsewhere = self.desk.memory.rotated_elsewhere.as_ref();
        if elsewhere.is_some_and(|token| *token != fingerprint(&issued.token)) {
            return at_once(Cause::RotatedElsewhere);
        }
        let life = self.desk.memory.life(issued, now);
        self.terms().next_due(issued, &life, self.boundary(), now)
    }

    fn terms(&self) -> Terms {
        self.desk.observed.terms(self.desk.application)
    }

    /// Not before a failed attempt's delay has passed, the boundary has room and the governor allows it.
    pub(super) fn allowed_at(&self, due: Due) -> Moment {
        let now = self.desk.now.mono;
        let retry = self.failing().map(|failing| failing.not_before);
        let room = self.boundary().map(|boundary| boundary.room_at(now));
        let governed = self.governed_at();
        let later_than_now = [room, Some(governed)].into_iter().flatten().filter(|at| *at > now);
        later_than_now.chain(retry).fold(due.at, Moment::max)
    }

    fn boundary(&self) -> Option<&Boundary> {
        self.desk.memory.boundary(self.issued()?)
    }

    fn governed_at(&self) -> Moment {
        self.desk.memory.governor.ready_at(self.desk.now.mono, refill(self.issued()))
    }

    /// The failed attempt, if it was made with what we would ask with now.
    fn failing(&self) -> Option<&Failing> {
        self.desk.memory.failing.as_ref().filter(|failing| failing.attempt == self.attempt)
    }

    /// One old token per attempt: a changed `oldToken` first, then what we were given last, then what else there is.
    pub(super) fn old_token(&self) -> Option<Redacted> {
        let given = self.credentials.old_token.clone();
        let changed = self.attempt.inputs.differs(&self.state.inputs, "oldToken");
        let known = self.state.applications.get(&self.application).map(|issued| issued.token.clone());
        let key = self.desk.observed.resource.spec.key();
        let kept = self.desk.observed.token.as_ref().and_then(|secret| secrets::believed_token(secret, key));
        let mut candidates = Vec::new();
        for candidate in [given.clone().filter(|_| changed), known, kept, given].into_iter().flatten() {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        let refused = self.failing().map_or(0, |failing| failing.refused as usize);
        candidates.get(refused % candidates.len().max(1)).cloned()
    }

    pub(super) fn call(&self, cause: Cause, old_token: Redacted) -> Call {
        let application = self.desk.application;
        let ask = Ask {
            endpoint: application.endpoint.clone(),
            consumer_key: self.credentials.consumer_key.clone(),
            consumer_secret: self.credentials.consumer_secret.clone(),
            old_token,
            validity_seconds: self.terms().validity.as_secs(),
        };
        Call {
            ask,
            cause,
            application: self.application.clone(),
            issued: self.issued().cloned(),
            base: self.state.version(),
            attempt: self.attempt.clone(),
        }
    }

    /// When that is to be looked at again.
    pub(super) fn settled_at(&self) -> Option<Moment> {
        let settled = Moment::after_start(SETTLING);
        let open = self.shared() != verdict::shared(self.desk.observed.neighbours.sharing);
        (open && self.desk.now.mono < settled).then_some(settled)
    }

    /// In its first minute a process may not have met every resource yet: what an earlier one said about sharing holds
    /// until this one knows better.
    fn shared(&self) -> Option<Finding> {
        let observed = self.desk.observed;
        let stored = observed.resource.status.as_ref().and_then(status::ready);
        let said = stored.filter(|ready| ready.reason == Reason::SharedApplication.as_str());
        match said {
            Some(said) if !self.desk.memory.met_sharers && self.desk.now.mono < Moment::after_start(SETTLING) => {
                Some(Finding::new(Reason::SharedApplication, said.message.clone()))
            }
            _ => verdict::shared(observed.neighbours.sharing),
        }
    }

    /// What a person should know, the most important thing first.
    pub(super) fn findings(&self, due: Option<Due>) -> Vec<Finding> {
        let desk = self.desk;
        let now = desk.now.mono;
        let due_now = due.is_some_and(|due| due.at <= now);
        let failing = self.failing().filter(|_| due_now);
        let name = &desk.application.credentials.secret_ref.name;
        let exhausted = self.boundary().is_some_and(|boundary| boundary.is_exhausted(now));
        let never_expires = self.issued().is_some_and(|issued| issued.expiration_time.is_none());
        [
            failing.map(|failing| verdict::failed(failing, &desk.observed.neighbours, name)),
            exhausted.then(verdict::not_rotated),
            (due_now && self.governed_at() > now).then(verdict::calls_limited),
            (never_expires && !self.terms().validity.is_zero()).then(verdict::validity_not_applied),
            self.shared(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
