//! The scenarios of sessions: a pair lives for 20 s and is extended after about 13.

use crate::judge::What;
use crate::scenarios::{asked, lost};
use crate::stage::{Given, NAME, OTHER_USER, PASSWORD, SESSION_CREDENTIALS, STATE, Stage, USER, resource, secret};
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use jiff::SignedDuration;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const PAIR: Given<'_> = Given::Pair(USER);
const LOGIN: Given<'_> = Given::Login(USER, PASSWORD);

/// A resource whose session is 8 s old.
async fn settled(stage: &Arc<Stage>, given: &[Given<'_>]) {
    stage.account(USER);
    stage.put_session_credentials(given);
    stage.put_session(json!({}));
    stage.start("A");
    stage.pause(8.0).await;
    stage.explore();
}

async fn appears(stage: &Arc<Stage>, given: &[Given<'_>]) {
    stage.explore();
    stage.start("A");
    stage.pause(1.0).await;
    stage.put_session(json!({}));
    stage.pause(1.0).await;
    stage.account(USER);
    stage.put_session_credentials(given);
    stage.pause(4.0).await;
}

pub(crate) async fn session_pasted_pair(stage: &Arc<Stage>) {
    appears(stage, &[PAIR]).await;
}

pub(crate) async fn session_login(stage: &Arc<Stage>) {
    appears(stage, &[LOGIN]).await;
}

/// The pair was used up by somebody before.
pub(crate) async fn session_dead_pair_and_login(stage: &Arc<Stage>) {
    stage.account(USER);
    let now = stage.now();
    stage.world.inside().issuers.expire(USER, now).unwrap();
    stage.put_session_credentials(&[PAIR, LOGIN]);
    stage.put_session(json!({}));
    stage.user("pastes a pair that is over", true);
    stage.explore();
    stage.start("A");
    stage.pause(5.0).await;
}

pub(crate) async fn session_extension(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.pause(14.0).await;
}

pub(crate) async fn session_restart(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.stop("A").await;
    stage.start("A");
    stage.pause(8.0).await;
}

pub(crate) async fn session_pair_changed(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.account(OTHER_USER);
    stage.user("pastes another pair", true);
    stage.put_session_credentials(&[Given::Pair(OTHER_USER)]);
    stage.pause(5.0).await;
}

/// No cause to call while the session lives.
pub(crate) async fn session_password_changed(stage: &Arc<Stage>) {
    settled(stage, &[LOGIN]).await;
    stage.put_session_credentials(&[Given::Login(USER, "another password")]);
    stage.pause(2.0).await;
    stage.put_session_credentials(&[LOGIN]);
    stage.pause(6.0).await;
}

pub(crate) async fn session_username_changed(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.account(OTHER_USER);
    stage.user("changes the user name", true);
    stage.put_session_credentials(&[Given::Login(OTHER_USER, PASSWORD)]);
    stage.pause(5.0).await;
}

/// The account is locked, say, for a while: the session that there is goes on.
pub(crate) async fn session_username_refused(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.account(OTHER_USER);
    let body = FailBody::Text(json!({"errorCode": "AUTH_1042"}).to_string());
    let locked = Action::Fail { status: 403, retry_after: None, body, at: When::BeforeWork };
    stage.world.inside().issuers.faults().push(Fault::always(locked).only_for(OTHER_USER));
    stage.user("changes the user name", true);
    // An answer that is lost meanwhile leaves nothing to go on with.
    stage.trouble("there is no way in", 14);
    stage.put_session_credentials(&[Given::Login(OTHER_USER, PASSWORD)]);
    stage.pause(14.0).await;
    stage.user("has the account unlocked, and asks for a refresh", true);
    stage.world.inside().issuers.faults().clear();
    stage.put_resource(json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}}));
    stage.pause(8.0).await;
}

/// Nothing of it is needed meanwhile, and nothing of it is new afterwards.
pub(crate) async fn session_credentials_gone_and_back(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.user("deletes the credentials Secret", false);
    stage.delete(secret(SESSION_CREDENTIALS));
    asked(stage).await;
    stage.pause(2.0).await;
    stage.user("makes it anew", false);
    stage.put_session_credentials(&[PAIR, LOGIN]);
    stage.pause(4.0).await;
}

pub(crate) async fn session_login_added(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.user("adds a login", false);
    stage.put_session_credentials(&[PAIR, LOGIN]);
    stage.pause(8.0).await;
}

