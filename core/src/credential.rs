//! What the credentials Secret holds, once it has been found usable.

use crate::api::{
    ApplicationCredentials, ApplicationKeys, CONSENT_LABEL, SessionCredentials as SessionCredentialsSpec,
};
use crate::issuer::{Login, Pair};
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;

mod value;

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

/// True when whoever is responsible for this Secret says that it may be used for credentials.
pub fn consents(secret: &Secret) -> bool {
    secret.labels().get(CONSENT_LABEL).is_some_and(|value| value == "true")
}

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

    /// What may be wrong with a value that the issuer refuses, as a clause that names its key.
    pub fn slip(&self, keys: &ApplicationKeys) -> Option<String> {
        slip([
            (&keys.consumer_key, Some(&self.consumer_key)),
            (&keys.consumer_secret, Some(&self.consumer_secret)),
            (&keys.old_token, self.old_token.as_ref()),
        ])
    }
}

fn slip<const N: usize>(values: [(&str, Option<&Redacted>); N]) -> Option<String> {
    let slips = |(key, value): (&str, Option<&Redacted>)| {
        value::slip(value?.expose()).map(|what| format!("the value under key {key} {what}"))
    };
    values.into_iter().find_map(slips)
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

    /// What may be wrong with a value that the issuer refuses, as a clause that names its key.
    pub fn slip(&self) -> Option<String> {
        let (pair, login) = (self.pair.as_ref(), self.login.as_ref());
        slip([
            (USERNAME, login.map(|login| &login.username)),
            (PASSWORD, login.map(|login| &login.password)),
            (TOKEN, pair.map(|pair| &pair.token)),
            (REFRESH_TOKEN, pair.map(|pair| &pair.refresh_token)),
        ])
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

    /// A pasted value often ends in a line break that nobody meant: what cannot be seen around it is dropped.
    fn optional(&self, key: &str) -> Result<Option<Redacted>, Finding> {
        let Some(bytes) = self.secret.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| self.invalid(key, "is not UTF-8 text"))?;
        let text = value::trimmed(text);
        if text.len() > self.longest {
            return Err(self.invalid(key, &format!("is longer than {} bytes", self.longest)));
        }
        if let Some(flaw) = value::flaw(text) {
            return Err(self.invalid(key, &flaw));
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
            assert!(finding.message.len() < 140, "{}", finding.message);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_dropped_around_a_value_and_refused_inside() {
        let given = [("consumerKey", "\u{feff}k\u{200b}\n".as_bytes()), ("consumerSecret", "\u{a0}s".as_bytes())];
        let read = Credentials::read(&wanted(), Some(&secret(&given))).unwrap();
        assert_eq!((read.consumer_key.expose(), read.consumer_secret.expose()), ("k", "s"));
        let finding = refusal(&[("consumerKey", "can\u{200b}ary".as_bytes()), ("consumerSecret", b"s")]);
        assert_eq!(finding.reason, Reason::CredentialsInvalid);
        assert_eq!(
            finding.message,
            "the value under key consumerKey of Secret sdc holds an invisible character (U+200B) inside: write it again"
        );
    }

    #[test]
    fn a_slip_names_its_key_and_not_its_value() {
        let given: [(&str, &[u8]); 2] = [("consumerKey", b"k"), ("consumerSecret", b"'canary'")];
        let read = Credentials::read(&wanted(), Some(&secret(&given))).unwrap();
        let slip = read.slip(&wanted().keys).unwrap();
        assert_eq!(slip, "the value under key consumerSecret is wrapped in quotes");
        assert_eq!(read.consumer_secret.expose(), "'canary'", "sent as it is");
        let login: [(&str, &[u8]); 2] = [("username", b"u"), ("password", b"\"canary\"")];
        assert_eq!(session(&login).slip().unwrap(), "the value under key password is wrapped in quotes");
        let pair: [(&str, &[u8]); 2] = [("token", b"`t`"), ("refreshToken", b"r")];
        assert_eq!(session(&pair).slip().unwrap(), "the value under key token is wrapped in quotes");
        assert_eq!(session(&[]).slip(), None);
    }

    #[test]
    fn only_the_label_itself_consents() {
        let labelled = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let metadata = kube_core::ObjectMeta { labels: Some(labels), ..kube_core::ObjectMeta::default() };
            Secret { metadata, ..Secret::default() }
        };
        assert!(consents(&labelled(&[("syniverse.dev/credentials", "true")])));
        for labels in [&[][..], &[("syniverse.dev/credentials", "false")], &[("syniverse.dev/credential", "true")]] {
            assert!(!consents(&labelled(labels)), "{labels:?}");
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
