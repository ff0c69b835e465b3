//! The order of the checks, and what each of them leads to.

use crate::cluster::{Cluster, credentials, now, old_token, refresh, response, secret};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::effects;
use syniverse_token_core::issuer::endpoint::NotAllowed;
use syniverse_token_core::issuer::{Cause, Failure, FailureKind, Lifetime, TokenRequest};
use syniverse_token_core::memory::Target;
use syniverse_token_core::observed::{Observed, PeerHealth};
use syniverse_token_core::plan::{Plan, PlannedRequest, Step};
use syniverse_token_core::reason::Reason;
use syniverse_token_core::status::TokenHealth;
use syniverse_token_core::validated::Validated;

const REFRESH: &str = "syniverse.dev/refresh";

fn fail(cluster: &mut Cluster, planned: &PlannedRequest, kind: FailureKind, seconds: f64) {
    let failure = Failure { kind, detail: "the issuer answered HTTP 500".into(), retry_after: None, status: None };
    cluster.end(planned, now(seconds), &Err(failure));
}

#[test]
fn a_first_issue_writes_an_empty_state_before_it_asks_and_the_answer_before_the_token() {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    assert_eq!(cluster.steps, ["announcement"]);
    assert_eq!((planned.cause, old_token(&planned)), (Cause::FirstIssue, "old".to_owned()));
    assert_eq!(refresh(&planned).validity_seconds, 600);
    cluster.receive(&planned, now(0.0), "first", 600);
    cluster.rest(now(0.1));
    assert_eq!(cluster.steps, ["announcement", "state", "token"]);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
}

#[test]
fn at_rest_there_is_nothing_to_do_until_the_check() {
    let mut cluster = Cluster::with_token(json!({}));
    assert_eq!(cluster.rest(now(1.0)), (Some(now(540.0).mono), vec![]));
    assert!(cluster.steps.is_empty());
}

#[test]
fn a_restart_with_fresh_state_asks_and_writes_nothing() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.restart(now(100.0));
    assert_eq!(cluster.rest(now(100.0)), (Some(now(540.0).mono), vec![]));
    assert!(cluster.steps.is_empty());
}

#[test]
fn the_check_is_recorded_so_that_a_restart_does_not_repeat_it() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    assert_eq!(cluster.steps, ["state"]);
    cluster.restart(now(541.0));
    assert_eq!(cluster.rest(now(541.0)).0, Some(now(600.0).mono));
}

#[test]
fn a_rotation_is_two_writes_and_an_answer_that_changes_nothing_none() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    cluster.steps.clear();
    cluster.answer(now(600.0), "first", 0);
    assert!(cluster.steps.is_empty());
    assert_eq!(cluster.rest(now(600.05)).0, Some(now(600.1).mono));
    cluster.answer(now(600.1), "second", 600);
    assert_eq!(cluster.steps, ["state", "token"]);
    assert_eq!(cluster.rest(now(601.0)).0, Some(now(1140.1).mono));
}

#[test]
fn five_minutes_too_much_reported_at_the_end_delay_no_rotation() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    let mut asked = Vec::new();
    let mut at = 600.01;
    while at < 602.0 {
        asked.push(format!("{at:.2}"));
        cluster.answer(now(at), "first", 300);
        at = cluster.rest(now(at)).0.unwrap().until(now(0.0).mono).as_secs_f64();
    }
    assert_eq!(asked, ["600.01", "600.11", "600.31", "600.71", "601.51"]);
    // Now that the end is surely over, the time left is believed, but for its last second.
    cluster.answer(now(at), "first", 300);
    assert_eq!(cluster.rest(now(at)).0, Some(now(at + 299.0).mono));
}

#[test]
fn each_end_begins_its_steps_anew() {
    let mut cluster = Cluster::with_token(json!({}));
    // The check says five minutes less than there are: that earlier end is asked at, and so is the true one.
    cluster.answer(now(540.0), "first", 0);
    for at in [540.1, 540.2, 540.4, 540.8, 541.6, 543.2, 546.4] {
        cluster.answer(now(at), "first", 0);
    }
    cluster.answer(now(600.01), "first", 0);
    assert_eq!(cluster.rest(now(600.02)).0, Some(now(600.11).mono));
}

#[test]
fn a_boundary_ends_with_a_token_that_somebody_else_recorded() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(600.01), "first", 0);
    let mut other = Cluster::with_token(json!({}));
    other.answer(now(600.1), "second", 600);
    (cluster.observed.state, cluster.observed.token) = (other.observed.state, other.observed.token);
    cluster.memory.state = None;
    assert_eq!(cluster.rest(now(601.0)).0, Some(now(1140.1).mono));
}

/// When a resource that asks for so much is given a new token by every call, each of so little life, and what it says then.
fn rotations(validity: &str, given: u64, until: f64) -> (Vec<f64>, Vec<Reason>, Cluster) {
    let mut cluster = Cluster::new(json!({"application": {"validity": validity}}));
    let mut asked = Vec::new();
    let mut at = 0.0;
    while at < until {
        asked.push((at * 10.0_f64).round() / 10.0);
        cluster.answer(now(at), &format!("token {}", asked.len()), given);
        let (next, _) = cluster.rest(now(at));
        at = next.unwrap().until(now(0.0).mono).as_secs_f64();
    }
    let reasons = cluster.rest(now(at - 0.05)).1;
    (asked, reasons, cluster)
}

