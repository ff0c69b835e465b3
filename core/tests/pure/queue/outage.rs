//! An endpoint that is down: one probe at a time, and a paced release.

use super::*;

/// A fleet whose endpoint was found down by `caller` at second 10.
fn down(budget: Budget, caller: &Caller) -> RequestQueue {
    let mut queue = fleet(budget);
    bring_down(&mut queue, caller);
    queue
}

fn bring_down(queue: &mut RequestQueue, caller: &Caller) {
    for second in [8.0, 9.0, 10.0] {
        caller.calls(queue, UNAVAILABLE, second);
    }
    assert!(is_down(queue));
}

fn is_down(queue: &RequestQueue) -> bool {
    queue.peer_health(&member("anybody"), "e", "x", at(0.0)).endpoint_down
}

#[test]
fn an_endpoint_is_down_after_three_failures_of_its_own_and_up_with_any_answer() {
    use FailureKind::{Ended, EndpointNotAllowed, LoginRefused, Refused, Rejected};
    for answer in [Responded, Failed(Refused), Failed(Ended), Failed(LoginRefused)] {
        let (mut queue, a) = (fleet(ROOMY), caller("a", 0.0));
        for (second, result) in [UNAVAILABLE, UNAVAILABLE, answer, UNAVAILABLE, UNAVAILABLE].into_iter().enumerate() {
            a.calls(&mut queue, result, second as f64);
            assert!(!is_down(&queue));
        }
        for says_nothing in [EndpointNotAllowed, Rejected] {
            a.calls(&mut queue, Failed(says_nothing), 5.0);
            assert!(!is_down(&queue));
        }
        a.calls(&mut queue, UNAVAILABLE, 6.0);
        assert!(is_down(&queue));
        a.calls(&mut queue, Failed(Rejected), 7.0);
        assert!(is_down(&queue), "a gateway before an issuer that is down may refuse a request");
        a.calls(&mut queue, answer, 9.0);
        assert!(!is_down(&queue));
    }
}

/// The pauses between probes that fail at once, in seconds.
fn pauses(caller: &Caller, probes: usize) -> Vec<u64> {
    let (mut queue, mut now) = (down(ROOMY, caller), at(10.0));
    let mut pauses = Vec::new();
    for _ in 0..probes {
        let next = later(caller.asks_at(&mut queue, now));
        pauses.push(next.until(now).as_secs());
        now = next;
        assert_eq!(caller.asks_at(&mut queue, now), Admitted);
        queue.request_ended("e", &caller.call_key, &caller.member, Some(UNAVAILABLE), now);
    }
    pauses
}

