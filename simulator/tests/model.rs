//! The model at explicit instants, to the nanosecond.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Delivery, Fault, Stage};
use issuer_simulator::journal::Cause;
use issuer_simulator::model::{Life, Model};
use issuer_simulator::reply::Body;
use issuer_simulator::request::Request;
use issuer_simulator::session::NewSession;
use issuer_simulator::switches::{Latency, Rounding, Switches};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The instant so many nanoseconds after the start of the test's world.
fn at(nanos: i64) -> Timestamp {
    Timestamp::constant(1_800_000_000, 0) + SignedDuration::from_nanos(nanos)
}

const SECOND: i64 = 1_000_000_000;

fn with_application(life: Life) -> Model {
    let mut model = Model::new(Switches::default(), 1);
    model.add_application(NewApplication::expired("key", "secret", "first").living(life), at(0));
    model
}

fn call(model: &mut Model, request: Request, now: Timestamp) -> Value {
    let arrival = model.receive(request, now);
    let Delivery::Whole(reply) = model.answer(arrival.call, now) else { panic!("no whole answer") };
    model.end(arrival.call, Some(reply.status), now);
    let Body::Json(body) = reply.body else { panic!("no JSON") };
    body
}

fn refresh(model: &mut Model, validity: &str, now: Timestamp) -> (String, i64) {
    let body = call(model, Request::refresh("key", "secret", "first", validity), now);
    (body["accessToken"].as_str().unwrap().to_owned(), body["validityTime"].as_i64().unwrap())
}

#[test]
fn a_token_is_dead_exactly_at_birth_plus_validity() {
    let mut model = with_application(Life::Expired);
    let (token, _) = refresh(&mut model, "60", at(7));
    assert_eq!(refresh(&mut model, "60", at(7 + 60 * SECOND - 1)).0, token);
    assert_ne!(refresh(&mut model, "60", at(7 + 60 * SECOND)).0, token);
    let journal = model.journal();
    let record = journal.token(&token).unwrap();
    assert!(record.is_live(at(7 + 60 * SECOND - 1)) && !record.is_live(at(7 + 60 * SECOND)));
    assert_eq!(record.death().unwrap().cause, Cause::Expired);
}

#[test]
fn remaining_time_is_whole_seconds_rounded_either_way() {
    for (age, down, up) in [
        (0, 60, 60),
        (1, 59, 60),
        (SECOND, 59, 59),
        (59 * SECOND, 1, 1),
        (59 * SECOND + 1, 0, 1),
        (60 * SECOND - 1, 0, 1),
    ] {
        let mut model = with_application(Life::Millis(60_000));
        assert_eq!(refresh(&mut model, "900", at(age)), ("first".to_owned(), down), "{age} down");
        model.switches().rounding = Rounding::Up;
        assert_eq!(refresh(&mut model, "900", at(age)), ("first".to_owned(), up), "{age} up");
    }
}

#[test]
fn a_lingering_token_reports_what_is_left_of_it_which_is_less_than_nothing() {
    let mut model = with_application(Life::Millis(1000));
    model.switches().linger_millis = 500;
    assert_eq!(refresh(&mut model, "60", at(SECOND)), ("first".to_owned(), 0));
    assert_eq!(refresh(&mut model, "60", at(SECOND + 1)), ("first".to_owned(), -1));
    assert_eq!(refresh(&mut model, "60", at(SECOND * 3 / 2 - 1)), ("first".to_owned(), -1));
    let (fresh, seconds) = refresh(&mut model, "60", at(SECOND * 3 / 2));
    assert_eq!((fresh != "first", seconds), (true, 60));
    let death = model.journal().token("first").unwrap().death().unwrap();
    assert_eq!((death.at, death.cause), (at(SECOND), Cause::Expired));
}

#[test]
fn a_regenerated_application_never_lingers_on_the_killed_token() {
    let mut model = with_application(Life::Millis(60_000));
    model.switches().linger_millis = 60_000;
    let fresh = model.regenerate("key", at(5)).unwrap();
    assert_eq!(refresh(&mut model, "900", at(6)), (fresh.clone(), 59));
    let journal = model.journal();
    let death = journal.token("first").unwrap().death().unwrap();
    assert_eq!((death.at, death.cause), (at(5), Cause::Superseded));
    assert_eq!(journal.token(&fresh).unwrap().expires, Some(at(5 + 60 * SECOND)));
}

#[test]
fn regenerating_after_the_end_leaves_the_old_death_as_it_was() {
    let mut model = with_application(Life::Millis(1000));
    model.regenerate("key", at(9 * SECOND)).unwrap();
    let journal = model.journal();
    let ended = journal.token("first").unwrap();
    assert_eq!((ended.expires, ended.superseded), (Some(at(SECOND)), None));
}

