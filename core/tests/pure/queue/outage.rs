//! An endpoint that is down: one probe at a time, and a paced release.

use super::*;

/// A queue whose endpoint was found down by `caller` at second 10.
fn down(budget: Budget, caller: &Caller) -> RequestQueue {
    let mut queue = fleet(budget);
    for second in [8.0, 9.0, 10.0] {
        caller.calls(&mut queue, UNAVAILABLE, second);
    }
    assert!(is_down(&queue));
    queue
}

fn is_down(queue: &RequestQueue) -> bool {
    queue.peer_health(&member("anybody"), "e", "x", at(0.0)).endpoint_down
}

fn three() -> [Caller; 3] {
    ["a", "b", "c"].map(|name| caller(name, 0.0))
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
        caller.waits_at(&mut queue, now);
        let At(next) = queue.grant(now) else { panic!("no pause") };
        pauses.push(next.until(now).as_secs());
        now = next;
        assert_eq!(queue.grant(now), Turn(caller.member.clone()));
        queue.request_started(&caller.member);
        queue.permit_ended("e", &caller.member, Some(UNAVAILABLE), now);
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
    alive.waits(&mut queue, 17.0);
    assert_eq!(expected(&mut queue, 17.5), at(21.0));
    queue.forget(&member("dead"), at(17.0));
    assert_eq!(expected(&mut queue, 17.5), at(25.0));
}

#[test]
fn a_dead_token_does_not_wait_for_the_pause_of_a_living_one() {
    let alive = caller("alive", 9999.0);
    let mut queue = down(ROOMY, &alive);
    for second in [11.0, 13.0, 17.0, 25.0] {
        alive.calls(&mut queue, UNAVAILABLE, second);
    }
    alive.waits(&mut queue, 25.0);
    assert_eq!(expected(&mut queue, 26.0), at(41.0));
    caller("dead", 0.0).waits(&mut queue, 26.0);
    assert_eq!(expected(&mut queue, 26.0), at(29.0));
}

#[test]
fn there_is_one_probe_at_a_time_however_long_it_takes() {
    let [a, b, c] = three();
    let mut queue = down(ROOMY, &a);
    all_wait(&mut queue, &[c, b.clone()], 10.1);
    assert_eq!(expected(&mut queue, 10.6), at(11.0));
    assert_eq!(senders(&mut queue, 11.0), ["b"]);
    assert_eq!(queue.grant(at(80.0)), Later);
    b.ends(&mut queue, UNAVAILABLE, 81.0);
    assert_eq!(expected(&mut queue, 81.0), at(83.0));
    assert_eq!(senders(&mut queue, 83.0), ["c"]);
}

#[test]
fn probes_go_round() {
    let mut queue = down(ROOMY, &caller("a", 0.0));
    let (mut probers, mut now) = (Vec::new(), at(10.0));
    for _ in 0..7 {
        three().iter().for_each(|waiting| waiting.waits_at(&mut queue, now));
        let At(moment) = queue.grant(now) else { panic!("no pause") };
        let Turn(prober) = queue.grant(moment) else { panic!("no probe") };
        queue.request_started(&prober);
        queue.permit_ended("e", &prober, Some(UNAVAILABLE), moment);
        probers.push(prober.name().to_owned());
        now = moment;
    }
    assert_eq!(probers, ["a", "b", "c", "a", "b", "c", "a"]);
}

#[test]
fn a_prober_that_withdraws_or_goes_is_replaced_at_once() {
    let goes: [fn(&mut RequestQueue, &Caller); 3] = [
        |queue, b| queue.withdraw(&b.member, at(11.1)),
        |queue, b| drop(queue.forget(&b.member, at(11.1))),
        |queue, b| queue.set_endpoint(&b.member, "other", at(11.1)),
    ];
    for goes in goes {
        let [a, b, c] = three();
        let mut queue = down(ROOMY, &a);
        all_wait(&mut queue, &[b.clone(), c.clone()], 10.0);
        assert_eq!(granted(&mut queue, 11.0), std::slice::from_ref(&b.member));
        goes(&mut queue, &b);
        assert_eq!(granted(&mut queue, 11.1), [c.member]);
    }
}

#[test]
fn a_prober_whose_pass_hangs_is_followed_by_another_one() {
    let [a, b, c] = three();
    let mut queue = down(ROOMY, &a);
    all_wait(&mut queue, &[b.clone(), c.clone()], 10.0);
    assert_eq!(granted(&mut queue, 11.0), [b.member]);
    assert_eq!(granted(&mut queue, 11.4), []);
    assert_eq!(granted(&mut queue, 11.5), [c.member]);
}

#[test]
fn a_prober_that_comes_late_does_not_probe_beside_another_one() {
    let [a, b, c] = three();
    let mut queue = down(ROOMY, &a);
    all_wait(&mut queue, &[b.clone(), c], 10.0);
    assert_eq!(granted(&mut queue, 11.0), std::slice::from_ref(&b.member));
    assert_eq!(senders(&mut queue, 11.5), ["c"]);
    assert!(!b.acquires(&mut queue, 12.0));
}

#[test]
fn requests_that_began_before_the_outage_are_waited_for_and_are_no_probes() {
    let (mut queue, waiting) = (fleet(ROOMY), caller("waiting", 0.0));
    let running = ["a", "b", "c", "d", "e"].map(|name| caller(name, 9999.0));
    all_send(&mut queue, &running, 0.0);
    for (second, caller) in (1..).zip(&running[..4]) {
        caller.ends(&mut queue, UNAVAILABLE, f64::from(second));
        assert_eq!(is_down(&queue), second >= 3);
    }
    waiting.waits(&mut queue, 4.5);
    assert_eq!(queue.grant(at(4.5)), Later, "the last one may tell");
    running[4].ends(&mut queue, UNAVAILABLE, 5.0);
    // The outage began at 3 s, and its first probe is 1 s later.
    assert_eq!(senders(&mut queue, 5.0), ["waiting"]);
}

#[test]
fn who_is_released_while_its_request_is_on_its_way_waits_for_no_other() {
    let (mut queue, [a, b, c]) = (fleet(ROOMY), three());
    a.calls(&mut queue, UNAVAILABLE, 1.0);
    all_send(&mut queue, &[a.clone(), b.clone()], 2.0);
    for second in [3.0, 4.0] {
        c.sends(&mut queue, second);
        c.ends(&mut queue, UNAVAILABLE, second);
    }
    assert!(is_down(&queue));
    b.ends(&mut queue, Responded, 5.0);
    a.ends(&mut queue, Responded, 5.0);
    assert_eq!(senders(&mut queue, 9.0), ["c"]);
    queue.forget(&a.member, at(9.0));
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
    all_wait(&mut queue, &[caller("late", 99.0), caller("soon", 50.0)], 10.5);
    prober.calls(&mut queue, Responded, 13.0);
    let mut now = at(13.0);
    // What failed is a retry now.
    for (number, name) in ["soon", "failed", "late"].into_iter().enumerate() {
        let At(moment) = queue.grant(now) else { panic!("a burst") };
        let exact = at(13.0 + 0.1 * (number + 1) as f64);
        assert!(moment >= exact && moment < exact + Duration::from_millis(10), "{moment:?}");
        assert_eq!(queue.grant(moment), Turn(member(name)));
        queue.request_started(&member(name));
        now = moment;
    }
    assert!(queue.take_retry_release(&failed.member));
    assert!(!queue.take_retry_release(&failed.member) && !queue.take_retry_release(&prober.member));
    assert!(!queue.take_retry_release(&healed.member));
}