#[test]
fn tokens_that_are_over_before_they_are_of_use_are_asked_for_once_a_minute_and_that_is_said() {
    for (validity, given) in [("24h", 0), ("24h", 1), ("24h", 9), ("20s", 4), ("0s", 5)] {
        let (asked, reasons, mut cluster) = rotations(validity, given, 1000.0);
        assert!(asked[2] - asked[1] >= 60.0 && asked.len() <= 19, "{validity} {given}: {asked:?}");
        assert_eq!(reasons[0], Reason::LifetimeUnusable, "{validity} {given}");
        let (last, state) = (*asked.last().unwrap(), cluster.state());
        let planned = Validated::of(&cluster.observed)
            .unwrap()
            .refresh_policy
            .planned_time(state.active_token().unwrap())
            .unwrap();
        assert_eq!(now(last).moment_of(planned), now(last + 60.0).mono, "what status shows");
        // The process that comes next knows it, too.
        cluster.restart(now(last + 1.0));
        assert_eq!(cluster.rest(now(last + 1.0)), (Some(now(last + 60.0).mono), vec![Reason::LifetimeUnusable]));
        // One that is of use ends it.
        cluster.answer(now(last + 60.0), "useful", 86_400);
        assert!(cluster.rest(now(last + 61.0)).1.is_empty());
    }
}

#[test]
fn a_short_life_that_was_asked_for_slows_nobody() {
    for (validity, given) in [("2s", 2), ("2s", 1), ("4s", 3), ("10s", 8), ("20s", 20), ("12s", 10), ("900s", 10)] {
        let (asked, reasons, _) = rotations(validity, given, 100.0);
        assert!(asked.len() as u64 >= 100 / (given + 1), "{validity} {given}: {asked:?}");
        assert!(!reasons.contains(&Reason::LifetimeUnusable), "{validity} {given}");
    }
}

#[test]
fn a_new_token_whose_time_is_said_to_be_over_and_then_is_not_slows_nobody() {
    let mut cluster = Cluster::new(json!({"application": {"validity": "60s"}}));
    for (round, token) in ["first", "second", "third"].iter().enumerate() {
        let start = round as f64 * 70.0;
        cluster.answer(now(start), token, 0);
        let mut at = start + 0.1;
        while at < start + 10.0 {
            cluster.answer(now(at), token, 60);
            let (next, reasons) = cluster.rest(now(at));
            assert!(reasons.is_empty(), "{reasons:?}");
            at = next.unwrap().until(now(0.0).mono).as_secs_f64();
        }
        assert!(at > start + 50.0 && at < start + 64.0, "{at}");
    }
}

#[test]
fn a_token_that_is_said_to_live_for_longer_than_was_asked_for_is_checked_once_when_that_is_over() {
    let mut cluster = Cluster::new(json!({}));
    cluster.answer(now(0.0), "first", 600_000);
    let planned = |cluster: &Cluster| {
        Validated::of(&cluster.observed).unwrap().refresh_policy.planned_time(cluster.state().active_token().unwrap())
    };
    assert_eq!(planned(&cluster), Some(now(602.0).wall));
    assert_eq!(cluster.rest(now(1.0)).0, Some(now(602.0).mono));
    assert_eq!(cluster.call(now(602.0)).cause, Cause::Check);
    cluster.answer(now(602.0), "second", 600_000);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    assert_eq!(planned(&cluster), Some(now(1204.0).wall));
    // It may be true as well: then it is not asked about again.
    cluster.answer(now(1204.0), "second", 599_398);
    assert!(cluster.rest(now(1205.0)).0.unwrap() > now(2000.0).mono);
}

#[test]
fn a_token_without_end_for_which_an_end_was_asked_is_checked_once_when_that_would_have_come() {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    let never = |token: &str| response(token, Lifetime::Never);
    cluster.end(&planned, now(0.0), &Ok(never("first")));
    assert_eq!(cluster.rest(now(1.0)), (Some(now(602.0).mono), vec![Reason::ValidityNotApplied]));
    let planned = cluster.call(now(602.0));
    assert_eq!(planned.cause, Cause::Check);
    cluster.end(&planned, now(602.0), &Ok(never("first")));
    assert!(cluster.rest(now(603.0)).0.unwrap() > now(2000.0).mono);
}

#[test]
fn a_token_without_end_that_was_asked_for_gets_no_check() {
    let (asked, reasons, _) = rotations("0s", 86_400, 1.0);
    assert_eq!((asked, reasons), (vec![0.0], vec![]));
    let mut little_more = Cluster::new(json!({}));
    little_more.answer(now(0.0), "first", 602);
    assert_eq!(little_more.rest(now(1.0)).0, Some(now(542.0).mono), "two seconds are rounding");
}

#[test]
fn an_answer_equal_to_the_token_before_is_no_rotation() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    cluster.answer(now(600.0), "second", 600);
    cluster.answer(now(1140.0), "second", 60);
    cluster.steps.clear();
    cluster.answer(now(1200.0), "first", 500);
    assert!(cluster.steps.is_empty());
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    assert_eq!(cluster.rest(now(1200.0)).0, Some(now(1200.1).mono));
}

#[test]
fn a_held_answer_is_recorded_without_asking_again() {
    let mut cluster = Cluster::with_token(json!({}));
    let planned = cluster.call(now(540.0));
    cluster.receive(&planned, now(540.0), "second", 600);
    cluster.rest(now(545.0));
    assert_eq!(cluster.steps, ["state", "token"]);
    assert!(cluster.memory.unrecorded.is_none());
}

