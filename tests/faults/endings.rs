//! The issuer returns a token after its end: how long it is borne, what is said then, and how often it is asked.

use crate::support::*;
use harness::wait_for;
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// Ready stays True for so long after an expiry while every answer is the same token.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// The most calls in the minute after an expiry.
const BOUNDARY_CALLS: usize = 20;

#[tokio::test]
async fn a_token_that_lingers_is_borne_for_ten_seconds_then_called_expired_until_it_rotates() {
    let stage = Stage::open().await;
    stage.simulator.switch(|switches| switches.linger_millis = 20_000);
    let end = lent(&stage).await;

    let dead = stage.until(NAME, "not Ready", |token| !is_ready(token)).await;
    let borne = Timestamp::now().duration_since(end);
    // The issuer rounds the remaining time down, so that the operator may count from up to a second earlier.
    let second = SignedDuration::from_secs(1);
    assert!((GRACE - second..GRACE + 2 * second).contains(&borne), "{borne:?}");
    assert_eq!(ready_reason(&dead), "Expired");
    assert!(ready_message(&dead).contains("expired at"), "{}", ready_message(&dead));
    assert!(!is_stalled(&dead));

    let fresh = stage.until_rotated(PORTAL_TOKEN).await;
    let late = Timestamp::now().duration_since(end) - SignedDuration::from_secs(20);
    println!("rotated {late:?} after the issuer was ready to, with {} calls", stage.calls());
    assert!(late < SignedDuration::from_secs(6), "{late:?}");
    assert!(stage.calls() <= BOUNDARY_CALLS, "{}", stage.calls());
    assert_eq!(fresh, stage.simulator.journal().tokens.last().unwrap().value);
    stage.until_reason(NAME, "Issued").await;
}

#[tokio::test]
async fn a_token_that_never_goes_is_told_after_a_minute_and_asked_about_ever_less_often() {
    let stage = Stage::open().await;
    stage.simulator.switch(|switches| switches.linger_millis = 3_600_000);
    let end = lent(&stage).await;

    let limit = Duration::from_secs(90);
    let told = async || stage.tokens.get(NAME).await.ok().filter(|token| ready_reason(token) == "NotRotated");
    let told: SyniverseToken = wait_for("NotRotated", limit, told).await.unwrap();
    let after = Timestamp::now().duration_since(end);
    assert!(after < MINUTE + SignedDuration::from_secs(7), "{after:?}");
    assert!(!is_ready(&told) && !is_stalled(&told));
    let journal = stage.simulator.journal();
    let in_a_minute = journal.calls.iter().filter(|call| call.received >= end && call.received < end + MINUTE).count();
    println!("{in_a_minute} calls in the minute after the expiry");
    assert!(in_a_minute <= BOUNDARY_CALLS, "{in_a_minute}");

    stage.simulator.switch(|switches| switches.linger_millis = 0);
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "now"}}})).await;
    stage.until_rotated(PORTAL_TOKEN).await;
    stage.until_reason(NAME, "Issued").await;
}

/// Has the application's first token, with little of its life left, in the Secret, and returns its end.
async fn lent(stage: &Stage) -> Timestamp {
    let application = NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
    stage.simulator.add_application(application.living(Life::Millis(8000)));
    stage.issued("1h").await;
    assert_eq!(stage.token().await, PORTAL_TOKEN);
    stage.simulator.journal().tokens.last().unwrap().expires.unwrap()
}
