//! The facts that one decision is made from.

use crate::api::{IssuerSpec, SyniverseToken};
use crate::credential::Values;
use crate::fingerprint::{fingerprint, spread};
use crate::issuer::endpoint::NotAllowed;
use crate::memory::{Target, WriteBasis, WrittenToken};
use crate::reason::Finding;
use crate::redacted::Redacted;
use crate::secret_metadata::SecretMetadata;
use crate::secrets::{self, DesiredSecrets, Owner};
use crate::state::{Inputs, State, TokenRecord, Unreadable};
use crate::time::Moment;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What one decision needs to know of the cluster.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub resource: Arc<SyniverseToken>,
    /// Why its endpoint must not be asked, if the settings do not allow it.
    pub not_allowed: Option<NotAllowed>,
    /// The credentials Secret; none when it does not exist, or may not be used.
    pub credentials: Parsed<Result<Values, Finding>>,
    /// The credentials Secret lacks the label that the settings ask for.
    pub lacks_consent: bool,
    /// The state Secret.
    pub state: Parsed<Result<State, Unreadable>>,
    /// The token Secret.
    pub token: Option<Secret>,
    /// Why none of these Secrets could be read, if the API server does not let us.
    pub forbidden: Option<String>,
    /// Who else uses the same endpoint and application.
    pub peers: PeerHealth,
    /// A fresh salt, should a state have to be made.
    pub salt: String,
    /// Between two daily checks of a long-lived token.
    pub daily_check: Duration,
    /// Which labels and annotations a spec may put on a Secret.
    pub secret_metadata: Arc<SecretMetadata>,
    /// Names this process in an intent.
    pub holder: String,
    /// The longest that a call takes.
    pub call_timeout: Duration,
    /// Since when this process acts.
    pub acting_since: Moment,
    /// When the calls of all processes before it were over, where that is known.
    pub calls_over_by: Option<Moment>,
}

/// How other resources fare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerHealth {
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// The last call of another resource to this endpoint succeeded; none without a recent neighbour.
    pub succeed: Option<bool>,
    /// Who else uses the same consumer key at the same endpoint.
    pub sharing: Sharing,
}

/// Who else uses the same application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Another resource of this namespace.
    pub here: bool,
    /// A resource of another namespace.
    pub elsewhere: bool,
    /// One of them was there before this one.
    pub before_us: bool,
}

/// What a resource shares with others.
#[derive(Clone, Debug)]
pub struct SharedUse {
    /// The value that they have in common; none where it has one of its own.
    pub by: Option<Redacted>,
    /// It has used what serves only the resource that used it first.
    pub has_used: bool,
}

/// What a state Secret says.
#[derive(Clone, Copy, Debug)]
pub enum StateSecret<'a> {
    /// There is none.
    Absent,
    /// It is not ours to read.
    Foreign,
    /// A newer version of the operator wrote it, in this format.
    TooNew(u32),
    /// It is not what we write.
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

    /// The Secret, to be changed: what it says is parsed anew.
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

    /// What the resource asks for, and what the settings allow of it.
    pub fn desired(&self) -> DesiredSecrets<'_> {
        DesiredSecrets { resource: &self.resource, metadata: &self.secret_metadata }
    }

    /// What a token Secret written for `state` is known by.
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

    /// What the next write of this Secret starts from.
    pub fn write_basis(&self, target: Target) -> WriteBasis {
        let secret = match target {
            Target::State => self.state.secret(),
            Target::Token => self.token.as_ref(),
        };
        let version = secret.and_then(|secret| secret.metadata.resource_version.clone());
        WriteBasis { generation: self.resource.metadata.generation, version }
    }

    /// What the state Secret says.
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

    /// What the credentials Secret holds for this issuer.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn values(&self, issuer: IssuerSpec<'_>) -> Result<&Values, Finding> {
        let read = || Values::read(issuer, self.credentials.secret());
        self.credentials.content(read).as_ref().map_err(Clone::clone)
    }

    /// What this resource shares with others; none while its credentials cannot be read.
    pub fn shared(&self, issuer: IssuerSpec<'_>) -> Option<SharedUse> {
        let values = self.values(issuer).ok()?;
        let shared = values.shared();
        let first_come = shared.map(|shared| shared.first_come).unwrap_or_default();
        let is_used = |state: &State| {
            let inputs = Inputs::of(&state.salt, values.named(issuer));
            !inputs.has_unused(first_come, &state.inputs_of(&state.id_of(values.identity())))
        };
        let has_used = !first_come.is_empty() && self.stored_state().is_some_and(is_used);
        Some(SharedUse { by: shared.map(|shared| shared.by.clone()), has_used })
    }

    /// What the token Secret holds where the token belongs, if the Secret is ours: that of a former resource of this
    /// name may go at any moment.
    pub fn served_token(&self) -> Option<Redacted> {
        secrets::token_in(self.ours(self.token.as_ref())?, self.resource.spec.key())
    }

    fn ours<'a>(&self, secret: Option<&'a Secret>) -> Option<&'a Secret> {
        let owner = Owner::of(&self.resource)?;
        secret.filter(|secret| owner.may_write(secret))
    }
}
