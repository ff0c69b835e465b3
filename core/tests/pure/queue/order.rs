//! The order of the permits of one namespace, while the endpoint is up.

use super::*;

/// The names in the order of their permits, one at a time, after all have come at second 0.
fn order(waiting: &[Caller]) -> Vec<String> {
    let mut queue = fleet(ONE);
    all_wait(&mut queue, waiting, 0.0);
    names(&one_by_one(&mut queue, waiting, 0.0)).into_iter().map(str::to_owned).collect()
}

fn some(prefix: &str, count: usize, priority: Priority) -> Vec<Caller> {
    (0..count).map(|n| caller(&format!("{prefix}{n:02}"), n as f64).with_priority(priority)).collect()
}

#[test]
fn what_has_been_due_for_the_longest_comes_first() {
    let waiting = [caller("a", 30.0), caller("b", 10.0), caller("c", 20.0), caller("d", 0.0)];
    assert_eq!(order(&waiting), ["d", "b", "c", "a"]);
}

#[test]
fn retries_take_turns_with_what_is_new_and_each_go_by_expiry() {
    let retries = [caller("r", 2.0).again(), caller("s", 1.0).again(), caller("t", 3.0).again()];
    let new = [caller("a", 30.0).not_due(), caller("b", 10.0).not_due()];
    assert_eq!(order(&[&retries[..], &new[..]].concat()), ["b", "s", "a", "r", "t"]);
}

#[test]
fn half_of_the_permits_are_for_what_is_due_and_a_quarter_each_for_the_others() {
    let kinds = Priority::ALL.map(|priority| some(&format!("{priority:?}"), 20, priority));
    let order = order(&kinds.concat());
    for count in [8, 16, 24, 32] {
        let of = |kind: &str| order[..count].iter().filter(|name| name.starts_with(kind)).count();
        assert_eq!(["Due", "New", "Retry"].map(of), [count / 2, count / 4, count / 4], "{order:?}");
    }
    assert_eq!(order.len(), 60);
}

#[test]
fn what_did_not_wait_has_saved_up_no_permits() {
    let (mut queue, due) = (fleet(ONE), some("due", 60, Priority::Due));
    all_wait(&mut queue, &due[..30], 0.0);
    assert_eq!(one_by_one(&mut queue, &due, 0.0).len(), 30);
    let new = some("new", 30, Priority::New);
    all_wait(&mut queue, &[&due[30..], &new[..]].concat(), 40.0);
    let order = one_by_one(&mut queue, &[due, new].concat(), 40.0);
    let first_new = order[..12].iter().filter(|caller| caller.request.priority == Priority::New).count();
    assert_eq!(first_new, 4, "twice as many are due: {:?}", names(&order));
}

#[test]
fn retries_have_half_of_the_room_while_others_wait_and_all_of_it_else() {
    for (others, expected) in [(0, 8), (20, 4)] {
        let mut queue = fleet(Budget { in_flight: 8, per_second: 50 });
        all_wait(&mut queue, &some("retry", 20, Priority::Retry), 0.0);
        all_wait(&mut queue, &some("new", others, Priority::New), 0.0);
        let names = senders(&mut queue, 0.0);
        let retries = names.iter().filter(|name| name.starts_with("retry")).count();
        assert_eq!((names.len(), retries), (8, expected));
    }
}

#[test]
fn retries_that_fill_the_room_give_way_until_the_others_have_half_of_it() {
    let (mut queue, retries) = (fleet(Budget { in_flight: 4, per_second: 50 }), some("retry", 8, Priority::Retry));
    all_send(&mut queue, &retries[..4], 0.0);
    all_wait(&mut queue, &retries[4..], 0.0);
    all_wait(&mut queue, &some("new", 3, Priority::New), 0.0);
    let mut order = Vec::new();
    for ended in &retries[..4] {
        ended.ends(&mut queue, Responded, 1.0);
        order.extend(senders(&mut queue, 1.0));
    }
    assert_eq!(order[..2], ["new00", "new01"], "{order:?}");
    assert_eq!((order.len(), order.iter().filter(|name| name.starts_with("retry")).count()), (4, 1), "{order:?}");
}

