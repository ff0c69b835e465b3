//! A credential of the resource as a plan sees it: its stored record, its memory, and the demands of the spec.

use super::candidates::{Candidate, Proposal};
use super::input::{PlanInput, Writable};
use super::{application, client_credentials, session};
use crate::credential::Values;
use crate::fingerprint::fingerprint;
use crate::issuer::Cause;
use crate::issuer::RenewalTime;
use crate::memory::FailedRequests;
use crate::reason::{Finding, Reason};
use crate::schedule::expiry_poll::ExpiryPoll;
use crate::schedule::rate_limiter::refill;
use crate::schedule::{Due, RefreshPolicy, TokenLifetime};
use crate::state::{CredentialRecord, Inputs, RequestKey, Role, State, TokenRecord};
use crate::time::Moment;
use std::time::Duration;

/// How long after a process begins to act notices about other resources are carried over from the previous process.
const SETTLING: Duration = Duration::from_secs(60);

/// A credential of the resource.
pub(super) struct Credential<'a> {
    pub(super) input: &'a PlanInput<'a>,
    pub(super) state: &'a State,
    /// Its stored record; a new credential has the inputs of the previous credential.
    pub(super) record: CredentialRecord,
    /// The request that would be sent now.
    pub(super) key: RequestKey,
    pub(super) writable: Writable,
    /// The other credential of the resource, where two take turns.
    pub(super) partner: Option<Partner>,
    /// The rules of time for its token.
    pub(super) policy: RefreshPolicy,
    values: Values,
}

/// The other one of two credentials that take turns.
#[derive(Clone, Debug)]
pub(super) struct Partner {
    /// Its identity.
    pub(super) id: String,
    /// Its values, hashed.
    pub(super) inputs: Inputs,
    /// The token in the token Secret, if it is that of the other one: this one is the standby.
    pub(super) served: Option<TokenRecord>,
    /// Its last token, whichever is in the token Secret.
    pub(super) token: Option<TokenRecord>,
}

impl<'a> Credential<'a> {
    /// The credential that the spec names.
    ///
    /// # Errors
    /// What is wrong with its values, where nothing could be requested without.
    pub(super) fn of(input: &'a PlanInput<'a>, state: &'a State, writable: Writable) -> Result<Self, Finding> {
        let issuer = input.validated.issuer;
        let values = match input.not_consented() {
            Some(problem) => Values::withheld(issuer, problem)?,
            None => input.observed.values(issuer)?.clone(),
        };
        Ok(Self::new(input, state, writable, values))
    }

    /// A credential with these values.
    pub(super) fn new(input: &'a PlanInput<'a>, state: &'a State, writable: Writable, values: Values) -> Self {
        let id = state.id_of(values.identity());
        let record = state.credentials.get(&id).cloned().unwrap_or_default();
        let record = CredentialRecord { inputs: state.inputs_of(&id), ..record };
        let inputs = Inputs::of(&state.salt, values.named());
        let key = RequestKey { credential: id, inputs, refresh: input.observed.refresh(), role: Role::Main };
        let policy = input.validated.refresh_policy.clone();
        Self { input, state, record, key, writable, partner: None, policy, values }
    }

    /// The plan of its kind.
    pub(super) fn proposal(&self) -> Proposal {
        match &self.values {
            Values::Application(spec, values) => application::proposal(self, spec, values),
            Values::Session(spec, values) => session::proposal(self, spec, values),
            Values::ClientCredentials(spec, values) => client_credentials::proposal(self, spec, values),
        }
    }

    /// Its last token.
    pub(super) fn known_token(&self) -> Option<&TokenRecord> {
        self.record.token.as_ref()
    }

    /// The token in the token Secret, if it is of this credential.
    pub(super) fn active_token(&self) -> Option<&TokenRecord> {
        self.known_token().filter(|_| self.is_active())
    }

    pub(super) fn is_active(&self) -> bool {
        self.state.active.as_ref() == Some(&self.key.credential)
    }

