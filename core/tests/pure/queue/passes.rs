//! Passes begin for a permit, a moment that has come or a change, each in a lane of its own.

use super::*;
use jiff::Timestamp;
use syniverse_token_core::queue::passes::{PassEnd, PassQueue};
use syniverse_token_core::time::{Now, later};

fn now(seconds: f64) -> Now {
    Now { mono: at(seconds), wall: later(Timestamp::UNIX_EPOCH, Duration::from_secs_f64(1e9 + seconds)) }
}

/// The queues as the scheduler uses them.
struct Passes {
    passes: PassQueue,
    requests: RequestQueue,
}

fn passes(budget: Budget) -> Passes {
    Passes { passes: PassQueue::default(), requests: fleet(budget) }
}

impl Passes {
    fn next(&mut self, seconds: f64) -> Next {
        self.passes.next(&mut self.requests, now(seconds), true)
    }

    /// All that begin now.
    fn begin(&mut self, seconds: f64) -> Vec<String> {
        self.begin_at(now(seconds), true).into_iter().map(|name| name.name().to_owned()).collect()
    }

    fn begin_at(&mut self, now: Now, may_act: bool) -> Vec<ObjectName> {
        let mut begun = Vec::new();
        while let Turn(name) = self.passes.next(&mut self.requests, now, may_act) {
            assert!(!begun.contains(&name), "a second pass of {name:?} beside the first");
            begun.push(name);
        }
        begun
    }

    fn changed(&mut self, name: &ObjectName) {
        self.passes.changed(name, at(0.0));
    }

    fn ends(&mut self, name: &ObjectName, seconds: f64) {
        self.passes.ended(name, PassEnd::default(), now(seconds));
    }

    /// Its next pass is due then.
    fn ends_until(&mut self, name: &ObjectName, next: f64, seconds: f64) {
        self.passes.ended(name, PassEnd { next: Some(at(next)), ..PassEnd::default() }, now(seconds));
    }

    /// Its next request is due then.
    fn waits(&mut self, caller: &Caller, due: f64, seconds: f64) {
        let end = PassEnd { next: Some(at(due)), request: Some(caller.request.clone()), must_record: false };
        self.passes.ended(&caller.member, end, now(seconds));
    }

    fn forgets(&mut self, name: &ObjectName, seconds: f64) {
        self.requests.forget(name, at(seconds));
        self.passes.forget(name);
    }

    /// A resource that is known, and at rest.
    fn rests(&mut self, name: &ObjectName, seconds: f64) {
        self.changed(name);
        assert_eq!(self.begin_at(now(seconds), true), std::slice::from_ref(name));
        self.ends(name, seconds);
    }
}

fn many(namespace: &str, count: usize) -> Vec<ObjectName> {
    (0..count).map(|n| of(namespace, &format!("{namespace}{n:02}"))).collect()
}

#[test]
fn a_change_makes_one_pass_however_often_it_is_told() {
    let (mut queue, a) = (passes(ROOMY), member("a"));
    assert_eq!(queue.next(0.0), Later);
    [5.0, 5.0, 3.0, 7.0].into_iter().for_each(|rank| queue.passes.changed(&a, at(rank)));
    assert_eq!(queue.begin(0.0), ["a"]);
    queue.ends(&a, 1.0);
    assert_eq!(queue.next(1.0), Later);
}

#[test]
fn a_change_during_a_pass_makes_another_one_after_it() {
    let (mut queue, a) = (passes(ROOMY), member("a"));
    queue.changed(&a);
    assert_eq!(queue.begin(0.0), ["a"]);
    (0..3).for_each(|_| queue.changed(&a));
    assert_eq!(queue.next(0.5), Later, "never two at a time");
    queue.ends(&a, 1.0);
    assert_eq!(queue.begin(1.0), ["a"]);
    queue.ends(&a, 2.0);
    assert_eq!(queue.next(2.0), Later);
}

#[test]
fn a_change_that_is_told_again_has_its_place_by_what_is_known_then() {
    let (mut queue, others) = (passes(ROOMY), many("n", 20));
    let late = member("late");
    queue.passes.changed(&late, at(0.5));
    others.iter().for_each(|name| queue.passes.changed(name, at(1.0)));
    queue.passes.changed(&late, at(9.0));
    others.iter().for_each(|name| queue.passes.changed(name, at(2.0)));
    let begun = queue.begin(0.0);
    assert!(begun.len() == 12 && !begun.contains(&"late".to_owned()), "{begun:?}");
}

