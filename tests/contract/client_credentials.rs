//! The token endpoint for client credentials over a real connection.

use crate::stage::{call, insecure, kind_saying};
use crate::wire::{Wire, answer};
use issuer_simulator::Simulator;
use issuer_simulator::client::NewClient;
use issuer_simulator::fault::{Action, FailBody, Fault, Form, Stage};
use issuer_simulator::journal::Call;
use issuer_simulator::switches::{TokenMode, UnknownScope, WrongSecret};
use serde_json::json;
use std::collections::BTreeMap;
use syniverse_token_core::api::ClientAuthentication;
use syniverse_token_core::issuer::{ClientCredentials, Failure, FailureKind, Lifetime, TokenRequest, TokenResponse};
use syniverse_token_core::redacted::Redacted;

/// Each needs encoding in a form, and before it is in base64.
const ID: &str = "id:&=?#+% /ü";
const SECRET: &str = "secret:&=?#+% /ü";

async fn issuer() -> Simulator {
    let simulator = crate::stage::issuer().await;
    simulator.add_client(NewClient::of(ID, SECRET).with_scopes(&["a", "b"]).valid_for(900));
    simulator
}

fn client(endpoint: String) -> ClientCredentials {
    ClientCredentials {
        endpoint,
        client_id: Redacted::new(ID),
        client_secret: Redacted::new(SECRET),
        authentication: ClientAuthentication::Basic,
        scope: "a b".to_owned(),
        audience: None,
        endpoint_params: BTreeMap::new(),
        shared_by: Redacted::new(ID),
    }
}

async fn ask(client: ClientCredentials) -> Result<TokenResponse, Failure> {
    call(insecure(), &TokenRequest::ClientCredentials(client)).await
}

async fn token(simulator: &Simulator) -> Result<TokenResponse, Failure> {
    ask(client(simulator.token_endpoint())).await
}

fn header<'a>(call: &'a Call, name: &str) -> &'a str {
    call.headers.get(name).map_or("", String::as_str)
}

#[tokio::test]
async fn both_ways_of_authentication_are_understood_with_any_characters() {
    let simulator = issuer().await;
    let basic = token(&simulator).await.unwrap();
    let endpoint_params = [("validity_period".to_owned(), "60".to_owned()), ("x".to_owned(), "&= ü".to_owned())];
    let in_body = ClientCredentials {
        authentication: ClientAuthentication::Body,
        audience: Some("https://api/?a=b".to_owned()),
        endpoint_params: endpoint_params.into(),
        ..client(simulator.token_endpoint())
    };
    assert_eq!(ask(in_body).await.unwrap().token, basic.token, "the same scopes");
    let journal = simulator.journal();
    let [first, second] = &journal.calls[..] else { panic!("{journal:?}") };
    for call in [first, second] {
        assert_eq!((call.method.as_str(), call.path.as_str(), call.owner.as_deref()), ("POST", "/token", Some(ID)));
        assert_eq!(header(call, "content-type"), "application/x-www-form-urlencoded");
        assert_eq!(header(call, "accept"), "application/json");
    }
    assert!(header(first, "authorization").starts_with("Basic ") && first.parameters.len() == 2, "{first:?}");
    assert_eq!((header(second, "authorization"), second.parameters["client_secret"].as_str()), ("", SECRET));
    assert_eq!((second.parameters["x"].as_str(), second.parameters["audience"].as_str()), ("&= ü", "https://api/?a=b"));
}