pub(crate) async fn session_pair_changed_in_call(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.account(OTHER_USER);
    asked(stage).await;
    stage.user("pastes another pair", true);
    stage.put_session_credentials(&[Given::Pair(OTHER_USER)]);
    stage.pause(5.0).await;
}

/// Its session is kept alive, and the token that it holds for as long as can be.
pub(crate) async fn session_token_immutable(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.user("makes the token Secret immutable", false);
    stage.trouble("the token Secret cannot be written", 14);
    stage.put_secret(NAME, json!({"immutable": true}));
    stage.pause(14.0).await;
    stage.user("deletes the token Secret", false);
    stage.delete(secret(NAME));
    stage.pause(4.0).await;
}

/// The issuer ends the session, which shows when it is extended, 5 s later.
async fn ended(stage: &Arc<Stage>, given: &[Given<'_>]) {
    settled(stage, given).await;
    let now = stage.now();
    stage.world.inside().issuers.expire(USER, now).unwrap();
    stage.blindness("the session is over, and nobody knows", 6);
    stage.pause(8.0).await;
}

pub(crate) async fn session_ended_with_login(stage: &Arc<Stage>) {
    ended(stage, &[PAIR, LOGIN]).await;
}

pub(crate) async fn session_ended_without_login(stage: &Arc<Stage>) {
    ended(stage, &[PAIR]).await;
    stage.pause(20.0).await;
    stage.account(OTHER_USER);
    stage.user("pastes another pair", true);
    stage.put_session_credentials(&[Given::Pair(OTHER_USER)]);
    stage.pause(4.0).await;
}

pub(crate) async fn session_refresh_annotation(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.user("asks for a refresh", false);
    stage.put_resource(json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}}));
    stage.pause(5.0).await;
}

pub(crate) async fn session_token_deleted_in_extension(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    asked(stage).await;
    stage.user("deletes the token Secret", false);
    stage.delete(secret(NAME));
    stage.pause(5.0).await;
}

pub(crate) async fn session_state_deleted(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.user("deletes the state Secret", false);
    stage.delete(secret(STATE));
    stage.pause(8.0).await;
}

/// The pair is lost with it.
pub(crate) async fn session_state_deleted_while_down(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.stop("A").await;
    stage.user("deletes the state Secret", true);
    stage.delete(secret(STATE));
    stage.start("A");
    stage.pause(5.0).await;
}

pub(crate) async fn session_state_labelled_in_call(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    asked(stage).await;
    stage.user("labels the state Secret", false);
    stage.put_secret(STATE, json!({"metadata": {"labels": {"mine": "stays"}}}));
    stage.pause(5.0).await;
}

pub(crate) async fn session_two_operators(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.start("B");
    stage.pause(16.0).await;
    stage.stop("A").await;
    stage.pause(2.0).await;
}

/// A's answer takes 8 s; B has come meanwhile, and A goes on for a while.
pub(crate) async fn session_deposed_operator(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    let slow = Action::Delay { millis: 8_000, at: When::AfterWork };
    stage.world.inside().issuers.faults().push(Fault::once(slow));
    asked(stage).await;
    stage.blindness("the answer takes 8 s", 8);
    stage.start("B");
    stage.pause(12.0).await;
    stage.stop("A").await;
    stage.pause(3.0).await;
}

/// A cannot write its answer; B waits for it, tries the pair, and logs in. Then A is back with its answer.
pub(crate) async fn session_cut_off_operator(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    asked(stage).await;
    stage.trouble("A is cut off from the API server", 22);
    stage.world.take_api_down(Some("A"), Duration::from_secs(22));
    stage.start("B");
    stage.pause(26.0).await;
    stage.stop("A").await;
    stage.pause(3.0).await;
}

pub(crate) async fn session_retained_and_made_anew(stage: &Arc<Stage>) {
    stage.account(USER);
    stage.put_session_credentials(&[PAIR]);
    stage.put_session(json!({"spec": {"deletionPolicy": "Retain"}}));
    stage.start("A");
    stage.pause(5.0).await;
    stage.explore();
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(2.0).await;
    stage.user("makes it anew", false);
    stage.put_session(json!({"spec": {"deletionPolicy": "Retain"}}));
    stage.pause(8.0).await;
}

pub(crate) async fn session_deleted_in_call(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    asked(stage).await;
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(5.0).await;
}

