//! The rows of the token endpoint for client credentials.

use issuer_simulator::Simulator;
use issuer_simulator::client::NewClient;
use issuer_simulator::fault::{Action, Fault, Form};
use issuer_simulator::journal::{Api, Cause};
use issuer_simulator::switches::{TokenMode, UnknownScope, WrongSecret};
use serde_json::Value;

use crate::caller::{Answer, client, simulator};

const ID: &str = "id:1";
const SECRET: &str = "secret+1";

async fn with_client() -> Simulator {
    let simulator = simulator().await;
    simulator.add_client(NewClient::of(ID, SECRET).with_scopes(&["a", "b"]).valid_for(60));
    simulator
}

async fn post(simulator: &Simulator, basic: Option<(&str, &str)>, fields: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = client().post(simulator.token_endpoint()).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let request =
        basic.into_iter().fold(request, |request, (id, secret)| request.basic_auth(encoded(id), Some(encoded(secret))));
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

async fn grant(simulator: &Simulator, scope: &str) -> Value {
    let fields = [("grant_type", "client_credentials"), ("scope", scope)];
    post(simulator, Some((ID, SECRET)), &fields).await.json()
}

async fn token(simulator: &Simulator, scope: &str) -> String {
    grant(simulator, scope).await["access_token"].as_str().unwrap().to_owned()
}

fn assert_fails(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(code)), "{}", answer.text);
}

#[tokio::test]
async fn the_same_scopes_give_the_same_token_and_others_another_one() {
    let simulator = with_client().await;
    let first = grant(&simulator, "b a").await;
    assert_eq!((&first["token_type"], &first["scope"]), (&"Bearer".into(), &"a b".into()));
    assert!(first["expires_in"].as_i64().unwrap() >= 59);
    let value = first["access_token"].as_str().unwrap();
    assert_eq!(token(&simulator, "a b").await, value);
    assert_ne!(token(&simulator, "a").await, value);
    assert_ne!(token(&simulator, "a b device_1").await, value);
    simulator.expire(ID).unwrap();
    assert_ne!(token(&simulator, "a b").await, value);
    let journal = simulator.journal();
    let record = journal.token(value).unwrap();
    assert_eq!((record.api, record.owner.as_str()), (Api::ClientCredentials, ID));
    assert_eq!(record.death().unwrap().cause, Cause::Expired);
    assert_eq!(journal.calls_of(ID).count(), 5);
}

#[tokio::test]
async fn a_token_that_stands_for_itself_is_new_each_time_and_may_kill_the_one_before() {
    let simulator = with_client().await;
    simulator.switch(|switches| switches.clients.mode = TokenMode::Jwt);
    let (first, second) = (token(&simulator, "a").await, token(&simulator, "a").await);
    let other = token(&simulator, "b").await;
    simulator.switch(|switches| switches.clients.mode = TokenMode::JwtRevoking);
    let third = token(&simulator, "a").await;
    let journal = simulator.journal();
    for dead in [&first, &second] {
        let death = journal.token(dead).unwrap().death().unwrap();
        assert_eq!((death.cause, death.at), (Cause::Superseded, journal.token(&third).unwrap().birth));
    }
    assert_eq!(journal.token(&other).unwrap().superseded, None);
}

#[tokio::test]
async fn restricted_scopes_give_one_token_for_all_of_them() {
    let simulator = with_client().await;
    simulator.switch(|switches| switches.clients.restricted_scopes = true);
    let first = grant(&simulator, "a").await;
    assert_eq!(first["scope"], "default");
    assert_eq!(token(&simulator, "a device_1").await, first["access_token"].as_str().unwrap());
}

