//! Namespaces take turns, however many requests each has waiting.

use super::*;
use std::collections::HashMap;

/// Resources of a namespace; the lowest number has been due for the longest, since `due`.
fn crowd(namespace: &str, count: usize, due: f64) -> Vec<Caller> {
    (0..count).map(|n| caller(&format!("{namespace}{n:04}"), due + n as f64).in_namespace(namespace)).collect()
}

fn namespaces(order: &[Caller]) -> Vec<&str> {
    order.iter().map(|caller| caller.member.namespace()).collect()
}

/// How many permits of others come before the first of `namespace`.
fn waits_for(order: &[Caller], namespace: &str) -> usize {
    namespaces(order).iter().position(|of| *of == namespace).unwrap()
}

#[test]
fn one_resource_waits_at_most_one_permit_of_each_other_namespace() {
    for priority in Priority::ALL {
        let others = ["a", "b", "c"].map(|namespace| crowd(namespace, 50, 0.0)).concat();
        let single = caller("single", 9999.0).in_namespace("single");
        let waiting: Vec<_> = others.into_iter().chain([single]).map(|caller| caller.with_priority(priority)).collect();
        let mut queue = fleet(ONE);
        all_wait(&mut queue, &waiting, 0.0);
        let order = one_by_one(&mut queue, &waiting, 0.0);
        assert_eq!((order.len(), waits_for(&order, "single")), (151, 3));
    }
}

#[test]
fn who_comes_while_others_have_been_served_for_long_has_saved_up_no_turns() {
    let (mut queue, old) = (fleet(ONE), crowd("old", 60, 0.0));
    all_wait(&mut queue, &old[..30], 0.0);
    assert_eq!(one_by_one(&mut queue, &old, 0.0).len(), 30);
    let waiting = [&old[30..], &crowd("fresh", 30, 9999.0)].concat();
    all_wait(&mut queue, &waiting, 100.0);
    let order = one_by_one(&mut queue, &waiting, 100.0);
    let fresh = namespaces(&order)[..20].iter().filter(|namespace| **namespace == "fresh").count();
    assert!((9..=11).contains(&fresh), "{:?}", &namespaces(&order)[..20]);
}

#[test]
fn within_its_namespace_the_earliest_expiry_comes_first() {
    let waiting = [crowd("a", 5, 100.0), crowd("b", 5, 0.0)].concat();
    let mut queue = fleet(ONE);
    let backwards: Vec<_> = waiting.iter().rev().cloned().collect();
    all_wait(&mut queue, &backwards, 0.0);
    let order = one_by_one(&mut queue, &waiting, 0.0);
    assert_eq!(namespaces(&order), ["b", "a"].repeat(5));
    for namespace in ["a", "b"] {
        let names = names(&order).into_iter().filter(|name| name.starts_with(namespace));
        assert!(names.is_sorted());
    }
}

#[test]
fn a_namespace_that_leaves_and_returns_gains_nothing() {
    let (mut queue, others) = (fleet(ONE), [crowd("a", 20, 1000.0), crowd("b", 20, 1000.0)].concat());
    all_wait(&mut queue, &others, 0.0);
    let mut order = Vec::new();
    for n in 0..30 {
        // Each time it comes with the earliest of all, and has none in line in between.
        let comes = caller(&format!("x{n}"), n as f64).in_namespace("comes");
        comes.waits(&mut queue, n as f64);
        let Turn(next) = queue.grant(at(n as f64)) else { panic!("nobody's turn") };
        queue.request_started(&next);
        queue.permit_ended("e", &next, Some(Responded), at(n as f64 + 0.5));
        queue.withdraw(&comes.member, at(n as f64 + 0.5));
        order.push(next.namespace().to_owned());
    }
    let of = |namespace: &str| order.iter().filter(|of| *of == namespace).count();
    assert_eq!(["a", "b", "comes"].map(of), [10, 10, 10], "{order:?}");
}

#[test]
fn a_namespace_that_leaves_and_returns_waits_for_all_others_however_many_there_are() {
    let mut queue = fleet(ONE);
    for n in 0..200 {
        caller("a", 1000.0).in_namespace(&format!("n{n:03}")).with_key(&n.to_string()).waits(&mut queue, 0.0);
    }
    let comes = caller("comes", 0.0).in_namespace("comes");
    let mut had = Vec::new();
    for n in 0..=202 {
        // Every other time it is not there at all.
        (n % 2 == 0).then(|| comes.waits(&mut queue, f64::from(n)));
        let Turn(next) = queue.grant(at(f64::from(n))) else { continue };
        queue.request_started(&next);
        queue.permit_ended("e", &next, Some(Responded), at(f64::from(n) + 0.5));
        queue.withdraw(&comes.member, at(f64::from(n) + 0.5));
        had.extend((next == comes.member).then_some(n));
    }
    assert_eq!(had, [0, 202]);
}

