//! One pass over one resource: observe, plan, apply, until there is nothing to do now; then status, and when to wake.

use crate::controller::apply::{self, Turn, Unwelcome, Wrote};
use crate::controller::context::Context;
use crate::controller::observe::{ObserveError, observe};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::effects;
use syniverse_token_core::intent::RECORDING;
use syniverse_token_core::issuer::Answer;
use syniverse_token_core::memory::{Memory, Target};
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::{Call, Plan, StateWrite, Step, plan};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::reason::Finding;
use syniverse_token_core::reconcile_report::{Deed, Delivered, Pass};
use syniverse_token_core::secrets::Write;
use syniverse_token_core::status::Standing;
use syniverse_token_core::time::{Moment, Now};

mod saying;

/// Steps of one pass, at most: a first issue takes 6 (status, rehearsal, state, call, state, token Secret), each conflict one
/// more.
const STEPS: usize = 12;
/// How soon a call is tried again that had to wait for the Lease to be renewed.
const LEASE_RETRY: Duration = Duration::from_secs(1);

/// One pass. `memory` is the resource's, held for as long as the pass runs.
///
/// # Errors
/// When the API server cannot be read; nothing has been done then.
pub async fn reconcile(
    context: &Context,
    resource: Arc<SyniverseToken>,
    memory: &mut Memory,
) -> Result<Pass, ObserveError> {
    let begun = context.clock.now().mono;
    let observed = observe(context, Arc::clone(&resource), memory).await?;
    memory.acts_since(observed.acting_since);
    let mut pass = Running { context, begun, observed, memory, deeds: Vec::new(), written: None, has_greeted: false };
    pass.remember();
    let found = pass.found();
    Ok(match pass.run().await? {
        Some(rest) => Pass { found, ..pass.conclude(rest).await },
        None => Pass { deeds: pass.deeds, ..Pass::default() },
    })
}

/// A pass may take so long before it makes its call. One that took longer makes none: the answer would come when its time
/// is over.
const BEFORE_A_CALL: Duration = Duration::from_secs(45);

/// How long a pass may take, where a call takes up to `call_timeout`. A few requests to the API server fit in as well.
pub fn longest_pass(call_timeout: Duration) -> Duration {
    BEFORE_A_CALL + call_timeout + RECORDING
}

struct Running<'a> {
    context: &'a Context,
    begun: Moment,
    observed: Observed,
    memory: &'a mut Memory,
    deeds: Vec<Deed>,
    /// When the token Secret was written.
    written: Option<Moment>,
    /// The resource was said to be on its way, or was not for the API server.
    has_greeted: bool,
}

/// Nothing more to do now.
struct Rest {
    findings: Vec<Finding>,
    until: Option<Moment>,
}

/// How far a call has come.
enum Proceeded {
    On,
    Waits(Moment),
    /// The resource is gone.
    Gone,
}

