//! Decides the next step for one resource from facts alone. It reads as the specification: one check a line, in order.

use crate::api::ApplicationSpec;
use crate::credentials::Credentials;
use crate::facts::Observed;
use crate::issuer::{Answer, Ask, Cause};
use crate::memory::{Attempt, Memory};
use crate::moment::{Moment, Now};
use crate::reason::{Finding, Reason};
use crate::secrets::{self, Owner, Write};
use crate::state::{Held, Inputs, Issued, State, Unreadable, Version};
use crate::verdict;
use kube::ResourceExt;
use question::Question;
use std::time::Duration;

mod question;

/// No event tells that a missing right was granted.
const FORBIDDEN_RETRY: Duration = Duration::from_secs(15);

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
    /// Write the state Secret, so that it holds this state.
    WriteState(Box<State>, Write),
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

/// A call to be made, and what its answer will be recorded with.
#[derive(Clone, Debug)]
pub struct Call {
    /// The question.
    pub ask: Ask,
    /// Why.
    pub cause: Cause,
    /// Whose token it is.
    pub application: String,
    /// The token of that application as of now.
    pub issued: Option<Issued>,
    /// The state that the call starts from.
    pub base: Version,
    /// What it is made with.
    pub attempt: Attempt,
}

impl Call {
    /// The answer to this call, with all that it will be recorded with.
    pub fn answered(&self, answer: Answer, sent: Now) -> Held {
        Held {
            answer,
            sent,
            cause: self.cause,
            base: self.base.clone(),
            application: self.application.clone(),
            inputs: self.attempt.inputs.clone(),
            refresh: self.attempt.refresh.clone(),
        }
    }
}

/// The next step for one resource.
pub fn plan(observed: &Observed, memory: &Memory, now: Now) -> Plan {
    let resource = &observed.resource;
    let Some(owner) = Owner::of(resource) else { return Plan::wait(None, Vec::new()) };
    if resource.metadata.deletion_timestamp.is_some() {
        return Plan::wait(None, Vec::new());
    }
    let application = match verdict::supported(&resource.spec) {
        Ok(application) => application,
        Err(finding) => return Plan::stop(finding),
    };
    if let Some(detail) = &observed.forbidden {
        return Plan::wait(Some(now.mono + FORBIDDEN_RETRY), vec![verdict::read_failed(detail)]);
    }
    if let Some(finding) = state_obstacle(observed, &owner) {
        return Plan::stop(finding);
    }
    if let Some(unwritten) = memory.unwritten.as_ref().filter(|unwritten| unwritten.not_before > now.mono) {
        return Plan::wait(
            Some(unwritten.not_before),
            vec![Finding::new(Reason::WriteFailed, unwritten.detail.clone())],
        );
    }
    let desk = Desk { observed, memory, now, owner, application };
    if let Some(plan) = desk.record() {
        return plan;
    }
    match desk.repair() {
        Repair::Now(step) => Plan::now(*step),
        Repair::Never(finding) => Plan::stop(finding),
        Repair::Later(at, finding) => desk.ask().meanwhile(at, finding),
        Repair::Nothing => desk.ask(),
    }
}

fn state_obstacle(observed: &Observed, owner: &Owner) -> Option<Finding> {
    let secret = observed.state.as_ref();
    if let Some(finding) = secrets::obstacle(owner, secret) {
        return Some(finding);
    }
    match secrets::read_state(secret?) {
        Err(Unreadable::TooNew(format)) => Some(verdict::state_too_new(&observed.resource.state_secret_name(), format)),
        _ => None,
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

    /// This plan, while something else is put off until `at`.
    fn meanwhile(mut self, at: Moment, finding: Finding) -> Self {
        self.findings.insert(0, finding);
        if let Step::Wait(until) = &mut self.step {
            *until = Some(until.map_or(at, |until| until.min(at)));
        }
        self
    }
}

/// What bringing both Secrets to what the state says comes to. No call is needed for that.
enum Repair {
    /// They are as they should be.
    Nothing,
    /// One of them is to be written.
    Now(Box<Step>),
    /// Somebody keeps changing what we write: not before then. Asking the issuer does not wait for it.
    Later(Moment, Finding),
    /// One of them must be left alone.
    Never(Finding),
}

/// Everything on the table while one plan is made.
struct Desk<'a> {
    observed: &'a Observed,
    memory: &'a Memory,
    now: Now,
    owner: Owner,
    application: &'a ApplicationSpec,
}

