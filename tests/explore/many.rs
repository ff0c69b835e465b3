//! Many resources on one endpoint, in paused time: the real passes within a budget of calls. Prints its figures.

use crate::judge::{Change, Entry, History, Key, Kind, Ready, Subject, What, check};
use crate::planted::Planted;
use crate::stage::{Stage, base64, key, secret};
use crate::world::World;
use issuer_simulator::analysis::peak_in_flight;
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use issuer_simulator::journal::{Call, Journal, Token};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::queue::Budget;

/// A wave: the ends of no more tokens than these are not spread.
const SIZE: usize = 200;
const BUDGET: Budget = Budget { in_flight: 16, per_second: 20 };
/// There and back, to the issuer and to the API server; and what a clock's tick is worth.
const WAYS: SignedDuration = SignedDuration::from_millis(100);

fn name(number: usize) -> String {
    format!("resource-{number:03}")
}

fn owner(number: usize) -> String {
    format!("key-{number:03}")
}

fn credentials(number: usize) -> String {
    format!("credentials-{number:03}")
}

/// Runs a script in paused time on a stage with so many applications, each with a resource.
pub(crate) fn play<F: Future<Output = ()>>(
    size: usize,
    validity: &str,
    script: impl FnOnce(Arc<Stage>) -> F,
) -> History {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, _dead) = World::new(BTreeMap::new(), Planted::Nothing);
        let stage = Stage::on(world);
        (0..size).for_each(|number| appears(&stage, number, validity));
        script(Arc::clone(&stage)).await;
        stage.world.say(None, What::Ended);
        let subjects = (0..size).map(|number| Subject::new(&name(number), &credentials(number), &owner(number)));
        stage.world.end(subjects.collect()).1
    })
}

fn appears(stage: &Stage, number: usize, validity: &str) {
    let now = stage.now();
    let token = format!("portal-token-{number:03}");
    stage.world.inside().issuers.add_application(NewApplication::expired(owner(number), "secret", &token), now);
    let data = json!({"consumerKey": base64(&owner(number)), "consumerSecret": base64("secret"),
        "oldToken": base64(&token)});
    stage.put_secret(&credentials(number), json!({"data": data}));
    let spec = json!({"application": {"credentials": {"secretRef": {"name": credentials(number)}},
        "validity": validity}});
    let resource = json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
        "metadata": {"name": name(number)}, "spec": spec});
    stage.put(key(Kind::SyniverseToken, &name(number)), resource, json!({}));
}

/// All are given their first tokens within a few seconds, by a process with a larger budget than the one that follows.
async fn settled(stage: &Stage) {
    stage.start("A");
    stage.pause(30.0).await;
    stage.stop("A").await;
    stage.start_within("B", BUDGET);
}

/// The tokens that the operator was given, by their owners, oldest first.
pub(crate) fn generations(journal: &Journal) -> HashMap<&str, Vec<&Token>> {
    let mut generations: HashMap<&str, Vec<&Token>> = HashMap::new();
    let given = journal.tokens.iter().filter(|token| !token.value.starts_with("portal-token"));
    given.for_each(|token| generations.entry(&token.owner).or_default().push(token));
    generations
}

/// Each rotation: the end of a token, and the birth of the next one; the earliest birth first.
fn rotations(journal: &Journal) -> Vec<(Timestamp, Timestamp)> {
    let generations = generations(journal);
    let pairs = generations.values().flat_map(|tokens| tokens.windows(2));
    let mut rotations: Vec<_> = pairs.map(|pair| (pair[0].expires.unwrap(), pair[1].birth)).collect();
    rotations.sort_by_key(|(_, birth)| *birth);
    rotations
}

pub(crate) fn seconds(duration: SignedDuration) -> f64 {
    duration.as_secs_f64()
}

/// The calls of a window, in their order.
fn calls(journal: &Journal, from: Timestamp, to: Timestamp) -> Vec<&Call> {
    journal.calls.iter().filter(|call| (from..=to).contains(&call.received)).collect()
}

fn most_in_flight(calls: &[&Call]) -> usize {
    peak_in_flight(calls.iter().copied())
}

/// How many calls more than the budget allows came in any window.
fn most_beyond_rate(calls: &[&Call], budget: Budget) -> f64 {
    let rate = f64::from(budget.per_second);
    // The bucket as the issuer sees it: the largest excess of calls over the refill so far.
    let (mut level, mut most, mut last) = (0.0_f64, 0.0_f64, None);
    for call in calls {
        let passed = last.map_or(0.0, |last| seconds(call.received.duration_since(last)));
        level = (level - passed * rate).max(0.0) + 1.0;
        (most, last) = (most.max(level), Some(call.received));
    }
    most - rate
}

