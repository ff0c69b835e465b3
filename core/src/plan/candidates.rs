//! The requests that could be sent for a credential, each with its time, cause and delays.

use super::credential::Credential;
use super::input::Writable;
use super::{PlannedRequest, StateWrite};
use crate::intent::Intent;
use crate::issuer::{Cause, FailureKind, TokenRequest};
use crate::memory::FailedRequests;
use crate::messages;
use crate::reason::Finding;
use crate::schedule::Due;
use crate::state::{RequestKey, Role, State};
use crate::time::Moment;

/// The plan of a kind for one of its credentials.
pub(super) struct Proposal {
    /// The change.
    pub(super) change: Option<Cause>,
    /// The wanted request.
    pub(super) request: Result<TokenRequest, Finding>,
    /// The fallback while a change keeps failing.
    pub(super) fallback: Option<TokenRequest>,
    /// The password of the refused login has changed since.
    pub(super) has_new_password: bool,
    /// Notices beside failures.
    pub(super) notices: Vec<Finding>,
    /// Notices are carried over from the previous process, and may change.
    pub(super) is_provisional: bool,
    /// Hint for people about a failing request.
    pub(super) hint: String,
    /// The same where a login is refused.
    pub(super) login_hint: Option<String>,
}

/// A request that could be sent.
pub(super) struct Candidate {
    pub(super) due: Due,
    pub(super) request: TokenRequest,
    pub(super) role: Role,
    /// Must leave a permit for the fallback.
    pub(super) leaves_one: bool,
}

impl Proposal {
    /// The requests that could be sent, now or later.
    ///
    /// # Errors
    /// Why there is none, where a person must act.
    pub(super) fn candidates(&self, credential: &Credential<'_>) -> Result<Vec<Candidate>, Finding> {
        if credential.writable == Writable::Neither {
            return Ok(self.unrecorded(credential).into_iter().collect());
        }
        let request = self.request.clone()?;
        let Some(Due { cause, at }) = self.due(credential) else { return Ok(Vec::new()) };
        let fallback = self.fallback(credential, &request);
        // Of two requests that are due now, the request that has waited longer comes first.
        let waits_since =
            fallback.as_ref().and(credential.failed_requests(Role::Main)).map(|failing| failing.not_before);
        let at = waits_since.map_or(at, |since| since.min(at));
        let reserve_one = fallback.is_some() && credential.failed_requests(Role::Fallback).is_none();
        let main = Candidate { due: Due { cause, at }, request, role: Role::Main, leaves_one: reserve_one };
        Ok([main].into_iter().chain(fallback).collect())
    }

    fn due(&self, credential: &Credential<'_>) -> Option<Due> {
        let now = credential.input.now.mono;
        if credential.active_token().is_none() {
            return Some(Due { cause: Cause::FirstIssue, at: now });
        }
        self.change.map(|cause| Due { cause, at: now }).or_else(|| credential.next_due())
    }

    /// While nothing can be recorded, only the request that keeps the credential from being lost.
    fn unrecorded(&self, credential: &Credential<'_>) -> Option<Candidate> {
        let due = credential.next_due()?;
        let role = if self.change.is_some() { Role::Fallback } else { Role::Main };
        Some(Candidate { due, request: self.fallback.clone()?, role, leaves_one: false })
    }

    fn fallback(&self, credential: &Credential<'_>, wanted: &TokenRequest) -> Option<Candidate> {
        credential.failed_requests(Role::Main)?;
        let due = credential.next_due()?;
        let request = self.fallback.clone().filter(|request| request != wanted)?;
        Some(Candidate { due, request, role: Role::Fallback, leaves_one: false })
    }

    /// The request of `candidate`.
    pub(super) fn planned_request(&self, credential: &Credential<'_>, candidate: Candidate) -> PlannedRequest {
        let input = credential.input;
        PlannedRequest {
            intent_write: intent_write(credential),
            request: candidate.request,
            cause: candidate.due.cause,
            due: candidate.due.at,
            record: credential.own_token().cloned(),
            turn: credential.turn(),
            base: input
                .unrecorded_response()
                .map_or_else(|| credential.state.version(), |unrecorded| unrecorded.base.clone()),
            key: RequestKey { role: candidate.role, ..credential.key.clone() },
            holder: input.observed.holder.clone(),
            is_retry: credential.is_failing(candidate.role),
            was_served: credential.was_served(candidate.role),
            credentials: input.observed.credentials_version(),
            has_new_password: self.has_new_password,
            follows: input.unrecorded_response().map(|_| Box::new(credential.state.clone())),
            dry_run: input.dry_run(),
        }
    }

    /// When the notices may change without an event.
    pub(super) fn settled_at(&self, credential: &Credential<'_>) -> Option<Moment> {
        (credential.is_settling() && self.is_provisional).then(|| credential.settles_at())
    }

    /// Findings for people, the most important first.
    pub(super) fn findings(&self, credential: &Credential<'_>, candidates: &[Candidate]) -> Vec<Finding> {
        let (input, now) = (credential.input, credential.input.now.mono);
        let due_now = || candidates.iter().rev().filter(|candidate| candidate.due.at <= now);
        let failing = due_now().find_map(|candidate| credential.failed_requests(candidate.role));
        let exhausted = credential.expiry_poll().is_some_and(|poll| poll.is_exhausted(now));
        let is_limited = due_now().any(|candidate| credential.rate_limited_until(candidate) > now);
        let main = [
            failing.map(|failing| messages::failed(failing, &input.observed.peers, self.hint(failing))),
            exhausted.then(messages::not_rotated),
            is_limited.then(messages::calls_limited),
        ];
        let left_out = messages::metadata_not_allowed(input.observed.desired());
        let harmless = input.validated.refresh_before_problem.clone();
        main.into_iter().flatten().chain(left_out).chain(self.notices.iter().cloned()).chain(harmless).collect()
    }

    fn hint(&self, failing: &FailedRequests) -> &str {
        let of_login = self.login_hint.as_deref().filter(|_| failing.kind == FailureKind::LoginRefused);
        of_login.unwrap_or(&self.hint)
    }
}

/// The state to be written before the request: the intent of a request that cannot be repeated, and a first state, so
/// that the first response finds the salt of its hashes.
fn intent_write(credential: &Credential<'_>) -> Option<StateWrite> {
    let (input, state) = (credential.input, credential.state);
    if input.validated.kind().renewal().is_repeatable {
        let is_first = input.known_state().is_none();
        return is_first.then(|| input.write_state(state.clone())).flatten();
    }
    let is_intended = state.intent.as_ref().is_some_and(|found| input.memory.is_about_to_call(found, input.now.mono));
    if credential.writable == Writable::Neither || is_intended {
        return None;
    }
    let intent = Some(Intent { time: input.now.wall, holder: input.observed.holder.clone() });
    input.write_state(State { intent, ..state.clone() })
}