#[test]
fn a_held_answer_is_dropped_when_somebody_recorded_another_one_meanwhile() {
    let mut cluster = Cluster::with_token(json!({}));
    let planned = cluster.call(now(540.0));
    let mut other = Cluster::with_token(json!({}));
    other.answer(now(540.0), "newer", 600);
    cluster.receive(&planned, now(540.0), "older", 600);
    (cluster.observed.state, cluster.observed.token) = (other.observed.state, other.observed.token);
    cluster.rest(now(541.0));
    assert!(cluster.memory.unrecorded.is_none());
    assert_eq!(cluster.token("accessToken").as_deref(), Some("newer"));
    assert!(cluster.steps.is_empty());
}

#[test]
fn a_held_answer_survives_the_deletion_of_the_state_it_started_from() {
    let mut cluster = Cluster::with_token(json!({}));
    let planned = cluster.call(now(540.0));
    cluster.observed.state = None.into();
    cluster.receive(&planned, now(540.0), "second", 600);
    cluster.rest(now(541.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    assert_eq!(cluster.state().active_token().unwrap().token.expose(), "second");
}

#[test]
fn a_state_set_back_by_hand_is_brought_forward_again() {
    let mut cluster = Cluster::with_token(json!({}));
    let old = cluster.observed.state.clone();
    cluster.answer(now(540.0), "second", 600);
    cluster.observed.state = old;
    cluster.steps.clear();
    cluster.rest(now(541.0));
    assert_eq!(cluster.steps, ["repair"]);
    assert_eq!(cluster.state().active_token().unwrap().token.expose(), "second");
}

#[test]
fn a_deleted_or_edited_token_secret_is_written_again_without_a_call() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.token = None;
    cluster.rest(now(1.0));
    let edited = cluster.observed.token.as_mut().unwrap();
    edited.data.as_mut().unwrap().get_mut("accessToken").unwrap().0 = b"forged".to_vec();
    cluster.rest(now(2.0));
    assert_eq!(cluster.steps, ["repair", "repair"]);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
}

#[test]
fn after_ten_repairs_in_a_burst_there_is_one_a_minute_and_the_contest_is_named() {
    let mut cluster = Cluster::with_token(json!({}));
    for _ in 0..10 {
        cluster.observed.token = None;
        assert_eq!(cluster.rest(now(1.0)).1, []);
    }
    for minute in [0.0, 60.1, 120.2] {
        cluster.observed.token = None;
        let (until, reasons) = cluster.rest(now(2.0 + minute));
        assert_eq!(reasons, [Reason::SecretContested]);
        assert!(until.is_some_and(|until| until <= now(61.1 + minute).mono), "{until:?}");
        cluster.rest(now(61.1 + minute));
        assert!(cluster.observed.token.is_some());
    }
    assert_eq!(cluster.steps.len(), 13);
}

#[test]
fn a_contested_secret_keeps_no_token_from_rotating() {
    let mut cluster = Cluster::with_token(json!({}));
    let contest = |cluster: &mut Cluster| {
        let labels = cluster.observed.token.as_mut().unwrap().metadata.labels.as_mut().unwrap();
        labels.insert("app.kubernetes.io/managed-by".into(), "somebody else".into());
    };
    for _ in 0..11 {
        contest(&mut cluster);
        cluster.settle(now(599.0));
    }
    assert_eq!(cluster.settle(now(599.0)).findings[0].reason, Reason::SecretContested);
    assert_eq!(cluster.call(now(600.01)).cause, Cause::Boundary);
    cluster.answer(now(600.01), "second", 600);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_lost_state_is_written_from_memory_and_after_a_restart_from_the_token_secret() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.state = None.into();
    assert_eq!(cluster.rest(now(1.0)).0, Some(now(540.0).mono));
    cluster.observed.state = None.into();
    cluster.restart(now(2.0));
    let (until, findings) = cluster.rest(now(2.0));
    assert_eq!((until, findings), (Some(now(540.0).mono), vec![]));
    assert_eq!(cluster.state().active_token().unwrap().token.expose(), "first");
}

#[test]
fn a_lost_state_is_not_believed_from_a_token_that_its_annotations_do_not_speak_of() {
    let mut cluster = Cluster::with_token(json!({}));
    let edited = cluster.observed.token.as_mut().unwrap();
    edited.data.as_mut().unwrap().get_mut("accessToken").unwrap().0 = b"forged".to_vec();
    cluster.observed.state = None.into();
    cluster.restart(now(2.0));
    let planned = cluster.call(now(2.0));
    assert_eq!((planned.cause, old_token(&planned)), (Cause::FirstIssue, "old".to_owned()));
}

#[test]
fn spoilt_state_is_replaced_and_state_of_a_newer_version_is_left_alone() {
    let mut cluster = Cluster::with_token(json!({}));
    let spoil = |cluster: &mut Cluster, text: &str| {
        let data = cluster.observed.state.secret_mut().unwrap().data.as_mut().unwrap();
        data.get_mut("state.json").unwrap().0 = text.as_bytes().to_vec();
    };
    spoil(&mut cluster, "{nonsense");
    cluster.rest(now(1.0));
    assert_eq!(cluster.state().active_token().unwrap().token.expose(), "first");
    spoil(&mut cluster, r#"{"version":4,"other":1}"#);
    cluster.steps.clear();
    assert_eq!(cluster.rest(now(540.0)), (None, vec![Reason::StateTooNew]));
    assert!(cluster.steps.is_empty());
}

#[test]
fn a_foreign_secret_is_left_alone_and_nothing_is_asked_for_it() {
    let mut cluster = Cluster::new(json!({}));
    cluster.observed.token = Some(secret("messaging", &[("password", "theirs")]));
    assert_eq!(cluster.rest(now(0.0)), (None, vec![Reason::SecretNotOwned]));
    assert!(cluster.steps.is_empty());
}

#[test]
fn a_secret_that_consents_is_filled_and_its_token_serves_as_old_token() {
    let mut cluster = Cluster::new(json!({}));
    cluster.observed.credentials = Some(credentials("secret", None)).into();
    let mut lent = secret("messaging", &[("accessToken", "theirs"), ("other", "kept")]);
    lent.metadata.annotations = Some([("syniverse.dev/adopt".to_owned(), "messaging".to_owned())].into());
    cluster.observed.token = Some(lent);
    assert_eq!(old_token(&cluster.call(now(0.0))), "theirs");
    cluster.answer(now(0.0), "first", 600);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    assert_eq!(cluster.token("other").as_deref(), Some("kept"));
    assert!(cluster.observed.token.as_ref().unwrap().metadata.owner_references.is_none());
}

#[test]
fn without_any_old_token_nothing_is_asked_and_the_message_says_where_to_find_one() {
    let mut cluster = Cluster::new(json!({}));
    cluster.observed.credentials = Some(credentials("secret", None)).into();
    let plan = cluster.settle(now(0.0));
    assert_eq!(plan.findings[0].reason, Reason::CredentialsIncomplete);
    assert!(plan.findings[0].message.contains("Auth Keys"), "{}", plan.findings[0].message);
}

#[test]
fn a_changed_value_is_a_cause_and_the_same_values_written_again_are_none() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.credentials = Some(credentials("secret", Some("old"))).into();
    cluster.rest(now(1.0));
    cluster.observed.credentials = Some(credentials("changed", Some("old"))).into();
    assert_eq!(cluster.call(now(1.0)).cause, Cause::Changed("consumerSecret"));
    cluster.answer(now(1.0), "first", 599);
    cluster.rest(now(2.0));
    cluster.observed.credentials = Some(credentials("changed", Some("pasted"))).into();
    let planned = cluster.call(now(3.0));
    assert_eq!((planned.cause, old_token(&planned)), (Cause::Changed("oldToken"), "pasted".to_owned()));
}

#[test]
fn a_changed_validity_waits_for_the_rotation() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(json!({"application": {"validity": "1000s"}}));
    let (until, _) = cluster.rest(now(1.0));
    assert!(until.is_some_and(|until| until > now(400.0).mono));
    assert_eq!(refresh(&cluster.call(now(600.0))).validity_seconds, 1000);
}

