//! Whose failure says what to whom: what one tenant's resources do costs the others nothing.

use super::*;

/// Three failures of `bad`, from second `from` on, each as soon as it may call. Gives the moment of the last one.
fn fails(queue: &mut RequestQueue, bad: &Caller, from: f64) -> Moment {
    let mut now = at(from);
    for _ in 0..3 {
        for tries in 1.. {
            let Wait(moment) = bad.asks_at(queue, now) else { break };
            assert!(tries < 100, "its turn never comes");
            now = moment;
        }
        queue.request_ended(&bad.endpoint, &bad.call_key, &bad.member, Some(UNAVAILABLE), now);
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
    assert_eq!(victim.asks(&mut queue, 400.0), Admitted);
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
    later(victim.asks(&mut queue, 7.0));
    let at_end = victim.clone().at_its_end();
    assert_eq!(at_end.asks(&mut queue, 7.5), Admitted);
    at_end.ends(&mut queue, UNAVAILABLE, 7.6);
    later(at_end.asks(&mut queue, 7.7));
    let next_end = caller("a", 7.8).in_namespace("victims").at_its_end();
    assert_eq!(next_end.asks(&mut queue, 7.8), Admitted, "once for each end");
    next_end.ends(&mut queue, Responded, 7.9);
    assert!(!is_down_for(&queue, &victim), "its call was the best probe");
}

#[test]
fn whoever_was_never_served_has_no_end_to_call_at() {
    let mut queue = fleet(ROOMY);
    let down = fails(&mut queue, &caller("a", 0.0), 1.0);
    let stranger = caller("b", 0.5).at_its_end();
    assert!(later(stranger.asks_at(&mut queue, down)) > down);
}

#[test]
fn probes_go_round_by_namespace() {
    let mut queue = fleet(ROOMY);
    let crowd = ["a", "b", "c", "d", "e"].map(|name| caller(name, 0.0).in_namespace("crowd"));
    let single = caller("s", 50.0).in_namespace("single");
    fails(&mut queue, &single, 1.0);
    let down = fails(&mut queue, &crowd[0], 5.0);
    let all = [&crowd[..], &[single]].concat();
    let (mut prober, mut now) = (crowd[0].clone(), later(crowd[0].asks_at(&mut queue, down)));
    let mut namespaces = Vec::new();
    for _ in 0..6 {
        all.iter().filter(|waiting| waiting.member != prober.member).for_each(|waiting| {
            later(waiting.asks_at(&mut queue, now));
        });
        assert_eq!(prober.asks_at(&mut queue, now), Admitted);
        let woken = queue.request_ended("e", &prober.call_key, &prober.member, Some(UNAVAILABLE), now);
        let [(next, moment)] = &woken[..] else { panic!("one is told, not {woken:?}") };
        (prober, now) = (all.iter().find(|waiting| waiting.member == *next).unwrap().clone(), *moment);
        namespaces.push(next.namespace.clone());
    }
    assert_eq!(namespaces, ["single", "crowd"].repeat(3), "however many resources a namespace has");
}

#[test]
fn a_first_issue_waits_behind_what_was_due_before_it_was_made() {
    let mut queue = fleet(Budget { in_flight: 1, per_second: 50 });
    let running = caller("running", 0.0);
    assert_eq!(running.asks(&mut queue, 10.0), Admitted);
    // Made at second 9, and due at second 8.
    let [new, dead] = [caller("new", 9.0), caller("dead", 8.0)];
    later(new.asks(&mut queue, 10.0));
    later(dead.asks(&mut queue, 10.0));
    assert_eq!(names(&running.ends(&mut queue, Responded, 11.0)), ["dead"]);
}
