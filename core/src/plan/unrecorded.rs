//! What is done while the state Secret cannot be written.

use super::input::{Delivery, Desk};
use super::{Plan, Step};
use crate::issuer::Cause;
use crate::memory::{Target, Unwritten};
use crate::messages;
use crate::reason::Finding;
use crate::state::Role;
use crate::time::Moment;
use std::time::Duration;

/// One write that failed is no outage.
const OUTAGE: u32 = 2;
/// How soon it is looked at again what became of the last tries.
const NEXT_LOOK: Duration = Duration::from_secs(1);

impl Desk<'_> {
    /// Nothing, as a rule, until the next attempt at the write. But a session that ends meanwhile ends for good where there
    /// is no login: near its end it is extended without an announcement, and from an answer that is still in hand. A process
    /// that dies before the answer is recorded takes the pair with it; without the extension it would be lost for certain.
    pub(super) fn unrecorded(&self) -> Option<Plan> {
        let unwritten = self.memory.writes.failing(Target::State)?;
        let finding = self.finding(unwritten);
        let last_moment = self.last_moment().filter(|_| unwritten.count >= OUTAGE);
        if last_moment.is_some_and(|at| at <= self.now.mono)
            && let Some(plan) = self.last_call()
        {
            let next_look = unwritten.not_before.max(self.now.mono + NEXT_LOOK);
            return Some(plan.meanwhile(Some(next_look), finding));
        }
        let next = last_moment.map_or(unwritten.not_before, |at| at.min(unwritten.not_before));
        self.put_off(Target::State).map(|_| Plan::wait(Some(next), vec![finding]))
    }

    /// The first call waits for no write, which may hang for longer than the session lives. Between further ones the write
    /// has its turn.
    fn last_call(&self) -> Option<Plan> {
        let plan = self.ask(Delivery::Unrecorded);
        let has_failed = [Role::Main, Role::Fallback].iter().any(|role| self.memory.is_failing(*role));
        let is_first = matches!(plan.step, Step::Call(_)) && !has_failed;
        (is_first || self.put_off(Target::State).is_some()).then_some(plan)
    }

    fn finding(&self, unwritten: &Unwritten) -> Finding {
        let holds_pair = self.held().is_some_and(|held| held.brings_pair());
        if holds_pair { messages::pair_unrecorded(unwritten) } else { messages::write_failed(unwritten) }
    }

    /// When the session is to be extended at the latest, recorded or not; none where that would come too late, or is not
    /// wanted.
    fn last_moment(&self) -> Option<Moment> {
        if self.observed.resource.spec.suspend || !self.validated.kind().renewal().is_lost_at_expiry {
            return None;
        }
        let state = self.latest_state()?;
        let issued = state.active_token().filter(|issued| issued.must_be_renewed())?;
        let life = self.memory.life(issued, self.now);
        let due = self.validated.terms.unrecorded_extension(issued, &life, self.now);
        let lives = life.expires.is_some_and(|expires| self.now.mono < expires && due.at < expires);
        (lives && due.cause == Cause::Extension).then_some(due.at)
    }
}
