//! What a process remembers, and what a clock that steps does to it.

use crate::cluster::{Cluster, now};
use jiff::SignedDuration;
use serde_json::json;
use syniverse_token_core::api::SyniverseTokenStatus;
use syniverse_token_core::issuer::Cause;
use syniverse_token_core::memory::{Memory, Target, WrittenStatus};
use syniverse_token_core::state::State;
use syniverse_token_core::time::Now;

fn stepped(at: Now, seconds: i64) -> Now {
    Now { wall: at.wall + SignedDuration::from_secs(seconds), ..at }
}

#[test]
fn a_wall_clock_set_back_does_not_move_a_deadline_of_this_process() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    let back = |seconds: f64| stepped(now(seconds), -3600);
    // It is not believed: one harmless look, which brings the stored times in line with it.
    assert_eq!(cluster.call(back(550.0)).cause, Cause::ClockDoubt);
    cluster.answer(back(550.0), "first", 50);
    assert_eq!(cluster.rest(back(551.0)).0, Some(now(600.0).mono));
    assert_eq!(cluster.call(back(600.0)).cause, Cause::Boundary);
}

#[test]
fn a_wall_clock_set_forward_leads_to_one_harmless_look() {
    let mut cluster = Cluster::with_token(json!({}));
    let forward = |seconds: f64| stepped(now(seconds), 3600);
    assert_eq!(cluster.call(forward(10.0)).cause, Cause::Boundary);
    cluster.answer(forward(10.0), "first", 590);
    let (until, _) = cluster.rest(forward(11.0));
    assert_eq!(until, Some(now(540.0).mono));
}

#[test]
fn a_process_that_starts_with_a_clock_set_back_looks_once() {
    let mut cluster = Cluster::with_token(json!({}));
    let back = |seconds: f64| stepped(now(seconds), -3600);
    cluster.restart(back(10.0));
    assert_eq!(cluster.call(back(10.0)).cause, Cause::ClockDoubt);
    cluster.answer(back(10.0), "first", 590);
    assert_eq!(cluster.rest(back(11.0)).0, Some(now(540.0).mono));
    cluster.restart(back(20.0));
    assert_eq!(cluster.rest(back(20.0)).0, Some(now(540.0).mono));
}

#[test]
fn a_skew_of_the_issuers_clock_is_told_once_until_it_has_been_gone() {
    let mut memory = Cluster::new(json!({})).memory;
    let told: Vec<_> = [30, 31, -400, 5, -31].into_iter().map(|seconds| memory.observe_skew(seconds)).collect();
    assert_eq!(told, [false, true, false, false, true]);
}

#[test]
fn what_was_said_before_another_one_acted_is_forgotten() {
    let mut memory = Memory::new(now(0.0).mono);
    let said = || Some(SyniverseTokenStatus { fingerprint: Some("said".into()), ..SyniverseTokenStatus::default() });
    memory.set_acting_since(now(1.0).mono);
    let written = said().map(|status| WrittenStatus { status, version: None });
    (memory.status, memory.last_status) = (written, said());
    memory.set_acting_since(now(1.0).mono);
    assert_eq!(
        (memory.status.as_ref().map(|written| &written.status), &memory.last_status),
        (said().as_ref(), &said())
    );
    memory.set_acting_since(now(100.0).mono);
    assert!(memory.status.is_none() && memory.last_status.is_none());
}

#[test]
fn an_answer_that_another_process_recorded_is_noticed_unless_it_may_be_our_own() {
    let mut cluster = Cluster::with_token(json!({}));
    let earlier = cluster.state();
    cluster.answer(now(540.0), "first", 60);
    let later = cluster.state();
    let acting = || {
        let mut memory = Memory::new(now(0.0).mono);
        memory.set_acting_since(now(0.0).mono);
        assert!(!memory.state_read(earlier.clone()), "nothing was known before");
        memory
    };
    let mut alone = acting();
    assert_eq!([&earlier, &later, &later].map(|state| alone.state_read(state.clone())), [false, true, false]);
    let mut unsure = acting();
    unsure.writes.write_failed(Target::State, "timed out".into(), now(1.0).mono, 1);
    assert!(!unsure.state_read(later.clone()));
    // Sent twice because the answer to the first attempt was lost: the second one comes back as a conflict.
    let mut conflicting = acting();
    conflicting.state_write_started(later.clone());
    assert!(!conflicting.state_read(later.clone()));
    let mut overtaken = acting();
    overtaken.state_write_started(earlier.clone());
    assert!(overtaken.state_read(later.clone()));
    let mut led_by_another = acting();
    led_by_another.set_acting_since(now(5.0).mono);
    assert!(!led_by_another.state_read(later));
}

#[test]
fn what_is_packed_between_two_passes_is_there_in_the_next() {
    let mut cluster = Cluster::with_token(json!({}));
    let earlier = cluster.state();
    cluster.answer(now(540.0), "next", 60);
    let state = cluster.state();
    let status =
        |said: &str| SyniverseTokenStatus { fingerprint: Some(said.into()), ..SyniverseTokenStatus::default() };
    for written in [Some("last"), Some("another"), None] {
        let mut memory = Memory::new(now(0.0).mono);
        memory.set_acting_since(now(0.0).mono);
        memory.state_read(state.clone());
        memory.state_write_started(if written.is_some() { state.clone() } else { earlier.clone() });
        memory.last_status = Some(status("last"));
        memory.status = written.map(|said| WrittenStatus { status: status(said), version: Some("7".into()) });
        let before = format!("{memory:?}");
        let packed = memory.pack();
        let token = &state.active_token().unwrap().token;
        assert!(!format!("{packed:?}").contains(token.expose()));
        let memory = packed.unpack();
        assert_eq!(format!("{memory:?}"), before);
        assert_eq!(memory.state, Some(state.clone()), "the tokens as well");
    }
}

#[test]
fn a_state_nested_as_deep_as_a_reader_bears_costs_a_read_and_no_process() {
    // Deeper by the text around it, once it is packed.
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let read = |depth| {
        let state = format!(r#"{{"version": 2, "serial": 1, "salt": "s", "newer": {}}}"#, nested(depth));
        State::from_bytes(state.as_bytes())
    };
    let deepest = (1..200).rev().find_map(|depth| read(depth).ok()).unwrap();
    let mut memory = Memory::new(now(0.0).mono);
    memory.state_read(deepest);
    let memory = memory.pack().unpack();
    assert_eq!(memory.state, None, "forgotten, and read again");
}

/// Who may write a state Secret can fill it with what does not pack.
#[test]
fn a_state_that_takes_more_room_than_tokens_do_costs_a_read_and_no_memory() {
    let read = |junk: usize| {
        let junk: String = (0..junk).map(|number| format!("{:08x}", number.wrapping_mul(2_654_435_761))).collect();
        let state = format!(r#"{{"version": 3, "serial": 1, "salt": "s", "newer": "{junk}"}}"#);
        State::from_bytes(state.as_bytes()).unwrap()
    };
    for (junk, is_kept) in [(1000, true), (100_000, false)] {
        let mut memory = Memory::new(now(0.0).mono);
        memory.state_read(read(junk));
        memory.last_status = Some(SyniverseTokenStatus::default());
        let memory = memory.pack().unpack();
        assert_eq!((memory.state.is_some(), memory.last_status.is_some()), (is_kept, true), "{junk}");
    }
}
