//! Answers that are odd but allowed: every form of a time, times that jump, either rounding, and stale tokens.

use crate::cast::{cast, spec_of};
use crate::history::History;
use crate::support::*;
use harness::wait_for;
use issuer_simulator::analysis::calls_per_rotation;
use issuer_simulator::fault::{Action, Fault, Form};
use issuer_simulator::switches::{Rounding, Switches};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;

/// How late a new token may be in the Secret, on a machine that runs many tests at once: missing an end costs more.
const LATEST: SignedDuration = SignedDuration::from_millis(4500);
/// A check, and a boundary that is felt for in steps.
const MOST_CALLS: usize = 10;
/// The state at the check; then the state and the token Secret.
const MOST_WRITES: usize = 3;

#[tokio::test]
async fn times_rounded_down_are_met() {
    assert_rotates_in_time("4s", "1s", MOST_WRITES, |switches| switches.rounding = Rounding::Down).await;
}

#[tokio::test]
async fn times_rounded_up_are_met() {
    assert_rotates_in_time("4s", "1s", MOST_WRITES, |switches| switches.rounding = Rounding::Up).await;
}

#[tokio::test]
async fn a_time_that_jumps_five_minutes_ahead_delays_no_rotation() {
    // The token Secret tells of the end that it is said to have.
    assert_rotates_in_time("6s", "2s", MOST_WRITES + 1, |switches| switches.jump_seconds = 300).await;
}

#[tokio::test]
async fn a_time_that_jumps_five_minutes_back_costs_a_few_calls_and_no_token() {
    assert_rotates_in_time("12s", "5s", MOST_WRITES, |switches| switches.jump_seconds = -300).await;
}

/// Three rotations under these switches: each in time, with few calls and writes.
async fn assert_rotates_in_time(validity: &str, lead: &str, most_writes: usize, change: impl FnOnce(&mut Switches)) {
    const ROTATIONS: usize = 3;
    let stage = Stage::open().await;
    let history = History::of(&stage);
    stage.simulator.switch(change);
    let mut spec = stage.spec(validity);
    spec["refreshBefore"] = json!(lead);
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    let (mut token, mut ready) = (stage.token().await, true);
    let writes = Writes::of(&stage).await;
    for _ in 0..ROTATIONS {
        let rotated = async || {
            let resource = stage.tokens.get(NAME).await.ok()?;
            ready &= is_ready(&resource);
            let now = stage.token().await;
            (now != token).then_some(now)
        };
        token = wait_for("a rotation", PATIENCE, rotated).await.unwrap();
    }
    let written = writes.names(&stage).await.len();
    let journal = stage.simulator.journal();
    let late: Vec<_> = history.rotations(&journal).iter().map(|rotation| rotation.lateness).collect();
    let calls = calls_per_rotation(&journal);
    println!("{validity}, {lead} ahead: late {late:?}, calls {calls:?}, {written} writes, always ready: {ready}");
    assert!(late.len() >= ROTATIONS && late.iter().all(|late| *late < LATEST), "{late:?}");
    assert!(calls.iter().all(|calls| *calls <= MOST_CALLS), "{calls:?}");
    assert!(written <= ROTATIONS * most_writes, "{written} writes");
    assert!(ready, "Ready was not always True");
}

#[tokio::test]
async fn every_form_of_a_time_gives_a_token_and_the_truth_about_its_end() {
    let stage = Stage::open().await;
    for (name, form, ends) in [
        ("float", Form::Float, true),
        ("text", Form::Text, true),
        ("absent", Form::Absent, false),
        ("null", Form::Value(Value::Null), false),
        ("huge", Form::Value(json!(i64::MAX)), false),
        ("gateway-huge", Form::Value(json!(9_223_372_036_854_775_i64)), false),
        ("zero", Form::Value(json!(0)), true),
        ("negative", Form::Value(json!(-300)), true),
    ] {
        let key = cast(&stage, name).await;
        stage.simulator.fault(Fault::once(Action::ValidityTime(form)).only_for(&key));
        stage.apply(name, spec_of(&stage, name, "1h")).await;
        // A new token whose time is said to be over is asked about once more, and then has its true end.
        let reason = if ends { "Issued" } else { "ValidityNotApplied" };
        let ready = if ends {
            stage.until(name, "Ready, with its end", |token| is_ready(token) && lives_for(token, 59)).await
        } else {
            stage.until(name, "Ready, without an end", |token| is_ready(token) && expires(token).is_none()).await
        };
        assert_eq!(ready_reason(&ready), reason, "{name}");
        let calls = stage.simulator.journal().calls_of(&key).count();
        assert!(calls <= 1 + usize::from(matches!(name, "zero" | "negative")), "{name}: {calls} calls");
    }
}

