//! Answers that give a token.

use crate::stage::*;
use issuer_simulator::fault::{Action, Encoding, Fault, Form};
use issuer_simulator::model::Life;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use syniverse_token_core::issuer::{Lifetime, Refresh, TokenRequest};
use syniverse_token_core::redacted::Redacted;

#[tokio::test]
async fn an_expired_token_is_replaced_by_one_of_full_validity() {
    let issuer = issuer().await;
    let response = refresh(&issuer).await.unwrap();
    assert_eq!(response.token.expose(), issuer.journal().tokens.last().unwrap().value);
    assert_ne!(response.token.expose(), PORTAL_TOKEN);
    assert_eq!(response.lifetime, Lifetime::Seconds(VALIDITY_SECONDS));
}

#[tokio::test]
async fn a_live_token_comes_back_with_its_remaining_time() {
    let issuer = issuer_with_token(Life::of(Duration::from_secs(300))).await;
    let response = refresh(&issuer).await.unwrap();
    assert_eq!(response.token.expose(), PORTAL_TOKEN);
    let Lifetime::Seconds(remaining) = response.lifetime else { panic!("{response:?}") };
    assert!((200..=300).contains(&remaining), "{remaining}");
}

#[tokio::test]
async fn the_request_is_as_the_documents_say() {
    let issuer = issuer().await;
    refresh(&issuer).await.unwrap();
    let call = &issuer.journal().calls[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("GET", "/saop-rest-data/v1/apptoken-refresh"));
    let sent: Vec<_> = call.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        sent,
        [("consumerkey", KEY), ("consumersecret", SECRET), ("oldtoken", PORTAL_TOKEN), ("validity", "600")]
    );
    assert_eq!(call.headers["accept"], "application/json");
    assert!(call.headers["user-agent"].starts_with("syniverse-token-operator/"));
    let names: Vec<_> = call.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
    assert_eq!(call.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn every_form_of_the_remaining_time_is_read() {
    let issuer = issuer_with_token(Life::Never).await;
    let finite = Lifetime::Seconds(86_011);
    for (form, expected) in [
        (Form::Value(json!(86_011)), finite),
        (Form::Value(json!(86_011.0)), finite),
        (Form::Value(json!("86011")), finite),
        (Form::Value(json!(0)), Lifetime::Seconds(0)),
        (Form::Value(json!(-300)), Lifetime::Seconds(0)),
        (Form::Absent, Lifetime::Never),
        (Form::Value(json!(null)), Lifetime::Never),
        (Form::Float, Lifetime::Never),
        (Form::Text, Lifetime::Never),
        (Form::Value(json!(9_223_372_036_854_775_i64)), Lifetime::Never),
        (Form::Value(json!(i64::MAX)), Lifetime::Never),
        (Form::Value(json!(1e300)), Lifetime::Never),
    ] {
        issuer.fault(Fault::once(Action::ValidityTime(form.clone())));
        assert_eq!(refresh(&issuer).await.unwrap().lifetime, expected, "{form:?}");
    }
}

#[tokio::test]
async fn an_answer_is_read_however_a_gateway_packs_it() {
    for action in [
        Action::Encode(Encoding::Gzip),
        Action::Encode(Encoding::Deflate),
        Action::Encode(Encoding::RawDeflate),
        Action::ByteOrderMark,
        Action::Status(201),
        Action::Status(203),
    ] {
        let issuer = issuer().await;
        issuer.fault(Fault::once(action.clone()));
        let response = refresh(&issuer).await.unwrap();
        assert_eq!(response.token.expose(), issuer.journal().tokens.last().unwrap().value, "{action:?}");
        assert_eq!(response.lifetime, Lifetime::Seconds(VALIDITY_SECONDS), "{action:?}");
    }
}

#[tokio::test]
async fn a_token_without_end_is_one_that_was_asked_for_without_end() {
    let issuer = issuer().await;
    let request = TokenRequest::Refresh(Refresh { validity_seconds: 0, ..question(issuer.endpoint()) });
    assert_eq!(call(insecure(), &request).await.unwrap().lifetime, Lifetime::Never);
    issuer.fault(Fault::once(Action::ValidityTime(Form::Value(json!(-1)))));
    assert_eq!(call(insecure(), &request).await.unwrap().lifetime, Lifetime::Never);
}

#[tokio::test]
async fn the_time_of_the_issuer_is_reported() {
    let issuer = issuer().await;
    issuer.switch(|switches| switches.date_skew_seconds = 7200);
    let skew = refresh(&issuer).await.unwrap().date.unwrap().duration_since(Timestamp::now());
    assert!((7100..=7200).contains(&skew.as_secs()), "{skew}");
}

#[tokio::test]
async fn an_old_token_nobody_knows_works_where_the_issuer_lets_it() {
    let issuer = issuer().await;
    let request =
        TokenRequest::Refresh(Refresh { old_token: Redacted::new("unheard of"), ..question(issuer.endpoint()) });
    assert!(call(insecure(), &request).await.is_ok());
}
