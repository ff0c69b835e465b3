//! The way of a pass to its request: the permit, what has to be written first, and the request itself.

use super::{Running, Settled};
use crate::controller::apply::{self, Permit};
use crate::controller::observe::ObserveError;
use crate::telemetry::audit::AuditCause;
use std::time::Duration;
use syniverse_token_core::effects;
use syniverse_token_core::issuer::TokenResponse;
use syniverse_token_core::memory::Target;
use syniverse_token_core::plan::{PlannedRequest, StateWrite};
use syniverse_token_core::queue::QueuedRequest;
use syniverse_token_core::reason::Finding;
use syniverse_token_core::reconcile_report::StepResult;
use syniverse_token_core::time::Moment;

/// Time within which a pass has to send its request. A later request is not sent: its response would come after the end
/// of the pass.
pub(super) const BEFORE_A_CALL: Duration = Duration::from_secs(45);

/// Delay of a request that has to wait for the Lease to be renewed.
const LEASE_RETRY: Duration = Duration::from_secs(1);

/// The longest time in line without a pass: what the status says of others may have changed.
const LONGEST_IN_LINE: Duration = Duration::from_secs(300);

/// Progress of a request.
pub(super) enum RequestStep {
    Continue,
    /// Nothing more to do now.
    Settled(Settled),
    /// The resource is gone.
    Gone,
}

impl Running<'_> {
    /// The next step to this request. A pass sends at most one.
    pub(super) async fn step_to_request(
        &mut self,
        planned: PlannedRequest,
        findings: Vec<Finding>,
        now: Moment,
    ) -> Result<RequestStep, ObserveError> {
        if self.has_requested() || now > self.begun + BEFORE_A_CALL {
            let request = Some(self.queued(&planned));
            return Ok(RequestStep::Settled(Settled { findings, until: Some(now), request }));
        }
        // Checked again after the write of an intent, which may have taken its time.
        if !self.context.leadership.may_call(now) {
            self.withdraw();
            return Ok(RequestStep::Settled(Settled::until(Some(now + LEASE_RETRY), findings)));
        }
        // The write takes time: the permit is checked again.
        if self.publish_pending(&findings).await {
            return Ok(RequestStep::Continue);
        }
        let in_line = Settled::until(Some(now + LONGEST_IN_LINE), findings);
        self.make_request(planned, in_line).await
    }

    /// A dry run, the write of an intent, or the request. The request comes with the next plan: by then another process
    /// may be sending it.
    async fn make_request(
        &mut self,
        mut planned: PlannedRequest,
        in_line: Settled,
    ) -> Result<RequestStep, ObserveError> {
        if let Some(write) = planned.dry_run.take() {
            let is_there = self.dry_run(&write).await?;
            return Ok(if is_there { RequestStep::Continue } else { RequestStep::Gone });
        }
        let Some(intent_write) = planned.intent_write.take() else {
            return Ok(match apply::acquire(self.context, &self.observed, self.memory, &planned) {
                Some(permit) => {
                    self.request(planned, permit).await;
                    RequestStep::Continue
                }
                None => RequestStep::Settled(in_line),
            });
        };
        if !apply::reserve(self.context, &self.observed, self.memory, &planned) {
            return Ok(RequestStep::Settled(in_line));
        }
        self.cause = AuditCause::Request(planned.cause);
        Ok(if self.write_intent(intent_write).await? { RequestStep::Continue } else { RequestStep::Gone })
    }

    pub(super) fn queued(&self, planned: &PlannedRequest) -> QueuedRequest {
        apply::queued(self.context, &self.observed, self.memory, planned)
    }

    fn has_requested(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, StepResult::Requested(..)))
    }

    async fn request(&mut self, planned: PlannedRequest, permit: Permit<'_>) {
        let cause = planned.cause;
        self.cause = AuditCause::Request(cause);
        let result = apply::request_token(permit, &mut self.observed, self.memory, &planned).await;
        let skew = result.as_ref().ok().and_then(|response| self.skew(response));
        self.steps.extend(skew);
        self.steps.push(StepResult::Requested(cause, result));
    }

    fn skew(&mut self, response: &TokenResponse) -> Option<StepResult> {
        let ahead = response.clock_skew(self.now().wall)?;
        self.memory.observe_skew(ahead).then_some(StepResult::SawSkew(ahead))
    }

    async fn write_intent(&mut self, intent_write: StateWrite) -> Result<bool, ObserveError> {
        self.memory.state_write_started((*intent_write.state).clone());
        let is_there = self
            .write_secret(Target::State, &intent_write.write, |pass, secret, now| {
                effects::intent_written(&mut pass.observed, pass.memory, &intent_write, secret, now);
                StepResult::WroteState
            })
            .await?;
        effects::intent_found(self.memory, &intent_write, self.context.clock.now().mono);
        Ok(is_there)
    }
}