#[tokio::test]
async fn a_lifetime_is_as_asked_and_a_gateway_may_report_too_much() {
    let simulator = with_client().await;
    simulator.switch(|switches| switches.clients.skew_seconds = 300);
    let asked = |seconds| [("grant_type", "client_credentials"), ("validity_period", seconds)];
    let long = post(&simulator, Some((ID, SECRET)), &asked("900")).await.json();
    assert!((1199..=1200).contains(&long["expires_in"].as_i64().unwrap()), "{long}");
    simulator.expire(ID).unwrap();
    let never = post(&simulator, Some((ID, SECRET)), &asked("-1")).await.json();
    assert_eq!(never["expires_in"], i64::MAX / 1000);
    assert_fails(&post(&simulator, Some((ID, SECRET)), &asked("soon")).await, 400, "invalid_request");
}

#[tokio::test]
async fn credentials_travel_in_the_header_or_in_the_body_and_not_in_both() {
    let simulator = with_client().await;
    let in_body = [("grant_type", "client_credentials"), ("client_id", ID), ("client_secret", SECRET)];
    assert_eq!(post(&simulator, None, &in_body).await.status, 200);
    assert_fails(&post(&simulator, Some((ID, SECRET)), &in_body).await, 400, "invalid_request");
    assert_fails(&post(&simulator, None, &in_body[..1]).await, 401, "invalid_client");
    assert_eq!(simulator.journal().calls[0].parameters["client_id"], ID);
}

#[tokio::test]
async fn a_refusal_is_as_the_rfc_writes_it() {
    let simulator = with_client().await;
    let grant_type = [("grant_type", "client_credentials")];
    assert_fails(&post(&simulator, Some((ID, "wrong")), &grant_type).await, 401, "invalid_client");
    assert_fails(&post(&simulator, Some(("nobody", SECRET)), &grant_type).await, 401, "invalid_client");
    simulator.switch(|switches| switches.clients.wrong_secret = WrongSecret::UnauthorizedClient);
    assert_fails(&post(&simulator, Some((ID, "wrong")), &grant_type).await, 401, "unauthorized_client");
    simulator.change_client_secret(ID, "wrong").unwrap();
    assert_eq!(post(&simulator, Some((ID, "wrong")), &grant_type).await.status, 200);
    simulator.change_client_secret(ID, SECRET).unwrap();
    assert!(simulator.change_client_secret("nobody", SECRET).is_err());
    let password = [("grant_type", "password")];
    assert_fails(&post(&simulator, Some((ID, SECRET)), &password).await, 400, "unsupported_grant_type");
    assert_fails(&post(&simulator, Some((ID, SECRET)), &[]).await, 400, "invalid_request");
    simulator.switch(|switches| switches.clients.needs_validity_period = true);
    assert_fails(&post(&simulator, Some((ID, SECRET)), &grant_type).await, 500, "server_error");
}

#[tokio::test]
async fn a_scope_that_the_client_may_not_have_is_refused_or_left_out() {
    let simulator = with_client().await;
    assert_eq!(grant(&simulator, "a c").await["error"], "invalid_scope");
    simulator.switch(|switches| switches.clients.unknown_scope = UnknownScope::LeaveOut);
    assert_eq!(grant(&simulator, "a c").await["scope"], "a");
}

#[tokio::test]
async fn faults_meet_this_api_like_the_others() {
    let simulator = with_client().await;
    simulator.fault(Fault::once(Action::ValidityTime(Form::Absent)).only_for(ID));
    assert_eq!(grant(&simulator, "a").await.get("expires_in"), None);
    simulator.fault(Fault::once(Action::TokenField(None)).only_on(Api::ClientCredentials));
    assert_eq!(grant(&simulator, "a").await.get("access_token"), None);
    let first = token(&simulator, "a").await;
    simulator.expire(ID).unwrap();
    token(&simulator, "a").await;
    simulator.fault(Fault::once(Action::Stale));
    assert_eq!(token(&simulator, "a").await, first);
    let fail = serde_json::from_str(r#"{"fail": {"status": 503}}"#).unwrap();
    simulator.fault(Fault::once(fail));
    assert_eq!(grant(&simulator, "a").await["error"], "temporarily_unavailable");
}