#[test]
fn a_namespace_that_could_not_come_has_saved_up_no_turns() {
    // `slow` has its half of the room at the host taken by requests that hang at another path.
    let mut queue = fleet(Budget { in_flight: 4, per_second: 50 });
    let [path, other] = ["https://issuer.example/a", "https://issuer.example/b"];
    let of = |namespace, count, due| crowd(namespace, count, due).into_iter().map(|caller| caller.at_endpoint(path));
    let hanging: Vec<_> =
        (0..4).map(|n| caller(&format!("h{n}"), 0.0).in_namespace("slow").at_endpoint(other)).collect();
    all_send(&mut queue, &hanging, 0.0);
    let waiting: Vec<_> = of("slow", 40, 0.0).chain(of("others", 80, 0.0)).collect();
    all_wait(&mut queue, &waiting, 0.0);
    for second in 0..20 {
        let Turn(next) = queue.grant(at(f64::from(second))) else { panic!("nobody's turn") };
        assert_eq!(next.namespace(), "others");
        queue.request_started(&next);
        queue.permit_ended(path, &next, Some(Responded), at(f64::from(second)));
    }
    hanging.iter().for_each(|caller| caller.ends(&mut queue, Responded, 20.0));
    let order = one_by_one(&mut queue, &waiting, 20.0);
    let slow = namespaces(&order)[..20].iter().filter(|namespace| **namespace == "slow").count();
    assert!((9..=11).contains(&slow), "{:?}", &namespaces(&order)[..20]);
}

#[test]
fn a_priority_that_could_not_come_has_saved_up_no_permits() {
    let mut queue = fleet(Budget { in_flight: 4, per_second: 50 });
    let [path, other] = ["https://issuer.example/a", "https://issuer.example/b"];
    let hanging = [0, 1, 2, 3].map(|n| caller(&format!("h{n}"), 0.0).in_namespace("slow").at_endpoint(other));
    all_send(&mut queue, &hanging, 0.0);
    let due = crowd("slow", 40, 0.0).into_iter().map(|caller| caller.at_endpoint(path));
    let new = crowd("others", 80, 0.0).into_iter().map(|caller| caller.at_endpoint(path).not_due());
    let waiting: Vec<_> = due.chain(new).collect();
    all_wait(&mut queue, &waiting, 0.0);
    for second in 0..20 {
        let Turn(next) = queue.grant(at(f64::from(second))) else { panic!("nobody's turn") };
        assert_eq!(next.namespace(), "others");
        queue.request_started(&next);
        queue.permit_ended(path, &next, Some(Responded), at(f64::from(second)));
    }
    hanging.iter().for_each(|caller| caller.ends(&mut queue, Responded, 20.0));
    let order = one_by_one(&mut queue, &waiting, 20.0);
    let due = namespaces(&order)[..12].iter().filter(|namespace| **namespace == "slow").count();
    assert!((7..=9).contains(&due), "two of three: {:?}", &namespaces(&order)[..12]);
}

#[test]
fn namespaces_take_turns_at_a_host_however_many_paths_one_has() {
    let path = |n: usize| format!("https://issuer.example/path-{n}");
    let many = crowd("many", 50, 0.0).into_iter().enumerate().map(|(n, caller)| caller.at_endpoint(&path(n)));
    let single = caller("single", 9999.0).in_namespace("single").at_endpoint(&path(99));
    let waiting: Vec<_> = many.chain([single]).collect();
    let mut queue = fleet(Budget { in_flight: 1, per_second: 50 });
    all_wait(&mut queue, &waiting, 0.0);
    let order = one_by_one(&mut queue, &waiting, 0.0);
    assert_eq!(order.len(), 51);
    assert!(waits_for(&order, "single") <= 1);
}

#[test]
fn a_request_of_many_paths_blocks_nobody_behind_it_at_a_path() {
    let path = |n: usize| format!("https://issuer.example/path-{n}");
    let many = crowd("many", 50, 0.0).into_iter().enumerate().map(|(n, caller)| caller.at_endpoint(&path(n)));
    // Behind that one of `many` which comes last of all its own.
    let single = caller("single", 9999.0).in_namespace("single").at_endpoint(&path(49));
    let waiting: Vec<_> = many.chain([single]).collect();
    let mut queue = fleet(ONE);
    all_wait(&mut queue, &waiting, 0.0);
    let order = one_by_one(&mut queue, &waiting, 0.0);
    assert_eq!(order.len(), 51);
    assert!(waits_for(&order, "single") <= 2, "it waits for {} of another namespace", waits_for(&order, "single"));
}

#[test]
fn ten_thousand_of_a_thousand_namespaces_come_in_order_at_the_rate() {
    let mut queue = fleet(Budget { in_flight: 100, per_second: 500 });
    let waiting: Vec<_> = (0..1000).flat_map(|n| crowd(&format!("n{n:03}"), 10, f64::from(n))).collect();
    all_wait(&mut queue, &waiting, 0.0);
    let (mut now, mut order, mut looks) = (at(0.0), Vec::new(), 0);
    loop {
        looks += 1;
        match queue.grant(now) {
            Turn(next) => {
                queue.request_started(&next);
                queue.permit_ended("e", &next, Some(Responded), now);
                order.push(next);
            }
            At(next) => now = next,
            Later => break,
        }
    }
    assert_eq!(order.len(), 10_000);
    assert!(looks <= 2 * 10_000 + 1, "{looks} looks");
    assert!(now > at(18.9) && now < at(30.0), "{now:?}");
    let mut had = HashMap::<&str, usize>::new();
    for (n, resource) in order.iter().enumerate() {
        let turn = had.entry(resource.namespace()).or_default();
        assert_eq!(resource.name(), format!("{}{turn:04}", resource.namespace()), "by expiry in its namespace");
        assert_eq!(*turn, n / 1000, "namespaces take turns");
        *turn += 1;
    }
}
