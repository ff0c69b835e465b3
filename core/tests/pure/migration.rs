//! States that other versions wrote: an earlier format, and fields that this version does not know.

use crate::cluster::{Cluster, now, old_token};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use syniverse_token_core::issuer::Kind;
use syniverse_token_core::issuer::{Cause, FailureKind, TokenRequest};
use syniverse_token_core::plan::Step;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::state::{FORMAT, State};

/// As the version of format 1 wrote it: an application's token, given at 0 for 600 s.
const APPLICATION: &str = include_str!("samples/format-1-application.json");
/// As the version before wrote it: the same in format 2.
const FORMAT_2: &str = include_str!("samples/format-2-application.json");
/// An application's token, then a session opened at 20 for 600 s, then another login that was refused.
const SESSION: &str = include_str!("samples/format-1-session.json");
const LOGIN: [(&str, &str); 2] = [("username", "user"), ("password", "word")];

fn stored(cluster: &mut Cluster) -> &mut ByteString {
    cluster.observed.state.secret_mut().unwrap().data.as_mut().unwrap().get_mut("state.json").unwrap()
}

fn json_of(cluster: &mut Cluster) -> Value {
    serde_json::from_slice(&stored(cluster).0).unwrap()
}

/// A resource whose state Secret another version wrote, found by a process that has just started.
fn found(mut cluster: Cluster, state: &str, seconds: f64) -> Cluster {
    stored(&mut cluster).0 = state.as_bytes().to_vec();
    cluster.restart(now(seconds));
    cluster
}

fn application() -> Cluster {
    let mut cluster = Cluster::with_token(json!({"secret": {"labels": {"team": "a"}}}));
    cluster.annotate("syniverse.dev/refresh", "now");
    found(cluster, APPLICATION, 20.0)
}

fn session() -> Cluster {
    let mut cluster = Cluster::session(&LOGIN);
    cluster.answer(now(20.0), "opened", 600);
    cluster.give(&[("username", "other"), ("password", "word")]);
    found(cluster, SESSION, 40.0)
}

#[test]
fn format_2_is_read_as_it_is_and_written_as_this_format_with_the_next_answer() {
    let mut application = found(Cluster::with_token(json!({})), FORMAT_2, 20.0);
    assert_eq!(application.rest(now(20.0)), (Some(now(540.0).mono), vec![]));
    assert!(application.steps.is_empty(), "{:?}", application.steps);
    assert_eq!(application.state(), Cluster::with_token(json!({})).state());
    application.answer(now(600.0), "second", 600);
    let written = json_of(&mut application);
    assert_eq!((written["version"].as_u64(), written["serial"].as_u64()), (Some(FORMAT.into()), Some(2)));
}

