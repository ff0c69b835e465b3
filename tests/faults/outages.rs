//! The issuer or the API server is away for a while, over an expiry: what is said meanwhile, and that it heals.

use crate::crashes::{hold_back_a_new_token, lend_the_portal_token};
use crate::history::History;
use crate::support::*;
use harness::ControlPlane;
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use std::time::{Duration, Instant};

/// How long after its return an outage may still be felt.
const HEALED_WITHIN: Duration = Duration::from_secs(5);

/// How long an outage lasts: long enough for the longest delay to be reached; with `FULL=1` a minute.
fn outage() -> Duration {
    let full = std::env::var_os("FULL").is_some();
    Duration::from_secs(if full { 60 } else { 25 })
}

#[tokio::test]
async fn an_issuer_that_was_away_over_an_expiry_is_asked_within_seconds_of_its_return() {
    let mut stage = Stage::open().await;
    stage.issued("10s").await;
    let (last, process) = (stage.token().await, stage.operator().id());

    let began = Instant::now();
    stage.simulator.down().await.unwrap();
    let dead = stage.until(NAME, "not Ready", |token| !is_ready(token)).await;
    assert!(ready_message(&dead).contains("could not connect to the issuer"), "{}", ready_message(&dead));
    assert!(!is_stalled(&dead));
    let down = stage.until_reason(NAME, "IssuerUnavailable").await;
    tokio::time::sleep(outage().saturating_sub(began.elapsed())).await;
    assert_eq!(stage.token().await, last);
    let still = stage.tokens.get(NAME).await.unwrap();
    assert_eq!(still.metadata.resource_version, down.metadata.resource_version, "retries are no news");

    stage.simulator.up().await.unwrap();
    let returned = Instant::now();
    stage.until_rotated(&last).await;
    println!("the issuer was away for {:?}; healed {:?} after its return", outage(), returned.elapsed());
    assert!(returned.elapsed() < HEALED_WITHIN, "{:?}", returned.elapsed());
    stage.until_reason(NAME, "Issued").await;
    assert_eq!(stage.operator().id(), process);
}

#[tokio::test]
async fn what_was_answered_while_the_api_server_was_away_is_written_after_it_and_nothing_is_asked_twice() {
    let mut plane = ControlPlane::start().await.unwrap();
    let (mut idle, mut answered) = (Stage::dark_in(plane.cluster()).await, Stage::dark_in(plane.cluster()).await);
    let histories = [History::of(&idle), History::of(&answered)];
    // Its end lies in the outage.
    let application = NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
    idle.simulator.add_application(application.living(Life::of(Duration::from_secs(20))));
    lend_the_portal_token(&answered);
    for stage in [&mut idle, &mut answered] {
        stage.start_operator(&[]);
        stage.issued("10m").await;
    }
    // The work is done at once, the answer is on its way for longer than the API server lives.
    let fresh = hold_back_a_new_token(&answered, Duration::from_secs(3)).await;

    let calls = [idle.calls(), answered.calls()];
    plane.stop_apiserver();
    tokio::time::sleep(outage()).await;
    assert_eq!([idle.calls(), answered.calls()], calls, "who cannot write does not ask");
    plane.start_apiserver().await.unwrap();
    let returned = Instant::now();

    assert_eq!(answered.until_rotated(PORTAL_TOKEN).await, fresh);
    let rotated = idle.until_rotated(PORTAL_TOKEN).await;
    println!("the API server was away for {:?}; healed {:?} after its return", outage(), returned.elapsed());
    assert!(returned.elapsed() < 2 * HEALED_WITHIN, "{:?}", returned.elapsed());
    for stage in [&idle, &answered] {
        stage.until_reason(NAME, "Issued").await;
    }
    assert_eq!(rotated, idle.simulator.journal().tokens.last().unwrap().value);
    assert_eq!(answered.calls(), calls[1], "the answer in hand was not asked for again");
    assert_eq!(idle.calls(), calls[0] + 1);
    histories[0].assert_in_order_of(&idle.simulator.journal());
    histories[1].assert_in_order_of(&answered.simulator.journal());
}

#[tokio::test]
async fn an_operator_that_never_reached_the_api_server_ends_at_once_when_it_is_told_to() {
    let mut stage = Stage::dark().await;
    let folder = harness::Scratch::new().unwrap();
    let (kubeconfig, nowhere) = (folder.path().join("kubeconfig"), harness::free_port().unwrap());
    let cluster = format!("{{name: t, cluster: {{server: 'http://127.0.0.1:{nowhere}'}}}}");
    let rest = "contexts: [{name: t, context: {cluster: t, user: t}}]\nusers: [{name: t, user: {}}]";
    let text = format!("apiVersion: v1\nkind: Config\ncurrent-context: t\nclusters: [{cluster}]\n{rest}\n");
    std::fs::write(&kubeconfig, text).unwrap();
    stage.start_operator_as(&kubeconfig, &[]);
    stage.operator().wait_for_log("the API server cannot be reached", PATIENCE).await.unwrap();
    let status = stage.operator().stop(Duration::from_secs(5)).await.unwrap();
    assert!(status.success(), "{status}");
}
