//! What the issuer would be asked for one resource, and when: the one list of causes, and what holds a call back.

use super::{Call, Delivery, Desk, StateWrite};
use crate::issuer::{Ask, Cause, FailureKind};
use crate::memory::{Attempt, Failing};
use crate::moment::Moment;
use crate::reason::{Finding, Reason};
use crate::schedule::boundary::Boundary;
use crate::schedule::governor::refill;
use crate::schedule::{Due, Life};
use crate::state::{Inputs, Issued, State};
use crate::verdict;
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
    fn causes(&self, question: &Question<'_>) -> &'static [&'static str];

    /// A cause that lies in what happened to the token.
    fn event(&self, question: &Question<'_>, issued: &Issued) -> Option<Cause>;

    /// The moment at which time alone is a cause.
    fn next_due(&self, question: &Question<'_>, issued: &Issued, life: &Life) -> Option<Due>;

    /// What cannot wait until the `change` succeeds that was tried in vain.
    fn due_meanwhile(&self, question: &Question<'_>, issued: &Issued, life: &Life, change: Cause) -> Option<Due>;

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
        let attempt = Attempt { inputs: side.inputs(&state.salt), refresh: desk.observed.refresh() };
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
    pub(super) fn due(&self) -> Option<Due> {
        let now = self.desk.now;
        let at_once = |cause| Some(Due { cause, at: now.mono });
        let Some(issued) = self.issued() else { return at_once(Cause::FirstIssue) };
        let life = self.desk.memory.life(issued, now);
        if let Some(change) = self.change().map(Cause::Changed) {
            let meanwhile = self.side.due_meanwhile(self, issued, &life, change).filter(|due| due.at <= now.mono);
            // They take turns, as either may be in vain.
            let was_in_vain = |due: &Due| self.failing().is_some_and(|failing| failing.cause != due.cause);
            return meanwhile.filter(was_in_vain).or(at_once(change));
        }
        if self.attempt.refresh.is_some() && self.attempt.refresh != self.state.refresh {
            return at_once(Cause::Requested);
        }
        if let Some(cause) = self.side.event(self, issued) {
            return at_once(cause);
        }
        self.side.next_due(self, issued, &life)
    }

    /// The value that a person has changed and that no call has settled yet.
    fn change(&self) -> Option<&'static str> {
        self.attempt.inputs.change_since(&self.state.inputs, self.side.causes(self))
    }

    /// Not before a failed attempt's delay has passed, the boundary has room, the governor allows it, and no other process
    /// is at it.
    pub(super) fn allowed_at(&self, due: Due) -> Moment {
        let now = self.desk.now.mono;
        let retry = self.failing().map(|failing| failing.not_before);
        let room = self.boundary().map(|boundary| boundary.room_at(now));
        let limits = [room, Some(self.governed_at()), self.side.honoured_until(self)];
        let later_than_now = limits.into_iter().flatten().filter(|at| *at > now);
        later_than_now.chain(retry).fold(due.at, Moment::max)
    }

    pub(super) fn boundary(&self) -> Option<&Boundary> {
        self.desk.memory.boundary(self.issued()?)
    }

    fn governed_at(&self) -> Moment {
        self.desk.memory.governor.ready_at(self.desk.now.mono, refill(self.issued()))
    }

    /// The failed attempt, if it was made with what we would ask with now.
    pub(super) fn failing(&self) -> Option<&Failing> {
        self.desk.memory.failing.as_ref().filter(|failing| failing.attempt == self.attempt)
    }

    pub(super) fn ask(&self, cause: Option<Cause>) -> Result<Ask, Finding> {
        self.side.ask(self, cause)
    }

    pub(super) fn call(&self, cause: Cause, ask: Ask) -> Call {
        let leaves_change = cause == Cause::Extension && self.change().is_some();
        let settled = if leaves_change { &self.state.inputs } else { &self.attempt.inputs };
        Call {
            ask,
            cause,
            settled: settled.clone(),
            id: self.id.clone(),
            issued: self.issued().cloned(),
            base: self.state.version(),
            attempt: self.attempt.clone(),
            holder: self.desk.observed.holder.clone(),
            is_retry: self.failing().is_some(),
            announcement: self.side.announcement(self),
        }
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
    pub(super) fn findings(&self, due: Option<Due>) -> Vec<Finding> {
        let desk = self.desk;
        let now = desk.now.mono;
        let due_now = due.is_some_and(|due| due.at <= now);
        let failing = self.failing().filter(|_| due_now);
        let exhausted = self.boundary().is_some_and(|boundary| boundary.is_exhausted(now));
        let main = [
            failing.map(|failing| verdict::failed(failing, &desk.observed.neighbours, &self.side.remedy(failing.kind))),
            exhausted.then(verdict::not_rotated),
            (due_now && self.governed_at() > now).then(verdict::calls_limited),
        ];
        main.into_iter().flatten().chain(self.side.notices(self)).collect()
    }
}
