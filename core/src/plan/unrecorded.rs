//! Requests while the state Secret cannot be written.

use super::input::{PlanInput, Writable};
use super::{Plan, Step};
use crate::issuer::Cause;
use crate::memory::{FailedWrites, Target};
use crate::messages;
use crate::reason::Finding;
use crate::state::Role;
use crate::time::Moment;
use std::time::Duration;

/// A single failed write is no outage.
const OUTAGE: u32 = 2;
/// Delay until the result of the last attempts is checked.
const NEXT_LOOK: Duration = Duration::from_secs(1);

impl PlanInput<'_> {
    /// No request, as a rule, until the next attempt at the write. But a session that ends meanwhile is lost where
    /// there is no login: near its end it is extended without an intent, and from an unrecorded response. A process
    /// that dies before the response is recorded takes the pair with it; without the extension it would certainly be
    /// lost.
    pub(super) fn plan_unrecorded(&self) -> Option<Plan> {
        let failed = self.memory.writes.failing(Target::State)?;
        let finding = self.finding(failed);
        let last_moment = self.last_moment().filter(|_| failed.count >= OUTAGE);
        if last_moment.is_some_and(|at| at <= self.now.mono)
            && let Some(plan) = self.last_request()
        {
            let next_look = failed.not_before.max(self.now.mono + NEXT_LOOK);
            return Some(plan.meanwhile(Some(next_look), finding));
        }
        let next = last_moment.map_or(failed.not_before, |at| at.min(failed.not_before));
        self.postponed_write(Target::State).map(|_| Plan::wait(Some(next), vec![finding]))
    }

    /// The first request waits for no write, which may hang for longer than the session lives. Between further requests
    /// a write is attempted.
    fn last_request(&self) -> Option<Plan> {
        let plan = self.plan_request(Writable::Neither);
        let has_failed = [Role::Main, Role::Fallback].iter().any(|role| self.memory.is_failing(*role));
        let is_first = matches!(plan.step, Step::Request(_)) && !has_failed;
        (is_first || self.postponed_write(Target::State).is_some()).then_some(plan)
    }

    fn finding(&self, failed: &FailedWrites) -> Finding {
        let has_pair = self.unrecorded_response().is_some_and(|unrecorded| unrecorded.has_pair());
        if has_pair { messages::pair_unrecorded(failed) } else { messages::write_failed(failed) }
    }

    /// Latest moment to extend the session, recorded or not; none where that would be too late, or is unwanted.
    fn last_moment(&self) -> Option<Moment> {
        if self.observed.resource.spec.suspend || !self.validated.kind().renewal().is_lost_at_expiry {
            return None;
        }
        let state = self.latest_state()?;
        let record = state.active_token().filter(|record| record.must_be_renewed())?;
        let lifetime = self.memory.lifetime(record, self.now);
        let due = self.validated.refresh_policy.unrecorded_extension(record, &lifetime, self.now);
        let lives = lifetime.expires.is_some_and(|expires| self.now.mono < expires && due.at < expires);
        (lives && due.cause == Cause::Extension).then_some(due.at)
    }
}
