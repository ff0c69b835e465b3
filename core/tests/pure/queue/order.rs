//! The order in which calls are admitted, while the endpoint is up.

use super::*;

const ONE: Budget = Budget { in_flight: 1, per_second: 50 };

/// The names in the order in which they are admitted, one at a time, after all have wished at second 0.
fn order(waiting: &[Caller]) -> Vec<String> {
    let (mut queue, first) = (fleet(ONE), caller("first", 0.0));
    assert_eq!(first.asks(&mut queue, 0.0), Admitted);
    for caller in waiting {
        later(caller.asks(&mut queue, 0.0));
    }
    let (mut running, mut order) = (first, Vec::new());
    for second in 1..=waiting.len() {
        let woken = running.ends(&mut queue, Responded, second as f64);
        let [(next, moment)] = &woken[..] else { panic!("one is woken, not {woken:?}") };
        assert_eq!(*moment, at(second as f64));
        running = waiting.iter().find(|caller| caller.member == *next).unwrap().clone();
        assert_eq!(running.asks(&mut queue, second as f64), Admitted);
        order.push(running.member.name.clone());
    }
    order
}

#[test]
fn what_has_been_due_for_the_longest_comes_first() {
    let waiting = [caller("a", 30.0), caller("b", 10.0), caller("c", 20.0), caller("d", 0.0)];
    assert_eq!(order(&waiting), ["d", "b", "c", "a"]);
}

#[test]
fn retries_take_turns_with_the_others_and_each_go_by_expiry() {
    let retries = [caller("r", 2.0).again(), caller("s", 1.0).again(), caller("t", 3.0).again()];
    let fresh = [caller("a", 30.0), caller("b", 10.0)];
    // The call before was no retry.
    assert_eq!(order(&[&retries[..], &fresh[..]].concat()), ["s", "b", "r", "a", "t"]);
}

#[test]
fn retries_have_half_of_the_room_while_others_wait_and_all_of_it_else() {
    for (fresh, expected) in [(20, 4), (0, 8)] {
        let mut queue = fleet(Budget { in_flight: 8, per_second: 50 });
        let running: Vec<_> = (0..8).map(|n| caller(&format!("first{n}"), 0.0)).collect();
        assert!(running.iter().all(|caller| caller.asks(&mut queue, 0.0) == Admitted));
        let fresh = (0..fresh).map(|n| caller(&format!("fresh{n}"), 10.0));
        let waiting: Vec<_> = (0..20).map(|n| caller(&format!("retry{n}"), 5.0).again()).chain(fresh).collect();
        for caller in &waiting {
            later(caller.asks(&mut queue, 0.0));
        }
        let mut admitted = Vec::new();
        for caller in &running {
            for (woken, _) in caller.ends(&mut queue, Responded, 1.0) {
                let caller = waiting.iter().find(|caller| caller.member == woken).unwrap();
                assert_eq!(caller.asks(&mut queue, 1.0), Admitted);
                admitted.push(caller.is_retry);
            }
        }
        assert_eq!((admitted.len(), admitted.iter().filter(|is_retry| **is_retry).count()), (8, expected));
    }
}

#[test]
fn a_retry_beyond_its_half_waits_although_there_is_room() {
    let mut queue = fleet(Budget { in_flight: 4, per_second: 2 });
    for name in ["r", "s"] {
        assert_eq!(caller(name, 1.0).again().asks(&mut queue, 0.0), Admitted);
    }
    let permitted = later(caller("a", 9.0).asks(&mut queue, 0.0));
    assert!(later(caller("t", 1.0).again().asks(&mut queue, 0.0)) > permitted);
    assert_eq!(caller("a", 9.0).asks_at(&mut queue, permitted), Admitted);
    assert_eq!(caller("t", 1.0).again().asks(&mut queue, 2.0), Admitted, "nobody else waits any more");
}

