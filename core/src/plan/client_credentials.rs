//! Requests of client credentials: always the same request. The response tells whether its token is a new token.

use super::candidates::Proposal;
use super::credential::Credential;
use crate::api::{ClientAuthentication, ClientCredentialsSpec};
use crate::credential::client_credentials::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, ENDPOINT_PARAMS, SCOPES};
use crate::credential::{ClientCredentialsValues, ENDPOINT};
use crate::issuer::{ClientCredentials, TokenRequest};
use crate::messages;
use crate::reason::{Finding, Reason};
use crate::state::TokenRecord;

/// The values a change of which is worth a request at once. The same token is had in either way of authentication.
const CAUSES: [&str; 6] = [CLIENT_ID, CLIENT_SECRET, SCOPES, AUDIENCE, ENDPOINT_PARAMS, ENDPOINT];

pub(super) fn proposal(
    credential: &Credential<'_>,
    spec: &ClientCredentialsSpec,
    values: &ClientCredentialsValues,
) -> Proposal {
    let shared_now = messages::client_shared(credential.input.observed.peers.sharing);
    let shared = credential.carried_over(Reason::SharedApplication).or_else(|| shared_now.clone());
    Proposal {
        change: credential.change(&CAUSES),
        request: request(spec, values),
        fallback: None,
        has_new_password: false,
        is_provisional: shared != shared_now,
        notices: notices(credential, shared),
        hint: messages::client_hint(&spec.credentials.secret_ref.name, values.likely_mistake(&spec.credentials.keys)),
        login_hint: None,
    }
}

fn request(spec: &ClientCredentialsSpec, values: &ClientCredentialsValues) -> Result<TokenRequest, Finding> {
    if spec.authentication == ClientAuthentication::Unknown {
        return Err(messages::authentication_not_supported());
    }
    Ok(TokenRequest::ClientCredentials(ClientCredentials {
        endpoint: spec.token_url.clone(),
        client_id: values.client_id.clone(),
        client_secret: values.client_secret.clone(),
        authentication: spec.authentication,
        scope: spec.scope(),
        audience: spec.audience().map(str::to_owned),
        endpoint_params: spec.endpoint_params.clone(),
        shared_by: values.shared_by.clone(),
    }))
}

fn notices(credential: &Credential<'_>, shared: Option<Finding>) -> Vec<Finding> {
    let record = credential.active_token();
    let is_unusable = record.is_some_and(TokenRecord::is_short_lived);
    let unusable = is_unusable.then(messages::client_lifetime_unusable);
    let omissions = record.map(|record| &record.omissions);
    let scopes = omissions.and_then(|omissions| messages::scope_not_granted(&omissions.scopes));
    let lifetime = omissions.filter(|omissions| omissions.lifetime).map(|_| messages::lifetime_unknown());
    [unusable, scopes, lifetime, shared].into_iter().flatten().collect()
}
