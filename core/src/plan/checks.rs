//! Checks that stop a resource until a person acts.

use super::input::{PlanInput, Writable};
use super::{Plan, PlannedRequest, Step};
use crate::credential::Values;
use crate::memory::Target;
use crate::messages;
use crate::observed::StateSecret;
use crate::plan::credential::Credential;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::secrets;
use crate::state::State;
use crate::time::Moment;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;

impl PlanInput<'_> {
    pub(super) fn state_obstacle(&self) -> Option<Finding> {
        let secret = self.observed.state.secret()?;
        if let Some(finding) = self.obstacle(Target::State, secret) {
            return Some(finding);
        }
        match self.observed.state_secret() {
            StateSecret::TooNew(format) => Some(messages::state_too_new(&secret.name_any(), format)),
            _ => None,
        }
    }

    /// Why no token can be written to the token Secret: neither the token of `state` nor a token like those in the
    /// credentials.
    pub(super) fn token_obstacle(&self, state: Option<&State>) -> Option<Finding> {
        let secret = self.observed.token.as_ref();
        let obstacle = secret.and_then(|secret| self.obstacle(Target::Token, secret));
        let known = || state.and_then(State::active_token).map(|record| (record.token.clone(), record.expires()));
        let given = || {
            let token = self.observed.values(self.validated.issuer).ok()?.token()?.clone();
            Some((token, !self.validated.wants_no_end()))
        };
        let too_large =
            |(token, expires): (Redacted, bool)| secrets::too_large(&self.observed.resource, &token, expires);
        obstacle.or_else(|| known().or_else(given).and_then(too_large))
    }

    fn obstacle(&self, target: Target, secret: &Secret) -> Option<Finding> {
        let finding = self.owner.obstacle(secret)?;
        let is_immutable_on_write =
            finding.reason == Reason::SecretImmutable && self.memory.writes.is_immutable_on_write(target);
        Some(if is_immutable_on_write { messages::sealed(&secret.name_any()) } else { finding })
    }

    /// Why credentials must not be sent, until a person acts. The live pair of a session does not come from the Secret,
    /// and a standby has a Secret of its own.
    fn not_permitted(&self) -> Option<Finding> {
        let not_allowed = self.observed.not_allowed.as_ref().map(messages::endpoint_not_allowed);
        let has_other = self.must_renew() || self.validated.issuer.standby_secret().is_some();
        not_allowed.or_else(|| self.not_consented().filter(|_| !has_other))
    }

    /// Why nothing that the credentials Secret holds may be used.
    pub(super) fn not_consented(&self) -> Option<Finding> {
        let secret = self.validated.issuer.credentials_secret();
        let lacks_consent = || self.observed.lacks_consent.then(|| messages::credentials_not_consented(secret));
        messages::credentials_in_state_secret(secret).or_else(lacks_consent)
    }

    /// The values of the standby; none without a standby.
    pub(super) fn standby_values(&self) -> Option<Result<Values, Finding>> {
        let secret = self.validated.issuer.standby_secret()?;
        let lacks_consent = || self.observed.standby_lacks_consent.then(|| messages::credentials_not_consented(secret));
        Some(match messages::credentials_in_state_secret(secret).or_else(lacks_consent) {
            Some(problem) => Err(problem),
            None => self.observed.standby_values(self.validated.issuer)?.cloned(),
        })
    }

    /// Whether there is a cause to request a token.
    pub(super) fn plan_request(&self, writable: Writable) -> Plan {
        if let Some(finding) = self.token_obstacle(self.known_state()).filter(|_| !self.must_renew()) {
            return Plan::stop(finding);
        }
        if self.observed.resource.spec.suspend {
            return Plan::stop(messages::suspended());
        }
        if let Some(finding) = self.not_permitted() {
            return Plan::stop(finding);
        }
        if let Some(failed) = self.postponed_write(Target::Token).filter(|_| self.is_first_issue()) {
            return Plan::wait(Some(failed.not_before), vec![messages::write_failed(failed)]);
        }
        let state = self.latest_state().unwrap_or_else(|| self.empty_state());
        let first = Credential::of(self, &state, writable);
        match self.standby_values().map(|values| Ok(Credential::new(self, &state, writable, values?))) {
            Some(standby) => self.plan_turns(first, standby),
            None => first.map_or_else(Plan::stop, |credential| self.plan_credential(&credential)),
        }
    }

    pub(super) fn plan_credential(&self, credential: &Credential<'_>) -> Plan {
        let proposal = credential.proposal();
        let candidates = match proposal.candidates(credential) {
            Ok(candidates) => candidates,
            Err(finding) => return Plan::wait(proposal.settled_at(credential), vec![finding]),
        };
        let findings = proposal.findings(credential, &candidates);
        let allowed = candidates.into_iter().map(|candidate| (credential.allowed_at(&candidate), candidate));
        let next = allowed.min_by_key(|(at, _)| *at);
        let request = next.map(|(at, candidate)| (at, proposal.planned_request(credential, candidate)));
        self.plan_next(request, proposal.settled_at(credential), findings)
    }

    /// This request at its time, and a plan before that where findings may change by then.
    pub(super) fn plan_next(
        &self,
        request: Option<(Moment, PlannedRequest)>,
        settled: Option<Moment>,
        findings: Vec<Finding>,
    ) -> Plan {
        let Some((at, request)) = request else { return Plan::wait(settled, findings) };
        let request = Box::new(request);
        if at <= self.now.mono {
            return Plan { step: Step::Request(request), findings, upcoming: None };
        }
        match settled.filter(|settled| *settled < at) {
            Some(settled) => Plan::wait(Some(settled), findings),
            None => Plan { step: Step::Wait(Some(at)), findings, upcoming: Some(request) },
        }
    }
}
