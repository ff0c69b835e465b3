//! The issuer of the token, and where its credentials are.

use super::{ClientCredentialsSpec, rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The endpoint of an application if the resource names none.
pub const DEFAULT_APPLICATION_ENDPOINT: &str = "https://api.syniverse.com/saop-rest-data/v1/apptoken-refresh";

/// An application of the Syniverse Platform: the issuer of `apptoken-refresh`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::application)]
pub struct ApplicationSpec {
    /// URL of the issuer, without user, query, fragment or percent-encoding. The operator must allow its host, port and
    /// path; by default it allows only the documented paths of api.syniverse.com.
    #[serde(default = "default_endpoint")]
    #[schemars(transform = rules::endpoint)]
    pub endpoint: String,
    /// Where the application's consumer key, consumer secret and first token are.
    pub credentials: ApplicationCredentials,
    /// A second application that takes turns with the first: before the token of one expires, a new token of the other
    /// is in the Secret, so that the Secret always holds a live token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<ApplicationStandby>,
    /// The lifetime asked for each new token, as a duration such as 24h, 90m or 1h30m. 0s asks for a token that
    /// never expires. The issuer may refuse less than 15m.
    #[serde(default = "default_validity")]
    #[schemars(transform = rules::duration)]
    pub validity: String,
}

/// The second of two applications that take turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationStandby {
    /// Where its consumer key, consumer secret and first token are. It must be another application than the first, with a
    /// consumer key of its own.
    pub credentials: ApplicationCredentials,
}

impl ApplicationSpec {
    /// The second application; none without a standby.
    pub fn standby(&self) -> Option<Self> {
        let credentials = self.standby.as_ref()?.credentials.clone();
        Some(Self { credentials, standby: None, ..self.clone() })
    }
}

/// Where an application's consumer key, consumer secret and old token are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationCredentials {
    /// The Secret, in the namespace of this resource, that holds the credentials. A changed value takes effect at
    /// once.
    pub secret_ref: SecretReference,
    /// The keys of that Secret that hold the values.
    #[serde(default)]
    pub keys: ApplicationKeys,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(transform = rules::credentials_name)]
    pub name: String,
}

/// The names of the keys in the credentials Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationKeys {
    /// Key that holds the consumer key of the application.
    #[schemars(transform = rules::data_key)]
    pub consumer_key: String,
    /// Key that holds the consumer secret of the application.
    #[schemars(transform = rules::data_key)]
    pub consumer_secret: String,
    /// Key that holds the initial token: the Access Token on the Auth Keys page of the application. It is read until
    /// the operator has issued a token, and again whenever it changes.
    #[schemars(transform = rules::data_key)]
    pub old_token: String,
}

/// The issuer that a spec names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IssuerSpec<'a> {
    /// `spec.application`.
    Application(&'a ApplicationSpec),
    /// `spec.session`.
    Session(&'a SessionSpec),
    /// `spec.clientCredentials`.
    ClientCredentials(&'a ClientCredentialsSpec),
}

impl<'a> IssuerSpec<'a> {
    /// The Secret that holds the credentials.
    pub fn credentials_secret(self) -> &'a str {
        match self {
            Self::Application(application) => &application.credentials.secret_ref.name,
            Self::Session(session) => &session.credentials.secret_ref.name,
            Self::ClientCredentials(client) => &client.credentials.secret_ref.name,
        }
    }

    /// The Secret that holds the credentials of the standby; none without a standby.
    pub fn standby_secret(self) -> Option<&'a str> {
        match self {
            Self::Application(application) => Some(&application.standby.as_ref()?.credentials.secret_ref.name),
            Self::Session(_) => None,
            Self::ClientCredentials(client) => {
                let credentials = client.standby.as_ref()?.credentials.as_ref().unwrap_or(&client.credentials);
                Some(&credentials.secret_ref.name)
            }
        }
    }

    /// The URL, as the spec gives it.
    pub fn endpoint(self) -> &'a str {
        match self {
            Self::Application(application) => &application.endpoint,
            Self::Session(session) => &session.endpoint,
            Self::ClientCredentials(client) => &client.token_url,
        }
    }
}

/// A login session: the issuer of `PUT /api/v2/auth/token`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// URL of the issuer, such as https://sma.example.com/api/v2/auth/token, without user, query, fragment or
    /// percent-encoding. The operator must allow its host, port and path.
    #[schemars(transform = rules::endpoint)]
    pub endpoint: String,
    /// Where the token pair or the login of the session is.
    pub credentials: SessionCredentials,
}

/// Where a session's token pair or login is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCredentials {
    /// The Secret, in the namespace of this resource, that holds the credentials: token and refreshToken, or username
    /// and password, or all four. With username and password, a lost session is opened again.
    pub secret_ref: SecretReference,
}

impl Default for ApplicationKeys {
    fn default() -> Self {
        Self {
            consumer_key: "consumerKey".into(),
            consumer_secret: "consumerSecret".into(),
            old_token: "oldToken".into(),
        }
    }
}

fn default_endpoint() -> String {
    DEFAULT_APPLICATION_ENDPOINT.into()
}

fn default_validity() -> String {
    "24h".into()
}
