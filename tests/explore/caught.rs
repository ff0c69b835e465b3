//! The harness itself on trial: planted bugs are caught, and no rule of the judge is blind.

use crate::exploration::{Plot, single_faults, violations};
use crate::judge::{Change, Entry, History, Kind, Question, What, check, stored_token};
use crate::planted::Planted;
use crate::stage::{CREDENTIALS, KEY, NAME, resource, secret};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// Without a fault, or at the latest with one.
pub(crate) fn is_caught(scenario: &str, planted: fn() -> Planted, promise: &str) {
    let undisturbed = Plot::parse(scenario).unwrap();
    let caught = |plots: &[Plot]| {
        let violations = violations(plots, planted);
        let noticed = violations.iter().flat_map(|(_, broken)| broken).any(|broken| broken.contains(promise));
        (noticed, violations)
    };
    if caught(std::slice::from_ref(&undisturbed)).0 {
        return;
    }
    let (noticed, violations) = caught(&single_faults(planted, &[undisturbed.scenario]));
    assert!(noticed, "nobody noticed: {violations:#?}");
}

#[test]
fn a_state_written_after_the_token_secret_is_caught() {
    is_caught("first_issue", || Planted::StateAfterToken(None), "before the state Secret had it");
}

#[test]
fn a_call_made_to_cover_a_failed_write_is_caught() {
    is_caught("rotation", || Planted::AnswersForgotten, "in hand, which is not yet recorded");
}

#[test]
fn a_stale_read_that_is_believed_is_caught() {
    is_caught("rotation", || Planted::StaleReads(None), "replaced a newer token");
}

#[test]
fn a_hand_over_that_a_later_end_moves_back_is_caught() {
    is_caught("standby_reported_too_long", || Planted::LastEndCounts, "no live token in the Secret");
}

#[test]
fn a_standby_that_takes_over_with_less_life_is_caught() {
    is_caught("standby_lives_at_hand_over", || Planted::AnyTokenTakesOver, "no live token in the Secret");
}

#[test]
fn two_credentials_asked_at_once_are_caught() {
    is_caught("standby_operator_away", || Planted::BothAsked, "no live token in the Secret");
}

fn is_noticed(spoil: impl FnOnce(&mut Vec<Entry>), promise: &str) {
    is_noticed_in("rotation", spoil, promise);
}

/// Spoils a run without a fault.
pub(crate) fn is_noticed_in(scenario: &str, spoil: impl FnOnce(&mut Vec<Entry>), promise: &str) {
    let mut history: History = Plot::parse(scenario).unwrap().play(Planted::Nothing).history;
    assert_eq!(check(&history), [""; 0]);
    spoil(&mut history.entries);
    let broken = check(&history);
    assert!(broken.iter().any(|broken| broken.contains(promise)), "{promise:?} is not among {broken:#?}");
}

/// Adds something that the operator did `seconds` after the beginning.
pub(crate) fn add(entries: &mut Vec<Entry>, seconds: i64, what: What) {
    let at = entries[0].at + SignedDuration::from_secs(seconds);
    let place = entries.iter().position(|entry| entry.at > at).unwrap();
    entries.insert(place, Entry { at, process: Some("A".to_owned()), what });
}

pub(crate) fn changed(kind: Kind, name: &str, was: Value, is: Value) -> What {
    let key = if kind == Kind::Secret { secret(name) } else { resource() };
    What::Changed(Box::new(Change { key, was: Some(was), is: Some(is) }))
}

/// The changes of an object, as they can be edited.
pub(crate) fn changes<'a>(entries: &'a mut [Entry], kind: Kind, name: &'a str) -> impl Iterator<Item = &'a mut Change> {
    entries.iter_mut().filter_map(move |entry| match &mut entry.what {
        What::Changed(change) if change.key.kind == kind && change.key.name == name => Some(&mut **change),
        _ => None,
    })
}

