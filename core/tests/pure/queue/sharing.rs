//! Who shares an application, and what the calls of others say.

use super::*;

fn three() -> [ObjectName; 3] {
    ["a", "b", "c"].map(member)
}

#[test]
fn a_rotation_is_told_to_the_others_once_and_names_no_other_namespace() {
    let (mut queue, [a, b, _]) = (fleet(ROOMY), three());
    let c = of("m", "c");
    for resource in [&a, &b, &c] {
        queue.set_application(resource, "x", false);
    }
    assert_eq!(queue.rotated(&a, "x", "5f2c9a01"), [b.clone(), c.clone()]);
    assert_eq!(queue.take_rotation(&b).as_deref(), Some("5f2c9a01"));
    assert_eq!(queue.take_rotation(&b), None);
    assert_eq!(queue.take_rotation(&a), None);
    let seen = queue.peer_health(&a, "e", "x", at(0.0)).sharing;
    assert_eq!(seen, Sharing { here: true, elsewhere: true, before_us: false });
}

#[test]
fn a_third_user_of_an_application_is_no_news_to_the_first_two() {
    let (mut queue, [a, b, c]) = (fleet(ROOMY), three());
    assert_eq!(queue.set_application(&a, "x", false), []);
    assert_eq!(queue.set_application(&b, "x", false), std::slice::from_ref(&a));
    assert_eq!(queue.set_application(&c, "x", false), []);
    assert_eq!(queue.forget(&c, at(0.0)), []);
    assert_eq!(queue.forget(&b, at(0.0)), [a]);
}

#[test]
fn the_first_user_has_nobody_before_it_and_the_next_one_is_told_when_it_leaves() {
    let (mut queue, [a, b, c]) = (fleet(ROOMY), three());
    for resource in [&c, &a, &b, &c] {
        queue.set_application(resource, "x", false);
    }
    let before = |queue: &RequestQueue, who: &ObjectName| queue.peer_health(who, "e", "x", at(0.0)).sharing.before_us;
    assert_eq!([&a, &b, &c].map(|who| before(&queue, who)), [true, true, false]);
    assert_eq!(queue.forget(&c, at(0.0)), std::slice::from_ref(&a));
    assert_eq!([&a, &b].map(|who| before(&queue, who)), [false, true]);
}

#[test]
fn a_resource_that_changes_its_application_leaves_the_other() {
    let (mut queue, [a, b, _]) = (fleet(ROOMY), three());
    queue.set_application(&a, "x", false);
    queue.set_application(&b, "x", false);
    assert_eq!(queue.set_application(&b, "y", false), std::slice::from_ref(&a));
    assert_eq!(queue.rotated(&a, "x", "t"), []);
    assert_eq!(queue.set_application(&a, "y", false), std::slice::from_ref(&b));
    assert_eq!(queue.forget(&a, at(0.0)), [b]);
}

#[test]
fn keys_tell_applications_endpoints_and_owners_apart() {
    let queue = fleet(ROOMY);
    let keys = [
        queue.application_key("e", "k"),
        queue.application_key("e", "l"),
        queue.application_key("f", "k"),
        queue.exclusive_key(&of("n", "a")),
        queue.exclusive_key(&of("m", "a")),
    ];
    for (n, key) in keys.iter().enumerate() {
        assert!(!keys[..n].contains(key));
    }
}

/// Whoever knows an identifier, and not its secret, must not be able to stand in the way of those who do.
#[test]
fn requests_for_an_application_are_one_at_a_time_for_those_who_know_its_secret() {
    let queue = fleet(ROOMY);
    let application = queue.application_key("e", "k");
    let key = |secret| queue.request_key(&application, secret);
    assert_eq!(key("secret"), key("secret"));
    assert_ne!(key("secret"), key("guessed"));
    assert_ne!(key("secret"), queue.request_key(&queue.application_key("f", "k"), "secret"));
}

fn succeed(queue: &RequestQueue, who: &Caller, now: f64) -> Option<bool> {
    queue.peer_health(&who.member, "e", "x", at(now)).succeed
}

const REFUSED: EndpointResult = Failed(FailureKind::Refused);

#[test]
fn what_happened_to_others_within_an_hour_counts_and_nobody_is_his_own_neighbour() {
    let (mut queue, a, b) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0));
    assert_eq!(succeed(&queue, &a, 0.0), None);
    b.calls(&mut queue, Responded, 10.0);
    assert_eq!(succeed(&queue, &a, 3609.0), Some(true));
    assert_eq!(succeed(&queue, &a, 3611.0), None);
    assert_eq!(succeed(&queue, &b, 20.0), None);
}

#[test]
fn what_is_known_when_a_resource_begins_to_fail_does_not_fade_while_it_fails() {
    let (mut queue, a, b) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0));
    b.calls(&mut queue, Responded, 10.0);
    a.calls(&mut queue, REFUSED, 3000.0);
    a.calls(&mut queue, REFUSED, 9000.0);
    assert_eq!(succeed(&queue, &a, 9000.0), Some(true));
}

#[test]
fn the_latest_witness_counts() {
    let (mut queue, a, b, c) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0), caller("c", 0.0));
    b.calls(&mut queue, Responded, 10.0);
    c.calls(&mut queue, REFUSED, 20.0);
    assert_eq!(succeed(&queue, &a, 20.0), Some(false), "an outage that began since");
    b.calls(&mut queue, Responded, 30.0);
    c.calls(&mut queue, REFUSED, 40.0);
    assert_eq!(succeed(&queue, &a, 40.0), Some(true), "another one that fails all the time says nothing");
}

#[test]
fn a_token_that_is_stored_bears_witness_until_its_resource_has_called() {
    let (mut queue, a, b) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0));
    queue.was_served(&b.member, "e", at(0.0) - Duration::from_secs(60), at(0.0));
    assert_eq!(succeed(&queue, &a, 1.0), Some(true));
    assert_eq!(succeed(&queue, &a, 3541.0), None, "an hour later");
    assert_eq!(succeed(&queue, &b, 1.0), None);
    b.calls(&mut queue, REFUSED, 2.0);
    queue.was_served(&b.member, "e", at(0.0) - Duration::from_secs(60), at(3.0));
    assert_eq!(succeed(&queue, &a, 3.0), Some(false));
    assert_eq!(queue.peer_health(&a.member, "another", "x", at(1.0)).succeed, None);
}

#[test]
fn who_has_asked_with_a_pair_comes_before_who_joined_earlier() {
    let (mut queue, [a, b, _]) = (fleet(ROOMY), three());
    queue.set_application(&b, "x", false);
    assert_eq!(queue.set_application(&a, "x", true), std::slice::from_ref(&b));
    let before = |queue: &RequestQueue, who: &ObjectName| queue.peer_health(who, "e", "x", at(0.0)).sharing.before_us;
    assert_eq!([&a, &b].map(|who| before(&queue, who)), [false, true]);
    // As each look says it anew, and a first use comes later than the joining.
    queue.forget(&a, at(0.0));
    queue.set_application(&a, "x", false);
    assert_eq!([&a, &b].map(|who| before(&queue, who)), [true, false]);
    let mut told = queue.set_application(&a, "x", true);
    told.sort();
    assert_eq!((told, before(&queue, &b)), (vec![a, b.clone()], true));
}
