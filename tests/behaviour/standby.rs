//! Two applications that take turns: the Secret always holds a live token.

use crate::support::*;
use futures::StreamExt;
use harness::wait_for;
use issuer_simulator::analysis::{DeadTime, Held, dead_time, rotations};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault, Stage as When};
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use tokio::task::JoinHandle;

const STANDBY: &str = "sdc-standby";
const STANDBY_KEY: &str = "canary-standby-key";
const STANDBY_SECRET: &str = "canary-standby-secret";
const STANDBY_TOKEN: &str = "canary-standby-token";
/// How late a watch may tell of what has happened, on a machine that compiles at the same time.
const BLUR: Duration = Duration::from_secs(1);

/// A stage with a second application at the issuer, both of whose first tokens are over.
async fn with_standby() -> Stage {
    let stage = Stage::open().await;
    stage.simulator.add_application(NewApplication::expired(STANDBY_KEY, STANDBY_SECRET, STANDBY_TOKEN));
    give(&stage, STANDBY_SECRET).await;
    stage
}

async fn give(stage: &Stage, secret: &str) {
    stage.put_secret(STANDBY, &credentials(STANDBY_KEY, secret, STANDBY_TOKEN)).await;
}

/// Applies [`NAME`] with both applications, and waits until it is ready.
async fn issued(stage: &Stage, validity: &str, refresh_before: &str) -> SyniverseToken {
    let mut spec = stage.spec(validity);
    spec["application"]["standby"] = json!({"credentials": {"secretRef": {"name": STANDBY}}});
    spec["refreshBefore"] = json!(refresh_before);
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await
}

/// Every token that was in the token Secret, and everything that Ready was after it had been True.
struct History {
    held: Arc<Mutex<Vec<Held>>>,
    ready: Arc<Mutex<Vec<bool>>>,
    watching: [JoinHandle<()>; 2],
}

impl History {
    fn of(stage: &Stage) -> Self {
        let held: Arc<Mutex<Vec<Held>>> = Arc::default();
        let ready: Arc<Mutex<Vec<bool>>> = Arc::default();
        let this = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let secrets = watcher(stage.secrets.clone(), this.clone()).applied_objects();
        let seen = Arc::clone(&held);
        let of_secret = secrets.for_each(move |secret| {
            let token = secret.ok().and_then(|secret| text(&secret, "accessToken"));
            let mut seen = seen.lock().unwrap();
            seen.extend(token.map(|token| Held { since: Timestamp::now(), token }));
            seen.dedup_by(|later, earlier| later.token == earlier.token);
            std::future::ready(())
        });
        let seen = Arc::clone(&ready);
        let resources = watcher(stage.tokens.clone(), this).applied_objects();
        let of_resource = resources.for_each(move |resource| {
            let mut seen = seen.lock().unwrap();
            let was_ready = !seen.is_empty();
            seen.extend(resource.ok().map(|resource| is_ready(&resource)).filter(|now| *now || was_ready));
            std::future::ready(())
        });
        Self { held, ready, watching: [tokio::spawn(of_secret), tokio::spawn(of_resource)] }
    }

    async fn until_held(&self, tokens: usize) -> Vec<Held> {
        let all = async || Some(self.held.lock().unwrap().clone()).filter(|held| held.len() >= tokens);
        wait_for("tokens in the Secret", 2 * PATIENCE, all).await.unwrap()
    }

    /// The Secret held live tokens only, and Ready stayed True.
    fn is_without_gap(&self, journal: &Journal) {
        let held = self.held.lock().unwrap().clone();
        assert_eq!(dead_time(journal, &held, Timestamp::now()), DeadTime::default(), "{held:#?}");
        assert!(rotations(journal, &held).iter().all(|rotation| rotation.lateness.is_negative()), "{held:#?}");
        let ready = self.ready.lock().unwrap();
        assert!(!ready.is_empty() && ready.iter().all(|ready| *ready), "{ready:?}");
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
    }
}

/// Whose token it is.
fn owner<'a>(journal: &'a Journal, token: &str) -> &'a str {
    &journal.token(token).expect("a token of the issuer").owner
}

/// The tokens that the issuer gave, in their order, by whose they are.
fn given(journal: &Journal) -> Vec<(&str, &str)> {
    let first = [PORTAL_TOKEN, STANDBY_TOKEN];
    let given = journal.tokens.iter().filter(|token| !first.contains(&token.value.as_str()));
    given.map(|token| (token.owner.as_str(), token.value.as_str())).collect()
}

#[tokio::test]
async fn two_applications_take_turns_with_one_issuing_request_each_and_no_dead_token() {
    let stage = with_standby().await;
    let history = History::of(&stage);
    issued(&stage, "14s", "5s").await;
    let held = history.until_held(4).await;
    let journal = stage.simulator.journal();
    history.is_without_gap(&journal);
    let in_secret: Vec<_> = held.iter().map(|held| held.token.as_str()).collect();
    let (owners, values): (Vec<_>, Vec<_>) = given(&journal).into_iter().take(4).unzip();
    assert_eq!(owners, [CONSUMER_KEY, STANDBY_KEY, CONSUMER_KEY, STANDBY_KEY]);
    assert_eq!(in_secret, values, "each token that the issuer gave was in the Secret");
    for change in rotations(&journal, &held) {
        let ahead = journal.token(&change.old).unwrap().expires.unwrap() - journal.token(&change.new).unwrap().birth;
        assert!(ahead.get_seconds() <= 5, "not before the hand-over opens: {change:?}");
    }
    // What brought nothing new is the one check of the token that was in the Secret then.
    let mut seen = BTreeSet::new();
    let again = journal.calls.iter().filter_map(|call| call.token.as_deref()).filter(|token| !seen.insert(*token));
    let again: Vec<_> = again.collect();
    assert!(again.iter().all(|token| again.iter().filter(|other| other == &token).count() == 1), "{again:?}");
    assert!(journal.calls.iter().all(|call| call.status == Some(200) || call.ended.is_none()));
}

