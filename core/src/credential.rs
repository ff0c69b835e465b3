//! Credentials, by kind: the contents of their Secret, and how the next token is requested.

use crate::api::{ApplicationSpec, CONSENT_LABEL, ClientCredentialsSpec, IssuerSpec, SessionSpec};
use crate::reason::Finding;
use crate::redacted::Redacted;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;

pub mod application;
pub mod client_credentials;
mod secret_values;
pub mod session;
mod value;

pub use application::ApplicationValues;
pub use client_credentials::ClientCredentialsValues;
pub use session::SessionValues;

/// The name of a value that goes into a request of every kind.
pub const ENDPOINT: &str = "endpoint";

/// The contents of a credentials Secret for the issuer of a spec.
#[derive(Clone, Debug)]
pub enum Values {
    /// Of an application.
    Application(ApplicationSpec, ApplicationValues),
    /// Of a session.
    Session(SessionSpec, SessionValues),
    /// Of a client.
    ClientCredentials(ClientCredentialsSpec, ClientCredentialsValues),
}

impl Values {
    /// Reads them out of the Secret that `issuer` refers to.
    ///
    /// # Errors
    /// A finding that names the Secret, the key and what to do, where nothing could be asked for without.
    pub fn read(issuer: IssuerSpec<'_>, secret: Option<&Secret>) -> Result<Self, Finding> {
        Ok(match issuer {
            IssuerSpec::Application(spec) => {
                Self::Application(spec.clone(), ApplicationValues::read(&spec.credentials, secret)?)
            }
            IssuerSpec::Session(spec) => Self::Session(spec.clone(), SessionValues::read(&spec.credentials, secret)),
            IssuerSpec::ClientCredentials(spec) => {
                Self::ClientCredentials(spec.clone(), ClientCredentialsValues::read(spec, secret)?)
            }
        })
    }

    /// Reads those of the standby that `issuer` refers to; none without a standby.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn read_standby(issuer: IssuerSpec<'_>, secret: Option<&Secret>) -> Option<Result<Self, Finding>> {
        match issuer {
            IssuerSpec::Application(spec) => Some(Self::read(IssuerSpec::Application(&spec.standby()?), secret)),
            IssuerSpec::ClientCredentials(spec) => {
                Some(Self::read(IssuerSpec::ClientCredentials(&spec.standby()?), secret))
            }
            IssuerSpec::Session(_) => None,
        }
    }

    /// No values, because of `problem`.
    ///
    /// # Errors
    /// The problem, for a kind that cannot go on without values.
    pub fn withheld(issuer: IssuerSpec<'_>, problem: Finding) -> Result<Self, Finding> {
        match issuer {
            IssuerSpec::Application(_) | IssuerSpec::ClientCredentials(_) => Err(problem),
            IssuerSpec::Session(spec) => Ok(Self::Session(spec.clone(), SessionValues::withheld(problem))),
        }
    }

    /// A token that the Secret holds.
    pub fn token(&self) -> Option<&Redacted> {
        match self {
            Self::Application(_, values) => values.old_token.as_ref(),
            Self::Session(_, values) => values.pair.as_ref().map(|pair| &pair.token),
            Self::ClientCredentials(..) => None,
        }
    }

    /// All that goes into a request, by name; an empty text for what is absent.
    pub fn named(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Application(spec, values) => values.named(spec),
            Self::Session(spec, values) => values.named(spec),
            Self::ClientCredentials(spec, values) => values.named(spec),
        }
    }

    /// Identity of this credential among those of the resource.
    pub fn identity(&self) -> Identity<'_> {
        match self {
            Self::Application(_, values) => Identity::Hashed(&values.consumer_key),
            Self::Session(..) => Identity::Fixed(session::IDENTITY),
            Self::ClientCredentials(_, values) => Identity::Hashed(&values.identity),
        }
    }

    /// The value by which resources share this credential; none where it cannot be shared.
    pub fn shared(&self) -> Option<Shared<'_>> {
        match self {
            Self::Application(_, values) => Some(Shared { by: &values.consumer_key, first_come: &[] }),
            Self::Session(_, SessionValues { pair: Some(pair), .. }) => {
                Some(Shared { by: &pair.token, first_come: &session::PAIR })
            }
            Self::Session(..) => None,
            Self::ClientCredentials(_, values) => Some(Shared { by: &values.shared_by, first_come: &[] }),
        }
    }
}

