//! A session: which pair is extended, when somebody logs in, and what an intent means to whoever finds it.

use crate::cluster::{Cluster, now, response};
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;
use syniverse_token_core::intent::Intent;
use syniverse_token_core::issuer::endpoint::NotAllowed;
use syniverse_token_core::issuer::{Cause, Failure, FailureKind, Lifetime, TokenRequest, TokenResponse};
use syniverse_token_core::lease::Term;
use syniverse_token_core::memory::Target;
use syniverse_token_core::observed::Sharing;
use syniverse_token_core::plan::{Plan, PlannedRequest, Step};
use syniverse_token_core::reason::Reason;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::state::{Role, TokenRecord};
use syniverse_token_core::status::{TokenHealth, status};

const PAIR: [(&str, &str); 2] = [("token", "pasted"), ("refreshToken", "pasted refresh")];
const LOGIN: [(&str, &str); 2] = [("username", "user"), ("password", "word")];
const OTHER_PAIR: [(&str, &str); 2] = [("token", "newer"), ("refreshToken", "newer refresh")];
const OTHER_LOGIN: [(&str, &str); 2] = [("username", "other"), ("password", "word")];

/// One with the pair `first`, given at 0 for 600 s.
fn settled(values: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::session(values);
    cluster.answer(now(0.0), "first", 600);
    cluster.steps.clear();
    cluster
}

fn asked(planned: &PlannedRequest) -> String {
    match &planned.request {
        TokenRequest::Extend(extend) => {
            assert_eq!(extend.pair.refresh_token.expose(), format!("{} refresh", extend.pair.token.expose()));
            format!("extend {}", extend.pair.token.expose())
        }
        TokenRequest::LogIn(log_in) => format!("log in {}", log_in.login.username.expose()),
        other => panic!("not a request of a session: {other:?}"),
    }
}

/// The seconds until the plan wants to be looked at again.
fn wait_of(cluster: &mut Cluster, seconds: f64) -> f64 {
    let at = now(seconds);
    cluster.rest(at).0.unwrap().until(at.mono).as_secs_f64()
}

#[test]
fn a_pasted_pair_comes_before_the_login_and_its_first_use_tells_how_long_it_lives() {
    for (values, expected) in
        [(PAIR.to_vec(), "extend pasted"), (LOGIN.to_vec(), "log in user"), ([PAIR, LOGIN].concat(), "extend pasted")]
    {
        let mut cluster = Cluster::session(&values);
        let planned = cluster.call(now(0.0));
        assert_eq!((asked(&planned).as_str(), planned.cause), (expected, Cause::FirstIssue));
        cluster.receive(&planned, now(0.0), "first", 600);
        cluster.settle(now(0.0));
        assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
        assert_eq!(cluster.steps, ["announcement", "state", "token"]);
    }
}

#[test]
fn the_intent_is_in_the_state_before_the_call_and_the_recording_takes_it_away() {
    let mut cluster = Cluster::session(&LOGIN);
    let planned = cluster.call(now(0.0));
    let intent = cluster.state().intent.unwrap();
    assert_eq!((intent.holder.as_str(), intent.time), ("holder", now(0.0).wall));
    assert!(planned.intent_write.is_none());
    cluster.receive(&planned, now(0.0), "first", 600);
    cluster.settle(now(0.0));
    assert_eq!(cluster.state().intent, None);
}

#[test]
fn a_call_that_was_not_made_in_time_is_announced_again() {
    let mut cluster = Cluster::session(&LOGIN);
    cluster.call(now(0.0));
    cluster.call(now(4.0));
    assert_eq!(cluster.steps, ["announcement"]);
    cluster.call(now(5.0));
    assert_eq!(cluster.steps, ["announcement", "announcement"]);
}

/// The one table of what an intent means: its age in seconds, its holder, and how long it is honoured from now.
#[test]
fn an_intent_of_another_process_is_honoured_for_the_call_timeout_and_five_seconds() {
    let table = [
        ("other", 0, Some(15.0)),
        ("other", 14, Some(1.0)),
        ("other", 15, None),
        ("other", 3600, None),
        // Clocks of two machines differ a little.
        ("other", -3, Some(18.0)),
        // The clock has been set back since: it says nothing.
        ("other", -15, None),
        ("other", -3600, None),
        // One's own call is over, whatever came of it.
        ("holder", 0, None),
        ("holder", 14, None),
    ];
    for (holder, age, expected) in table {
        let at = now(100.0);
        let intent = Intent { time: at.wall - SignedDuration::from_secs(age), holder: holder.into() };
        let until = intent.blocks_until("holder", at, Duration::from_secs(10));
        assert_eq!(until.map(|until| until.until(at.mono).as_secs_f64()), expected, "{holder} {age}");
    }
}

#[test]
fn a_process_that_finds_an_intent_waits_it_out_and_tries_the_stored_pair() {
    let mut cluster = settled(&[PAIR, LOGIN].concat());
    cluster.call(now(400.0));
    cluster.restart(now(401.0));
    cluster.observed.holder = "another".into();
    assert_eq!(wait_of(&mut cluster, 401.0), 14.0);
    let planned = cluster.call(now(415.0));
    assert_eq!((asked(&planned).as_str(), planned.cause), ("extend first", Cause::Extension));
}

#[test]
fn who_takes_over_a_released_lease_waits_for_no_intent_from_before() {
    let mut cluster = settled(&LOGIN);
    cluster.call(now(400.0));
    cluster.restart(now(401.0));
    cluster.observed.holder = "another".into();
    cluster.observed.holder = "another".into();
    let identity = format!("pod_{}", cluster.state().intent.unwrap().holder);
    let term = |since: f64, identity: &str| Term {
        since: now(since).mono,
        renewed: now(since).mono,
        released_by: Some(identity.into()),
    };
    // One that was written since is somebody's who does not heed the Lease; one of another shard heeds another.
    for other in [term(399.0, &identity), term(401.0, "pod_of-another-shard")] {
        cluster.observed.term = Some(other);
        assert_eq!(wait_of(&mut cluster, 401.0), 14.0);
    }
    cluster.observed.term = Some(term(401.0, &identity));
    assert_eq!(asked(&cluster.call(now(401.0))), "extend first");
}

#[test]
fn it_is_extended_a_third_of_its_life_before_its_end_and_at_most_a_tenth_of_that_earlier() {
    let mut cluster = settled(&LOGIN);
    let due = wait_of(&mut cluster, 0.0);
    assert!((380.0..=400.0).contains(&due), "{due}");
    assert_eq!(wait_of(&mut settled(&LOGIN), 0.0), due, "stable");
    cluster.answer(now(due), "second", 600);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    assert!(wait_of(&mut cluster, due) > 370.0);
}

