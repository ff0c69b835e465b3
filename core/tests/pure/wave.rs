//! What keeps tokens that were issued in one go from ending in one go: shares of the validity, and calls that are not
//! made.

use crate::cluster::{Cluster, now, refresh, response};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::effects;
use syniverse_token_core::fingerprint::spread;
use syniverse_token_core::issuer::{Cause, FailureKind, Lifetime};
use syniverse_token_core::plan::{PlannedRequest, Step};
use syniverse_token_core::queue::Budget;
use syniverse_token_core::queue::load::Load;
use syniverse_token_core::schedule::EndpointLoad;

const CROWD: EndpointLoad = EndpointLoad { served_tokens: 201, shortest_round_trip: None, is_busy: false };

/// A resource with this UID and validity, at an endpoint with so many tokens.
fn one_of_many(uid: &str, validity: &str, load: EndpointLoad) -> Cluster {
    let mut cluster = Cluster::new(json!({"application": {"validity": validity}}));
    Arc::make_mut(&mut cluster.observed.resource).metadata.uid = Some(uid.to_owned());
    cluster.observed.peers.load = load;
    cluster
}

/// The validities that 500 resources request, each its own.
fn requested(validity: &str, load: EndpointLoad) -> Vec<u64> {
    let asks = |number| one_of_many(&format!("uid-{number}"), validity, load).call(now(0.0));
    (0..500).map(|number| refresh(&asks(number)).validity_seconds).collect()
}

fn bounds(requested: &[u64]) -> (u64, u64) {
    (*requested.iter().min().unwrap(), *requested.iter().max().unwrap())
}

#[test]
fn many_tokens_of_one_endpoint_are_requested_with_up_to_a_twentieth_less() {
    let hours = requested("1h", CROWD);
    let (shortest, longest) = bounds(&hours);
    assert!((3420..3425).contains(&shortest) && (3595..=3600).contains(&longest), "{shortest} to {longest}");
    assert!(hours.iter().collect::<HashSet<_>>().len() > 150);
    assert_eq!(hours, requested("1h", CROWD), "each always the same");
}

#[test]
fn no_share_is_longer_than_half_an_hour() {
    let (shortest, longest) = bounds(&requested("720h", CROWD));
    let whole = 720 * 3600;
    assert!((whole - 1800..whole - 1780).contains(&shortest) && longest <= whole, "{shortest} to {longest}");
}

#[test]
fn what_the_issuer_promises_to_accept_is_not_made_shorter_than_it_promises() {
    assert_eq!(bounds(&requested("15m", CROWD)), (900, 900));
    assert_eq!(bounds(&requested("905s", CROWD)), (900, 905));
    assert_eq!(bounds(&requested("120s", CROWD)), (114, 120), "it takes less than it promises anyway");
    assert_eq!(bounds(&requested("10s", CROWD)), (10, 10), "no whole second to spare");
}

#[test]
fn a_token_without_end_stays_one() {
    assert_eq!(bounds(&requested("0s", CROWD)), (0, 0));
}

#[test]
fn few_tokens_are_requested_as_the_spec_says_and_many_where_the_setting_is_off() {
    let few = EndpointLoad { served_tokens: 200, ..CROWD };
    assert_eq!(bounds(&requested("1h", few)), (3600, 3600));
    let mut cluster = one_of_many("uid-1", "1h", CROWD);
    assert!(refresh(&cluster.call(now(0.0))).validity_seconds < 3600);
    cluster.observed.spread_validity = false;
    assert_eq!(refresh(&cluster.call(now(0.0))).validity_seconds, 3600);
}

#[test]
fn a_validity_that_was_refused_may_have_been_too_short() {
    for (kind, is_whole) in
        [(FailureKind::Rejected, true), (FailureKind::Refused, true), (FailureKind::Unavailable, false)]
    {
        let mut cluster = one_of_many("uid-1", "600s", CROWD);
        cluster.fail(now(0.0), kind);
        let asked = refresh(&cluster.call(now(400.0))).validity_seconds;
        assert_eq!(asked == 600, is_whole, "{kind:?}: {asked}");
    }
}

#[test]
fn a_crowd_that_grows_changes_no_value_and_says_nothing() {
    let mut cluster = one_of_many("uid-1", "600s", EndpointLoad::default());
    cluster.answer(now(0.0), "first", 600);
    cluster.steps.clear();
    cluster.observed.peers.load = CROWD;
    assert_eq!(cluster.rest(now(1.0)), (Some(now(540.0).mono), vec![]));
    cluster.answer(now(540.0), "first", 60);
    let asked = refresh(&cluster.call(now(600.0))).validity_seconds;
    assert!((570..600).contains(&asked), "{asked}");
    cluster.answer(now(600.0), "second", asked);
    let record = cluster.state().active_token().cloned().unwrap();
    assert_eq!((record.asked_seconds, record.lifetime_seconds), (Some(asked), Some(asked)));
    // Checked at its usual time, so neither too long nor too short, and with nothing to say.
    assert_eq!(cluster.rest(now(601.0)), (Some(now(600.0 + asked as f64 - 60.0).mono), vec![]));
}

fn respond(cluster: &mut Cluster, planned: &PlannedRequest, (sent, took): (f64, f64), token: &str, seconds: u64) {
    let response = Ok(response(token, Lifetime::Seconds(seconds)));
    let (sent, received) = (now(sent), now(sent + took).mono);
    effects::request_sent(&mut cluster.memory, planned, sent);
    let (observed, memory) = (&mut cluster.observed, &mut cluster.memory);
    effects::request_ended(observed, memory, planned, &response, (sent, received), |_, _| {});
}

