//! The observations that a plan is made from.

use crate::api::{IssuerSpec, SyniverseToken};
use crate::credential::Values;
use crate::fingerprint::{fingerprint, spread};
use crate::issuer::endpoint::NotAllowed;
use crate::lease::Term;
use crate::memory::{Target, WriteBasis, WrittenToken};
use crate::propagation::Shown;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::schedule::EndpointLoad;
use crate::secret_metadata::SecretMetadata;
use crate::secrets::{self, DesiredSecrets, Owner};
use crate::state::{Inputs, State, TokenRecord, Unreadable};
use crate::time::Moment;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The observed state of the cluster that a plan is made from.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub resource: Arc<SyniverseToken>,
    /// Why its endpoint must not be called, if the settings do not allow it.
    pub not_allowed: Option<NotAllowed>,
    /// The credentials Secret; none when it does not exist, or may not be used.
    pub credentials: Parsed<Result<Values, Finding>>,
    /// The credentials Secret lacks the label that the settings ask for.
    pub lacks_consent: bool,
    /// The credentials Secret of the standby, as the other.
    pub standby: Parsed<Option<Result<Values, Finding>>>,
    /// It lacks that label.
    pub standby_lacks_consent: bool,
    /// The state Secret.
    pub state: Parsed<Result<State, Unreadable>>,
    /// The token Secret.
    pub token: Option<Secret>,
    /// Why none of these Secrets could be read, if the API server refuses it.
    pub forbidden: Option<String>,
    /// Other users of the same endpoint and application.
    pub peers: PeerHealth,
    /// A fresh salt, should a state have to be made.
    pub salt: String,
    /// Interval between two checks of a long-lived token.
    pub daily_check: Duration,
    /// Spread the ends of many tokens of one endpoint.
    pub spread_validity: bool,
    /// Labels and annotations that a spec may set on a Secret.
    pub secret_metadata: Arc<SecretMetadata>,
    /// Identity of this process in an intent.
    pub holder: String,
    /// Longest duration of a request to an issuer.
    pub call_timeout: Duration,
    /// Since when this process acts.
    pub acting_since: Moment,
    /// The term in which this process acts, where it was elected.
    pub term: Option<Term>,
    /// What is to be said of the delivery of tokens to Pods.
    pub propagation: Shown,
}

/// How the requests of other resources end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerHealth {
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// The last request of another resource to this endpoint succeeded; none without a recent request.
    pub succeed: Option<bool>,
    /// Other users of the same consumer key at the same endpoint.
    pub sharing: Sharing,
    /// Load of the endpoint.
    pub load: EndpointLoad,
}

/// Other users of the same application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Another resource of this namespace.
    pub here: bool,
    /// A resource of another namespace.
    pub elsewhere: bool,
    /// Another user came before this resource.
    pub before_us: bool,
}

/// The shared credential of a resource.
#[derive(Clone, Debug)]
pub struct SharedUse {
    /// The value that they have in common; none where the resource has its own.
    pub by: Option<Redacted>,
    /// It has used what serves only the resource that used it first.
    pub has_used: bool,
}

/// The contents of a state Secret.
#[derive(Clone, Copy, Debug)]
pub enum StateSecret<'a> {
    /// There is none.
    Absent,
    /// It is not ours to read.
    Foreign,
    /// A newer version of the operator wrote it, in this format.
    TooNew(u32),
    /// It is not a state of this operator.
    Corrupt,
    /// A state.
    Ours(&'a State),
}

/// A Secret as it was read, and what it says: parsed once, when that is first asked for.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    secret: Option<Secret>,
    content: OnceLock<T>,
}

impl<T> Parsed<T> {
    /// The Secret; none where there is none.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The Secret, to be changed: its contents are parsed again.
    pub fn secret_mut(&mut self) -> Option<&mut Secret> {
        self.content = OnceLock::new();
        self.secret.as_mut()
    }

    fn content(&self, parse: impl FnOnce() -> T) -> &T {
        self.content.get_or_init(parse)
    }
}

impl<T> From<Option<Secret>> for Parsed<T> {
    fn from(secret: Option<Secret>) -> Self {
        Self { secret, content: OnceLock::new() }
    }
}

impl<T> From<Secret> for Parsed<T> {
    fn from(secret: Secret) -> Self {
        Some(secret).into()
    }
}

impl Observed {
    /// The value of the refresh annotation.
    pub fn refresh(&self) -> Option<String> {
        self.resource.refresh()
    }

    /// The version of the credentials Secret.
    pub fn credentials_version(&self) -> Option<String> {
        self.credentials.secret().and_then(ResourceExt::resource_version)
    }

    /// A number that is stable for this resource.
    pub fn spread(&self) -> u64 {
        spread(self.resource.metadata.uid.as_deref().unwrap_or_default())
    }

