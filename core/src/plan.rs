//! Decides the next step for one resource from facts alone. It reads as the specification: one check a line, in order.

use crate::api::IssuerSpec;
use crate::credential::{Credentials, SessionCredentials};
use crate::issuer::{Answer, Ask, Cause, Failure, FailureKind};
use crate::memory::{Memory, Target, Unwritten};
use crate::messages;
use crate::observed::Observed;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::schedule::retry::Delays;
use crate::secrets::{self, Owner, Write};
use crate::state::{Attempt, Held, Issued, Outcome, State, Unreadable, Version};
use crate::time::{Moment, Now};
use application::Application;
use candidates::{Question, Side};
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;
use repair::Repair;
use session::Session;
use std::time::Duration;

mod application;
mod candidates;
mod repair;
mod session;
mod unrecorded;

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

/// A call to be made, and what its answer will be recorded with.
#[derive(Clone, Debug)]
pub struct Call {
    /// The question.
    pub ask: Ask,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub due: Moment,
    /// Name of the token in the state's tokens.
    pub id: String,
    /// The token in the token Secret as of now, if it is of the same application or session.
    pub issued: Option<Issued>,
    /// The state that the call starts from.
    pub base: Version,
    /// What it is made with.
    pub attempt: Attempt,
    /// The process that makes it.
    pub holder: String,
    /// The last call failed, whatever it was made with.
    pub is_retry: bool,
    /// The issuer has given this resource a token for the same inputs.
    pub was_served: bool,
    /// The version of the credentials Secret that it is made with.
    pub credentials: Option<String>,
    /// The refused login's password has changed since.
    pub has_new_password: bool,
    /// What an answer in hand makes of the state, if there is one: this call starts from that.
    pub follows: Option<Box<State>>,
    /// What the API server is to be asked first: whether it would take the token Secret.
    pub rehearsal: Option<Write>,
    /// What must be in the state Secret first; the plan after that write makes the call.
    pub announcement: Option<StateWrite>,
}

/// A write of the state Secret.
#[derive(Clone, Debug)]
pub struct StateWrite {
    /// What it is to hold.
    pub state: Box<State>,
    /// How that comes there.
    pub write: Write,
}

impl Call {
    /// The token that lives while it is made, for all that is known.
    pub fn living(&self) -> Option<&Issued> {
        self.issued.as_ref().filter(|issued| !issued.ended)
    }

    /// What is to be recorded of this call, with all that goes with it; none for a failure after which the same is tried
    /// again.
    pub fn outcome(&self, result: &Result<Answer, Failure>) -> Option<Outcome> {
        match (result, &self.ask) {
            (Ok(answer), _) => Some(Outcome::Token(answer.clone())),
            (Err(Failure { kind: FailureKind::Ended, .. }), Ask::Extend(extend)) => {
                Some(Outcome::Ended(extend.pair.token.clone()))
            }
            // The session that there is goes on; the new account had its try.
            (Err(Failure { kind: FailureKind::LoginRefused, .. }), Ask::LogIn(_)) => {
                self.issued.as_ref().and_then(Issued::pair).map(|_| Outcome::LoginRefused)
            }
            _ => None,
        }
    }