impl Running<'_> {
    /// Takes step after step until the plan says wait; none when the resource is gone. At most one call: the next ask
    /// is a new pass, with everything read anew.
    async fn run(&mut self) -> Result<Option<Rest>, ObserveError> {
        for _ in 0..STEPS {
            let now = self.now();
            let Plan { step, findings } = plan(&self.observed, self.memory, now);
            match step {
                Step::Wait(until) => {
                    self.context.withdraw(&ObjectName::of(&*self.observed.resource));
                    return Ok(Some(Rest { findings, until }));
                }
                Step::Call(_) if self.has_asked() || now.mono > self.begun + BEFORE_A_CALL => {
                    return Ok(Some(Rest { findings, until: Some(now.mono) }));
                }
                // Asked anew after an announcement, which may have taken its time.
                Step::Call(_) if !self.context.leadership.may_call(now.mono) => {
                    return Ok(Some(Rest { findings, until: Some(now.mono + LEASE_RETRY) }));
                }
                // It takes its time as well: whether a call may be made is asked anew.
                Step::Call(_) if self.greet(&findings).await => {}
                Step::Call(call) => match self.proceed(*call).await? {
                    Proceeded::On => {}
                    Proceeded::Gone => return Ok(None),
                    Proceeded::Waits(at) => return Ok(Some(Rest { findings, until: Some(at) })),
                },
                step => {
                    if !self.take(step).await? {
                        return Ok(None);
                    }
                }
            }
        }
        let (token, state) = (self.observed.resource.secret_name(), self.observed.resource.state_secret_name());
        let detail = format!(
            "Secrets {token} and {state} change faster than they can be written: find out who else writes them"
        );
        self.failed_write(Target::State, Unwelcome { detail, is_refused: false });
        let until = self.memory.writes.failing(Target::State).map(|unwritten| unwritten.not_before);
        Ok(Some(Rest { findings: Vec::new(), until }))
    }

    /// What the API server says to a write that is not made yet is remembered; false when the resource is gone.
    async fn rehearse(&mut self, write: &Write) -> Result<bool, ObserveError> {
        match apply::rehearse(self.context, &self.observed, write).await {
            Wrote::Done(_) => effects::rehearsed(&self.observed, self.memory),
            Wrote::Gone => return Ok(false),
            Wrote::Overtaken => self.look_again().await?,
            Wrote::Failed(unwelcome) => self.failed_write(Target::Token, unwelcome),
        }
        Ok(true)
    }

    async fn look_again(&mut self) -> Result<(), ObserveError> {
        self.observed = observe(self.context, Arc::clone(&self.observed.resource), self.memory).await?;
        self.remember();
        Ok(())
    }

    /// A rehearsal, the announcement of a call, or the call. The call comes with the next plan: by then another process may be at it.
    async fn proceed(&mut self, mut call: Call) -> Result<Proceeded, ObserveError> {
        if let Some(write) = call.rehearsal.take() {
            let is_there = self.rehearse(&write).await?;
            return Ok(if is_there { Proceeded::On } else { Proceeded::Gone });
        }
        let Some(announcement) = call.announcement.take() else {
            return Ok(match apply::begin(self.context, &self.observed, self.memory, &call) {
                Ok(turn) => {
                    self.ask(call, turn).await;
                    Proceeded::On
                }
                Err(at) => Proceeded::Waits(at),
            });
        };
        if let Err(at) = apply::line_up(self.context, &self.observed, self.memory, &call) {
            return Ok(Proceeded::Waits(at));
        }
        Ok(if self.announce(announcement).await? { Proceeded::On } else { Proceeded::Gone })
    }

    fn failed_write(&mut self, target: Target, Unwelcome { detail, is_refused }: Unwelcome) {
        let now = self.now().mono;
        self.deeds.push(Deed::FailedWrite(detail.clone()));
        effects::write_failed(&self.observed, self.memory, target, detail, is_refused, now);
    }

    /// One step; false when the resource is gone.
    async fn take(&mut self, step: Step) -> Result<bool, ObserveError> {
        match step {
            Step::WriteState(wanted) => return self.write_state(wanted).await,
            Step::WriteToken(write) => return self.write_token(write).await,
            Step::Repair(write) => return self.repair(write).await,
            Step::Release => self.memory.held = None,
            Step::Call(_) | Step::Wait(_) => {}
        }
        Ok(true)
    }

    fn has_asked(&self) -> bool {
        self.deeds.iter().any(|deed| matches!(deed, Deed::Asked(..)))
    }

    async fn ask(&mut self, call: Call, turn: Turn<'_>) {
        let cause = call.cause;
        let result = apply::call(turn, &mut self.observed, self.memory, &call).await;
        let skew = result.as_ref().ok().and_then(|answer| self.skew(answer));
        self.deeds.extend(skew);
        self.deeds.push(Deed::Asked(cause, result));
    }

    fn now(&self) -> Now {
        self.context.clock.now()
    }

    fn skew(&mut self, answer: &Answer) -> Option<Deed> {
        let ahead = answer.date?.as_second() - self.now().wall.as_second();
        self.memory.saw_skew(ahead).then_some(Deed::SawSkew(ahead))
    }

    fn found(&self) -> Option<Delivered> {
        let now = self.now();
        Standing::of(&self.observed, self.memory, &[], now).delivered(None, now.mono)
    }

    /// Takes note of what was read.
    fn remember(&mut self) {
        let now = self.now().mono;
        if effects::secrets_read(&self.observed, self.memory, now) && self.context.metrics.met_rival() {
            let (namespace, name) = (self.observed.resource.namespace(), self.observed.resource.name_any());
            tracing::warn!(
                namespace,
                name,
                "another process works here: it has recorded an answer of the issuer. Each asks for every token; stop \
                 one, or give each namespaces of its own"
            );
        }
    }

    async fn write_state(&mut self, StateWrite { state, write }: StateWrite) -> Result<bool, ObserveError> {
        self.memory.sends_state((*state).clone());
        self.put(Target::State, &write, |pass, secret, now| {
            effects::state_written(&mut pass.observed, pass.memory, &state, secret, now);
            Deed::WroteState
        })
        .await
    }

    async fn announce(&mut self, announcement: StateWrite) -> Result<bool, ObserveError> {
        self.memory.sends_state((*announcement.state).clone());
        self.put(Target::State, &announcement.write, |pass, secret, now| {
            effects::intent_written(&mut pass.observed, pass.memory, &announcement, secret, now);
            Deed::WroteState
        })
        .await
    }

    async fn write_token(&mut self, write: Write) -> Result<bool, ObserveError> {
        self.put(Target::Token, &write, |pass, secret, now| {
            effects::token_written(&mut pass.observed, pass.memory, secret, now);
            pass.written = Some(now);
            Deed::WroteToken
        })
        .await
    }

    async fn repair(&mut self, write: Write) -> Result<bool, ObserveError> {
        let name = write.secret().name_any();
        let is_state = name == self.observed.resource.state_secret_name();
        let target = if is_state { Target::State } else { Target::Token };
        self.put(target, &write, |pass, secret, now| {
            effects::repaired(&mut pass.observed, pass.memory, target, secret, now);
            Deed::Repaired(name)
        })
        .await
    }

    /// Makes one write, and takes note with `then` of what follows from it. What stands in its way is looked at anew, what
    /// fails is tried again later; false when the resource is gone.
    async fn put(
        &mut self,
        target: Target,
        write: &Write,
        then: impl FnOnce(&mut Self, Secret, Moment) -> Deed,
    ) -> Result<bool, ObserveError> {
        match apply::write(self.context, &self.observed, write).await {
            Wrote::Done(secret) => {
                let now = self.now().mono;
                let deed = then(self, *secret, now);
                self.deeds.push(deed);
            }
            Wrote::Gone => return Ok(false),
            Wrote::Overtaken => self.look_again().await?,
            Wrote::Failed(unwelcome) => self.failed_write(target, unwelcome),
        }
        Ok(true)
    }
}
