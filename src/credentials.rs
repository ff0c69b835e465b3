//! What the credentials Secret holds, once it has been found usable.

use crate::api::{ApplicationCredentials, SessionCredentials as SessionCredentialsSpec};
use crate::issuer::{Login, Pair};
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;

/// Longest value of an application that is taken from a credentials Secret, in bytes: it has to fit into a URL.
const LONGEST_IN_URL: usize = 4096;
/// Longest value of a session, in bytes: it travels in a body.
const LONGEST_IN_BODY: usize = 16_384;
/// The key of a pair's token.
pub const TOKEN: &str = "token";
/// The key of what extends it.
pub const REFRESH_TOKEN: &str = "refreshToken";
/// The key of a login's user.
pub const USERNAME: &str = "username";
/// The key of a login's password.
pub const PASSWORD: &str = "password";

/// The credentials of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Names the application.
    pub consumer_key: Redacted,
    /// Proves that we may ask.
    pub consumer_secret: Redacted,
    /// A token that the application has had, where the user gave one that can be sent.
    pub old_token: Option<Redacted>,
    /// What is wrong with the one that the user gave: it matters only where no other token is known.
    pub old_token_problem: Option<Finding>,
}

impl Credentials {
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
        let values = Values { name, secret, longest: LONGEST_IN_URL };
        let old_token = values.optional(&wanted.keys.old_token);
        Ok(Self {
            consumer_key: values.required(&wanted.keys.consumer_key)?,
            consumer_secret: values.required(&wanted.keys.consumer_secret)?,
            old_token_problem: old_token.as_ref().err().cloned(),
            old_token: old_token.unwrap_or_default(),
        })
    }
}

/// What a session can be extended or opened with. None of it is needed while the operator holds a pair that lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCredentials {
    /// A pair that a person pasted.
    pub pair: Option<Pair>,
    /// What opens a session.
    pub login: Option<Login>,
    /// What is wrong with what the user gave.
    pub problem: Option<Finding>,
}

impl SessionCredentials {
    /// Reads them out of the Secret that `wanted` refers to.
    pub fn read(wanted: &SessionCredentialsSpec, secret: Option<&Secret>) -> Self {
        let name = wanted.secret_ref.name.as_str();
        let Some(secret) = secret else {
            let message = format!(
                "Secret {name} does not exist: create it with the keys {USERNAME} and {PASSWORD}, or {TOKEN} and \
                 {REFRESH_TOKEN}, or all four"
            );
            return Self { problem: Some(Finding::new(Reason::CredentialsNotFound, message)), ..Self::default() };
        };
        let values = Values { name, secret, longest: LONGEST_IN_BODY };
        let (pair, login) = (values.both(TOKEN, REFRESH_TOKEN), values.both(USERNAME, PASSWORD));
        let problem = [pair.as_ref().err(), login.as_ref().err()].into_iter().flatten().next().cloned();
        let pair = pair.ok().flatten().map(|(token, refresh_token)| Pair { token, refresh_token });
        let login = login.ok().flatten().map(|(username, password)| Login { username, password });
        Self { pair, login, problem }
    }
}

struct Values<'a> {
    name: &'a str,
    secret: &'a Secret,
    longest: usize,
}