#[test]
fn retries_that_fill_the_room_give_way_until_the_others_have_half_of_it() {
    let mut queue = fleet(Budget { in_flight: 4, per_second: 50 });
    let retries: Vec<_> = (0..8).map(|n| caller(&format!("retry{n}"), n as f64).again()).collect();
    assert!(retries[..4].iter().all(|caller| caller.asks(&mut queue, 0.0) == Admitted));
    let waiting = [&retries[4..], &[caller("a", 9.0), caller("b", 9.0), caller("c", 9.0)]].concat();
    for caller in &waiting {
        later(caller.asks(&mut queue, 0.0));
    }
    let mut order = Vec::new();
    for ended in &retries[..4] {
        let woken = ended.ends(&mut queue, Responded, 1.0).remove(0).0;
        let next = waiting.iter().find(|caller| caller.member == woken).unwrap();
        assert_eq!(next.asks(&mut queue, 1.0), Admitted);
        order.push(woken.name);
    }
    assert_eq!(order, ["a", "b", "retry4", "c"]);
}

#[test]
fn whoever_comes_first_by_order_goes_before_those_who_waited_longer() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    assert_eq!(caller("a", 5.0).asks(&mut queue, 0.0), Admitted);
    let wake_at = later(caller("b", 5.0).asks(&mut queue, 0.0));
    assert!(wake_at > at(1.0) && wake_at < at(1.1));
    assert_eq!(caller("c", 4.0).asks_at(&mut queue, wake_at), Admitted);
    let next = later(caller("b", 5.0).asks_at(&mut queue, wake_at));
    assert!(next > at(2.0) && next < at(2.1));
}

#[test]
fn a_slow_endpoint_delays_no_other() {
    let mut queue = fleet(ONE);
    assert_eq!(caller("a", 0.0).asks(&mut queue, 0.0), Admitted);
    later(caller("b", 0.0).asks(&mut queue, 0.0));
    let elsewhere = caller("c", 9.0).at_endpoint("other");
    assert_eq!(elsewhere.asks(&mut queue, 0.0), Admitted);
}

#[test]
fn calls_with_one_key_are_made_one_at_a_time_and_hold_up_nobody_else() {
    let mut queue = fleet(ROOMY);
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 9.0).with_key("x"));
    assert_eq!(a.asks(&mut queue, 0.0), Admitted);
    let limit = later(b.asks(&mut queue, 0.0)).until(at(0.0));
    assert!(limit >= Duration::from_secs(10), "woken sooner, by the end of the call");
    later(c.asks(&mut queue, 0.0));
    assert_eq!(caller("d", 99.0).asks(&mut queue, 0.0), Admitted);
    assert_eq!(a.ends(&mut queue, Responded, 1.0), [(b.member.clone(), at(1.0))]);
    assert_eq!(b.asks(&mut queue, 1.0), Admitted);
    later(c.asks(&mut queue, 1.0));
    assert_eq!(b.ends(&mut queue, Responded, 2.0), [(c.member.clone(), at(2.0))]);
}

#[test]
fn a_call_that_was_not_made_makes_room_and_says_nothing_of_the_endpoint() {
    let mut queue = fleet(ONE);
    let (a, b) = (caller("a", 0.0), caller("b", 0.0));
    for second in [0.0, 1.0, 2.0, 3.0] {
        assert_eq!(a.asks(&mut queue, second), Admitted);
        later(b.asks(&mut queue, second));
        let woken = queue.request_ended("e", "a", &a.member, None, at(second));
        assert_eq!(woken, [(b.member.clone(), at(second))]);
        assert!(queue.withdraw(&b.member, at(second)).is_empty());
    }
    assert!(!queue.peer_health(&b.member, "e", "x", at(3.0)).endpoint_down);
}