#[test]
fn a_new_refresh_annotation_is_a_cause_once_and_one_present_at_creation_is_none() {
    let mut cluster = Cluster::new(json!({}));
    cluster.annotate(REFRESH, "1");
    cluster.answer(now(0.0), "first", 600);
    cluster.rest(now(1.0));
    cluster.annotate(REFRESH, "2");
    assert_eq!(cluster.call(now(1.0)).cause, Cause::Requested);
    cluster.answer(now(1.0), "first", 599);
    assert_eq!(cluster.state().refresh.as_deref(), Some("2"));
    cluster.rest(now(2.0));
}

#[test]
fn a_rotation_seen_by_another_is_a_cause_unless_it_is_ours_already() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.memory.rotated_elsewhere = Some(cluster.observed.written_token(&cluster.state()).unwrap().fingerprint);
    cluster.rest(now(1.0));
    cluster.memory.rotated_elsewhere = Some("5f2c9a01".into());
    assert_eq!(cluster.call(now(1.0)).cause, Cause::RotatedElsewhere);
    cluster.answer(now(1.0), "second", 600);
    cluster.rest(now(2.0));
}

#[test]
fn a_failed_attempt_waits_and_a_corrected_value_or_validity_does_not() {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    fail(&mut cluster, &planned, FailureKind::Rejected, 0.0);
    assert_eq!(cluster.rest(now(1.0)), (Some(now(300.0).mono), vec![Reason::RequestRejected]));
    cluster.respec(json!({"application": {"validity": "900s"}}));
    cluster.call(now(1.0));
    cluster.respec(json!({}));
    cluster.observed.credentials = Some(credentials("corrected", Some("old"))).into();
    cluster.call(now(1.0));
}

#[test]
fn a_value_that_is_changed_every_second_is_governed_whatever_comes_of_it_and_an_outage_is_not() {
    for kind in [FailureKind::Unavailable, FailureKind::Rejected, FailureKind::Refused] {
        let mut cluster = Cluster::new(json!({}));
        let calls_in_two_minutes = (0..120).filter(|second| {
            cluster.observed.credentials = Some(credentials(&format!("wrong {second}"), Some("old"))).into();
            let at = f64::from(*second);
            let Step::Request(planned) = cluster.plan(now(at)).step else { return false };
            fail(&mut cluster, &planned, kind, at);
            true
        });
        let calls = calls_in_two_minutes.count();
        assert!((40..=43).contains(&calls), "{kind:?}: {calls} calls");
    }
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    let mut at = 600.0;
    for _ in 0..100 {
        let planned = cluster.call(now(at));
        fail(&mut cluster, &planned, FailureKind::Unavailable, at);
        let wait = cluster.rest(now(at)).0.unwrap().until(now(at).mono).as_secs_f64();
        assert!(wait <= 4.0, "{wait} at {at}");
        at += wait;
    }
}

