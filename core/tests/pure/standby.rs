//! Two applications that take turns: which of them is asked, when, and whose token is in the Secret.

use crate::cluster::{Cluster, now, old_token, refresh, response, secret};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::{Cause, FailureKind, Lifetime, Omissions, TokenRequest, TokenResponse};
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::redacted::Redacted;

fn spec() -> Value {
    json!({"application": {"standby": {"credentials": {"secretRef": {"name": "sdc-b"}}}}})
}

fn give_standby(cluster: &mut Cluster, consumer_key: &str, consumer_secret: &str) {
    let values = [("consumerKey", consumer_key), ("consumerSecret", consumer_secret), ("oldToken", "old-b")];
    cluster.observed.standby = Some(secret("sdc-b", &values)).into();
}

/// A resource whose standby was there from the beginning. The first token, `first`, was issued at 0 for 600 s.
fn two() -> Cluster {
    let mut cluster = Cluster::new(spec());
    give_standby(&mut cluster, "key-b", "secret-b");
    cluster.answer(now(0.0), "first", 600);
    cluster.steps.clear();
    cluster
}

fn is_of(planned: &PlannedRequest) -> &str {
    refresh(planned).consumer_key.expose()
}

fn waits_until(cluster: &mut Cluster, at: f64) -> f64 {
    cluster.rest(now(at)).0.unwrap().until(now(0.0).mono).as_secs_f64()
}

#[test]
fn the_first_application_is_asked_for_the_first_token_and_the_standby_is_not_asked_to_see_whether_it_works() {
    let mut cluster = Cluster::new(spec());
    give_standby(&mut cluster, "key-b", "secret-b");
    let planned = cluster.call(now(0.0));
    assert_eq!((is_of(&planned), planned.cause), ("key", Cause::FirstIssue));
    cluster.receive(&planned, now(0.0), "first", 600);
    // A lead of 200 s, and half way to it the check of a lead that is no more than a gateway may be off.
    assert_eq!(cluster.rest(now(0.1)), (Some(now(200.0).mono), vec![]));
}

#[test]
fn the_token_of_the_standby_is_in_the_secret_a_lead_before_the_end_and_the_next_turn_is_the_others() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    let planned = cluster.call(now(400.0));
    assert_eq!((is_of(&planned), planned.cause, old_token(&planned)), ("key-b", Cause::HandOver, "old-b".to_owned()));
    cluster.receive(&planned, now(400.0), "second", 600);
    cluster.settle(now(400.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    cluster.answer(now(600.0), "second", 400);
    let planned = cluster.call(now(800.0));
    assert_eq!((is_of(&planned), planned.cause, old_token(&planned)), ("key", Cause::HandOver, "first".to_owned()));
    cluster.receive(&planned, now(800.0), "third", 600);
    cluster.settle(now(800.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("third"));
}

#[test]
fn a_restart_keeps_the_turn() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    cluster.restart(now(500.0));
    assert_eq!(cluster.rest(now(500.0)), (Some(now(600.0).mono), vec![]));
    cluster.answer(now(600.0), "second", 400);
    cluster.restart(now(700.0));
    assert_eq!(waits_until(&mut cluster, 700.0), 800.0);
    assert_eq!(is_of(&cluster.call(now(800.0))), "key");
}

#[test]
fn a_later_expiry_does_not_move_the_hand_over_back_and_an_earlier_one_moves_it() {
    for (left, opens) in [(700, 400.0), (100, 100.0)] {
        let mut cluster = two();
        cluster.answer(now(200.0), "first", left);
        let planned = cluster.call(now(400.0));
        assert_eq!(planned.cause, Cause::HandOver);
        assert_eq!(planned.due, now(opens).mono);
    }
}

#[test]
fn a_standby_that_has_its_old_token_still_takes_over_at_once_if_that_lives_longer_and_is_asked_at_its_end_if_not() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "old-b", 300);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("old-b"));
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "old-b", 50);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    assert_eq!(waits_until(&mut cluster, 400.1), 450.0);
    cluster.answer(now(450.0), "second", 600);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_token_that_ends_before_that_in_the_secret_takes_over_only_once_that_is_dead() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "short", 100);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    // Nobody could call for so long.
    let planned = cluster.call(now(650.0));
    assert_eq!(is_of(&planned), "key-b");
    cluster.receive(&planned, now(650.0), "shorter", 20);
    cluster.settle(now(650.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("shorter"));
}

