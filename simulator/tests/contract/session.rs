//! The rows of the session API.

use issuer_simulator::Simulator;
use issuer_simulator::fault::{Action, FailBody, Fault, Form, Stage};
use issuer_simulator::journal::{Api, Cause};
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{Answer, send, simulator};

const USER: &str = "user-1";
const PASSWORD: &str = "password-1";

async fn with_session(life: Life) -> Simulator {
    let simulator = simulator().await;
    simulator.add_session(NewSession::account(USER, PASSWORD).with_pair("token-1", "refresh-1", life));
    simulator
}

async fn extend(simulator: &Simulator, token: &str, refresh_token: &str) -> Answer {
    let body = json!({"token": token, "refreshToken": refresh_token});
    send(Method::PUT, &simulator.session_endpoint(), Some(&body)).await.unwrap()
}

async fn log_in(simulator: &Simulator, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    send(Method::POST, &simulator.session_endpoint(), Some(&body)).await.unwrap()
}

fn pair(answer: &Answer) -> (String, String) {
    let text = |name: &str| answer.json()["content"][0][name].as_str().unwrap().to_owned();
    (text("token"), text("refreshToken"))
}

fn assert_fails(answer: &Answer, status: u16, code: &str, message: &str) {
    let body = json!({"errorCode": code, "errorMessage": message, "content": "", "pageable": ""});
    assert_eq!((answer.status, answer.json()), (status, body));
}

#[tokio::test]
async fn an_extension_gives_a_new_pair_in_the_documented_envelope() {
    let simulator = with_session(Life::of(std::time::Duration::from_secs(60))).await;
    let answer = extend(&simulator, "token-1", "refresh-1").await;
    let (token, refresh_token) = pair(&answer);
    let body = json!({
        "errorCode": "", "errorMessage": "",
        "content": [{"token": token, "refreshToken": refresh_token, "validityTime": 3600}],
        "pageable": {"page": 0, "size": 10, "totalPages": 1, "totalElements": 1},
    });
    assert_eq!((answer.status, answer.json()), (200, body));
    assert!(token != "token-1" && refresh_token != "refresh-1" && token != refresh_token);
}

#[tokio::test]
async fn an_extension_kills_the_old_pair_at_once() {
    let simulator = with_session(Life::Never).await;
    let (token, refresh_token) = pair(&extend(&simulator, "token-1", "refresh-1").await);
    assert_fails(&extend(&simulator, "token-1", "refresh-1").await, 200, "AUTH_1002", "Invalid token");
    let journal = simulator.journal();
    let death = journal.token("token-1").unwrap().death().unwrap();
    assert_eq!((death.cause, death.at), (Cause::Superseded, journal.token(&token).unwrap().birth));
    assert_eq!(extend(&simulator, &token, &refresh_token).await.json()["errorCode"], "");
}

#[tokio::test]
async fn an_expired_pair_cannot_be_extended() {
    let simulator = with_session(Life::Expired).await;
    assert_fails(&extend(&simulator, "token-1", "refresh-1").await, 200, "AUTH_1002", "Invalid token");
}

#[tokio::test]
async fn only_both_halves_of_a_pair_extend_it() {
    let simulator = with_session(Life::Never).await;
    for (token, refresh_token) in [("token-1", "wrong"), ("wrong", "refresh-1"), ("", ""), ("refresh-1", "token-1")] {
        assert_fails(&extend(&simulator, token, refresh_token).await, 200, "AUTH_1002", "Invalid token");
    }
    assert_eq!(extend(&simulator, "token-1", "refresh-1").await.json()["errorCode"], "");
}

#[tokio::test]
async fn a_log_in_gives_a_pair_and_the_customer() {
    let simulator = simulator().await;
    simulator.add_session(NewSession::account(USER, PASSWORD).valid_for(60));
    let answer = log_in(&simulator, USER, PASSWORD).await;
    let content = &answer.json()["content"][0];
    assert_eq!((&content["customerId"], &content["validityTime"]), (&json!("customer"), &json!(60)));
    let (token, refresh_token) = pair(&answer);
    assert_eq!(extend(&simulator, &token, &refresh_token).await.json()["errorCode"], "");
}

