//! What the session issuer answers, and every guard for requests that carry secrets in their body.

use crate::stage::*;
use issuer_simulator::Simulator;
use issuer_simulator::fault::{Action, Encoding, FailBody, Fault, Form, Stage};
use serde_json::json;
use std::time::Duration;
use syniverse_token_core::issuer::FailureKind::{
    Ended, EndpointNotAllowed, LoginRefused, Refused, Rejected, Unavailable,
};
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::issuer::{Failure, FailureKind, Lifetime, TokenRequest, TokenResponse};
use syniverse_token_operator::issuer_client::Issuer;
use syniverse_token_operator::issuer_client::http::HttpIssuer;
use syniverse_token_operator::issuer_client::transport::IssuerSettings;

/// The samples of the API's documentation, to the letter: its failure lacks a comma.
const SUCCESS: &str = include_str!("samples/session-success.json");
const BROKEN_FAILURE: &str = include_str!("samples/session-failure.txt");

/// Both questions; the first can be answered once.
fn questions(endpoint: &str) -> [TokenRequest; 2] {
    [extend(endpoint), log_in(endpoint)]
}

fn says(status: u16, body: &str) -> Action {
    Action::Fail { status, retry_after: None, body: FailBody::Text(body.to_owned()), at: Stage::BeforeWork }
}

async fn after(issuer: &Simulator, action: Action, request: &TokenRequest) -> Result<TokenResponse, Failure> {
    issuer.fault(Fault::once(action));
    call(insecure(), request).await
}

/// The kinds of failure, to an extension and to a log in, of one and the same answer.
async fn kinds_after(issuer: &Simulator, action: Action, clause: &str) -> [FailureKind; 2] {
    let [extend, log_in] = questions(&issuer.session_endpoint());
    let extension = kind_saying(clause, after(issuer, action.clone(), &extend).await);
    [extension, kind_saying(clause, after(issuer, action, &log_in).await)]
}

/// The question that extends the session of an answer.
fn extend_answer(issuer: &Simulator, response: &TokenResponse) -> TokenRequest {
    let refresh_token = response.refresh_token.as_ref().unwrap().expose();
    extend_pair(issuer.session_endpoint(), response.token.expose(), refresh_token)
}

#[tokio::test]
async fn a_session_is_extended_with_the_pair_of_each_answer() {
    let issuer = issuer().await;
    let mut request = extend(issuer.session_endpoint());
    for _ in 0..3 {
        let response = call(insecure(), &request).await.unwrap();
        assert_eq!(response.token.expose(), issuer.journal().tokens.last().unwrap().value);
        assert_eq!(response.lifetime, Lifetime::Seconds(SESSION_SECONDS.into()));
        assert!(response.date.is_some());
        request = extend_answer(&issuer, &response);
    }
}

#[tokio::test]
async fn a_log_in_opens_a_session_that_can_be_extended() {
    let issuer = issuer().await;
    let response = call(insecure(), &log_in(issuer.session_endpoint())).await.unwrap();
    assert_eq!(response.lifetime, Lifetime::Seconds(SESSION_SECONDS.into()));
    assert!(call(insecure(), &extend_answer(&issuer, &response)).await.is_ok());
}

