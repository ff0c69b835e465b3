//! A token's end, and what comes after it.

use crate::support::*;
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

#[tokio::test]
async fn a_token_is_replaced_at_its_expiry_with_itself_as_the_old_token() {
    let stage = Stage::open().await;
    stage.issued("3s").await;
    let old = stage.token().await;
    let new = stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let last = journal.calls.last().unwrap();
    assert_eq!((last.parameters["oldtoken"].as_str(), last.token.as_ref()), (old.as_str(), Some(&new)));
    assert!(journal.token(&new).unwrap().birth >= journal.token(&old).unwrap().expires.unwrap());
    assert!(asked_for(&journal, &old) <= 8, "calls for one rotation");
    let resource = stage.until(NAME, "the new token in status", |token| is_said(token, &new)).await;
    assert!(is_ready(&resource));
}

#[tokio::test]
async fn a_token_is_checked_once_before_its_expiry_and_a_rotation_writes_three_times() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("6s");
    spec["refreshBefore"] = json!("2s");
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    let (old, writes) = (stage.token().await, Writes::of(&stage).await);
    stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let expires = journal.token(&old).unwrap().expires.unwrap();
    let early = journal.calls[1..].iter().filter(|call| expires.duration_since(call.received).as_millis() > 1000);
    assert_eq!(early.count(), 1);
    assert_eq!(writes.names(&stage).await, [STATE, STATE, NAME]);
}

#[tokio::test]
async fn a_changed_validity_acts_at_the_next_rotation_and_not_before() {
    let stage = Stage::open().await;
    stage.issued("4s").await;
    let old = stage.token().await;
    stage.change(NAME, json!({"spec": {"application": {"validity": "1h"}}})).await;
    stage.until(NAME, "the change seen", |_| true).await;
    assert_eq!(stage.calls(), 1);
    let new = stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let expires = journal.token(&old).unwrap().expires.unwrap();
    let born = journal.token(&new).unwrap();
    assert!(born.birth >= expires);
    assert_eq!(born.expires.unwrap().duration_since(born.birth).as_secs(), 3600);
}

#[tokio::test]
async fn a_re_generate_pressed_by_a_human_is_found_by_the_check_before_expiry() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("6s");
    spec["refreshBefore"] = json!("2s");
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    let old = stage.token().await;
    let pressed = stage.simulator.regenerate(CONSUMER_KEY).unwrap();
    assert_eq!(stage.until_rotated(&old).await, pressed);
    let journal = stage.simulator.journal();
    let planned_end = journal.token(&old).unwrap().expires.unwrap();
    assert!(journal.calls.last().unwrap().received < planned_end);
}

#[tokio::test]
async fn a_re_generate_pressed_by_a_human_is_found_when_a_refresh_is_asked_for() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let old = stage.token().await;
    let pressed = stage.simulator.regenerate(CONSUMER_KEY).unwrap();
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    assert_eq!(stage.until_rotated(&old).await, pressed);
    assert_eq!(stage.calls(), 2);
}

#[tokio::test]
async fn the_check_before_expiry_finds_dead_credentials_while_the_token_lives() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("12s");
    spec["refreshBefore"] = json!("5s");
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    stage.simulator.change_secret(CONSUMER_KEY, "changed in the portal").unwrap();
    let resource = stage.until_reason(NAME, "RefreshFailed").await;
    assert!(is_ready(&resource), "{:?}", resource.status);
}

#[tokio::test]
async fn a_corrected_expiry_is_said_and_sets_off_no_rollout() {
    let stage = Stage::open().await;
    let before = stage.issued("1h").await;
    let (data, writes) = (stage.secret(NAME).await.data, Writes::of(&stage).await);
    for (value, jump, token_writes) in [("near", -20, 0), ("far", -300, 1)] {
        stage.simulator.switch(|switches| switches.jump_seconds = jump);
        stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": value}}})).await;
        let is_handled = |resource: &SyniverseToken| {
            resource.status.as_ref().is_some_and(|status| status.last_handled_refresh.as_deref() == Some(value))
        };
        let after = stage.until(NAME, "handled", is_handled).await;
        assert_eq!(writes.count(&stage, NAME).await, token_writes);
        let moved = expiry(&before).duration_since(expiry(&after)).as_secs();
        assert!(if jump == -20 { moved == 0 } else { (298..=302).contains(&moved) }, "{moved}");
        let secret = stage.secret(NAME).await;
        assert_eq!(annotation(&secret, "syniverse.dev/expiration-time"), Some(expiry(&after).to_string().as_str()));
        assert_eq!(secret.data, data);
    }
}

fn expiry(resource: &SyniverseToken) -> Timestamp {
    resource.status.as_ref().unwrap().expiration_time.as_ref().unwrap().parse().unwrap()
}

/// How often the issuer was asked with this old token.
fn asked_for(journal: &Journal, old: &str) -> usize {
    journal.calls.iter().filter(|call| call.parameters["oldtoken"] == old).count()
}

fn is_said(resource: &SyniverseToken, token: &str) -> bool {
    resource.status.as_ref().is_some_and(|status| status.fingerprint == Some(fingerprint(token)))
}
