//! Decides the next step for one resource from facts alone. It reads as the specification: one check a line, in order.

use crate::memory::Memory;
use crate::messages;
use crate::observed::Observed;
use crate::reason::Finding;
use crate::schedule::retry::Delays;
use crate::secrets::{Owner, Write};
use crate::state::State;
use crate::time::{Moment, Now};
use crate::validated::Validated;
use input::{Delivery, Desk};
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

pub use planned_request::Call;

/// No event tells that a missing right was granted.
const REFUSED_RETRY: Delays = Delays { first: Duration::from_millis(250), longest: Duration::from_secs(15) };

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
    WriteToken(Write),
    /// Write again what we had written before: somebody else changed or deleted it.
    Repair(Write),
    /// The held answer is recorded, changes nothing, or was overtaken: let go of it.
    Release,
    /// Ask the issuer.
    Call(Box<Call>),
    /// Nothing until then, or until something changes.
    Wait(Option<Moment>),
}

/// A write of the state Secret.
#[derive(Clone, Debug)]
pub struct StateWrite {
    /// What it is to hold.
    pub state: Box<State>,
    /// How that comes there.
    pub write: Write,
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
    let desk = Desk { observed, memory, now, owner, validated };
    if let Some(finding) = desk.state_obstacle() {
        return Plan::stop(finding);
    }
    if let Some(plan) = desk.unrecorded() {
        return plan;
    }
    if let Some(plan) = desk.record() {
        return plan;
    }
    match desk.repair() {
        Repair::Now(step) => Plan::now(*step),
        // No call brings a token that nobody could read; but a session is lost if it is not extended while it lives.
        Repair::Blocked(at, finding) if desk.must_renew() => desk.ask(Delivery::InTrouble).meanwhile(at, finding),
        Repair::Blocked(at, finding) => Plan::wait(at, vec![finding]),
        Repair::Later(at, finding) => desk.ask(Delivery::InTrouble).meanwhile(Some(at), finding),
        Repair::Nothing => desk.ask(Delivery::InOrder),
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
