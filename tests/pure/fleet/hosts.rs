//! All endpoints of one host and port together keep to a budget.

use super::*;

fn at_path(number: usize) -> Caller {
    caller(&format!("r{number:03}"), 0.0).at_endpoint(&format!("https://issuer.example/path-{number}"))
}

#[test]
fn many_paths_are_no_way_round_the_rate() {
    let mut fleet = fleet(Budget { in_flight: 500, per_second: 50 });
    let admitted = (0..400).filter(|number| at_path(*number).asks(&mut fleet, 0.0) == Go).count();
    assert_eq!(admitted, 50);
    let told = later(at_path(399).asks(&mut fleet, 0.0));
    assert!(told > at(6.9) && told < at(7.1), "350 wait: {told:?}");
    assert_eq!(caller("other", 0.0).at_endpoint("https://other.example/path-1").asks(&mut fleet, 0.0), Go);
    assert_eq!(caller("port", 0.0).at_endpoint("https://issuer.example:8443/path-1").asks(&mut fleet, 0.0), Go);
}

#[test]
fn a_path_that_hangs_leaves_as_much_room_again_for_the_others() {
    let mut fleet = fleet(Budget { in_flight: 2, per_second: 50 });
    let [hanging, other] = [1, 2].map(|path| {
        [0, 1, 2].map(|number| {
            let name = format!("r{path}{number}");
            caller(&name, 0.0).at_endpoint(&format!("https://issuer.example/path-{path}"))
        })
    });
    assert_eq!([0, 1].map(|number| hanging[number].asks(&mut fleet, 0.0)), [Go; 2]);
    later(hanging[2].asks(&mut fleet, 0.0));
    assert_eq!([0, 1].map(|number| other[number].asks(&mut fleet, 0.0)), [Go; 2]);
    let third = caller("third", 0.0).at_endpoint("https://issuer.example/path-3");
    assert!(later(third.asks(&mut fleet, 0.0)) >= at(10.0), "woken sooner, by the end of a call");
    let woken = other[0].ends(&mut fleet, Answered, 1.0);
    assert!(names(&woken).contains(&"third"), "{woken:?}");
    assert_eq!(third.asks(&mut fleet, 1.0), Go);
}

#[test]
fn whoever_gives_up_its_place_at_a_host_makes_room_for_the_next() {
    let mut fleet = fleet(Budget { in_flight: 9, per_second: 1 });
    assert_eq!(at_path(0).asks(&mut fleet, 0.0), Go);
    let [first, second] = [at_path(1), at_path(2)];
    assert!(later(first.asks(&mut fleet, 0.0)) < at(1.1));
    assert!(later(second.asks(&mut fleet, 0.0)) > at(1.9));
    let woken = fleet.withdraw(&first.member, at(0.5));
    assert!(names(&woken).iter().all(|name| *name == "r002"), "{woken:?}");
    assert!(woken.iter().any(|(_, moment)| *moment < at(1.1)), "{woken:?}");
}

#[test]
fn a_call_that_was_not_made_costs_its_host_no_permit() {
    let mut fleet = fleet(Budget { in_flight: 9, per_second: 1 });
    let first = at_path(0);
    assert_eq!(first.asks(&mut fleet, 0.0), Go);
    fleet.ended(&first.endpoint, &first.call_key, &first.member, None, at(0.0));
    assert_eq!(at_path(1).asks(&mut fleet, 0.0), Go);
}
