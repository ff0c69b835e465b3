//! Who shares an application, and what the calls of others say.

use super::*;

fn three() -> [ObjectName; 3] {
    ["a", "b", "c"].map(member)
}

#[test]
fn a_rotation_is_told_to_the_others_once_and_names_no_other_namespace() {
    let (mut fleet, [a, b, _]) = (fleet(ROOMY), three());
    let c = of("m", "c");
    for member in [&a, &b, &c] {
        fleet.joins(member, "x", false);
    }
    assert_eq!(fleet.rotated(&a, "x", "5f2c9a01"), [b.clone(), c.clone()]);
    assert_eq!(fleet.take_rotation(&b).as_deref(), Some("5f2c9a01"));
    assert_eq!(fleet.take_rotation(&b), None);
    assert_eq!(fleet.take_rotation(&a), None);
    let seen = fleet.neighbours(&a, "e", "x", at(0.0)).sharing;
    assert_eq!(seen, Sharing { here: true, elsewhere: true, before_us: false });
}

#[test]
fn a_third_user_of_an_application_is_no_news_to_the_first_two() {
    let (mut fleet, [a, b, c]) = (fleet(ROOMY), three());
    assert_eq!(fleet.joins(&a, "x", false), []);
    assert_eq!(fleet.joins(&b, "x", false), std::slice::from_ref(&a));
    assert_eq!(fleet.joins(&c, "x", false), []);
    assert_eq!(fleet.forget(&c), []);
    assert_eq!(fleet.forget(&b), [a]);
}

#[test]
fn the_first_user_has_nobody_before_it_and_the_next_one_is_told_when_it_leaves() {
    let (mut fleet, [a, b, c]) = (fleet(ROOMY), three());
    for member in [&c, &a, &b, &c] {
        fleet.joins(member, "x", false);
    }
    let before = |fleet: &Fleet, who: &ObjectName| fleet.neighbours(who, "e", "x", at(0.0)).sharing.before_us;
    assert_eq!([&a, &b, &c].map(|who| before(&fleet, who)), [true, true, false]);
    assert_eq!(fleet.forget(&c), std::slice::from_ref(&a));
    assert_eq!([&a, &b].map(|who| before(&fleet, who)), [false, true]);
}

#[test]
fn a_resource_that_changes_its_application_leaves_the_other() {
    let (mut fleet, [a, b, _]) = (fleet(ROOMY), three());
    fleet.joins(&a, "x", false);
    fleet.joins(&b, "x", false);
    assert_eq!(fleet.joins(&b, "y", false), std::slice::from_ref(&a));
    assert_eq!(fleet.rotated(&a, "x", "t"), []);
    assert_eq!(fleet.joins(&a, "y", false), std::slice::from_ref(&b));
    assert_eq!(fleet.forget(&a), [b]);
}

#[test]
fn keys_tell_applications_endpoints_and_owners_apart() {
    let fleet = fleet(ROOMY);
    let keys = [
        fleet.call_key("e", "k"),
        fleet.call_key("e", "l"),
        fleet.call_key("f", "k"),
        fleet.own_key(&of("n", "a")),
        fleet.own_key(&of("m", "a")),
    ];
    for (n, key) in keys.iter().enumerate() {
        assert!(!keys[..n].contains(key));
    }
}

fn succeed(fleet: &Fleet, who: &Caller, now: f64) -> Option<bool> {
    fleet.neighbours(&who.member, "e", "x", at(now)).succeed
}

const REFUSED: Outcome = Failed(FailureKind::Refused);

#[test]
fn what_happened_to_others_within_an_hour_counts_and_nobody_is_his_own_neighbour() {
    let (mut fleet, a, b) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0));
    assert_eq!(succeed(&fleet, &a, 0.0), None);
    b.calls(&mut fleet, Answered, 10.0);
    assert_eq!(succeed(&fleet, &a, 3609.0), Some(true));
    assert_eq!(succeed(&fleet, &a, 3611.0), None);
    assert_eq!(succeed(&fleet, &b, 20.0), None);
}

#[test]
fn what_is_known_when_a_resource_begins_to_fail_does_not_fade_while_it_fails() {
    let (mut fleet, a, b) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0));
    b.calls(&mut fleet, Answered, 10.0);
    a.calls(&mut fleet, REFUSED, 3000.0);
    a.calls(&mut fleet, REFUSED, 9000.0);
    assert_eq!(succeed(&fleet, &a, 9000.0), Some(true));
}

#[test]
fn the_latest_witness_counts() {
    let (mut fleet, a, b, c) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0), caller("c", 0.0));
    b.calls(&mut fleet, Answered, 10.0);
    c.calls(&mut fleet, REFUSED, 20.0);
    assert_eq!(succeed(&fleet, &a, 20.0), Some(false), "an outage that began since");
    b.calls(&mut fleet, Answered, 30.0);
    c.calls(&mut fleet, REFUSED, 40.0);
    assert_eq!(succeed(&fleet, &a, 40.0), Some(true), "another one that fails all the time says nothing");
}

#[test]
fn a_token_that_is_stored_bears_witness_until_its_resource_has_called() {
    let (mut fleet, a, b) = (fleet(ROOMY), caller("a", 0.0), caller("b", 0.0));
    fleet.was_served(&b.member, "e", at(0.0) - Duration::from_secs(60), at(0.0));
    assert_eq!(succeed(&fleet, &a, 1.0), Some(true));
    assert_eq!(succeed(&fleet, &a, 3541.0), None, "an hour later");
    assert_eq!(succeed(&fleet, &b, 1.0), None);
    b.calls(&mut fleet, REFUSED, 2.0);
    fleet.was_served(&b.member, "e", at(0.0) - Duration::from_secs(60), at(3.0));
    assert_eq!(succeed(&fleet, &a, 3.0), Some(false));
    assert_eq!(fleet.neighbours(&a.member, "another", "x", at(1.0)).succeed, None);
}

#[test]
fn who_has_asked_with_a_pair_comes_before_who_joined_earlier() {
    let (mut fleet, [a, b, _]) = (fleet(ROOMY), three());
    fleet.joins(&b, "x", false);
    assert_eq!(fleet.joins(&a, "x", true), std::slice::from_ref(&b));
    let before = |fleet: &Fleet, who: &ObjectName| fleet.neighbours(who, "e", "x", at(0.0)).sharing.before_us;
    assert_eq!([&a, &b].map(|who| before(&fleet, who)), [false, true]);
    // As each look says it anew, and a first use comes later than the joining.
    fleet.forget(&a);
    fleet.joins(&a, "x", false);
    assert_eq!([&a, &b].map(|who| before(&fleet, who)), [true, false]);
    let mut told = fleet.joins(&a, "x", true);
    told.sort();
    assert_eq!((told, before(&fleet, &b)), (vec![a, b.clone()], true));
}
