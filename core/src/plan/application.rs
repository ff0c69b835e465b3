//! The application issuer: one live token, which cannot be renewed early, asked for with one that it has had.

use super::candidates::{Question, Side};
use super::{Desk, StateWrite};
use crate::api::ApplicationSpec;
use crate::credential::Credentials;
use crate::fingerprint::fingerprint;
use crate::issuer::{Ask, Cause, FailureKind, Refresh};
use crate::messages;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::schedule::{Due, Life, Terms};
use crate::secrets;
use crate::state::inputs::{CONSUMER_KEY, CONSUMER_SECRET, ENDPOINT, OLD_TOKEN};
use crate::state::{Inputs, Issued, State};
use crate::time::Moment;

/// The side of an application.
pub(super) struct Application<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) spec: &'a ApplicationSpec,
    pub(super) credentials: Credentials,
}

impl<'a> Application<'a> {
    /// With the credentials that its Secret holds.
    pub(super) fn new(desk: &'a Desk<'a>, spec: &'a ApplicationSpec) -> Result<Self, Finding> {
        let credentials = Credentials::read(&spec.credentials, desk.observed.credentials.as_ref())?;
        Ok(Self { desk, spec, credentials })
    }

    /// A lost state, as far as the token Secret still tells it.
    pub(super) fn state_in_token_secret(&self) -> Option<State> {
        let desk = self.desk;
        let token = desk.observed.token.as_ref().filter(|token| desk.owner.obstacle(token).is_none())?;
        let empty = desk.empty_state();
        let (id, inputs) = (self.id(&empty), self.inputs(&empty.salt));
        secrets::restore(token, desk.observed.resource.spec.key(), empty, id, inputs)
    }

    fn terms(&self) -> Terms {
        self.desk.observed.terms()
    }

    /// One old token per attempt: a changed `oldToken` first, then what we were given last, then what else there is.
    fn old_token(&self, question: &Question<'_>) -> Option<Redacted> {
        let given = self.credentials.old_token.clone();
        let changed = question.attempt.inputs.differs(&question.state.inputs, OLD_TOKEN);
        let known = question.known().map(|issued| issued.token.clone());
        let key = self.desk.observed.resource.spec.key();
        let kept = self.desk.observed.token.as_ref().and_then(|secret| secrets::believed_token(secret, key));
        // The token of a session that this resource had before is none of this issuer's business.
        let kept = kept.filter(|kept| !question.state.is_of_session(kept));
        let mut candidates = Vec::new();
        for candidate in [given.clone().filter(|_| changed), known, kept, given].into_iter().flatten() {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        let refused = question.failing(false).map_or(0, |failing| failing.refused as usize);
        candidates.get(refused % candidates.len().max(1)).cloned()
    }

    fn shared(&self, question: &Question<'_>) -> Option<Finding> {
        let now = || messages::shared(self.desk.observed.neighbours.sharing);
        question.still_said(Reason::SharedApplication).or_else(now)
    }
}

impl Side for Application<'_> {
    fn id(&self, state: &State) -> String {
        state.application_id(&self.credentials.consumer_key)
    }

    fn inputs(&self, salt: &str) -> Inputs {
        Inputs::of_application(salt, &self.spec.endpoint, &self.spec.validity, &self.credentials)
    }

    /// A changed validity acts at the next rotation.
    fn causes(&self, _: &Question<'_>) -> Vec<&'static str> {
        vec![CONSUMER_KEY, CONSUMER_SECRET, OLD_TOKEN, ENDPOINT]
    }

    fn event(&self, _: &Question<'_>, issued: &Issued) -> Option<Cause> {
        let elsewhere = self.desk.memory.rotated_elsewhere.as_ref();
        elsewhere.filter(|token| **token != fingerprint(&issued.token)).map(|_| Cause::RotatedElsewhere)
    }

    fn next_due(&self, question: &Question<'_>, issued: &Issued, life: &Life) -> Option<Due> {
        self.terms().next_due(issued, life, question.boundary(), self.desk.now)
    }

    /// A boundary is asked at with the new values as well.
    fn upkeep(&self, _: &Question<'_>) -> Option<Ask> {
        None
    }

    fn ask(&self, question: &Question<'_>, _: Option<Cause>) -> Result<Ask, Finding> {
        let Some(old_token) = self.old_token(question) else {
            let missing = || messages::no_old_token(&self.spec.credentials);
            return Err(self.credentials.old_token_problem.clone().unwrap_or_else(missing));
        };
        Ok(Ask::Refresh(Refresh {
            endpoint: self.spec.endpoint.clone(),
            consumer_key: self.credentials.consumer_key.clone(),
            consumer_secret: self.credentials.consumer_secret.clone(),
            old_token,
            validity_seconds: self.terms().validity.as_secs(),
        }))
    }

    /// If we cannot write, we do not ask: the first issue begins with an empty state.
    fn announcement(&self, question: &Question<'_>) -> Option<StateWrite> {
        let is_first = self.desk.known_state().is_none();
        is_first.then(|| self.desk.write_state(question.state.clone())).flatten()
    }

    fn honoured_until(&self, _: &Question<'_>) -> Option<Moment> {
        None
    }

    fn notices(&self, question: &Question<'_>) -> Vec<Finding> {
        let never_expires = question.issued().is_some_and(|issued| issued.expiration_time.is_none());
        let not_applied = never_expires && !self.terms().validity.is_zero();
        let is_unusable = question.issued().is_some_and(Issued::is_short_lived);
        let unusable = is_unusable.then(messages::lifetime_unusable);
        let not_applied = not_applied.then(messages::validity_not_applied);
        [unusable, not_applied, self.shared(question)].into_iter().flatten().collect()
    }

    fn is_provisional(&self, question: &Question<'_>) -> bool {
        self.shared(question) != messages::shared(self.desk.observed.neighbours.sharing)
    }

    fn remedy(&self, _: FailureKind) -> String {
        let wanted = &self.spec.credentials;
        messages::application_remedy(&wanted.secret_ref.name, self.credentials.slip(&wanted.keys))
    }
}