#[test]
fn refresh_before_is_the_lead_and_never_more_than_half_nor_less_than_a_twentieth_of_the_life() {
    for (before, range) in [("60s", 534.0..=540.0), ("500s", 270.0..=300.0), ("0s", 567.0..=570.0)] {
        let mut cluster = settled(&LOGIN);
        std::sync::Arc::make_mut(&mut cluster.observed.resource).spec.refresh_before = Some(before.into());
        let due = wait_of(&mut cluster, 0.0);
        assert!(range.contains(&due), "{before}: {due}");
    }
}

#[test]
fn a_pair_that_is_said_to_have_no_time_left_is_extended_after_a_minute_and_not_in_a_loop() {
    let mut cluster = Cluster::session(&LOGIN);
    cluster.answer(now(0.0), "first", 0);
    assert_eq!(wait_of(&mut cluster, 0.0), 60.0);
}

#[test]
fn pairs_that_are_over_before_they_are_of_use_are_kept_alive_and_that_is_said() {
    for (values, seconds) in [(PAIR, 0), (PAIR, 1), (LOGIN, 5), (PAIR, 9)] {
        let mut cluster = Cluster::session(&values);
        let mut at = 0.0;
        for number in 1..=60 {
            cluster.answer(now(at), &format!("pair {number}"), seconds);
            let said = cluster.rest(now(at)).1.contains(&Reason::LifetimeUnusable);
            assert_eq!(said, number > 1, "one short life is nothing: {seconds}");
            let wait = wait_of(&mut cluster, at);
            assert!(if seconds == 0 { wait == 60.0 } else { wait < seconds as f64 }, "{seconds}: {wait}");
            at += wait;
        }
        assert!(cluster.plan(now(at - 0.01)).findings[0].message.contains("10 seconds"));
        cluster.answer(now(at), "useful", 10);
        assert_eq!(cluster.rest(now(at)).1, []);
    }
}

#[test]
fn a_restart_with_a_live_pair_asks_nothing() {
    let mut cluster = settled(&[PAIR, LOGIN].concat());
    cluster.restart(now(10.0));
    assert!(wait_of(&mut cluster, 10.0) > 300.0);
    assert_eq!(cluster.steps, [""; 0]);
}

#[test]
fn only_the_issuers_own_word_ends_a_pair() {
    for kind in [FailureKind::Unavailable, FailureKind::Refused, FailureKind::Rejected] {
        let mut cluster = settled(&[PAIR, LOGIN].concat());
        for _ in 0..5 {
            let at = now(400.0 + wait_of_or_now(&mut cluster, 400.0));
            cluster.fail(at, kind);
        }
        let again = now(400.0 + 600.0);
        assert_eq!(asked(&cluster.call(again)), "extend first", "{kind:?}");
    }
}

fn wait_of_or_now(cluster: &mut Cluster, seconds: f64) -> f64 {
    let at = now(seconds);
    cluster
        .memory
        .failed_requests("session", Role::Main)
        .map_or(0.0, |failing| failing.not_before.until(at.mono).as_secs_f64())
}

#[test]
fn a_pair_that_is_over_is_followed_by_a_log_in_at_once() {
    let mut cluster = settled(&[PAIR, LOGIN].concat());
    cluster.fail(now(400.0), FailureKind::Ended);
    let planned = cluster.call(now(400.0));
    assert_eq!((asked(&planned).as_str(), planned.cause), ("log in user", Cause::Ended));
    assert_eq!(cluster.steps, ["announcement", "state", "announcement"]);
    cluster.receive(&planned, now(400.0), "second", 600);
    cluster.settle(now(400.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_session_that_is_lost_says_what_to_do_and_asks_nothing_until_somebody_does() {
    let mut cluster = settled(&PAIR);
    cluster.fail(now(400.0), FailureKind::Ended);
    for restarted in [false, true] {
        let (until, reasons) = cluster.rest(now(400.0));
        assert_eq!((until, reasons), (None, vec![Reason::SessionLost]), "{restarted}");
        assert_eq!(ready(&cluster, 400.0), "False SessionLost");
        cluster.restart(now(400.0));
    }
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"), "what is there stays there");
    cluster.give(&OTHER_PAIR);
    assert_eq!(asked(&cluster.call(now(401.0))), "extend newer");
    cluster.give(&[PAIR, LOGIN].concat());
    assert_eq!(asked(&cluster.call(now(401.0))), "log in user");
}

fn ready(cluster: &Cluster, seconds: f64) -> String {
    let plan = cluster.plan(now(seconds));
    let health = TokenHealth::of(&cluster.observed, &cluster.memory, &plan.findings, now(seconds));
    let status = status(&cluster.observed, &health, None, now(seconds));
    let ready = syniverse_token_core::status::ready(&status).unwrap();
    format!("{} {}", ready.status, ready.reason)
}

#[test]
fn a_new_pasted_pair_is_used_at_once_and_if_it_is_refused_the_old_one_goes_on() {
    let mut cluster = settled(&PAIR);
    cluster.give(&OTHER_PAIR);
    let planned = cluster.call(now(10.0));
    assert_eq!((asked(&planned).as_str(), planned.cause), ("extend newer", Cause::Changed("token")));
    cluster.fail(now(10.0), FailureKind::Ended);
    assert!(wait_of(&mut cluster, 10.0) > 300.0);
    assert_eq!(ready(&cluster, 11.0), "True Issued");
    assert_eq!(asked(&cluster.call(now(400.0))), "extend first");
}

#[test]
fn a_changed_username_logs_in_and_if_that_is_refused_the_old_session_goes_on() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&OTHER_LOGIN);
    let planned = cluster.call(now(10.0));
    assert_eq!((asked(&planned).as_str(), planned.cause), ("log in other", Cause::Changed("username")));
    cluster.fail(now(10.0), FailureKind::LoginRefused);
    assert!(wait_of(&mut cluster, 10.0) > 300.0);
    assert_eq!(asked(&cluster.call(now(400.0))), "extend first");
}

#[test]
fn a_changed_password_alone_is_tried_only_where_the_login_has_failed() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&[("username", "user"), ("password", "other")]);
    assert!(wait_of(&mut cluster, 10.0) > 300.0);

    let mut cluster = Cluster::session(&LOGIN);
    cluster.fail(now(0.0), FailureKind::LoginRefused);
    let (until, reasons) = cluster.rest(now(1.0));
    assert_eq!((until, reasons), (Some(now(300.0).mono), vec![Reason::LoginRefused]));
    cluster.give(&[("username", "user"), ("password", "other")]);
    assert_eq!(asked(&cluster.call(now(2.0))), "log in user");
}

#[test]
fn a_login_that_was_refused_beside_a_live_session_is_said_and_tried_again_once_it_is_corrected() {
    let login = |password: &'static str| [("username", "other"), ("password", password)];
    let mut cluster = settled(&LOGIN);
    cluster.give(&login("mistyped"));
    cluster.fail(now(10.0), FailureKind::LoginRefused);
    for restarted in [false, true] {
        assert!(wait_of(&mut cluster, 11.0) > 300.0, "{restarted}");
        assert_eq!(ready(&cluster, 11.0), "True LoginRefused");
        cluster.restart(now(11.0));
    }
    cluster.give(&login("right"));
    let planned = cluster.call(now(12.0));
    assert_eq!((asked(&planned).as_str(), planned.cause), ("log in other", Cause::Changed("password")));
    cluster.receive(&planned, now(12.0), "second", 600);
    cluster.settle(now(12.0));
    assert_eq!(ready(&cluster, 12.0), "True Issued");
    cluster.give(&login("another"));
    assert!(wait_of(&mut cluster, 13.0) > 300.0, "it is no cause any more");
}

