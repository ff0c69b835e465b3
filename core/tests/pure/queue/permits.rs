//! Permits whose passes do not use them in time, and the room that namespaces and priorities may take up.

use super::*;

const TWO: Budget = Budget { in_flight: 2, per_second: 50 };

fn numbered(prefix: &str, count: usize) -> Vec<Caller> {
    (0..count).map(|n| caller(&format!("{prefix}{n:02}"), n as f64)).collect()
}

#[test]
fn a_permit_that_is_not_used_within_half_a_second_takes_up_no_room() {
    let mut queue = fleet(ONE);
    all_wait(&mut queue, &numbered("r", 2), 0.0);
    assert_eq!(granted(&mut queue, 0.0), [member("r00")]);
    assert_eq!(queue.grant(at(0.0)), At(at(0.5)));
    assert_eq!(granted(&mut queue, 0.49), []);
    assert_eq!(granted(&mut queue, 0.5), [member("r01")]);
}

#[test]
fn a_permit_that_is_used_takes_up_its_room_until_the_request_ends() {
    let (mut queue, callers) = (fleet(ONE), numbered("r", 2));
    callers[0].sends(&mut queue, 0.0);
    callers[1].waits(&mut queue, 0.0);
    assert_eq!(granted(&mut queue, 0.6), []);
    assert_eq!(queue.grant(at(90.0)), Later);
    callers[0].ends(&mut queue, Responded, 90.0);
    assert_eq!(granted(&mut queue, 90.0), [member("r01")]);
}

#[test]
fn a_late_pass_may_use_its_permit_where_there_is_room_and_is_back_in_line_else() {
    for (used, is_permitted) in [(1, true), (2, false)] {
        let (mut queue, callers) = (fleet(TWO), numbered("r", 4));
        callers[0].waits(&mut queue, 0.0);
        assert_eq!(granted(&mut queue, 0.0), [member("r00")]);
        assert_eq!(queue.grant(at(1.0)), Later);
        all_send(&mut queue, &callers[1..=used], 1.0);
        assert_eq!(callers[0].acquires(&mut queue, 1.0), is_permitted);
        assert_eq!(queue.has_permit(&callers[0].member), is_permitted);
        callers[3].waits(&mut queue, 1.0);
        assert_eq!(granted(&mut queue, 1.0), [], "there is no room left");
        callers[1].ends(&mut queue, Responded, 1.1);
        let next = if is_permitted { "r03" } else { "r00" };
        assert_eq!(granted(&mut queue, 1.1), [member(next)]);
    }
}

#[test]
fn a_permit_that_is_valid_again_has_half_a_second_again() {
    let (mut queue, callers) = (fleet(ONE), numbered("r", 2));
    callers[0].waits(&mut queue, 0.0);
    granted(&mut queue, 0.0);
    granted(&mut queue, 0.5);
    assert!(callers[0].acquires(&mut queue, 0.9));
    callers[1].waits(&mut queue, 0.9);
    assert_eq!(granted(&mut queue, 1.3), []);
    assert_eq!(granted(&mut queue, 1.4), [member("r01")]);
}

#[test]
fn every_permit_has_half_a_second_whenever_its_resource_had_one_before() {
    let (mut queue, callers) = (fleet(ONE), numbered("r", 2));
    callers[0].waits(&mut queue, 0.0);
    granted(&mut queue, 0.0);
    queue.withdraw(&callers[0].member, at(0.1));
    all_wait(&mut queue, &callers, 0.4);
    assert_eq!(granted(&mut queue, 0.4), [member("r00")]);
    assert_eq!(granted(&mut queue, 0.6), [], "the permit is 0.2 s old");
    assert_eq!(granted(&mut queue, 0.9), [member("r01")]);
}

#[test]
fn passes_of_a_namespace_that_hang_leave_half_of_them_to_the_others() {
    let (mut queue, other) = (fleet(TWO), caller("other", 0.0).in_namespace("m"));
    other.sends(&mut queue, 0.0);
    other.ends(&mut queue, Responded, 0.0);
    all_wait(&mut queue, &numbered("r", 20), 0.0);
    let permitted: Vec<_> = (1..20).flat_map(|second| granted(&mut queue, f64::from(second))).collect();
    assert_eq!(permitted.len(), 4);
    assert!(other.acquires(&mut queue, 20.0));
}

#[test]
fn passes_that_hang_have_at_most_four_times_the_permits() {
    let (mut queue, callers) = (fleet(TWO), numbered("r", 20));
    all_wait(&mut queue, &callers, 0.0);
    let permitted: Vec<_> = (0..20).flat_map(|second| granted(&mut queue, f64::from(second))).collect();
    assert_eq!(permitted.len(), 8);
    queue.permit_ended("e", &permitted[0], None, at(30.0));
    assert_eq!(granted(&mut queue, 30.0), [member("r08")], "who gives it back makes room for another");
}

