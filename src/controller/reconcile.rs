//! A pass over a resource: observe, plan, apply, until there is nothing to do now; then the status, and the next wake.

use crate::controller::apply::WriteFailure;
use crate::controller::context::Context;
use crate::controller::observe::{ObserveError, observe};
use crate::telemetry::audit::AuditCause;
use crate::telemetry::traces;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::{PropagationSpec, SyniverseToken};
use syniverse_token_core::effects;
use syniverse_token_core::intent::RECORDING;
use syniverse_token_core::memory::{Memory, Target};
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::{Plan, Step, plan};
use syniverse_token_core::propagation::Delivery;
use syniverse_token_core::queue::QueuedRequest;
use syniverse_token_core::reason::Finding;
use syniverse_token_core::reconcile_report::{ReconcileReport, ServedToken, StepResult};
use syniverse_token_core::state::{State, TokenRecord};
use syniverse_token_core::status::TokenHealth;
use syniverse_token_core::time::{Moment, Now};
use tracing::Instrument;

mod requesting;
mod saying;
mod writing;

use requesting::{BEFORE_A_CALL, RequestStep};

/// Limit of the steps of a pass: a first issue takes 6 (status, dry run, state, request, state, token Secret), each
/// conflict another.
const STEPS: usize = 12;

/// Runs a pass. `memory` is the resource's, held for as long as the pass runs.
///
/// # Errors
/// When the API server cannot be read; nothing has been done then.
pub async fn reconcile(
    context: &Context,
    resource: Arc<SyniverseToken>,
    memory: &mut Memory,
) -> Result<ReconcileReport, ObserveError> {
    let begun = context.clock.now().mono;
    let observed = observe(context, Arc::clone(&resource), memory).instrument(traces::step("observe")).await?;
    memory.set_acting_since(observed.acting_since);
    // A response that an earlier pass has received is recorded by this one.
    let cause = memory.unrecorded.as_ref().map_or(AuditCause::Content, |it| AuditCause::Request(it.cause));
    let mut pass = Running {
        context,
        begun,
        observed,
        memory,
        steps: Vec::new(),
        cause,
        token_written_at: None,
        found: None,
        has_published_pending: false,
    };
    pass.note_secrets_read();
    let found = pass.served_token();
    pass.found = found.as_ref().map(|found| Found { token: found.clone(), by: pass.active() });
    Ok(match pass.run().await? {
        Some(settled) => ReconcileReport { served_before: found, ..pass.conclude(settled).await },
        None => {
            context.withdraw(&context.name(&resource));
            ReconcileReport { steps: pass.steps, ..ReconcileReport::default() }
        }
    })
}

/// Longest duration of a pass, where a request takes up to `call_timeout`. A few requests to the API server fit in as
/// well.
pub fn longest_pass(call_timeout: Duration) -> Duration {
    BEFORE_A_CALL + call_timeout + RECORDING
}

struct Running<'a> {
    context: &'a Context,
    begun: Moment,
    observed: Observed,
    memory: &'a mut Memory,
    steps: Vec<StepResult>,
    /// Why Secrets are written: the request that their contents come from.
    cause: AuditCause,
    /// When the token Secret was written.
    token_written_at: Option<Moment>,
    /// The token in the token Secret when the pass began.
    found: Option<Found>,
    /// The pending status was published, or could not be.
    has_published_pending: bool,
}

/// A token in the token Secret, and the credential that it was issued to.
struct Found {
    token: ServedToken,
    by: Option<String>,
}

/// Nothing more to do now.
struct Settled {
    findings: Vec<Finding>,
    until: Option<Moment>,
    /// The request that is due then.
    request: Option<QueuedRequest>,
}

impl Settled {
    fn until(until: Option<Moment>, findings: Vec<Finding>) -> Self {
        Self { findings, until, request: None }
    }
}