/// How long a resource waits that fails so at the end of its token.
fn wait_after(cluster: &mut Cluster, kind: FailureKind, seconds: f64) -> f64 {
    let planned = cluster.call(now(seconds));
    fail(cluster, &planned, kind, seconds);
    cluster.rest(now(seconds)).0.unwrap().until(now(seconds).mono).as_secs_f64()
}

#[test]
fn a_resource_that_was_served_with_the_same_values_asks_again_soon_although_its_request_is_called_wrong() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    let mut at = 600.0;
    for _ in 0..10 {
        let wait = wait_after(&mut cluster, FailureKind::Rejected, at);
        assert!(wait <= 4.0, "{wait} at {at}");
        at += wait;
    }
    let Plan { findings, .. } = cluster.plan(now(at - 0.1));
    assert_eq!(findings[0].reason, Reason::RefreshFailed, "nobody must act for what was right a moment ago");
    assert!(findings[0].message.contains("although the same request succeeded before"), "{}", findings[0].message);
    cluster.restart(now(at));
    assert!(wait_after(&mut cluster, FailureKind::Rejected, at) < 2.0, "what was served is known from the state");
}

#[test]
fn a_resource_that_was_never_served_with_these_values_is_slow_to_ask_again() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.credentials = Some(credentials("changed", Some("old"))).into();
    assert_eq!(wait_after(&mut cluster, FailureKind::Rejected, 100.0), 300.0);
    let mut new = Cluster::new(json!({}));
    assert_eq!(wait_after(&mut new, FailureKind::Rejected, 0.0), 300.0);
    assert!(wait_after(&mut Cluster::new(json!({})), FailureKind::Refused, 0.0) < 2.0);
}

#[test]
fn a_wish_for_patience_that_is_not_granted_in_full_is_said_for_as_long_as_it_fails_so() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    let mut said = Vec::new();
    for (at, wish) in [(600.0, None), (610.0, Some(3600)), (671.0, Some(30))] {
        let planned = cluster.call(now(at));
        let retry_after = wish.map(Duration::from_secs);
        let failure = Failure { kind: FailureKind::Unavailable, detail: "HTTP 503".into(), retry_after, status: None };
        cluster.observed.peers.endpoint_down = true;
        cluster.end(&planned, now(at), &Err(failure));
        let plan = cluster.plan(now(at));
        let Step::Wait(Some(until)) = plan.step else { panic!("{plan:?}") };
        cluster.memory.endpoint_is_up(now(at).mono);
        let waits_on = matches!(cluster.plan(now(at)).step, Step::Wait(_));
        said.push((
            until.until(now(at).mono).as_secs(),
            waits_on,
            plan.findings[0].message.contains("longer Retry-After"),
        ));
    }
    assert!(matches!(said[..], [(0 | 1, false, false), (60, true, true), (30, true, true)]), "{said:?}");
}

#[test]
fn a_bad_value_that_is_taken_back_leaves_no_trouble_behind() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.credentials = Some(credentials("wrong", Some("old"))).into();
    let planned = cluster.call(now(1.0));
    fail(&mut cluster, &planned, FailureKind::Refused, 1.0);
    assert_eq!(cluster.rest(now(1.1)).1, [Reason::RefreshFailed]);
    cluster.observed.credentials = Some(credentials("secret", Some("old"))).into();
    assert_eq!(cluster.rest(now(1.2)), (Some(now(540.0).mono), vec![]));
}

#[test]
fn old_tokens_are_tried_one_per_refusal() {
    let mut cluster = Cluster::with_token(json!({}));
    let mut tried = Vec::new();
    let mut at = 600.0;
    for _ in 0..3 {
        let planned = cluster.call(now(at));
        tried.push(old_token(&planned));
        fail(&mut cluster, &planned, FailureKind::Refused, at);
        at += 100.0;
    }
    assert_eq!(tried, ["first", "old", "first"]);
}

#[test]
fn neighbours_decide_only_the_name_of_a_refusal() {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    fail(&mut cluster, &planned, FailureKind::Refused, 0.0);
    for (succeed, reason) in [
        (None, Reason::RefreshFailed),
        (Some(true), Reason::CredentialsSuspect),
        (Some(false), Reason::IssuerUnavailable),
    ] {
        cluster.observed.peers = PeerHealth { succeed, ..PeerHealth::default() };
        assert_eq!(cluster.rest(now(0.1)).1, [reason]);
    }
}

#[test]
fn an_endpoint_is_called_unavailable_only_where_nobody_is_known_to_be_served_by_it() {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    fail(&mut cluster, &planned, FailureKind::Unavailable, 0.0);
    for (endpoint_down, succeed, reason) in [
        (false, None, Reason::RefreshFailed),
        (true, None, Reason::IssuerUnavailable),
        (true, Some(false), Reason::IssuerUnavailable),
        (false, Some(false), Reason::IssuerUnavailable),
        (true, Some(true), Reason::RefreshFailed),
    ] {
        cluster.observed.peers = PeerHealth { endpoint_down, succeed, ..PeerHealth::default() };
        assert_eq!(cluster.rest(now(0.1)).1, [reason], "{endpoint_down} {succeed:?}");
    }
}

