//! What the state Secret holds, and how an answer changes it.

use crate::cluster::{Cluster, now, response};
use serde_json::json;
use syniverse_token_core::api::ApplicationSpec;
use syniverse_token_core::credential::ApplicationValues;
use syniverse_token_core::intent::Intent;
use syniverse_token_core::issuer::{Cause, Kind, Lifetime, TokenResponse};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::state::{
    CallResult, Inputs, ManagedFields, State, TokenRecord, Unreadable, UnrecordedResponse,
};

#[test]
fn what_is_written_is_read_back_whole() {
    let state = Cluster::with_token(json!({"secret": {"labels": {"team": "a"}}})).state();
    assert_eq!(State::from_bytes(&state.to_bytes()), Ok(state));
}

#[test]
fn neither_the_credentials_nor_their_plain_hashes_are_stored() {
    let text = String::from_utf8(Cluster::with_token(json!({})).state().to_bytes()).unwrap();
    for value in ["\"key\"", "\"secret\"", "\"old\""] {
        assert!(!text.contains(value), "{value} in {text}");
    }
}

#[test]
fn a_newer_format_is_told_apart_from_nonsense() {
    assert_eq!(State::from_bytes(br#"{"version":4}"#), Err(Unreadable::TooNew(4)));
    for nonsense in [&b""[..], b"{}", b"[]", br#"{"version":1}"#, br#"{"version":2}"#, b"\xff"] {
        assert_eq!(State::from_bytes(nonsense), Err(Unreadable::Corrupt));
    }
}

#[test]
fn debug_output_shows_no_token() {
    let text = format!("{:?}", Cluster::with_token(json!({})).state());
    assert!(text.contains("token: [redacted]") && !text.contains("\"first\""), "{text}");
}

#[test]
fn a_recorded_answer_raises_the_serial_and_an_idle_one_does_not() {
    let mut cluster = Cluster::with_token(json!({}));
    let before = cluster.state().serial;
    cluster.answer(now(540.0), "first", 60);
    assert_eq!(cluster.state().serial, before + 1);
    cluster.answer(now(600.0), "first", 1);
    assert_eq!(cluster.state().serial, before + 1);
}

#[test]
fn a_later_expiry_is_followed_and_the_first_one_kept() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 360);
    let record = cluster.state().active_token().cloned().unwrap();
    assert_eq!(record.expiration_time, Some(now(900.0).wall));
    assert_eq!(record.first_expiration_time, Some(now(600.0).wall));
    // Data of the token Secret stays as the token was born.
    assert_eq!(cluster.token("expirationTime").unwrap(), now(600.0).wall.to_string());
}

#[test]
fn only_the_last_tokens_are_kept_and_the_active_one_always() {
    let mut cluster = Cluster::with_token(json!({}));
    for count in 0..6 {
        let key = format!("key-{count}");
        let values = [("consumerKey", key.as_str()), ("consumerSecret", "s"), ("oldToken", "o")];
        cluster.observed.credentials = Some(crate::cluster::secret("sdc", &values)).into();
        let at = now(10.0 + f64::from(count));
        cluster.answer(at, &format!("token-{count}"), 600);
    }
    let state = cluster.state();
    assert_eq!(state.credentials.len(), 4);
    assert_eq!(state.active_token().unwrap().token.expose(), "token-5");
}

const CAUSES: &[&str] = &["consumerKey", "consumerSecret", "oldToken", "endpoint"];

fn inputs(secret: &str, old_token: Option<&str>, validity: &str) -> Inputs {
    let values = ApplicationValues {
        consumer_key: Redacted::new("key"),
        consumer_secret: Redacted::new(secret),
        old_token: old_token.map(Redacted::new),
        old_token_problem: None,
    };
    let spec = json!({"endpoint": "https://e", "validity": validity, "credentials": {"secretRef": {"name": "sdc"}}});
    let spec: ApplicationSpec = serde_json::from_value(spec).unwrap();
    Inputs::of("salt", values.named(&spec))
}

#[test]
fn what_changed_is_named_and_what_went_away_is_no_change() {
    let recorded = inputs("a", Some("o"), "1h");
    assert_eq!(inputs("a", Some("o"), "1h").change_since(&recorded, CAUSES), None);
    assert_eq!(inputs("b", Some("o"), "1h").change_since(&recorded, CAUSES), Some("consumerSecret"));
    assert_eq!(inputs("a", Some("p"), "1h").change_since(&recorded, CAUSES), Some("oldToken"));
    assert_eq!(inputs("a", None, "1h").change_since(&recorded, CAUSES), None);
    assert_eq!(inputs("a", Some("o"), "2h").change_since(&recorded, CAUSES), None);
    assert_eq!(inputs("a", Some("o"), "1h").change_since(&inputs("a", None, "1h"), CAUSES), Some("oldToken"));
}