#[test]
fn values_that_were_gone_for_a_while_are_no_new_ones() {
    let mut cluster = settled(&[PAIR, LOGIN].concat());
    cluster.observed.credentials = None.into();
    cluster.answer(now(400.0), "second", 600);
    cluster.give(&[PAIR, LOGIN].concat());
    assert!(wait_of(&mut cluster, 401.0) > 300.0);
    cluster.give(&OTHER_LOGIN);
    assert_eq!(asked(&cluster.call(now(402.0))), "log in other", "this one is");
}

#[test]
fn a_login_that_is_added_to_a_live_pair_waits_until_it_is_needed() {
    let mut cluster = settled(&PAIR);
    cluster.give(&[PAIR, LOGIN].concat());
    assert!(wait_of(&mut cluster, 10.0) > 300.0);
    cluster.fail(now(400.0), FailureKind::Ended);
    assert_eq!(asked(&cluster.call(now(400.0))), "log in user");
}

#[test]
fn to_another_endpoint_a_pair_is_worth_a_try_that_was_said_to_be_over() {
    let mut cluster = settled(&PAIR);
    let at = |cluster: &mut Cluster, endpoint: &str| {
        let resource = std::sync::Arc::make_mut(&mut cluster.observed.resource);
        resource.spec.session.as_mut().unwrap().endpoint = endpoint.into();
        cluster.observed.credentials = cluster.observed.credentials.secret().cloned().into();
    };
    at(&mut cluster, "https://wrong.example.com/token");
    cluster.fail(now(10.0), FailureKind::Ended);
    assert_eq!(cluster.rest(now(10.0)).1, [Reason::SessionLost]);
    at(&mut cluster, "https://sma.example.com/token");
    assert_eq!(asked(&cluster.call(now(20.0))), "extend first");
    cluster.fail(now(20.0), FailureKind::Ended);
    assert_eq!(cluster.rest(now(20.0)), (None, vec![Reason::SessionLost]), "once");
}

#[test]
fn a_session_is_kept_alive_as_late_as_is_safe_while_its_token_secret_cannot_be_written() {
    let (mut cluster, mut refused) = (settled(&PAIR), settled(&PAIR));
    cluster.observed.token.as_mut().unwrap().immutable = Some(true);
    let (until, reasons) = cluster.rest(now(400.0));
    assert_eq!(reasons, [Reason::SecretImmutable]);
    let due = until.unwrap().until(now(0.0).mono).as_secs_f64();
    assert!((540.0..=550.0).contains(&due), "{due}");
    cluster.answer(now(due), "second", 600);
    assert_eq!(
        (cluster.token("accessToken").as_deref(), cluster.steps[..2].to_vec()),
        (Some("first"), vec!["announcement", "state"])
    );

    // The API server takes the state Secret, but not the token Secret.
    refused.observed.token = None;
    let mut failing = |at: f64| refused.memory.writes.write_failed(Target::Token, "failed".into(), now(at).mono, 1);
    failing(540.0);
    assert_eq!(refused.rest(now(540.0)).1, [Reason::WriteFailed]);
    let planned = refused.call(now(550.0 - 0.001));
    assert_eq!(asked(&planned), "extend first");
}

/// A session of 600 s whose state cannot be written since it was to be extended; its last minute has not begun.
fn unwritable() -> Cluster {
    let mut cluster = settled(&PAIR);
    for at in [400.0, 401.0] {
        cluster.memory.writes.write_failed(Target::State, "failed".into(), now(at).mono, 1);
    }
    cluster
}

#[test]
fn a_session_that_cannot_be_recorded_is_extended_near_its_end_without_an_announcement_all_the_same() {
    let mut cluster = unwritable();
    assert_eq!(cluster.rest(now(401.0)).1, [Reason::WriteFailed]);
    let mut failing = |at: f64| cluster.memory.writes.write_failed(Target::State, "failed".into(), now(at).mono, 1);
    failing(538.0);
    let (until, findings) = cluster.rest(now(538.0));
    assert_eq!(findings, [Reason::WriteFailed]);
    assert!(until.unwrap() <= now(545.0).mono);
    let Plan { step: Step::Request(planned), findings, .. } = cluster.plan(now(555.0)) else { panic!("no call") };
    assert_eq!((asked(&planned), planned.intent_write.is_none()), ("extend first".to_owned(), true));
    assert_eq!(findings[0].reason, Reason::WriteFailed);
    // The answer waits; nothing is asked meanwhile, and the risk is said.
    cluster.receive(&planned, now(555.0), "second", 600);
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(555.1).mono, 1);
    let Plan { step: Step::Wait(_), findings, .. } = cluster.plan(now(555.2)) else { panic!("no wait") };
    assert!(findings[0].message.contains("only in the operator's memory"), "{}", findings[0].message);
    // Writes are taken again.
    cluster.settle(now(600.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
}

#[test]
fn a_pair_in_hand_is_extended_in_its_turn_while_nothing_can_be_recorded() {
    let mut cluster = unwritable();
    let Step::Request(planned) = cluster.plan(now(555.0)).step else { panic!("no call") };
    cluster.receive(&planned, now(555.0), "second", 600);
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(1108.0).mono, 1);
    let Step::Request(again) = cluster.plan(now(1109.0)).step else { panic!("no call") };
    assert_eq!((asked(&again), again.intent_write.is_none()), ("extend second".to_owned(), true));
    cluster.receive(&again, now(1109.0), "third", 600);
    cluster.settle(now(1200.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("third"));
}

#[test]
fn nothing_but_the_session_is_asked_for_while_a_pair_is_in_hand_and_a_change_is_made_afterwards() {
    let changes = [(OTHER_PAIR.to_vec(), "extend newer"), ([PAIR, OTHER_LOGIN].concat(), "log in other")];
    for (change, made) in changes {
        let mut cluster = settled(&[PAIR, LOGIN].concat());
        for at in [400.0, 401.0] {
            cluster.memory.writes.write_failed(Target::State, "failed".into(), now(at).mono, 1);
        }
        let Step::Request(planned) = cluster.plan(now(555.0)).step else { panic!("no call") };
        cluster.receive(&planned, now(555.0), "second", 600);
        cluster.give(&change);
        cluster.memory.writes.write_failed(Target::State, "failed".into(), now(1108.0).mono, 1);
        let Step::Request(again) = cluster.plan(now(1109.0)).step else { panic!("no call") };
        assert_eq!(asked(&again), "extend second", "{made}");
        cluster.receive(&again, now(1109.0), "third", 600);
        assert_eq!(asked(&cluster.call(now(1200.0))), made, "a change waits for its time");
        assert_eq!(cluster.token("accessToken").as_deref(), Some("third"));
    }
}

#[test]
fn what_several_answers_in_hand_say_is_recorded_of_each_of_them() {
    let mut cluster = settled(&PAIR);
    cluster.give(&OTHER_PAIR);
    let planned = cluster.call(now(300.0));
    assert_eq!(asked(&planned), "extend newer");
    cluster.receive(&planned, now(300.0), "second", 600);
    for (at, next) in [(855.0, "extend second"), (1410.0, "extend third")] {
        [at - 10.0, at].iter().for_each(|at| {
            cluster.memory.writes.write_failed(Target::State, "failed".into(), now(*at).mono, 1);
        });
        let Step::Request(planned) = cluster.plan(now(at + 0.1)).step else { panic!("no call") };
        assert_eq!(asked(&planned), next);
        cluster.receive(&planned, now(at + 0.1), if at < 900.0 { "third" } else { "fourth" }, 600);
        assert_eq!(ready(&cluster, at + 0.1), "False WriteFailed");
    }
    assert!(wait_of(&mut cluster, 1500.0) > 200.0, "the pasted pair was used at first");
    assert_eq!(cluster.token("accessToken").as_deref(), Some("fourth"));
}

#[test]
fn a_session_whose_end_is_told_while_its_pair_is_in_hand_is_recorded_with_that_end() {
    let mut cluster = unwritable();
    let Step::Request(planned) = cluster.plan(now(555.0)).step else { panic!("no call") };
    cluster.receive(&planned, now(555.0), "second", 600);
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(1108.0).mono, 1);
    cluster.fail(now(1108.1), FailureKind::Ended);
    assert!(matches!(cluster.plan(now(1108.2)).step, Step::Wait(_)), "once");
    assert_eq!(cluster.rest(now(1120.0)).1, [Reason::SessionLost]);
    let last = cluster.state().active_token().cloned().unwrap();
    assert_eq!((last.token.expose(), last.ended), ("second", true));
}