#[test]
fn whoever_comes_first_by_order_goes_before_those_who_waited_longer() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    caller("a", 5.0).sends(&mut queue, 0.0);
    caller("b", 5.0).waits(&mut queue, 0.0);
    let next = expected(&mut queue, 0.0);
    assert!(next > at(1.0) && next < at(1.1), "{next:?}");
    caller("c", 4.0).waits(&mut queue, 0.5);
    assert_eq!(queue.grant(next), Turn(member("c")));
    queue.request_started(&member("c"));
    let then = expected(&mut queue, 1.1);
    assert!(then > at(2.0) && then < at(2.1), "{then:?}");
    assert_eq!(queue.grant(then), Turn(member("b")));
}

#[test]
fn without_room_nobody_asks_in_vain() {
    let (mut queue, a) = (fleet(ONE), caller("a", 0.0));
    assert_eq!(queue.grant(at(0.0)), Later);
    a.sends(&mut queue, 0.0);
    caller("b", 0.0).waits(&mut queue, 0.0);
    assert_eq!(queue.grant(at(1.0)), Later, "not before a request ends");
    a.ends(&mut queue, Responded, 2.0);
    assert_eq!(queue.grant(at(2.0)), Turn(member("b")));
}

#[test]
fn a_slow_endpoint_delays_no_other() {
    let mut queue = fleet(ONE);
    caller("a", 0.0).sends(&mut queue, 0.0);
    caller("b", 0.0).waits(&mut queue, 0.0);
    caller("c", 9.0).at_endpoint("other").waits(&mut queue, 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["c"]);
}

#[test]
fn requests_with_one_key_are_sent_one_at_a_time_and_hold_up_nobody_else() {
    let mut queue = fleet(ROOMY);
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 9.0).with_key("x"));
    all_wait(&mut queue, &[c, b.clone(), a.clone(), caller("d", 99.0)], 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["a", "d"]);
    assert_eq!(queue.grant(at(1.0)), Later);
    a.ends(&mut queue, Responded, 1.0);
    assert_eq!(senders(&mut queue, 1.0), ["b"]);
    b.does_not_send(&mut queue, 2.0);
    assert_eq!(senders(&mut queue, 2.0), ["c"]);
}

#[test]
fn a_request_that_was_not_sent_makes_room_and_says_nothing_of_the_endpoint() {
    let (mut queue, a, b) = (fleet(ONE), caller("a", 0.0), caller("b", 0.0));
    for second in [0.0, 1.0, 2.0, 3.0] {
        a.sends(&mut queue, second);
        assert!(!b.acquires(&mut queue, second));
        a.does_not_send(&mut queue, second);
        assert_eq!(queue.grant(at(second)), Turn(b.member.clone()));
        queue.withdraw(&b.member, at(second));
    }
    assert!(!queue.peer_health(&b.member, "e", "x", at(3.0)).endpoint_down);
    assert_eq!(queue.peer_health(&b.member, "e", "x", at(3.0)).succeed, None);
}

#[test]
fn whoever_withdraws_leaves_its_place_or_its_permit_to_the_next() {
    let mut queue = fleet(ONE);
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 9.0));
    all_wait(&mut queue, &[a.clone(), b.clone(), c.clone()], 0.0);
    assert_eq!(queue.grant(at(0.0)), Turn(a.member.clone()));
    queue.withdraw(&b.member, at(0.0));
    queue.withdraw(&a.member, at(0.0));
    assert!(!queue.has_permit(&a.member));
    assert_eq!(queue.grant(at(0.0)), Turn(c.member.clone()));
}

#[test]
fn a_request_that_is_on_its_way_cannot_be_withdrawn() {
    let (mut queue, a) = (fleet(ONE), caller("a", 0.0));
    a.sends(&mut queue, 0.0);
    queue.withdraw(&a.member, at(0.1));
    caller("b", 0.0).waits(&mut queue, 0.1);
    assert_eq!(queue.grant(at(0.1)), Later);
    assert!(queue.has_permit(&a.member));
}

