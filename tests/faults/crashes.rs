//! The operator is killed or stopped, at any moment: no token is lost, and nothing is asked or written in vain.

use crate::history::History;
use crate::support::*;
use futures::{StreamExt, pin_mut};
use harness::wait_for;
use issuer_simulator::analysis::calls_per_rotation;
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault, Stage as When};
use issuer_simulator::journal::Journal;
use issuer_simulator::model::Life;
use jiff::Timestamp;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::fmt::Debug;
use std::time::{Duration, Instant};

const KILLS: usize = 10;
/// Calls that a boundary may make, which a restart begins anew.
const BOUNDARY_CALLS: usize = 20;

#[tokio::test]
async fn a_restart_with_fresh_state_asks_nothing_and_writes_nothing() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let (calls, before) = (stage.calls(), versions(&stage).await);
    let writes = Writes::of(&stage).await;
    for _ in 0..3 {
        stage.restart_operator(NAME).await;
    }
    assert_eq!((stage.calls(), versions(&stage).await), (calls, before));
    assert_eq!(writes.names(&stage).await, [""; 0]);
}

#[tokio::test]
async fn kills_at_random_moments_lose_no_token() {
    let mut dice = Dice::thrown();
    let mut stage = Stage::dark().await;
    let history = History::of(&stage);
    stage.start_operator(&[]);
    stage.issued("3s").await;
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(200 + dice.below(3000))).await;
        stage.operator().restart().unwrap();
    }
    assert_healed(&stage, &history).await;
}

#[tokio::test]
async fn a_kill_right_after_an_answer_loses_no_token() {
    let mut stage = Stage::dark().await;
    let history = History::of(&stage);
    stage.start_operator(&[]);
    stage.issued("3s").await;
    for _ in 0..5 {
        let known = stage.simulator.journal().tokens.len();
        let answered = |journal: &Journal| journal.tokens.len() > known && nothing_in_flight(journal);
        until_journal(&stage, answered).await;
        stage.operator().restart().unwrap();
    }
    assert_healed(&stage, &history).await;
}

#[tokio::test]
async fn a_kill_right_after_the_state_was_written_loses_no_token() {
    let mut stage = Stage::dark().await;
    let history = History::of(&stage);
    stage.start_operator(&[]);
    stage.issued("3s").await;
    for _ in 0..5 {
        until_state_is_written(&stage).await;
        stage.operator().restart().unwrap();
    }
    assert_healed(&stage, &history).await;
}

#[tokio::test]
async fn a_kill_during_the_call_that_brings_a_token_costs_one_more_call_for_the_same_token() {
    let mut stage = Stage::dark().await;
    let history = History::of(&stage);
    lend_the_portal_token(&stage);
    stage.start_operator(&[]);
    stage.issued("1h").await;
    let fresh = hold_back_a_new_token(&stage, Duration::from_secs(60)).await;
    let calls = stage.calls();

    stage.operator().restart().unwrap();

    assert_eq!(stage.until_rotated(PORTAL_TOKEN).await, fresh);
    let journal = stage.simulator.journal();
    assert_eq!((&journal.tokens.last().unwrap().value, journal.calls.len()), (&fresh, calls + 1));
    history.assert_in_order_of(&journal);
}

#[tokio::test]
async fn a_kill_during_the_very_first_call_costs_one_more_call_for_the_same_token() {
    let mut stage = Stage::open().await;
    stage.simulator.fault(Fault::once(Action::Delay { millis: 60_000, at: When::AfterWork }));
    stage.apply(NAME, stage.spec("1h")).await;
    let fresh = until_issued(&stage, 0).await;

    stage.operator().restart().unwrap();

    stage.until_ready(NAME).await;
    assert_eq!((stage.token().await, stage.calls()), (fresh, 2));
}

#[tokio::test]
async fn an_operator_that_was_frozen_over_an_expiry_asks_as_soon_as_it_goes_on() {
    let mut stage = Stage::open().await;
    stage.issued("4s").await;
    let old = stage.token().await;
    stage.operator().process().signal("STOP").unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(stage.token().await, old);

    stage.operator().process().signal("CONT").unwrap();

    let goes_on = Instant::now();
    stage.until_rotated(&old).await;
    assert!(goes_on.elapsed() < Duration::from_secs(2), "{:?}", goes_on.elapsed());
}