#[test]
fn a_write_is_tried_between_the_last_calls_of_a_session_that_cannot_be_recorded() {
    let mut cluster = unwritable();
    let Step::Request(planned) = cluster.plan(now(555.0)).step else { panic!("no call") };
    cluster.receive(&planned, now(555.0), "second", 600);
    // The first call waits for no write that may hang.
    assert!(matches!(cluster.plan(now(1109.0)).step, Step::Request(_)));
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(1109.0).mono, 1);
    let Step::Request(again) = cluster.plan(now(1109.1)).step else { panic!("no call") };
    let failure =
        Failure { kind: FailureKind::Unavailable, detail: "no answer".into(), retry_after: None, status: None };
    cluster.end(&again, now(1109.1), &Err(failure));
    assert!(matches!(cluster.plan(now(1115.0)).step, Step::WriteState(_)));
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(1115.0).mono, 1);
    assert!(matches!(cluster.plan(now(1115.1)).step, Step::Request(_)));
}

#[test]
fn one_failed_write_a_suspended_session_or_one_that_is_over_make_no_unannounced_call() {
    let near = |cluster: &Cluster, at: f64| matches!(cluster.plan(now(at)).step, Step::Request(planned) if planned.intent_write.is_none());
    let mut once = settled(&PAIR);
    once.memory.writes.write_failed(Target::State, "failed".into(), now(555.0).mono, 1);
    assert!(!near(&once, 555.1));
    assert!(!near(&unwritable(), 600.0));
    let mut suspended = unwritable();
    suspended.respec(json!({"suspend": true}));
    assert!(!near(&suspended, 555.0));
    assert!(near(&unwritable(), 555.0));
}

#[test]
fn a_token_that_an_answer_in_hand_has_superseded_is_not_ready() {
    let mut cluster = settled(&LOGIN);
    let planned = cluster.call(now(400.0));
    assert_eq!(ready(&cluster, 400.0), "True Issued");
    cluster.receive(&planned, now(400.0), "second", 600);
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(400.0).mono, 1);
    assert_eq!(ready(&cluster, 400.0), "False WriteFailed");
    cluster.settle(now(406.0));
    assert_eq!(ready(&cluster, 406.0), "True Issued");
}

#[test]
fn values_that_are_missing_are_named_and_cost_a_live_session_nothing() {
    let mut cluster = Cluster::session(&[]);
    assert_eq!(cluster.rest(now(0.0)), (None, vec![Reason::CredentialsIncomplete]));
    cluster.give(&[("token", "alone")]);
    assert_eq!(cluster.rest(now(0.0)), (None, vec![Reason::CredentialsIncomplete]));

    let mut cluster = settled(&PAIR);
    cluster.observed.credentials = None.into();
    assert_eq!(cluster.rest(now(10.0)).1, [Reason::CredentialsNotFound]);
    assert_eq!(ready(&cluster, 10.0), "True CredentialsNotFound");
    assert_eq!(asked(&cluster.call(now(400.0))), "extend first");
}

#[test]
fn a_live_session_needs_no_consent_to_credentials_that_it_does_not_use() {
    for values in [PAIR.to_vec(), [PAIR, LOGIN].concat()] {
        let mut cluster = settled(&values);
        (cluster.observed.lacks_consent, cluster.observed.credentials) = (true, None.into());
        assert_eq!(cluster.rest(now(10.0)).1, [Reason::CredentialsNotConsented]);
        assert_eq!(ready(&cluster, 10.0), "True CredentialsNotConsented");
        let said = &cluster.plan(now(10.0)).findings[0].message;
        assert!(said.contains("Secret sma ") && said.contains("syniverse.dev/credentials: \"true\""), "{said}");
        cluster.annotate("syniverse.dev/refresh", "1");
        assert_eq!(asked(&cluster.call(now(11.0))), "extend first");
        cluster.answer(now(11.0), "second", 600);
        assert_eq!(asked(&cluster.call(now(420.0))), "extend second");
        cluster.fail(now(420.0), FailureKind::Ended);
        assert_eq!(cluster.rest(now(420.0)), (None, vec![Reason::CredentialsNotConsented]));
        // What the settings forbid is forbidden to every pair.
        let mut cluster = settled(&values);
        cluster.observed.not_allowed = Some(NotAllowed::NotHttps);
        assert_eq!(cluster.rest(now(450.0)), (None, vec![Reason::EndpointNotAllowed]));
    }
}

#[test]
fn a_pair_that_another_resource_was_given_first_is_left_to_it() {
    let mut cluster = Cluster::session(&PAIR);
    cluster.observed.peers.sharing = Sharing { here: true, before_us: true, ..Sharing::default() };
    assert_eq!(cluster.rest(now(0.0)), (None, vec![Reason::SessionShared]));
    cluster.give(&[PAIR, LOGIN].concat());
    assert_eq!(asked(&cluster.call(now(0.0))), "log in user");
}

