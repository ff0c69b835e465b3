//! The scenarios: what users and fate do while the operator works. Faults are put into each at every point.

use crate::clients::*;
use crate::judge::What;
use crate::process::Settings;
use crate::sessions::*;
use crate::stage::{BAD, CREDENTIALS, KEY, NAME, PORTAL_TOKEN, STATE, Stage, base64, resource, secret};
use crate::standby::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::queue::Budget;
use syniverse_token_core::redacted::Redacted;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) script: fn(Arc<Stage>) -> BoxFuture<'static, ()>,
}

impl Scenario {
    /// How long all goes well before the run is judged: several rotations.
    pub(crate) fn tail(&self) -> Duration {
        Duration::from_secs(if self.name.starts_with("standby_") { 220 } else { 50 })
    }
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        /// All of them.
        pub(crate) const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: stringify!($name),
            script: |stage| async move { $name(&stage).await }.boxed(),
        }),*];
    };
}

scenarios![
    first_issue,
    rotation,
    restart,
    credentials_changed,
    credentials_spoilt_and_mended,
    token_deleted,
    token_edited,
    token_deleted_in_rotation,
    two_operators,
    deposed_operator,
    refresh_annotation,
    rejected_while_it_lives,
    rejected_after_a_regenerate,
    adoption,
    retained_and_made_anew,
    deleted_in_call,
    deleted_and_made_anew,
    orphaned_and_made_anew,
    restored_without_owners,
    restored_with_former_owners,
    restored_while_down,
    state_deleted,
    state_deleted_while_down,
    state_labelled_in_call,
    key_changed,
    never_expiring,
    wall_clock_ahead,
    wall_clock_behind,
    issuer_down,
    api_server_down,
    lingering_token,
    lingering_token_and_two_operators,
    foreign_secret_consents,
    suspended_and_resumed,
    bad_neighbours,
    flood_at_the_boundary,
    one_permit_for_all,
    shards_added_and_removed,
    etcd_set_back,
    session_pasted_pair,
    session_login,
    session_dead_pair_and_login,
    session_extension,
    session_restart,
    session_pair_changed,
    session_password_changed,
    session_username_changed,
    session_username_refused,
    session_credentials_gone_and_back,
    session_login_added,
    session_pair_changed_in_call,
    session_token_immutable,
    session_ended_with_login,
    session_ended_without_login,
    session_refresh_annotation,
    session_token_deleted_in_extension,
    session_state_deleted,
    session_state_deleted_while_down,
    session_state_labelled_in_call,
    session_two_operators,
    session_deposed_operator,
    session_cut_off_operator,
    session_retained_and_made_anew,
    session_deleted_in_call,
    session_deleted_and_made_anew,
    session_restored_without_owners,
    session_restored_with_former_owners,
    session_issuer_down,
    session_issuer_down_briefly,
    session_api_server_down,
    session_api_server_down_in_call,
    session_writes_fail_at_the_end,
    session_wall_clock_ahead,
    session_wall_clock_behind,
    session_suspended_and_resumed,
    session_and_application,
    standby_first_issue,
    standby_both_live_at_first,
    standby_lives_at_hand_over,
    standby_hand_over,
    standby_restart,
    standby_two_operators,
    standby_refused,
    standby_issuer_down,
    standby_operator_away,
    standby_validity_lowered,
    standby_added,
    standby_changed_in_call,
    standby_swapped_and_removed,
    standby_reported_too_long,
    standby_regenerated,
    standby_rejected,
    standby_first_regenerated,
    standby_wall_clock_ahead,
    standby_wall_clock_behind,
    standby_killed_in_hand_over,
    client_new_token_each_time,
    client_new_token_kills_the_one_before,
    client_same_token_until_its_end,
    client_secret_spoilt_and_mended,
    client_token_deleted,
];

/// A resource with its first token, 8 s old.
async fn settled(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_resource(json!({}));
    stage.start("A");
    stage.pause(8.0).await;
    stage.explore();
}

/// The moment at which the operator has sent its next question.
pub(crate) async fn asked(stage: &Arc<Stage>) {
    stage.until(|what| matches!(what, What::Asked(_))).await;
}

