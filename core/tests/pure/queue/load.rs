//! How many tokens an endpoint serves, when they expire, and how fast it issues them.

use super::{ROOMY, all_send, at, caller, member};
use std::time::Duration;
use syniverse_token_core::queue::EndpointResult::Responded;
use syniverse_token_core::queue::load::Load;
use syniverse_token_core::queue::{Budget, RequestQueue};
use syniverse_token_core::schedule::EndpointLoad;

/// At 2 in a second half of the budget is 10 tokens in 10 s, and 60 in a minute.
const SLOW: Budget = Budget { in_flight: 1, per_second: 2 };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many tokens that expire at `expires`.
fn tokens(load: &mut Load, count: usize, expires: f64) {
    (0..count).for_each(|number| load.token_until(&member(&format!("{expires}-{number}")), at(expires)));
}

fn is_busy(load: &Load, now: f64) -> bool {
    load.at(at(now)).is_busy
}

#[test]
fn an_endpoint_without_a_token_has_no_load() {
    assert_eq!(Load::new(SLOW).at(at(0.0)), EndpointLoad::default());
}

#[test]
fn tokens_are_counted_once_whatever_becomes_of_them() {
    let mut load = Load::new(SLOW);
    tokens(&mut load, 3, 1000.0);
    load.token_until(&member("1000-0"), at(2000.0));
    load.token_until(&member("1000-0"), at(2000.0));
    assert_eq!(load.at(at(0.0)).served_tokens, 3);
    load.forget(&member("1000-0"));
    load.forget(&member("1000-0"));
    load.forget(&member("stranger"));
    assert_eq!((load.at(at(0.0)).served_tokens, load.is_empty()), (2, false));
    ["1000-1", "1000-2"].iter().for_each(|name| load.forget(&member(name)));
    assert!(load.is_empty());
}

#[test]
fn an_endpoint_is_busy_while_more_than_half_of_its_budget_is_due() {
    let mut load = Load::new(SLOW);
    tokens(&mut load, 10, 1000.0);
    assert!(!is_busy(&load, 995.0), "exactly half");
    load.token_until(&member("one more"), at(1003.0));
    assert!(!is_busy(&load, 992.0) && is_busy(&load, 994.0), "within 10 s");
    load.token_until(&member("one more"), at(3000.0));
    assert!(!is_busy(&load, 994.0), "it was renewed");
}

#[test]
fn half_of_the_budget_of_a_minute_counts_as_well() {
    let mut load = Load::new(SLOW);
    // 8 in any 10 s.
    (0..8).for_each(|number| tokens(&mut load, 8, 1000.0 + f64::from(number) * 10.0));
    assert!(!is_busy(&load, 985.0), "5 times 8 within a minute");
    assert!(is_busy(&load, 1015.0), "8 times 8 with those that are late");
}

#[test]
fn what_expired_more_than_a_minute_ago_is_not_about_to_be_renewed() {
    let mut load = Load::new(SLOW);
    tokens(&mut load, 100, 1000.0);
    assert!(is_busy(&load, 1059.0) && !is_busy(&load, 1061.0));
}

#[test]
fn the_shortest_of_the_last_round_trips_is_known() {
    let mut load = Load::new(ROOMY);
    let shortest = |load: &Load| load.at(at(0.0)).shortest_round_trip;
    load.round_trip(ms(100));
    [300, 200].into_iter().for_each(|millis| load.round_trip(ms(millis)));
    assert_eq!(shortest(&load), Some(ms(100)));
    (0..64).for_each(|_| load.round_trip(ms(150)));
    assert_eq!(shortest(&load), Some(ms(100)), "one of the last 67");
    (0..64).for_each(|_| load.round_trip(ms(150)));
    assert_eq!(shortest(&load), Some(ms(150)), "it is slower now");
}

#[test]
fn the_queue_knows_the_load_of_each_endpoint() {
    let mut queue = RequestQueue::new("salt".into(), ROOMY);
    let (here, there) = (caller("here", 0.0), caller("there", 0.0).at_endpoint("other"));
    all_send(&mut queue, &[here.clone(), there], 0.0);
    here.ends(&mut queue, Responded, 0.1);
    queue.round_trip("e", ms(100));
    queue.token_until(&here.member, "e", at(1000.0), at(0.1));
    let load = |queue: &RequestQueue, endpoint: &str| queue.peer_health(&here.member, endpoint, "key", at(1.0)).load;
    let known = EndpointLoad { served_tokens: 1, shortest_round_trip: Some(ms(100)), is_busy: false };
    assert_eq!((load(&queue, "e"), load(&queue, "other")), (known, EndpointLoad::default()));
    queue.set_endpoint(&here.member, "other", at(2.0));
    assert_eq!(load(&queue, "e").served_tokens, 0);
}

#[test]
fn an_endpoint_whose_tokens_live_is_not_forgotten_with_a_resource() {
    let mut queue = RequestQueue::new("salt".into(), ROOMY);
    for name in ["one", "other"].map(member) {
        queue.set_endpoint(&name, "e", at(0.0));
        queue.token_until(&name, "e", at(1000.0), at(0.0));
    }
    queue.forget(&member("one"), at(1.0));
    assert_eq!(queue.peer_health(&member("other"), "e", "key", at(1.0)).load.served_tokens, 1);
}
