//! Client credentials: the issuer that RFC 6749 describes in section 4.4.

use super::{SecretReference, rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A client of an OAuth 2.0 token endpoint, such as an application of the Syniverse Communication Gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::client)]
pub struct ClientCredentialsSpec {
    /// URL of the token endpoint, such as https://api.syniverse.com/token, without user, query, fragment or
    /// percent-encoding. The operator must allow its host, port and path; by default it allows only the documented
    /// paths of api.syniverse.com.
    #[serde(rename = "tokenURL")]
    #[schemars(transform = rules::endpoint)]
    pub token_url: String,
    /// Where the id and the secret of the client are.
    pub credentials: ClientCredentialsReference,
    /// How the client authenticates itself. Basic: in the header Authorization; Body: in the fields client_id and
    /// client_secret of the form.
    #[serde(default)]
    pub authentication: ClientAuthentication,
    /// The scopes asked for. With other scopes it is another credential, which has a token of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::scopes)]
    pub scopes: Vec<String>,
    /// The value of the form field audience, which some issuers need; if not set, the field is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::audience)]
    pub audience: Option<String>,
    /// Further form fields with their values, such as validity_period: "900". They are not secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = rules::endpoint_params)]
    pub endpoint_params: BTreeMap<String, String>,
    /// A second credential that takes turns with the first, for issuers that give the same token until it is over: before
    /// the token of one expires, a new token of the other is in the Secret. Everything else is as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<ClientCredentialsStandby>,
}

/// The second of two credentials that take turns: other scopes, another client, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules::client_standby)]
pub struct ClientCredentialsStandby {
    /// Its scopes; if not set, those of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::scopes)]
    pub scopes: Vec<String>,
    /// Where the id and the secret of its client are; if not set, it is the client of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<ClientCredentialsReference>,
}

/// Where a client's id and secret are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialsReference {
    /// The Secret, in the namespace of this resource, that holds the credentials. A changed value takes effect at
    /// once.
    pub secret_ref: SecretReference,
    /// The keys of that Secret that hold the values.
    #[serde(default)]
    pub keys: ClientCredentialsKeys,
}

/// The names of the keys in the credentials Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientCredentialsKeys {
    /// Key that holds the id of the client.
    #[schemars(transform = rules::data_key)]
    pub client_id: String,
    /// Key that holds the secret of the client.
    #[schemars(transform = rules::data_key)]
    pub client_secret: String,
}

/// How a client authenticates itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuthentication {
    /// In the header Authorization.
    #[default]
    Basic,
    /// In the form.
    Body,
    /// A value that this version does not know: an object stored by a newer version must not fail the list of all the
    /// others.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

impl ClientAuthentication {
    /// The name in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Body => "Body",
            Self::Unknown => "Unknown",
        }
    }
}

impl Default for ClientCredentialsKeys {
    fn default() -> Self {
        Self { client_id: "clientId".into(), client_secret: "clientSecret".into() }
    }
}

impl ClientCredentialsSpec {
    /// The scopes as RFC 6749 writes them, in an order of their own: the order in the spec means nothing.
    pub fn scope(&self) -> String {
        let mut scopes: Vec<_> = self.scopes.iter().map(String::as_str).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes.join(" ")
    }

    /// The second credential; none without a standby.
    pub fn standby(&self) -> Option<Self> {
        let ClientCredentialsStandby { scopes, credentials } = self.standby.as_ref()?;
        let scopes = if scopes.is_empty() { &self.scopes } else { scopes };
        let credentials = credentials.as_ref().unwrap_or(&self.credentials);
        Some(Self { scopes: scopes.clone(), credentials: credentials.clone(), standby: None, ..self.clone() })
    }

    /// The audience; none where it is empty.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref().filter(|audience| !audience.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_spec_of_a_newer_version_can_be_read() {
        let spec = json!({"tokenURL": "https://e/token", "credentials": {"secretRef": {"name": "scg"}},
            "authentication": "PrivateKeyJwt", "scopes": ["b", "a", "b"], "audience": ""});
        let spec: ClientCredentialsSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(spec.authentication, ClientAuthentication::Unknown);
        assert_eq!((spec.scope().as_str(), spec.audience()), ("a b", None));
        assert_eq!(spec.credentials.keys.client_id, "clientId");
    }
}