    /// `outcome` in hand, as it will be recorded.
    pub fn held(&self, outcome: Outcome, sent: Now) -> Held {
        Held {
            outcome,
            sent,
            cause: self.cause,
            base: self.base.clone(),
            holder: self.holder.clone(),
            id: self.id.clone(),
            attempt: self.attempt.clone(),
            used: match &self.ask {
                Ask::Extend(extend) => Some(extend.pair.token.clone()),
                Ask::Refresh(_) | Ask::LogIn(_) => None,
            },
            asked_seconds: match &self.ask {
                Ask::Refresh(refresh) => Some(refresh.validity_seconds),
                Ask::Extend(_) | Ask::LogIn(_) => None,
            },
            credentials: self.credentials.clone(),
            has_new_password: self.has_new_password,
            follows: self.follows.clone(),
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
    let issuer = match messages::supported(&resource.spec) {
        Ok(issuer) => issuer,
        Err(finding) => return Plan::stop(finding),
    };
    if let Some(detail) = &observed.forbidden {
        let delay = REFUSED_RETRY.after(memory.refused_reads, observed.spread());
        return Plan::wait(Some(now.mono + delay), vec![messages::read_failed(detail)]);
    }
    let desk = Desk { observed, memory, now, owner, issuer };
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
        Repair::Blocked(at, finding) if desk.holds_pair() => desk.ask(Delivery::InTrouble).meanwhile(at, finding),
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

/// Whether a new token could be brought into the token Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    InOrder,
    InTrouble,
    /// Not even the state can be written: the session is extended, and nothing else is asked.
    Unrecorded,
}

/// Everything on the table while one plan is made.
struct Desk<'a> {
    observed: &'a Observed,
    memory: &'a Memory,
    now: Now,
    owner: Owner,
    issuer: IssuerSpec<'a>,
}

impl Desk<'_> {
    fn state_obstacle(&self) -> Option<Finding> {
        let secret = self.observed.state.as_ref()?;
        if let Some(finding) = self.obstacle(Target::State, secret) {
            return Some(finding);
        }
        match secrets::read_state(secret) {
            Err(Unreadable::TooNew(format)) => Some(messages::state_too_new(&secret.name_any(), format)),
            _ => None,
        }
    }

    /// Why no token can be brought into the token Secret, whichever it would be: that of `state`, or one like those that
    /// the credentials tell of.
    fn token_obstacle(&self, state: Option<&State>) -> Option<Finding> {
        let secret = self.observed.token.as_ref();
        let obstacle = secret.and_then(|secret| self.obstacle(Target::Token, secret));
        let known = || state.and_then(State::active_token).map(|issued| (issued.token.clone(), issued.expires()));
        let given = || self.given_token().map(|token| (token, !self.observed.wants_no_end()));
        let too_large =
            |(token, expires): (Redacted, bool)| secrets::too_large(&self.observed.resource, &token, expires);
        obstacle.or_else(|| known().or_else(given).and_then(too_large))
    }

    fn obstacle(&self, target: Target, secret: &Secret) -> Option<Finding> {
        let finding = self.owner.obstacle(secret)?;
        let is_sealed = finding.reason == Reason::SecretImmutable && self.memory.is_sealed(target);
        Some(if is_sealed { messages::sealed(&secret.name_any()) } else { finding })
    }

    /// A token that the credentials Secret holds.
    fn given_token(&self) -> Option<Redacted> {
        let secret = self.observed.credentials.as_ref();
        match self.issuer {
            IssuerSpec::Application(spec) => Credentials::read(&spec.credentials, secret).ok()?.old_token,
            IssuerSpec::Session(spec) => Some(SessionCredentials::read(&spec.credentials, secret).pair?.token),
        }
    }

    /// The row of failed writes of this Secret, if it is not to be tried again yet.
    fn put_off(&self, target: Target) -> Option<&Unwritten> {
        self.memory.put_off(target, &self.observed.basis(target), self.now.mono)
    }

    /// An answer in hand comes before everything else, also where its token cannot be delivered yet.
    fn record(&self) -> Option<Plan> {
        self.memory.held.as_ref()?;
        let next = self.held().and_then(|held| self.known_state()?.record(held));
        let next = next.map(|next| self.list_written_anew(next));
        let write = next.and_then(|next| self.write_state(next));
        Some(Plan::now(write.map_or(Step::Release, Step::WriteState)))
    }

    /// The answer in hand, unless it was overtaken.
    fn held(&self) -> Option<&Held> {
        let held = self.memory.held.as_ref().filter(|held| !held.is_over(self.now.mono))?;
        self.known_state().is_some_and(|state| state.version() == held.base).then_some(held)
    }

    /// What is known, an answer in hand included.
    fn latest_state(&self) -> Option<State> {
        let known = self.known_state()?;
        Some(self.held().and_then(|held| known.record(held)).unwrap_or(known))
    }

    /// What is stored, or what this process remembers of it when it was deleted, spoilt or set back.
    fn known_state(&self) -> Option<State> {
        let remembered = self.memory.state.clone();
        match self.observed.stored_state() {
            Some(stored) => Some(remembered.filter(|known| known.is_newer_than(&stored)).unwrap_or(stored)),
            None => remembered,
        }
    }

