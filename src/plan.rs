//! Decides the next step for one resource from facts alone. It reads as the specification: one check a line, in order.

use crate::api::{ApplicationSpec, REFRESH_ANNOTATION, SyniverseToken, parse_duration};
use crate::credentials::Credentials;
use crate::fingerprint::{fingerprint, spread};
use crate::issuer::Ask;
use crate::memory::{Attempt, Delivery, Failing, Memory};
use crate::moment::{Moment, Now};
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::schedule::{Cause, Due, Terms, refill};
use crate::secrets::{self, Owner, Write};
use crate::state::{Inputs, Issued, State, Unreadable, Version};
use crate::verdict;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// What one decision needs to know of the cluster.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub resource: Arc<SyniverseToken>,
    /// The credentials Secret; none when it does not exist.
    pub credentials: Option<Secret>,
    /// The state Secret.
    pub state: Option<Secret>,
    /// The token Secret.
    pub token: Option<Secret>,
    /// Who else uses the same endpoint and application.
    pub neighbours: Neighbours,
    /// A fresh salt, should a state have to be made.
    pub salt: String,
    /// Between two looks after a long-lived token.
    pub daily_check: Duration,
}

/// How other resources fare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// The last call of another resource to this endpoint succeeded; none without a recent neighbour.
    pub succeed: Option<bool>,
    /// Other resources of this namespace with the same consumer key, by name.
    pub sharing_here: Vec<String>,
    /// Resources of other namespaces with the same consumer key exist.
    pub sharing_elsewhere: bool,
}

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

impl Observed {
    /// The value of the refresh annotation.
    pub fn refresh(&self) -> Option<String> {
        self.resource.annotations().get(REFRESH_ANNOTATION).cloned()
    }

    /// A number that is stable for this resource.
    pub fn spread(&self) -> u64 {
        spread(self.resource.metadata.uid.as_deref().unwrap_or_default())
    }

    /// What the spec and the settings say about time.
    pub fn terms(&self, application: &ApplicationSpec) -> Terms {
        Terms {
            refresh_before: self.resource.spec.refresh_before.as_deref().and_then(parse_duration),
            validity: parse_duration(&application.validity).unwrap_or_default(),
            daily_check: self.daily_check,
            spread: self.spread(),
        }
    }

    /// What a token Secret written for `state` is known by.
    pub fn delivery(&self, state: &State) -> Option<Delivery> {
        let issued = state.active_token()?;
        Some(Delivery {
            fingerprint: fingerprint(&issued.token),
            issue_time: issued.issue_time,
            expiration_time: issued.expiration_time,
            generation: self.resource.metadata.generation,
        })
    }

    /// True when the token Secret is as `state` and the spec want it.
    pub fn is_delivered(&self, state: &State) -> bool {
        let write = Owner::of(&self.resource)
            .map(|owner| secrets::next_token(self.token.as_ref(), &self.resource, &owner, state).is_none());
        write == Some(true)
    }

    /// The state as the API server has it; none when there is none that is ours and can be read.
    pub fn stored_state(&self) -> Option<State> {
        secrets::read_state(self.ours(self.state.as_ref())?).ok()
    }

    /// What the token Secret holds where the token belongs, if the Secret is ours: that of a former resource of this
    /// name may go at any moment.
    pub fn token_inside(&self) -> Option<Redacted> {
        secrets::token_in(self.ours(self.token.as_ref())?, self.resource.spec.key())
    }

    fn ours<'a>(&self, secret: Option<&'a Secret>) -> Option<&'a Secret> {
        let owner = Owner::of(&self.resource)?;
        secret.filter(|secret| owner.may_write(secret))
    }
}

/// The next step for one resource.
pub fn plan(observed: &Observed, memory: &Memory, now: Now) -> Plan {
    let resource = &observed.resource;
    let Some(owner) = Owner::of(resource) else { return Plan::rest() };
    if resource.metadata.deletion_timestamp.is_some() {
        return Plan::rest();
    }
    let application = match verdict::supported(&resource.spec) {
        Ok(application) => application,
        Err(finding) => return Plan::stop(finding),
    };
    if let Some(finding) = state_obstacle(observed, &owner) {
        return Plan::stop(finding);
    }
    if let Some(unwritten) = memory.unwritten.as_ref().filter(|unwritten| unwritten.not_before > now.mono) {
        let finding = Finding::new(Reason::WriteFailed, unwritten.detail.clone());
        return Plan { step: Step::Wait(Some(unwritten.not_before)), findings: vec![finding] };
    }
    let desk = Desk { observed, memory, now, owner, application };
    desk.record().or_else(|| desk.repair()).unwrap_or_else(|| desk.ask())
}