#[test]
fn a_format_before_this_one_costs_neither_a_call_nor_a_write_until_the_next_answer() {
    let mut application = application();
    assert_eq!(application.rest(now(20.0)), (Some(now(540.0).mono), vec![]));
    assert!(application.steps.is_empty(), "{:?}", application.steps);
    assert_eq!(json_of(&mut application)["version"].as_u64(), Some(1));
    let planned = application.call(now(600.0));
    assert_eq!((planned.cause, old_token(&planned)), (Cause::Boundary, "first".to_owned()));
    application.receive(&planned, now(600.0), "second", 600);
    application.rest(now(600.0));
    assert_eq!(application.steps, ["state", "token"]);
    assert_eq!(json_of(&mut application)["version"].as_u64(), Some(FORMAT.into()));
    assert_eq!(application.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_format_before_this_one_tells_all_that_it_knew_of_each_credential() {
    let state = State::from_bytes(SESSION.as_bytes()).unwrap();
    assert_eq!((state.format, state.serial, state.active.as_deref()), (FORMAT, 2, Some("session")));
    let session = &state.credentials["session"];
    assert!(session.login_refused && !session.pair_refused);
    assert_eq!(session.refused_credentials.as_deref(), Some("3"));
    assert_eq!(session.token.as_ref().unwrap().kind, Kind::Session);
    assert!(
        session.inputs.knows("username") && session.inputs.knows("endpoint") && !session.inputs.knows("consumerKey")
    );
    let (_, application) = state.credentials.iter().find(|(id, _)| *id != "session").unwrap();
    assert_eq!(application.token.as_ref().unwrap().kind, Kind::Application);
    assert!(application.inputs.knows("consumerSecret") && application.inputs.knows("oldToken"));
    assert!(!application.inputs.knows("endpoint") && !application.inputs.knows("username"));
}

#[test]
fn a_session_of_a_format_before_this_one_is_extended_and_its_refused_login_stays_refused() {
    let mut session = session();
    let (_, reasons) = session.rest(now(40.0));
    assert_eq!(reasons, [Reason::LoginRefused]);
    assert!(session.steps.is_empty(), "{:?}", session.steps);
    let planned = session.call(now(500.0));
    let TokenRequest::Extend(extend) = &planned.request else { panic!("{:?}", planned.request) };
    assert_eq!((planned.cause, extend.pair.refresh_token.expose()), (Cause::Extension, "opened refresh"));
    session.fail(now(500.0), FailureKind::Unavailable);
    session.give(&[("username", "other"), ("password", "corrected")]);
    assert!(matches!(session.call(now(510.0)).request, TokenRequest::LogIn(_)), "the password is another one");
}

#[test]
fn what_is_no_state_of_an_earlier_format_is_corrupt() {
    for text in [
        r#"{"version":1}"#,
        r#"{"version":1,"serial":1,"salt":"s","tokens":[]}"#,
        r#"{"version":1,"serial":1,"salt":"s","tokens":{"a":"b"}}"#,
        r#"{"version":1,"serial":1,"salt":"s","tokens":{"a":{"token":"b"}}}"#,
        r#"{"version":0,"serial":1,"salt":"s"}"#,
        r#"{"version":"2","serial":1,"salt":"s"}"#,
    ] {
        assert!(State::from_bytes(text.as_bytes()).is_err(), "{text}");
    }
    assert!(State::from_bytes(br#"{"version":1,"serial":1,"salt":"s"}"#).is_ok(), "one that knows no token yet");
}

#[test]
fn fields_that_this_version_does_not_know_are_kept_and_not_shown() {
    let mut cluster = Cluster::with_token(json!({}));
    let id = cluster.state().active.unwrap();
    let mut state = json_of(&mut cluster);
    state["future"] = json!({"canary": ["canary-of-the-state"]});
    state["credentials"][&id]["future"] = json!("canary-of-the-credential");
    state["credentials"][&id]["token"]["future"] = json!("canary-of-the-token");
    let mut cluster = found(cluster, &state.to_string(), 1.0);
    assert!(matches!(cluster.settle(now(1.0)).step, Step::Wait(_)) && cluster.steps.is_empty());
    assert!(!format!("{:?}", cluster.state()).contains("canary-of"), "Debug shows names alone");
    let texts = cluster.state().unknown_texts().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let kinds = ["canary-of-the-state", "canary-of-the-credential", "canary-of-the-token"];
    assert_eq!(texts.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(kinds));
    assert!(format!("{:?}", cluster.state()).contains("\"future\""), "{:?}", cluster.state());
    // The same token, with a later end.
    cluster.answer(now(540.0), "first", 360);
    let kept = json_of(&mut cluster);
    assert_eq!(kept["future"], state["future"]);
    assert_eq!(kept["credentials"][&id]["future"], state["credentials"][&id]["future"]);
    assert_eq!(kept["credentials"][&id]["token"]["future"], state["credentials"][&id]["token"]["future"]);
    // Another token: what was said of the one before goes with it.
    cluster.answer(now(900.0), "second", 600);
    let kept = json_of(&mut cluster);
    assert_eq!(kept["future"], state["future"]);
    assert_eq!(kept["credentials"][&id]["future"], state["credentials"][&id]["future"]);
    assert!(kept["credentials"][&id]["token"].get("future").is_none());
}

fn migrated(fields: Value) -> State {
    let mut state = json!({"version": 1, "serial": 1, "salt": "s"});
    state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    State::from_bytes(state.to_string().as_bytes()).unwrap()
}

#[test]
fn what_a_format_before_this_one_knew_of_a_session_without_a_token_is_kept() {
    let pair = migrated(json!({"inputs": {"version": 1, "hashes": {"token": "x", "refreshToken": "y"}}}));
    assert!(pair.credentials["session"].inputs.knows("token"));
    let refused = migrated(json!({"loginRefused": true}));
    assert!(refused.credentials["session"].login_refused);
    let ended = migrated(json!({"pairRefused": true}));
    assert!(ended.credentials["session"].pair_refused);
}

#[test]
fn a_format_before_this_one_without_a_session_makes_none() {
    let state = State::from_bytes(APPLICATION.as_bytes()).unwrap();
    assert_eq!(state.credentials.keys().collect::<Vec<_>>(), [state.active.as_ref().unwrap()]);
    assert!(migrated(json!({})).credentials.is_empty());
}

#[test]
fn the_inputs_of_a_format_before_this_one_are_those_of_the_application_whose_key_they_hold() {
    let token = |time: &str| json!({"token": "t", "issueTime": time});
    let tokens = json!({"a": token("2026-01-02T00:00:00Z"), "b": token("2026-01-01T00:00:00Z")});
    let of = |key: &str| json!({"version": 1, "hashes": {"consumerKey": key, "consumerSecret": "x", "endpoint": "y"}});
    let knows = |state: &State, id: &str| state.credentials[id].inputs.knows("consumerSecret");
    let active = migrated(json!({"tokens": tokens, "inputs": of("b"), "active": "b"}));
    assert!(knows(&active, "b") && !knows(&active, "a") && active.credentials["b"].inputs.knows("endpoint"));
    let idle = migrated(json!({"tokens": tokens, "inputs": of("b"), "active": "session"}));
    assert!(knows(&idle, "b") && !knows(&idle, "a") && !idle.credentials["b"].inputs.knows("endpoint"));
    let another = migrated(json!({"tokens": tokens, "inputs": of("c")}));
    assert!(!knows(&another, "a") && !knows(&another, "b"));
}

#[test]
fn an_application_of_a_format_before_this_one_that_was_idle_counts_as_served_with_what_the_active_one_was() {
    let token = json!({"token": "t", "issueTime": "2026-01-01T00:00:00Z"});
    let hashes = json!({"consumerKey": "a", "consumerSecret": "x", "endpoint": "y"});
    let inputs = json!({"version": 1, "hashes": hashes});
    let state = migrated(json!({"tokens": {"a": token, "b": token}, "inputs": inputs, "active": "a"}));
    assert!(state.credentials["b"].inputs.is_empty());
    assert_eq!(state.inputs_of("b"), state.inputs_of("a"));
    assert!(state.inputs_of("b").knows("consumerSecret"));
}