#[test]
fn a_suspended_resource_is_repaired_and_not_refreshed() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(json!({"suspend": true}));
    cluster.observed.token = None;
    assert_eq!(cluster.rest(now(700.0)), (None, vec![Reason::Suspended]));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
}

/// What is not permitted is not asked, whether a token lives or not; what there is stays, and is told of truly.
fn nothing_is_asked_because(reason: Reason, living: Vec<Cluster>, forbid: impl Fn(&mut Observed)) {
    for mut fresh in [Cluster::new(json!({})), session()] {
        forbid(&mut fresh.observed);
        assert_eq!(fresh.rest(now(0.0)), (None, vec![reason]));
    }
    for mut cluster in living {
        forbid(&mut cluster.observed);
        cluster.observed.token = None;
        assert_eq!(cluster.rest(now(700.0)), (None, vec![reason]));
        assert_eq!(cluster.token("accessToken").as_deref(), Some("first"), "repairs go on");
        for (seconds, is_ready) in [(599.0, true), (600.0, false)] {
            let findings = cluster.plan(now(seconds)).findings;
            let health = TokenHealth::of(&cluster.observed, &cluster.memory, &findings, now(seconds));
            assert_eq!(health.is_ready(now(seconds).mono), is_ready, "{seconds}");
        }
    }
}

fn session() -> Cluster {
    Cluster::session(&[("username", "u"), ("password", "p")])
}

#[test]
fn an_endpoint_that_the_settings_do_not_allow_is_never_asked() {
    let mut opened = session();
    opened.answer(now(0.0), "first", 600);
    nothing_is_asked_because(Reason::EndpointNotAllowed, vec![Cluster::with_token(json!({})), opened], |observed| {
        observed.not_allowed = Some(NotAllowed::NotHttps);
    });
}

#[test]
fn credentials_without_consent_are_never_sent_and_the_message_says_which_label_gives_it() {
    let forbid = |observed: &mut Observed| {
        observed.lacks_consent = true;
        observed.credentials = None.into();
    };
    nothing_is_asked_because(Reason::CredentialsNotConsented, vec![Cluster::with_token(json!({}))], forbid);
    let mut cluster = Cluster::new(json!({}));
    forbid(&mut cluster.observed);
    let message = cluster.settle(now(0.0)).findings[0].message.clone();
    assert!(message.contains("Secret sdc ") && message.contains("syniverse.dev/credentials: \"true\""), "{message}");
}

#[test]
fn what_a_state_secret_holds_is_never_sent_for_credentials() {
    nothing_is_asked_because(Reason::CredentialsInvalid, vec![Cluster::with_token(json!({}))], |observed| {
        let spec = &mut Arc::make_mut(&mut observed.resource).spec;
        let application = spec.application.as_mut().map(|application| &mut application.credentials.secret_ref);
        let session = spec.session.as_mut().map(|session| &mut session.credentials.secret_ref);
        application.or(session).unwrap().name = "other-syniverse-state".into();
    });
}

#[test]
fn a_refused_value_that_looks_like_a_likely_mistake_is_named_by_its_key() {
    let told = |secret: &str, kind| {
        let mut cluster = Cluster::new(json!({}));
        cluster.observed.credentials = Some(credentials(secret, Some("old"))).into();
        let planned = cluster.call(now(0.0));
        fail(&mut cluster, &planned, kind, 0.0);
        cluster.settle(now(0.1)).findings[0].message.clone()
    };
    for kind in [FailureKind::Refused, FailureKind::Rejected] {
        let message = told("'canary'", kind);
        assert!(message.contains("; the value under key consumerSecret is wrapped in quotes"), "{message}");
        assert!(told("Y2FuYXJ5LWNhbmFyeQ==", kind).contains("consumerSecret looks base64-encoded twice"));
        assert!(!message.contains("canary") && !told("canary", kind).contains("under key"), "{message}");
    }
    assert!(!told("'canary'", FailureKind::Unavailable).contains("quotes"), "no answer says nothing of the values");
}

#[test]
fn a_resource_that_is_being_deleted_is_neither_repaired_nor_refreshed() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.token = None;
    let resource = Arc::make_mut(&mut cluster.observed.resource);
    resource.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now(0.0).wall));
    assert_eq!(cluster.rest(now(700.0)), (None, vec![]));
    assert!(cluster.steps.is_empty());
}

#[test]
fn a_token_that_a_consumer_was_refused_with_is_asked_about_once_also_after_a_restart() {
    let mut cluster = Cluster::with_token(json!({}));
    let word = syniverse_token_core::fingerprint::fingerprint(&syniverse_token_core::redacted::Redacted::new("first"));
    cluster.annotate("syniverse.dev/rejected", &word);
    assert_eq!(cluster.call(now(100.0)).cause, Cause::Rejected);
    cluster.answer(now(100.0), "first", 500);
    assert_eq!(cluster.rest(now(100.1)).0, Some(now(540.0).mono));
    cluster.restart(now(101.0));
    assert_eq!(cluster.rest(now(101.0)).0, Some(now(540.0).mono));
    // A Re-Generate: the issuer has another one.
    let mut cluster = Cluster::with_token(json!({}));
    cluster.annotate("syniverse.dev/rejected", &word);
    cluster.answer(now(100.0), "of a person", 600);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("of a person"));
    assert_eq!(cluster.rest(now(100.1)).0, Some(now(640.0).mono));
}