#[tokio::test]
async fn a_standby_whose_secret_is_wrong_is_said_and_takes_over_within_the_lead_once_it_is_corrected() {
    let stage = with_standby().await;
    give(&stage, "a-wrong-secret").await;
    let history = History::of(&stage);
    issued(&stage, "24s", "12s").await;
    let failing = stage.until_reason(NAME, "StandbyFailing").await;
    assert!(is_ready(&failing) && !is_stalled(&failing), "{}", ready_message(&failing));
    assert!(ready_message(&failing).contains(STANDBY), "{}", ready_message(&failing));
    give(&stage, STANDBY_SECRET).await;
    let held = history.until_held(2).await;
    stage.until_reason(NAME, "Issued").await;
    let journal = stage.simulator.journal();
    assert_eq!(owner(&journal, &held[1].token), STANDBY_KEY);
    history.is_without_gap(&journal);
}

#[tokio::test]
async fn what_is_changed_in_the_secret_of_the_standby_acts_at_once() {
    let stage = with_standby().await;
    let history = History::of(&stage);
    issued(&stage, "1h", "20m").await;
    assert_eq!(stage.calls(), 1, "the standby is not asked to see whether it works");
    give(&stage, "a-wrong-secret").await;
    stage.until_reason(NAME, "StandbyFailing").await;
    stage.delete_secret(STANDBY).await;
    let missing = |token: &SyniverseToken| ready_message(token).contains("does not exist");
    let told = stage.until(NAME, "the missing Secret", missing).await;
    assert_eq!(ready_reason(&told), "StandbyFailing");
    stage.simulator.change_secret(STANDBY_KEY, "another-secret").unwrap();
    give(&stage, "another-secret").await;
    let held = history.until_held(2).await;
    let is_over = |token: &SyniverseToken| ready_reason(token) != "StandbyFailing";
    assert!(is_ready(&stage.until(NAME, "nothing wrong with the standby", is_over).await));
    let journal = stage.simulator.journal();
    assert_eq!(owner(&journal, &held[1].token), STANDBY_KEY);
    history.is_without_gap(&journal);
}

#[tokio::test]
async fn the_same_application_twice_is_said_and_the_first_goes_on_alone() {
    let stage = Stage::open().await;
    stage.put_secret(STANDBY, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    issued(&stage, "12s", "4s").await;
    let same = stage.until_reason(NAME, "StandbyNotIndependent").await;
    assert!(is_stalled(&same) && is_ready(&same), "{}", ready_message(&same));
    let old = stage.token().await;
    let new = stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let late = journal.token(&new).unwrap().birth.duration_since(journal.token(&old).unwrap().expires.unwrap());
    assert!(!late.is_negative() && late.unsigned_abs() < BLUR, "{late:?}");
    assert!(is_stalled(&stage.until_reason(NAME, "StandbyNotIndependent").await));
}

#[tokio::test]
async fn an_operator_that_is_killed_in_the_lead_knows_whose_turn_it_is_afterwards() {
    let mut stage = with_standby().await;
    let answer = Action::Delay { millis: 2000, at: When::AfterWork };
    stage.simulator.fault(Fault::once(answer).only_for(STANDBY_KEY));
    let history = History::of(&stage);
    issued(&stage, "24s", "10s").await;
    // The standby has a new token, and nobody knows of it when the operator is killed.
    let asked = stage.simulator.until(|journal| given(journal).len() == 2);
    tokio::time::timeout(PATIENCE, asked).await.expect("the standby is asked");
    stage.restart_operator(NAME).await;
    let held = history.until_held(2).await;
    // Its turn is over when the operator is killed once more.
    stage.until_reason(NAME, "Issued").await;
    stage.restart_operator(NAME).await;
    let later = history.until_held(3).await;
    let journal = stage.simulator.journal();
    history.is_without_gap(&journal);
    assert_eq!(later[..2], held);
    let owners = later.iter().map(|held| owner(&journal, &held.token));
    assert_eq!(owners.collect::<Vec<_>>(), [CONSUMER_KEY, STANDBY_KEY, CONSUMER_KEY]);
    assert_eq!(given(&journal).len(), 3, "no token was made that was not in the Secret");
}

#[tokio::test]
async fn a_consumers_word_that_a_token_is_refused_makes_the_standby_take_over_though_the_issuer_says_that_it_lives() {
    let stage = with_standby().await;
    let history = History::of(&stage);
    issued(&stage, "1h", "20m").await;
    let refused = stage.token().await;
    let word = json!({"metadata": {"annotations": {"syniverse.dev/rejected": fingerprint(&refused)}}});
    stage.change(NAME, word).await;
    let held = history.until_held(2).await;
    let journal = stage.simulator.journal();
    assert_eq!(owner(&journal, &held[1].token), STANDBY_KEY);
    assert_eq!(stage.calls(), 3, "the first token, whether it lives, the next token");
    history.is_without_gap(&journal);
}
