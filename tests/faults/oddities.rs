//! Issuers and gateways that do what no document says, at the moment at which a token ends.

use crate::history::History;
use crate::support::*;
use harness::wait_for;
use issuer_simulator::fault::{Action, Encoding, FailBody, Fault, Form, Stage as When};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a token may be dead after a failure of this length, on a machine that runs many tests at once.
const SLACK: Duration = Duration::from_secs(6);

fn page(status: u16, retry_after: Option<&str>, body: FailBody) -> Action {
    Action::Fail { status, retry_after: retry_after.map(str::to_owned), body, at: When::BeforeWork }
}

/// A resource whose token ends in a moment, and that token.
async fn at_the_end(stage: &Stage) -> String {
    stage.issued("4s").await;
    stage.token().await
}

#[tokio::test]
async fn a_moment_of_redirects_or_refusals_at_the_end_costs_a_moment() {
    let redirect = Action::Redirect { status: 302, location: "https://api.syniverse.com/elsewhere".to_owned() };
    for action in [redirect, page(400, None, FailBody::Envelope), page(403, None, FailBody::Html)] {
        let stage = Stage::open().await;
        let first = at_the_end(&stage).await;
        stage.simulator.fault(Fault::always(action.clone()));
        stage.until_reason(NAME, "RefreshFailed").await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        stage.simulator.clear_faults();
        let healthy = Instant::now();
        stage.until_rotated(&first).await;
        println!("{action:?}: a new token {:?} after the issuer was healthy again", healthy.elapsed());
        assert!(healthy.elapsed() < SLACK, "{action:?}: {:?}", healthy.elapsed());
    }
}

#[tokio::test]
async fn a_wish_for_an_hour_at_the_end_of_a_token_is_granted_for_a_minute_and_that_is_said() {
    let stage = Stage::open().await;
    let first = at_the_end(&stage).await;
    stage.simulator.fault(Fault::once(page(503, Some("3600"), FailBody::Html)));
    let message = "sent a longer Retry-After than is honoured (1 minute";
    stage.until(NAME, message, |token| ready_message(token).contains(message)).await;
    let wished = Instant::now();
    let changed = async || (stage.token().await != first).then_some(());
    wait_for("a new token", Duration::from_secs(90), changed).await.unwrap();
    println!("a new token {:?} after the wish", wished.elapsed());
    assert!(wished.elapsed() < Duration::from_secs(60) + SLACK, "{:?}", wished.elapsed());
    assert!(wished.elapsed() > Duration::from_secs(55), "the wish counts: {:?}", wished.elapsed());
}

#[tokio::test]
async fn a_new_token_without_life_each_time_is_asked_for_once_a_minute_and_that_is_said() {
    for seconds in [0, 1, -5] {
        let stage = Stage::open().await;
        stage.simulator.switch(|switches| switches.always_new = true);
        stage.simulator.fault(Fault::always(Action::ValidityTime(Form::Value(json!(seconds)))));
        stage.apply(NAME, stage.spec("24h")).await;
        stage.until_reason(NAME, "LifetimeUnusable").await;
        let (writes, calls) = (Writes::of(&stage).await, stage.calls());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(calls <= 4 && stage.calls() == calls, "{seconds}: {calls} calls, then {}", stage.calls());
        assert!(writes.names(&stage).await.is_empty(), "{seconds}: {:?}", writes.names(&stage).await);
    }
}

#[tokio::test]
async fn a_life_in_milliseconds_is_found_when_the_one_that_was_asked_for_is_over() {
    let stage = Stage::open().await;
    let history = History::of(&stage);
    stage.simulator.fault(Fault::always(Action::ValidityTime(Form::Millis)));
    stage.issued("6s").await;
    let (mut token, began) = (stage.token().await, Instant::now());
    for _ in 0..2 {
        token = stage.until_rotated(&token).await;
    }
    let journal = stage.simulator.journal();
    let late: Vec<_> = history.rotations(&journal).iter().map(|rotation| rotation.lateness).collect();
    println!("two rotations in {:?}, late by {late:?}", began.elapsed());
    assert!(late.iter().all(|late| *late < SignedDuration::from_secs(5)), "{late:?}");
    assert_eq!(stage.calls(), 3, "one check for each token");
}

#[tokio::test]
async fn what_is_no_token_is_not_written_and_the_old_one_stays() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let (token, writes) = (stage.token().await, Writes::of(&stage).await);
    for (round, (text, says)) in [
        ("T3\r\nX-Injected: 1\n", "not printable ASCII"),
        ("\u{0}\u{1b}[2Jcanary", "not printable ASCII"),
        (&"t".repeat(60_000), "more than 8 KiB"),
    ]
    .into_iter()
    .enumerate()
    {
        stage.simulator.fault(Fault::once(Action::TokenField(Some(text.to_owned()))));
        let annotation = json!({"metadata": {"annotations": {"syniverse.dev/refresh": round.to_string()}}});
        stage.change(NAME, annotation).await;
        let failed = stage.until(NAME, says, |token| ready_message(token).contains(says)).await;
        assert!(is_ready(&failed), "the old token lives");
        stage.until_reason(NAME, "Issued").await;
    }
    assert_eq!(stage.token().await, token);
    assert!(writes.names(&stage).await.iter().all(|name| name == STATE), "{:?}", writes.names(&stage).await);
}

#[tokio::test]
async fn a_gateway_that_begins_to_compress_delays_no_rotation() {
    let stage = Stage::open().await;
    let history = History::of(&stage);
    stage.simulator.fault(Fault::always(Action::Encode(Encoding::Gzip)));
    let first = at_the_end(&stage).await;
    stage.until_rotated(&first).await;
    let late: Vec<_> = history.rotations(&stage.simulator.journal()).iter().map(|rotation| rotation.lateness).collect();
    assert!(late.iter().all(|late| *late < SignedDuration::from_secs(3)), "{late:?} at {}", Timestamp::now());
}