#[test]
fn a_right_that_is_missing_is_named_and_asked_for_again_soon_and_ever_less_often() {
    let mut cluster = Cluster::new(json!({}));
    cluster.observed.forbidden = Some("failed to read Secret sdc: secrets \"sdc\" is forbidden".into());
    let delays = [3, 4, 5, 6, 100].map(|in_a_row| {
        cluster.memory.refused_reads = in_a_row;
        let (until, reasons) = cluster.rest(now(1.0));
        assert_eq!(reasons, [Reason::ReadFailed]);
        until.unwrap().until(now(1.0).mono)
    });
    assert!(delays[0] <= Duration::from_millis(1250) && delays.is_sorted(), "{delays:?}");
    let longest = Duration::from_secs(15);
    assert!(delays[4] <= longest && delays[4] >= longest * 3 / 4, "{delays:?}");
}

#[test]
fn a_write_that_failed_is_tried_again_later_and_nothing_is_asked_meanwhile() {
    let mut cluster = Cluster::with_token(json!({}));
    let planned = cluster.call(now(600.0));
    cluster.receive(&planned, now(600.0), "second", 600);
    cluster.memory.writes.write_failed(Target::State, "failed to write Secret x: HTTP 500".into(), now(600.0).mono, 1);
    let (until, reasons) = cluster.rest(now(600.0));
    assert_eq!(reasons, [Reason::WriteFailed]);
    assert!(until.is_some_and(|until| until <= now(601.0).mono));
    cluster.rest(now(602.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_token_secret_that_cannot_be_written_holds_up_neither_its_state_nor_the_next_call() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    let planned = cluster.call(now(600.0));
    cluster.receive(&planned, now(600.0), "second", 600);
    cluster.memory.writes.write_failed(
        Target::Token,
        "failed to write Secret messaging: HTTP 500".into(),
        now(600.0).mono,
        1,
    );
    let (until, reasons) = cluster.rest(now(600.0));
    assert_eq!((reasons, until <= Some(now(601.0).mono)), (vec![Reason::WriteFailed], true));
    assert_eq!(
        (cluster.state().active_token().unwrap().token.expose(), cluster.token("accessToken")),
        ("second", Some("first".into()))
    );
    cluster.rest(now(602.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_write_that_is_refused_as_it_stands_stalls_and_no_call_is_made_until_it_is_taken() {
    let mut cluster = Cluster::with_token(json!({}));
    let planned = cluster.call(now(540.0));
    cluster.receive(&planned, now(540.0), "second", 600);
    refuse(&mut cluster, Target::Token, 540.0);
    let (until, reasons) = cluster.rest(now(540.0));
    assert_eq!(reasons, [Reason::WriteRefused]);
    assert!(until.is_some_and(|until| until > now(540.0).mono));
    // Its end, and long after it.
    for at in [1200.0, 5000.0] {
        refuse(&mut cluster, Target::Token, at);
        assert_eq!(cluster.rest(now(at)).1, [Reason::WriteRefused]);
    }
    cluster.call(now(5100.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"), "it is written before anybody is asked");
}

#[test]
fn a_refused_write_is_tried_ever_less_often_up_to_a_minute_and_at_once_when_something_changes() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(json!({"secret": {"labels": {"team": "a"}}}));
    let mut delays = Vec::new();
    for _ in 0..12 {
        refuse(&mut cluster, Target::State, 1.0);
        delays.push(cluster.rest(now(1.0)).0.unwrap().until(now(1.0).mono));
    }
    assert!(delays[0] <= Duration::from_millis(1250) && delays[11] <= Duration::from_secs(60), "{delays:?}");
    assert!(delays[11] >= Duration::from_secs(45) && delays[..6].is_sorted(), "{delays:?}");
    cluster.respec(json!({"secret": {"labels": {"team": "b"}}}));
    cluster.rest(now(1.0));
    assert_eq!(cluster.steps, ["state", "token"]);
}

fn refuse(cluster: &mut Cluster, target: Target, seconds: f64) {
    let basis = cluster.observed.write_basis(target);
    cluster.memory.writes.write_refused(target, "denied".into(), basis, now(seconds).mono, 1);
}

#[test]
fn what_is_immutable_as_soon_as_it_is_written_is_told_from_what_somebody_has_made_immutable() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.token.as_mut().unwrap().immutable = Some(true);
    let told = |cluster: &mut Cluster| cluster.settle(now(1.0)).findings[0].message.clone();
    assert!(told(&mut cluster).contains("is immutable: delete it"));
    for written in [100.0, 200.0] {
        cluster.memory.writes.secret_written(Target::Token, false, now(written).mono);
        cluster.memory.writes.secret_found(Target::Token, true, now(written + 1.0).mono);
        assert!(told(&mut cluster).contains("as soon as it is written"), "{}", told(&mut cluster));
        // It stays so for as long as it is that Secret.
        cluster.memory.writes.secret_found(Target::Token, true, now(written + 90.0).mono);
        assert!(told(&mut cluster).contains("as soon as it is written"));
        cluster.memory.writes.secret_found(Target::Token, false, now(written + 91.0).mono);
        assert!(told(&mut cluster).contains("is immutable: delete it"));
    }
    cluster.memory.writes.secret_written(Target::Token, true, now(300.0).mono);
    assert!(told(&mut cluster).contains("as soon as it is written"));
}

#[test]
fn of_the_refresh_annotation_the_first_256_characters_count() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.look();
    cluster.annotate(REFRESH, &"é".repeat(100_000));
    cluster.answer(now(1.0), "first", 599);
    assert_eq!(cluster.state().refresh, Some("é".repeat(256)));
    cluster.annotate(REFRESH, &"é".repeat(300));
    cluster.rest(now(2.0));
    cluster.annotate(REFRESH, &"é".repeat(200));
    cluster.call(now(2.0));
}

#[test]
fn a_changed_key_takes_the_old_one_away_in_the_same_write() {
    let mut cluster = Cluster::with_token(json!({"secret": {"template": {"header": "Bearer $(token)"}}}));
    assert_eq!(cluster.token("header").as_deref(), Some("Bearer first"));
    cluster.respec(json!({"secret": {"key": "bearer"}}));
    cluster.rest(now(1.0));
    assert_eq!(cluster.steps, ["state", "token"]);
    let keys: Vec<_> = cluster.observed.token.as_ref().unwrap().data.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["bearer", "expirationTime"]);
    cluster.rest(now(2.0));
    assert_eq!(cluster.steps.len(), 2);
}

#[test]
fn a_changed_consumer_key_keeps_the_old_token_in_place_until_there_is_a_new_one() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.credentials =
        Some(secret("sdc", &[("consumerKey", "other"), ("consumerSecret", "s"), ("oldToken", "theirs")])).into();
    let planned = cluster.call(now(1.0));
    assert_eq!((planned.cause, old_token(&planned)), (Cause::FirstIssue, "theirs".to_owned()));
    fail(&mut cluster, &planned, FailureKind::Refused, 1.0);
    cluster.rest(now(1.1));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    cluster.answer(now(100.0), "fresh", 600);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("fresh"));
}

#[test]
fn forty_requests_in_a_row_are_made_and_the_next_one_is_limited_and_named() {
    let mut cluster = Cluster::with_token(json!({}));
    for count in 0..39 {
        cluster.annotate(REFRESH, &count.to_string());
        cluster.answer(now(1.0), "first", 599);
    }
    cluster.annotate(REFRESH, "one too many");
    let (until, reasons) = cluster.rest(now(1.0));
    assert_eq!(reasons, [Reason::CallsLimited]);
    assert!(until.is_some_and(|until| until > now(59.0).mono && until < now(62.0).mono));
}

#[test]
fn an_unusable_validity_is_named_and_nothing_is_requested_with_another_one() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(json!({"application": {"validity": "a fortnight, or little more than that"}}));
    let plan = cluster.settle(now(700.0));
    assert!(matches!(plan.step, Step::Wait(None)), "{plan:?}");
    assert_eq!(plan.findings[0].reason, Reason::SpecInvalid);
    let message = "spec.application.validity is \"a fortnight, or little more than\", which is not a duration";
    assert!(plan.findings[0].message.starts_with(message), "{}", plan.findings[0].message);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"), "what there is stays");
    cluster.respec(json!({}));
    assert_eq!(cluster.call(now(700.0)).cause, Cause::Boundary);
}