#[tokio::test]
async fn the_requests_are_as_the_documents_say() {
    let issuer = issuer().await;
    for request in questions(&issuer.session_endpoint()) {
        call(insecure(), &request).await.unwrap();
    }
    let calls = issuer.journal().calls;
    let sent = |call: usize| -> Vec<(String, String)> { calls[call].parameters.clone().into_iter().collect() };
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(sent(0), [field("refreshToken", REFRESH_TOKEN), field("token", TOKEN)]);
    assert_eq!(sent(1), [field("password", PASSWORD), field("username", USER)]);
    for (call, method) in calls.iter().zip(["PUT", "POST"]) {
        assert_eq!((call.method.as_str(), call.path.as_str()), (method, "/api/v2/auth/token"));
        let names: Vec<_> = call.headers.keys().map(String::as_str).collect();
        assert_eq!(names, ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"]);
        assert_eq!(call.headers["accept"], "application/json");
        assert_eq!(call.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn a_pair_that_is_dead_or_was_never_one_ends_whatever_the_status() {
    let issuer = issuer().await;
    call(insecure(), &extend(issuer.session_endpoint())).await.unwrap();
    for status in [200, 400, 401, 403, 500] {
        issuer.switch(|switches| switches.session_failure_status = status);
        let clause = format!("the issuer answered AUTH_1002 (HTTP {status})");
        for request in [extend(issuer.session_endpoint()), extend_pair(issuer.session_endpoint(), "no", "body's")] {
            assert_eq!(kind_saying(&clause, call(insecure(), &request).await), Ended);
        }
    }
}

#[tokio::test]
async fn a_wrong_log_in_is_refused_whatever_the_status() {
    let issuer = issuer().await;
    for status in [200, 400, 401, 403, 500] {
        issuer.switch(|switches| switches.session_failure_status = status);
        let clause = format!("the issuer answered AUTH_1001 (HTTP {status})");
        for (username, password) in [("nobody", PASSWORD), (USER, "wrong"), (USER, "")] {
            let request = log_in_as(issuer.session_endpoint(), username, password);
            assert_eq!(kind_saying(&clause, call(insecure(), &request).await), LoginRefused);
        }
    }
}

#[tokio::test]
async fn no_verdict_is_taken_from_a_gateway_or_an_overloaded_service() {
    let issuer = issuer().await;
    issuer.expire(USER).unwrap();
    for status in [408, 429, 502, 503, 504] {
        issuer.switch(|switches| switches.session_failure_status = status);
        let ended = call(insecure(), &extend(issuer.session_endpoint())).await;
        assert_eq!(kind_saying(&format!("AUTH_1002 (HTTP {status})"), ended), Unavailable);
        let refused = call(insecure(), &log_in_as(issuer.session_endpoint(), USER, "wrong")).await;
        assert_eq!(kind_saying(&format!("AUTH_1001 (HTTP {status})"), refused), Unavailable);
    }
}

#[tokio::test]
async fn a_code_is_a_verdict_on_its_own_question_only() {
    let issuer = issuer().await;
    for (code, expected) in [
        ("AUTH_1001", [Refused, LoginRefused]),
        ("AUTH_1002", [Ended, Refused]),
        ("GLOBAL_1001", [Unavailable, Unavailable]),
        ("LICENSE_7", [Refused, Refused]),
    ] {
        let shown = if code == "LICENSE_7" { "an undocumented error code" } else { code };
        for content in [r#""""#, "[]", "{}", "null"] {
            let body = format!(r#"{{"errorCode":"{code}","errorMessage":"m","content":{content},"pageable":""}}"#);
            assert_eq!(kinds_after(&issuer, says(200, &body), &format!("{shown} (HTTP 200)")).await, expected);
        }
        let body = format!(r#"{{"errorCode":"{code}"}}"#);
        assert_eq!(kinds_after(&issuer, says(422, &body), &format!("{shown} (HTTP 422)")).await, expected);
    }
}

#[tokio::test]
async fn the_documents_own_samples_are_read() {
    let issuer = issuer().await;
    for request in questions(&issuer.session_endpoint()) {
        let response = after(&issuer, says(200, SUCCESS), &request).await.unwrap();
        assert_eq!(response.lifetime, Lifetime::Seconds(3600));
    }
    let clause = format!("or is cut off at line 4, column 1 ({} bytes)", BROKEN_FAILURE.len());
    assert_eq!(kinds_after(&issuer, says(200, BROKEN_FAILURE), &clause).await, [Unavailable; 2]);
}

#[tokio::test]
async fn content_is_read_as_array_and_as_object() {
    let issuer = issuer().await;
    let element = r#"{"token":"t","refreshToken":"r","validityTime":60}"#;
    for content in [format!("[{element}]"), element.to_owned()] {
        let body = format!(r#"{{"errorCode":"","content":{content}}}"#);
        for request in questions(&issuer.session_endpoint()) {
            let response = after(&issuer, says(200, &body), &request).await.unwrap();
            assert_eq!((response.token.expose(), response.refresh_token.unwrap().expose()), ("t", "r"));
        }
    }
    for content in [r#""content":"","#, r#""content":[],"#, r#""content":{},"#, ""] {
        let action = says(200, &format!(r#"{{{content}"errorCode":""}}"#));
        assert_eq!(kinds_after(&issuer, action, "neither a session nor an error code").await, [Unavailable; 2]);
    }
}

#[tokio::test]
async fn a_body_that_is_not_the_apis_is_sorted_by_its_status() {
    let issuer = issuer().await;
    for status in [200, 400, 401, 404, 408, 429, 500, 503] {
        let expected = if [400, 401, 404].contains(&status) { Refused } else { Unavailable };
        for body in [FailBody::Xml, FailBody::Html, FailBody::Empty, FailBody::Text("{}".to_owned())] {
            let action = Action::Fail { status, retry_after: None, body, at: Stage::BeforeWork };
            assert_eq!(kinds_after(&issuer, action, &format!("HTTP {status}")).await, [expected; 2], "{status}");
        }
    }
}

#[tokio::test]
async fn no_form_of_the_remaining_time_loses_the_pair() {
    let issuer = issuer().await;
    let mut request = extend(issuer.session_endpoint());
    for (form, expected) in [
        (Form::Float, Lifetime::Seconds(SESSION_SECONDS.into())),
        (Form::Text, Lifetime::Seconds(SESSION_SECONDS.into())),
        (Form::Value(json!(-300)), Lifetime::Seconds(0)),
        (Form::Absent, Lifetime::Never),
        (Form::Value(json!(null)), Lifetime::Never),
        (Form::Value(json!(i64::MAX)), Lifetime::Never),
        (Form::Value(json!("soon")), Lifetime::Seconds(0)),
        (Form::Value(json!(true)), Lifetime::Seconds(0)),
    ] {
        let response = after(&issuer, Action::ValidityTime(form.clone()), &request).await.unwrap();
        assert_eq!(response.lifetime, expected, "{form:?}");
        request = extend_answer(&issuer, &response);
    }
}

#[tokio::test]
async fn no_gateway_that_packs_an_answer_loses_the_pair() {
    let issuer = issuer().await;
    let mut request = extend(issuer.session_endpoint());
    for action in [
        Action::Encode(Encoding::Gzip),
        Action::Encode(Encoding::Deflate),
        Action::Encode(Encoding::RawDeflate),
        Action::ByteOrderMark,
        Action::Status(201),
        Action::Status(403),
    ] {
        let response = after(&issuer, action.clone(), &request).await.unwrap();
        assert_eq!(response.token.expose(), issuer.journal().tokens.last().unwrap().value, "{action:?}");
        request = extend_answer(&issuer, &response);
    }
    let clause = "a body in the encoding br";
    assert_eq!(kinds_after(&issuer, Action::Encode(Encoding::Brotli), clause).await, [Unavailable; 2]);
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_no_session() {
    let issuer = issuer().await;
    for token in ["T3\r\nX-Injected: 1\n", "two words"] {
        let action = Action::TokenField(Some(token.to_owned()));
        let failure = after(&issuer, action, &log_in(issuer.session_endpoint())).await.unwrap_err();
        assert!(failure.detail.contains("a token with blanks or characters that are not printable ASCII"), "{failure}");
        assert_eq!(failure.kind, Unavailable);
    }
}

#[tokio::test]
async fn the_issuers_wish_for_a_pause_is_passed_on() {
    let issuer = issuer().await;
    let body = FailBody::Envelope;
    let action = Action::Fail { status: 200, retry_after: Some("7".to_owned()), body, at: Stage::BeforeWork };
    for request in questions(&issuer.session_endpoint()) {
        let failure = after(&issuer, action.clone(), &request).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry_after), (Unavailable, Some(Duration::from_secs(7))));
    }
}

#[tokio::test]
async fn a_redirect_carries_no_secret_elsewhere() {
    let (issuer, elsewhere) = (issuer().await, issuer().await);
    for status in [301, 302, 303, 307, 308] {
        let action = Action::Redirect { status, location: elsewhere.session_endpoint() };
        assert_eq!(kinds_after(&issuer, action, "a redirect").await, [Rejected; 2], "{status}");
    }
    assert!(elsewhere.journal().calls.is_empty());
}

#[tokio::test]
async fn a_body_is_read_up_to_64_kib_and_no_further() {
    let issuer = issuer().await;
    let [extend, log_in] = questions(&issuer.session_endpoint());
    assert!(after(&issuer, Action::Pad { bytes: 64 * 1024 }, &extend).await.is_ok());
    let too_large = after(&issuer, Action::Pad { bytes: 64 * 1024 + 1 }, &log_in).await;
    assert_eq!(kind_saying("64 KiB", too_large), Unavailable);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let issuer = issuer().await;
    let clause = "before the issuer's response was complete";
    assert_eq!(kinds_after(&issuer, Action::Truncate, clause).await, [Unavailable; 2]);
}

#[tokio::test]
async fn a_reset_is_reported_and_the_request_not_repeated() {
    let issuer = issuer().await;
    let client = HttpIssuer::new(insecure()).unwrap();
    // The first call leaves a connection, and clients like to repeat what failed on a used one.
    let mut pair = extend(issuer.session_endpoint());
    for at in [Stage::BeforeWork, Stage::AfterWork] {
        pair = extend_answer(&issuer, &client.send(&pair).await.unwrap());
        issuer.fault(Fault::once(Action::Reset { at }));
        assert_eq!(kind_saying("the connection closed", client.send(&pair).await), Unavailable);
    }
    assert_eq!(kind_saying("AUTH_1002", client.send(&pair).await), Ended);
    assert_eq!(issuer.journal().calls.len(), 5);
}

#[tokio::test]
async fn a_call_ends_with_its_timeout() {
    let issuer = issuer().await;
    let settings = IssuerSettings { call_timeout: Duration::from_millis(200), ..insecure() };
    issuer.fault(Fault::always(Action::Hang { at: Stage::BeforeWork }));
    for request in questions(&issuer.session_endpoint()) {
        let result = call(settings.clone(), &request).await;
        assert_eq!(kind_saying("no response from the issuer within 200ms", result), Unavailable);
    }
    assert_eq!(issuer.journal().calls.len(), 2);
}

#[tokio::test]
async fn tls_is_verified_before_a_secret_is_sent() {
    let issuer = tls_issuer().await;
    for request in questions(&issuer.session_endpoint()) {
        assert_eq!(kind_saying("not trusted", call(insecure(), &request).await), Unavailable);
    }
    assert!(issuer.journal().calls.is_empty());
    for request in questions(&issuer.session_endpoint()) {
        assert!(call(trusting(&issuer), &request).await.is_ok());
    }
}

#[tokio::test]
async fn what_the_rules_refuse_is_not_called() {
    let (issuer, safe) = (issuer().await, tls_issuer().await);
    let unlisted = IssuerSettings { endpoints: EndpointRules::default(), ..trusting(&safe) };
    let public = IssuerSettings { endpoints: secure().endpoints, ..trusting(&safe) };
    let by_name = safe.session_endpoint().replace("127.0.0.1", "localhost");
    for (settings, endpoint, setting) in [
        (secure(), issuer.session_endpoint(), "--insecure-endpoints"),
        (unlisted, safe.session_endpoint(), "--endpoint-host"),
        (public.clone(), safe.session_endpoint(), "--private-endpoints"),
        (public, by_name, "--private-endpoints"),
    ] {
        for request in questions(&endpoint) {
            assert_eq!(kind_saying(setting, call(settings.clone(), &request).await), EndpointNotAllowed);
        }
    }
    assert!(issuer.journal().calls.is_empty() && safe.journal().calls.is_empty());
}
