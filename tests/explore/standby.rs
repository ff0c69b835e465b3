//! The scenarios of two applications that take turns: a token lives for 120 s, and is handed over 40 s before its end. What
//! is promised is more than of others: no dead token at all, as long as the issuer can be reached within the lead.

use crate::judge::What;
use crate::scenarios::{asked, reject, word_for_the_token};
use crate::stage::{
    CREDENTIALS, KEY, PORTAL_TOKEN, SECRET, STANDBY_CREDENTIALS, STANDBY_KEY, STANDBY_PORTAL_TOKEN, Stage, base64,
};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault, Form, Stage as When};
use issuer_simulator::model::Life;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// When the first hand-over opens, after the first token.
const HAND_OVER: f64 = 80.0;

fn credentials_of(stage: &Stage, [first, second]: [NewApplication; 2]) {
    let now = stage.now();
    stage.world.inside().issuers.add_application(first, now);
    stage.world.inside().issuers.add_application(second, now);
    stage.put_credentials(SECRET);
    put_standby(stage, SECRET);
}

fn expired() -> [NewApplication; 2] {
    [
        NewApplication::expired(KEY, SECRET, PORTAL_TOKEN),
        NewApplication::expired(STANDBY_KEY, SECRET, STANDBY_PORTAL_TOKEN),
    ]
}

fn put_standby(stage: &Stage, secret: &str) {
    let data = json!({"consumerKey": base64(STANDBY_KEY), "consumerSecret": base64(secret),
        "oldToken": base64(STANDBY_PORTAL_TOKEN)});
    stage.put_secret(STANDBY_CREDENTIALS, json!({"data": data}));
}

fn put_resource(stage: &Stage, standby: Value) {
    let application = json!({"validity": "120s", "standby": standby});
    stage.put_resource(json!({"spec": {"application": application, "refreshBefore": null}}));
}

fn standby() -> Value {
    json!({"credentials": {"secretRef": {"name": STANDBY_CREDENTIALS}}})
}

/// A resource with its first token, so many seconds old.
async fn settled(stage: &Arc<Stage>, seconds: f64) {
    credentials_of(stage, expired());
    put_resource(stage, standby());
    stage.start("A");
    stage.pause(seconds).await;
    stage.explore();
}

pub(crate) async fn standby_first_issue(stage: &Arc<Stage>) {
    credentials_of(stage, expired());
    stage.explore();
    stage.start("A");
    stage.pause(1.0).await;
    put_resource(stage, standby());
    stage.pause(5.0).await;
}

pub(crate) async fn standby_both_live_at_first(stage: &Arc<Stage>) {
    let [first, second] = expired();
    credentials_of(stage, [first.living(Life::Millis(60_000)), second.living(Life::Millis(98_000))]);
    put_resource(stage, standby());
    stage.start("A");
    stage.explore();
    stage.pause(64.0).await;
}

/// The token of the standby lives on beyond the moment at which the hand-over opens.
pub(crate) async fn standby_lives_at_hand_over(stage: &Arc<Stage>) {
    let [first, second] = expired();
    credentials_of(stage, [first, second.living(Life::Millis(95_000))]);
    put_resource(stage, standby());
    stage.start("A");
    stage.pause(HAND_OVER - 5.0).await;
    stage.explore();
    stage.pause(25.0).await;
}

pub(crate) async fn standby_hand_over(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER - 5.0).await;
    stage.pause(10.0).await;
}

pub(crate) async fn standby_restart(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER + 20.0).await;
    stage.stop("A").await;
    stage.start("B");
    stage.pause(HAND_OVER - 10.0).await;
}

pub(crate) async fn standby_two_operators(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER - 5.0).await;
    stage.start("B");
    stage.pause(10.0).await;
    stage.stop("A").await;
    stage.pause(2.0).await;
}

/// For longer than a token lives: the first one goes on alone, with a gap at each end, until the standby is mended.
pub(crate) async fn standby_refused(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER - 5.0).await;
    stage.user("spoils the secret of the standby", true);
    put_standby(stage, "a wrong secret");
    stage.trouble("the standby is of no use", 150);
    stage.pause(140.0).await;
    stage.user("mends the secret of the standby", true);
    put_standby(stage, SECRET);
    stage.pause(5.0).await;
}

pub(crate) async fn standby_issuer_down(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER - 5.0).await;
    stage.trouble("the issuer is down", 20);
    stage.world.inside().issuers.faults().push(Fault::always(Action::Reset { at: When::BeforeWork }));
    stage.pause(20.0).await;
    stage.world.inside().issuers.faults().clear();
    stage.pause(10.0).await;
}

