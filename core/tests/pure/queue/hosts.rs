//! All endpoints of one host and port together keep to a budget.

use super::*;

fn at_path(number: usize) -> Caller {
    at_host(&format!("r{number:03}"), number, 0.0)
}

/// Alone at its endpoint, which would let it come: its place is at its host.
fn at_host(name: &str, path: usize, expires: f64) -> Caller {
    caller(name, expires).at_endpoint(&format!("https://issuer.example/path-{path}"))
}

#[test]
fn many_paths_are_no_way_round_the_rate() {
    let mut queue = fleet(Budget { in_flight: 500, per_second: 50 });
    all_wait(&mut queue, &(0..400).map(at_path).collect::<Vec<_>>(), 0.0);
    assert_eq!(senders(&mut queue, 0.0).len(), 50);
    let next = expected(&mut queue, 0.0);
    assert!(next > at(0.019) && next < at(0.03), "{next:?}");
    assert_eq!(senders(&mut queue, 1.0).len(), 50);
    assert!(caller("other", 0.0).at_endpoint("https://other.example/path-1").acquires(&mut queue, 1.0));
    assert!(caller("port", 0.0).at_endpoint("https://issuer.example:8443/path-1").acquires(&mut queue, 1.0));
}

#[test]
fn a_path_that_hangs_leaves_as_much_room_again_for_the_others() {
    let mut queue = fleet(Budget { in_flight: 2, per_second: 50 });
    let [hanging, others] = [1, 2].map(|path| {
        [0, 1, 2].map(|number| at_host(&format!("r{path}{number}"), path, 0.0).in_namespace(&format!("n{path}")))
    });
    all_wait(&mut queue, &hanging, 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["r10", "r11"]);
    all_wait(&mut queue, &others, 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["r20", "r21"]);
    queue.withdraw(&others[2].member, at(0.0));
    at_host("third", 3, 0.0).in_namespace("n3").waits(&mut queue, 0.0);
    assert_eq!(queue.grant(at(0.6)), Later);
    others[0].ends(&mut queue, Responded, 1.0);
    assert_eq!(senders(&mut queue, 1.0), ["third"]);
}

#[test]
fn whoever_gives_up_its_place_at_a_host_makes_room_for_the_next() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    at_path(0).sends(&mut queue, 0.0);
    let [first, second] = [at_path(1), at_path(2)];
    all_wait(&mut queue, &[first.clone(), second.clone()], 0.0);
    queue.withdraw(&first.member, at(0.5));
    let next = expected(&mut queue, 0.5);
    assert!(next < at(1.1), "{next:?}");
    assert_eq!(queue.grant(next), Turn(second.member));
}

#[test]
fn a_host_is_known_as_long_as_one_of_its_endpoints_is() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    let [first, second, third] = [0, 1, 2].map(at_path);
    for caller in [&first, &second] {
        queue.set_endpoint(&caller.member, &caller.request.endpoint, at(0.0));
    }
    first.sends(&mut queue, 0.0);
    first.ends(&mut queue, Responded, 0.0);
    second.waits(&mut queue, 0.0);
    queue.forget(&first.member, at(0.0));
    let next = expected(&mut queue, 0.0);
    assert!(next > at(0.9), "{next:?}");
    queue.forget(&second.member, at(0.0));
    assert!(third.acquires(&mut queue, 0.0), "nothing is known of it any more");
}

#[test]
fn a_permit_that_is_not_used_costs_its_host_none() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    let [first, second] = [at_path(0), at_path(1)];
    first.sends(&mut queue, 0.0);
    first.does_not_send(&mut queue, 0.0);
    assert!(second.acquires(&mut queue, 0.0));
    queue.withdraw(&second.member, at(0.0));
    assert!(at_path(2).acquires(&mut queue, 0.0));
    assert!(!at_path(3).acquires(&mut queue, 0.0));
}

#[test]
fn priorities_share_a_host_and_each_goes_by_expiry_at_all_its_paths() {
    let due = [3, 1, 2].map(|n| at_host(&format!("due{n}"), n, n as f64 + 10.0));
    let retries = [6, 4, 5].map(|n| at_host(&format!("retry{n}"), n, n as f64).again());
    let mut queue = fleet(Budget { in_flight: 8, per_second: 50 });
    all_wait(&mut queue, &[due, retries].concat(), 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["due1", "retry4", "due2", "due3", "retry5", "retry6"]);
}

#[test]
fn whoever_is_waiting_at_a_full_host_is_in_nobodys_way_elsewhere() {
    let mut queue = fleet(ONE);
    let running = [at_host("first", 1, 0.0).in_namespace("m"), at_host("second", 2, 0.0)];
    all_send(&mut queue, &running, 0.0);
    all_wait(&mut queue, &[at_host("waiting", 3, 1.0), caller("elsewhere", 5.0)], 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["elsewhere"]);
    running[0].ends(&mut queue, Responded, 1.0);
    assert_eq!(senders(&mut queue, 1.0), [""; 0], "the half of its namespace is taken");
    running[1].ends(&mut queue, Responded, 2.0);
    assert_eq!(senders(&mut queue, 2.0), ["waiting"]);
}