#[tokio::test]
async fn told_to_stop_it_records_the_answer_of_the_call_in_flight_and_ends_well() {
    let mut stage = Stage::dark().await;
    lend_the_portal_token(&stage);
    stage.start_operator(&[]);
    stage.issued("1h").await;
    let fresh = hold_back_a_new_token(&stage, Duration::from_secs(2)).await;

    let told = Instant::now();
    let status = stage.operator().stop(PATIENCE).await.unwrap();

    assert_eq!(status.code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
    let state = text(&stage.secret(STATE).await, "state.json").unwrap();
    assert!(state.contains(&fresh), "the state does not hold the token");
    assert_eq!(stage.token().await, fresh);
    let calls = stage.calls();
    stage.restart_operator(NAME).await;
    assert_eq!(stage.calls(), calls);
}

/// The application's first token lives on, so that it is the first answer.
pub(crate) fn lend_the_portal_token(stage: &Stage) {
    let application = NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
    stage.simulator.add_application(application.living(Life::of(Duration::from_secs(3600))));
}

/// Ends the live token, has the issuer asked, and returns the new token, whose answer is on its way for so long.
pub(crate) async fn hold_back_a_new_token(stage: &Stage, time: Duration) -> String {
    let (known, millis) = (stage.calls(), u64::try_from(time.as_millis()).unwrap());
    stage.simulator.fault(Fault::once(Action::Delay { millis, at: When::AfterWork }));
    stage.simulator.expire(CONSUMER_KEY).unwrap();
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    until_issued(stage, known).await
}

/// Waits until the issuer, asked `known` times before, has made a new token, and returns it; its answer may still be on
/// the way.
pub(crate) async fn until_issued(stage: &Stage, known: usize) -> String {
    let issued = |journal: &Journal| journal.calls[known..].iter().find_map(|call| call.token.clone());
    until_journal(stage, |journal| issued(journal).is_some()).await;
    issued(&stage.simulator.journal()).unwrap()
}

async fn until_journal(stage: &Stage, holds: impl Fn(&Journal) -> bool) {
    tokio::time::timeout(PATIENCE, stage.simulator.until(holds)).await.expect("the issuer is asked");
}

fn nothing_in_flight(journal: &Journal) -> bool {
    journal.calls.iter().all(|call| call.ended.is_some())
}

/// What every row of kills has to end with: the issuer's live token in the Secret, and no flood of calls.
async fn assert_healed(stage: &Stage, history: &History) {
    let is_live = async || {
        let journal = stage.simulator.journal();
        let newest = journal.tokens.last()?;
        (stage.token().await == newest.value && newest.is_live(Timestamp::now())).then_some(())
    };
    wait_for("the issuer's live token in the Secret", PATIENCE, is_live).await.unwrap();
    let journal = stage.simulator.journal();
    history.assert_in_order_of(&journal);
    let calls = calls_per_rotation(&journal);
    println!("calls per rotation: {calls:?}; {} tokens seen in the Secret", history.held().len());
    assert!(calls.iter().all(|calls| *calls <= BOUNDARY_CALLS), "{calls:?}");
}

async fn until_state_is_written(stage: &Stage) {
    let version = stage.secrets.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let only = WatchParams::default().fields(&format!("metadata.name={STATE}"));
    let events = stage.secrets.watch(&only, &version).await.unwrap();
    pin_mut!(events);
    let written = async {
        while let Some(event) = events.next().await {
            if let WatchEvent::Added(_) | WatchEvent::Modified(_) = event.unwrap() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("the state is written");
}

/// The versions of all objects of a stage.
async fn versions(stage: &Stage) -> Vec<(String, Option<String>)> {
    let mut all = versions_of(&stage.secrets).await;
    all.extend(versions_of(&stage.tokens).await);
    all
}

async fn versions_of<K>(api: &Api<K>) -> Vec<(String, Option<String>)>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + Debug,
{
    let list = api.list(&ListParams::default()).await.unwrap();
    list.items.iter().map(|object| (object.name_any(), object.resource_version())).collect()
}