#[test]
fn changes_go_by_rank_in_a_namespace_and_by_turns_among_namespaces() {
    let mut queue = passes(ROOMY);
    for (namespace, name, rank) in
        [("m", "m2", 2.0), ("m", "m1", 1.0), ("m", "m3", 3.0), ("n", "n9", 9.0), ("n", "n8", 8.0)]
    {
        queue.passes.changed(&of(namespace, name), at(rank));
    }
    assert_eq!(queue.begin(0.0), ["m1", "n8", "m2", "n9", "m3"]);
}

#[test]
fn changes_of_a_namespace_that_comes_later_take_turns_with_the_others() {
    let (mut queue, old) = (passes(ROOMY), many("old", 4));
    (0..5).for_each(|_| old.iter().for_each(|name| queue.rests(name, 0.0)));
    old.iter().for_each(|name| queue.changed(name));
    many("fresh", 4).iter().for_each(|name| queue.changed(name));
    let begun = queue.begin(1.0);
    let fresh = begun[..4].iter().filter(|name| name.starts_with("fresh")).count();
    assert!((2..=3).contains(&fresh), "a newcomer has one turn before: {begun:?}");
}

#[test]
fn twelve_passes_run_for_changes_and_six_of_a_namespace_where_there_are_others() {
    let mut queue = passes(ROOMY);
    let [alone, other] = ["alone", "other"].map(|namespace| many(namespace, 20));
    alone.iter().for_each(|name| queue.changed(name));
    assert_eq!(queue.begin(0.0).len(), 12);
    alone[..12].iter().for_each(|name| queue.ends(name, 1.0));
    other[..1].iter().for_each(|name| queue.changed(name));
    let begun = queue.begin(1.0);
    assert_eq!(begun.len(), 7);
    assert!(begun.contains(&other[0].name().to_owned()), "{begun:?}");
    other[1..].iter().for_each(|name| queue.changed(name));
    assert_eq!(queue.begin(1.0), ["other01", "other02", "other03", "other04", "other05"]);
    queue.ends(&other[0], 2.0);
    assert_eq!(queue.begin(2.0), ["other06"]);
}

#[test]
fn passes_that_are_due_have_a_lane_of_their_own() {
    let mut queue = passes(ROOMY);
    let timers = [many("a", 9), many("b", 9)].concat();
    for name in &timers {
        queue.rests(name, 0.0);
        queue.passes.check_at(name, at(5.0), now(0.0));
    }
    let changes = [many("c", 9), many("d", 9)].concat();
    changes.iter().for_each(|name| queue.changed(name));
    assert_eq!(queue.begin(1.0).len(), 12);
    assert_eq!(queue.next(1.0), At(at(5.0)));
    let begun = queue.begin(5.0);
    assert_eq!(begun.len(), 12);
    assert_eq!(begun.iter().filter(|name| name.starts_with('a')).count(), 6, "{begun:?}");
}

#[test]
fn what_is_due_comes_in_the_order_of_its_moments() {
    let mut queue = passes(ROOMY);
    for (name, due) in [("late", 7.0), ("first", 5.0), ("then", 6.0)] {
        queue.rests(&member(name), 0.0);
        queue.passes.check_at(&member(name), at(due), now(0.0));
    }
    assert_eq!(queue.next(0.0), At(at(5.0)));
    assert_eq!(queue.begin(9.0), ["first", "then", "late"]);
}

#[test]
fn a_request_that_is_due_is_in_line_and_its_pass_begins_with_the_permit() {
    let (mut queue, a, b) = (passes(ONE), caller("a", 0.0), caller("b", 0.0));
    a.sends(&mut queue.requests, 0.0);
    queue.rests(&b.member, 0.0);
    queue.waits(&b, 5.0, 0.0);
    assert_eq!(queue.next(1.0), At(at(5.0)));
    assert_eq!(queue.next(5.0), At(at(5.75)), "no pass without a permit");
    a.ends(&mut queue.requests, Responded, 5.7);
    assert_eq!(queue.begin(5.7), ["b"]);
    assert!(queue.requests.has_permit(&b.member));
    assert!(b.acquires(&mut queue.requests, 5.8));
    b.ends(&mut queue.requests, Responded, 5.9);
    queue.ends(&b.member, 5.9);
    assert_eq!(queue.next(30.0), Later, "nothing is left of its timer");
}

