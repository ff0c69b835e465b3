//! Inputs of a plan, and the conclusions that need no credential.

use super::{Plan, StateWrite, Step};
use crate::memory::{FailedWrites, Memory, Target};
use crate::observed::{Observed, StateSecret};
use crate::secrets::{self, Owner, Restored, SecretWrite};
use crate::state::{Inputs, State, TokenRecord, UnrecordedResponse};
use crate::time::Now;
use crate::validated::Validated;

/// Which of the two Secrets can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writable {
    /// Both.
    Both,
    /// The state Secret alone.
    StateOnly,
    /// Neither: only a credential that would otherwise be lost is renewed, and nothing else is requested.
    Neither,
}

/// Inputs of a plan.
pub(super) struct PlanInput<'a> {
    pub(super) observed: &'a Observed,
    pub(super) memory: &'a Memory,
    pub(super) now: Now,
    pub(super) owner: Owner,
    pub(super) validated: Validated<'a>,
}

impl PlanInput<'_> {
    /// The failed writes of this Secret, if no retry is due yet.
    pub(super) fn postponed_write(&self, target: Target) -> Option<&FailedWrites> {
        self.memory.writes.postponed_write(target, &self.observed.write_basis(target), self.now.mono)
    }

    /// An unrecorded response comes before everything else, also where its token cannot be delivered yet.
    pub(super) fn record(&self) -> Option<Plan> {
        self.memory.unrecorded.as_ref()?;
        let next = self.unrecorded_response().and_then(|unrecorded| self.known_state()?.record(unrecorded));
        let next = next.map(|next| self.refresh_managed_fields(next));
        let write = next.and_then(|next| self.write_state(next));
        Some(Plan::now(write.map_or(Step::DiscardResponse, Step::WriteState)))
    }

    /// The unrecorded response, unless it was superseded.
    pub(super) fn unrecorded_response(&self) -> Option<&UnrecordedResponse> {
        let unrecorded = self.memory.unrecorded.as_ref().filter(|unrecorded| !unrecorded.is_expired(self.now.mono))?;
        self.known_state().is_some_and(|state| state.version() == unrecorded.base).then_some(unrecorded)
    }

    /// The known state, including an unrecorded response.
    pub(super) fn latest_state(&self) -> Option<State> {
        let known = self.known_state()?;
        Some(
            self.unrecorded_response().and_then(|unrecorded| known.record(unrecorded)).unwrap_or_else(|| known.clone()),
        )
    }

    /// The stored state, or this process' memory of it after it was deleted, corrupted or rolled back.
    pub(super) fn known_state(&self) -> Option<&State> {
        let remembered = self.memory.state.as_ref();
        match self.observed.stored_state() {
            Some(stored) => Some(remembered.filter(|known| known.is_newer_than(stored)).unwrap_or(stored)),
            None => remembered,
        }
    }

    /// None when it is already written.
    pub(super) fn write_state(&self, state: State) -> Option<StateWrite> {
        let state = self.list_managed_fields(state);
        let (read, stored) = (self.observed.state.secret(), self.readable_state());
        let write = secrets::next_state(read, stored, self.observed.desired(), &self.owner, &state)?;
        Some(StateWrite { state: Box::new(state), write })
    }

    fn readable_state(&self) -> Option<&State> {
        match self.observed.state_secret() {
            StateSecret::Ours(state) => Some(state),
            _ => None,
        }
    }

    /// A lost state, as far as the token Secret preserves it. It does not preserve values that can be used only once.
    pub(super) fn state_in_token_secret(&self) -> Option<State> {
        let token = self.observed.token.as_ref().filter(|token| self.owner.obstacle(token).is_none())?;
        let (kind, empty) = (self.validated.kind(), self.empty_state());
        let values = self.observed.values(self.validated.issuer).ok().filter(|_| kind.renewal().is_repeatable)?;
        let inputs = Inputs::of(&empty.salt, values.named());
        let credential = Restored { id: empty.id_of(values.identity()), kind, inputs };
        secrets::restore(token, self.observed.resource.spec.key(), empty, credential)
    }

    /// A state without a token. The annotation present at creation, or handled by a deleted resource of this name,
    /// counts as handled.
    pub(super) fn empty_state(&self) -> State {
        let handled = self.observed.resource.status.as_ref().and_then(|status| status.last_handled_refresh.clone());
        State::new(self.observed.salt.clone(), handled.or_else(|| self.observed.refresh()))
    }

    pub(super) fn is_first_issue(&self) -> bool {
        self.known_state().is_none_or(|state| state.active_token().is_none())
    }

    /// Before the first token, no token is requested that the API server would refuse to store.
    pub(super) fn dry_run(&self) -> Option<SecretWrite> {
        let is_over = self.memory.writes.has_dry_run(&self.observed.write_basis(Target::Token));
        let (read, kind) = (self.observed.token.as_ref(), self.validated.kind());
        let sample = || secrets::dry_run_write(read, kind, self.observed.desired(), &self.owner, self.now.wall);
        (self.is_first_issue() && !is_over).then(sample).flatten()
    }

    /// True while there is a credential that is lost unless its token is renewed in time, delivered or not.
    pub(super) fn must_renew(&self) -> bool {
        let token = self.known_state().and_then(State::active_token);
        self.validated.kind().renewal().is_lost_at_expiry && token.is_some_and(TokenRecord::must_be_renewed)
    }
}