#[tokio::test]
async fn an_end_that_never_moves_on_is_asked_about_ever_less_often() {
    let stage = Stage::open().await;
    stage.simulator.fault(Fault::always(Action::ValidityTime(Form::Value(json!(-5)))));
    stage.apply(NAME, stage.spec("1h")).await;
    stage.until_calls(1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let calls = stage.calls();
    assert!((6..=12).contains(&calls), "{calls} calls in 20 s");
    stage.simulator.clear_faults();
    stage.until(NAME, "Ready, with its end", |token| is_ready(token) && lives_for(token, 59)).await;
}

#[tokio::test]
async fn the_token_before_the_last_one_is_no_rotation() {
    let stage = Stage::open().await;
    let history = History::of(&stage);
    stage.issued("3s").await;
    let first = stage.token().await;
    stage.change(NAME, json!({"spec": {"application": {"validity": "1h"}}})).await;
    let second = stage.until_rotated(&first).await;
    stage.until(NAME, "Ready for long", |token| is_ready(token) && lives_for(token, 59)).await;
    let (writes, calls) = (Writes::of(&stage).await, stage.calls());

    stage.simulator.fault(Fault::once(Action::Stale));
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    let handled = |token: &SyniverseToken| token.status.as_ref().unwrap().last_handled_refresh.as_deref() == Some("1");
    let after = stage.until(NAME, "the request handled", handled).await;

    assert!(is_ready(&after) && lives_for(&after, 59));
    assert_eq!(stage.simulator.journal().calls[calls].fault, Some(Action::Stale));
    assert_eq!((stage.token().await, stage.calls()), (second, calls + 1));
    assert_eq!(writes.names(&stage).await, [STATE]);
    history.assert_in_order_of(&stage.simulator.journal());
}

#[tokio::test]
async fn a_token_is_kept_and_returned_letter_by_letter() {
    let stage = Stage::open().await;
    let odd = "'two'\"quoted\"\\&=?#+%$(token)<script>~!";
    stage.simulator.fault(Fault::once(Action::TokenField(Some(odd.to_owned()))));
    stage.issued("1h").await;
    assert_eq!(stage.token().await, odd);
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    let whole = stage.until_rotated(odd).await;
    let journal = stage.simulator.journal();
    assert_eq!(journal.calls[1].parameters["oldtoken"], odd);
    assert_eq!(whole, journal.tokens.last().unwrap().value);
}

#[tokio::test]
async fn a_clock_of_the_issuer_that_is_wrong_moves_no_end() {
    let stage = Stage::open().await;
    stage.simulator.switch(|switches| switches.date_skew_seconds = 7200);
    let ready = stage.issued("1h").await;
    let end: Timestamp = expires(&ready).unwrap().parse().unwrap();
    let true_end = stage.simulator.journal().tokens.last().unwrap().expires.unwrap();
    assert!(end.duration_since(true_end).abs() < SignedDuration::from_secs(2), "{end} instead of {true_end}");
    let told = async || stage.kubectl(&["get", "events"]).await.contains("ClockSkew").then_some(());
    wait_for("an Event about the clocks", PATIENCE, told).await.unwrap();
}

fn expires(token: &SyniverseToken) -> Option<&str> {
    token.status.as_ref()?.expiration_time.as_deref()
}

/// True when the status tells of at least so many minutes of life.
fn lives_for(token: &SyniverseToken, minutes: i64) -> bool {
    let end = expires(token).and_then(|time| time.parse::<Timestamp>().ok());
    end.is_some_and(|end| end.duration_since(Timestamp::now()) > SignedDuration::from_mins(minutes))
}
