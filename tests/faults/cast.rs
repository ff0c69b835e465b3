//! Further resources on a stage, each with an application of its own.

use crate::support::*;
use issuer_simulator::application::NewApplication;
use serde_json::{Value, json};

/// Registers an application for the resource `name`, with its credentials Secret, and returns its consumer key.
pub(crate) async fn cast(stage: &Stage, name: &str) -> String {
    // Characters that a URL has to encode.
    let key = format!("canary &=?#+%/ü {name}");
    stage.simulator.add_application(NewApplication::expired(&key, CONSUMER_SECRET, PORTAL_TOKEN));
    stage.put_secret(&credentials_of(name), &credentials(&key, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    key
}

/// The name of the credentials Secret of the resource `name`.
pub(crate) fn credentials_of(name: &str) -> String {
    format!("sdc-{name}")
}

/// The spec of the resource `name`.
pub(crate) fn spec_of(stage: &Stage, name: &str, validity: &str) -> Value {
    let mut spec = stage.spec(validity);
    spec["application"]["credentials"]["secretRef"]["name"] = json!(credentials_of(name));
    spec
}