fn state_obstacle(observed: &Observed, owner: &Owner) -> Option<Finding> {
    let secret = observed.state.as_ref();
    if let Some(finding) = secrets::obstacle(owner, secret) {
        return Some(finding);
    }
    match secrets::read_state(secret?) {
        Err(Unreadable::TooNew(format)) => Some(Finding::new(
            Reason::StateTooNew,
            format!(
                "Secret {} has the format {format}, written by a newer version of the operator: run that version",
                observed.resource.state_secret_name()
            ),
        )),
        _ => None,
    }
}

impl Plan {
    fn rest() -> Self {
        Self { step: Step::Wait(None), findings: Vec::new() }
    }

    fn stop(finding: Finding) -> Self {
        Self { step: Step::Wait(None), findings: vec![finding] }
    }

    fn only(step: Step) -> Self {
        Self { step, findings: Vec::new() }
    }
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
        let next = known.and_then(|state| state.record(held)).map(|next| self.list_written(next));
        Some(Plan::only(next.map_or(Step::Release, |next| self.write_state(next).unwrap_or(Step::Release))))
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
    fn list_written(&self, mut state: State) -> State {
        let Some(issued) = state.active_token() else { return state };
        let wanted = secrets::wanted_names(&self.observed.resource, issued);
        if !state.written.covers(&wanted) {
            let present = secrets::present_names(self.observed.token.as_ref());
            state.written = state.written.still_in(&present).and(&wanted);
        }
        state
    }

    /// Both Secrets are brought to what the state says. No call is needed for that.
    fn repair(&self) -> Option<Plan> {
        let mut state = self.known_state().or_else(|| self.state_in_token_secret())?;
        if !self.was_looked_at() {
            state.refresh = self.observed.refresh().or(state.refresh);
        }
        let listed = self.list_written(state.clone());
        let is_new = self.memory.state.as_ref() != Some(&listed);
        if let Some(Step::WriteState(state, write)) = self.write_state(listed) {
            return Some(if is_new { Plan::only(Step::WriteState(state, write)) } else { self.write_again(write) });
        }
        let token = self.observed.token.as_ref();
        if let Some(finding) = secrets::obstacle(&self.owner, token) {
            return Some(Plan::stop(finding));
        }
        let write = secrets::next_token(token, &self.observed.resource, &self.owner, &state)?;
        let is_new = self.memory.delivered != self.observed.delivery(&state);
        Some(if is_new { Plan::only(Step::WriteToken(write)) } else { self.write_again(write) })
    }

    /// False for a resource that no pass has looked at yet: a refresh annotation that it was created with counts as
    /// handled, also where a retained state carries on.
    fn was_looked_at(&self) -> bool {
        let status = self.memory.status.as_ref().or(self.observed.resource.status.as_ref());
        status.and_then(|status| status.observed_generation).is_some_and(|generation| generation >= 0)
    }

    /// Somebody else changes what we write: repaired at once, but not for ever at once.
    fn write_again(&self, write: Write) -> Plan {
        let at = self.memory.repair_at(self.now.mono);
        if at <= self.now.mono {
            return Plan::only(Step::Repair(write));
        }
        let finding = verdict::contested(&write.secret().name_any());
        Plan { step: Step::Wait(Some(at)), findings: vec![finding] }
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
            return Plan::stop(verdict::no_old_token(&self.application.credentials));
        };
        let findings = question.findings();
        let Some(due) = question.due() else { return Plan { step: Step::Wait(None), findings } };
        let at = question.allowed_at(due);
        if at > self.now.mono {
            return Plan { step: Step::Wait(Some(at)), findings };
        }
        // If we cannot write, we do not ask: the first issue begins with an empty state.
        let empty = known.is_none().then(|| self.write_state(state.clone())).flatten();
        let step = empty.unwrap_or_else(|| Step::Call(Box::new(question.call(due.cause, old_token))));
        Plan { step, findings }
    }
}

/// What the issuer would be asked, and when.
struct Question<'a> {
    desk: &'a Desk<'a>,
    state: &'a State,
    credentials: &'a Credentials,
    application: String,
    attempt: Attempt,
}

impl<'a> Question<'a> {
    fn new(desk: &'a Desk<'a>, state: &'a State, credentials: &'a Credentials) -> Self {
        let inputs = desk.inputs(&state.salt, credentials);
        let attempt = Attempt { inputs, refresh: desk.observed.refresh() };
        Self { desk, state, credentials, application: state.application_id(&credentials.consumer_key), attempt }
    }