impl Desk<'_> {
    /// An answer in hand comes before everything else, also where its token cannot be delivered yet.
    fn record(&self) -> Option<Plan> {
        let held = self.memory.held.as_ref()?;
        let known = self.known_state().filter(|state| state.version() == held.base);
        let next = known.and_then(|state| state.record(held)).map(|next| self.list_written_anew(next));
        Some(Plan::now(next.map_or(Step::Release, |next| self.write_state(next).unwrap_or(Step::Release))))
    }

    /// What is stored, or what this process remembers of it when it was deleted, spoilt or set back.
    fn known_state(&self) -> Option<State> {
        let remembered = self.memory.state.clone();
        match self.observed.stored_state() {
            Some(stored) => Some(remembered.filter(|known| known.is_newer_than(&stored)).unwrap_or(stored)),
            None => remembered,
        }
    }

    fn write_state(&self, state: State) -> Option<Step> {
        let name = self.observed.resource.state_secret_name();
        let write = secrets::next_state(self.observed.state.as_ref(), &name, &self.owner, &state)?;
        Some(Step::WriteState(Box::new(state), write))
    }

    /// Before we write a name into the token Secret, the state says that it is ours.
    fn list_written(&self, state: State) -> State {
        let wanted = state.active_token().map(|issued| secrets::wanted_names(&self.observed.resource, issued));
        let covered = wanted.is_none_or(|wanted| state.written.covers(&wanted));
        if covered { state } else { self.list_written_anew(state) }
    }

    /// As the state is written anyway, names that are no longer there stop being ours.
    fn list_written_anew(&self, mut state: State) -> State {
        let Some(issued) = state.active_token() else { return state };
        let wanted = secrets::wanted_names(&self.observed.resource, issued);
        let present = secrets::present_names(self.observed.token.as_ref());
        state.written = state.written.still_in(&present).and(&wanted);
        state
    }

    fn repair(&self) -> Repair {
        let Some(state) = self.known_state().or_else(|| self.state_in_token_secret()) else { return Repair::Nothing };
        match (self.repair_state(&state), self.repair_token(&state)) {
            (Repair::Nothing, token) => token,
            (Repair::Later(..), Repair::Now(step)) => Repair::Now(step),
            (state, _) => state,
        }
    }

    fn repair_state(&self, state: &State) -> Repair {
        let mut wanted = self.list_written(state.clone());
        if !self.was_looked_at() {
            wanted.refresh = self.observed.refresh().or(wanted.refresh);
        }
        // A changed spec may change what marks it as ours, and nothing else.
        let generation = self.observed.resource.metadata.generation;
        let respecified = self.memory.delivered.as_ref().is_some_and(|known| known.generation != generation);
        let is_new = respecified || self.memory.state.as_ref() != Some(&wanted);
        match self.write_state(wanted) {
            Some(Step::WriteState(_, write)) if !is_new => self.write_again(write),
            Some(step) => Repair::Now(Box::new(step)),
            None => Repair::Nothing,
        }
    }

    fn repair_token(&self, state: &State) -> Repair {
        let token = self.observed.token.as_ref();
        if let Some(finding) = secrets::obstacle(&self.owner, token) {
            return Repair::Never(finding);
        }
        let is_new = self.memory.delivered != self.observed.delivery(state);
        match secrets::next_token(token, &self.observed.resource, &self.owner, state) {
            Some(write) if is_new => Repair::Now(Box::new(Step::WriteToken(write))),
            Some(write) => self.write_again(write),
            None => Repair::Nothing,
        }
    }

    /// False for a resource that no pass has looked at yet: a refresh annotation that it was created with counts as
    /// handled, also where a retained state carries on.
    fn was_looked_at(&self) -> bool {
        let status = self.memory.said.as_ref().or(self.observed.resource.status.as_ref());
        status.and_then(|status| status.observed_generation).is_some_and(|generation| generation >= 0)
    }

    /// Somebody else changes what we write: repaired at once, but not for ever at once.
    fn write_again(&self, write: Write) -> Repair {
        let at = self.memory.repair_at(self.now.mono);
        if at <= self.now.mono {
            return Repair::Now(Box::new(Step::Repair(write)));
        }
        Repair::Later(at, verdict::contested(&write.secret().name_any()))
    }

    /// A lost state, as far as the token Secret still tells it.
    fn state_in_token_secret(&self) -> Option<State> {
        let token =
            self.observed.token.as_ref().filter(|token| secrets::obstacle(&self.owner, Some(token)).is_none())?;
        let credentials = self.credentials().ok()?;
        let empty = self.empty_state();
        let inputs = self.inputs(&empty.salt, &credentials);
        let application = empty.application_id(&credentials.consumer_key);
        secrets::restore(token, self.observed.resource.spec.key(), empty, application, inputs)
    }

    fn credentials(&self) -> Result<Credentials, Finding> {
        Credentials::read(&self.application.credentials, self.observed.credentials.as_ref())
    }

    fn inputs(&self, salt: &str, credentials: &Credentials) -> Inputs {
        Inputs::of(salt, &self.application.endpoint, &self.application.validity, credentials)
    }

    /// A state that knows no token. The annotation present at creation, or handled by an earlier life, is handled.
    fn empty_state(&self) -> State {
        let handled = self.observed.resource.status.as_ref().and_then(|status| status.last_handled_refresh.clone());
        State::new(self.observed.salt.clone(), handled.or_else(|| self.observed.refresh()))
    }

    /// Both Secrets are as they should be: is there a cause to ask the issuer?
    fn ask(&self) -> Plan {
        if let Some(finding) = secrets::obstacle(&self.owner, self.observed.token.as_ref()) {
            return Plan::stop(finding);
        }
        if self.observed.resource.spec.suspend {
            return Plan::stop(verdict::suspended());
        }
        let credentials = match self.credentials() {
            Ok(credentials) => credentials,
            Err(finding) => return Plan::stop(finding),
        };
        let known = self.known_state();
        let state = known.clone().unwrap_or_else(|| self.empty_state());
        let question = Question::new(self, &state, &credentials);
        let Some(old_token) = question.old_token() else {
            let missing = || verdict::no_old_token(&self.application.credentials);
            return Plan::stop(credentials.old_token_problem.clone().unwrap_or_else(missing));
        };
        let due = question.due();
        let findings = question.findings(due);
        let at = due.map(|due| question.allowed_at(due));
        let Some(due) = due.filter(|_| at.is_some_and(|at| at <= self.now.mono)) else {
            return Plan::wait([at, question.settled_at()].into_iter().flatten().min(), findings);
        };
        // If we cannot write, we do not ask: the first issue begins with an empty state.
        let empty = known.is_none().then(|| self.write_state(state.clone())).flatten();
        let step = empty.unwrap_or_else(|| Step::Call(Box::new(question.call(due.cause, old_token))));
        Plan { step, findings }
    }
}
