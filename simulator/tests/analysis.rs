//! The analysis on journals written by hand.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use issuer_simulator::analysis::{
    DeadTime, Held, Spread, calls_per_rotation, dead_time, occurrences, peak_in_flight, rotations,
};
use issuer_simulator::journal::{Api, Call, Cause, Journal, Token};
use jiff::{SignedDuration, Timestamp};

fn at(second: i64) -> Timestamp {
    Timestamp::constant(1_800_000_000, 0) + SignedDuration::from_secs(second)
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn token(value: &str, birth: i64, expires: Option<i64>, superseded: Option<i64>) -> Token {
    let (owner, value) = ("key".to_owned(), value.to_owned());
    let (expires, superseded) = (expires.map(at), superseded.map(at));
    Token { api: Api::Application, owner, value, birth: at(birth), expires, superseded }
}

fn call(owner: &str, received: i64, ended: Option<i64>) -> Call {
    Call {
        api: Some(Api::Application),
        owner: Some(owner.to_owned()),
        method: "GET".to_owned(),
        path: "/apptoken-refresh".to_owned(),
        parameters: BTreeMap::new(),
        headers: BTreeMap::new(),
        received: at(received),
        ended: ended.map(at),
        status: None,
        fault: None,
        token: None,
    }
}

fn held(since: i64, token: &str) -> Held {
    Held { since: at(since), token: token.to_owned() }
}

fn tokens(tokens: Vec<Token>) -> Journal {
    Journal { calls: Vec::new(), tokens }
}

fn calls(calls: Vec<Call>) -> Journal {
    Journal { calls, tokens: Vec::new() }
}

#[test]
fn lateness_runs_from_the_old_tokens_death_to_the_new_tokens_arrival() {
    let journal =
        tokens(vec![token("a", 0, Some(10), None), token("b", 12, Some(30), Some(20)), token("c", 20, None, None)]);
    let history = [held(1, "a"), held(13, "b"), held(19, "c")];
    let found = rotations(&journal, &history);
    let seen: Vec<_> = found.iter().map(|r| (r.new.as_str(), r.lateness, r.death.cause)).collect();
    assert_eq!(seen, [("b", seconds(3), Cause::Expired), ("c", seconds(-1), Cause::Superseded)]);
}

#[test]
fn what_is_seen_twice_or_is_no_token_makes_no_rotation() {
    let journal = tokens(vec![token("a", 0, Some(10), None), token("b", 10, Some(20), None)]);
    let history = [held(0, "a"), held(5, ""), held(6, "a"), held(11, "b"), held(12, "b")];
    let found = rotations(&journal, &history);
    assert_eq!((found.len(), found[0].lateness), (1, seconds(1)));
}

#[test]
fn a_token_that_never_dies_is_no_rotation_when_it_goes() {
    let journal = tokens(vec![token("a", 0, None, None), token("b", 10, None, None)]);
    assert!(rotations(&journal, &[held(0, "a"), held(10, "b")]).is_empty());
}

#[test]
fn dead_time_is_kept_apart_by_cause() {
    let journal =
        tokens(vec![token("a", 0, Some(10), None), token("b", 12, Some(99), Some(20)), token("c", 20, None, None)]);
    let history = [held(1, "a"), held(13, "b"), held(25, "c")];
    let expected = DeadTime { expired: seconds(3), superseded: seconds(5) };
    assert_eq!(dead_time(&journal, &history, at(100)), expected);
}

#[test]
fn dead_time_runs_to_the_end_of_the_observation_and_no_further() {
    let journal = tokens(vec![token("a", 0, Some(10), None), token("b", 30, None, None)]);
    let history = [held(1, "a"), held(30, "b")];
    for (until, dead) in [(5, 0), (10, 0), (15, 5), (40, 20)] {
        assert_eq!(dead_time(&journal, &history, at(until)).expired, seconds(dead), "{until}");
    }
}

#[test]
fn a_token_that_was_dead_on_arrival_counts_from_its_arrival() {
    let journal = tokens(vec![token("a", 0, Some(10), None)]);
    assert_eq!(dead_time(&journal, &[held(15, "a")], at(20)).expired, seconds(5));
    assert_eq!(dead_time(&journal, &[held(15, "garbage")], at(20)), DeadTime::default());
}

#[test]
fn the_call_that_brings_a_token_belongs_to_its_rotation() {
    let mut journal = tokens(vec![token("a", 0, None, None), token("b", 10, None, None), token("c", 20, None, None)]);
    journal.calls = [5, 10, 11, 15, 20, 21].map(|received| call("key", received, None)).to_vec();
    journal.calls.push(call("another", 12, None));
    assert_eq!(calls_per_rotation(&journal), [2, 3]);
}

#[test]
fn a_call_that_ends_as_another_arrives_was_not_in_flight_with_it() {
    let journal =
        calls(vec![call("key", 0, Some(2)), call("key", 1, Some(3)), call("key", 2, None), call("key", 9, None)]);
    assert_eq!(peak_in_flight(&journal.calls), 2);
    assert_eq!(peak_in_flight(&[]), 0);
}

#[test]
fn a_spread_names_its_ends_and_its_middle() {
    let spread = Spread::of((1..=200).rev()).unwrap();
    assert_eq!(spread, Spread { count: 200, least: 1, median: 101, p99: 198, most: 200 });
    assert_eq!(Spread::of([7]).unwrap().to_string(), "1 values: least 7, median 7, p99 7, most 7");
    assert_eq!(Spread::<u8>::of([]), None);
}

#[test]
fn occurrences_are_counted() {
    assert_eq!(occurrences([2, 3, 2]), BTreeMap::from([(2, 2), (3, 1)]));
}