fn asks() -> What {
    What::Asked(Question::Refresh { consumer_key: KEY.to_owned(), old_token: "any".to_owned() })
}

#[test]
fn a_call_without_a_cause_is_noticed() {
    is_noticed(|entries| add(entries, 10, asks()), "without a cause");
}

#[test]
fn a_hot_loop_of_calls_is_noticed() {
    is_noticed(|entries| (0..9).for_each(|_| add(entries, 19, asks())), "calls around one token");
}

#[test]
fn a_hot_loop_of_writes_is_noticed() {
    let again = |entries: &mut Vec<Entry>| {
        let status = changes(entries, Kind::SyniverseToken, NAME).last().unwrap().clone();
        (0..9).for_each(|_| add(entries, 10, What::Changed(Box::new(status.clone()))));
    };
    is_noticed(again, "status writes around one token");
}

#[test]
fn a_write_that_changes_nothing_is_noticed() {
    is_noticed(|entries| add(entries, 10, What::Needless { request: format!("any {NAME}") }), "change nothing");
}

#[test]
fn a_write_after_a_start_with_nothing_to_do_is_noticed() {
    let start_and_write = |entries: &mut Vec<Entry>| {
        let status = changes(entries, Kind::SyniverseToken, NAME).last().unwrap().clone();
        add(entries, 10, What::Started);
        add(entries, 10, What::Changed(Box::new(status)));
    };
    is_noticed(start_and_write, "after a start with nothing to do");
}

#[test]
fn too_many_events_are_noticed() {
    let event = || What::Requested { request: format!("Event {NAME}"), code: 201 };
    is_noticed(|entries| (0..9).for_each(|_| add(entries, 10, event())), "Events around one token");
}

#[test]
fn an_older_token_over_a_newer_one_is_noticed() {
    let go_back = |entries: &mut Vec<Entry>| {
        let [first, .., last] = &mut changes(entries, Kind::Secret, NAME).collect::<Vec<_>>()[..] else { panic!() };
        last.is = first.is.clone();
    };
    is_noticed(go_back, "replaced a newer token");
}

#[test]
fn a_foreign_secret_is_noticed() {
    let other = changed(Kind::Secret, CREDENTIALS, json!({}), json!({}));
    is_noticed(|entries| add(entries, 10, other), "wrote Secret sdc-application");
    let nobodys = changed(Kind::Secret, "nobodys", json!({}), json!({}));
    is_noticed(|entries| add(entries, 10, nobodys), "wrote Secret nobodys");
    let unowned = |entries: &mut Vec<Entry>| {
        let last = changes(entries, Kind::Secret, NAME).last().unwrap();
        last.was = Some(json!({"metadata": {"name": NAME}}));
    };
    is_noticed(unowned, "which is not ours");
}

#[test]
fn a_dead_token_is_noticed() {
    let lose = |entries: &mut Vec<Entry>| {
        let mut tokens = Vec::new();
        entries.retain(|entry| match &entry.what {
            What::Changed(change) if change.key == secret(NAME) => {
                tokens.push(change.is.as_ref().and_then(|is| stored_token(NAME, is)));
                tokens.len() != 2
            }
            _ => true,
        });
    };
    is_noticed(lose, "no live token in the Secret");
}

#[test]
fn a_bad_ending_is_noticed() {
    let unready = |entries: &mut Vec<Entry>| {
        let last = changes(entries, Kind::SyniverseToken, NAME).last().unwrap();
        last.is.as_mut().unwrap()["status"]["conditions"] = json!([]);
    };
    is_noticed(unready, "not Ready");
    let stop = |entries: &mut Vec<Entry>| {
        let begin = entries[0].at;
        let early = |entry: &Entry| entry.at.duration_since(begin) < SignedDuration::from_secs(30);
        entries.retain(|entry| early(entry) || matches!(entry.what, What::Ended));
    };
    is_noticed(stop, "in the end the token Secret holds");
}