#[test]
fn a_permit_that_takes_up_no_room_makes_none_when_it_ends() {
    let at_path = |caller: Caller, path| caller.at_endpoint(&format!("https://issuer.example/path-{path}"));
    let mut queue = fleet(TWO);
    let callers: Vec<_> = numbered("r", 9).into_iter().map(|caller| at_path(caller, 0)).collect();
    all_wait(&mut queue, &callers, 0.0);
    assert_eq!(granted(&mut queue, 0.0).len(), 2);
    assert_eq!(senders(&mut queue, 0.5), ["r02", "r03"]);
    callers[..2].iter().for_each(|hanging| hanging.does_not_send(&mut queue, 1.0));
    assert_eq!(granted(&mut queue, 1.0), [], "at the endpoint");
    assert!(!at_path(caller("other", 0.0), 1).acquires(&mut queue, 1.0), "nor at the host");
}

#[test]
fn a_host_has_room_again_for_what_takes_up_none() {
    let path = |n: usize| format!("https://issuer.example/path-{n}");
    let (mut queue, hanging) = (fleet(ONE), [0, 1].map(|n| caller(&format!("h{n}"), 0.0).at_endpoint(&path(n))));
    all_wait(&mut queue, &hanging, 0.0);
    // One namespace has half of the room at a host for two.
    assert_eq!(granted(&mut queue, 0.0).len(), 1);
    assert_eq!(granted(&mut queue, 0.5).len(), 1);
    let next = caller("next", 0.0).at_endpoint(&path(2));
    assert!(!next.acquires(&mut queue, 0.6));
    assert_eq!(granted(&mut queue, 1.0), std::slice::from_ref(&next.member));
    assert!(!hanging[0].acquires(&mut queue, 1.1), "the room of its namespace at the host is taken");
}

/// An endpoint for 8 at a time, at which another namespace is known, or none; everybody of one namespace comes.
fn sent_of_one_namespace(is_shared: bool, kinds: &[Priority]) -> usize {
    let mut queue = fleet(Budget { in_flight: 8, per_second: 50 });
    if is_shared {
        caller("other", 0.0).in_namespace("other").calls(&mut queue, Responded, 0.0);
    }
    for priority in kinds {
        for caller in numbered(&format!("{priority:?}"), 20) {
            caller.with_priority(*priority).waits(&mut queue, 1.0);
        }
    }
    senders(&mut queue, 1.0).len()
}

#[test]
fn what_is_not_due_has_half_of_the_room_for_a_namespace_where_there_is_another() {
    for priority in [Priority::New, Priority::Retry] {
        assert_eq!(sent_of_one_namespace(false, &[priority]), 8);
        assert_eq!(sent_of_one_namespace(true, &[priority]), 4);
    }
    assert_eq!(sent_of_one_namespace(true, &[Priority::New, Priority::Retry]), 4, "together");
    assert_eq!(sent_of_one_namespace(true, &[Priority::Due]), 8);
}

#[test]
fn what_is_due_finds_room_beside_a_flood_of_new_ones() {
    let mut queue = fleet(Budget { in_flight: 8, per_second: 50 });
    let due = caller("due", 50.0).in_namespace("other");
    due.calls(&mut queue, Responded, 0.0);
    for new in numbered("new", 20) {
        new.not_due().waits(&mut queue, 1.0);
    }
    assert_eq!(senders(&mut queue, 1.0).len(), 4);
    due.sends(&mut queue, 2.0);
    caller("own", 50.0).sends(&mut queue, 2.0);
}

#[test]
fn a_namespace_has_at_most_half_of_the_room_at_a_host() {
    let mut queue = fleet(Budget { in_flight: 4, per_second: 50 });
    let at_path = |namespace: &str, n: usize| {
        let path = format!("https://issuer.example/{namespace}-{n}");
        caller(&format!("{namespace}{n}"), n as f64).in_namespace(namespace).at_endpoint(&path)
    };
    let many: Vec<_> = (0..10).map(|n| at_path("many", n)).collect();
    all_wait(&mut queue, &many, 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["many0", "many1", "many2", "many3"]);
    let others: Vec<_> = (0..10).map(|n| at_path("few", n)).collect();
    all_wait(&mut queue, &others, 0.0);
    assert_eq!(senders(&mut queue, 0.0), ["few0", "few1", "few2", "few3"]);
    others[0].ends(&mut queue, Responded, 1.0);
    many[0].ends(&mut queue, Responded, 1.0);
    assert_eq!(senders(&mut queue, 1.0).len(), 2);
}