#[test]
fn after_an_absence_one_of_the_two_is_asked_and_not_both() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    cluster.restart(now(9000.0));
    let planned = cluster.call(now(9000.0));
    assert_eq!(is_of(&planned), "key");
    cluster.receive(&planned, now(9000.0), "third", 600);
    // The next thing is the check of that one.
    assert_eq!(waits_until(&mut cluster, 9000.1), 9200.0);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("third"));
}

#[test]
fn a_standby_that_fails_is_said_and_at_the_end_of_the_token_the_first_is_asked() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    let (mut at, mut tries) = (400.0, 0);
    while at < 600.0 {
        cluster.fail(now(at), FailureKind::Refused);
        tries += 1;
        let (next, reasons) = cluster.rest(now(at));
        assert_eq!(reasons[0], Reason::StandbyFailing);
        let next = next.unwrap().until(now(0.0).mono).as_secs_f64();
        assert!(next - at <= 60.0 && (at < 545.0 || next - at <= 5.0), "{at} {next}");
        at = next;
    }
    assert!((10..40).contains(&tries), "{tries}");
    let planned = cluster.call(now(600.0));
    assert_eq!((is_of(&planned), planned.cause), ("key", Cause::Boundary));
    cluster.receive(&planned, now(600.0), "second", 600);
    // A lead after the birth of that the standby is tried again: it may work by now.
    let at = waits_until(&mut cluster, 600.1);
    assert!((800.0..800.1).contains(&at), "{at}");
    cluster.answer(now(800.0), "second", 400);
    let planned = cluster.call(now(800.0));
    assert_eq!((is_of(&planned), planned.cause), ("key-b", Cause::HandOver));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_changed_standby_is_tried_at_once_and_the_short_overlap_is_said_with_its_end() {
    let mut cluster = two();
    give_standby(&mut cluster, "key-b", "changed");
    let planned = cluster.call(now(100.0));
    assert_eq!((is_of(&planned), planned.cause), ("key-b", Cause::Changed("consumerSecret")));
    cluster.receive(&planned, now(100.0), "second", 600);
    let (_, reasons) = cluster.rest(now(100.1));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    // The first token lives until 600, and the hand-over from the second one, which ends at 700, would open at 500.
    assert_eq!(reasons, [Reason::OverlapShort]);
    let finding = &cluster.settle(now(100.1)).findings[0];
    assert!(finding.message.contains("overlaps for 1m 40s instead of 3m 20s"), "{}", finding.message);
}

#[test]
fn a_standby_that_is_added_is_tried_at_once() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(spec());
    give_standby(&mut cluster, "key-b", "secret-b");
    assert_eq!(is_of(&cluster.call(now(100.0))), "key-b");
}

#[test]
fn a_refresh_annotation_asks_the_standby_and_where_that_fails_the_first() {
    let mut cluster = two();
    cluster.annotate("syniverse.dev/refresh", "now");
    let planned = cluster.call(now(300.0));
    assert_eq!((is_of(&planned), planned.cause), ("key-b", Cause::Requested));
    cluster.fail(now(300.0), FailureKind::Refused);
    let planned = cluster.call(now(300.1));
    assert_eq!((is_of(&planned), planned.cause), ("key", Cause::Requested));
}

#[test]
fn swapped_credentials_change_nothing_and_a_removed_standby_leaves_its_token_until_the_first_has_one() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    let (first, second) = (cluster.observed.credentials.secret().cloned(), cluster.observed.standby.secret().cloned());
    (cluster.observed.credentials, cluster.observed.standby) = (second.into(), first.into());
    assert_eq!(cluster.rest(now(500.0)), (Some(now(600.0).mono), vec![]));
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    cluster.observed.standby = None.into();
    Arc::make_mut(&mut cluster.observed.resource).spec.application.as_mut().unwrap().standby = None;
    let planned = cluster.call(now(500.0));
    assert_eq!((is_of(&planned), cluster.token("accessToken").as_deref()), ("key", Some("second")));
}