pub(crate) async fn session_deleted_and_made_anew(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    asked(stage).await;
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(0.1).await;
    stage.user("makes it anew", true);
    stage.put_session(json!({}));
    stage.pause(5.0).await;
}

pub(crate) async fn session_restored_without_owners(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    let backup = lost(stage).await;
    stage.restore(&backup, false);
    stage.pause(1.0).await;
    stage.put_session(json!({}));
    stage.pause(5.0).await;
}

pub(crate) async fn session_restored_with_former_owners(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    let backup = lost(stage).await;
    stage.restore(&backup, true);
    stage.put_session(json!({}));
    stage.pause(5.0).await;
}

async fn issuer_away(stage: &Arc<Stage>, given: &[Given<'_>], seconds: u32) {
    settled(stage, given).await;
    stage.pause(4.0).await;
    stage.trouble("the issuer is down", seconds.into());
    stage.world.inside().issuers.faults().push(Fault::always(Action::Reset { at: When::BeforeWork }));
    stage.pause(seconds.into()).await;
    stage.world.inside().issuers.faults().clear();
    stage.pause(5.0).await;
}

/// The session ends meanwhile.
pub(crate) async fn session_issuer_down(stage: &Arc<Stage>) {
    issuer_away(stage, &[PAIR, LOGIN], 20).await;
}

/// The session is extended just in time.
pub(crate) async fn session_issuer_down_briefly(stage: &Arc<Stage>) {
    issuer_away(stage, &[PAIR], 4).await;
}

async fn api_server_away(stage: &Arc<Stage>, seconds: u32) {
    stage.blindness("the API server is down", seconds.into());
    stage.world.take_api_down(None, Duration::from_secs(seconds.into()));
    stage.pause(f64::from(seconds) + 5.0).await;
}

/// The session ends meanwhile.
pub(crate) async fn session_api_server_down(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.pause(4.0).await;
    api_server_away(stage, 30).await;
}

/// The answer waits in memory.
pub(crate) async fn session_api_server_down_in_call(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    asked(stage).await;
    api_server_away(stage, 10).await;
}

/// For longer than a session lives: each pair in hand is the only one.
pub(crate) async fn session_writes_fail_at_the_end(stage: &Arc<Stage>) {
    settled(stage, &[PAIR]).await;
    stage.trouble("a webhook for Secrets is down", 40);
    stage.world.inside().refused = Some(STATE);
    stage.pause(40.0).await;
    stage.world.inside().refused = None;
    stage.pause(8.0).await;
}

async fn clock_set(stage: &Arc<Stage>, deed: &str, hours: i64) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.user(deed, true);
    stage.world.step_wall_clock(SignedDuration::from_hours(hours));
    // A process that starts before the next token has only this clock to go by.
    stage.blindness("the wall clock is wrong", 12);
    stage.pause(20.0).await;
}

pub(crate) async fn session_wall_clock_ahead(stage: &Arc<Stage>) {
    clock_set(stage, "sets the wall clock ahead by an hour", 1).await;
}

pub(crate) async fn session_wall_clock_behind(stage: &Arc<Stage>) {
    clock_set(stage, "sets the wall clock back by an hour", -1).await;
}

/// The session ends meanwhile.
pub(crate) async fn session_suspended_and_resumed(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    asked(stage).await;
    stage.user("suspends the resource", false);
    stage.put_resource(json!({"spec": {"suspend": true}}));
    stage.trouble("the resource is suspended", 25);
    stage.pause(25.0).await;
    stage.user("resumes it", false);
    stage.put_resource(json!({"spec": {"suspend": false}}));
    stage.pause(4.0).await;
}

/// From a session to an application, and back to the session.
pub(crate) async fn session_and_application(stage: &Arc<Stage>) {
    settled(stage, &[PAIR, LOGIN]).await;
    stage.credentials();
    stage.user("changes to an application", true);
    let spec = json!({"application": {"credentials": {"secretRef": {"name": crate::stage::CREDENTIALS}},
        "validity": "20s"}, "session": null, "refreshBefore": "5s"});
    stage.put_resource(json!({"spec": spec}));
    stage.until(|what| matches!(what, What::Answered { .. })).await;
    stage.pause(5.0).await;
    stage.user("changes back to the session", true);
    stage.put_session(json!({}));
    stage.pause(5.0).await;
}