    fn issued(&self) -> Option<&Issued> {
        self.state.applications.get(&self.application).filter(|_| self.state.active.as_ref() == Some(&self.application))
    }

    /// The one list of causes, in order.
    fn due(&self) -> Option<Due> {
        let now = self.desk.now;
        let at_once = |cause| Some(Due { cause, at: now.mono });
        let Some(issued) = self.issued() else { return at_once(Cause::FirstIssue) };
        if let Some(name) = self.attempt.inputs.change_since(&self.state.inputs) {
            return at_once(Cause::Changed(name));
        }
        if self.attempt.refresh.is_some() && self.attempt.refresh != self.state.refresh {
            return at_once(Cause::Requested);
        }
        let elsewhere = self.desk.memory.rotated_elsewhere.as_ref();
        if elsewhere.is_some_and(|token| *token != fingerprint(&issued.token)) {
            return at_once(Cause::RotatedElsewhere);
        }
        let life = self.desk.memory.life(issued, now);
        self.terms().next_due(issued, &life, self.desk.memory.boundary.as_ref(), now)
    }

    fn terms(&self) -> Terms {
        self.desk.observed.terms(self.desk.application)
    }

    /// Not before a failed attempt's delay has passed, the boundary has room and the governor allows it.
    fn allowed_at(&self, due: Due) -> Moment {
        let (memory, now) = (self.desk.memory, self.desk.now.mono);
        let retry = self.failing().map(|failing| failing.not_before);
        let room = memory.boundary.as_ref().map(|boundary| boundary.room_at(now));
        let governed = self.governed_at();
        let later_than_now = [room, Some(governed)].into_iter().flatten().filter(|at| *at > now);
        later_than_now.chain(retry).fold(due.at, Moment::max)
    }

    fn governed_at(&self) -> Moment {
        self.desk.memory.governor.ready_at(self.desk.now.mono, refill(self.issued()))
    }

    /// The failed attempt, if it was made with what we would ask with now.
    fn failing(&self) -> Option<&Failing> {
        self.desk.memory.failing.as_ref().filter(|failing| failing.attempt == self.attempt)
    }

    /// One old token per attempt: a changed `oldToken` first, then what we were given last, then what else there is.
    fn old_token(&self) -> Option<Redacted> {
        let given = self.credentials.old_token.clone();
        let changed = self.attempt.inputs.differs(&self.state.inputs, "oldToken");
        let known = self.state.applications.get(&self.application).map(|issued| issued.token.clone());
        let key = self.desk.observed.resource.spec.key();
        let kept = self.desk.observed.token.as_ref().and_then(|secret| secrets::believed_token(secret, key));
        let mut candidates = Vec::new();
        for candidate in [given.clone().filter(|_| changed), known, kept, given].into_iter().flatten() {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        let refused = self.failing().map_or(0, |failing| failing.refused as usize);
        candidates.get(refused % candidates.len().max(1)).cloned()
    }

    fn call(&self, cause: Cause, old_token: Redacted) -> Call {
        let application = self.desk.application;
        let ask = Ask {
            endpoint: application.endpoint.clone(),
            consumer_key: self.credentials.consumer_key.clone(),
            consumer_secret: self.credentials.consumer_secret.clone(),
            old_token,
            validity_seconds: self.terms().validity.as_secs(),
        };
        Call {
            ask,
            cause,
            application: self.application.clone(),
            issued: self.issued().cloned(),
            base: self.state.version(),
            attempt: self.attempt.clone(),
        }
    }

    /// What a person should know, the most important thing first.
    fn findings(&self) -> Vec<Finding> {
        let desk = self.desk;
        let now = desk.now.mono;
        let due_now = self.due().is_some_and(|due| due.at <= now);
        let failing = self.failing().filter(|_| due_now);
        let name = &desk.application.credentials.secret_ref.name;
        let exhausted = desk.memory.boundary.as_ref().is_some_and(|boundary| boundary.is_exhausted(now));
        let never_expires = self.issued().is_some_and(|issued| issued.expiration_time.is_none());
        [
            failing.map(|failing| verdict::failed(failing, &desk.observed.neighbours, name)),
            exhausted.then(verdict::not_rotated),
            (due_now && self.governed_at() > now).then(verdict::calls_limited),
            (never_expires && !self.terms().validity.is_zero()).then(verdict::validity_not_applied),
            verdict::shared(&desk.observed.neighbours),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
