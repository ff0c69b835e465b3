//! The same for what is promised of sessions alone, and for what the status says.

use crate::caught::{add, changes, is_caught, is_noticed_in};
use crate::judge::{Change, Entry, Given, Kind, Question, What, stored_token};
use crate::planted::Planted;
use crate::stage::{NAME, STATE, USER};
use serde_json::json;

#[test]
fn a_call_that_was_not_announced_is_caught() {
    is_caught("session_extension", || Planted::IntentsForgotten, "without having announced it");
}

#[test]
fn two_who_extend_the_same_pair_are_caught() {
    is_caught("session_two_operators", || Planted::IntentsIgnored, "had announced one");
}

#[test]
fn a_log_in_because_of_a_timeout_is_caught() {
    is_caught("session_extension", || Planted::FailuresEndSessions, "has not been said to be over");
}

#[test]
fn a_pair_that_is_forgotten_is_caught() {
    is_caught("session_extension", || Planted::AnswersForgotten, "never records it");
}

#[test]
fn a_pair_in_the_token_secret_before_the_state_is_caught() {
    is_caught("session_extension", || Planted::StateAfterToken(None), "before the state Secret had it");
}

#[test]
fn a_status_that_hides_a_dead_token_is_caught() {
    is_caught("session_issuer_down", || Planted::AlwaysReady, "Ready is True of a dead token");
}

fn is_noticed(spoil: impl FnOnce(&mut Vec<Entry>), promise: &str) {
    is_noticed_in("session_extension", spoil, promise);
}

/// The tokens that the state Secret held, one after the other.
fn recorded(entries: &mut [Entry]) -> Vec<String> {
    let is = |change: &mut Change| stored_token(STATE, change.is.as_ref()?);
    let mut tokens: Vec<_> = changes(entries, Kind::Secret, STATE).filter_map(is).collect();
    tokens.dedup();
    tokens
}

fn extends(token: &str) -> What {
    What::Asked(Question::Extend { token: token.to_owned() })
}

#[test]
fn a_pair_that_is_used_again_is_noticed() {
    let again = |entries: &mut Vec<Entry>| {
        let first = recorded(entries)[0].clone();
        add(entries, 15, extends(&first));
    };
    is_noticed(again, "which is neither stored nor pasted");
    let at_once = |entries: &mut Vec<Entry>| {
        let asked = entries.iter().rposition(|entry| matches!(entry.what, What::Asked(_))).unwrap();
        let again = entries[asked].clone();
        entries.insert(asked, again);
    };
    is_noticed(at_once, "was at it");
}

#[test]
fn an_early_extension_is_noticed() {
    let early = |entries: &mut Vec<Entry>| {
        let first = recorded(entries)[0].clone();
        add(entries, 5, extends(&first));
    };
    is_noticed(early, "without a cause");
}

#[test]
fn a_log_in_beside_a_pair_is_noticed() {
    let log_in = What::Asked(Question::LogIn { username: USER.to_owned() });
    is_noticed(|entries| add(entries, 10, log_in), "a log in at");
}

#[test]
fn a_lost_pair_is_noticed() {
    let lose = |entries: &mut Vec<Entry>| {
        let to = Question::Extend { token: recorded(entries)[1].clone() };
        add(entries, 15, What::Asked(to.clone()));
        add(entries, 15, What::Answered { to, given: Given::Token("lost".to_owned()) });
    };
    is_noticed(lose, "never records it");
}

#[test]
fn a_superseded_token_is_noticed() {
    let lose = |entries: &mut Vec<Entry>| {
        let mut deliveries = 0;
        entries.retain(|entry| match &entry.what {
            What::Changed(change) if change.key.kind == Kind::Secret && change.key.name == NAME => {
                deliveries += 1;
                deliveries != 2
            }
            _ => true,
        });
    };
    is_noticed(lose, "no live token in the Secret");
}

fn say(entries: &mut [Entry], status: &str, reason: &str) {
    let change = changes(entries, Kind::SyniverseToken, NAME).filter(|change| change.was.is_some()).last().unwrap();
    let conditions = &mut change.is.as_mut().unwrap()["status"]["conditions"];
    *conditions = json!([{"type": "Ready", "status": status, "reason": reason}]);
}

#[test]
fn a_live_token_that_is_hidden_is_noticed() {
    is_noticed(|entries| say(entries, "False", "Expired"), "Ready is not True of a live token");
}

#[test]
fn a_session_that_is_given_up_is_noticed() {
    is_noticed(|entries| say(entries, "False", "SessionLost"), "a session is said to be lost");
}
