//! The facts that one decision is made from.

use crate::api::{SyniverseToken, parse_duration};
use crate::fingerprint::{fingerprint, spread};
use crate::issuer::endpoint::NotAllowed;
use crate::memory::{Basis, Delivery, Target};
use crate::redacted::Redacted;
use crate::schedule::Terms;
use crate::secret_metadata::SecretMetadata;
use crate::secrets::{self, Owner, Wanted};
use crate::state::{Issued, State};
use crate::time::Moment;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// What one decision needs to know of the cluster.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource.
    pub resource: Arc<SyniverseToken>,
    /// Why its endpoint must not be asked, if the settings do not allow it.
    pub not_allowed: Option<NotAllowed>,
    /// The credentials Secret; none when it does not exist, or may not be used.
    pub credentials: Option<Secret>,
    /// The credentials Secret lacks the label that the settings ask for.
    pub lacks_consent: bool,
    /// The state Secret.
    pub state: Option<Secret>,
    /// The token Secret.
    pub token: Option<Secret>,
    /// Why none of these Secrets could be read, if the API server does not let us.
    pub forbidden: Option<String>,
    /// Who else uses the same endpoint and application.
    pub neighbours: Neighbours,
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
pub struct Neighbours {
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

impl Observed {
    /// The value of the refresh annotation.
    pub fn refresh(&self) -> Option<String> {
        self.resource.refresh()
    }

    /// The version of the credentials Secret.
    pub fn credentials_version(&self) -> Option<String> {
        self.credentials.as_ref().and_then(ResourceExt::resource_version)
    }

    /// A number that is stable for this resource.
    pub fn spread(&self) -> u64 {
        spread(self.resource.metadata.uid.as_deref().unwrap_or_default())
    }

    /// What the spec and the settings say about time.
    pub fn terms(&self) -> Terms {
        let validity = self.resource.spec.application.as_ref().map(|application| application.validity.as_str());
        Terms {
            refresh_before: self.resource.spec.refresh_before.as_deref().and_then(parse_duration),
            validity: validity.and_then(parse_duration).unwrap_or_default(),
            daily_check: self.daily_check,
            spread: self.spread(),
        }
    }

    /// What the resource asks for, and what the settings allow of it.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted { resource: &self.resource, metadata: &self.secret_metadata }
    }

    /// True of an application whose tokens are to have no end.
    pub fn wants_no_end(&self) -> bool {
        self.resource.spec.application.is_some() && self.terms().validity.is_zero()
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
        let fits = |issued: &Issued| secrets::too_large(&self.resource, &issued.token, issued.expires()).is_none();
        let next = |owner: Owner| secrets::next_token(self.token.as_ref(), self.wanted(), &owner, state);
        state.active_token().is_none_or(fits) && Owner::of(&self.resource).is_some_and(|owner| next(owner).is_none())
    }

    /// What the next write of this Secret starts from.
    pub fn basis(&self, target: Target) -> Basis {
        let secret = match target {
            Target::State => &self.state,
            Target::Token => &self.token,
        };
        let version = secret.as_ref().and_then(|secret| secret.metadata.resource_version.clone());
        Basis { generation: self.resource.metadata.generation, version }
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