fn assert_within_budget(calls: &[&Call]) {
    let (flying, beyond) = (most_in_flight(calls), most_beyond_rate(calls, BUDGET));
    println!("  {} calls, at most {flying} in flight, {beyond:.1} beyond the rate", calls.len());
    assert!(flying <= BUDGET.in_flight);
    // One tick of the clock may let two permits seem to be one.
    assert!(beyond <= 1.0, "{beyond} calls beyond the budget");
}

/// The first and the last end of the first tokens.
fn ends(journal: &Journal) -> (Timestamp, Timestamp) {
    let generations = generations(journal);
    let ends = || generations.values().map(|tokens| tokens[0].expires.unwrap());
    (ends().min().unwrap(), ends().max().unwrap())
}

#[test]
fn a_fleet_rotates_as_fast_as_its_budget_allows() {
    let history = play(SIZE, "10m", async |stage| {
        settled(&stage).await;
        stage.pause(600.0).await;
        stage.stop("B").await;
    });
    let journal = &history.journal;
    let (first, last) = ends(journal);
    assert!(last.duration_since(first) <= SignedDuration::from_secs(10));
    let boundary = calls(journal, first - SignedDuration::from_secs(3), Timestamp::MAX);
    let rotations = rotations(journal);
    let lateness: Vec<_> = rotations.iter().map(|(end, birth)| seconds(birth.duration_since(*end))).collect();
    let (sum, latest) = (lateness.iter().sum::<f64>(), lateness.iter().copied().fold(0.0, f64::max));
    let mut each: HashMap<_, usize> = HashMap::new();
    boundary.iter().for_each(|call| *each.entry(&call.owner).or_default() += 1);
    let most = each.values().max().copied().unwrap_or_default();
    let (mean, spread) = (sum / lateness.len() as f64, seconds(last.duration_since(first)));
    println!("{} rotations, due within {spread:.1} s: late {mean:.2} s, at most {latest:.2} s", rotations.len());
    println!("  at most {most} calls for one rotation");
    assert_within_budget(&calls(journal, first - SignedDuration::from_mins(5), Timestamp::MAX));
    assert_eq!(rotations.len(), SIZE);
    assert!(most <= 3);
    for (end, birth) in &rotations {
        let before = boundary.iter().filter(|call| call.received < *birth).count();
        let allowed = before as f64 / f64::from(BUDGET.per_second) + 1.0;
        let late = seconds(birth.duration_since(*end));
        assert!(late <= allowed, "late by {late} s after {before} calls, allowed {allowed} s");
    }
}

#[test]
fn a_fleet_is_healed_soon_after_an_outage_that_its_calls_did_not_prolong() {
    let (outage, before) = (Duration::from_secs(120), SignedDuration::from_secs(10));
    let history = play(SIZE, "10m", async |stage| {
        settled(&stage).await;
        let first = ends(&stage.world.inside().issuers.journal()).0;
        stage.pause(seconds((first - before).duration_since(stage.now()))).await;
        stage.user("takes the issuer down", false);
        stage.world.inside().issuers.faults().push(Fault::always(Action::Reset { at: When::BeforeWork }));
        tokio::time::sleep(outage).await;
        stage.world.inside().issuers.faults().clear();
        stage.pause(40.0).await;
        stage.stop("B").await;
    });
    let journal = &history.journal;
    let begin = history.entries.iter().find(|entry| matches!(entry.what, What::User { .. })).unwrap().at;
    let end = begin + SignedDuration::try_from(outage).unwrap();
    let failed = calls(journal, begin, end);
    // Those that were under way when the third came back could not know.
    let down = failed[2].ended.unwrap() + WAYS;
    // Each may call once at its own end; whatever else it is let through for is a probe.
    let ends: HashMap<_, _> =
        generations(journal).into_iter().map(|(owner, tokens)| (owner, tokens[0].expires)).collect();
    let mut have_called: HashSet<String> = HashSet::new();
    let is_at_own_end = |call: &&Call| {
        let owner = call.owner.as_deref().unwrap();
        Some(call.received) >= ends[owner] && have_called.insert(owner.to_owned())
    };
    let (at_own_end, probes): (Vec<_>, Vec<_>) = calls(journal, down, end).into_iter().partition(is_at_own_end);
    let rotated: Vec<_> = rotations(journal).into_iter().map(|(_, birth)| birth).collect();
    let healed = seconds(rotated.last().unwrap().duration_since(end));
    let until_down = failed.len() - at_own_end.len() - probes.len();
    println!(
        "outage: {until_down} calls until it was down, then {} at the own end and {} probes",
        at_own_end.len(),
        probes.len()
    );
    println!("  {} rotations, the last one {healed:.2} s after its end", rotated.len());
    assert_within_budget(&calls(journal, end, Timestamp::MAX));
    assert!(most_in_flight(&probes) <= 1);
    assert!(probes.len() <= 60 && at_own_end.len() + until_down >= SIZE);
    assert_eq!(rotated.len(), SIZE);
    assert!(healed <= 4.0 + SIZE as f64 / f64::from(BUDGET.per_second) + 5.0);
}

