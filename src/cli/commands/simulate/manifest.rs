//! Reads a SyniverseToken from a manifest, as strictly as the API server: a misspelt field would be simulated as its default.

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use syniverse_token_core::api::SyniverseToken;

/// The issuers, of which a spec names one.
const ISSUERS: [&str; 3] = ["application", "session", "clientCredentials"];

/// The SyniverseToken of a manifest, which may have other objects in it.
pub(super) fn token(text: &str) -> anyhow::Result<SyniverseToken> {
    let documents = serde_saphyr::from_multiple::<Value>(text).map_err(|error| {
        // An error of the library repeats the lines around it, and a Secret may be among them.
        let place = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
        anyhow!("it is no YAML that can be read{}", place.unwrap_or_default())
    })?;
    let objects = documents.into_iter().flat_map(|document| match document["items"].as_array() {
        Some(items) if document["kind"] == "List" => items.clone(),
        _ => vec![document],
    });
    let mut tokens: Vec<_> = objects.filter(|object| object["kind"] == "SyniverseToken").collect();
    let object = tokens.pop().context("it holds no object of kind SyniverseToken")?;
    if !tokens.is_empty() {
        bail!("it holds {} SyniverseTokens: give one", tokens.len() + 1);
    }
    let token: SyniverseToken = serde_json::from_value(object.clone())
        .map_err(|_| anyhow!("a field of the SyniverseToken has a value of another type"))?;
    let known = serde_json::to_value(&token.spec)?;
    if let Some(field) = unknown(&object["spec"], &known) {
        bail!("spec.{field} is no field of a SyniverseToken");
    }
    let issuers: Vec<_> = ISSUERS.into_iter().filter(|issuer| !known[issuer].is_null()).collect();
    if issuers.len() != 1 {
        bail!("spec needs exactly one of {}", ISSUERS.join(", "));
    }
    Ok(token)
}

/// The path of a field that was given and is not known.
fn unknown(given: &Value, known: &Value) -> Option<String> {
    given.as_object()?.iter().filter(|(_, value)| !value.is_null()).find_map(|(name, value)| match known.get(name) {
        None if value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty) =>
        {
            None
        }
        None => Some(name.clone()),
        Some(known) => unknown(value, known).map(|path| format!("{name}.{path}")),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        let complaint = token(text).unwrap_err().to_string();
        assert!(!complaint.contains("hunter2"), "{complaint}");
        complaint
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_and_no_value_is_repeated() {
        let of = |spec: &str| {
            format!("{{kind: SyniverseToken, apiVersion: syniverse.dev/v1alpha1, metadata: {{name: m}}, spec: {spec}}}")
        };
        let application = "application: {credentials: {secretRef: {name: a}}, validity: 1h}";
        let session = "session: {endpoint: 'https://e', credentials: {secretRef: {name: a}}}";
        let good = of(&format!("{{{application}}}"));
        assert!(token(&good).is_ok());
        assert!(token(&format!("{{kind: List, items: [{{kind: Secret}}, {good}]}}")).is_ok());
        for (text, says) in [
            (of(&format!("{{{application}, validty: 1h}}")), "spec.validty is no field"),
            (of("{application: {credentials: {secretRef: {name: a}}, validty: 1h}}"), "spec.application.validty"),
            (of(&format!("{{{application}, {session}}}")), "exactly one of"),
            (of("{}"), "exactly one of"),
            (of("{suspend: hunter2, application: hunter2}"), "another type"),
            (format!("{good}\n---\n{good}"), "2 SyniverseTokens"),
            ("kind: Secret\nstringData: {a: hunter2}".to_owned(), "no object of kind"),
            ("kind: Secret\nstringData: {a: hunter2\n".to_owned(), "no YAML that can be read at line"),
        ] {
            assert!(complaint(&text).contains(says), "{says}: {}", complaint(&text));
        }
    }
}