#[test]
fn a_request_that_gets_no_permit_soon_is_looked_at_once_and_stays_in_line() {
    let (mut queue, a, b) = (passes(ONE), caller("a", 0.0), caller("b", 0.0));
    a.sends(&mut queue.requests, 0.0);
    queue.rests(&b.member, 0.0);
    queue.waits(&b, 5.0, 0.0);
    assert_eq!(queue.begin(5.0), [""; 0]);
    assert_eq!(queue.begin(5.7), [""; 0]);
    assert_eq!(queue.begin(5.75), ["b"]);
    assert!(!queue.requests.has_permit(&b.member));
    assert_eq!(queue.begin(40.0), [""; 0], "once");
    queue.waits(&b, 5.0, 40.0);
    assert_eq!(queue.next(40.0), At(at(40.75)));
    a.ends(&mut queue.requests, Responded, 40.7);
    assert_eq!(queue.begin(40.7), ["b"]);
}

#[test]
fn a_pass_that_gets_its_permit_makes_room_in_its_lane() {
    let (mut queue, names) = (passes(ROOMY), many("n", 14));
    names.iter().for_each(|name| queue.changed(name));
    assert_eq!(queue.begin(0.0).len(), 12);
    queue.passes.has_permit(&names[3], Priority::New);
    assert_eq!(queue.begin(0.0), ["n12"]);
    queue.ends(&names[3], 1.0);
    assert_eq!(queue.begin(1.0), [""; 0], "that was no longer in the lane");
    assert_eq!(queue.passes.running(), 12);
}

#[test]
fn passes_with_permits_take_no_room_from_changes_and_need_none() {
    let (mut queue, names) = (passes(ROOMY), many("n", 12));
    let due = ["a", "b", "c"].map(|name| caller(name, 0.0));
    for caller in &due {
        queue.rests(&caller.member, 0.0);
        queue.waits(caller, 5.0, 0.0);
    }
    names.iter().for_each(|name| queue.changed(name));
    assert_eq!(queue.begin(1.0).len(), 12);
    assert_eq!(queue.begin(5.0), ["a", "b", "c"]);
    assert_eq!(queue.passes.running(), 15);
}

#[test]
fn a_permit_that_comes_while_a_pass_runs_starts_one_after_it_if_it_is_not_used() {
    for is_used in [false, true] {
        let (mut queue, a) = (passes(ROOMY), caller("a", 0.0));
        queue.changed(&a.member);
        assert_eq!(queue.begin(0.0), ["a"]);
        a.waits(&mut queue.requests, 0.1);
        assert_eq!(queue.begin(0.1), [""; 0]);
        assert!(queue.requests.has_permit(&a.member));
        if is_used {
            a.calls(&mut queue.requests, Responded, 0.2);
        }
        queue.ends(&a.member, 0.3);
        assert_eq!(queue.begin(0.3).len(), usize::from(!is_used));
    }
}

#[test]
fn a_pass_absorbs_what_else_would_have_started_one() {
    let (mut queue, a) = (passes(ROOMY), caller("a", 0.0));
    queue.rests(&a.member, 0.0);
    queue.waits(&a, 5.0, 0.0);
    queue.changed(&a.member);
    assert_eq!(queue.begin(5.0), ["a"]);
    assert!(queue.requests.has_permit(&a.member));
    a.calls(&mut queue.requests, Responded, 5.1);
    queue.ends(&a.member, 5.2);
    assert_eq!(queue.next(99.0), Later, "neither the change nor the timer is left");
}

#[test]
fn a_check_only_moves_a_timer_earlier() {
    let (mut queue, a) = (passes(ROOMY), member("a"));
    queue.rests(&a, 0.0);
    for (check, expected) in [(20.0, 20.0), (30.0, 20.0), (10.0, 10.0), (15.0, 10.0)] {
        queue.passes.check_at(&a, at(check), now(0.0));
        assert_eq!(queue.next(0.0), At(at(expected)));
    }
    assert_eq!(queue.begin(10.0), ["a"]);
    queue.ends_until(&a, 40.0, 11.0);
    assert_eq!(queue.next(30.0), At(at(40.0)), "nothing is left of the others");
}

