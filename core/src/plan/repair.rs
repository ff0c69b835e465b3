//! Repairs of both Secrets from the state, without a request.

use super::Step;
use super::input::PlanInput;
use crate::memory::Target;
use crate::messages;
use crate::reason::Finding;
use crate::secrets::{self, SecretWrite};
use crate::state::State;
use crate::time::Moment;
use kube_core::ResourceExt;

/// Result of comparing both Secrets with the state. Needs no request.
pub(super) enum Repair {
    /// Both Secrets are up to date.
    Nothing,
    /// A Secret has to be written.
    Now(Box<Step>),
    /// Another writer keeps changing a Secret, or the API server does not accept a write: not before then. Requests do
    /// not wait for it.
    Later(Moment, Finding),
    /// A Secret must be left alone, until then or until something changes: a requested token could not be delivered.
    Blocked(Option<Moment>, Finding),
}

impl PlanInput<'_> {
    pub(super) fn repair(&self) -> Repair {
        let Some(state) = self.known_state().cloned().or_else(|| self.state_in_token_secret()) else {
            return Repair::Nothing;
        };
        match (self.repair_state(&state), self.repair_token(&state)) {
            (Repair::Nothing, token) => token,
            (Repair::Later(..), token @ (Repair::Now(_) | Repair::Blocked(..))) => token,
            (state, _) => state,
        }
    }

    fn repair_state(&self, state: &State) -> Repair {
        let mut wanted = self.list_managed_fields(state.clone());
        if !self.has_been_reconciled() {
            wanted.refresh = self.observed.refresh().or(wanted.refresh);
        }
        // A changed spec may change what marks it as ours, and nothing else.
        let generation = self.observed.resource.metadata.generation;
        let respecified = self.memory.written_token.as_ref().is_some_and(|known| known.generation != generation);
        let is_new = respecified || self.memory.state.as_ref() != Some(&wanted);
        match self.write_state(wanted) {
            Some(wanted) if is_new || self.is_only_marked(Target::State, &wanted.write) => {
                Repair::Now(Box::new(Step::WriteState(wanted)))
            }
            Some(wanted) => self.repair_write(wanted.write),
            None => Repair::Nothing,
        }
    }

    fn repair_token(&self, state: &State) -> Repair {
        let token = self.observed.token.as_ref();
        if let Some(finding) = self.token_obstacle(Some(state)) {
            return Repair::Blocked(None, finding);
        }
        let is_new = self.memory.written_token != self.observed.written_token(state);
        let write = secrets::next_token(token, self.observed.desired(), &self.owner, state);
        if let Some(failed) = self.postponed_write(Target::Token).filter(|_| write.is_some()) {
            let (at, finding) = (failed.not_before, messages::write_failed(failed));
            let is_refused = failed.refused.is_some();
            return if is_refused { Repair::Blocked(Some(at), finding) } else { Repair::Later(at, finding) };
        }
        match write {
            Some(write) if is_new || self.is_only_marked(Target::Token, &write) => {
                Repair::Now(Box::new(Step::WriteToken(write)))
            }
            Some(write) => self.repair_write(write),
            None => Repair::Nothing,
        }
    }

    /// True for our first write of a Secret that changes only labels, annotations and owners: an older version wrote
    /// them differently, or a backup restored the Secret without them. No other writer was involved.
    fn is_only_marked(&self, target: Target, write: &SecretWrite) -> bool {
        let read = match target {
            Target::State => self.observed.state.secret(),
            Target::Token => self.observed.token.as_ref(),
        };
        let is_same = read.is_some_and(|read| read.data == write.secret().data);
        is_same && !self.memory.writes.has_written(target)
    }

    /// False before the first pass over a resource: a refresh annotation that it was created with counts as handled,
    /// also where a retained state is resumed.
    fn has_been_reconciled(&self) -> bool {
        let status = self.memory.last_status.as_ref().or(self.observed.resource.status.as_ref());
        status.and_then(|status| status.observed_generation).is_some_and(|generation| generation >= 0)
    }

    /// Another writer changes our Secrets: repaired at once, within a rate limit.
    fn repair_write(&self, write: SecretWrite) -> Repair {
        let at = self.memory.writes.repair_at(self.now.mono);
        if at <= self.now.mono {
            return Repair::Now(Box::new(Step::Repair(write)));
        }
        Repair::Later(at, messages::contested(&write.secret().name_any()))
    }

    /// The state lists a name as ours before it is written to a Secret.
    pub(super) fn list_managed_fields(&self, state: State) -> State {
        let desired = secrets::desired_names(self.observed.desired(), state.active_token());
        if state.written.covers(&desired) { state } else { self.refresh_managed_fields(state) }
    }

    /// As the state is written anyway, names that are gone stop being ours.
    pub(super) fn refresh_managed_fields(&self, mut state: State) -> State {
        let desired = secrets::desired_names(self.observed.desired(), state.active_token());
        let present = secrets::present_names(self.observed.token.as_ref(), self.observed.state.secret());
        state.written = state.written.intersection(&present).union(&desired);
        state
    }
}