#[test]
fn who_is_gone_is_not_waited_for() {
    let mut queue = fleet(ONE);
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 9.0));
    a.sends(&mut queue, 0.0);
    all_wait(&mut queue, &[b.clone(), c], 0.0);
    queue.forget(&b.member, at(0.0));
    a.ends(&mut queue, Responded, 1.0);
    assert_eq!(senders(&mut queue, 1.0), ["c"]);
}

#[test]
fn a_resource_that_goes_to_another_endpoint_leaves_its_place() {
    let (mut queue, a, b) = (fleet(ONE), caller("a", 9.0), caller("b", 9.0));
    a.sends(&mut queue, 0.0);
    b.waits(&mut queue, 0.0);
    b.at_endpoint("other").waits(&mut queue, 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["b"]);
    a.ends(&mut queue, Responded, 1.0);
    assert_eq!(queue.grant(at(1.0)), Later);
}

#[test]
fn a_permit_is_good_for_one_request_and_given_back_for_another() {
    let (mut queue, a) = (fleet(ONE), caller("a", 9.0));
    a.waits(&mut queue, 0.0);
    assert_eq!(queue.grant(at(0.0)), Turn(a.member.clone()));
    caller("b", 5.0).waits(&mut queue, 0.0);
    assert!(a.acquires(&mut queue, 0.0), "it has its permit");
    assert!(!a.with_key("another").acquires(&mut queue, 0.0), "the next is that of b");
    assert_eq!(senders(&mut queue, 0.0), ["b"]);
}

#[test]
fn a_permit_that_is_not_used_does_not_count_for_the_rate() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    let [a, b, c] = ["a", "b", "c"].map(|name| caller(name, 0.0));
    a.sends(&mut queue, 0.0);
    a.does_not_send(&mut queue, 0.0);
    assert!(b.acquires(&mut queue, 0.0));
    queue.withdraw(&b.member, at(0.0));
    assert!(c.acquires(&mut queue, 0.0));
    assert!(!a.acquires(&mut queue, 0.0));
}

#[test]
fn nothing_is_kept_of_who_is_gone() {
    let mut queue = fleet(ROOMY);
    let gone = caller("a-name", 0.0).at_endpoint("https://nowhere.example");
    for second in [0.0, 1.0, 2.0] {
        gone.calls(&mut queue, UNAVAILABLE, second);
    }
    queue.set_application(&gone.member, "x", false);
    gone.waits(&mut queue, 2.0);
    assert_eq!(queue.grant(at(9.0)), Turn(gone.member.clone()));
    assert!(format!("{queue:?}").contains("nowhere.example"));
    queue.forget(&gone.member, at(9.0));
    granted(&mut queue, 9.5);
    let left = format!("{queue:?}");
    assert!(!left.contains("nowhere.example") && !left.contains("a-name"), "{left}");
}

#[test]
fn nothing_is_kept_of_who_went_while_its_request_was_on_its_way() {
    for result in [Responded, UNAVAILABLE] {
        let mut queue = fleet(ROOMY);
        let gone = caller("a-name", 0.0).at_endpoint("https://nowhere.example");
        gone.sends(&mut queue, 0.0);
        queue.forget(&gone.member, at(0.1));
        gone.ends(&mut queue, result, 1.0);
        queue.forget(&gone.member, at(1.0));
        granted(&mut queue, 2.0);
        let left = format!("{queue:?}");
        assert!(!left.contains("nowhere.example") && !left.contains("a-name"), "{left}");
    }
}

#[test]
fn who_went_while_its_request_failed_gets_no_permit_when_the_endpoint_is_up_again() {
    let (mut queue, gone, other) = (fleet(ROOMY), caller("gone", 0.0), caller("other", 0.0));
    other.calls(&mut queue, UNAVAILABLE, 0.0);
    gone.sends(&mut queue, 1.0);
    queue.forget(&gone.member, at(1.1));
    gone.ends(&mut queue, UNAVAILABLE, 2.0);
    queue.forget(&gone.member, at(2.0));
    // The endpoint is down, and up again.
    for second in [3.0, 4.0] {
        other.calls(&mut queue, UNAVAILABLE, second);
    }
    other.calls(&mut queue, Responded, 9.0);
    assert_eq!(queue.grant(at(20.0)), Later);
}