#[test]
fn a_check_that_comes_due_during_a_pass_starts_none_beside_it() {
    let (mut queue, a) = (passes(ROOMY), member("a"));
    queue.changed(&a);
    assert_eq!(queue.begin(0.0), ["a"]);
    queue.passes.check_at(&a, at(1.0), now(0.0));
    assert_eq!(queue.begin(2.0), [""; 0]);
    queue.ends(&a, 3.0);
    assert_eq!(queue.begin(3.0), ["a"], "the check is not lost");
}

#[test]
fn a_check_that_is_told_during_a_pass_is_made() {
    let (mut queue, a) = (passes(ROOMY), member("a"));
    queue.changed(&a);
    assert_eq!(queue.begin(0.0), ["a"]);
    queue.passes.check_at(&a, at(5.0), now(0.0));
    queue.ends_until(&a, 100.0, 1.0);
    assert_eq!(queue.next(1.0), At(at(5.0)));
}

#[test]
fn a_step_of_the_wall_clock_fires_what_is_over_by_it_and_delays_nothing() {
    for (step, expected) in [(0.0, 0), (0.5, 0), (60.0, 1), (-3600.0, 0)] {
        let (mut queue, a) = (passes(ROOMY), member("a"));
        queue.rests(&a, 0.0);
        queue.ends_until(&a, 50.0, 0.0);
        assert_eq!(queue.next(0.0), At(at(50.0)));
        let stepped = |seconds: f64| {
            let now = now(seconds);
            Now { wall: now.wall.saturating_add(jiff::SignedDuration::from_secs_f64(step)).unwrap(), ..now }
        };
        assert_eq!(queue.begin_at(stepped(1.0), true).len(), expected, "a step of {step} s");
        assert_eq!(queue.begin_at(stepped(50.0), true).len(), 1 - expected);
    }
}

#[test]
fn who_may_not_act_only_records_and_each_at_its_timer() {
    let (mut queue, [a, b, c]) = (passes(ROOMY), ["a", "b", "c"].map(member));
    [&a, &b, &c].into_iter().for_each(|name| queue.changed(name));
    assert_eq!(queue.begin(0.0).len(), 3);
    assert!(!queue.passes.has_to_record());
    for (name, next, must_record) in [(&a, 5.0, true), (&b, 7.0, true), (&c, 1.0, false)] {
        let end = PassEnd { next: Some(at(next)), must_record, ..PassEnd::default() };
        queue.passes.ended(name, end, now(0.0));
    }
    queue.changed(&c);
    assert!(queue.passes.has_to_record());
    assert_eq!(queue.passes.next(&mut queue.requests, now(1.0), false), At(at(5.0)));
    assert_eq!(queue.begin_at(now(5.0), false), std::slice::from_ref(&a));
    assert_eq!(queue.passes.next(&mut queue.requests, now(6.0), false), At(at(7.0)), "a runs");
    queue.ends(&a, 6.0);
    assert_eq!(queue.begin_at(now(7.0), false), std::slice::from_ref(&b));
    queue.ends(&b, 8.0);
    assert!(!queue.passes.has_to_record());
    assert_eq!(queue.passes.next(&mut queue.requests, now(99.0), false), Later);
    assert_eq!(queue.begin(99.0), ["c"], "which was kept until it may act");
}

#[test]
fn nothing_is_kept_of_a_resource_that_is_forgotten() {
    let mut queue = passes(ROOMY);
    let (gone, due) = (of("gone-namespace", "gone"), of("gone-namespace", "gone-too"));
    queue.rests(&gone, 0.0);
    queue.rests(&due, 0.0);
    queue.passes.check_at(&gone, at(9.0), now(0.0));
    let end = PassEnd { next: Some(at(9.0)), request: Some(caller("gone", 0.0).request), must_record: true };
    queue.passes.ended(&due, end, now(0.0));
    queue.changed(&gone);
    queue.forgets(&gone, 1.0);
    queue.forgets(&due, 1.0);
    assert_eq!(queue.next(1.0), Later);
    assert_eq!(queue.next(99.0), Later);
    assert!(!queue.passes.has_to_record());
    let left = format!("{:?}", queue.requests);
    assert!(!left.contains("gone"), "{left}");
    // A line remembers how many turns a namespace has had.
    let left = format!("{:?}", queue.passes);
    assert!(!left.contains("\"gone\"") && !left.contains("gone-too"), "{left}");
}

