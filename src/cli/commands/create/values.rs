//! The values of a credentials Secret, from a file or asked for without being shown.

use super::Kind;
use anyhow::{Context as _, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use syniverse_token_core::api::CONSENT_LABEL;
use syniverse_token_core::redacted::Redacted;

/// Values by key.
pub(super) struct Values(BTreeMap<String, Redacted>);

/// The keys of a kind of credentials, with where their values are found.
fn keys(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Application => &[
            ("consumerKey", "Consumer Key, of the application's Auth Keys page"),
            ("consumerSecret", "Consumer Secret, of the same page"),
            ("oldToken", "Access Token, of the same page"),
        ],
        Kind::Session => &[("username", "User name"), ("password", "Password")],
        Kind::ClientCredentials => &[("clientId", "Client id"), ("clientSecret", "Client secret")],
    }
}

/// What a session may be opened with instead of a login.
const PAIR: [&str; 2] = ["token", "refreshToken"];

impl Values {
    /// Asks for each on the terminal, with `of` before its title. What is typed is not shown.
    pub(super) fn ask(kind: Kind, of: &str) -> anyhow::Result<Self> {
        if !std::io::stdin().is_terminal() {
            let names = keys(kind).iter().map(|(key, _)| format!("{key}=…")).collect::<Vec<_>>().join(", ");
            bail!("standard input is no terminal: give the values with --from-env-file -, as lines {names}");
        }
        restore_terminal_at_interrupt();
        let mut values = BTreeMap::new();
        for (key, title) in keys(kind) {
            let value = rpassword::prompt_password(format!("{of}{title}: ")).context("nothing could be asked for")?;
            values.insert((*key).to_owned(), Redacted::new(value));
        }
        Self::whole(kind, values)
    }

    /// Reads lines `KEY=VALUE`; empty lines and such that begin with `#` are left out.
    pub(super) fn read(kind: Kind, file: &Path) -> anyhow::Result<Self> {
        let text = if file == Path::new("-") {
            std::io::read_to_string(std::io::stdin()).context("standard input cannot be read")?
        } else {
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
        };
        Self::parse(kind, &text)
    }

    fn parse(kind: Kind, text: &str) -> anyhow::Result<Self> {
        let known: Vec<_> =
            keys(kind).iter().map(|(key, _)| *key).chain(PAIR.into_iter().filter(|_| kind == Kind::Session)).collect();
        let mut values = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            // The line itself may be a secret, and what stands before a = as well.
            let found = line.split_once('=').filter(|(key, _)| known.contains(key));
            let (key, value) = found.with_context(|| {
                format!("line {} is no KEY=VALUE with one of the keys {}", number + 1, known.join(", "))
            })?;
            values.insert(key.to_owned(), Redacted::new(value.to_owned()));
        }
        Self::whole(kind, values)
    }

    /// Refuses values that cannot be all, before anything is made.
    fn whole(kind: Kind, values: BTreeMap<String, Redacted>) -> anyhow::Result<Self> {
        let has = |key: &str| values.get(key).is_some_and(|value| !value.expose().is_empty());
        let missing: Vec<_> = keys(kind).iter().map(|(key, _)| *key).filter(|key| !has(key)).collect();
        let has_pair = kind == Kind::Session && PAIR.iter().all(|key| has(key));
        if missing.is_empty() || has_pair && values.values().all(|value| !value.expose().is_empty()) {
            return Ok(Self(values));
        }
        bail!("nothing was made: no value of {}", missing.join(", "))
    }

    /// The Secret with them, which says that it may be used.
    pub(super) fn secret(&self, name: &str) -> Secret {
        let data = self.0.iter().map(|(key, value)| (key.clone(), ByteString(value.expose().as_bytes().to_vec())));
        let labels = BTreeMap::from([(CONSENT_LABEL.to_owned(), "true".to_owned())]);
        Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
            data: Some(data.collect()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        }
    }
}

/// A question that hides what is typed is ended by Ctrl-C like any other, which must not leave a terminal that shows nothing.
fn restore_terminal_at_interrupt() {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return };
    let Ok(before) = rustix::termios::tcgetattr(&terminal) else { return };
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &before);
            std::process::exit(130);
        }
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_lines_and_what_is_no_value_is_not_repeated() {
        let text = "# of the portal\nconsumerKey=a\n\nconsumerSecret=b=c\noldToken=d\n";
        let data = Values::parse(Kind::Application, text).unwrap().secret("s").data.unwrap();
        assert_eq!((&data["consumerKey"].0, &data["consumerSecret"].0), (&b"a".to_vec(), &b"b=c".to_vec()));
        for (kind, text, says) in [
            (Kind::Application, "consumerKey=a\nhunter2", "line 2 is no KEY=VALUE"),
            (Kind::Application, "hunter2==\n", "line 1 is no KEY=VALUE"),
            (Kind::Application, "consumerKey=\nconsumerSecret=hunter2\n", "no value of consumerKey, oldToken"),
            (Kind::Session, "token=hunter2\n", "no value of username, password"),
            (Kind::ClientCredentials, "# nothing\n", "no value of clientId, clientSecret"),
        ] {
            let complaint = Values::parse(kind, text).err().unwrap().to_string();
            assert!(complaint.contains(says) && !complaint.contains("hunter2"), "{complaint}");
        }
        assert!(Values::parse(Kind::Session, "token=a\nrefreshToken=b\n").is_ok());
    }
}
