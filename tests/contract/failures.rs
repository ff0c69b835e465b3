//! Answers that give no token, and calls without an answer.

use crate::stage::*;
use crate::wire::Wire;
use flate2::Compression;
use flate2::read::GzEncoder;
use issuer_simulator::Simulator;
use issuer_simulator::fault::{Action, Encoding, FailBody, Fault, Form, Stage};
use issuer_simulator::switches::UnknownOldToken;
use serde_json::json;
use std::io::Read;
use std::time::Duration;
use syniverse_token_core::issuer::FailureKind::{Refused, Rejected, Unavailable};
use syniverse_token_core::issuer::{FailureKind, Refresh, TokenRequest};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_operator::issuer_client::transport::IssuerSettings;

fn fail(status: u16, body: FailBody) -> Action {
    Action::Fail { status, retry_after: None, body, at: Stage::BeforeWork }
}

async fn kind_after(issuer: &Simulator, action: Action, clause: &str) -> FailureKind {
    issuer.fault(Fault::once(action));
    kind_saying(clause, refresh(issuer).await)
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let issuer = issuer().await;
    let wrong_secret =
        TokenRequest::Refresh(Refresh { consumer_secret: Redacted::new("wrong"), ..question(issuer.endpoint()) });
    assert_eq!(kind_saying("HTTP 500", call(insecure(), &wrong_secret).await), Refused);
    let wrong_key =
        TokenRequest::Refresh(Refresh { consumer_key: Redacted::new("wrong"), ..question(issuer.endpoint()) });
    assert_eq!(kind_saying("HTTP 500", call(insecure(), &wrong_key).await), Refused);
}

#[tokio::test]
async fn an_old_token_nobody_knows_is_refused_where_the_issuer_checks_it() {
    let issuer = issuer().await;
    issuer.switch(|switches| switches.unknown_old_token = UnknownOldToken::Reject);
    let request =
        TokenRequest::Refresh(Refresh { old_token: Redacted::new("unheard of"), ..question(issuer.endpoint()) });
    assert_eq!(kind_saying("HTTP 500", call(insecure(), &request).await), Refused);
}

#[tokio::test]
async fn a_missing_parameter_is_rejected() {
    let issuer = issuer().await;
    let request = TokenRequest::Refresh(Refresh { old_token: Redacted::new(""), ..question(issuer.endpoint()) });
    assert_eq!(kind_saying("HTTP 400", call(insecure(), &request).await), Rejected);
}

#[tokio::test]
async fn a_path_that_is_not_the_apis_is_rejected() {
    let issuer = issuer().await;
    let clause = "HTTP 404 with a body that is not from the API";
    assert_eq!(kind_saying(clause, call(insecure(), &ask(issuer.url("/nowhere"))).await), Rejected);
}

#[tokio::test]
async fn a_4xx_is_the_resources_own_whoever_sent_it_and_a_500_only_where_it_is_the_apis() {
    let issuer = issuer().await;
    for (status, own, foreign) in [
        (400, Rejected, Rejected),
        (401, Rejected, Rejected),
        (403, Rejected, Rejected),
        (404, Rejected, Rejected),
        (405, Rejected, Rejected),
        (408, Unavailable, Unavailable),
        (429, Unavailable, Unavailable),
        (500, Refused, Unavailable),
        (502, Unavailable, Unavailable),
        (503, Unavailable, Unavailable),
        (504, Unavailable, Unavailable),
    ] {
        let clause = format!("HTTP {status}");
        assert_eq!(kind_after(&issuer, fail(status, FailBody::Envelope), &clause).await, own, "{status}");
        for body in [FailBody::Xml, FailBody::Html, FailBody::Empty, FailBody::Text("{}".to_owned())] {
            assert_eq!(kind_after(&issuer, fail(status, body), &clause).await, foreign, "{status}");
        }
    }
}

#[tokio::test]
async fn a_200_without_a_token_is_no_success() {
    let issuer = issuer().await;
    assert_eq!(kind_after(&issuer, fail(200, FailBody::Envelope), "HTTP 200 with an API error").await, Refused);
    for body in [FailBody::Xml, FailBody::Html, FailBody::Empty, FailBody::Text("[]".to_owned())] {
        assert_eq!(kind_after(&issuer, fail(200, body), "HTTP 200").await, Unavailable);
    }
    for action in [
        Action::TokenField(None),
        Action::TokenField(Some(String::new())),
        Action::TokenField(Some("T3\r\nX-Injected: 1\n".to_owned())),
        Action::TokenField(Some("\u{0}\u{1b}[2J".to_owned())),
        Action::TokenField(Some("t".repeat(60_000))),
        Action::ValidityTime(Form::Value(json!("soon"))),
        Action::ValidityTime(Form::Value(json!(true))),
    ] {
        assert_eq!(kind_after(&issuer, action, "HTTP 200").await, Unavailable);
    }
}

