//! Whose failure says what to whom: what one tenant's resources do costs the others nothing.

use super::*;

/// Three failures of `bad`, from second `from` on, each as soon as it may call. Gives the moment of the last one.
fn fails(fleet: &mut Fleet, bad: &Caller, from: f64) -> Moment {
    let mut now = at(from);
    for _ in 0..3 {
        for tries in 1.. {
            let Later(moment) = bad.asks_at(fleet, now) else { break };
            assert!(tries < 100, "its turn never comes");
            now = moment;
        }
        fleet.ended(&bad.endpoint, &bad.call_key, &bad.member, Some(UNAVAILABLE), now);
    }
    now
}

fn is_down_for(fleet: &Fleet, who: &Caller) -> bool {
    fleet.neighbours(&who.member, "e", "x", at(0.0)).endpoint_down
}

fn served(fleet: &mut Fleet, namespace: &str, name: &str, expires: f64) -> Caller {
    let caller = caller(name, expires).in_namespace(namespace);
    caller.calls(fleet, Answered, 0.0);
    caller
}

#[test]
fn failures_of_those_that_were_never_served_say_nothing_to_those_that_were() {
    let mut fleet = fleet(ROOMY);
    let victim = served(&mut fleet, "victims", "a", 60.0);
    for (number, namespace) in ["bad", "worse"].into_iter().enumerate() {
        fails(&mut fleet, &caller("b", 0.0).in_namespace(namespace), 1.0 + number as f64);
    }
    assert!(is_down_for(&fleet, &caller("new", 0.0).in_namespace("elsewhere")), "two namespaces are no accident");
    assert!(!is_down_for(&fleet, &victim));
    assert_eq!(victim.asks(&mut fleet, 400.0), Go);
}

#[test]
fn failures_of_one_namespace_alone_are_its_own() {
    let mut fleet = fleet(ROOMY);
    let victim = served(&mut fleet, "victims", "a", 60.0);
    let bad: Vec<_> = ["b", "c", "d"].map(|name| served(&mut fleet, "bad", name, 0.0)).into();
    for bad in &bad {
        fails(&mut fleet, bad, 1.0);
    }
    assert!(bad.iter().all(|bad| is_down_for(&fleet, bad)));
    assert!(!is_down_for(&fleet, &victim));
    assert!(!is_down_for(&fleet, &caller("new", 0.0).in_namespace("elsewhere")));
    victim.calls(&mut fleet, UNAVAILABLE, 400.0);
    assert!(is_down_for(&fleet, &victim), "now a second namespace has met it");
}

#[test]
fn where_one_namespace_is_all_there_is_all_of_it_has_to_fail() {
    let mut fleet = fleet(ROOMY);
    let [first, second, third] = ["a", "b", "c"].map(|name| served(&mut fleet, "only", name, 0.0));
    fails(&mut fleet, &first, 1.0);
    assert_eq!([&first, &second, &third].map(|who| is_down_for(&fleet, who)), [true, false, false]);
    second.calls(&mut fleet, UNAVAILABLE, 40.0);
    assert_eq!([&first, &second, &third].map(|who| is_down_for(&fleet, who)), [true, true, false]);
    third.calls(&mut fleet, UNAVAILABLE, 41.0);
    let new = caller("new", 0.0).in_namespace("elsewhere");
    assert_eq!([&first, &third, &new].map(|who| is_down_for(&fleet, who)), [true; 3]);
    third.calls(&mut fleet, Answered, 60.0);
    assert_eq!([&first, &second, &third].map(|who| is_down_for(&fleet, who)), [false; 3]);
}

#[test]
fn whoever_was_served_calls_once_at_its_own_end_although_the_endpoint_is_down() {
    let mut fleet = fleet(ROOMY);
    let victim = served(&mut fleet, "victims", "a", 7.5);
    let others = ["m", "n"].map(|namespace| served(&mut fleet, namespace, "b", 0.0));
    let [_, down] = [0, 1].map(|number| fails(&mut fleet, &others[number], 1.0));
    assert!(is_down_for(&fleet, &victim) && down < at(7.0), "{down:?}");
    later(victim.asks(&mut fleet, 7.0));
    let at_end = victim.clone().at_its_end();
    assert_eq!(at_end.asks(&mut fleet, 7.5), Go);
    at_end.ends(&mut fleet, UNAVAILABLE, 7.6);
    later(at_end.asks(&mut fleet, 7.7));
    let next_end = caller("a", 7.8).in_namespace("victims").at_its_end();
    assert_eq!(next_end.asks(&mut fleet, 7.8), Go, "once for each end");
    next_end.ends(&mut fleet, Answered, 7.9);
    assert!(!is_down_for(&fleet, &victim), "its call was the best probe");
}

#[test]
fn whoever_was_never_served_has_no_end_to_call_at() {
    let mut fleet = fleet(ROOMY);
    let down = fails(&mut fleet, &caller("a", 0.0), 1.0);
    let stranger = caller("b", 0.5).at_its_end();
    assert!(later(stranger.asks_at(&mut fleet, down)) > down);
}

#[test]
fn probes_go_round_by_namespace() {
    let mut fleet = fleet(ROOMY);
    let crowd = ["a", "b", "c", "d", "e"].map(|name| caller(name, 0.0).in_namespace("crowd"));
    let single = caller("s", 50.0).in_namespace("single");
    fails(&mut fleet, &single, 1.0);
    let down = fails(&mut fleet, &crowd[0], 5.0);
    let all = [&crowd[..], &[single]].concat();
    let (mut prober, mut now) = (crowd[0].clone(), later(crowd[0].asks_at(&mut fleet, down)));
    let mut namespaces = Vec::new();
    for _ in 0..6 {
        all.iter().filter(|waiting| waiting.member != prober.member).for_each(|waiting| {
            later(waiting.asks_at(&mut fleet, now));
        });
        assert_eq!(prober.asks_at(&mut fleet, now), Go);
        let woken = fleet.ended("e", &prober.call_key, &prober.member, Some(UNAVAILABLE), now);
        let [(next, moment)] = &woken[..] else { panic!("one is told, not {woken:?}") };
        (prober, now) = (all.iter().find(|waiting| waiting.member == *next).unwrap().clone(), *moment);
        namespaces.push(next.namespace.clone());
    }
    assert_eq!(namespaces, ["single", "crowd"].repeat(3), "however many resources a namespace has");
}

#[test]
fn a_first_issue_waits_behind_what_was_due_before_it_was_made() {
    let mut fleet = fleet(Budget { in_flight: 1, per_second: 50 });
    let running = caller("running", 0.0);
    assert_eq!(running.asks(&mut fleet, 10.0), Go);
    // Made at second 9, and due at second 8.
    let [new, dead] = [caller("new", 9.0), caller("dead", 8.0)];
    later(new.asks(&mut fleet, 10.0));
    later(dead.asks(&mut fleet, 10.0));
    assert_eq!(names(&running.ends(&mut fleet, Answered, 11.0)), ["dead"]);
}
