//! Decides the next step for a resource from observations alone. Reads like the specification: a check per line, in
//! order.

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
mod client_credentials;
mod credential;
mod input;
mod planned_request;
mod repair;
mod session;
mod turns;
mod unrecorded;

pub use planned_request::{PlannedRequest, Served, Turn};

/// No event tells that a missing right was granted.
const REFUSED_RETRY: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(15) };

/// The next step, and the findings for people, the most important first.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The next step.
    pub step: Step,
    /// Findings for people.
    pub findings: Vec<Finding>,
    /// The request that ends the wait.
    pub upcoming: Option<Box<PlannedRequest>>,
}

/// The next step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Write the state Secret.
    WriteState(StateWrite),
    /// Write the token Secret.
    WriteToken(SecretWrite),
    /// Restore a Secret that another writer changed or deleted.
    Repair(SecretWrite),
    /// Discard the unrecorded response: it is recorded, changes nothing, or was superseded.
    DiscardResponse,
    /// Send a request to the issuer.
    Request(Box<PlannedRequest>),
    /// Wait until then, or until something changes.
    Wait(Option<Moment>),
}

/// A write of the state Secret.
#[derive(Clone, Debug)]
pub struct StateWrite {
    /// The state to write.
    pub state: Box<State>,
    /// How that comes there.
    pub write: SecretWrite,
}

/// Plans the next step for a resource.
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
        // No request is sent for a token that could not be delivered; but a session is lost unless it is extended while
        // it is live.
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
        Self { step, findings: Vec::new(), upcoming: None }
    }

    fn wait(until: Option<Moment>, findings: Vec<Finding>) -> Self {
        Self { step: Step::Wait(until), findings, upcoming: None }
    }

    /// Nothing more until something changes.
    fn stop(finding: Finding) -> Self {
        Self::wait(None, vec![finding])
    }

    /// This plan, with something else postponed until `at`, or until something changes.
    fn meanwhile(mut self, at: Option<Moment>, finding: Finding) -> Self {
        self.findings.insert(0, finding);
        if let Step::Wait(until) = &mut self.step {
            let earlier = [*until, at].into_iter().flatten().min();
            self.upcoming.take_if(|_| earlier != *until);
            *until = earlier;
        }
        self
    }
}
