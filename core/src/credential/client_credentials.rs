//! A client of an OAuth 2.0 token endpoint: its id and secret, with the scopes and the audience that it asks for.

use super::ENDPOINT;
use super::secret_values::{SecretValues, likely_mistake};
use crate::api::{ClientCredentialsKeys, ClientCredentialsSpec};
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;

/// Longest value that is taken from a credentials Secret, in bytes: it has to fit into a header.
const LONGEST: usize = 4096;
/// Where people find its values.
const WHENCE: &str = " (for SCG: the id and secret of the application)";
/// The name of a value that goes into a request.
pub const CLIENT_ID: &str = "clientId";
/// The name of a value that goes into a request.
pub const CLIENT_SECRET: &str = "clientSecret";
/// The name of a value that goes into a request.
pub const AUTHENTICATION: &str = "authentication";
/// The name of a value that goes into a request.
pub const SCOPES: &str = "scopes";
/// The name of a value that goes into a request.
pub const AUDIENCE: &str = "audience";
/// The name of a value that goes into a request.
pub const ENDPOINT_PARAMS: &str = "endpointParams";

/// The credentials of a client, and what follows from them and the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentialsValues {
    /// Names the client.
    pub client_id: Redacted,
    /// The secret that authenticates the client.
    pub client_secret: Redacted,
    /// The client, its scopes and its audience: with others it is another credential.
    pub identity: Redacted,
    /// The client and its scopes: an issuer may keep a single token for them.
    pub shared_by: Redacted,
    /// The scopes as they are sent.
    scope: String,
    /// The further form fields, as a text that is never empty.
    endpoint_params: String,
}

impl ClientCredentialsValues {
    /// Reads them out of the Secret that `spec` refers to.
    ///
    /// # Errors
    /// A finding that names the Secret, the key and what to do: the Secret is missing, a key is missing or empty, or a
    /// value is not text that can be sent.
    pub fn read(spec: &ClientCredentialsSpec, secret: Option<&Secret>) -> Result<Self, Finding> {
        let (name, keys) = (spec.credentials.secret_ref.name.as_str(), &spec.credentials.keys);
        let Some(secret) = secret else {
            let message = format!(
                "Secret {name} does not exist: create it with the keys {} and {}{WHENCE}",
                keys.client_id, keys.client_secret
            );
            return Err(Finding::new(Reason::CredentialsNotFound, message));
        };
        let values = SecretValues { name, secret, longest: LONGEST };
        let client_id = values.required(&keys.client_id, WHENCE)?;
        let client_secret = values.required(&keys.client_secret, WHENCE)?;
        // No value holds a line break.
        let shared_by = format!("{}\n{}", client_id.expose(), spec.scope());
        Ok(Self {
            identity: Redacted::new(format!("{shared_by}\n{}", spec.audience().unwrap_or_default())),
            shared_by: Redacted::new(shared_by),
            client_id,
            client_secret,
            scope: spec.scope(),
            endpoint_params: format!("{:?}", spec.endpoint_params),
        })
    }

    /// All that goes into a request, by name; an empty text for what is absent.
    pub fn named<'a>(&'a self, spec: &'a ClientCredentialsSpec) -> Vec<(&'static str, &'a str)> {
        vec![
            (ENDPOINT, &spec.token_url),
            (CLIENT_ID, self.client_id.expose()),
            (CLIENT_SECRET, self.client_secret.expose()),
            (AUTHENTICATION, spec.authentication.as_str()),
            (SCOPES, &self.scope),
            (AUDIENCE, spec.audience().unwrap_or_default()),
            (ENDPOINT_PARAMS, &self.endpoint_params),
        ]
    }

    /// The likely mistake in a value that the issuer refuses, as a clause that names its key.
    pub fn likely_mistake(&self, keys: &ClientCredentialsKeys) -> Option<String> {
        likely_mistake([(&keys.client_id, Some(&self.client_id)), (&keys.client_secret, Some(&self.client_secret))])
    }
}
