//! Connections to the API server that go silent: what is sent is swallowed, and nobody says that they are gone.

use crate::relay::Relay;
use crate::replicas::{USUAL, lease, replica, until_leads};
use crate::support::*;
use harness::{Scratch, wait_for};
use jiff::Timestamp;
use kube::config::Kubeconfig;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A boundary is not later than this.
const LATEST: f64 = 3.0;
/// What a watch would have told is known within this.
const NOTICED: Duration = Duration::from_secs(30);

fn server(kubeconfig: PathBuf) -> SocketAddr {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let server = kubeconfig.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap();
    server.trim_start_matches("https://").parse().unwrap()
}

/// A stage whose operator reaches the API server over a relay.
async fn relayed() -> (Stage, Relay, Scratch) {
    let (mut stage, scratch) = (Stage::dark().await, Scratch::new().unwrap());
    let target = server(stage.kubeconfig());
    let relay = Relay::to(target).await;
    let kubeconfig = relay.kubeconfig(&stage.kubeconfig(), target, scratch.path());
    stage.start_operator_as(&kubeconfig, &[]);
    (stage, relay, scratch)
}

#[tokio::test]
async fn a_rotation_over_connections_that_have_just_gone_silent_is_not_later_than_3_s() {
    let (mut stage, relay, _scratch) = relayed().await;
    stage.issued("20s").await;
    // The check, 2 s before the end: the connections that it leaves behind are fresh enough to be used again.
    stage.until_calls(2).await;
    stage
        .until_secret(STATE, "the check", |secret| text(secret, "state.json").unwrap().contains("\"checked\":true"))
        .await;
    relay.hush();
    let old = stage.token().await;
    stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let end = journal.tokens.iter().find(|token| token.value == old).and_then(|token| token.expires).unwrap();
    let late = Timestamp::now().duration_since(end).as_secs_f64();
    println!("late by {late:.2} s");
    assert!(late < LATEST, "{late:.2} s");
    let log = stage.operator().log();
    assert_eq!(log.matches("a connection to the API server was silent").count(), 1, "{log}");
}

#[tokio::test]
async fn new_credentials_are_noticed_within_30_s_although_the_watch_has_gone_silent() {
    let (mut stage, relay, _scratch) = relayed().await;
    stage.issued("1h").await;
    stage.until_noticed(NAME).await;
    let calls = stage.calls();
    relay.hush();
    let changed = Instant::now();
    stage.change_secret(CREDENTIALS, json!({"stringData": {"consumerSecret": "changed"}})).await;
    let asked = async || (stage.calls() > calls).then_some(());
    wait_for("a call with the new credentials", NOTICED + Duration::from_secs(10), asked).await.unwrap();
    let noticed = changed.elapsed();
    println!("noticed after {noticed:.1?}");
    assert!(noticed < NOTICED, "{noticed:?}");
    let said = "the connection of the watch of Secrets broke or went silent";
    stage.operator().wait_for_log(said, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_leader_whose_connections_go_silent_keeps_the_lead() {
    let (stage, scratch) = (Stage::dark().await, Scratch::new().unwrap());
    let target = server(stage.kubeconfig());
    let relay = Relay::to(target).await;
    let relayed = relay.kubeconfig(&stage.kubeconfig(), target, scratch.path());
    let mut leader = replica(&stage, "a", USUAL, &relayed, &[]);
    until_leads(&stage, "a").await;
    relay.hush();
    let hushed = Timestamp::now();
    // Two renewals after the silence: the connection that the first one found is used again.
    for after in [0, 2] {
        let renewed = async || {
            let renewed = lease(&stage).await.renew_time?.0;
            (renewed.duration_since(hushed).as_secs() >= after).then_some(())
        };
        wait_for("a renewal", PATIENCE, renewed).await.unwrap();
    }
    leader.wait_for_log("a connection to the API server was silent", PATIENCE).await.unwrap();
    assert!(!leader.log().contains("lost leadership"), "{}", leader.log());
}