    /// None when that is there already.
    fn write_state(&self, state: State) -> Option<StateWrite> {
        let state = self.list_written(state);
        let write = secrets::next_state(self.observed.state.as_ref(), self.observed.wanted(), &self.owner, &state)?;
        Some(StateWrite { state: Box::new(state), write })
    }

    /// A lost state, as far as the token Secret still tells it. It tells nothing of what extends a session.
    fn state_in_token_secret(&self) -> Option<State> {
        let IssuerSpec::Application(spec) = self.issuer else { return None };
        Application::new(self, spec).ok()?.state_in_token_secret()
    }

    fn side(&self) -> Result<Box<dyn Side + '_>, Finding> {
        Ok(match self.issuer {
            IssuerSpec::Application(spec) => Box::new(Application::new(self, spec)?),
            IssuerSpec::Session(spec) => Box::new(Session::new(self, spec)),
        })
    }

    /// A state that knows no token. The annotation present at creation, or handled by an earlier life, is handled.
    fn empty_state(&self) -> State {
        let handled = self.observed.resource.status.as_ref().and_then(|status| status.last_handled_refresh.clone());
        State::new(self.observed.salt.clone(), handled.or_else(|| self.observed.refresh()))
    }

    fn is_first_issue(&self) -> bool {
        self.known_state().is_none_or(|state| state.active_token().is_none())
    }

    /// Before there is a token at all, nobody is asked for one that the API server would not take.
    fn rehearsal(&self) -> Option<Write> {
        let is_over = self.memory.rehearsed.as_ref() == Some(&self.observed.basis(Target::Token));
        let sample =
            || secrets::sample(self.observed.token.as_ref(), self.observed.wanted(), &self.owner, self.now.wall);
        (self.is_first_issue() && !is_over).then(sample).flatten()
    }

    /// A session has to be extended while it lives, delivered or not.
    fn holds_pair(&self) -> bool {
        let pair = || self.known_state()?.active_token()?.pair();
        matches!(self.issuer, IssuerSpec::Session(_)) && pair().is_some()
    }

    /// What keeps credentials from being sent, until a person acts. The pair of a session that lives is none of those that
    /// the Secret holds.
    fn not_permitted(&self) -> Option<Finding> {
        let not_allowed = self.observed.not_allowed.as_ref().map(messages::endpoint_not_allowed);
        not_allowed.or_else(|| self.not_consented().filter(|_| !self.holds_pair()))
    }

    /// Why nothing that the credentials Secret holds may be used.
    fn not_consented(&self) -> Option<Finding> {
        let secret = self.issuer.credentials_secret();
        let lacks_consent = || self.observed.lacks_consent.then(|| messages::credentials_not_consented(secret));
        messages::credentials_in_state_secret(secret).or_else(lacks_consent)
    }

    /// Is there a cause to ask the issuer?
    fn ask(&self, delivery: Delivery) -> Plan {
        if let Some(finding) = self.token_obstacle(self.known_state().as_ref()).filter(|_| !self.holds_pair()) {
            return Plan::stop(finding);
        }
        if self.observed.resource.spec.suspend {
            return Plan::stop(messages::suspended());
        }
        if let Some(finding) = self.not_permitted() {
            return Plan::stop(finding);
        }
        if let Some(unwritten) = self.put_off(Target::Token).filter(|_| self.is_first_issue()) {
            return Plan::wait(Some(unwritten.not_before), vec![messages::write_failed(unwritten)]);
        }
        let side = match self.side() {
            Ok(side) => side,
            Err(finding) => return Plan::stop(finding),
        };
        let state = self.latest_state().unwrap_or_else(|| self.empty_state());
        let question = Question::new(self, &state, &*side, delivery);
        let errands = match question.errands() {
            Ok(errands) => errands,
            Err(finding) => return Plan::wait(question.settled_at(), vec![finding]),
        };
        let findings = question.findings(&errands);
        let allowed = errands.into_iter().map(|errand| (question.allowed_at(&errand), errand));
        match allowed.min_by_key(|(at, _)| *at) {
            Some((at, errand)) if at <= self.now.mono => {
                Plan { step: Step::Call(Box::new(question.call(errand))), findings }
            }
            next => Plan::wait(next.map(|(at, _)| at).into_iter().chain(question.settled_at()).min(), findings),
        }
    }
}