async fn first_issue(stage: &Arc<Stage>) {
    stage.explore();
    stage.start("A");
    stage.pause(1.0).await;
    stage.put_resource(json!({}));
    stage.pause(1.0).await;
    stage.credentials();
    stage.pause(4.0).await;
}

async fn rotation(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(20.0).await;
}

async fn restart(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.stop("A").await;
    stage.start("A");
    stage.pause(4.0).await;
}

async fn credentials_changed(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.world.inside().issuers.change_secret(KEY, "another secret").unwrap();
    stage.user("changes the consumer secret", true);
    stage.put_credentials("another secret");
    stage.pause(5.0).await;
}

async fn credentials_spoilt_and_mended(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("spoils the consumer secret", true);
    stage.put_credentials("a wrong secret");
    stage.pause(4.0).await;
    stage.user("mends the consumer secret", true);
    stage.put_credentials(crate::stage::SECRET);
    stage.pause(5.0).await;
}

async fn token_deleted(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("deletes the token Secret", false);
    stage.delete(secret(NAME));
    stage.pause(5.0).await;
}

async fn token_edited(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("edits the token Secret", false);
    stage.put_secret(NAME, json!({"data": {"accessToken": base64("nonsense")}}));
    stage.pause(5.0).await;
}

async fn token_deleted_in_rotation(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(8.0).await;
    asked(stage).await;
    stage.user("deletes the token Secret", false);
    stage.delete(secret(NAME));
    stage.pause(5.0).await;
}

async fn two_operators(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.start("B");
    stage.pause(18.0).await;
    stage.stop("A").await;
    stage.pause(2.0).await;
}

/// A's answer takes 8 s; B has taken over meanwhile, and A goes on for a while.
async fn deposed_operator(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(9.0).await;
    let slow = Action::Delay { millis: 8_000, at: When::AfterWork };
    stage.world.inside().issuers.faults().push(Fault::once(slow));
    asked(stage).await;
    stage.start("B");
    stage.pause(12.0).await;
    stage.stop("A").await;
    stage.pause(3.0).await;
}

async fn refresh_annotation(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("asks for a refresh", false);
    stage.put_resource(json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}}));
    stage.pause(5.0).await;
}

/// The fingerprint of the token that the first application had last.
pub(crate) fn word_for_the_token(stage: &Stage) -> String {
    let token = stage.world.inside().issuers.journal().tokens.into_iter().rfind(|token| token.owner == KEY);
    fingerprint(&Redacted::new(token.expect("a first token").value))
}

/// A consumer says that the API refused the token with this fingerprint.
pub(crate) fn reject(stage: &Stage, word: &str) {
    stage.user("says that the token is refused", true);
    stage.put_resource(json!({"metadata": {"annotations": {"syniverse.dev/rejected": word}}}));
}

async fn rejected_while_it_lives(stage: &Arc<Stage>) {
    settled(stage).await;
    reject(stage, &word_for_the_token(stage));
    stage.pause(5.0).await;
}

async fn rejected_after_a_regenerate(stage: &Arc<Stage>) {
    settled(stage).await;
    let now = stage.now();
    stage.user("presses Re-Generate", false);
    stage.trouble("the token in the Secret is dead, and nobody is told", 3);
    let word = word_for_the_token(stage);
    stage.world.inside().issuers.regenerate(KEY, now).expect("an application");
    stage.pause(3.0).await;
    reject(stage, &word);
    stage.pause(5.0).await;
}

async fn adoption(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_secret(CREDENTIALS, json!({"data": {"oldToken": null}}));
    let metadata = json!({"annotations": {"syniverse.dev/adopt": NAME}, "labels": {"mine": "stays"}});
    stage.put_secret(NAME, json!({"metadata": metadata, "data": {"accessToken": base64(PORTAL_TOKEN)}}));
    stage.put_resource(json!({}));
    stage.explore();
    stage.start("A");
    stage.pause(5.0).await;
}

async fn retained_and_made_anew(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_resource(json!({"spec": {"deletionPolicy": "Retain"}}));
    stage.start("A");
    stage.pause(8.0).await;
    stage.explore();
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(2.0).await;
    stage.user("makes it anew", false);
    stage.put_resource(json!({"spec": {"deletionPolicy": "Retain"}}));
    stage.pause(5.0).await;
}