#[test]
fn an_unusable_refresh_before_is_named_and_the_default_is_in_force() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(json!({"refreshBefore": "-5m"}));
    assert_eq!(cluster.rest(now(1.0)), (Some(now(540.0).mono), vec![Reason::RefreshBeforeInvalid]));
    assert_eq!(cluster.call(now(540.0)).cause, Cause::Check);
    let mut session = Cluster::session(&[("username", "user"), ("password", "word")]);
    session.answer(now(0.0), "first", 600);
    let spec = json!({"endpoint": "https://sma.example.com/token", "credentials": {"secretRef": {"name": "sma"}}});
    session.respec(json!({"application": null, "session": spec, "refreshBefore": ""}));
    let (until, reasons) = session.rest(now(1.0));
    assert!(until.is_some_and(|until| now(370.0).mono < until && until < now(400.0).mono), "{until:?}");
    assert_eq!(reasons, [Reason::RefreshBeforeInvalid]);
    assert!(
        matches!(session.call(now(401.0)).request, TokenRequest::Extend(_)),
        "a session is lost unless it is extended"
    );
}

#[test]
fn before_its_first_token_alone_a_resource_has_the_api_server_try_the_write() {
    let mut cluster = Cluster::new(json!({}));
    let planned = cluster.call(now(0.0));
    assert!(planned.dry_run.is_some());
    effects::dry_run_succeeded(&cluster.observed, &mut cluster.memory);
    assert!(cluster.call(now(0.1)).dry_run.is_none(), "once is enough");
    let mut served = Cluster::with_token(json!({}));
    assert!(served.call(now(600.0)).dry_run.is_none());
}

#[test]
fn values_that_are_given_back_after_others_failed_are_tried_at_once() {
    let mut cluster = Cluster::new(json!({}));
    cluster.fail(now(0.0), FailureKind::Rejected);
    assert!(cluster.rest(now(1.0)).0.unwrap() > now(200.0).mono);
    let mine = cluster.observed.credentials.secret().cloned();
    let others = [("consumerKey", "other"), ("consumerSecret", "s"), ("oldToken", "o")];
    cluster.observed.credentials = Some(secret("sdc", &others)).into();
    cluster.fail(now(2.0), FailureKind::Rejected);
    cluster.observed.credentials = mine.into();
    assert_eq!(cluster.call(now(3.0)).cause, Cause::FirstIssue);
}