/// What the operator said of resources, from a time on.
fn said(history: &History, from: Timestamp) -> impl Iterator<Item = (&Entry, &Change)> {
    history.entries.iter().filter(move |entry| entry.at >= from).filter_map(|entry| match &entry.what {
        What::Changed(change) if change.key.kind == Kind::SyniverseToken && entry.process.is_some() => {
            Some((entry, &**change))
        }
        _ => None,
    })
}

#[test]
fn one_wrong_secret_in_a_fleet_is_named_and_disturbs_nobody() {
    const ODD: usize = 17;
    let history = play(SIZE, "10m", async |stage| {
        settled(&stage).await;
        stage.pause(60.0).await;
        stage.user("spoils one secret", true);
        stage.put_secret(&credentials(ODD), json!({"data": {"consumerSecret": base64("wrong")}}));
        stage.pause(120.0).await;
        stage.stop("B").await;
    });
    let spoilt = history.entries.iter().find(|entry| matches!(entry.what, What::User { .. })).unwrap().at;
    let is_odd = |change: &Change| change.key.name == name(ODD);
    let suspected = said(&history, spoilt).find(|(_, change)| {
        let ready = change.is.as_ref().and_then(Ready::of);
        is_odd(change) && ready.is_some_and(|ready| ready.is_true && ready.reason == "CredentialsSuspect")
    });
    let (entry, _) = suspected.expect("a word about the credentials");
    println!("the wrong secret is suspected after {:.2} s", seconds(entry.at.duration_since(spoilt)));
    assert_eq!(said(&history, spoilt).filter(|(_, change)| !is_odd(change)).count(), 0);
}

#[test]
fn each_resource_is_judged_for_itself() {
    let mut history = play(3, "20s", async |stage| {
        stage.start("A");
        stage.pause(70.0).await;
    });
    assert_eq!(check(&history), [""; 0]);
    let of_one = |key: &Key| *key == secret(&name(1));
    let mut deliveries = 0;
    history.entries.retain(|entry| match &entry.what {
        What::Changed(change) if of_one(&change.key) => {
            deliveries += 1;
            deliveries != 2
        }
        _ => true,
    });
    let broken = check(&history);
    assert!(!broken.is_empty() && broken.iter().all(|broken| broken.starts_with("resource-001: ")), "{broken:#?}");
}

/// What other applications do to `resource-000`, for a while from second 30 on: how late its rotations are, in seconds.
fn lateness<F: Future<Output = ()>>(size: usize, validity: &str, script: impl FnOnce(Arc<Stage>) -> F) -> Vec<f64> {
    let history = play(size, validity, script);
    let generations = generations(&history.journal);
    let tokens = &generations[owner(0).as_str()];
    tokens.windows(2).map(|pair| seconds(pair[1].birth.duration_since(pair[0].expires.unwrap()))).collect()
}

#[test]
fn resources_whose_secrets_cannot_be_written_delay_no_other() {
    let late = lateness(1, "60s", async |stage| {
        stage.start("A");
        stage.pause(10.0).await;
        stage.world.inside().unwritable = Some("resource-1");
        (100..160).for_each(|number| appears(&stage, number, "60s"));
        stage.pause(400.0).await;
    });
    println!("beside 60 that cannot be written: late by {late:.2?} s");
    assert!(late.len() >= 6 && late.iter().all(|late| *late < 5.5), "{late:?}");
    assert!(late[1..].iter().all(|late| *late < 1.0), "{late:?}");
}