async fn deleted_in_call(stage: &Arc<Stage>) {
    settled(stage).await;
    asked(stage).await;
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(5.0).await;
}

async fn deleted_and_made_anew(stage: &Arc<Stage>) {
    settled(stage).await;
    asked(stage).await;
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(0.1).await;
    stage.user("makes it anew", false);
    stage.put_resource(json!({}));
    stage.pause(5.0).await;
}

/// The owner references go with the resource.
async fn orphaned_and_made_anew(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("deletes the resource and orphans its Secrets", false);
    stage.delete(resource());
    for name in [NAME, STATE] {
        stage.put_secret(name, json!({"metadata": {"ownerReferences": null}}));
    }
    stage.pause(2.0).await;
    stage.user("makes it anew", false);
    stage.put_resource(json!({}));
    stage.pause(5.0).await;
}

async fn restored_without_owners(stage: &Arc<Stage>) {
    settled(stage).await;
    let backup = lost(stage).await;
    stage.restore(&backup, false);
    stage.pause(1.0).await;
    stage.put_resource(json!({}));
    stage.pause(5.0).await;
}

async fn restored_with_former_owners(stage: &Arc<Stage>) {
    settled(stage).await;
    let backup = lost(stage).await;
    stage.restore(&backup, true);
    stage.put_resource(json!({}));
    stage.pause(5.0).await;
}

async fn restored_while_down(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.stop("A").await;
    let backup = lost(stage).await;
    stage.restore(&backup, false);
    stage.put_resource(json!({}));
    stage.start("A");
    stage.pause(5.0).await;
}

/// The resource is deleted with its Secrets; a while later they come back as they were then.
pub(crate) async fn lost(stage: &Arc<Stage>) -> Vec<Value> {
    let backup = stage.back_up();
    stage.user("deletes the resource", false);
    stage.delete(resource());
    stage.pause(2.0).await;
    stage.user("restores what a backup holds", true);
    backup
}

async fn state_deleted(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("deletes the state Secret", false);
    stage.delete(secret(STATE));
    stage.pause(5.0).await;
}

async fn state_deleted_while_down(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.stop("A").await;
    stage.user("deletes the state Secret", false);
    stage.delete(secret(STATE));
    stage.start("A");
    stage.pause(5.0).await;
}

async fn state_labelled_in_call(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(8.0).await;
    asked(stage).await;
    stage.user("labels the state Secret", false);
    stage.put_secret(STATE, json!({"metadata": {"labels": {"mine": "stays"}}}));
    stage.pause(5.0).await;
}

async fn key_changed(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("changes the key", false);
    stage.put_resource(json!({"spec": {"secret": {"key": "token"}}}));
    stage.pause(5.0).await;
}

async fn never_expiring(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_resource(json!({"spec": {"application": {"validity": "0s"}, "refreshBefore": null}}));
    stage.explore();
    stage.start("A");
    stage.pause(10.0).await;
}

async fn wall_clock_ahead(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("sets the wall clock ahead by an hour", true);
    stage.world.step_wall_clock(SignedDuration::from_hours(1));
    stage.pause(20.0).await;
}

async fn wall_clock_behind(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.user("sets the wall clock back by an hour", true);
    stage.world.step_wall_clock(SignedDuration::from_hours(-1));
    stage.pause(20.0).await;
}

/// Nobody answers for half a minute, an end of the token included.
async fn issuer_down(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(10.0).await;
    stage.trouble("the issuer is down", 30);
    stage.world.inside().issuers.faults().push(Fault::always(Action::Reset { at: When::BeforeWork }));
    stage.pause(30.0).await;
    stage.world.inside().issuers.faults().clear();
    stage.pause(5.0).await;
}

async fn api_server_down(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(10.0).await;
    stage.blindness("the API server is down", 30);
    stage.world.take_api_down(None, Duration::from_secs(30));
    stage.pause(35.0).await;
}

/// The issuer goes on giving a token for 3 s after its end.
async fn linger(stage: &Arc<Stage>) {
    stage.pause(10.0).await;
    stage.trouble("the token lingers", 5);
    stage.world.inside().issuers.switches().linger_millis = 3_000;
    stage.pause(5.0).await;
    stage.world.inside().issuers.switches().linger_millis = 0;
    stage.pause(5.0).await;
}

