//! Every kind of token at once, all of them well: an application, two that take turns, a session, a client, and a Pod that
//! is told of new tokens.

use crate::server::free_address;
use crate::support::*;
use issuer_simulator::application::NewApplication;
use issuer_simulator::client::NewClient;
use issuer_simulator::session::NewSession;
use issuer_simulator::switches::TokenMode;
use serde_json::{Value, json};
use std::net::SocketAddr;

pub(crate) const STANDBY_KEY: &str = "canary-standby-key";
pub(crate) const STANDBY_SECRET: &str = "canary-standby-secret";
/// The credentials Secret of a standby.
pub(crate) const STANDBY: &str = "sdc-standby";
/// A user name, and so the name of an account.
pub(crate) const USERNAME: &str = "canary-username";
/// The credentials Secret of a session.
pub(crate) const SESSION: &str = "sma-session";
const CLIENT: &str = "canary-client-id";
const CLIENT_SECRET: &str = "canary:client+secret";

/// A stage with tokens of every kind that live for ten seconds or little more, a Pod that uses the first of them, and where
/// the operator's metrics are.
pub(crate) async fn fleet() -> (Workloads, SocketAddr) {
    let (mut stage, metrics) = (Stage::dark().await, free_address());
    stage.grant(&may_tell()).await;
    stage.start_operator(&[&format!("--listen={metrics}")]);
    let scene = Workloads::on(stage).await;
    scene.run_pod("consumer", with_volume()).await;
    scene.apply("10s", json!({"pods": "Annotate"})).await;
    let stage = &scene.stage;
    with_standby(stage).await;
    let application = NewApplication::expired("canary-third-key", "canary-third-secret", "canary-third-token");
    stage.simulator.add_application(application);
    let given = credentials("canary-third-key", "canary-third-secret", "canary-third-token");
    stage.put_secret("sdc-third", &given).await;
    let mut spec = standby_spec(stage, "15s", "5s");
    spec["application"]["credentials"]["secretRef"]["name"] = json!("sdc-third");
    stage.apply("standby", spec).await;
    with_login(stage, 12).await;
    stage.apply("session", session_spec(stage)).await;
    stage.simulator.add_client(NewClient::of(CLIENT, CLIENT_SECRET).valid_for(12));
    stage.simulator.switch(|switches| switches.clients.mode = TokenMode::Jwt);
    stage.put_secret("scg-client", &[("clientId", CLIENT), ("clientSecret", CLIENT_SECRET)]).await;
    let credentials = json!({"secretRef": {"name": "scg-client"}});
    let client = json!({"tokenURL": stage.simulator.token_endpoint(), "credentials": credentials});
    stage.apply("client", json!({"clientCredentials": client})).await;
    for name in [NAME, "standby", "session", "client"] {
        stage.until_ready(name).await;
    }
    (scene, metrics)
}

/// Registers the application of a standby, and puts its credentials into a Secret.
pub(crate) async fn with_standby(stage: &Stage) {
    stage.simulator.add_application(NewApplication::expired(STANDBY_KEY, STANDBY_SECRET, "canary-standby-token"));
    stage.put_secret(STANDBY, &credentials(STANDBY_KEY, STANDBY_SECRET, "canary-standby-token")).await;
}

pub(crate) fn standby_spec(stage: &Stage, validity: &str, refresh_before: &str) -> Value {
    let mut spec = stage.spec(validity);
    spec["application"]["standby"] = json!({"credentials": {"secretRef": {"name": STANDBY}}});
    spec["refreshBefore"] = json!(refresh_before);
    spec
}

/// Registers an account whose sessions live for so long, and puts its login into a Secret.
async fn with_login(stage: &Stage, seconds: u32) {
    stage.simulator.add_session(NewSession::account(USERNAME, "canary-password").valid_for(seconds));
    stage.put_secret(SESSION, &[("username", USERNAME), ("password", "canary-password")]).await;
}

pub(crate) fn session_spec(stage: &Stage) -> Value {
    let credentials = json!({"secretRef": {"name": SESSION}});
    json!({"session": {"endpoint": stage.simulator.session_endpoint(), "credentials": credentials}})
}
