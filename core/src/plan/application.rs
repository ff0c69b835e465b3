//! Requests of an application: the live token, with a former token.

use super::candidates::Proposal;
use super::credential::Credential;
use crate::api::ApplicationSpec;
use crate::credential::ApplicationValues;
use crate::credential::ENDPOINT;
use crate::credential::application::{CONSUMER_KEY, CONSUMER_SECRET, OLD_TOKEN};
use crate::issuer::Kind;
use crate::issuer::{FailureKind, Refresh, TokenRequest};
use crate::messages;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::secrets;
use crate::state::{Role, TokenRecord};

/// The values a change of which is worth a request at once; a new validity is for the next token.
const CAUSES: [&str; 4] = [CONSUMER_KEY, CONSUMER_SECRET, OLD_TOKEN, ENDPOINT];

pub(super) fn proposal(credential: &Credential<'_>, spec: &ApplicationSpec, values: &ApplicationValues) -> Proposal {
    let shared_now = messages::shared(credential.input.observed.peers.sharing);
    let shared = credential.carried_over(Reason::SharedApplication).or_else(|| shared_now.clone());
    Proposal {
        change: credential.change(&CAUSES),
        request: request(credential, spec, values),
        fallback: None,
        has_new_password: false,
        is_provisional: shared != shared_now,
        notices: notices(credential, shared),
        hint: messages::application_remedy(
            &spec.credentials.secret_ref.name,
            values.likely_mistake(&spec.credentials.keys),
        ),
        login_hint: None,
    }
}

fn request(
    credential: &Credential<'_>,
    spec: &ApplicationSpec,
    values: &ApplicationValues,
) -> Result<TokenRequest, Finding> {
    let (validated, policy) = (&credential.input.validated, &credential.policy);
    let Some(old_token) = old_token(credential, values) else {
        let missing = || messages::no_old_token(&spec.credentials);
        return Err(values.old_token_problem.clone().unwrap_or_else(missing));
    };
    if let Some(problem) = &validated.validity_problem {
        return Err(problem.clone());
    }
    Ok(TokenRequest::Refresh(Refresh {
        endpoint: spec.endpoint.clone(),
        consumer_key: values.consumer_key.clone(),
        consumer_secret: values.consumer_secret.clone(),
        old_token,
        validity_seconds: policy.requested_validity(is_refused(credential)).as_secs(),
    }))
}

/// The issuer did not accept the last such request, perhaps for its validity.
fn is_refused(credential: &Credential<'_>) -> bool {
    let failing = credential.failed_requests(Role::Main);
    failing.is_some_and(|failing| matches!(failing.kind, FailureKind::Rejected | FailureKind::Refused))
}

/// A former token of the application, the likeliest first; the next after a refusal.
fn old_token(credential: &Credential<'_>, values: &ApplicationValues) -> Option<Redacted> {
    let given = values.old_token.clone();
    let changed = given.clone().filter(|_| credential.has_changed(OLD_TOKEN));
    let known = credential.known_token().map(|record| record.token.clone());
    let (observed, state) = (credential.input.observed, credential.state);
    let kept = observed.token.as_ref().and_then(|secret| secrets::believed_token(secret, observed.resource.spec.key()));
    let partner = credential.partner.as_ref().and_then(|partner| partner.token.as_ref());
    let is_of_partner = |kept: &Redacted| partner.is_some_and(|record| record.token == *kept);
    let kept = kept.filter(|kept| !state.is_of_another_kind(kept, Kind::Application) && !is_of_partner(kept));
    let mut candidates = Vec::new();
    for candidate in [changed, known, kept, given].into_iter().flatten() {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    let refused = credential.failed_requests(Role::Main).map_or(0, |failing| failing.refused as usize);
    candidates.get(refused % candidates.len().max(1)).cloned()
}

fn notices(credential: &Credential<'_>, shared: Option<Finding>) -> Vec<Finding> {
    let never_expires = credential.active_token().is_some_and(|record| record.expiration_time.is_none());
    let wants_an_end = credential.input.validated.refresh_policy.validity.is_some_and(|validity| !validity.is_zero());
    let is_unusable = credential.active_token().is_some_and(TokenRecord::is_short_lived);
    let unusable = is_unusable.then(messages::lifetime_unusable);
    let not_applied = (never_expires && wants_an_end).then(messages::validity_not_applied);
    [unusable, not_applied, shared].into_iter().flatten().collect()
}
