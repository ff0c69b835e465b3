//! An application: a single live token, which cannot be renewed early, requested with a former token.

use super::ENDPOINT;
use super::secret_values::{SecretValues, likely_mistake};
use crate::api::{ApplicationCredentials, ApplicationKeys, ApplicationSpec};
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;

/// Longest value that is taken from a credentials Secret, in bytes: it has to fit into a URL.
const LONGEST: usize = 4096;
/// Where people find its values.
const PORTAL: &str = " (portal: Applications, Auth Keys)";
/// The name of a value that goes into a request.
pub const VALIDITY: &str = "validity";
/// The name of a value that goes into a request.
pub const CONSUMER_KEY: &str = "consumerKey";
/// The name of a value that goes into a request.
pub const CONSUMER_SECRET: &str = "consumerSecret";
/// The name of a value that goes into a request.
pub const OLD_TOKEN: &str = "oldToken";

/// The credentials of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationValues {
    /// Names the application.
    pub consumer_key: Redacted,
    /// The secret that authenticates the application.
    pub consumer_secret: Redacted,
    /// A token of the application, where the user supplied a usable token.
    pub old_token: Option<Redacted>,
    /// Why the supplied token is unusable: relevant only where no other token is known.
    pub old_token_problem: Option<Finding>,
}

impl ApplicationValues {
    /// Reads them out of the Secret that `wanted` refers to.
    ///
    /// # Errors
    /// A finding that names the Secret, the key and what to do: the Secret is missing, a key is missing or empty, or a
    /// value is not text that can be sent.
    pub fn read(wanted: &ApplicationCredentials, secret: Option<&Secret>) -> Result<Self, Finding> {
        let name = wanted.secret_ref.name.as_str();
        let Some(secret) = secret else {
            return Err(Finding::new(
                Reason::CredentialsNotFound,
                format!(
                    "Secret {name} does not exist: create it with the keys {}, {} and {} from the application's Auth \
                     Keys page",
                    wanted.keys.consumer_key, wanted.keys.consumer_secret, wanted.keys.old_token
                ),
            ));
        };
        let values = SecretValues { name, secret, longest: LONGEST };
        let old_token = values.optional(&wanted.keys.old_token);
        Ok(Self {
            consumer_key: values.required(&wanted.keys.consumer_key, PORTAL)?,
            consumer_secret: values.required(&wanted.keys.consumer_secret, PORTAL)?,
            old_token_problem: old_token.as_ref().err().cloned(),
            old_token: old_token.unwrap_or_default(),
        })
    }

    /// All that goes into a request, by name; an empty text for what is absent.
    pub fn named<'a>(&'a self, spec: &'a ApplicationSpec) -> Vec<(&'static str, &'a str)> {
        vec![
            (ENDPOINT, &spec.endpoint),
            (VALIDITY, &spec.validity),
            (CONSUMER_KEY, self.consumer_key.expose()),
            (CONSUMER_SECRET, self.consumer_secret.expose()),
            (OLD_TOKEN, self.old_token.as_ref().map_or("", Redacted::expose)),
        ]
    }

    /// The likely mistake in a value that the issuer refuses, as a clause that names its key.
    pub fn likely_mistake(&self, keys: &ApplicationKeys) -> Option<String> {
        likely_mistake([
            (&keys.consumer_key, Some(&self.consumer_key)),
            (&keys.consumer_secret, Some(&self.consumer_secret)),
            (&keys.old_token, self.old_token.as_ref()),
        ])
    }
}