#[tokio::test]
async fn the_issuers_wish_for_a_pause_is_kept_within_an_hour() {
    let issuer = issuer().await;
    for (value, wish) in [
        ("7", Some(7)),
        ("0", Some(0)),
        ("999999", Some(3600)),
        ("Tue, 31 Dec 2999 23:59:59 GMT", Some(3600)),
        ("Sat, 01 Jan 2000 00:00:00 GMT", Some(0)),
        ("soon", None),
    ] {
        let retry_after = Some(value.to_owned());
        issuer.fault(Fault::once(Action::Fail {
            status: 429,
            retry_after,
            body: FailBody::Xml,
            at: Stage::BeforeWork,
        }));
        let failure = refresh(&issuer).await.unwrap_err();
        assert_eq!(failure.retry_after, wish.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (issuer, elsewhere) = (issuer().await, issuer().await);
    for status in [301, 302, 303, 307, 308] {
        let action = Action::Redirect { status, location: elsewhere.endpoint() };
        assert_eq!(kind_after(&issuer, action, "a redirect").await, Rejected, "{status}");
    }
    assert!(elsewhere.journal().calls.is_empty());
}

#[tokio::test]
async fn a_body_is_read_up_to_64_kib_and_no_further() {
    let issuer = issuer().await;
    issuer.fault(Fault::once(Action::Pad { bytes: 64 * 1024 }));
    assert!(refresh(&issuer).await.is_ok());
    for bytes in [64 * 1024 + 1, 8 * 1024 * 1024] {
        assert_eq!(kind_after(&issuer, Action::Pad { bytes }, "64 KiB").await, Unavailable);
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_understood_is_named() {
    let issuer = issuer().await;
    let clause = "HTTP 200 with a body in the encoding br, although no encoding was requested";
    assert_eq!(kind_after(&issuer, Action::Encode(Encoding::Brotli), clause).await, Unavailable);
}

#[tokio::test]
async fn a_body_that_grows_beyond_64_kib_is_not_read() {
    let bomb = gzip(&vec![b' '; 8 * 1024 * 1024]);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let wire = Wire::saying([head.into_bytes(), bomb].concat(), 1).await;
    assert_eq!(kind_saying("larger than 64 KiB", call(insecure(), &ask(wire.endpoint())).await), Unavailable);
}

#[tokio::test]
async fn encodings_are_undone_in_the_order_in_which_the_headers_name_them() {
    let body = gzip(&gzip(br#"{"accessToken":"t"}"#));
    let declared = "content-encoding: gzip\r\nContent-Encoding: identity,, x-gzip\r\n";
    let head = format!("HTTP/1.1 200 OK\r\n{declared}content-length: {}\r\n\r\n", body.len());
    let wire = Wire::saying([head.into_bytes(), body].concat(), 1).await;
    assert_eq!(call(insecure(), &ask(wire.endpoint())).await.unwrap().token.expose(), "t");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    GzEncoder::new(bytes, Compression::default()).read_to_end(&mut encoded).unwrap();
    encoded
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let issuer = issuer().await;
    assert_eq!(kind_after(&issuer, Action::Truncate, "before the issuer's response was complete").await, Unavailable);
}

#[tokio::test]
async fn a_reset_is_reported_and_the_request_not_repeated() {
    let issuer = issuer().await;
    for at in [Stage::BeforeWork, Stage::AfterWork] {
        assert_eq!(kind_after(&issuer, Action::Reset { at }, "the connection closed").await, Unavailable);
    }
    assert_eq!(issuer.journal().calls.len(), 2);
}

#[tokio::test]
async fn a_call_ends_with_its_timeout() {
    let issuer = issuer().await;
    let settings = IssuerSettings { call_timeout: Duration::from_millis(200), ..insecure() };
    issuer.fault(Fault::once(Action::Hang { at: Stage::AfterWork }));
    let result = call(settings, &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("no response from the issuer within 200ms", result), Unavailable);
    assert_eq!(issuer.journal().calls.len(), 1);
}

#[tokio::test]
async fn a_closed_port_is_unavailable_and_an_open_one_works_again() {
    let issuer = issuer().await;
    issuer.down().await.unwrap();
    assert_eq!(kind_saying("could not connect to the issuer", refresh(&issuer).await), Unavailable);
    issuer.up().await.unwrap();
    assert!(refresh(&issuer).await.is_ok());
}
