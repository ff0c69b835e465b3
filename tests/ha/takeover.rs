//! A leader goes, in every way in which it can, and another one goes on.

use crate::history::History;
use crate::relay::Relay;
use crate::replicas::{SHORT, Terms, USUAL, lease, replica, until_leads};
use crate::support::*;
use harness::{Operator, Scratch, wait_for};
use issuer_simulator::fault::{Action, Fault, Stage as When};
use issuer_simulator::journal::Journal;
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use jiff::Timestamp;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Kills on each of two stages that run side by side.
const KILLS: usize = 10;

#[tokio::test]
async fn a_leader_killed_in_mid_rotation_is_replaced_in_time_and_no_token_is_lost() {
    let (one, other) = tokio::join!(leaders_killed(), leaders_killed());
    let longest = one.max(other);
    println!("{} leaders killed; taken over within {longest:.1?} at most, promised {:?}", 2 * KILLS, SHORT.takeover());
    assert!(longest < SHORT.takeover() + SHORT_OF_BREATH, "{longest:?}");
}

/// Kills leader after leader in mid-rotation, and gives the longest time until another one led.
async fn leaders_killed() -> Duration {
    let stage = Stage::dark().await;
    let history = History::of(&stage);
    let kubeconfig = stage.kubeconfig();
    let mut leader = ("a", replica(&stage, "a", SHORT, &kubeconfig, &[]));
    until_leads(&stage, "a").await;
    let mut heir = ("b", replica(&stage, "b", SHORT, &kubeconfig, &[]));
    // A token lives longer than it takes to replace a leader: who takes over is given the very token that was lost.
    stage.issued("12s").await;
    let mut longest = Duration::ZERO;
    for _ in 0..KILLS {
        // The issuer has given a new token, and nobody has written it yet, or just has.
        let known = stage.simulator.journal().tokens.len();
        let born = stage.simulator.until(|journal: &Journal| journal.tokens.len() > known);
        tokio::time::timeout(PATIENCE, born).await.expect("a rotation");
        let killed = Instant::now();
        leader.1.kill9();
        until_leads(&stage, heir.0).await;
        longest = longest.max(killed.elapsed());
        leader.1.restart().unwrap();
        std::mem::swap(&mut leader, &mut heir);
        let newest = || stage.simulator.journal().tokens.last().unwrap().value.clone();
        stage.until_secret(NAME, "the newest token", |secret| text(secret, "accessToken") == Some(newest())).await;
    }
    let journal = stage.simulator.journal();
    history.assert_in_order_of(&journal);
    let held: Vec<_> = history.held().into_iter().map(|held| held.token).collect();
    let lost: Vec<_> = journal.tokens.iter().skip(1).filter(|token| !held.contains(&token.value)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // Who takes over from a leader is no rival of its.
    for replica in [&leader.1, &heir.1] {
        assert!(!replica.log().contains("another operator works here"), "{}", replica.log());
    }
    longest
}

/// What a busy machine may add.
const SHORT_OF_BREATH: Duration = Duration::from_secs(1);

#[tokio::test]
async fn at_the_defaults_a_killed_leader_is_replaced_within_19_seconds() {
    let stage = Stage::dark().await;
    let kubeconfig = stage.kubeconfig();
    let mut leader = replica(&stage, "a", USUAL, &kubeconfig, &[]);
    until_leads(&stage, "a").await;
    let _heir = replica(&stage, "b", USUAL, &kubeconfig, &[]);
    stage.issued("1h").await;
    let killed = Instant::now();
    leader.kill9();
    until_leads(&stage, "b").await;
    println!("taken over after {:.1?}", killed.elapsed());
    assert!(killed.elapsed() < USUAL.takeover() + SHORT_OF_BREATH, "{:?}", killed.elapsed());
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn told_to_stop_a_leader_hands_over_at_once() {
    let stage = Stage::dark().await;
    let kubeconfig = stage.kubeconfig();
    let mut leader = replica(&stage, "a", USUAL, &kubeconfig, &[]);
    until_leads(&stage, "a").await;
    let mut heir = replica(&stage, "b", USUAL, &kubeconfig, &[]);
    heir.wait_for_log("started", PATIENCE).await.unwrap();
    stage.issued("5s").await;
    let told = Instant::now();
    let ended = leader.stop(PATIENCE).await.unwrap();
    let stopped = told.elapsed();
    until_leads(&stage, "b").await;
    println!("stopped after {stopped:.2?}, handed over after {:.2?}", told.elapsed());
    assert!(ended.success() && told.elapsed() < stopped + Duration::from_secs(1), "{:?}", told.elapsed());
    let history = History::of(&stage);
    let first = stage.token().await;
    stage.until_rotated(&first).await;
    // The history is told of the new token by a watch of its own.
    let rotated = async || history.rotations(&stage.simulator.journal()).into_iter().next();
    let late = wait_for("the rotation in the history", PATIENCE, rotated).await.unwrap().lateness;
    assert!(late.as_secs_f64() < 1.0, "{late:#}");
    assert_eq!(lease(&stage).await.lease_transitions, Some(1));
}

/// A session of an hour, kept by replica `a`, with `b` standing by.
async fn session_kept_by_two(stage: &Stage) -> (Operator, Operator) {
    const PAIR: [(&str, &str); 2] = [("token", "pasted"), ("refreshToken", "pasted-refresh-token")];
    let kubeconfig = stage.kubeconfig();
    let leader = replica(stage, "a", USUAL, &kubeconfig, &[]);
    until_leads(stage, "a").await;
    let mut heir = replica(stage, "b", USUAL, &kubeconfig, &[]);
    heir.wait_for_log("started", PATIENCE).await.unwrap();
    let account = NewSession::account("user", "password").valid_for(3600);
    stage.simulator.add_session(account.with_pair(PAIR[0].1, PAIR[1].1, Life::Never));
    stage.put_secret("session", &PAIR).await;
    let endpoint = stage.simulator.session_endpoint();
    let spec = json!({"session": {"endpoint": endpoint, "credentials": {"secretRef": {"name": "session"}}}});
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    (leader, heir)
}

async fn ask_for_a_refresh(stage: &Stage) {
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "now"}}})).await;
}