#[test]
fn what_was_said_of_a_shared_pair_says_nothing_of_another_one() {
    let mut cluster = Cluster::session(&PAIR);
    cluster.observed.peers.sharing = Sharing { here: true, before_us: true, ..Sharing::default() };
    let said = cluster.plan(now(0.0)).findings.remove(0);
    // Another process begins, and has not met the other resource yet.
    cluster.observed.peers.sharing = Sharing::default();
    let condition = json!({"type": "Ready", "status": "False", "reason": said.reason.as_str(), "message": said.message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    std::sync::Arc::make_mut(&mut cluster.observed.resource).status =
        Some(serde_json::from_value(json!({"conditions": [condition]})).unwrap());
    assert_eq!(cluster.rest(now(1.0)), (Some(now(60.0).mono), vec![Reason::SessionShared]));
    // A version before this one said so in other words.
    let status = std::sync::Arc::make_mut(&mut cluster.observed.resource).status.as_mut().unwrap();
    let pair = syniverse_token_core::fingerprint::fingerprint(&Redacted::new("pasted"));
    status.conditions[0].message = format!("another SyniverseToken was given the pair {pair} in Secret sma first");
    assert_eq!(cluster.rest(now(1.0)), (Some(now(60.0).mono), vec![Reason::SessionShared]));
    cluster.give(&OTHER_PAIR);
    assert_eq!(asked(&cluster.call(now(2.0))), "extend newer");
}

#[test]
fn a_session_past_its_end_is_not_ready_from_that_moment_on() {
    let mut cluster = settled(&LOGIN);
    cluster.fail(now(590.0), FailureKind::Unavailable);
    assert_eq!(ready(&cluster, 599.9), "True RefreshFailed");
    assert_eq!(ready(&cluster, 600.0), "False RefreshFailed");
}

#[test]
fn an_answer_that_was_overtaken_by_a_verdict_on_the_same_pair_still_counts() {
    let mut cluster = settled(&LOGIN);
    let planned = cluster.call(now(400.0));
    let mut other = Cluster::session(&LOGIN);
    other.observed.state = cluster.observed.state.clone();
    other.observed.holder = "other".into();
    other.restart(now(416.0));
    other.fail(now(416.0), FailureKind::Ended);
    other.settle(now(416.0));
    assert!(other.state().active_token().unwrap().ended);
    // The first process was frozen, and goes on.
    cluster.observed.state = other.observed.state.clone();
    cluster.receive(&planned, now(400.0), "second", 600);
    cluster.settle(now(417.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    let second = cluster.state().active_token().cloned().unwrap();
    assert!(!second.ended && second.token.expose() == "second");
}

#[test]
fn an_answer_whose_time_was_over_before_it_could_be_written_makes_way_for_who_is_at_it_now() {
    let mut cluster = settled(&LOGIN);
    let planned = cluster.call(now(400.0));
    cluster.receive(&planned, now(400.0), "second", 600);
    // Before it is written, another process finds the pair over, and is about to log in.
    let mut other = Cluster::session(&LOGIN);
    other.observed.state = cluster.observed.state.clone();
    other.observed.holder = "other".into();
    other.restart(now(1000.0));
    other.fail(now(1000.0), FailureKind::Ended);
    assert_eq!(asked(&other.call(now(1000.0))), "log in user");
    cluster.observed.state = other.observed.state.clone();
    let in_time = cluster.plan(now(999.0));
    assert!(
        matches!(in_time.step, Step::WriteState(ref write) if write.state.intent.as_ref().unwrap().holder == "other")
    );
    assert!(matches!(cluster.plan(now(1000.0)).step, Step::DiscardResponse));
}

#[test]
fn an_answer_that_comes_after_another_session_was_opened_is_dropped() {
    let mut cluster = settled(&LOGIN);
    let planned = cluster.call(now(400.0));
    let mut other = Cluster::session(&LOGIN);
    other.observed.state = cluster.observed.state.clone();
    other.observed.holder = "other".into();
    other.restart(now(416.0));
    other.fail(now(416.0), FailureKind::Ended);
    other.answer(now(416.0), "third", 600);
    cluster.observed.state = other.observed.state.clone();
    cluster.observed.token = other.observed.token.clone();
    cluster.receive(&planned, now(400.0), "second", 600);
    cluster.settle(now(417.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("third"));
}

#[test]
fn a_resource_that_becomes_a_session_keeps_the_applications_token_until_it_has_one() {
    let mut cluster = Cluster::with_token(json!({}));
    let session = json!({"endpoint": "https://sma.example.com/token", "credentials": {"secretRef": {"name": "sma"}}});
    cluster.respec(json!({"application": null, "session": session}));
    cluster.give(&PAIR);
    let planned = cluster.call(now(10.0));
    assert_eq!((asked(&planned).as_str(), cluster.token("accessToken").as_deref()), ("extend pasted", Some("first")));
    cluster.receive(&planned, now(10.0), "second", 600);
    cluster.settle(now(10.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    cluster.respec(json!({}));
    cluster.observed.credentials = Some(crate::cluster::credentials("secret", Some("old"))).into();
    assert_eq!(crate::cluster::old_token(&cluster.call(now(700.0))), "first");
}

#[test]
fn the_token_of_a_session_is_never_sent_to_the_issuer_of_applications() {
    let mut cluster = settled(&PAIR);
    cluster.respec(json!({}));
    cluster.observed.credentials = Some(crate::cluster::credentials("secret", Some("old"))).into();
    assert_eq!(crate::cluster::old_token(&cluster.call(now(10.0))), "old");
    cluster.answer(now(10.0), "second", 600);
    let session = json!({"endpoint": "https://sma.example.com/token", "credentials": {"secretRef": {"name": "sma"}}});
    cluster.respec(json!({"application": null, "session": session}));
    cluster.give(&PAIR);
    assert_eq!(asked(&cluster.call(now(20.0))), "extend first", "the pasted pair was used up before");
}

/// What is asked from `from` until before `until`, and when: the issuer gives a new pair of 600 s for asks that begin as one of `given`,
/// and fails all others with `kind`.
fn run(cluster: &mut Cluster, from: f64, until: f64, given: &[&str], kind: FailureKind) -> Vec<(f64, String)> {
    let (mut seconds, mut all) = (from, Vec::new());
    while seconds < until {
        let at = now(seconds);
        match cluster.settle(at).step {
            Step::Request(planned) if given.iter().any(|given| asked(&planned).starts_with(given)) => {
                all.push((seconds, asked(&planned)));
                cluster.receive(&planned, at, &format!("of {seconds:.0}"), 600);
            }
            Step::Request(planned) => {
                all.push((seconds, asked(&planned)));
                cluster.fail(at, kind);
            }
            Step::Wait(wake) => seconds = wake.map_or(until, |wake| seconds + wake.until(at.mono).as_secs_f64()),
            step => panic!("{step:?}"),
        }
    }
    all
}

fn moments(all: &[(f64, String)], ask: &str) -> Vec<f64> {
    all.iter().filter(|(_, asked)| asked == ask).map(|(seconds, _)| *seconds).collect()
}

/// An account that is locked, say: the documents name no code for that.
#[test]
fn a_change_that_the_issuer_does_not_take_never_costs_the_session_that_lives() {
    for (other, tried) in [(OTHER_PAIR, "extend newer"), (OTHER_LOGIN, "log in other")] {
        let mut undisturbed = settled(&[PAIR, LOGIN].concat());
        let due = wait_of(&mut undisturbed, 300.0) + 300.0;
        let mut cluster = settled(&[PAIR, LOGIN].concat());
        cluster.give(&other);
        let all = run(&mut cluster, 300.0, 600.0, &["extend first"], FailureKind::Refused);
        assert_eq!(moments(&all, "extend first"), [due], "at the very moment, and once");
        assert_eq!(cluster.token("accessToken"), Some(format!("of {due:.0}")));
        // What was changed is neither forgotten nor tried more often for it.
        let tries = moments(&all, tried);
        assert_eq!(tries.len() + 1, all.len(), "{all:?}");
        assert!(tries.windows(2).skip(6).all(|pair| pair[1] - pair[0] > 40.0) && tries.len() > 8, "{tries:?}");
        assert_eq!(cluster.plan(now(600.0)).findings[0].reason, Reason::RefreshFailed);
    }
}

#[test]
fn the_wish_for_a_pause_that_comes_with_a_change_holds_back_nothing_else() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&OTHER_LOGIN);
    let planned = cluster.call(now(300.0));
    let pause = Some(Duration::from_secs(3600));
    let failure =
        Failure { kind: FailureKind::Refused, detail: "the issuer says no".into(), retry_after: pause, status: None };
    cluster.end(&planned, now(300.0), &Err(failure));
    let all = run(&mut cluster, 300.0, 599.0, &["extend first", "extend of"], FailureKind::Refused);
    assert!(all.len() == 1 && all.iter().all(|(_, asked)| asked.starts_with("extend")), "{all:?}");
}

#[test]
fn a_change_and_the_session_that_lives_are_tried_by_themselves_while_both_are_in_vain() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&OTHER_PAIR);
    let all = run(&mut cluster, 450.0, 599.0, &[], FailureKind::Refused);
    assert_eq!(all[0].1, "extend newer", "the change comes first");
    for ask in ["extend newer", "extend first"] {
        let tries = moments(&all, ask);
        let firsts: Vec<_> = tries.windows(2).take(3).map(|pair| pair[1] - pair[0]).collect();
        assert!(firsts.is_sorted() && firsts[0] < 1.3 && firsts[2] > 2.9, "each grows by itself: {ask} {tries:?}");
    }
    assert!(cluster.memory.is_failing(Role::Fallback));
    run(&mut cluster, 599.0, 700.0, &["extend first"], FailureKind::Refused);
    assert!(!cluster.memory.is_failing(Role::Fallback) && cluster.memory.is_failing(Role::Main));
}

#[test]
fn a_change_in_vain_does_not_keep_the_login_from_opening_a_session_when_the_old_one_is_over() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&[OTHER_PAIR, LOGIN].concat());
    cluster.fail(now(450.0), FailureKind::Refused);
    assert_eq!(asked(&cluster.call(now(450.0))), "extend first");
    cluster.fail(now(450.0), FailureKind::Ended);
    let all = run(&mut cluster, 450.0, 460.0, &["log in user"], FailureKind::Refused);
    assert_eq!(moments(&all, "log in user"), [450.0]);
    assert!(moments(&all, "extend newer").len() > 1, "the change is still to be made: {all:?}");
}

fn move_to(cluster: &mut Cluster, host: &str) {
    let endpoint = format!("https://{host}.example.com/token");
    let session = json!({"endpoint": endpoint, "credentials": {"secretRef": {"name": "sma"}}});
    cluster.respec(json!({"application": null, "session": session}));
}

#[test]
fn a_change_that_asks_for_the_same_extends_the_session_once_however_often_that_was_in_vain() {
    let mut cluster = settled(&LOGIN);
    move_to(&mut cluster, "elsewhere");
    for _ in 0..3 {
        let planned = cluster.call(now(450.0));
        assert_eq!((asked(&planned).as_str(), planned.cause), ("extend first", Cause::Changed("endpoint")));
        cluster.fail(now(450.0), FailureKind::Unavailable);
        cluster.memory.endpoint_is_up(now(450.0).mono);
    }
    cluster.answer(now(450.0), "second", 600);
    assert!(wait_of(&mut cluster, 450.0) > 300.0);
}

#[test]
fn an_endpoint_that_is_changed_back_gets_its_session_back() {
    for pair_at_home in [PAIR, OTHER_PAIR] {
        let mut cluster = settled(&PAIR);
        move_to(&mut cluster, "elsewhere");
        cluster.give(&OTHER_PAIR);
        cluster.fail(now(450.0), FailureKind::Refused);
        // The session is not known there.
        assert_eq!(asked(&cluster.call(now(450.0))), "extend first");
        cluster.fail(now(450.0), FailureKind::Ended);
        move_to(&mut cluster, "sma");
        cluster.give(&pair_at_home);
        let all = run(&mut cluster, 451.0, 460.0, &["extend first"], FailureKind::Refused);
        assert_eq!(moments(&all, "extend first"), [451.0], "{all:?}");
    }
}

#[test]
fn that_a_session_is_over_is_the_word_of_one_endpoint() {
    let mut cluster = settled(&PAIR);
    move_to(&mut cluster, "elsewhere");
    cluster.fail(now(100.0), FailureKind::Ended);
    assert_eq!(cluster.rest(now(100.0)).1, [Reason::SessionLost]);
    move_to(&mut cluster, "sma");
    cluster.give(&OTHER_PAIR);
    assert_eq!(asked(&cluster.call(now(101.0))), "extend newer");
    cluster.fail(now(101.0), FailureKind::Ended);
    assert_eq!(cluster.rest(now(101.0)).1, []);
    assert_eq!(asked(&cluster.call(now(450.0))), "extend first");
}

/// A Secret and a resource cannot be changed at the same time, not by one `kubectl apply` either.
#[test]
fn a_pair_that_was_tried_at_a_wrong_endpoint_is_tried_at_the_right_one() {
    for mut cluster in [Cluster::session(&OTHER_PAIR), settled(&PAIR)] {
        cluster.give(&OTHER_PAIR);
        assert_eq!(asked(&cluster.call(now(1.0))), "extend newer");
        cluster.fail(now(1.0), FailureKind::Ended);
        cluster.settle(now(1.0));
        move_to(&mut cluster, "right");
        assert_eq!(asked(&cluster.call(now(2.0))), "extend newer");
        cluster.answer(now(2.0), "its next", 600);
        move_to(&mut cluster, "another");
        assert_eq!(asked(&cluster.call(now(3.0))), "extend its next", "the pasted one is used up");
    }
}

/// As when another resource's Secret is copied, or a Secret that is not fresh.
#[test]
fn a_pair_that_is_of_no_use_does_not_use_up_the_user_name_that_came_with_it() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&[OTHER_PAIR, OTHER_LOGIN].concat());
    assert_eq!(asked(&cluster.call(now(100.0))), "extend newer");
    cluster.fail(now(100.0), FailureKind::Ended);
    assert_eq!(asked(&cluster.call(now(100.0))), "log in other");

    let mut cluster = settled(&LOGIN);
    cluster.observed.peers.sharing = Sharing { here: true, before_us: true, ..Sharing::default() };
    cluster.give(&[OTHER_PAIR, LOGIN].concat());
    assert!(wait_of(&mut cluster, 100.0) > 200.0, "it is no cause to call");
    cluster.give(&[OTHER_PAIR, OTHER_LOGIN].concat());
    assert_eq!(asked(&cluster.call(now(100.0))), "log in other");
}