impl Values<'_> {
    fn required(&self, key: &str) -> Result<Redacted, Finding> {
        self.optional(key)?.ok_or_else(|| self.incomplete(key, " (portal: Applications, Auth Keys)"))
    }

    /// Two values that are of use only together.
    fn both(&self, one: &str, other: &str) -> Result<Option<(Redacted, Redacted)>, Finding> {
        match (self.optional(one)?, self.optional(other)?) {
            (None, None) => Ok(None),
            (Some(one), Some(other)) => Ok(Some((one, other))),
            (None, Some(_)) => Err(self.incomplete(one, &format!(", as {other} is there"))),
            (Some(_), None) => Err(self.incomplete(other, &format!(", as {one} is there"))),
        }
    }

    fn incomplete(&self, key: &str, why: &str) -> Finding {
        let message = format!("Secret {} has no value under key {key}: add it{why}", self.name);
        Finding::new(Reason::CredentialsIncomplete, message)
    }

    /// A pasted value often ends in a line break that nobody meant: surrounding white space is dropped.
    fn optional(&self, key: &str) -> Result<Option<Redacted>, Finding> {
        let Some(bytes) = self.secret.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| self.invalid(key, "is not UTF-8 text"))?.trim();
        if text.len() > self.longest {
            return Err(self.invalid(key, &format!("is longer than {} bytes", self.longest)));
        }
        if text.chars().any(char::is_control) {
            return Err(self.invalid(key, "holds a line break or another control character"));
        }
        Ok((!text.is_empty()).then(|| Redacted::new(text)))
    }

    fn invalid(&self, key: &str, what: &str) -> Finding {
        Finding::new(
            Reason::CredentialsInvalid,
            format!("the value under key {key} of Secret {} {what}: write it again", self.name),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::{ApplicationKeys, SecretReference};
    use k8s_openapi::ByteString;

    fn wanted() -> ApplicationCredentials {
        ApplicationCredentials { secret_ref: SecretReference { name: "sdc".into() }, keys: ApplicationKeys::default() }
    }

    fn secret(values: &[(&str, &[u8])]) -> Secret {
        let data = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn refusal(values: &[(&str, &[u8])]) -> Finding {
        Credentials::read(&wanted(), Some(&secret(values))).unwrap_err()
    }

    #[test]
    fn a_line_break_at_the_end_of_a_value_is_dropped() {
        let read = Credentials::read(&wanted(), Some(&secret(&[("consumerKey", b"k\n"), ("consumerSecret", b" s ")])));
        let read = read.unwrap();
        assert_eq!((read.consumer_key.expose(), read.consumer_secret.expose(), read.old_token), ("k", "s", None));
    }

    #[test]
    fn a_missing_secret_is_named() {
        let finding = Credentials::read(&wanted(), None).unwrap_err();
        assert_eq!(finding.reason, Reason::CredentialsNotFound);
        assert!(finding.message.contains("Secret sdc does not exist"));
    }

    #[test]
    fn a_missing_or_empty_value_is_incomplete_and_names_its_key() {
        for values in [&[("consumerKey", b"k".as_slice())][..], &[("consumerKey", b"k"), ("consumerSecret", b"\n")]] {
            let finding = refusal(values);
            assert_eq!(finding.reason, Reason::CredentialsIncomplete);
            assert!(finding.message.contains("consumerSecret"), "{}", finding.message);
        }
    }

    #[test]
    fn values_that_cannot_be_sent_are_invalid_and_are_not_echoed() {
        let long = vec![b'x'; 5000];
        for value in [b"\xff\xfe".as_slice(), b"a\nb", &long] {
            let finding = refusal(&[("consumerKey", value), ("consumerSecret", b"s")]);
            assert_eq!(finding.reason, Reason::CredentialsInvalid);
            assert!(finding.message.len() < 120, "{}", finding.message);
        }
    }

    fn session(values: &[(&str, &[u8])]) -> SessionCredentials {
        let wanted = SessionCredentialsSpec { secret_ref: SecretReference { name: "sma".into() } };
        SessionCredentials::read(&wanted, Some(&secret(values)))
    }

    #[test]
    fn a_session_has_a_pair_or_a_login_or_both_or_neither() {
        let pair: [(&str, &[u8]); 2] = [("token", b"t"), ("refreshToken", b"r\n")];
        let login: [(&str, &[u8]); 2] = [("username", b"u"), ("password", b"p")];
        let read = session(&pair);
        assert_eq!(read.pair.as_ref().unwrap().refresh_token, Redacted::new("r"));
        assert_eq!((&read.login, &read.problem), (&None, &None));
        let both = session(&[pair, login].concat());
        assert_eq!((both.pair, both.login), (read.pair, session(&login).login));
        assert_eq!(session(&[]), SessionCredentials::default());
    }

    #[test]
    fn half_a_pair_or_half_a_login_names_the_key_that_is_missing_and_leaves_the_other_half_of_no_use() {
        for (given, missing) in
            [("token", "refreshToken"), ("refreshToken", "token"), ("username", "password"), ("password", "username")]
        {
            let read = session(&[(given, b"value")]);
            let problem = read.problem.unwrap();
            assert_eq!((problem.reason, read.pair, read.login), (Reason::CredentialsIncomplete, None, None));
            assert!(problem.message.contains(&format!("under key {missing}")), "{}", problem.message);
        }
    }

    #[test]
    fn what_is_wrong_with_one_half_leaves_the_other_usable() {
        let read = session(&[("token", b"a\nb"), ("refreshToken", b"r"), ("username", b"u"), ("password", b"p")]);
        assert_eq!(read.problem.unwrap().reason, Reason::CredentialsInvalid);
        assert!(read.login.is_some() && read.pair.is_none());
    }
}