#[test]
fn a_validity_beyond_the_calendar_never_ends() {
    let mut model = with_application(Life::Expired);
    let (token, seconds) = refresh(&mut model, &i64::MAX.to_string(), at(1));
    assert_eq!((seconds, model.journal().token(&token).unwrap().death()), (i64::MAX, None));
}

#[test]
fn a_pair_can_be_extended_until_the_instant_of_its_end() {
    for (now, code) in [(SECOND - 1, ""), (SECOND, "AUTH_1002")] {
        let mut model = Model::new(Switches::default(), 1);
        model.add_session(NewSession::account("user", "pw").with_pair("t", "r", Life::Millis(1000)), at(0));
        assert_eq!(call(&mut model, Request::extend("t", "r"), at(now))["errorCode"], code);
    }
}

#[test]
fn a_log_in_leaves_other_sessions_of_the_account_alone() {
    let mut model = Model::new(Switches::default(), 1);
    model.add_session(NewSession::account("user", "pw").with_pair("t", "r", Life::Never), at(0));
    assert_eq!(call(&mut model, Request::log_in("user", "pw"), at(1))["errorCode"], "");
    assert_eq!(call(&mut model, Request::extend("t", "r"), at(2))["errorCode"], "");
}

#[test]
fn delays_are_told_on_arrival_and_the_work_is_done_when_the_caller_says() {
    let mut model = with_application(Life::Expired);
    for at in [Stage::BeforeWork, Stage::AfterWork] {
        model.faults().push(Fault::once(Action::Delay { millis: 20, at }));
    }
    let request = || Request::refresh("key", "secret", "first", "60");
    let (before, after) = (model.receive(request(), at(0)), model.receive(request(), at(1)));
    let millis = Duration::from_millis;
    assert_eq!((before.delay, before.delay_after), (millis(20), Duration::ZERO));
    assert_eq!((after.delay, after.delay_after), (Duration::ZERO, millis(20)));
    assert_eq!(model.journal().tokens.len(), 1);
    model.answer(after.call, at(2));
    assert_eq!(model.journal().tokens[1].birth, at(2));
}

#[test]
fn a_latency_is_spread_over_its_range_half_of_it_before_the_work_and_half_after_it() {
    let mut model = with_application(Life::Expired);
    model.switches().latency = Latency { least_millis: 100, most_millis: 300 };
    let mut taken = Vec::new();
    for _ in 0..1000 {
        let arrival = model.receive(Request::refresh("key", "secret", "first", "60"), at(0));
        assert_eq!(arrival.delay, arrival.delay_after);
        taken.push((arrival.delay + arrival.delay_after).as_millis());
    }
    let (least, most) = (*taken.iter().min().unwrap(), *taken.iter().max().unwrap());
    assert!((99..105).contains(&least) && (295..=300).contains(&most), "{least} to {most} ms");
    let mean = taken.iter().sum::<u128>() / 1000;
    assert!((190..210).contains(&mean), "{mean} ms");
}

#[test]
fn a_call_ends_once() {
    let mut model = with_application(Life::Never);
    let arrival = model.receive(Request::refresh("key", "secret", "first", "60"), at(0));
    model.end(arrival.call, Some(200), at(1));
    model.end(arrival.call, None, at(2));
    let journal = model.journal();
    assert_eq!((journal.calls[0].ended, journal.calls[0].status), (Some(at(1)), Some(200)));
}

#[test]
fn tokens_follow_from_the_seed_and_look_like_uuids() {
    let token = |seed| {
        let mut model = Model::new(Switches::default(), seed);
        model.add_application(NewApplication::expired("key", "secret", "first"), at(0));
        refresh(&mut model, "60", at(0)).0
    };
    assert_eq!(token(1), token(1));
    assert_ne!(token(1), token(2));
    let lengths: Vec<usize> = token(1).split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
}

#[test]
fn an_application_registered_again_keeps_its_past_in_the_journal() {
    let mut model = with_application(Life::Never);
    model.add_application(NewApplication::expired("key", "other", "second").living(Life::Never), at(1));
    let tokens: Vec<String> = model.journal().tokens.into_iter().map(|token| token.value).collect();
    assert_eq!(tokens, ["first", "second"]);
}

#[test]
fn two_applications_have_two_independent_tokens() {
    let mut model = with_application(Life::Expired);
    model.add_application(NewApplication::expired("standby", "secret", "other"), at(0));
    let (token, _) = refresh(&mut model, "60", at(1));
    call(&mut model, Request::refresh("standby", "secret", "other", "60"), at(2));
    assert_eq!(refresh(&mut model, "60", at(3)).0, token);
}
