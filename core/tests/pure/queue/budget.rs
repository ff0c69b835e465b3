//! How much of the budget is used, and what waits for it.

use super::*;
use syniverse_token_core::queue::budget_use::BudgetUse;

const TWO: Budget = Budget { in_flight: 2, per_second: 4 };

#[test]
fn what_waits_is_counted_by_priority_and_what_is_in_flight_as_a_share() {
    let mut queue = RequestQueue::new("salt".into(), TWO);
    assert_eq!(queue.budget_use(at(0.0)), BudgetUse::default());
    caller("a", 10.0).sends(&mut queue, 0.0);
    assert_eq!(queue.budget_use(at(0.0)), BudgetUse { waiting: [0; 3], in_flight: 0.5, rate: 0.25 });
    caller("b", 10.0).sends(&mut queue, 0.0);
    for waiting in [caller("c", 10.0), caller("d", 10.0), caller("e", 10.0).not_due(), caller("f", 10.0).again()] {
        waiting.waits(&mut queue, 0.0);
    }
    assert_eq!(queue.budget_use(at(0.0)), BudgetUse { waiting: [2, 1, 1], in_flight: 1.0, rate: 0.5 });
    caller("a", 10.0).ends(&mut queue, Responded, 1.0);
    assert_eq!(queue.budget_use(at(1.0)), BudgetUse { waiting: [2, 1, 1], in_flight: 0.5, rate: 0.0 });
}

#[test]
fn the_endpoint_or_host_with_least_room_counts() {
    let mut queue = RequestQueue::new("salt".into(), TWO);
    for (name, endpoint) in [("a", "https://h/1"), ("b", "https://h/2"), ("c", "https://h/3"), ("d", "https://i/1")] {
        caller(name, 10.0).in_namespace(name).at_endpoint(endpoint).sends(&mut queue, 0.0);
    }
    // Three of the four of the host, and a half of each endpoint.
    assert_eq!(queue.budget_use(at(0.0)), BudgetUse { waiting: [0; 3], in_flight: 0.75, rate: 0.75 });
}

#[test]
fn what_waits_for_an_endpoint_that_is_down_does_not_wait_for_the_budget() {
    let mut queue = RequestQueue::new("salt".into(), ROOMY);
    for name in ["a", "b", "c"] {
        let caller = caller(name, 10.0).in_namespace(name);
        caller.sends(&mut queue, 0.0);
        caller.ends(&mut queue, UNAVAILABLE, 0.0);
    }
    caller("d", 100.0).not_due().in_namespace("d").waits(&mut queue, 0.0);
    assert_eq!(queue.budget_use(at(0.0)).waiting, [0; 3]);
}