#[test]
fn a_refused_login_is_remembered_until_one_is_taken() {
    let mut cluster = settled(&LOGIN);
    let other = |password| [OTHER_LOGIN[0], ("password", password)];
    cluster.give(&other("wrong"));
    cluster.fail(now(100.0), FailureKind::LoginRefused);
    let all = run(&mut cluster, 100.0, 450.0, &["extend first"], FailureKind::Refused);
    assert_eq!(all.len(), 1);
    assert_eq!(cluster.rest(now(450.0)).1, [Reason::LoginRefused]);
    // The corrected one is tried, also where it is taken only after the next extension.
    cluster.give(&other("right"));
    let until = run(&mut cluster, 450.0, 1000.0, &["extend of"], FailureKind::Refused);
    assert!(moments(&until, "log in other").len() > 8, "{until:?}");
    let all = run(&mut cluster, 1000.0, 1100.0, &["log in other"], FailureKind::Refused);
    assert_eq!(moments(&all, "log in other").len(), 1);
    assert_eq!(cluster.rest(now(1100.0)).1, []);
}

/// With a lead that is shorter than the governor's step.
#[test]
fn a_change_in_vain_leaves_a_permit_for_the_session_that_lives() {
    let mut cluster = settled(&LOGIN);
    let credentials = json!({"secretRef": {"name": "sma"}});
    let session = json!({"endpoint": "https://sma.example.com/token", "credentials": credentials});
    cluster.respec(json!({"application": null, "session": session, "refreshBefore": "30s"}));
    cluster.give(&OTHER_LOGIN);
    cluster.fail(now(100.0), FailureKind::Refused);
    cluster.memory.rate_limiter.empty(now(100.0).mono);
    cluster.memory.rate_limiter.give_back();
    assert_eq!(wait_of(&mut cluster, 110.0).round(), 50.0, "one permit is not the change's to take");
    cluster.memory.rate_limiter.empty(now(569.0).mono);
    cluster.memory.rate_limiter.give_back();
    assert_eq!(asked(&cluster.call(now(570.0))), "extend first");
}