#[test]
fn the_same_application_twice_is_said_and_the_first_goes_on_alone() {
    let mut cluster = Cluster::new(spec());
    give_standby(&mut cluster, "key", "secret");
    cluster.answer(now(0.0), "first", 600);
    assert_eq!(cluster.rest(now(1.0)), (Some(now(540.0).mono), vec![Reason::StandbyNotIndependent]));
}

#[test]
fn a_standby_whose_secret_is_missing_is_said_and_the_other_way_round_it_takes_over_when_it_is_its_turn() {
    let mut cluster = Cluster::new(spec());
    cluster.answer(now(0.0), "first", 600);
    assert_eq!(cluster.rest(now(1.0)), (Some(now(540.0).mono), vec![Reason::StandbyFailing]));
    let mut cluster = two();
    cluster.observed.credentials = None.into();
    assert_eq!(cluster.rest(now(1.0)), (Some(now(400.0).mono), vec![Reason::CredentialsNotFound]));
    assert_eq!(is_of(&cluster.call(now(400.0))), "key-b");
}

#[test]
fn without_a_token_the_standby_is_asked_where_the_first_fails() {
    let mut cluster = Cluster::new(spec());
    give_standby(&mut cluster, "key-b", "secret-b");
    cluster.fail(now(0.0), FailureKind::Refused);
    let planned = cluster.call(now(0.1));
    assert_eq!((is_of(&planned), planned.cause), ("key-b", Cause::FirstIssue));
    cluster.receive(&planned, now(0.1), "of the standby", 600);
    cluster.settle(now(0.1));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("of the standby"));
}

#[test]
fn from_a_token_that_never_ends_nothing_is_handed_over() {
    let mut cluster = Cluster::new(spec());
    give_standby(&mut cluster, "key-b", "secret-b");
    let first = cluster.call(now(0.0));
    cluster.end(&first, now(0.0), &Ok(response("first", Lifetime::Never)));
    let planned = cluster.call(now(602.0));
    assert_eq!((is_of(&planned), planned.cause), ("key", Cause::Check));
}

/// A client whose standby has other scopes, with the token `first`, issued at 0 for 600 s.
fn two_scopes() -> Cluster {
    let mut cluster = Cluster::client(json!({"scopes": ["a"], "standby": {"scopes": ["a", "device_b"]}}));
    cluster.observed.standby = cluster.observed.credentials.secret().cloned().into();
    cluster.answer(now(0.0), "first", 600);
    cluster
}

fn scope(planned: &PlannedRequest) -> &str {
    match &planned.request {
        TokenRequest::ClientCredentials(client) => &client.scope,
        other => panic!("no client credentials but {other:?}"),
    }
}