    /// The requested Secrets, as far as the settings allow.
    pub fn desired(&self) -> DesiredSecrets<'_> {
        DesiredSecrets { resource: &self.resource, metadata: &self.secret_metadata }
    }

    /// The identifying data of a token Secret written for `state`.
    pub fn written_token(&self, state: &State) -> Option<WrittenToken> {
        let record = state.active_token()?;
        Some(WrittenToken {
            fingerprint: fingerprint(&record.token),
            issue_time: record.issue_time,
            expiration_time: record.expiration_time,
            generation: self.resource.metadata.generation,
        })
    }

    /// True when the token Secret is as `state` and the spec want it.
    pub fn is_token_written(&self, state: &State) -> bool {
        let fits = |record: &TokenRecord| secrets::too_large(&self.resource, &record.token, record.expires()).is_none();
        let next = |owner: Owner| secrets::next_token(self.token.as_ref(), self.desired(), &owner, state);
        state.active_token().is_none_or(fits) && Owner::of(&self.resource).is_some_and(|owner| next(owner).is_none())
    }

    /// The basis of the next write of this Secret.
    pub fn write_basis(&self, target: Target) -> WriteBasis {
        let secret = match target {
            Target::State => self.state.secret(),
            Target::Token => self.token.as_ref(),
        };
        let version = secret.and_then(|secret| secret.metadata.resource_version.clone());
        WriteBasis { generation: self.resource.metadata.generation, version }
    }

    /// The contents of the state Secret.
    pub fn state_secret(&self) -> StateSecret<'_> {
        let Some(secret) = self.state.secret() else { return StateSecret::Absent };
        if self.ours(Some(secret)).is_none() {
            return StateSecret::Foreign;
        }
        match self.state.content(|| secrets::read_state(secret)) {
            Ok(state) => StateSecret::Ours(state),
            Err(Unreadable::TooNew(format)) => StateSecret::TooNew(*format),
            Err(Unreadable::Corrupt) => StateSecret::Corrupt,
        }
    }

    /// The state, if the state Secret is ours and can be read.
    pub fn stored_state(&self) -> Option<&State> {
        match self.state_secret() {
            StateSecret::Ours(state) => Some(state),
            StateSecret::Absent | StateSecret::Foreign | StateSecret::TooNew(_) | StateSecret::Corrupt => None,
        }
    }

    /// The contents of the credentials Secret for this issuer.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn values(&self, issuer: IssuerSpec<'_>) -> Result<&Values, Finding> {
        let read = || Values::read(issuer, self.credentials.secret());
        self.credentials.content(read).as_ref().map_err(Clone::clone)
    }

    /// The contents of the credentials Secret of the standby of this issuer; none without a standby.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn standby_values(&self, issuer: IssuerSpec<'_>) -> Option<Result<&Values, Finding>> {
        let read = || Values::read_standby(issuer, self.standby.secret());
        self.standby.content(read).as_ref().map(|values| values.as_ref().map_err(Clone::clone))
    }

    /// True while no finding says that the standby cannot take over; none without a standby.
    pub fn is_standby_ready(&self, findings: &[Finding]) -> Option<bool> {
        self.resource.spec.issuer()?.standby_secret()?;
        let is_about_it =
            |finding: &Finding| matches!(finding.reason, Reason::StandbyFailing | Reason::StandbyNotIndependent);
        Some(!findings.iter().any(is_about_it))
    }

    /// The values of the credential whose token is in the token Secret, or is to be.
    fn active_values(&self, issuer: IssuerSpec<'_>) -> Option<&Values> {
        let is_active = |values: &&Values| {
            self.stored_state().is_some_and(|state| state.active.as_deref() == Some(&state.id_of(values.identity())))
        };
        let standby = self.standby_values(issuer).and_then(Result::ok).filter(is_active);
        standby.or_else(|| self.values(issuer).ok())
    }

    /// The values of the standby, whichever of the two it is now; none where there is no other credential.
    pub fn idle_values(&self, issuer: IssuerSpec<'_>) -> Option<&Values> {
        let both = [Some(self.values(issuer)), self.standby_values(issuer)].map(|values| values?.ok());
        let [Some(first), Some(second)] = both else { return None };
        let state = self.stored_state()?;
        let [first_id, second_id] = [first, second].map(|values| state.id_of(values.identity()));
        let is_second_active = state.active.as_ref() == Some(&second_id);
        (first_id != second_id).then_some(if is_second_active { first } else { second })
    }

    /// The shared credential of this resource; none while its credentials cannot be read.
    pub fn shared(&self, issuer: IssuerSpec<'_>) -> Option<SharedUse> {
        let values = self.active_values(issuer)?;
        let shared = values.shared();
        let first_come = shared.map(|shared| shared.first_come).unwrap_or_default();
        let is_used = |state: &State| {
            let inputs = Inputs::of(&state.salt, values.named());
            !inputs.has_unused(first_come, &state.inputs_of(&state.id_of(values.identity())))
        };
        let has_used = !first_come.is_empty() && self.stored_state().is_some_and(is_used);
        Some(SharedUse { by: shared.map(|shared| shared.by.clone()), has_used })
    }

    /// The token in the token Secret, if the Secret is ours: the Secret of a deleted resource of this name may vanish
    /// at any moment.
    pub fn served_token(&self) -> Option<Redacted> {
        secrets::token_in(self.ours(self.token.as_ref())?, self.resource.spec.key())
    }

    fn ours<'a>(&self, secret: Option<&'a Secret>) -> Option<&'a Secret> {
        let owner = Owner::of(&self.resource)?;
        secret.filter(|secret| owner.may_write(secret))
    }
}