/// Both tokens are over when somebody works again.
pub(crate) async fn standby_operator_away(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER + 20.0).await;
    stage.trouble("nobody works", 400);
    stage.stop("A").await;
    stage.pause(400.0).await;
    stage.start("A");
    stage.pause(5.0).await;
}

pub(crate) async fn standby_validity_lowered(stage: &Arc<Stage>) {
    settled(stage, 20.0).await;
    stage.user("lowers the validity", false);
    stage.put_resource(json!({"spec": {"application": {"validity": "60s"}}}));
    stage.pause(HAND_OVER - 10.0).await;
}

pub(crate) async fn standby_added(stage: &Arc<Stage>) {
    credentials_of(stage, expired());
    put_resource(stage, Value::Null);
    stage.start("A");
    stage.pause(30.0).await;
    stage.explore();
    stage.user("adds a standby", true);
    put_resource(stage, standby());
    stage.pause(5.0).await;
}

pub(crate) async fn standby_changed_in_call(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER - 3.0).await;
    asked(stage).await;
    stage.user("changes the secret of the standby", true);
    stage.world.inside().issuers.change_secret(STANDBY_KEY, "changed").expect("an application");
    put_standby(stage, "changed");
    stage.pause(8.0).await;
}

pub(crate) async fn standby_swapped_and_removed(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER + 10.0).await;
    stage.user("swaps both", false);
    let secret = |name: &str| json!({"secretRef": {"name": name}});
    let swapped = json!({"credentials": secret(STANDBY_CREDENTIALS), "standby": {"credentials": secret(CREDENTIALS)}});
    stage.put_resource(json!({"spec": {"application": swapped}}));
    stage.pause(10.0).await;
    stage.user("removes the standby", true);
    stage.put_resource(json!({"spec": {"application": {"standby": null}}}));
    stage.pause(5.0).await;
}

/// The check reports much more than the token has left, and nobody remembers what was said before but the state Secret.
pub(crate) async fn standby_reported_too_long(stage: &Arc<Stage>) {
    settled(stage, 20.0).await;
    stage.user("has the issuer report too much", false);
    let too_much = Action::ValidityTime(Form::Value(json!(380)));
    stage.world.inside().issuers.faults().push(Fault::once(too_much));
    stage.pause(30.0).await;
    stage.stop("A").await;
    stage.start("B");
    stage.pause(HAND_OVER - 40.0).await;
}

pub(crate) async fn standby_regenerated(stage: &Arc<Stage>) {
    settled(stage, 20.0).await;
    let now = stage.now();
    stage.user("presses Re-Generate for the standby", false);
    stage.world.inside().issuers.regenerate(STANDBY_KEY, now).expect("an application");
    stage.pause(HAND_OVER - 15.0).await;
}

/// The issuer says that the token lives, and the standby takes over all the same.
pub(crate) async fn standby_rejected(stage: &Arc<Stage>) {
    settled(stage, 20.0).await;
    reject(stage, &word_for_the_token(stage));
    stage.pause(8.0).await;
}

/// The token in the Secret is dead from then on, and nobody is told: the check finds it.
pub(crate) async fn standby_first_regenerated(stage: &Arc<Stage>) {
    settled(stage, 35.0).await;
    let now = stage.now();
    stage.user("presses Re-Generate for the first", false);
    stage.trouble("the token in the Secret is dead, and nobody is told", 40);
    stage.world.inside().issuers.regenerate(KEY, now).expect("an application");
    stage.pause(10.0).await;
}

pub(crate) async fn standby_wall_clock_ahead(stage: &Arc<Stage>) {
    settled(stage, 20.0).await;
    stage.user("sets the wall clock ahead by an hour", true);
    stage.world.step_wall_clock(SignedDuration::from_hours(1));
    stage.pause(HAND_OVER - 15.0).await;
}

pub(crate) async fn standby_wall_clock_behind(stage: &Arc<Stage>) {
    settled(stage, 20.0).await;
    stage.user("sets the wall clock back by an hour", true);
    stage.world.step_wall_clock(SignedDuration::from_hours(-1));
    stage.pause(HAND_OVER - 15.0).await;
}

/// The moment at which an issuer has given a token, and its process dies before it can record it.
pub(crate) async fn standby_killed_in_hand_over(stage: &Arc<Stage>) {
    settled(stage, HAND_OVER - 3.0).await;
    stage.until(|what| matches!(what, What::Answered { .. })).await;
    stage.stop("A").await;
    stage.start("B");
    stage.pause(10.0).await;
}
