//! One credential of the resource as a plan sees it: what is stored, what is remembered, and what the spec makes of both.

use super::candidates::{Candidate, Proposal};
use super::input::{Delivery, Desk};
use super::{application, session};
use crate::api::IssuerSpec;
use crate::credential::{SessionValues, Values};
use crate::fingerprint::fingerprint;
use crate::issuer::Cause;
use crate::issuer::RenewalTime;
use crate::memory::Failing;
use crate::reason::{Finding, Reason};
use crate::schedule::expiry_poll::Boundary;
use crate::schedule::rate_limiter::refill;
use crate::schedule::{Due, Life};
use crate::state::{Attempt, CredentialRecord, Inputs, Issued, Role, State};
use crate::time::Moment;
use std::time::Duration;

/// For this long after a process begins to act, what an earlier process said of other resources stays said.
const SETTLING: Duration = Duration::from_secs(60);

/// One credential of the resource.
pub(super) struct Credential<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) state: &'a State,
    /// What is stored of it; for a new one, with the inputs of the one before it.
    pub(super) record: CredentialRecord,
    /// What would be tried now.
    pub(super) attempt: Attempt,
    pub(super) delivery: Delivery,
    values: Values,
}

impl<'a> Credential<'a> {
    /// The credential that the spec names.
    ///
    /// # Errors
    /// What is wrong with its values, where nothing could be requested without.
    pub(super) fn of(desk: &'a Desk<'a>, state: &'a State, delivery: Delivery) -> Result<Self, Finding> {
        let issuer = desk.validated.issuer;
        let values = match (issuer, desk.not_consented()) {
            (IssuerSpec::Session(_), Some(finding)) => Values::Session(SessionValues::withheld(finding)),
            _ => desk.observed.values(issuer)?.clone(),
        };
        let id = state.id_of(values.identity());
        let record = state.credentials.get(&id).cloned().unwrap_or_default();
        let record = CredentialRecord { inputs: state.inputs_of(&id), ..record };
        let inputs = Inputs::of(&state.salt, values.named(issuer));
        let attempt = Attempt { credential: id, inputs, refresh: desk.observed.refresh(), role: Role::Main };
        Ok(Self { desk, state, record, attempt, delivery, values })
    }

    /// What its kind makes of all this.
    pub(super) fn proposal(&self) -> Proposal {
        match (&self.values, self.desk.validated.issuer) {
            (Values::Application(values), IssuerSpec::Application(spec)) => application::proposal(self, spec, values),
            (Values::Session(values), IssuerSpec::Session(spec)) => session::proposal(self, spec, values),
            (Values::Application(_), IssuerSpec::Session(_)) | (Values::Session(_), IssuerSpec::Application(_)) => {
                unreachable!("values are read for the issuer of the spec")
            }
        }
    }

    /// Its last token.
    pub(super) fn known(&self) -> Option<&Issued> {
        self.record.token.as_ref()
    }

    /// The token in the token Secret, if it is of this credential.
    pub(super) fn issued(&self) -> Option<&Issued> {
        self.known().filter(|_| self.state.active.as_ref() == Some(&self.attempt.credential))
    }