#[test]
fn a_place_that_is_given_up_or_not_claimed_in_time_is_free_for_the_next() {
    let mut queue = fleet(ONE);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| caller(name, 9.0));
    assert_eq!(a.asks(&mut queue, 0.0), Admitted);
    for waiting in [&b, &c, &d] {
        later(waiting.asks(&mut queue, 0.0));
    }
    assert_eq!(names(&a.ends(&mut queue, Responded, 1.0)), ["b"]);
    assert_eq!(queue.withdraw(&b.member, at(1.0)), [(c.member.clone(), at(1.0))]);
    // It was told to come at 1 s and does not.
    later(d.asks(&mut queue, 5.9));
    assert_eq!(d.asks(&mut queue, 6.1), Admitted);
}

#[test]
fn nobody_is_woken_to_gain_a_moment() {
    let mut queue = fleet(Budget { in_flight: 99, per_second: 20 });
    assert!((0..20).all(|n| caller(&format!("first{n}"), 0.0).asks(&mut queue, 0.0) == Admitted));
    let waiting: Vec<_> = (0..9).map(|n| caller(&format!("waiting{n}"), 9.0)).collect();
    let wake_at: Vec<_> = waiting.iter().map(|caller| later(caller.asks(&mut queue, 0.0))).collect();
    assert!(wake_at[8] > at(0.45));
    assert_eq!(queue.withdraw(&waiting[0].member, at(0.0)), [], "all could come 50 ms earlier");
    assert_eq!(queue.withdraw(&waiting[1].member, at(0.0)), []);
    assert_eq!(queue.withdraw(&waiting[2].member, at(0.0)).len(), 6, "now 150 ms");
}

#[test]
fn who_is_gone_is_neither_waited_for_nor_woken() {
    let mut queue = fleet(ONE);
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 9.0));
    assert_eq!(a.asks(&mut queue, 0.0), Admitted);
    later(b.asks(&mut queue, 0.0));
    later(c.asks(&mut queue, 0.0));
    queue.forget(&b.member);
    assert_eq!(names(&a.ends(&mut queue, Responded, 1.0)), ["c"]);
}

#[test]
fn a_resource_that_goes_to_another_endpoint_leaves_its_place() {
    let mut queue = fleet(ONE);
    let [a, b] = ["a", "b"].map(|name| caller(name, 9.0));
    assert_eq!(a.asks(&mut queue, 0.0), Admitted);
    later(b.asks(&mut queue, 0.0));
    assert!(queue.set_endpoint(&b.member, "other", at(0.0)).is_empty());
    assert_eq!(b.at_endpoint("other").asks(&mut queue, 0.0), Admitted);
    assert!(a.ends(&mut queue, Responded, 1.0).is_empty());
}

#[test]
fn nothing_is_kept_of_who_is_gone() {
    let mut queue = fleet(ROOMY);
    let gone = caller("a-name", 0.0).at_endpoint("https://nowhere.example");
    for second in [0.0, 1.0, 2.0] {
        gone.calls(&mut queue, UNAVAILABLE, second);
    }
    queue.set_application(&gone.member, "x", false);
    later(gone.asks(&mut queue, 2.0));
    assert!(format!("{queue:?}").contains("nowhere.example"));
    queue.forget(&gone.member);
    let left = format!("{queue:?}");
    assert!(!left.contains("nowhere.example") && !left.contains("a-name"), "{left}");
}

#[test]
fn who_announces_a_call_has_a_place_for_some_seconds_and_holds_nothing() {
    let mut queue = fleet(ONE);
    let [hangs, next] = ["hangs", "next"].map(|name| caller(name, 0.0));
    assert_eq!(hangs.lines_up(&mut queue, 0.0).0, Admitted);
    assert_eq!(later(next.asks(&mut queue, 0.0)), at(5.0));
    assert_eq!(next.asks(&mut queue, 5.1), Admitted);
    later(hangs.asks(&mut queue, 5.2));
}

#[test]
fn a_call_that_was_not_made_costs_no_permit() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    let [a, b] = ["a", "b"].map(|name| caller(name, 0.0));
    assert_eq!(a.asks(&mut queue, 0.0), Admitted);
    queue.request_ended("e", "a", &a.member, None, at(0.0));
    assert_eq!(b.asks(&mut queue, 0.0), Admitted);
}