impl Running<'_> {
    /// Takes steps until the plan says wait; none when the resource is gone. Sends at most one request: the next
    /// request is a new pass, with everything read again.
    async fn run(&mut self) -> Result<Option<Settled>, ObserveError> {
        for _ in 0..STEPS {
            let now = self.now();
            let Plan { step, findings, upcoming } = plan(&self.observed, self.memory, now);
            match step {
                Step::Wait(until) => {
                    self.withdraw();
                    let request = upcoming.map(|planned| self.queued(&planned));
                    return Ok(Some(Settled { findings, until, request }));
                }
                Step::Request(planned) => match self.step_to_request(*planned, findings, now.mono).await? {
                    RequestStep::Continue => {}
                    RequestStep::Settled(settled) => return Ok(Some(settled)),
                    RequestStep::Gone => return Ok(None),
                },
                step => {
                    if !self.apply_step(step).await? {
                        return Ok(None);
                    }
                }
            }
        }
        let (token, state) = (self.observed.resource.secret_name(), self.observed.resource.state_secret_name());
        let detail = format!(
            "Secrets {token} and {state} change faster than they can be written: find out what else writes them"
        );
        self.note_failed_write(Target::State, WriteFailure { detail, is_refused: false });
        self.withdraw();
        let until = self.memory.writes.failing(Target::State).map(|failed| failed.not_before);
        Ok(Some(Settled::until(until, Vec::new())))
    }

    /// Nothing is wanted of the queue now: others need not wait for it.
    fn withdraw(&self) {
        self.context.withdraw(&self.context.name(&self.observed.resource));
    }

    async fn observe_again(&mut self) -> Result<(), ObserveError> {
        let observing = observe(self.context, Arc::clone(&self.observed.resource), self.memory);
        self.observed = observing.instrument(traces::step("observe")).await?;
        self.note_secrets_read();
        Ok(())
    }

    fn note_failed_write(&mut self, target: Target, WriteFailure { detail, is_refused }: WriteFailure) {
        let now = self.now().mono;
        self.steps.push(StepResult::FailedWrite(detail.clone()));
        effects::write_failed(&self.observed, self.memory, target, detail, is_refused, now);
    }

    /// Takes a step; false when the resource is gone.
    async fn apply_step(&mut self, step: Step) -> Result<bool, ObserveError> {
        match step {
            Step::WriteState(wanted) => return self.write_state(wanted).await,
            Step::WriteToken(write) => return self.write_token(write).await,
            Step::Repair(write) => return self.repair(write).await,
            Step::DiscardResponse => self.memory.unrecorded = None,
            Step::Request(_) | Step::Wait(_) => {}
        }
        Ok(true)
    }

    fn now(&self) -> Now {
        self.context.clock.now()
    }

    /// Has the token in the token Secret delivered to those who use it, unless the status says that it was.
    fn deliver(&self) {
        let resource = &self.observed.resource;
        let Some(spec) = resource.spec.propagation.clone().filter(PropagationSpec::is_wanted) else { return };
        let record = self.observed.stored_state().and_then(State::active_token);
        let delivery = record.zip(self.served_token()).map(|(record, served)| Delivery {
            uid: resource.uid().unwrap_or_default(),
            generation: resource.metadata.generation.unwrap_or_default(),
            spec,
            secret: resource.secret_name().to_owned(),
            fingerprint: served.fingerprint,
            since: if self.token_written_at.is_some() { self.now().wall } else { record.issue_time },
            expires: served.expires,
            written_at: self.token_written_at,
            old_ends: self.old_ends(record),
        });
        let said = self.observed.propagation.status.as_ref();
        if let Some(delivery) = delivery.filter(|delivery| !delivery.is_said_in(said)) {
            self.context.deliver(&self.context.name(resource), delivery);
        }
    }

    /// When the token ends that was replaced by this one, if it lives on: that of another credential, or where an issuer
    /// lets both live. Not if a consumer was refused with it.
    fn old_ends(&self, record: &TokenRecord) -> Option<Moment> {
        let found = self.found.as_ref().filter(|_| self.token_written_at.is_some())?;
        let is_refused = self.observed.resource.rejected() == Some(found.token.fingerprint.as_str());
        let lives_on = found.by != self.active() || record.renewal().may_come_early;
        found.token.expires.filter(|_| lives_on && !is_refused)
    }

    fn active(&self) -> Option<String> {
        self.observed.stored_state().and_then(|state| state.active.clone())
    }

    fn served_token(&self) -> Option<ServedToken> {
        let now = self.now();
        TokenHealth::of(&self.observed, self.memory, &[], now).served_token(None, now.mono)
    }

    /// Notes what was read.
    fn note_secrets_read(&mut self) {
        let now = self.now().mono;
        if effects::secrets_read(&self.observed, self.memory, now) && self.context.metrics.observe_rival() {
            let (namespace, name) = (self.observed.resource.namespace(), self.observed.resource.name_any());
            tracing::warn!(
                namespace,
                name,
                "another operator works here: it has recorded a response of the issuer, and both request every \
                 token; stop one of them, or give each its own namespaces"
            );
        }
    }
}