    /// The first of these values that has changed, or the wish of a person, since the last recorded request.
    pub(super) fn change(&self, names: &[&'static str]) -> Option<Cause> {
        self.issued()?;
        let value = self.attempt.inputs.change_since(&self.record.inputs, names).map(Cause::Changed);
        value.or_else(|| self.is_requested().then_some(Cause::Requested))
    }

    pub(super) fn is_requested(&self) -> bool {
        self.attempt.refresh.is_some() && self.attempt.refresh != self.state.refresh
    }

    /// True when this value has changed since the last recorded request.
    pub(super) fn has_changed(&self, name: &str) -> bool {
        self.attempt.inputs.differs(&self.record.inputs, name)
    }

    /// When the issuer is to be asked although nothing has changed.
    pub(super) fn next_due(&self) -> Option<Due> {
        let issued = self.issued()?;
        let event = self.event(issued).map(|cause| Due { cause, at: self.desk.now.mono });
        event.or_else(|| self.scheduled(issued))
    }

    fn event(&self, issued: &Issued) -> Option<Cause> {
        let elsewhere = self.desk.memory.rotated_elsewhere.as_ref();
        let is_elsewhere = elsewhere.is_some_and(|token| *token != fingerprint(&issued.token));
        issued.ended.then_some(Cause::Ended).or(is_elsewhere.then_some(Cause::RotatedElsewhere))
    }

    fn scheduled(&self, issued: &Issued) -> Option<Due> {
        let (terms, now) = (&self.desk.validated.terms, self.desk.now);
        let life = self.life(issued);
        match (self.desk.validated.kind().renewal().when, self.delivery) {
            (RenewalTime::AfterExpiry, _) => terms.next_due(issued, &life, self.boundary(), now),
            (RenewalTime::BeforeExpiry, Delivery::InOrder) => Some(terms.next_extension(issued, &life, now)),
            (RenewalTime::BeforeExpiry, Delivery::InTrouble) => Some(terms.last_extension(issued, &life, now)),
            (RenewalTime::BeforeExpiry, Delivery::Unrecorded) => Some(terms.unrecorded_extension(issued, &life, now)),
        }
    }

    fn life(&self, issued: &Issued) -> Life {
        self.desk.memory.life(issued, self.desk.now)
    }

    /// The earliest moment at which this candidate may be sent.
    pub(super) fn allowed_at(&self, candidate: &Candidate) -> Moment {
        let now = self.desk.now.mono;
        let retry = self.failing(candidate.role).map(|failing| failing.not_before);
        let room = self.boundary().map(|boundary| boundary.room_at(now));
        let limits = [room, Some(self.governed_at(candidate)), self.blocked_by_intent_until()];
        let later_than_now = limits.into_iter().flatten().filter(|at| *at > now);
        later_than_now.chain(retry).fold(candidate.due.at, Moment::max)
    }

    pub(super) fn boundary(&self) -> Option<&Boundary> {
        self.desk.memory.boundary(self.issued()?)
    }

    pub(super) fn governed_at(&self, candidate: &Candidate) -> Moment {
        let others = usize::from(candidate.leaves_one);
        self.desk.memory.governor.ready_for(others, self.desk.now.mono, refill(self.issued()))
    }

    /// Until when the request of another process, which cannot be repeated, may still be on its way.
    fn blocked_by_intent_until(&self) -> Option<Moment> {
        let (observed, now) = (self.desk.observed, self.desk.now);
        let intent = self.state.intent.as_ref().filter(|_| !self.desk.validated.kind().renewal().is_repeatable)?;
        let is_over = observed.calls_over_by.is_some_and(|over| now.moment_of(intent.time) <= over);
        intent.honoured_until(&observed.holder, now, observed.call_timeout).filter(|_| !is_over)
    }

    /// The row of failures of exactly what would be tried now.
    pub(super) fn failing(&self, role: Role) -> Option<&Failing> {
        let failing = self.desk.memory.failing(&self.attempt.credential, role)?;
        (failing.attempt == Attempt { role, ..self.attempt.clone() }).then_some(failing)
    }

    /// The issuer has given this resource a token for what would be tried now.
    pub(super) fn was_served(&self, role: Role) -> bool {
        self.known().is_some() && (role == Role::Fallback || !self.attempt.inputs.differ(&self.record.inputs))
    }

    pub(super) fn settles_at(&self) -> Moment {
        self.desk.observed.acting_since + SETTLING
    }

    pub(super) fn is_settling(&self) -> bool {
        self.desk.now.mono < self.settles_at()
    }

    /// What an earlier process said for this reason, while this one may still come to know better.
    pub(super) fn still_said(&self, reason: Reason) -> Option<Finding> {
        if !self.is_settling() || self.desk.memory.met_sharers {
            return None;
        }
        let stored = self.desk.observed.resource.status.as_ref().and_then(crate::status::ready);
        let said = stored.filter(|ready| ready.reason == reason.as_str());
        said.map(|said| Finding::new(reason, said.message.clone()))
    }
}