async fn lingering_token(stage: &Arc<Stage>) {
    settled(stage).await;
    linger(stage).await;
}

async fn lingering_token_and_two_operators(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.start("B");
    linger(stage).await;
    stage.stop("A").await;
}

/// Somebody's own Secret has the name: it is left alone until he consents.
async fn foreign_secret_consents(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_secret(NAME, json!({"data": {"theirs": base64("stays")}}));
    stage.put_resource(json!({}));
    stage.explore();
    stage.start("A");
    stage.trouble("the token Secret is not ours", 4);
    stage.pause(4.0).await;
    stage.user("consents", false);
    stage.put_secret(NAME, json!({"metadata": {"annotations": {"syniverse.dev/adopt": NAME}}}));
    stage.pause(4.0).await;
}

/// Two resources of another namespace are refused by what stands before the issuer, and their credentials are written anew
/// every second, while the token comes to its end.
async fn bad_neighbours(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_resource(json!({}));
    stage.start("A");
    stage.pause(16.0).await;
    for name in BAD {
        let refused = Action::Fail { status: 403, retry_after: None, body: FailBody::Html, at: When::BeforeWork };
        stage.world.inside().issuers.faults().push(Fault::always(refused).only_for(name));
        stage.put_neighbour(name);
    }
    stage.pause(2.0).await;
    stage.explore();
    for attempt in 0..3 {
        BAD.iter().for_each(|name| stage.put_neighbours_credentials(name, &format!("secret {attempt}")));
        stage.pause(1.0).await;
    }
    stage.pause(1.0).await;
}

/// The credentials of two resources of another namespace are written anew twice a second, while the token ends.
async fn flood_at_the_boundary(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_resource(json!({}));
    stage.start("A");
    stage.pause(18.0).await;
    BAD.iter().for_each(|name| stage.put_neighbour(name));
    stage.pause(1.0).await;
    stage.explore();
    for attempt in 0..4 {
        BAD.iter().for_each(|name| stage.put_neighbours_credentials(name, &format!("secret {attempt}")));
        stage.pause(0.5).await;
    }
    stage.pause(2.0).await;
}

/// There is a single permit, which resources of another namespace want as well when the token ends: its pass may hang or
/// die, and so may theirs.
async fn one_permit_for_all(stage: &Arc<Stage>) {
    stage.credentials();
    stage.put_resource(json!({}));
    stage.start_within("A", Budget { in_flight: 1, per_second: 50 });
    stage.pause(18.0).await;
    stage.explore();
    BAD.iter().for_each(|name| stage.put_neighbour(name));
    stage.pause(1.9).await;
    BAD.iter().for_each(|name| stage.put_neighbours_credentials(name, "another secret"));
    stage.pause(4.0).await;
}

/// One process works in all namespaces, then two share them, then one again; for a while both ways are there.
async fn shards_added_and_removed(stage: &Arc<Stage>) {
    settled(stage).await;
    stage.pause(9.0).await;
    for name in ["1/2", "2/2"] {
        stage.start_as(name, Settings { shard: name.parse().unwrap(), ..Settings::default() });
    }
    stage.pause(3.0).await;
    stage.stop("A").await;
    stage.pause(17.0).await;
    stage.start("A");
    stage.pause(3.0).await;
    stage.stop("1/2").await;
    stage.stop("2/2").await;
    stage.pause(2.0).await;
}

/// To what it was before the last rotation; the operator works on, and nobody tells it.
async fn etcd_set_back(stage: &Arc<Stage>) {
    settled(stage).await;
    let earlier = stage.world.inside().api.clone();
    stage.pause(15.0).await;
    stage.user("sets etcd back", true);
    stage.blindness("the store was set back, and nobody knows", 11);
    stage.world.set_back(&earlier);
    stage.pause(14.0).await;
}

async fn suspended_and_resumed(stage: &Arc<Stage>) {
    settled(stage).await;
    asked(stage).await;
    stage.user("suspends the resource", false);
    stage.put_resource(json!({"spec": {"suspend": true}}));
    stage.trouble("the resource is suspended", 8);
    stage.pause(8.0).await;
    stage.user("resumes it", false);
    stage.put_resource(json!({"spec": {"suspend": false}}));
    stage.pause(4.0).await;
}