#[test]
fn probes_come_every_4_s_while_a_token_is_dead_and_ever_less_often_else() {
    assert_eq!(pauses(&caller("dead", 0.0), 5), [1, 2, 4, 4, 4]);
    assert_eq!(pauses(&caller("alive", 9999.0), 9), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_pause_ends_when_a_token_begins_to_press() {
    // The pauses until second 41 are as above; the next would be of 32 s, but the token expires at second 110.
    assert_eq!(pauses(&caller("a", 110.0), 7), [1, 2, 4, 8, 16, 9, 4]);
}

#[test]
fn a_token_that_waits_for_its_own_retry_presses_as_well() {
    let mut queue = down(ROOMY, &caller("dead", 0.0));
    let alive = caller("alive", 9999.0);
    for second in [11.0, 13.0, 17.0] {
        alive.calls(&mut queue, UNAVAILABLE, second);
    }
    assert_eq!(later(alive.asks(&mut queue, 17.0)), at(21.0));
    queue.forget(&member("dead"));
    assert_eq!(later(alive.asks(&mut queue, 17.0)), at(25.0));
}

#[test]
fn one_probe_at_a_time_and_only_one_is_told_to_make_it() {
    let a = caller("a", 0.0);
    let mut queue = down(ROOMY, &a);
    let [b, c] = ["b", "c"].map(|name| caller(name, 0.0));
    assert_eq!(later(b.asks(&mut queue, 10.1)), at(11.0));
    assert!(later(c.asks(&mut queue, 10.2)) >= at(70.0));
    assert_eq!(b.asks(&mut queue, 11.0), Admitted);
    assert!(later(c.asks(&mut queue, 20.0)) >= at(80.0), "alone, however long it takes");
    assert_eq!(b.ends(&mut queue, UNAVAILABLE, 21.0), [(c.member, at(23.0))]);
}

#[test]
fn probes_go_round() {
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    for waiting in [&a, &b, &c] {
        later(waiting.asks(&mut queue, 10.0));
    }
    let (mut probers, mut prober, mut now) = (Vec::new(), a.clone(), at(11.0));
    for _ in 0..7 {
        assert_eq!(prober.asks_at(&mut queue, now), Admitted);
        let woken = queue.request_ended("e", &prober.call_key, &prober.member, Some(UNAVAILABLE), now);
        later(prober.asks_at(&mut queue, now));
        probers.push(prober.member.name.clone());
        now = woken[0].1;
        prober = [&a, &b, &c].into_iter().find(|caller| caller.member == woken[0].0).unwrap().clone();
    }
    assert_eq!(probers, ["a", "b", "c", "a", "b", "c", "a"]);
}

#[test]
fn a_prober_that_does_not_come_is_not_waited_for() {
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    assert_eq!(later(b.asks(&mut queue, 10.0)), at(11.0));
    assert_eq!(later(c.asks(&mut queue, 12.0)), at(16.0), "it has some seconds");
    assert_eq!(c.asks(&mut queue, 16.1), Admitted);
}

#[test]
fn a_prober_that_withdraws_is_replaced_at_once() {
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    later(b.asks(&mut queue, 10.0));
    later(c.asks(&mut queue, 10.0));
    assert_eq!(queue.withdraw(&b.member, at(10.5)), [(c.member, at(11.0))]);
}

#[test]
fn others_that_withdraw_change_nothing_unless_the_prober_is_overdue() {
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    for waiting in [&b, &c, &d, &e] {
        later(waiting.asks(&mut queue, 10.0));
    }
    assert_eq!(queue.withdraw(&c.member, at(10.5)), []);
    assert_eq!(queue.withdraw(&d.member, at(16.1)), [(e.member, at(16.1))]);
}

#[test]
fn calls_that_began_before_the_outage_are_waited_for_and_are_no_probes() {
    let (mut queue, waiting) = (fleet(ROOMY), caller("waiting", 0.0));
    let running = ["a", "b", "c", "d", "e"].map(|name| caller(name, 9999.0));
    assert!(running.iter().all(|caller| caller.asks(&mut queue, 0.0) == Admitted));
    for (second, caller) in (1..).zip(&running[..4]) {
        if second == 4 {
            assert!(later(waiting.asks(&mut queue, 3.5)) > at(60.0));
        }
        assert_eq!(caller.ends(&mut queue, UNAVAILABLE, f64::from(second)), []);
        assert_eq!(is_down(&queue), second >= 3);
    }
    // The outage began at 3 s, and its first probe is 1 s later.
    assert_eq!(running[4].ends(&mut queue, UNAVAILABLE, 5.0), [(waiting.member.clone(), at(5.0))]);
    assert_eq!(waiting.asks(&mut queue, 5.0), Admitted);
}

#[test]
fn a_dead_token_does_not_wait_for_the_prober_of_a_living_one() {
    let alive = caller("alive", 9999.0);
    let mut queue = down(ROOMY, &alive);
    for second in [11.0, 13.0, 17.0, 25.0] {
        alive.calls(&mut queue, UNAVAILABLE, second);
    }
    assert_eq!(later(alive.asks(&mut queue, 25.0)), at(41.0));
    assert_eq!(later(caller("dead", 0.0).asks(&mut queue, 26.0)), at(29.0));
}

#[test]
fn who_is_released_while_it_calls_is_not_woken_when_that_ends() {
    let (mut queue, [a, b]) = (fleet(ROOMY), ["a", "b"].map(|name| caller(name, 0.0)));
    a.calls(&mut queue, UNAVAILABLE, 1.0);
    b.asks(&mut queue, 2.0);
    a.asks(&mut queue, 2.0);
    for second in [3.0, 4.0] {
        let other = caller("c", 0.0);
        other.asks(&mut queue, second);
        other.ends(&mut queue, UNAVAILABLE, second);
    }
    assert!(is_down(&queue));
    b.ends(&mut queue, Responded, 5.0);
    assert!(a.ends(&mut queue, Responded, 5.0).is_empty());
    queue.forget(&a.member);
    assert!(!queue.take_retry_release(&a.member), "that was another one of this name");
}

#[test]
fn all_who_wait_or_failed_are_released_in_order_at_the_budgeted_rate() {
    let (failed, prober) = (caller("failed", 0.0), caller("prober", 5.0).in_namespace("m"));
    let (mut queue, healed) = (fleet(Budget { in_flight: 16, per_second: 10 }), caller("healed", 0.0));
    healed.calls(&mut queue, UNAVAILABLE, 0.0);
    healed.calls(&mut queue, Responded, 1.0);
    for (second, caller) in [(8.0, &failed), (9.0, &prober), (10.0, &failed)] {
        caller.calls(&mut queue, UNAVAILABLE, second);
    }
    for waiting in [&prober, &caller("late", 99.0), &caller("soon", 50.0)] {
        later(waiting.asks(&mut queue, 10.5));
    }
    let released = prober.calls(&mut queue, Responded, 13.0);
    assert_eq!(names(&released), ["failed", "soon", "late"], "the probe was no retry: now it is their turn");
    for (rank, (_, moment)) in released.iter().enumerate() {
        let expected = 13.0 + 0.1 * (rank + 1) as f64;
        assert!(*moment >= at(expected) && *moment < at(expected + 0.01), "not in a burst");
    }
    assert!(queue.take_retry_release(&failed.member));
    assert!(!queue.take_retry_release(&failed.member) && !queue.take_retry_release(&prober.member));
    assert_eq!(failed.again().asks_at(&mut queue, released[0].1), Admitted);
}

#[test]
fn a_prober_that_goes_to_another_endpoint_is_replaced_at_once() {
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    later(b.asks(&mut queue, 10.0));
    later(c.asks(&mut queue, 10.0));
    assert_eq!(queue.set_endpoint(&b.member, "other", at(10.5)), [(c.member, at(11.0))]);
}

#[test]
fn who_announces_a_probe_and_does_not_make_it_is_followed_by_another_one() {
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    later(b.asks(&mut queue, 10.0));
    later(c.asks(&mut queue, 10.0));
    assert_eq!(b.lines_up(&mut queue, 11.0), (Admitted, vec![(c.member.clone(), at(12.0))]));
    // b is still writing.
    assert_eq!(c.asks(&mut queue, 12.0), Admitted);
}

#[test]
fn who_announces_a_probe_and_makes_it_is_alone_with_it() {
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    let mut queue = down(ROOMY, &a);
    later(b.asks(&mut queue, 10.0));
    later(c.asks(&mut queue, 10.0));
    assert_eq!(b.lines_up(&mut queue, 11.0).0, Admitted);
    assert_eq!(b.asks(&mut queue, 11.1), Admitted);
    assert!(later(c.asks(&mut queue, 12.0)) > at(60.0));
}