#[tokio::test]
async fn a_response_is_a_token_with_its_lifetime_and_scopes() {
    let simulator = issuer().await;
    let first = token(&simulator).await.unwrap();
    let Lifetime::Seconds(seconds) = first.lifetime else { panic!("{first:?}") };
    assert!((899..=900).contains(&seconds) && first.omissions.is_empty() && first.date.is_some(), "{first:?}");
    simulator.switch(|switches| switches.clients.mode = TokenMode::Jwt);
    assert_ne!(token(&simulator).await.unwrap().token, first.token);
    simulator.switch(|switches| switches.clients.restricted_scopes = true);
    assert_eq!(token(&simulator).await.unwrap().omissions.scopes, ["a", "b"]);
    for (form, lifetime, is_assumed) in [
        (Form::Absent, Lifetime::Seconds(300), true),
        (Form::Text, first.lifetime, false),
        (Form::Value(json!(9_223_372_036_854_775_u64)), Lifetime::Never, false),
        (Form::Value(json!(0)), Lifetime::Seconds(0), false),
    ] {
        simulator.fault(Fault::once(Action::ValidityTime(form.clone())));
        let read = token(&simulator).await.unwrap();
        assert_eq!((read.lifetime, read.omissions.lifetime), (lifetime, is_assumed), "{form:?}");
    }
}

#[tokio::test]
async fn what_a_person_must_correct_is_told_by_the_code_of_the_issuer() {
    let simulator = issuer().await;
    let wrong = || ClientCredentials { client_secret: Redacted::new("wrong"), ..client(simulator.token_endpoint()) };
    assert_eq!(kind_saying("invalid_client (HTTP 401;", ask(wrong()).await), FailureKind::Rejected);
    simulator.switch(|switches| switches.clients.wrong_secret = WrongSecret::UnauthorizedClient);
    assert_eq!(kind_saying("unauthorized_client (HTTP 401;", ask(wrong()).await), FailureKind::Rejected);
    let other = || ClientCredentials { scope: "a c".to_owned(), ..client(simulator.token_endpoint()) };
    assert_eq!(kind_saying("invalid_scope (HTTP 400;", ask(other()).await), FailureKind::Rejected);
    simulator.switch(|switches| switches.clients.unknown_scope = UnknownScope::LeaveOut);
    assert_eq!(ask(other()).await.unwrap().omissions.scopes, ["c"]);
    let soon = [("validity_period".to_owned(), "soon".to_owned())];
    let invalid = ClientCredentials { endpoint_params: soon.into(), ..client(simulator.token_endpoint()) };
    assert_eq!(kind_saying("invalid_request (HTTP 400;", ask(invalid).await), FailureKind::Rejected);
}

#[tokio::test]
async fn an_outage_counts_against_the_endpoint_and_the_wish_to_wait_is_passed_on() {
    let simulator = issuer().await;
    for status in [429, 500, 503] {
        let retry_after = Some("7".to_owned());
        let fail = Action::Fail { status, retry_after, body: FailBody::Envelope, at: Stage::BeforeWork };
        simulator.fault(Fault::once(fail));
        let failure = token(&simulator).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry_after.unwrap().as_secs()), (FailureKind::Unavailable, 7), "{status}");
    }
    simulator.switch(|switches| switches.clients.needs_validity_period = true);
    assert_eq!(kind_saying("HTTP 500", token(&simulator).await), FailureKind::Unavailable);
}

#[tokio::test]
async fn nothing_of_the_body_or_of_the_credentials_is_in_a_failure() {
    for body in [
        r#"{"error":"invalid_client","error_description":"CANARY","error_uri":"CANARY"}"#,
        r#"{"error":"CANARY"}"#,
        r#"{"access_token":"CANARY","token_type":"CANARY"}"#,
        r#"{"access_token":"CANARY CANARY","token_type":"bearer"}"#,
        "CANARY",
    ] {
        let wire = Wire::saying(answer("", body), 1).await;
        let failure = ask(client(wire.endpoint())).await.unwrap_err();
        let told = format!("{failure} {failure:?}");
        assert!(!told.contains("CANARY") && !told.contains(SECRET), "{told}");
    }
    let asked = format!("{:?}", TokenRequest::ClientCredentials(client("https://e/token".to_owned())));
    assert!(!asked.contains(SECRET) && !asked.contains(ID), "{asked}");
}
