//! What the issuer would be asked for one resource, and when: the one list of causes, and what holds a call back.

use super::{Call, Delivery, Desk, StateWrite};
use crate::issuer::{Ask, Cause, FailureKind};
use crate::memory::Failing;
use crate::messages;
use crate::reason::{Finding, Reason};
use crate::schedule::expiry_poll::Boundary;
use crate::schedule::rate_limiter::refill;
use crate::schedule::{Due, Life};
use crate::state::inputs::PASSWORD;
use crate::state::{Attempt, Inputs, Issued, State};
use crate::time::Moment;
use std::time::Duration;

/// How long a process that begins to act gets to know all resources.
const SETTLING: Duration = Duration::from_secs(60);

/// What the two issuers do not have in common.
pub(super) trait Side {
    /// The name under which its token is kept.
    fn id(&self, state: &State) -> String;

    /// What it would be asked with, hashed with the salt of the state.
    fn inputs(&self, salt: &str) -> Inputs;

    /// The inputs of which a new value is a cause to ask, the most telling one first.
    fn causes(&self, question: &Question<'_>) -> Vec<&'static str>;

    /// A refused login has another password now, of which nothing is recorded.
    fn has_new_password(&self, _: &Question<'_>) -> bool {
        false
    }

    /// A cause that lies in what happened to the token.
    fn event(&self, question: &Question<'_>, issued: &Issued) -> Option<Cause>;

    /// The moment at which time alone is a cause.
    fn next_due(&self, question: &Question<'_>, issued: &Issued, life: &Life) -> Option<Due>;

    /// What would be asked, had nothing been changed; none where that is asked with the changed values as well.
    fn upkeep(&self, question: &Question<'_>) -> Option<Ask>;

    /// What would be asked.
    ///
    /// # Errors
    /// A finding that says what is missing, when nothing could be.
    fn ask(&self, question: &Question<'_>, cause: Option<Cause>) -> Result<Ask, Finding>;

    /// What must be in the state Secret before a call that cannot be repeated; none where it can be, or is there.
    fn announcement(&self, question: &Question<'_>) -> Option<StateWrite>;

    /// Not before then, because another process may be making that very call.
    fn honoured_until(&self, question: &Question<'_>) -> Option<Moment>;

    /// What a person should know although all is well.
    fn notices(&self, question: &Question<'_>) -> Vec<Finding>;

    /// True while they rest on what an earlier process said, which this one may come to know better.
    fn is_provisional(&self, question: &Question<'_>) -> bool;

    /// Where a person finds what is right, for a sentence about values that may be wrong, after such a failure.
    fn remedy(&self, kind: FailureKind) -> String;
}

/// One thing to ask the issuer.
pub(super) struct Errand {
    due: Due,
    ask: Ask,
    /// It goes on while a change is tried in vain.
    is_upkeep: bool,
    /// It does not take the last permit, which is for what matters more.
    leaves_one: bool,
}

/// What the issuer would be asked, and when.
pub(super) struct Question<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) state: &'a State,
    side: &'a dyn Side,
    id: String,
    pub(super) attempt: Attempt,
    pub(super) delivery: Delivery,
}

impl<'a> Question<'a> {
    pub(super) fn new(desk: &'a Desk<'a>, state: &'a State, side: &'a dyn Side, delivery: Delivery) -> Self {
        let attempt = Attempt { inputs: side.inputs(&state.salt), refresh: desk.observed.refresh(), is_upkeep: false };
        Self { desk, state, side, id: side.id(state), attempt, delivery }
    }

    /// The last token of this application or session, delivered or not.
    pub(super) fn known(&self) -> Option<&Issued> {
        self.state.tokens.get(&self.id)
    }

    /// The same, if it is the one in the token Secret.
    pub(super) fn issued(&self) -> Option<&Issued> {
        self.known().filter(|_| self.state.active.as_ref() == Some(&self.id))
    }

    /// The one list of causes, in order.
    fn due(&self) -> Option<Due> {
        let now = self.desk.now.mono;
        let Some(issued) = self.issued() else { return Some(Due { cause: Cause::FirstIssue, at: now }) };
        let change = self.change().map(|cause| Due { cause, at: now });
        change.or_else(|| self.due_unchanged(issued))
    }

    /// A value that a person has changed and that no call has settled yet, or a wish for a call.
    fn change(&self) -> Option<Cause> {
        let causes = self.side.causes(self);
        let value = self.attempt.inputs.change_since(&self.state.inputs, &causes);
        let value = value.or_else(|| self.side.has_new_password(self).then_some(PASSWORD)).map(Cause::Changed);
        let is_requested = self.attempt.refresh.is_some() && self.attempt.refresh != self.state.refresh;
        value.or(is_requested.then_some(Cause::Requested))
    }

    fn due_unchanged(&self, issued: &Issued) -> Option<Due> {
        let now = self.desk.now;
        let event = self.side.event(self, issued).map(|cause| Due { cause, at: now.mono });
        event.or_else(|| self.side.next_due(self, issued, &self.desk.memory.life(issued, now)))
    }

    /// What is due next, and what goes on while that is a change that was tried in vain.
    ///
    /// # Errors
    /// A finding that says what is missing, when nothing could be asked.
    pub(super) fn errands(&self) -> Result<Vec<Errand>, Finding> {
        if self.delivery == Delivery::Unrecorded {
            return Ok(self.unrecorded().into_iter().collect());
        }
        let due = self.due();
        let ask = self.side.ask(self, due.map(|due| due.cause))?;
        let Some(Due { cause, at }) = due else { return Ok(Vec::new()) };
        let upkeep = self.upkeep(&ask);
        // Of two that may be asked now the one comes first that has waited longer.
        let waits_since = upkeep.as_ref().and(self.failing(false)).map(|failing| failing.not_before);
        let at = waits_since.map_or(at, |since| since.min(at));
        let leaves_one = upkeep.is_some() && self.failing(true).is_none();
        let main = Errand { due: Due { cause, at }, ask, is_upkeep: false, leaves_one };
        Ok([main].into_iter().chain(upkeep).collect())
    }

    /// What cannot be recorded is asked with the stored pair only. A change waits: should it be in vain, that could not be
    /// recorded either.
    fn unrecorded(&self) -> Option<Errand> {
        let due = self.due_unchanged(self.issued()?)?;
        let is_upkeep = self.change().is_some();
        Some(Errand { due, ask: self.side.upkeep(self)?, is_upkeep, leaves_one: false })
    }

    fn upkeep(&self, asked: &Ask) -> Option<Errand> {
        let issued = self.issued().filter(|_| self.failing(false).is_some())?;
        let due = self.due_unchanged(issued)?;
        let ask = self.side.upkeep(self).filter(|ask| ask != asked)?;
        Some(Errand { due, ask, is_upkeep: true, leaves_one: false })
    }

    /// Not before a failed attempt's delay has passed, the boundary has room, the governor allows it, and no other process
    /// is at it.
    pub(super) fn allowed_at(&self, errand: &Errand) -> Moment {
        let now = self.desk.now.mono;
        let retry = self.failing(errand.is_upkeep).map(|failing| failing.not_before);
        let room = self.boundary().map(|boundary| boundary.room_at(now));
        let limits = [room, Some(self.governed_at(errand)), self.side.honoured_until(self)];
        let later_than_now = limits.into_iter().flatten().filter(|at| *at > now);
        later_than_now.chain(retry).fold(errand.due.at, Moment::max)
    }

    pub(super) fn boundary(&self) -> Option<&Boundary> {
        self.desk.memory.boundary(self.issued()?)
    }

    fn governed_at(&self, errand: &Errand) -> Moment {
        let others = usize::from(errand.leaves_one);
        self.desk.memory.governor.ready_for(others, self.desk.now.mono, refill(self.issued()))
    }

    fn attempt(&self, is_upkeep: bool) -> Attempt {
        Attempt { is_upkeep, ..self.attempt.clone() }
    }

    /// The failed attempt, if it was made with what we would ask with now.
    pub(super) fn failing(&self, is_upkeep: bool) -> Option<&Failing> {
        let mut rows = [&self.desk.memory.failing, &self.desk.memory.upkeep_failing].into_iter().flatten();
        rows.find(|failing| failing.attempt == self.attempt(is_upkeep))
    }

    pub(super) fn call(&self, errand: Errand) -> Call {
        Call {
            ask: errand.ask,
            cause: errand.due.cause,
            due: errand.due.at,
            id: self.id.clone(),
            issued: self.issued().cloned(),
            base: self.desk.held().map_or_else(|| self.state.version(), |held| held.base.clone()),
            attempt: self.attempt(errand.is_upkeep),
            holder: self.desk.observed.holder.clone(),
            is_retry: self.desk.memory.is_failing(errand.is_upkeep),
            was_served: self.was_served(errand.is_upkeep),
            credentials: self.desk.observed.credentials_version(),
            has_new_password: self.side.has_new_password(self),
            follows: self.desk.held().map(|_| Box::new(self.state.clone())),
            rehearsal: self.desk.rehearsal(),
            announcement: self.side.announcement(self),
        }
    }

    /// The issuer gave the token that there is for what it would be asked with now. What goes on while a change is tried in
    /// vain is asked with the values before.
    fn was_served(&self, is_upkeep: bool) -> bool {
        self.known().is_some() && (is_upkeep || !self.attempt.inputs.differ(&self.state.inputs))
    }

    /// When what is said is to be looked at again.
    pub(super) fn settled_at(&self) -> Option<Moment> {
        (self.is_settling() && self.side.is_provisional(self)).then(|| self.settles_at())
    }

    /// When a process that has just begun to act has met every resource.
    fn settles_at(&self) -> Moment {
        self.desk.observed.acting_since + SETTLING
    }

    fn is_settling(&self) -> bool {
        self.desk.now.mono < self.settles_at()
    }

    /// What an earlier process said of this resource, if that was `reason` and holds: in its first minute a process may
    /// not have met every resource yet, and knows no better until it has met one that shares with this one.
    pub(super) fn still_said(&self, reason: Reason) -> Option<Finding> {
        if !self.is_settling() || self.desk.memory.met_sharers {
            return None;
        }
        let stored = self.desk.observed.resource.status.as_ref().and_then(crate::status::ready);
        let said = stored.filter(|ready| ready.reason == reason.as_str());
        said.map(|said| Finding::new(reason, said.message.clone()))
    }

    /// What a person should know, the most important thing first.
    pub(super) fn findings(&self, errands: &[Errand]) -> Vec<Finding> {
        let desk = self.desk;
        let now = desk.now.mono;
        let due_now = || errands.iter().rev().filter(|errand| errand.due.at <= now);
        let failing = due_now().find_map(|errand| self.failing(errand.is_upkeep));
        let exhausted = self.boundary().is_some_and(|boundary| boundary.is_exhausted(now));
        let is_limited = due_now().any(|errand| self.governed_at(errand) > now);
        let main = [
            failing
                .map(|failing| messages::failed(failing, &desk.observed.neighbours, &self.side.remedy(failing.kind))),
            exhausted.then(messages::not_rotated),
            is_limited.then(messages::calls_limited),
        ];
        let left_out = messages::metadata_not_allowed(desk.observed.wanted());
        main.into_iter().flatten().chain(left_out).chain(self.side.notices(self)).collect()
    }
}