/// An extension is in flight: the old pair is dead, and its successor is nowhere but in the answer.
#[tokio::test]
async fn told_to_stop_during_a_call_a_leader_records_its_answer_before_it_hands_over() {
    let stage = Stage::dark().await;
    let (mut leader, _heir) = session_kept_by_two(&stage).await;
    stage.simulator.fault(Fault::once(Action::Delay { millis: 3000, at: When::AfterWork }));
    ask_for_a_refresh(&stage).await;
    stage.until_calls(2).await;
    let told = Instant::now();
    assert!(leader.stop(PATIENCE).await.unwrap().success());
    until_leads(&stage, "b").await;
    println!("with a call in flight handed over after {:.2?}", told.elapsed());
    assert!(told.elapsed() < Duration::from_secs(16), "{:?}", told.elapsed());
    let newest = stage.simulator.journal().tokens.last().unwrap().value.clone();
    assert_eq!((stage.token().await, stage.calls()), (newest, 2));
    assert_eq!(ready_reason(&stage.until_ready(NAME).await), "Issued");
    assert_eq!(lease(&stage).await.lease_transitions, Some(1));
}

/// What it announced last came to nothing, and says so for 15 s to whoever cannot know that.
#[tokio::test]
async fn told_to_stop_after_a_call_that_failed_a_leader_leaves_nothing_to_be_waited_for() {
    let stage = Stage::dark().await;
    let (mut leader, _heir) = session_kept_by_two(&stage).await;
    let old = stage.token().await;
    stage.simulator.fault(Fault::always(Action::Reset { at: When::BeforeWork }));
    ask_for_a_refresh(&stage).await;
    stage.until_reason(NAME, "RefreshFailed").await;
    assert!(leader.stop(PATIENCE).await.unwrap().success());
    stage.simulator.clear_faults();
    let stopped = Instant::now();
    stage.until_rotated(&old).await;
    println!("extended {:.2?} after the other one had stopped", stopped.elapsed());
    assert!(stopped.elapsed() < Duration::from_secs(6), "{:?}", stopped.elapsed());
}

#[tokio::test]
async fn a_leader_that_is_cut_off_from_the_api_server_stops_asking_before_another_one_can_act() {
    // Long enough that its last call is far from the end of the Lease.
    const TERMS: Terms = Terms { lease: 8, deadline: 6, retry: 1, call: 2 };
    let stage = Stage::dark().await;
    let scratch = Scratch::new().unwrap();
    let target: SocketAddr = api_server(&stage);
    let relay = Relay::to(target).await;
    let relayed = relay.kubeconfig(&stage.kubeconfig(), target, scratch.path());
    let mut leader = replica(&stage, "a", TERMS, &relayed, &[]);
    until_leads(&stage, "a").await;
    let kubeconfig = stage.kubeconfig();
    let _heir = replica(&stage, "b", TERMS, &kubeconfig, &[]);
    stage.issued("1s").await;
    let renewed = lease(&stage).await.renew_time.unwrap().0;
    relay.cut();
    let cut = Timestamp::now();
    until_leads(&stage, "b").await;
    // As the new leader itself has written it: it begins to ask right then, sooner than a test can look.
    let taken = lease(&stage).await.acquire_time.unwrap().0;
    let seconds = |time: Timestamp| time.duration_since(cut).as_secs_f64();
    leader.wait_for_log("lost leadership", PATIENCE).await.unwrap();
    let calls: Vec<_> = stage.simulator.journal().calls.iter().map(|call| call.received).collect();
    let last = calls.iter().filter(|received| **received < taken).max().copied().unwrap_or(cut);
    println!(
        "renewed at {:.1} s, cut off at 0, last call at {:.1} s, taken over at {:.1} s",
        seconds(renewed),
        seconds(last),
        seconds(taken)
    );
    // One call may have begun until 8 - 2 - 1 = 5 s after the last renewal.
    assert!(seconds(last) < 5.0 + SHORT_OF_BREATH.as_secs_f64(), "{}", seconds(last));
    assert!(seconds(taken) > seconds(last) + 1.0);
    let token = stage.token().await;
    stage.until_rotated(&token).await;
}

/// Where the API server of a stage listens.
fn api_server(stage: &Stage) -> SocketAddr {
    let kubeconfig = std::fs::read_to_string(stage.kubeconfig()).unwrap();
    let server = kubeconfig.split("https://").nth(1).unwrap();
    server.split(|letter: char| !(letter.is_ascii_digit() || ".:".contains(letter))).next().unwrap().parse().unwrap()
}