/// Identity of a credential among those of a resource.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// A value, of which a keyed hash is stored.
    Hashed(&'a Redacted),
    /// A fixed name: a resource has a single credential of this kind.
    Fixed(&'static str),
}

/// The value by which resources share a credential.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// The value that they have in common.
    pub by: &'a Redacted,
    /// The names of the values that serve only the resource that used them first.
    pub first_come: &'static [&'static str],
}

/// True when the label of this Secret consents to its use for credentials.
pub fn consents(secret: &Secret) -> bool {
    secret.labels().get(CONSENT_LABEL).is_some_and(|value| value == "true")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::{ApplicationCredentials, ApplicationKeys, SecretReference, SessionCredentials};
    use crate::reason::Reason;
    use k8s_openapi::ByteString;

    fn wanted() -> ApplicationCredentials {
        ApplicationCredentials { secret_ref: SecretReference { name: "sdc".into() }, keys: ApplicationKeys::default() }
    }

    fn secret(values: &[(&str, &[u8])]) -> Secret {
        let data = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn refusal(values: &[(&str, &[u8])]) -> Finding {
        ApplicationValues::read(&wanted(), Some(&secret(values))).unwrap_err()
    }

    #[test]
    fn a_line_break_at_the_end_of_a_value_is_dropped() {
        let read =
            ApplicationValues::read(&wanted(), Some(&secret(&[("consumerKey", b"k\n"), ("consumerSecret", b" s ")])));
        let read = read.unwrap();
        assert_eq!((read.consumer_key.expose(), read.consumer_secret.expose(), read.old_token), ("k", "s", None));
    }

    #[test]
    fn a_missing_secret_is_named() {
        let finding = ApplicationValues::read(&wanted(), None).unwrap_err();
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
        let read = ApplicationValues::read(&wanted(), Some(&secret(&given))).unwrap();
        assert_eq!((read.consumer_key.expose(), read.consumer_secret.expose()), ("k", "s"));
        let finding = refusal(&[("consumerKey", "can\u{200b}ary".as_bytes()), ("consumerSecret", b"s")]);
        assert_eq!(finding.reason, Reason::CredentialsInvalid);
        assert_eq!(
            finding.message,
            "the value under key consumerKey of Secret sdc holds an invisible character (U+200B) inside: write it again"
        );
    }

    #[test]
    fn a_likely_mistake_names_its_key_and_not_its_value() {
        let given: [(&str, &[u8]); 2] = [("consumerKey", b"k"), ("consumerSecret", b"'canary'")];
        let read = ApplicationValues::read(&wanted(), Some(&secret(&given))).unwrap();
        let mistake = read.likely_mistake(&wanted().keys).unwrap();
        assert_eq!(mistake, "the value under key consumerSecret is wrapped in quotes");
        assert_eq!(read.consumer_secret.expose(), "'canary'", "sent as it is");
        let login: [(&str, &[u8]); 2] = [("username", b"u"), ("password", b"\"canary\"")];
        assert_eq!(session(&login).likely_mistake().unwrap(), "the value under key password is wrapped in quotes");
        let pair: [(&str, &[u8]); 2] = [("token", b"`t`"), ("refreshToken", b"r")];
        assert_eq!(session(&pair).likely_mistake().unwrap(), "the value under key token is wrapped in quotes");
        assert_eq!(session(&[]).likely_mistake(), None);
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

    fn session(values: &[(&str, &[u8])]) -> SessionValues {
        let wanted = SessionCredentials { secret_ref: SecretReference { name: "sma".into() } };
        SessionValues::read(&wanted, Some(&secret(values)))
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
        assert_eq!(session(&[]), SessionValues::default());
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