#[test]
fn hashes_of_an_unknown_version_count_as_unchanged() {
    let other: Inputs = serde_json::from_value(json!({"version": 9, "hashes": {"consumerSecret": "x"}})).unwrap();
    assert_eq!(inputs("a", Some("o"), "1h").change_since(&other, CAUSES), None);
    assert_eq!(inputs("a", Some("o"), "1h").change_since(&Inputs::default(), CAUSES), None);
}

#[test]
fn the_endpoint_that_the_active_token_came_from_is_known_and_no_other() {
    let state =
        Cluster::with_token(json!({"application": {"endpoint": "https://api.syniverse.com/apptoken-refresh"}})).state();
    assert!(state.was_asked_at("https://api.syniverse.com/apptoken-refresh"));
    assert!(!state.was_asked_at("https://api.syniverse.com/elsewhere"));
    assert!(!State::new("salt".into(), None).was_asked_at(""));
}

#[test]
fn a_value_that_a_new_application_lacks_is_no_change_when_it_is_given_again() {
    let mut cluster = Cluster::with_token(json!({}));
    let give = |cluster: &mut Cluster, values: &[(&str, &str)]| {
        cluster.observed.credentials = Some(crate::cluster::secret("sdc", values)).into();
    };
    let values = [("consumerKey", "other"), ("consumerSecret", "s")];
    give(&mut cluster, &values);
    cluster.answer(now(10.0), "second", 600);
    give(&mut cluster, &[&values[..], &[("oldToken", "old")]].concat());
    assert_eq!(cluster.rest(now(11.0)), (Some(now(550.0).mono), vec![]));
}

#[test]
fn a_state_restored_from_the_token_secret_knows_what_its_token_was_issued_for() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.state = None.into();
    cluster.restart(now(1.0));
    cluster.rest(now(1.0));
    cluster.observed.credentials = Some(crate::cluster::credentials("changed", Some("old"))).into();
    assert_eq!(cluster.call(now(2.0)).cause, Cause::Changed("consumerSecret"));
}

#[test]
fn a_response_that_follows_another_keeps_what_was_written_meanwhile() {
    let mut cluster = Cluster::session(&[("username", "user"), ("password", "word")]);
    cluster.answer(now(0.0), "first", 600);
    let first = cluster.state();
    let planned = cluster.call(now(590.0));
    let answer = |token: &str| {
        let refresh_token = Some(Redacted::new("refresh"));
        CallResult::Token(TokenResponse { refresh_token, ..response(token, Lifetime::Seconds(600)) })
    };
    let second = first.record(&planned.unrecorded(answer("second"), now(590.0), true)).unwrap();
    let follows = Some(Box::new(second));
    let third = UnrecordedResponse { follows, ..planned.unrecorded(answer("third"), now(595.0), true) };
    let intent = Some(Intent { time: now(594.0).wall, holder: "another process".into() });
    let written = ManagedFields { labels: ["team".to_owned()].into(), ..first.written.clone() };
    let recorded = State { intent: intent.clone(), written: written.clone(), ..first }.record(&third).unwrap();
    assert_eq!((recorded.intent, recorded.written), (intent, written));
    assert_eq!(recorded.credentials["session"].token.as_ref().unwrap().token.expose(), "third");
}

#[test]
fn a_token_must_be_renewed_only_where_a_session_lives_on_it() {
    let session = Cluster::session(&[("username", "user"), ("password", "word")]);
    let record = |mut cluster: Cluster| {
        cluster.answer(now(0.0), "first", 600);
        cluster.state().active_token().cloned().unwrap()
    };
    let lives = record(session);
    assert!(lives.must_be_renewed());
    assert!(!TokenRecord { ended: true, ..lives }.must_be_renewed());
    assert!(!record(Cluster::new(json!({}))).must_be_renewed());
}

#[test]
fn a_token_expires_if_it_was_to_and_is_from_the_future_by_more_than_a_minute() {
    let token = |expires| TokenRecord::new(Kind::Application, Redacted::new("t"), now(100.0).wall, expires);
    assert!(token(Some(now(200.0).wall)).expires() && !token(None).expires());
    assert!(!token(None).is_from_the_future(now(40.0)) && token(None).is_from_the_future(now(39.999)));
}

#[test]
fn a_token_of_two_seconds_more_than_was_asked_for_is_no_longer_one() {
    let token = |given| TokenRecord {
        asked_seconds: Some(600),
        lifetime_seconds: Some(given),
        ..TokenRecord::new(Kind::Application, Redacted::new("t"), now(0.0).wall, None)
    };
    assert_eq!((token(602).asked_end(), token(603).asked_end()), (None, Some(now(602.0).wall)));
}
