//! A process whose Lease grows old while it works.

use crate::api_server::Verb;
use crate::judge::What;
use crate::planted::Planted;
use crate::process::Settings;
use crate::stage::{Given, NAME, STATE, Stage, USER, resource, secret};
use crate::world::World;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::lease::Term;
use syniverse_token_core::time::Moment;
use syniverse_token_operator::controller::election::Leadership;
use tokio::sync::watch;

/// As with the usual call timeout and Lease.
const CALLS_FOR: Duration = Duration::from_secs(4);

fn renewed_at(seconds: u64) -> Option<Term> {
    let renewed = Moment::after_start(Duration::from_secs(seconds));
    Some(Term { since: Moment::after_start(Duration::ZERO), renewed, released_by: None })
}

fn is_of_resource(what: &What) -> bool {
    matches!(what, What::Changed(change) if change.key == resource())
}

fn questions(stage: &Stage) -> usize {
    let inside = stage.world.inside();
    inside.entries.iter().filter(|entry| matches!(entry.what, What::Asked(_))).count()
}

#[test]
fn no_call_is_begun_under_a_lease_that_grew_old_while_the_call_was_announced() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, _dead) = World::new(BTreeMap::new(), Planted::Nothing);
        let stage: Arc<Stage> = Stage::on(world);
        stage.account(USER);
        stage.put_session_credentials(&[Given::Pair(USER)]);
        stage.put_session(json!({}));
        let (lease, term) = watch::channel(renewed_at(0));
        let leadership = Leadership::elected(term, CALLS_FOR);
        stage.start_as("A", Settings { leadership, ..Settings::default() });
        stage.until(is_of_resource).await;
        stage.world.inside().lag[1] = CALLS_FOR;
        stage.pause(20.0).await;
        let is_announced = |what: &What| matches!(what, What::Changed(change) if change.key == secret(STATE));
        assert!(stage.world.inside().entries.iter().any(|entry| is_announced(&entry.what)), "nothing was announced");
        assert_eq!(questions(&stage), 0);
        stage.world.inside().lag[1] = Duration::ZERO;
        lease.send_replace(renewed_at(20));
        stage.pause(2.0).await;
        assert_eq!(questions(&stage), 1);
    });
}

#[test]
fn no_session_that_cannot_be_recorded_is_extended_under_a_lease_that_grew_old() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, _dead) = World::new(BTreeMap::new(), Planted::Nothing);
        let stage: Arc<Stage> = Stage::on(world);
        stage.account(USER);
        stage.put_session_credentials(&[Given::Pair(USER)]);
        stage.put_session(json!({}));
        let (lease, term) = watch::channel(renewed_at(0));
        let leadership = Leadership::elected(term, CALLS_FOR);
        stage.start_as("A", Settings { leadership, ..Settings::default() });
        stage.pause(8.0).await;
        assert_eq!(questions(&stage), 1);
        // The pair that this brought lives until 20.
        stage.world.inside().refused = Some(STATE);
        stage.pause(11.0).await;
        assert_eq!(questions(&stage), 1);
        lease.send_replace(renewed_at(19));
        stage.pause(1.0).await;
        assert_eq!(questions(&stage), 2);
    });
}

/// As after a restore: what the resource says of itself is gone, its Secrets are not.
#[test]
fn no_call_is_begun_under_a_lease_that_grew_old_while_the_status_was_written() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, _dead) = World::new(BTreeMap::new(), Planted::Nothing);
        let stage: Arc<Stage> = Stage::on(world);
        stage.credentials();
        stage.put_resource(json!({}));
        stage.start("A");
        stage.pause(2.0).await;
        stage.stop("A").await;
        let before = questions(&stage);
        let mut bare = stage.world.inside().api.get(&resource()).cloned().unwrap();
        bare["status"] = json!({});
        stage.world.by_hand(Verb::ReplaceStatus, resource(), bare);
        stage.pause(20.0).await;
        stage.world.inside().lag[1] = CALLS_FOR;
        let (lease, term) = watch::channel(renewed_at(0));
        let leadership = Leadership::elected(term, CALLS_FOR);
        stage.start_as("B", Settings { leadership, ..Settings::default() });
        stage.until(is_of_resource).await;
        stage.pause(20.0).await;
        assert_eq!(questions(&stage), before);
        stage.world.inside().lag[1] = Duration::ZERO;
        lease.send_replace(renewed_at(25));
        stage.pause(2.0).await;
        assert!(questions(&stage) > before);
    });
}

#[test]
fn a_status_that_is_refused_holds_a_call_back_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, _dead) = World::new(BTreeMap::new(), Planted::Nothing);
        let stage: Arc<Stage> = Stage::on(world);
        stage.account(USER);
        stage.put_session_credentials(&[Given::Pair(USER)]);
        stage.put_session(json!({}));
        stage.world.inside().refused = Some(NAME);
        stage.world.inside().lag[1] = Duration::from_secs(1);
        stage.start("A");
        // Two writes of two seconds each, and what goes and comes without a lag.
        stage.pause(4.5).await;
        assert_eq!(questions(&stage), 1);
    });
}