#[test]
fn no_hash_of_a_password_is_stored_and_none_is_needed_to_see_that_a_refused_one_was_changed() {
    let refused = || {
        let mut cluster = settled(&LOGIN);
        cluster.give(&OTHER_LOGIN);
        cluster.fail(now(10.0), FailureKind::LoginRefused);
        cluster.settle(now(10.0));
        assert!(cluster.state().credentials["session"].login_refused);
        cluster
    };
    let calls = |cluster: &mut Cluster, at: f64| matches!(cluster.settle(now(at)).step, Step::Request(_));
    let text = String::from_utf8(refused().state().to_bytes()).unwrap();
    assert!(text.contains("username") && !text.contains("password"), "{text}");
    // The same process knows the values, another one the version of the Secret.
    let (mut same, mut other) = (refused(), refused());
    same.give(&OTHER_LOGIN);
    assert!(!calls(&mut same, 20.0));
    other.restart(now(20.0));
    assert!(!calls(&mut other, 20.0));
    for mut cluster in [same, other] {
        cluster.give(&[("username", "other"), ("password", "corrected")]);
        let planned = cluster.call(now(30.0));
        assert_eq!((asked(&planned).as_str(), planned.cause), ("log in other", Cause::Changed("password")));
    }
}

#[test]
fn a_password_that_an_older_version_has_recorded_is_forgotten_with_the_next_answer_and_causes_no_call() {
    let mut cluster = settled(&LOGIN);
    let secret = cluster.observed.state.secret_mut().unwrap();
    let bytes = &mut secret.data.as_mut().unwrap().get_mut("state.json").unwrap().0;
    let mut state: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    state["credentials"]["session"]["inputs"]["hashes"]["password"] = json!("0123456789abcdef0123456789abcdef");
    *bytes = serde_json::to_vec(&state).unwrap();
    cluster.restart(now(1.0));
    assert!(matches!(cluster.settle(now(1.0)).step, Step::Wait(_)));
    cluster.answer(now(550.0), "second", 600);
    let text = String::from_utf8(cluster.state().to_bytes()).unwrap();
    assert!(!text.contains("password"), "{text}");
}

#[test]
fn what_becomes_of_a_refused_login() {
    let refused = || {
        let mut cluster = settled(&LOGIN);
        cluster.give(&OTHER_LOGIN);
        cluster.fail(now(100.0), FailureKind::LoginRefused);
        assert_eq!(cluster.rest(now(100.0)).1, [Reason::LoginRefused]);
        cluster
    };
    // Corrected together with a pair, it is what comes after that pair.
    let mut cluster = refused();
    cluster.give(&[OTHER_PAIR, [OTHER_LOGIN[0], ("password", "right")]].concat());
    assert_eq!(asked(&cluster.call(now(101.0))), "extend newer");
    cluster.answer(now(101.0), "second", 600);
    assert_eq!(cluster.rest(now(101.0)).1, []);
    // Put right at the issuer, or elsewhere, it is tried again where somebody wants a call.
    let mut cluster = refused();
    cluster.annotate("syniverse.dev/refresh", "1");
    assert_eq!(asked(&cluster.call(now(101.0))), "log in other");
    cluster.fail(now(101.0), FailureKind::LoginRefused);
    assert!(wait_of(&mut cluster, 101.0) > 200.0, "once for each wish");
    move_to(&mut cluster, "elsewhere");
    assert_eq!(asked(&cluster.call(now(102.0))), "log in other");
    cluster.answer(now(102.0), "second", 600);
    assert_eq!(cluster.rest(now(102.0)).1, []);
}

#[test]
fn a_log_in_that_was_made_while_a_pair_was_in_vain_is_not_made_again() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&[OTHER_PAIR, OTHER_LOGIN].concat());
    cluster.fail(now(450.0), FailureKind::Refused);
    cluster.fail(now(450.0), FailureKind::Ended);
    assert_eq!(asked(&cluster.call(now(450.0))), "log in other");
    cluster.answer(now(450.0), "second", 600);
    cluster.give(&OTHER_LOGIN);
    assert!(wait_of(&mut cluster, 460.0) > 300.0);
}

