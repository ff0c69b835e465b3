//! The requests that could be sent for one credential, each with when and why, and what holds it back.

use super::credential::Credential;
use super::input::Delivery;
use super::{Call, StateWrite};
use crate::intent::Intent;
use crate::issuer::{Ask, Cause, FailureKind};
use crate::memory::Failing;
use crate::messages;
use crate::reason::Finding;
use crate::schedule::Due;
use crate::state::{Attempt, Role, State};
use crate::time::Moment;

/// What a kind makes of one of its credentials.
pub(super) struct Proposal {
    /// What has changed.
    pub(super) change: Option<Cause>,
    /// What is wanted.
    pub(super) request: Result<Ask, Finding>,
    /// What goes on while a change is tried in vain.
    pub(super) fallback: Option<Ask>,
    /// The refused login's password has changed since.
    pub(super) has_new_password: bool,
    /// What is worth knowing beside failures.
    pub(super) notices: Vec<Finding>,
    /// Notices are carried over from the process before this one, and may change.
    pub(super) is_provisional: bool,
    /// What a person can do about a request that fails.
    pub(super) hint: String,
    /// The same where a login is refused.
    pub(super) login_hint: Option<String>,
}

/// A request that could be sent.
pub(super) struct Candidate {
    pub(super) due: Due,
    pub(super) ask: Ask,
    pub(super) role: Role,
    /// It must leave a permit for the fallback beside it.
    pub(super) leaves_one: bool,
}

impl Proposal {
    /// The requests that could be sent, now or later.
    ///
    /// # Errors
    /// Why there is none, where a person must act.
    pub(super) fn candidates(&self, credential: &Credential<'_>) -> Result<Vec<Candidate>, Finding> {
        if credential.delivery == Delivery::Unrecorded {
            return Ok(self.unrecorded(credential).into_iter().collect());
        }
        let ask = self.request.clone()?;
        let Some(Due { cause, at }) = self.due(credential) else { return Ok(Vec::new()) };
        let fallback = self.fallback(credential, &ask);
        // Of two that may be asked now the one comes first that has waited longer.
        let waits_since = fallback.as_ref().and(credential.failing(Role::Main)).map(|failing| failing.not_before);
        let at = waits_since.map_or(at, |since| since.min(at));
        let leaves_one = fallback.is_some() && credential.failing(Role::Fallback).is_none();
        let main = Candidate { due: Due { cause, at }, ask, role: Role::Main, leaves_one };
        Ok([main].into_iter().chain(fallback).collect())
    }

    fn due(&self, credential: &Credential<'_>) -> Option<Due> {
        let now = credential.desk.now.mono;
        if credential.issued().is_none() {
            return Some(Due { cause: Cause::FirstIssue, at: now });
        }
        self.change.map(|cause| Due { cause, at: now }).or_else(|| credential.next_due())
    }

    /// While nothing can be recorded, only what keeps the credential from being lost.
    fn unrecorded(&self, credential: &Credential<'_>) -> Option<Candidate> {
        let due = credential.next_due()?;
        let role = if self.change.is_some() { Role::Fallback } else { Role::Main };
        Some(Candidate { due, ask: self.fallback.clone()?, role, leaves_one: false })
    }

    fn fallback(&self, credential: &Credential<'_>, wanted: &Ask) -> Option<Candidate> {
        credential.failing(Role::Main)?;
        let due = credential.next_due()?;
        let ask = self.fallback.clone().filter(|ask| ask != wanted)?;
        Some(Candidate { due, ask, role: Role::Fallback, leaves_one: false })
    }

    /// The call that `candidate` stands for.
    pub(super) fn call(&self, credential: &Credential<'_>, candidate: Candidate) -> Call {
        let desk = credential.desk;
        Call {
            announcement: announcement(credential),
            ask: candidate.ask,
            cause: candidate.due.cause,
            due: candidate.due.at,
            issued: credential.issued().cloned(),
            base: desk.held().map_or_else(|| credential.state.version(), |held| held.base.clone()),
            attempt: Attempt { role: candidate.role, ..credential.attempt.clone() },
            holder: desk.observed.holder.clone(),
            is_retry: desk.memory.is_failing(candidate.role),
            was_served: credential.was_served(candidate.role),
            credentials: desk.observed.credentials_version(),
            has_new_password: self.has_new_password,
            follows: desk.held().map(|_| Box::new(credential.state.clone())),
            rehearsal: desk.rehearsal(),
        }
    }

    /// When what is said may change although nothing happens.
    pub(super) fn settled_at(&self, credential: &Credential<'_>) -> Option<Moment> {
        (credential.is_settling() && self.is_provisional).then(|| credential.settles_at())
    }

    /// What a person should know, the most important thing first.
    pub(super) fn findings(&self, credential: &Credential<'_>, candidates: &[Candidate]) -> Vec<Finding> {
        let (desk, now) = (credential.desk, credential.desk.now.mono);
        let due_now = || candidates.iter().rev().filter(|candidate| candidate.due.at <= now);
        let failing = due_now().find_map(|candidate| credential.failing(candidate.role));
        let exhausted = credential.boundary().is_some_and(|boundary| boundary.is_exhausted(now));
        let is_limited = due_now().any(|candidate| credential.governed_at(candidate) > now);
        let main = [
            failing.map(|failing| messages::failed(failing, &desk.observed.neighbours, self.hint(failing))),
            exhausted.then(messages::not_rotated),
            is_limited.then(messages::calls_limited),
            desk.validated.refresh_before_problem.clone(),
        ];
        let left_out = messages::metadata_not_allowed(desk.observed.wanted());
        main.into_iter().flatten().chain(left_out).chain(self.notices.iter().cloned()).collect()
    }

    fn hint(&self, failing: &Failing) -> &str {
        let of_login = self.login_hint.as_deref().filter(|_| failing.kind == FailureKind::LoginRefused);
        of_login.unwrap_or(&self.hint)
    }
}

/// What must be in the state Secret before the call: the intent of one that cannot be repeated, and a state at all, so that
/// a first answer finds the salt that its hashes are made with.
fn announcement(credential: &Credential<'_>) -> Option<StateWrite> {
    let (desk, state) = (credential.desk, credential.state);
    if desk.validated.kind().renewal().is_repeatable {
        let is_first = desk.known_state().is_none();
        return is_first.then(|| desk.write_state(state.clone())).flatten();
    }
    let is_intended = state.intent.as_ref().is_some_and(|found| desk.memory.is_about_to_call(found, desk.now.mono));
    if credential.delivery == Delivery::Unrecorded || is_intended {
        return None;
    }
    let intent = Some(Intent { time: desk.now.wall, holder: desk.observed.holder.clone() });
    desk.write_state(State { intent, ..state.clone() })
}
