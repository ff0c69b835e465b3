//! A login session: a pair that is extended while it is live; each response is the only copy of the next pair.

use super::ENDPOINT;
use super::secret_values::{SecretValues, likely_mistake};
use crate::api::{SessionCredentials, SessionSpec};
use crate::issuer::{Login, Pair};
use crate::reason::{Finding, Reason};
use k8s_openapi::api::core::v1::Secret;

/// Longest value that is taken from a credentials Secret, in bytes: it travels in a body.
const LONGEST: usize = 16_384;
/// The identity of the session of a resource, which has only one.
pub const IDENTITY: &str = "session";
/// The key of a pair's token.
pub const TOKEN: &str = "token";
/// The key of what extends it.
pub const REFRESH_TOKEN: &str = "refreshToken";
/// The key of a login's user.
pub const USERNAME: &str = "username";
/// The key of a login's password.
pub const PASSWORD: &str = "password";
/// The names of the values that extend a session.
pub const PAIR: [&str; 2] = [TOKEN, REFRESH_TOKEN];
/// The names of the values that open a session.
pub const LOGIN: [&str; 2] = [USERNAME, PASSWORD];

/// The values that extend or open a session. None is needed while the operator holds a live pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionValues {
    /// A pasted pair.
    pub pair: Option<Pair>,
    /// The login that opens a session.
    pub login: Option<Login>,
    /// Why the supplied values are unusable.
    pub problem: Option<Finding>,
}

impl SessionValues {
    /// Nothing that may be used, for this reason.
    pub fn withheld(problem: Finding) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }

    /// Reads them out of the Secret that `wanted` refers to.
    pub fn read(wanted: &SessionCredentials, secret: Option<&Secret>) -> Self {
        let name = wanted.secret_ref.name.as_str();
        let Some(secret) = secret else {
            let message = format!(
                "Secret {name} does not exist: create it with the keys {USERNAME} and {PASSWORD}, or {TOKEN} and \
                 {REFRESH_TOKEN}, or all four"
            );
            return Self::withheld(Finding::new(Reason::CredentialsNotFound, message));
        };
        let values = SecretValues { name, secret, longest: LONGEST };
        let (pair, login) = (values.both(TOKEN, REFRESH_TOKEN), values.both(USERNAME, PASSWORD));
        let problem = [pair.as_ref().err(), login.as_ref().err()].into_iter().flatten().next().cloned();
        let pair = pair.ok().flatten().map(|(token, refresh_token)| Pair { token, refresh_token });
        let login = login.ok().flatten().map(|(username, password)| Login { username, password });
        Self { pair, login, problem }
    }

    /// All that goes into a request, by name; an empty text for what is absent.
    pub fn named<'a>(&'a self, spec: &'a SessionSpec) -> Vec<(&'static str, &'a str)> {
        let (pair, login) = (self.pair.as_ref(), self.login.as_ref());
        vec![
            (ENDPOINT, &spec.endpoint),
            (TOKEN, pair.map_or("", |pair| pair.token.expose())),
            (REFRESH_TOKEN, pair.map_or("", |pair| pair.refresh_token.expose())),
            (USERNAME, login.map_or("", |login| login.username.expose())),
            (PASSWORD, login.map_or("", |login| login.password.expose())),
        ]
    }

    /// The likely mistake in a value that the issuer refuses, as a clause that names its key.
    pub fn likely_mistake(&self) -> Option<String> {
        let (pair, login) = (self.pair.as_ref(), self.login.as_ref());
        likely_mistake([
            (USERNAME, login.map(|login| &login.username)),
            (PASSWORD, login.map(|login| &login.password)),
            (TOKEN, pair.map(|pair| &pair.token)),
            (REFRESH_TOKEN, pair.map(|pair| &pair.refresh_token)),
        ])
    }
}