    /// The first of these values that has changed, or a requested refresh, since the last recorded request.
    pub(super) fn change(&self, names: &[&'static str]) -> Option<Cause> {
        self.state.active_token().filter(|_| self.is_active() || self.is_standby())?;
        let value = self.key.inputs.change_since(&self.record.inputs, names).map(Cause::Changed);
        value.or_else(|| self.is_requested().then_some(Cause::Requested))
    }

    pub(super) fn is_requested(&self) -> bool {
        self.key.refresh.is_some() && self.key.refresh != self.state.refresh
    }

    /// True when this value has changed since the last recorded request.
    pub(super) fn has_changed(&self, name: &str) -> bool {
        self.key.inputs.differs(&self.record.inputs, name)
    }

    /// When a request is due although nothing has changed.
    pub(super) fn next_due(&self) -> Option<Due> {
        let record = self.active_token()?;
        let event = self.event(record).map(|cause| Due { cause, at: self.input.now.mono });
        event.or_else(|| self.scheduled(record))
    }

    fn event(&self, record: &TokenRecord) -> Option<Cause> {
        // What supersedes a token is not worth it for news of another resource. Where each may have a new token at any
        // time, that of one says nothing about that of another: they would go on for ever.
        let renewal = record.renewal();
        let is_news = !renewal.supersedes && !renewal.may_come_early;
        let elsewhere = self.input.memory.rotated_elsewhere.as_ref().filter(|_| is_news);
        let is_elsewhere = elsewhere.is_some_and(|token| *token != fingerprint(&record.token));
        let ended = record.ended.then_some(Cause::Ended);
        ended
            .or(is_elsewhere.then_some(Cause::RotatedElsewhere))
            .or(self.is_rejected(record).then_some(Cause::Rejected))
    }

    /// A consumer was refused with this token, and the issuer was not asked since. What supersedes a token is not worth it
    /// for a word that anybody may give.
    fn is_rejected(&self, record: &TokenRecord) -> bool {
        let word = self.input.observed.resource.rejected().filter(|_| !record.rejected && !record.renewal().supersedes);
        word.is_some_and(|word| word == fingerprint(&record.token))
    }

    fn scheduled(&self, record: &TokenRecord) -> Option<Due> {
        let (policy, now) = (&self.policy, self.input.now);
        let lifetime = self.lifetime(record);
        match (self.input.validated.kind().renewal().when, self.writable) {
            (RenewalTime::AfterExpiry, _) => policy.next_due(record, &lifetime, self.expiry_poll(), now),
            (RenewalTime::BeforeExpiry, Writable::Both) => Some(policy.next_extension(record, &lifetime, now)),
            (RenewalTime::BeforeExpiry, Writable::StateOnly) => Some(policy.last_extension(record, &lifetime, now)),
            (RenewalTime::BeforeExpiry, Writable::Neither) => Some(policy.unrecorded_extension(record, &lifetime, now)),
        }
    }

    pub(super) fn lifetime(&self, record: &TokenRecord) -> TokenLifetime {
        self.input.memory.lifetime(record, self.input.now)
    }

    /// The earliest moment at which this candidate may be sent.
    pub(super) fn allowed_at(&self, candidate: &Candidate) -> Moment {
        let now = self.input.now.mono;
        let retry = self.failed_requests(candidate.role).map(|failing| failing.not_before);
        let room = self.expiry_poll().map(|poll| poll.next_allowed(now));
        let limits = [room, Some(self.rate_limited_until(candidate)), self.blocked_by_intent_until()];
        let later_than_now = limits.into_iter().flatten().filter(|at| *at > now);
        later_than_now.chain(retry).fold(candidate.due.at, Moment::max)
    }

    pub(super) fn expiry_poll(&self) -> Option<&ExpiryPoll> {
        self.input.memory.expiry_poll(self.own_token()?)
    }

    pub(super) fn rate_limited_until(&self, candidate: &Candidate) -> Moment {
        let others = usize::from(candidate.leaves_one);
        self.input.memory.rate_limiter.ready_for(others, self.input.now.mono, refill(self.own_token()))
    }

    /// The token that its next request is about: that in the token Secret, or the last one of a standby.
    pub(super) fn own_token(&self) -> Option<&TokenRecord> {
        self.known_token().filter(|_| self.is_active() || self.is_standby())
    }

    pub(super) fn is_standby(&self) -> bool {
        self.partner.as_ref().is_some_and(|partner| partner.served.is_some())
    }

    /// Until when the request of another process, which cannot be repeated, may still be on its way.
    fn blocked_by_intent_until(&self) -> Option<Moment> {
        let (observed, now) = (self.input.observed, self.input.now);
        let intent = self.state.intent.as_ref().filter(|_| !self.input.validated.kind().renewal().is_repeatable)?;
        let is_over = observed.term.as_ref().is_some_and(|term| term.follows(intent, now));
        intent.blocks_until(&observed.holder, now, observed.call_timeout).filter(|_| !is_over)
    }

    /// The consecutive failures of exactly the request that would be sent now.
    pub(super) fn failed_requests(&self, role: Role) -> Option<&FailedRequests> {
        let failing = self.input.memory.failed_requests(&self.key.credential, role)?;
        (failing.key == RequestKey { role, ..self.key.clone() }).then_some(failing)
    }

    /// The issuer has issued a token for the request that would be sent now.
    pub(super) fn was_served(&self, role: Role) -> bool {
        self.known_token().is_some() && (role == Role::Fallback || !self.key.inputs.differ(&self.record.inputs))
    }

    pub(super) fn settles_at(&self) -> Moment {
        self.input.observed.acting_since + SETTLING
    }

    pub(super) fn is_settling(&self) -> bool {
        self.input.now.mono < self.settles_at()
    }

    /// The notice of the previous process for this reason, while it is carried over and may change.
    pub(super) fn carried_over(&self, reason: Reason) -> Option<Finding> {
        if !self.is_settling() || self.input.memory.met_sharers {
            return None;
        }
        let stored = self.input.observed.resource.status.as_ref().and_then(crate::status::ready);
        let said = stored.filter(|ready| ready.reason == reason.as_str());
        said.map(|said| Finding::new(reason, said.message.clone()))
    }
}
