//! Whose failure says what to whom: what one tenant's resources do costs the others nothing.

use super::*;

/// Three failures of `bad`, from second `from` on, each as soon as it may send. Gives the moment of the last one.
fn fails(queue: &mut RequestQueue, bad: &Caller, from: f64) -> Moment {
    let mut now = at(from);
    for _ in 0..3 {
        bad.waits_at(queue, now);
        while let At(moment) = queue.grant(now) {
            now = moment;
        }
        assert!(queue.has_permit(&bad.member), "its turn never comes");
        queue.request_started(&bad.member);
        queue.permit_ended(&bad.request.endpoint, &bad.member, Some(UNAVAILABLE), now);
    }
    now
}

fn is_down_for(queue: &RequestQueue, who: &Caller) -> bool {
    queue.peer_health(&who.member, "e", "x", at(0.0)).endpoint_down
}

fn served(queue: &mut RequestQueue, namespace: &str, name: &str, expires: f64) -> Caller {
    let caller = caller(name, expires).in_namespace(namespace);
    caller.calls(queue, Responded, 0.0);
    caller
}

#[test]
fn failures_of_those_that_were_never_served_say_nothing_to_those_that_were() {
    let mut queue = fleet(ROOMY);
    let victim = served(&mut queue, "victims", "a", 60.0);
    for (number, namespace) in ["bad", "worse"].into_iter().enumerate() {
        fails(&mut queue, &caller("b", 0.0).in_namespace(namespace), 1.0 + number as f64);
    }
    assert!(is_down_for(&queue, &caller("new", 0.0).in_namespace("elsewhere")), "two namespaces are no accident");
    assert!(!is_down_for(&queue, &victim));
    assert!(victim.acquires(&mut queue, 400.0));
}

#[test]
fn failures_of_one_namespace_alone_are_its_own() {
    let mut queue = fleet(ROOMY);
    let victim = served(&mut queue, "victims", "a", 60.0);
    let bad: Vec<_> = ["b", "c", "d"].map(|name| served(&mut queue, "bad", name, 0.0)).into();
    for bad in &bad {
        fails(&mut queue, bad, 1.0);
    }
    assert!(bad.iter().all(|bad| is_down_for(&queue, bad)));
    assert!(!is_down_for(&queue, &victim));
    assert!(!is_down_for(&queue, &caller("new", 0.0).in_namespace("elsewhere")));
    victim.calls(&mut queue, UNAVAILABLE, 400.0);
    assert!(is_down_for(&queue, &victim), "now a second namespace has met it");
}

#[test]
fn where_one_namespace_is_all_there_is_all_of_it_has_to_fail() {
    let mut queue = fleet(ROOMY);
    let [first, second, third] = ["a", "b", "c"].map(|name| served(&mut queue, "only", name, 0.0));
    fails(&mut queue, &first, 1.0);
    assert_eq!([&first, &second, &third].map(|who| is_down_for(&queue, who)), [true, false, false]);
    second.calls(&mut queue, UNAVAILABLE, 40.0);
    assert_eq!([&first, &second, &third].map(|who| is_down_for(&queue, who)), [true, true, false]);
    third.calls(&mut queue, UNAVAILABLE, 41.0);
    let new = caller("new", 0.0).in_namespace("elsewhere");
    assert_eq!([&first, &third, &new].map(|who| is_down_for(&queue, who)), [true; 3]);
    third.calls(&mut queue, Responded, 60.0);
    assert_eq!([&first, &second, &third].map(|who| is_down_for(&queue, who)), [false; 3]);
}

#[test]
fn whoever_was_served_calls_once_at_its_own_end_although_the_endpoint_is_down() {
    let mut queue = fleet(ROOMY);
    let victim = served(&mut queue, "victims", "a", 7.5);
    let others = ["m", "n"].map(|namespace| served(&mut queue, namespace, "b", 0.0));
    let [_, down] = [0, 1].map(|number| fails(&mut queue, &others[number], 1.0));
    assert!(is_down_for(&queue, &victim) && down < at(7.0), "{down:?}");
    assert!(!victim.acquires(&mut queue, 7.0));
    let at_end = victim.clone().at_its_end();
    assert!(at_end.acquires(&mut queue, 7.5));
    at_end.ends(&mut queue, UNAVAILABLE, 7.6);
    assert!(!at_end.acquires(&mut queue, 7.7));
    let next_end = caller("a", 7.8).in_namespace("victims").at_its_end();
    assert!(next_end.acquires(&mut queue, 7.8), "once for each end");
    next_end.ends(&mut queue, Responded, 7.9);
    assert!(!is_down_for(&queue, &victim), "its call was the best probe");
}

#[test]
fn whoever_was_never_served_has_no_end_to_call_at() {
    let mut queue = fleet(ROOMY);
    let down = fails(&mut queue, &caller("a", 0.0), 1.0);
    let stranger = caller("b", 0.5).at_its_end();
    stranger.waits_at(&mut queue, down);
    assert!(matches!(queue.grant(down), At(moment) if moment > down));
}

#[test]
fn probes_go_round_by_namespace() {
    let mut queue = fleet(ROOMY);
    let crowd = ["a", "b", "c", "d", "e"].map(|name| caller(name, 0.0).in_namespace("crowd"));
    let single = caller("s", 50.0).in_namespace("single");
    fails(&mut queue, &single, 1.0);
    let mut now = fails(&mut queue, &crowd[0], 5.0);
    let mut probers = Vec::new();
    for _ in 0..10 {
        crowd.iter().chain([&single]).for_each(|waiting| waiting.waits_at(&mut queue, now));
        let At(moment) = queue.grant(now) else { panic!("no pause") };
        let Turn(prober) = queue.grant(moment) else { panic!("no probe") };
        queue.request_started(&prober);
        queue.permit_ended("e", &prober, Some(UNAVAILABLE), moment);
        now = moment;
        probers.push(prober);
    }
    let of = |name: &str| probers.iter().filter(|prober| prober.name() == name).count();
    let namespaces: Vec<_> = probers.iter().map(|prober| prober.namespace()).collect();
    assert_eq!(namespaces, ["single", "crowd"].repeat(5), "however many resources a namespace has");
    assert_eq!(["a", "b", "c", "d", "e"].map(of), [1; 5]);
}