#[test]
fn a_running_pass_of_a_forgotten_resource_does_no_harm() {
    let (mut queue, a) = (passes(ONE), caller("a", 0.0));
    queue.rests(&a.member, 0.0);
    queue.waits(&a, 1.0, 0.0);
    assert_eq!(queue.begin(1.0), ["a"]);
    queue.forgets(&a.member, 1.1);
    queue.waits(&a, 2.0, 1.2);
    assert_eq!(queue.next(99.0), Later);
    assert_eq!(queue.passes.running(), 0);
    let left = format!("{:?}", queue.passes);
    assert!(!left.contains("\"a\""), "{left}");
}

#[test]
fn another_one_of_the_name_waits_for_the_pass_of_the_first() {
    let (mut queue, a) = (passes(ROOMY), member("a"));
    queue.changed(&a);
    assert_eq!(queue.begin(0.0), ["a"]);
    queue.forgets(&a, 0.1);
    queue.changed(&a);
    assert_eq!(queue.begin(0.2), [""; 0]);
    queue.ends(&a, 0.3);
    assert_eq!(queue.begin(0.3), ["a"]);
}

#[test]
fn a_permit_for_a_resource_that_has_no_passes_is_given_back() {
    let (mut queue, a, b) = (passes(ONE), caller("a", 0.0), caller("b", 1.0));
    queue.rests(&b.member, 0.0);
    a.waits(&mut queue.requests, 0.0);
    queue.waits(&b, 0.0, 0.0);
    assert_eq!(queue.begin(0.0), ["b"]);
    assert!(!queue.requests.has_permit(&a.member));
}

#[test]
fn a_flood_of_changes_delays_no_timer_and_no_permit_of_another_namespace() {
    let mut queue = passes(ROOMY);
    let (flood, due, timer) = (many("flood", 500), caller("due", 5.0), member("timer"));
    queue.rests(&due.member, 0.0);
    queue.rests(&timer, 0.0);
    queue.waits(&due, 5.0, 0.0);
    queue.passes.check_at(&timer, at(6.0), now(0.0));
    // Passes of the flood never end, and all of it changes all the time.
    for second in 1..5 {
        flood.iter().for_each(|name| queue.changed(name));
        let begun = queue.begin(f64::from(second));
        assert_eq!(begun.len(), if second == 1 { 6 } else { 0 });
    }
    assert_eq!(queue.begin(5.0), ["due"]);
    assert_eq!(queue.begin(6.0), ["timer"]);
    queue.changed(&member("change"));
    assert_eq!(queue.begin(6.0), ["change"]);
}

#[test]
fn while_a_token_that_has_ended_is_replaced_other_namespaces_make_one_pass_at_a_time_for_changes() {
    let mut queue = passes(ROOMY);
    let (flood, ended) = (many("flood", 20), caller("ended", 5.0));
    queue.rests(&ended.member, 0.0);
    queue.waits(&ended, 5.0, 0.0);
    assert_eq!(queue.begin(5.0), ["ended"]);
    flood.iter().for_each(|name| queue.changed(name));
    queue.changed(&member("own"));
    assert_eq!(queue.begin(5.0), ["flood00", "own"], "its own namespace is not held up");
    queue.ends(&flood[0], 5.1);
    assert_eq!(queue.begin(5.1), ["flood01"], "one by one they go on");
    ended.ends(&mut queue.requests, Responded, 5.2);
    queue.ends(&ended.member, 5.2);
    assert_eq!(queue.begin(5.2).len(), 5);
    // A pass that had begun for a change, and asks for another reason.
    queue.passes.has_permit(&member("own"), Priority::New);
    queue.ends(&flood[1], 5.3);
    assert_eq!(queue.begin(5.3).len(), 1);
    queue.passes.has_permit(&member("own"), Priority::Due);
    queue.ends(&flood[2], 5.4);
    assert_eq!(queue.begin(5.4), [""; 0]);
}