#[tokio::test]
async fn a_log_in_with_wrong_credentials_is_refused() {
    let simulator = with_session(Life::Never).await;
    for (username, password) in [("nobody", PASSWORD), (USER, "wrong"), (USER, "")] {
        assert_fails(&log_in(&simulator, username, password).await, 200, "AUTH_1001", "Invalid credentials");
    }
}

#[tokio::test]
async fn the_status_of_failures_is_a_switch() {
    let simulator = with_session(Life::Expired).await;
    simulator.switch(|switches| switches.session_failure_status = 401);
    assert_fails(&extend(&simulator, "token-1", "refresh-1").await, 401, "AUTH_1002", "Invalid token");
    assert_fails(&log_in(&simulator, USER, "wrong").await, 401, "AUTH_1001", "Invalid credentials");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_failure_like_any_other() {
    let simulator = with_session(Life::Never).await;
    let endpoint = simulator.session_endpoint();
    let answer = send(Method::PUT, &endpoint, Some(&Value::from("not an object"))).await.unwrap();
    assert_fails(&answer, 200, "AUTH_1002", "Invalid token");
    assert_eq!(send(Method::GET, &endpoint, None).await.unwrap().status, 405);
}

#[tokio::test]
async fn a_session_may_meet_an_unavailable_service_and_broken_json() {
    let simulator = with_session(Life::Never).await;
    let fail = |body| Action::Fail { status: 200, retry_after: None, body, at: Stage::BeforeWork };
    let broken = "{\"errorCode\":\"AUTH_1002\" \"errorMessage\":\"Invalid token\"}";
    simulator.fault(Fault::once(fail(FailBody::Envelope)).only_for(USER));
    simulator.fault(Fault::once(fail(FailBody::Text(broken.to_owned()))).only_on(Api::Session));
    let answer = extend(&simulator, "token-1", "refresh-1").await;
    assert_fails(&answer, 200, "GLOBAL_1001", "Service unavailable");
    assert_eq!(extend(&simulator, "token-1", "refresh-1").await.text, broken);
}

#[tokio::test]
async fn an_extension_may_be_done_and_its_answer_lost() {
    let simulator = with_session(Life::Never).await;
    simulator.fault(Fault::once(Action::Reset { at: Stage::AfterWork }));
    let body = json!({"token": "token-1", "refreshToken": "refresh-1"});
    send(Method::PUT, &simulator.session_endpoint(), Some(&body)).await.unwrap_err();
    assert_fails(&extend(&simulator, "token-1", "refresh-1").await, 200, "AUTH_1002", "Invalid token");
}

#[tokio::test]
async fn odd_fields_reach_the_content_element() {
    let simulator = with_session(Life::Never).await;
    simulator.fault(Fault::once(Action::ValidityTime(Form::Text)));
    let answer = extend(&simulator, "token-1", "refresh-1").await;
    assert_eq!(answer.json()["content"][0]["validityTime"], "3600");
    let (token, refresh_token) = pair(&answer);
    simulator.fault(Fault::once(Action::TokenField(None)));
    assert_eq!(extend(&simulator, &token, &refresh_token).await.json()["content"][0].get("token"), None);
}

#[tokio::test]
async fn the_journal_names_the_account_of_a_token() {
    let simulator = with_session(Life::Never).await;
    let (token, _) = pair(&extend(&simulator, "token-1", "refresh-1").await);
    let journal = simulator.journal();
    let call = journal.calls_of(USER).next().unwrap();
    assert_eq!((call.api, call.token.as_deref()), (Some(Api::Session), Some(token.as_str())));
    assert_eq!(journal.token(&token).unwrap().owner, USER);
}
