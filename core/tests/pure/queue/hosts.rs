//! All endpoints of one host and port together keep to a budget.

use super::*;

fn at_path(number: usize) -> Caller {
    caller(&format!("r{number:03}"), 0.0).at_endpoint(&format!("https://issuer.example/path-{number}"))
}

#[test]
fn many_paths_are_no_way_round_the_rate() {
    let mut queue = fleet(Budget { in_flight: 500, per_second: 50 });
    let admitted = (0..400).filter(|number| at_path(*number).asks(&mut queue, 0.0) == Admitted).count();
    assert_eq!(admitted, 50);
    let wake_at = later(at_path(399).asks(&mut queue, 0.0));
    assert!(wake_at > at(6.9) && wake_at < at(7.1), "350 wait: {wake_at:?}");
    assert_eq!(caller("other", 0.0).at_endpoint("https://other.example/path-1").asks(&mut queue, 0.0), Admitted);
    assert_eq!(caller("port", 0.0).at_endpoint("https://issuer.example:8443/path-1").asks(&mut queue, 0.0), Admitted);
}

#[test]
fn a_path_that_hangs_leaves_as_much_room_again_for_the_others() {
    let mut queue = fleet(Budget { in_flight: 2, per_second: 50 });
    let [hanging, other] = [1, 2].map(|path| {
        [0, 1, 2].map(|number| {
            let name = format!("r{path}{number}");
            caller(&name, 0.0).at_endpoint(&format!("https://issuer.example/path-{path}"))
        })
    });
    assert_eq!([0, 1].map(|number| hanging[number].asks(&mut queue, 0.0)), [Admitted; 2]);
    later(hanging[2].asks(&mut queue, 0.0));
    assert_eq!([0, 1].map(|number| other[number].asks(&mut queue, 0.0)), [Admitted; 2]);
    let third = caller("third", 0.0).at_endpoint("https://issuer.example/path-3");
    assert!(later(third.asks(&mut queue, 0.0)) >= at(10.0), "woken sooner, by the end of a call");
    let woken = other[0].ends(&mut queue, Responded, 1.0);
    assert!(names(&woken).contains(&"third"), "{woken:?}");
    assert_eq!(third.asks(&mut queue, 1.0), Admitted);
}

#[test]
fn whoever_gives_up_its_place_at_a_host_makes_room_for_the_next() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    assert_eq!(at_path(0).asks(&mut queue, 0.0), Admitted);
    let [first, second] = [at_path(1), at_path(2)];
    assert!(later(first.asks(&mut queue, 0.0)) < at(1.1));
    assert!(later(second.asks(&mut queue, 0.0)) > at(1.9));
    let woken = queue.withdraw(&first.member, at(0.5));
    assert!(names(&woken).iter().all(|name| *name == "r002"), "{woken:?}");
    assert!(woken.iter().any(|(_, moment)| *moment < at(1.1)), "{woken:?}");
}

#[test]
fn a_call_that_was_not_made_costs_its_host_no_permit() {
    let mut queue = fleet(Budget { in_flight: 9, per_second: 1 });
    let first = at_path(0);
    assert_eq!(first.asks(&mut queue, 0.0), Admitted);
    queue.request_ended(&first.endpoint, &first.call_key, &first.member, None, at(0.0));
    assert_eq!(at_path(1).asks(&mut queue, 0.0), Admitted);
}

/// Its place is at its host: its endpoint would let it call.
fn at_host(name: &str, path: usize, expires: f64) -> Caller {
    caller(name, expires).at_endpoint(&format!("https://issuer.example/path-{path}"))
}

#[test]
fn retries_at_other_paths_come_after_what_did_not_fail() {
    let mut queue = fleet(Budget { in_flight: 1, per_second: 50 });
    let running = [at_host("first", 1, 0.0), at_host("second", 2, 0.0)];
    assert!(running.iter().all(|caller| caller.asks(&mut queue, 0.0) == Admitted));
    let (stranger, boundary) = (at_host("stranger", 3, 1.0).again(), at_host("boundary", 4, 50.0));
    later(stranger.asks(&mut queue, 0.0));
    later(boundary.asks(&mut queue, 0.0));
    // The call before was no retry: now it is their turn, and then that of the others.
    assert_eq!(names(&running[0].ends(&mut queue, Responded, 1.0)), ["stranger"]);
    assert_eq!(stranger.asks(&mut queue, 1.0), Admitted);
    let another = at_host("another", 5, 1.0).again();
    later(another.asks(&mut queue, 1.0));
    assert_eq!(names(&running[1].ends(&mut queue, Responded, 2.0)), ["boundary"]);
}

#[test]
fn whoever_does_not_come_to_its_host_is_not_waited_for() {
    let mut queue = fleet(Budget { in_flight: 1, per_second: 50 });
    let running = [at_host("first", 1, 0.0), at_host("second", 2, 0.0)];
    assert!(running.iter().all(|caller| caller.asks(&mut queue, 0.0) == Admitted));
    let [gone, waiting] = [at_host("gone", 3, 1.0), at_host("waiting", 4, 2.0)];
    later(gone.asks(&mut queue, 0.0));
    assert_eq!(names(&running[0].ends(&mut queue, Responded, 1.0)), ["gone"]);
    later(waiting.asks(&mut queue, 4.0));
    // It was told to come at 1 s.
    assert_eq!(names(&running[1].ends(&mut queue, Responded, 7.0)), ["waiting"]);
}

#[test]
fn a_session_that_has_to_wait_for_its_host_holds_no_place_at_its_endpoint() {
    let mut queue = fleet(Budget { in_flight: 1, per_second: 50 });
    let running = [at_host("first", 1, 0.0), at_host("second", 2, 0.0)];
    assert!(running.iter().all(|caller| caller.asks(&mut queue, 0.0) == Admitted));
    let session = at_host("session", 3, 1.0);
    let wake_at = later(session.lines_up(&mut queue, 0.0).0);
    assert!(wake_at >= at(10.0), "woken sooner, by the end of a call");
    let woken = running[0].ends(&mut queue, Responded, 1.0);
    assert_eq!(names(&woken), ["session"]);
    assert_eq!(session.lines_up(&mut queue, 1.0).0, Admitted);
}

#[test]
fn whoever_is_overtaken_at_its_endpoint_while_it_announces_is_in_nobodys_way_at_the_host() {
    let mut queue = fleet(Budget { in_flight: 1, per_second: 50 });
    let overtaken = at_host("overtaken", 1, 1.0);
    assert_eq!(overtaken.lines_up(&mut queue, 0.0).0, Admitted);
    // It expires earlier, and comes while the other one is writing.
    let earlier = at_host("earlier", 1, 0.0);
    assert_eq!(earlier.asks(&mut queue, 0.1), Admitted);
    later(overtaken.asks(&mut queue, 0.2));
    assert_eq!(at_host("elsewhere", 2, 5.0).asks(&mut queue, 0.2), Admitted);
}
