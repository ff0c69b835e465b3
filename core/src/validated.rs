//! The step between observing and planning: the validated spec, or its errors.

use crate::api::{IssuerSpec, parse_duration};
use crate::issuer::Kind;
use crate::messages;
use crate::observed::Observed;
use crate::reason::{Finding, Reason};
use crate::schedule::RefreshPolicy;
use crate::state::TokenRecord;
use std::time::Duration;

/// The validated spec.
#[derive(Clone, Debug)]
pub struct Validated<'a> {
    /// The issuer of the token.
    pub issuer: IssuerSpec<'a>,
    /// The timing set by the spec, the settings and the load of the endpoint. What could not be read of the spec is left out.
    pub refresh_policy: RefreshPolicy,
    /// The error in `spec.refreshBefore`: the default is used instead.
    pub refresh_before_problem: Option<Finding>,
    /// The error in `spec.application.validity`: no token can be requested without it.
    pub validity_problem: Option<Finding>,
}

impl<'a> Validated<'a> {
    /// Reads the spec. The schema refuses most of what is found here; an object that an older schema let in is served as
    /// far as it can be.
    ///
    /// # Errors
    /// A finding that names the field, where nothing can be done for the resource at all.
    pub fn of(observed: &'a Observed) -> Result<Self, Finding> {
        let spec = &observed.resource.spec;
        let issuer = messages::supported(spec)?;
        let (refresh_before, refresh_before_problem) =
            parsed(Reason::RefreshBeforeInvalid, "refreshBefore", spec.refresh_before.as_deref());
        let validity = spec.application.as_ref().map(|application| application.validity.as_str());
        let (validity, validity_problem) = parsed(Reason::SpecInvalid, "application.validity", validity);
        let policy = RefreshPolicy {
            refresh_before,
            validity,
            hand_over_lead: None,
            daily_check: observed.daily_check,
            spread: observed.spread(),
            spread_validity: observed.spread_validity,
            load: observed.peers.load,
        };
        Ok(Self { issuer, refresh_policy: policy, refresh_before_problem, validity_problem })
    }

    /// The kind of the credential.
    pub fn kind(&self) -> Kind {
        Kind::of(self.issuer)
    }

    /// The rules of time for `record`, the token in the token Secret, with a standby or without.
    pub fn policy_for(&self, observed: &Observed, record: &TokenRecord) -> RefreshPolicy {
        let policy = self.refresh_policy.clone();
        let standby = observed.stored_state().zip(observed.idle_values(self.issuer));
        let hand_over_lead = standby.map(|(state, values)| {
            let idle = state.credentials.get(&state.id_of(values.identity()));
            policy.hand_over_lead(record, idle.and_then(|idle| idle.token.as_ref()))
        });
        RefreshPolicy { hand_over_lead, ..policy }
    }

    /// True when a token without end is wanted.
    pub fn wants_no_end(&self) -> bool {
        self.refresh_policy.validity.is_some_and(|validity| validity.is_zero())
    }
}

fn parsed(reason: Reason, field: &str, text: Option<&str>) -> (Option<Duration>, Option<Finding>) {
    match text.map(|text| parse_duration(text).ok_or(text)) {
        None => (None, None),
        Some(Ok(duration)) => (Some(duration), None),
        Some(Err(text)) => (None, Some(messages::no_duration(reason, field, text))),
    }
}