/// The first request at the end of a token of 600 s whose own request took `took` ms, where the fastest took `fastest`.
fn asked_at(took: u64, fastest: Option<u64>) -> f64 {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    respond(&mut cluster, &planned, (0.0, took as f64 / 1000.0), "first", 600);
    cluster.observed.peers.load.shortest_round_trip = fastest.map(Duration::from_millis);
    cluster.answer(now(540.0), "first", 60);
    let at = cluster.rest(now(550.0)).0.unwrap();
    at.until(now(0.0).mono).as_secs_f64()
}

#[test]
fn the_first_request_at_an_end_leaves_out_what_a_slow_response_left_open() {
    assert_eq!(asked_at(300, Some(100)), 600.2);
    assert_eq!(asked_at(130, Some(100)), 600.03);
    assert_eq!(asked_at(100, Some(100)), 600.0, "nothing is open");
    assert_eq!(asked_at(90, Some(100)), 600.0);
    assert_eq!(asked_at(9000, Some(100)), 600.2, "a dead token waits for no more than this");
    assert_eq!(asked_at(300, None), 600.0, "nothing is known");
}

/// What 500 rotations cost, whose requests take so many ms there and back by their number, at an issuer that counts from
/// its work and rounds down: calls for each, and ms from an end until the issuer has the call that it answers with a new
/// token.
fn cost(ways: impl Fn(u64) -> (f64, f64), knows_load: bool) -> (f64, f64) {
    let mut cluster = Cluster::new(json!({"application": {"validity": "60s"}}));
    let mut load = Load::new(Budget { in_flight: 1, per_second: 1 });
    let (mut at, mut end, mut generation, mut calls, mut late) = (0.0, 0.0, 0, 0, 0.0);
    while generation <= 500 {
        let known = load.at(now(at).mono);
        cluster.observed.peers.load = if knows_load { known } else { EndpointLoad::default() };
        let planned = cluster.call(now(at));
        let (there, back) = ways(calls);
        let arrives = at + there / 1000.0;
        let round_trip = (there + back) / 1000.0;
        calls += u64::from(planned.cause == Cause::Boundary);
        let is_new = arrives >= end;
        if is_new {
            late += if generation > 0 { arrives - end } else { 0.0 };
            (end, generation) = (arrives + 60.0, generation + 1);
        }
        if is_new || planned.cause == Cause::Boundary {
            load.round_trip(Duration::from_secs_f64(round_trip));
        }
        let left = if is_new { 60 } else { (end - arrives) as u64 };
        respond(&mut cluster, &planned, (at, round_trip), &format!("token {generation}"), left);
        let received = now(at + round_trip);
        at = match cluster.settle(received).step {
            // A pass takes its time, if only a little.
            Step::Wait(until) => until.unwrap().until(now(0.0).mono).as_secs_f64() + 1e-6,
            _ => at + round_trip,
        };
    }
    (calls as f64 / 500.0, late * 1000.0 / 500.0)
}

/// Takes from `shortest` to `longest` ms there, and as little as possible back; and the other way round.
fn between(shortest: f64, longest: f64) -> [impl Fn(u64) -> (f64, f64); 2] {
    [false, true].map(|is_back| {
        move |number: u64| {
            let way = shortest + (longest - shortest) * (spread(&number.to_string()) % 1000) as f64 / 1000.0;
            if is_back { (0.0, way) } else { (way, 0.0) }
        }
    })
}

#[test]
fn an_end_costs_one_call_whether_the_issuer_answers_fast_or_slowly() {
    for (shortest, longest) in [(0.0, 20.0), (100.0, 300.0)] {
        let [there, back] = between(shortest, longest);
        let (guessing, knowing) = (cost(&there, false), cost(&there, true));
        println!("{shortest} to {longest} ms: {guessing:?} without the load, {knowing:?} with it");
        assert!(guessing.0 > 1.3 && knowing.0 < 1.03, "{guessing:?} {knowing:?}");
        assert!(knowing.1 < guessing.1 * 1.1, "and it is hardly later: {guessing:?} {knowing:?}");
        let (calls, late) = cost(&back, true);
        assert!(calls < 1.01 && late < (longest - shortest) * 0.6, "{calls} {late}");
    }
}

#[test]
fn nothing_is_waited_for_where_every_request_takes_as_long() {
    let (calls, late) = cost(|_| (150.0, 40.0), true);
    assert!(calls < 1.01 && late < 0.1, "{calls} {late}");
}

#[test]
fn a_busy_endpoint_is_sent_no_check_until_it_is_at_rest() {
    let mut cluster = Cluster::with_token(json!({}));
    let check = now(540.0);
    cluster.observed.peers.load.is_busy = true;
    assert_eq!(cluster.rest(now(100.0)).0, Some(check.mono), "it may be at rest by then");
    assert_eq!(cluster.rest(check).0, Some(now(600.0).mono));
    cluster.observed.peers.load.is_busy = false;
    assert_eq!(cluster.call(now(550.0)).cause, Cause::Check);
    cluster.observed.peers.load.is_busy = true;
    assert_eq!(cluster.call(now(600.0)).cause, Cause::Boundary);
}

#[test]
fn a_token_that_is_said_to_live_longer_than_requested_is_checked_however_busy_the_endpoint() {
    let mut cluster = Cluster::new(json!({}));
    cluster.answer(now(0.0), "first", 36_000);
    cluster.observed.peers.load.is_busy = true;
    assert_eq!(cluster.call(now(602.0)).cause, Cause::Check);
}