#[test]
fn a_pair_that_is_another_ones_is_said_as_long_as_it_is_there_and_never_asked_with() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&[OTHER_PAIR, LOGIN].concat());
    cluster.observed.peers.sharing = Sharing { here: true, before_us: true, ..Sharing::default() };
    let all = run(&mut cluster, 100.0, 1100.0, &["extend"], FailureKind::Refused);
    assert_eq!((moments(&all, "extend newer").len(), all.len()), (0, 2), "{all:?}");
    assert_eq!(cluster.rest(now(1100.0)).1, [Reason::SessionShared]);
    assert_eq!(ready(&cluster, 1100.0), "True SessionShared");
}

#[test]
fn a_change_is_not_starved_by_a_session_that_fails_as_well() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&OTHER_PAIR);
    let end = 3.0 * 3600.0;
    let all = run(&mut cluster, 450.0, end, &[], FailureKind::Refused);
    let tries = [moments(&all, "extend newer"), vec![end]].concat();
    let longest = tries.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(longest < 300.0, "{longest} s without a try of it");
}

#[test]
fn a_session_that_is_over_counts_as_a_dead_token() {
    let mut cluster = settled(&LOGIN);
    cluster.fail(now(450.0), FailureKind::Ended);
    let planned = cluster.call(now(450.0));
    assert_eq!((asked(&planned).as_str(), planned.live_token()), ("log in user", None));
}

#[test]
fn a_refused_login_is_hinted_at_and_any_other_failure_is_not_blamed_on_it() {
    for (kind, hint) in [
        (FailureKind::LoginRefused, "check the username and password in Secret sma"),
        (FailureKind::Refused, "check the values in Secret sma"),
    ] {
        let mut cluster = Cluster::session(&LOGIN);
        cluster.fail(now(0.0), kind);
        let said = cluster.settle(now(0.1)).findings[0].message.clone();
        assert!(said.contains(hint), "{kind:?}: {said}");
    }
}

#[test]
fn no_session_is_opened_for_a_secret_that_is_not_ours_and_one_that_lives_is_extended_all_the_same() {
    let foreign = || Some(crate::cluster::secret("messaging", &[("password", "theirs")]));
    let mut none = Cluster::session(&LOGIN);
    none.observed.token = foreign();
    assert_eq!(none.rest(now(0.0)), (None, vec![Reason::SecretNotOwned]));
    let mut lives = settled(&LOGIN);
    lives.observed.token = foreign();
    assert_eq!(asked(&lives.call(now(590.0))), "extend first");
}

#[test]
fn a_session_that_ended_after_its_login_was_taken_away_is_lost_and_no_login_is_blamed() {
    let mut cluster = settled(&LOGIN);
    assert_eq!(cluster.rest(now(1.0)).1, []);
    cluster.give(&OTHER_LOGIN);
    cluster.fail(now(30.0), FailureKind::LoginRefused);
    assert_eq!(cluster.rest(now(30.0)).1, [Reason::LoginRefused]);
    cluster.give(&[]);
    assert_eq!(cluster.rest(now(31.0)).1, []);
    cluster.fail(now(590.0), FailureKind::Ended);
    assert_eq!(cluster.rest(now(590.0)).1, [Reason::SessionLost]);
}

#[test]
fn a_pasted_pair_makes_a_login_needless_that_was_refused() {
    let mut cluster = settled(&LOGIN);
    cluster.give(&OTHER_LOGIN);
    cluster.fail(now(30.0), FailureKind::LoginRefused);
    cluster.settle(now(30.0));
    cluster.give(&[&PAIR[..], &[("username", "other"), ("password", "corrected")]].concat());
    let planned = cluster.call(now(40.0));
    assert_eq!(asked(&planned), "extend pasted");
    cluster.receive(&planned, now(40.0), "second", 600);
    assert_eq!(cluster.rest(now(40.0)).1, []);
    assert!(!cluster.state().credentials["session"].login_refused);
}

#[test]
fn while_nothing_can_be_recorded_writes_are_tried_again_after_a_second_and_a_suspended_session_is_left_alone() {
    let mut cluster = unwritable();
    let Step::Request(planned) = cluster.plan(now(555.0)).step else { panic!("no call") };
    let failure =
        Failure { kind: FailureKind::EndpointNotAllowed, detail: "no".into(), retry_after: None, status: None };
    cluster.end(&planned, now(555.0), &Err(failure));
    cluster.memory.writes.write_failed(Target::State, "failed".into(), now(555.1).mono, 1);
    let Step::Wait(until) = cluster.plan(now(555.5)).step else { panic!("no wait") };
    assert_eq!(until, Some(now(556.5).mono));
    let mut suspended = unwritable();
    std::sync::Arc::make_mut(&mut suspended.observed.resource).spec.suspend = true;
    suspended.memory.writes.write_failed(Target::State, "failed".into(), now(555.0).mono, 1);
    assert_eq!(suspended.rest(now(555.1)).1, [Reason::WriteFailed]);
}

#[test]
fn an_extension_that_brings_the_same_token_brings_a_new_pair_all_the_same() {
    let mut cluster = settled(&PAIR);
    let planned = cluster.call(now(590.0));
    let refresh_token = Some(Redacted::new("another"));
    let answer = TokenResponse { refresh_token, ..response("first", Lifetime::Seconds(600)) };
    cluster.end(&planned, now(590.0), &Ok(answer));
    cluster.rest(now(590.0));
    let pair = cluster.state().active_token().and_then(TokenRecord::pair).unwrap();
    assert_eq!(pair.refresh_token.expose(), "another");
}

#[test]
fn a_verdict_on_a_session_is_kept_beside_as_many_applications_as_are_kept() {
    let mut cluster = Cluster::with_token(json!({}));
    for key in ["a", "b", "c"] {
        let values = [("consumerKey", key), ("consumerSecret", "s"), ("oldToken", "o")];
        cluster.observed.credentials = Some(crate::cluster::secret("sdc", &values)).into();
        cluster.answer(now(1.0), key, 600);
    }
    let session = json!({"endpoint": "https://sma.example.com/token", "credentials": {"secretRef": {"name": "sma"}}});
    cluster.respec(json!({"application": null, "session": session}));
    cluster.give(&PAIR);
    cluster.fail(now(2.0), FailureKind::Ended);
    assert_eq!(cluster.rest(now(2.0)).1, [Reason::SessionLost], "the pair is not tried again");
    assert!(cluster.state().credentials["session"].pair_refused);
    cluster.respec(json!({}));
    for key in ["d", "e", "f"] {
        let values = [("consumerKey", key), ("consumerSecret", "s"), ("oldToken", "o")];
        cluster.observed.credentials = Some(crate::cluster::secret("sdc", &values)).into();
        cluster.answer(now(3.0), key, 600);
    }
    let credentials = cluster.state().credentials;
    assert!(credentials["session"].pair_refused, "it is no token that is kept");
    assert_eq!(credentials.values().filter(|record| record.token.is_some()).count(), 4);
}