#[test]
fn other_scopes_of_the_same_client_stand_by_with_its_secret() {
    let mut cluster = two_scopes();
    let planned = cluster.call(now(400.0));
    assert_eq!((scope(&planned), planned.cause), ("a device_b", Cause::HandOver));
    cluster.receive(&planned, now(400.0), "second", 600);
    cluster.settle(now(400.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    // No check comes before that: it might bring a new token, and put the hand-over off.
    assert_eq!(waits_until(&mut cluster, 400.1), 800.0);
    assert_eq!(scope(&cluster.call(now(800.0))), "a");
}

#[test]
fn scopes_that_are_given_the_same_token_or_are_not_granted_are_no_standby() {
    for omitted in [vec![], vec!["device_b".to_owned()]] {
        let mut cluster = two_scopes();
        let planned = cluster.call(now(400.0));
        let token = if omitted.is_empty() { "first" } else { "second" };
        let omissions = Omissions { scopes: omitted, ..Omissions::default() };
        let given = TokenResponse { omissions, ..response(token, Lifetime::Seconds(200)) };
        cluster.end(&planned, now(400.0), &Ok(given));
        // The first one goes on alone: it is time for its own next token.
        let planned = cluster.call(now(400.1));
        assert_eq!((scope(&planned), planned.cause), ("a", Cause::Check));
        assert_eq!(cluster.settle(now(400.1)).findings[0].reason, Reason::StandbyNotIndependent);
        assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    }
}

#[test]
fn a_token_that_a_consumer_was_refused_with_is_asked_about_once_and_handed_over_if_the_issuer_says_that_it_lives() {
    let mut cluster = two();
    let stale = fingerprint(&Redacted::new("of another token"));
    cluster.annotate("syniverse.dev/rejected", &stale);
    assert_eq!(waits_until(&mut cluster, 50.0), 200.0);
    cluster.annotate("syniverse.dev/rejected", &fingerprint(&Redacted::new("first")));
    let planned = cluster.call(now(50.0));
    assert_eq!((is_of(&planned), planned.cause), ("key", Cause::Rejected));
    cluster.receive(&planned, now(50.0), "first", 550);
    let planned = cluster.call(now(50.1));
    assert_eq!((is_of(&planned), planned.cause), ("key-b", Cause::HandOver));
    cluster.receive(&planned, now(50.1), "second", 600);
    cluster.settle(now(50.1));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_first_request_without_an_answer_is_made_again_before_the_standby_is_asked() {
    let mut cluster = Cluster::new(spec());
    give_standby(&mut cluster, "key-b", "secret-b");
    cluster.fail(now(0.0), FailureKind::Unavailable);
    let again = waits_until(&mut cluster, 0.1);
    assert_eq!(is_of(&cluster.call(now(again))), "key");
    cluster.fail(now(again), FailureKind::Unavailable);
    assert_eq!(is_of(&cluster.call(now(again + 0.1))), "key-b");
}

#[test]
fn a_token_that_is_over_takes_over_from_none_be_that_dead_or_refused_to_a_consumer() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    cluster.answer(now(600.0), "second", 400);
    // The first token lingers at the issuer.
    cluster.restart(now(5000.0));
    cluster.answer(now(5000.0), "first", 0);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    cluster.annotate("syniverse.dev/rejected", &fingerprint(&Redacted::new("second")));
    cluster.answer(now(650.0), "second", 350);
    cluster.answer(now(650.1), "first", 0);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_clock_that_is_behind_asks_the_one_that_cannot_make_a_token() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    let mut behind = now(500.0);
    behind.wall -= SignedDuration::from_secs(4500);
    cluster.restart(behind);
    let planned = cluster.call(behind);
    assert_eq!((is_of(&planned), planned.cause), ("key-b", Cause::ClockDoubt));
}

#[test]
fn a_token_whose_state_is_lost_is_the_standbys_if_the_issuer_gives_it_to_that() {
    let mut cluster = two();
    cluster.answer(now(200.0), "first", 400);
    cluster.answer(now(400.0), "second", 600);
    cluster.observed.state = None.into();
    cluster.restart(now(500.0));
    // Taken for the first one's, until the standby, whose values are new to this state, turns out to have it.
    let planned = cluster.call(now(500.0));
    assert_eq!(is_of(&planned), "key-b");
    cluster.receive(&planned, now(500.0), "second", 500);
    assert!(cluster.rest(now(500.1)).1.is_empty(), "nothing is wrong with the standby");
    cluster.answer(now(650.0), "second", 350);
    let planned = cluster.call(now(800.0));
    assert_eq!((is_of(&planned), planned.cause), ("key", Cause::HandOver));
    cluster.receive(&planned, now(800.0), "third", 600);
    cluster.settle(now(800.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("third"));
}

#[test]
fn a_token_whose_state_is_lost_is_the_firsts_if_the_issuer_gives_another_one_to_the_standby() {
    let mut cluster = two();
    cluster.observed.state = None.into();
    cluster.restart(now(100.0));
    let planned = cluster.call(now(100.0));
    assert_eq!(is_of(&planned), "key-b");
    cluster.receive(&planned, now(100.0), "old-b", 50);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    assert!(cluster.rest(now(100.1)).1.is_empty());
}
