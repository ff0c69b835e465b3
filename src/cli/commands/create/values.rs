//! The values of a credentials Secret, from a file or asked for without being shown.

use super::Kind;
use anyhow::{Context as _, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
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

impl Values {
    /// Asks for each on the terminal. What is typed is not shown.
    pub(super) fn ask(kind: Kind) -> anyhow::Result<Self> {
        if !std::io::stdin().is_terminal() {
            let names = keys(kind).iter().map(|(key, _)| format!("{key}=…")).collect::<Vec<_>>().join(", ");
            bail!("standard input is no terminal: give the values with --from-env-file -, as lines {names}");
        }
        let mut values = BTreeMap::new();
        for (key, title) in keys(kind) {
            let value = rpassword::prompt_password(format!("{title}: ")).context("nothing could be asked for")?;
            if value.is_empty() {
                bail!("{key} is empty: nothing was made");
            }
            values.insert((*key).to_owned(), Redacted::new(value));
        }
        Ok(Self(values))
    }

    /// Reads lines `KEY=VALUE`; empty lines and such that begin with `#` are left out.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        if file == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        } else {
            text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parsed = lines.map(|(number, line)| {
            // The line itself may be a secret.
            let (key, value) = line.split_once('=').with_context(|| format!("line {} has no =", number + 1))?;
            Ok((key.trim().to_owned(), Redacted::new(value.to_owned())))
        });
        let values = parsed.collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        if values.is_empty() { bail!("no line KEY=VALUE was given") } else { Ok(Self(values)) }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_lines_and_a_bad_line_is_not_repeated() {
        let values = Values::parse("# of the portal\nconsumerKey=a\n\nconsumerSecret=b=c\n").unwrap();
        let data = values.secret("s").data.unwrap();
        assert_eq!(data["consumerKey"].0, b"a");
        assert_eq!(data["consumerSecret"].0, b"b=c");
        let complaint = Values::parse("consumerKey=a\nhunter2").err().unwrap().to_string();
        assert_eq!(complaint, "line 2 has no =");
        assert!(Values::parse("# nothing\n").is_err());
    }
}
