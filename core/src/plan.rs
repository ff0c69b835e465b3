//! Decides the next step for one resource from facts alone. It reads as the specification: one check a line, in order.

use crate::memory::Memory;
use crate::messages;
use crate::observed::Observed;
use crate::reason::Finding;
use crate::schedule::retry::Backoff;
use crate::secrets::{Owner, SecretWrite};
use crate::state::State;
use crate::time::{Moment, Now};
use crate::validated::Validated;
use input::{PlanInput, Writable};
use repair::Repair;
use std::time::Duration;

mod application;
mod candidates;
mod checks;
mod credential;
mod input;
mod planned_request;
mod repair;
mod session;
mod unrecorded;

pub use planned_request::PlannedRequest;

/// No event tells that a missing right was granted.
const REFUSED_RETRY: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(15) };

/// One step, and what a person should know meanwhile, the most important thing first.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to do now.
    pub step: Step,
    /// What to say.
    pub findings: Vec<Finding>,
}

/// What to do now.
#[derive(Clone, Debug)]
pub enum Step {
    /// Write the state Secret.
    WriteState(StateWrite),
    /// Write the token Secret.
    WriteToken(SecretWrite),
    /// Write again what we had written before: somebody else changed or deleted it.
    Repair(SecretWrite),
    /// The held answer is recorded, changes nothing, or was overtaken: let go of it.
    DiscardResponse,
    /// Ask the issuer.
    Request(Box<PlannedRequest>),
    /// Nothing until then, or until something changes.
    Wait(Option<Moment>),
}

/// A write of the state Secret.
#[derive(Clone, Debug)]
pub struct StateWrite {
    /// What it is to hold.
    pub state: Box<State>,
    /// How that comes there.
    pub write: SecretWrite,
}

/// The next step for one resource.
pub fn plan(observed: &Observed, memory: &Memory, now: Now) -> Plan {
    let resource = &observed.resource;
    let Some(owner) = Owner::of(resource) else { return Plan::wait(None, Vec::new()) };
    if resource.metadata.deletion_timestamp.is_some() {
        return Plan::wait(None, Vec::new());
    }
    let validated = match Validated::of(observed) {
        Ok(validated) => validated,
        Err(finding) => return Plan::stop(finding),
    };
    if let Some(detail) = &observed.forbidden {
        let delay = REFUSED_RETRY.after(memory.refused_reads, observed.spread());
        return Plan::wait(Some(now.mono + delay), vec![messages::read_failed(detail)]);
    }
    let input = PlanInput { observed, memory, now, owner, validated };
    if let Some(finding) = input.state_obstacle() {
        return Plan::stop(finding);
    }
    if let Some(plan) = input.plan_unrecorded() {
        return plan;
    }
    if let Some(plan) = input.record() {
        return plan;
    }
    match input.repair() {
        Repair::Now(step) => Plan::now(*step),
        // No call brings a token that nobody could read; but a session is lost if it is not extended while it lives.
        Repair::Blocked(at, finding) if input.must_renew() => {
            input.plan_request(Writable::StateOnly).meanwhile(at, finding)
        }
        Repair::Blocked(at, finding) => Plan::wait(at, vec![finding]),
        Repair::Later(at, finding) => input.plan_request(Writable::StateOnly).meanwhile(Some(at), finding),
        Repair::Nothing => input.plan_request(Writable::Both),
    }
}

impl Plan {
    fn now(step: Step) -> Self {
        Self { step, findings: Vec::new() }
    }

    fn wait(until: Option<Moment>, findings: Vec<Finding>) -> Self {
        Self { step: Step::Wait(until), findings }
    }

    /// Nothing more until something changes.
    fn stop(finding: Finding) -> Self {
        Self::wait(None, vec![finding])
    }

    /// This plan, while something else is put off until `at`, or until something changes.
    fn meanwhile(mut self, at: Option<Moment>, finding: Finding) -> Self {
        self.findings.insert(0, finding);
        if let Step::Wait(until) = &mut self.step {
            *until = [*until, at].into_iter().flatten().min();
        }
        self
    }
}
