//! Who holds the Lease, and for how long somebody else must believe it.

use crate::cluster::now;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use std::time::Duration;
use syniverse_token_core::intent::Intent;
use syniverse_token_core::lease::{Candidate, LeaseAction, Term, Timing};
use syniverse_token_core::time::Now;

const TIMING: Timing = Timing {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn candidate(identity: &str) -> Candidate {
    Candidate::new(identity.to_owned(), TIMING)
}

/// The Lease after a bid that must be a write, won by `candidate`.
fn take(candidate: &mut Candidate, found: Option<Lease>, at: Now) -> Lease {
    match candidate.next_action("lease", found, at) {
        LeaseAction::Create(lease) | LeaseAction::Replace(lease) => {
            candidate.acquired(lease.clone(), at.mono);
            lease
        }
        LeaseAction::Wait(until) => panic!("it waits until {until:?}"),
    }
}

fn waits_until(candidate: &mut Candidate, found: &Lease, at: Now) -> f64 {
    match candidate.next_action("lease", Some(found.clone()), at) {
        LeaseAction::Wait(until) => at.mono.until(now(0.0).mono).as_secs_f64() + until.until(at.mono).as_secs_f64(),
        other => panic!("it does not wait: {other:?}"),
    }
}

fn released_by(candidate: &Candidate) -> Option<&str> {
    candidate.term()?.released_by.as_deref()
}

fn spec(lease: &Lease) -> LeaseSpec {
    lease.spec.clone().unwrap()
}

#[test]
fn where_there_is_none_it_is_created_and_names_its_holder() {
    let mut a = candidate("a");
    let lease = take(&mut a, None, now(0.0));
    assert_eq!(lease.metadata.name.as_deref(), Some("lease"));
    let spec = spec(&lease);
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some("a"), Some(15)));
    assert_eq!((spec.lease_transitions, a.term().unwrap().renewed), (Some(0), now(0.0).mono));
}

#[test]
fn a_holder_renews_and_keeps_the_time_since_when_it_holds() {
    let mut a = candidate("a");
    let first = take(&mut a, None, now(0.0));
    let second = take(&mut a, Some(first.clone()), now(2.0));
    assert_eq!(spec(&second).acquire_time, spec(&first).acquire_time);
    assert_ne!(spec(&second).renew_time, spec(&first).renew_time);
    assert_eq!((spec(&second).lease_transitions, a.renew_deadline_at()), (Some(0), Some(now(12.0).mono)));
    assert_eq!(a.term().unwrap().since, now(0.0).mono);
}

#[test]
fn another_one_waits_for_its_duration_from_when_it_first_saw_the_record_and_not_from_the_times_in_it() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    // The holder's clock stands an hour behind.
    let behind = Now { wall: now(0.0).wall - Duration::from_secs(3600), ..now(0.0) };
    let lease = take(&mut a, None, behind);
    assert_eq!(waits_until(&mut b, &lease, now(1.0)), 16.0);
    assert_eq!(waits_until(&mut b, &lease, now(15.9)), 16.0);
    let taken = take(&mut b, Some(lease), now(16.0));
    assert_eq!((spec(&taken).holder_identity.as_deref(), spec(&taken).lease_transitions), (Some("b"), Some(1)));
}

#[test]
fn each_renewal_makes_it_wait_anew() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let first = take(&mut a, None, now(0.0));
    assert_eq!(waits_until(&mut b, &first, now(0.0)), 15.0);
    let second = take(&mut a, Some(first), now(10.0));
    assert_eq!(waits_until(&mut b, &second, now(12.0)), 27.0);
}

#[test]
fn who_sees_another_holder_holds_it_no_longer() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let first = take(&mut a, None, now(0.0));
    waits_until(&mut b, &first, now(0.0));
    let second = take(&mut b, Some(first), now(15.0));
    assert_eq!(waits_until(&mut a, &second, now(16.0)), 31.0);
    assert_eq!((a.term(), a.renew_deadline_at()), (None, None));
}

#[test]
fn a_released_lease_is_taken_at_once_and_only_its_holder_releases_it() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = take(&mut a, None, now(0.0));
    waits_until(&mut b, &lease, now(0.5));
    assert_eq!(b.release(lease.clone(), now(1.0)), None);
    let released = a.release(lease, now(1.0)).unwrap();
    assert_eq!((spec(&released).holder_identity.as_deref(), spec(&released).lease_transitions), (Some(""), Some(0)));
    let taken = take(&mut b, Some(released), now(1.0));
    assert_eq!((spec(&taken).holder_identity.as_deref(), spec(&taken).lease_transitions), (Some("b"), Some(1)));
    assert_eq!([&a, &b].map(released_by), [None, Some("a")], "the first one followed nobody");
    take(&mut b, Some(taken), now(3.0));
    assert_eq!(released_by(&b), Some("a"), "as long as it holds");
}

#[test]
fn who_came_after_the_release_does_not_know_whose_it_was() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = take(&mut a, None, now(0.0));
    take(&mut b, a.release(lease, now(1.0)), now(1.0));
    assert_eq!(released_by(&b), None);
}

/// A namespace may have come from another shard, whose process is in the middle of its request.
#[test]
fn a_term_follows_the_intents_of_who_released_the_lease_and_of_nobody_else() {
    let term = Term { since: now(10.0).mono, renewed: now(10.0).mono, released_by: Some("pod_with_parts_ab12".into()) };
    let intent = |holder: &str, seconds: f64| Intent { time: now(seconds).wall, holder: holder.to_owned() };
    let follows = |holder, seconds| term.follows(&intent(holder, seconds), now(11.0));
    assert_eq!([follows("ab12", 9.0), follows("ab12", 10.5), follows("cd34", 9.0)], [true, false, false]);
    let unknown = Term { released_by: None, ..term.clone() };
    assert!(!unknown.follows(&intent("ab12", 9.0), now(11.0)));
}

/// Its holder, if there is one, may be in the middle of a call.
#[test]
fn a_lease_that_somebody_emptied_or_deleted_was_not_released() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = take(&mut a, None, now(0.0));
    let emptied = LeaseSpec { holder_identity: Some(String::new()), ..lease.spec.clone().unwrap() };
    waits_until(&mut b, &lease, now(0.5));
    take(&mut b, Some(Lease { spec: Some(emptied), ..lease.clone() }), now(1.0));
    assert_eq!(released_by(&b), None);

    let mut c = candidate("c");
    waits_until(&mut c, &lease, now(0.5));
    c.next_action("lease", a.release(lease, now(1.0)), now(1.0));
    take(&mut c, None, now(2.0));
    assert_eq!(released_by(&c), None, "it was another one's meanwhile, for all that is known");
}

#[test]
fn a_holder_with_another_duration_is_believed() {
    let mut b = candidate("b");
    let spec =
        LeaseSpec { holder_identity: Some("a".into()), lease_duration_seconds: Some(60), ..LeaseSpec::default() };
    let lease = Lease { spec: Some(spec), ..Lease::default() };
    assert_eq!(waits_until(&mut b, &lease, now(0.0)), 60.0);
}

#[test]
fn a_call_begins_only_if_it_ends_before_the_lease_can_be_anothers() {
    let calls_for = |call| TIMING.calls_may_begin_for(Duration::from_secs(call)).as_secs();
    assert_eq!((calls_for(10), calls_for(13), calls_for(20)), (4, 1, 0));
    assert_eq!(calls_for(1), 10, "never beyond the renew deadline");
}
