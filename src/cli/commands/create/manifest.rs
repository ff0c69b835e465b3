//! The resource that `create` makes.

use super::{Arguments, Kind};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// The name of the credentials Secret.
pub(super) fn credentials_name(arguments: &Arguments) -> String {
    arguments.credentials.clone().unwrap_or_else(|| format!("{}-credentials", arguments.name))
}

/// The resource, with nothing in it but what was asked for; an error names an argument that is missing, or that the kind does
/// not take.
pub(super) fn manifest(arguments: &Arguments) -> anyhow::Result<Value> {
    let credentials = json!({"secretRef": {"name": credentials_name(arguments)}});
    let standby = arguments.standby.as_ref().map(|name| json!({"credentials": {"secretRef": {"name": name}}}));
    let endpoint = || arguments.endpoint.clone().context("--endpoint is missing: the URL of the issuer");
    let mut issuer = json!({"credentials": credentials});
    let mut set = |key: &str, value: Option<Value>| value.map(|value| issuer[key] = value);
    let field = match arguments.kind {
        Kind::Application => {
            set("validity", arguments.validity.clone().map(Value::from));
            set("endpoint", arguments.endpoint.clone().map(Value::from));
            set("standby", standby);
            "application"
        }
        Kind::Session => {
            set("endpoint", Some(endpoint()?.into()));
            "session"
        }
        Kind::ClientCredentials => {
            set("tokenURL", Some(endpoint()?.into()));
            set("scopes", Some(arguments.scope.clone().into()).filter(|_| !arguments.scope.is_empty()));
            set("standby", standby);
            "clientCredentials"
        }
    };
    refuse_foreign(arguments)?;
    let mut metadata = json!({"name": arguments.name});
    if let Some(namespace) = arguments.target.namespace() {
        metadata["namespace"] = json!(namespace);
    }
    Ok(json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "metadata": metadata,
        "spec": {field: issuer}}))
}

/// Refuses arguments that the kind does not take, instead of leaving them out in silence.
fn refuse_foreign(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.validity.is_some() && arguments.kind != Kind::Application {
        bail!("--validity is for --kind application alone");
    }
    if !arguments.scope.is_empty() && arguments.kind != Kind::ClientCredentials {
        bail!("--scope is for --kind client-credentials alone");
    }
    if arguments.standby.is_some() && arguments.kind == Kind::Session {
        bail!("--standby is not for --kind session");
    }
    Ok(())
}