#[test]
fn resources_whose_secrets_cannot_be_written_do_not_prolong_an_outage() {
    let history = play(1, "60s", async |stage| {
        stage.start("A");
        stage.pause(10.0).await;
        stage.world.inside().issuers.faults().push(Fault::always(Action::Reset { at: When::BeforeWork }));
        stage.world.inside().unwritable = Some("resource-1");
        (100..110).for_each(|number| appears(&stage, number, "60s"));
        stage.pause(120.0).await;
        stage.user("ends the outage", false);
        stage.world.inside().issuers.faults().clear();
        stage.pause(60.0).await;
    });
    let end = history.entries.iter().find(|entry| matches!(entry.what, What::User { .. })).unwrap().at;
    let tokens = generations(&history.journal).remove(owner(0).as_str()).unwrap();
    let healed = tokens.iter().find(|token| token.birth > end);
    let healed = seconds(healed.expect("a token after the outage").birth.duration_since(end));
    println!("an outage beside 10 that cannot be written: healed after {healed:.2} s");
    assert!(healed < 20.0, "{healed}");
}

#[test]
fn one_resource_for_which_the_endpoint_fails_delays_no_other() {
    for (what, action) in [
        (
            "refused by what stands before it",
            Action::Fail { status: 403, retry_after: None, body: FailBody::Html, at: When::BeforeWork },
        ),
        ("left without an answer", Action::Hang { at: When::BeforeWork }),
    ] {
        let late = lateness(2, "1h", async |stage| {
            stage.start("A");
            stage.pause(20.0).await;
            stage.world.inside().issuers.faults().push(Fault::always(action).only_for(owner(1)));
            stage.pause(4.0 * 3600.0).await;
        });
        println!("beside one that is {what}: late by {late:.2?} s");
        assert!(late.len() >= 3 && late.iter().all(|late| *late < 0.5), "{late:?}");
    }
}

/// A crowd of another namespace, each with a wrong secret of an application that is there.
fn crowd(stage: &Stage, size: usize) -> Vec<String> {
    let names: Vec<_> = (0..size).map(|number| format!("crowd-{number}")).collect();
    for name in &names {
        let now = stage.now();
        stage.world.inside().issuers.add_application(NewApplication::expired(name, "another secret", "old"), now);
        stage.put_neighbour(name);
    }
    names
}

#[test]
fn whatever_a_crowd_of_another_namespace_changes_delays_no_token() {
    let alone = lateness(5, "20s", async |stage| {
        stage.start("A");
        stage.pause(120.0).await;
    });
    let beside = lateness(5, "20s", async |stage| {
        stage.start("A");
        stage.pause(10.0).await;
        let names = crowd(&stage, 100);
        for attempt in 0..15 {
            names.iter().for_each(|name| stage.put_neighbours_credentials(name, &format!("secret {attempt}")));
            stage.pause(4.0).await;
        }
    });
    let latest = |late: &[f64]| late.iter().copied().fold(0.0, f64::max);
    println!("late by {:.2} s alone, by {:.2} s beside a crowd", latest(&alone), latest(&beside));
    assert!(beside.len() >= 3 && latest(&beside) <= latest(&alone) + 1.0, "{beside:?}");
}

#[test]
fn a_start_looks_first_at_what_ends_first() {
    let history = play(SIZE, "10m", async |stage| {
        stage.start("A");
        stage.pause(30.0).await;
        stage.stop("A").await;
        let first = ends(&stage.world.inside().issuers.journal()).0;
        stage.pause(seconds(first.duration_since(stage.now())) - 0.5).await;
        stage.user("starts it again", false);
        stage.start("A");
        stage.pause(30.0).await;
    });
    let started = history.entries.iter().find(|entry| matches!(entry.what, What::User { .. })).unwrap().at;
    let mut rotated = rotations(&history.journal);
    rotated.retain(|(_, birth)| *birth > started);
    rotated.sort();
    let late: Vec<_> = rotated.iter().map(|(end, birth)| seconds(birth.duration_since(*end.max(&started)))).collect();
    println!("{} rotations after a start: the first {:.2} s after its end", late.len(), late[0]);
    assert!(rotated.len() > SIZE / 2 && late[0] < 1.0, "{late:?}");
}

#[test]
fn a_resource_that_is_made_anew_again_and_again_starts_no_new_allowance_of_calls() {
    let history = play(0, "1h", async |stage| {
        let now = stage.now();
        stage.world.inside().issuers.add_application(NewApplication::expired("bad-1", "another secret", "old"), now);
        stage.start("A");
        for _ in 0..90 {
            stage.put_neighbour("bad-1");
            stage.pause(0.8).await;
            stage.delete_neighbour("bad-1");
            stage.pause(0.5).await;
        }
    });
    let calls = history.journal.calls.len();
    println!("made 90 times in two minutes: {calls} calls");
    assert!((40..=43).contains(&calls), "{calls} calls");
}
