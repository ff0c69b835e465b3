//! The token of an OAuth 2.0 client.

use crate::support::*;
use issuer_simulator::analysis::{Held, rotations};
use issuer_simulator::client::NewClient;
use issuer_simulator::fault::{Action, Fault, Form};
use issuer_simulator::switches::{TokenMode, UnknownScope};
use jiff::Timestamp;
use serde_json::{Value, json};

const CLIENT: &str = "canary-client-id";
const CLIENT_SECRET: &str = "canary:client+secret";
const CLIENT_CREDENTIALS: &str = "scg-client";

/// A stage with a client that may have the scope `a`, whose tokens live for so long.
async fn with_client(mode: TokenMode, seconds: u32) -> Stage {
    let stage = Stage::open().await;
    stage.simulator.add_client(NewClient::of(CLIENT, CLIENT_SECRET).with_scopes(&["a"]).valid_for(seconds));
    stage.simulator.switch(|switches| switches.clients.mode = mode);
    give(&stage, CLIENT_SECRET).await;
    stage
}

async fn give(stage: &Stage, secret: &str) {
    stage.put_secret(CLIENT_CREDENTIALS, &[("clientId", CLIENT), ("clientSecret", secret)]).await;
}

fn spec(stage: &Stage, fields: Value) -> Value {
    let mut client = json!({"tokenURL": stage.simulator.token_endpoint(), "scopes": ["a"],
        "credentials": {"secretRef": {"name": CLIENT_CREDENTIALS}}});
    client.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"clientCredentials": client})
}

#[tokio::test]
async fn a_first_token_and_each_new_token_come_while_the_one_before_lives() {
    // Tokens of less than 10 s would be replaced once a minute.
    let stage = with_client(TokenMode::Jwt, 12).await;
    stage.apply(NAME, spec(&stage, json!({"endpointParams": {"further": "x"}}))).await;
    stage.until_ready(NAME).await;
    let mut token = stage.token().await;
    let mut history = vec![Held { since: Timestamp::now(), token: token.clone() }];
    for _ in 0..3 {
        token = stage.until_rotated(&token).await;
        history.push(Held { since: Timestamp::now(), token: token.clone() });
    }
    let journal = stage.simulator.journal();
    let rotations = rotations(&journal, &history);
    assert_eq!(rotations.len(), 3);
    for rotation in rotations {
        assert!(rotation.lateness.is_negative(), "{rotation:?}");
    }
    assert_eq!(journal.calls.len(), journal.tokens.iter().filter(|token| token.owner == CLIENT).count());
    let first = &journal.calls[0];
    assert_eq!((first.parameters["further"].as_str(), first.parameters["scope"].as_str()), ("x", "a"));
    assert!(is_ready(&stage.tokens.get(NAME).await.unwrap()));
}

#[tokio::test]
async fn a_token_that_stays_the_same_is_followed_to_its_end() {
    let stage = with_client(TokenMode::Opaque, 6).await;
    stage.apply(NAME, spec(&stage, json!({"authentication": "Body"}))).await;
    stage.until_ready(NAME).await;
    let old = stage.token().await;
    let new = stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let end = journal.token(&old).unwrap().expires.unwrap();
    assert!(journal.token(&new).unwrap().birth >= end);
    let early = journal.calls[1..].iter().filter(|call| end.duration_since(call.received).as_millis() > 1000);
    assert_eq!(early.count(), 1, "one attempt before the end");
    assert_eq!(journal.calls[0].parameters["client_secret"], CLIENT_SECRET);
}

#[tokio::test]
async fn a_wrong_secret_is_said_and_a_corrected_one_is_used_at_once() {
    let stage = with_client(TokenMode::Jwt, 3600).await;
    give(&stage, "'wrong'").await;
    stage.apply(NAME, spec(&stage, json!({}))).await;
    let refused = stage.until_reason(NAME, "RequestRejected").await;
    assert!(is_stalled(&refused));
    let said = ready_message(&refused);
    assert!(said.contains("invalid_client") && said.contains(&format!("Secret {CLIENT_CREDENTIALS}")), "{said}");
    assert!(said.contains("key clientSecret is wrapped in quotes") && !said.contains("wrong'"), "{said}");
    assert_eq!(stage.calls(), 1);
    give(&stage, CLIENT_SECRET).await;
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), 2);
}

#[tokio::test]
async fn a_scope_that_is_refused_stalls_and_one_that_is_left_out_is_a_notice() {
    let stage = with_client(TokenMode::Opaque, 3600).await;
    stage.apply(NAME, spec(&stage, json!({"scopes": ["a", "b"]}))).await;
    let refused = stage.until_reason(NAME, "RequestRejected").await;
    assert!(ready_message(&refused).contains("invalid_scope"), "{}", ready_message(&refused));
    stage.simulator.switch(|switches| switches.clients.unknown_scope = UnknownScope::LeaveOut);
    stage.apply(NAME, spec(&stage, json!({"scopes": ["a", "c"]}))).await;
    let granted = stage.until_reason(NAME, "ScopeNotGranted").await;
    assert!(is_ready(&granted) && !is_stalled(&granted));
    assert!(ready_message(&granted).contains("scopes c of"), "{}", ready_message(&granted));
}

#[tokio::test]
async fn a_lifetime_that_is_not_reported_is_said_to_be_assumed() {
    let stage = with_client(TokenMode::Jwt, 3600).await;
    stage.simulator.fault(Fault::always(Action::ValidityTime(Form::Absent)).only_for(CLIENT));
    stage.apply(NAME, spec(&stage, json!({}))).await;
    assert!(is_ready(&stage.until_reason(NAME, "LifetimeUnknown").await));
}
