//! What makes the operator ask the issuer, and what does not.

use crate::support::*;
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault};
use issuer_simulator::switches::UnknownOldToken;
use serde_json::json;
use std::time::Duration;

fn refresh(value: &str) -> serde_json::Value {
    json!({"metadata": {"annotations": {"syniverse.dev/refresh": value}}})
}

fn handled(resource: &syniverse_token_core::api::SyniverseToken) -> Option<&str> {
    resource.status.as_ref()?.last_handled_refresh.as_deref()
}

#[tokio::test]
async fn a_new_value_of_the_refresh_annotation_makes_one_call_and_is_remembered() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let before = stage.secret(NAME).await;
    for (value, calls) in [("1", 2), ("2", 3)] {
        stage.change(NAME, refresh(value)).await;
        stage.until(NAME, "handled", |resource| handled(resource) == Some(value)).await;
        assert_eq!(stage.calls(), calls);
    }
    assert_eq!(stage.secret(NAME).await, before, "the same token is no reason for a write");
    stage.restart_operator(NAME).await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 3);
}

#[tokio::test]
async fn a_refresh_annotation_present_at_creation_counts_as_handled() {
    let stage = Stage::open().await;
    let mut object = refresh("first");
    object["spec"] = stage.spec("1h");
    stage.apply_object(NAME, object).await;
    let resource = stage.until_ready(NAME).await;
    assert_eq!((handled(&resource), stage.calls()), (Some("first"), 1));
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 1);
}

fn rejected(token: &str) -> serde_json::Value {
    json!({"metadata": {"annotations": {"syniverse.dev/rejected": fingerprint(token)}}})
}

#[tokio::test]
async fn a_consumers_word_that_a_token_is_refused_heals_a_regenerate() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let old = stage.token().await;
    let new = stage.simulator.regenerate(CONSUMER_KEY).unwrap();
    stage.change(NAME, rejected(&old)).await;
    assert_eq!(stage.until_rotated(&old).await, new);
    assert_eq!(stage.calls(), 2);
}

#[tokio::test]
async fn a_consumers_word_is_worth_one_call_for_each_token_and_none_for_another_one() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let token = stage.token().await;
    stage.change(NAME, rejected("the one before")).await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 1);
    stage.change(NAME, rejected(&token)).await;
    stage.until_calls(2).await;
    // Taken back and said again, and to the next operator.
    stage.change(NAME, rejected("none")).await;
    stage.until_noticed(NAME).await;
    stage.change(NAME, rejected(&token)).await;
    stage.until_noticed(NAME).await;
    stage.restart_operator(NAME).await;
    stage.until_noticed(NAME).await;
    assert_eq!((stage.calls(), stage.token().await), (2, token));
}

#[tokio::test]
async fn labels_and_annotations_of_anything_cause_no_call() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let edit = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"example.com/a": "b"}}});
    stage.change(NAME, edit.clone()).await;
    for secret in [NAME, STATE, CREDENTIALS] {
        stage.change_secret(secret, edit.clone()).await;
    }
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn credentials_written_again_with_the_same_values_cause_no_call() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    stage.delete_secret(CREDENTIALS).await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    stage.change_secret(CREDENTIALS, json!({"stringData": {"unrelated": "value"}})).await;
    stage.until_noticed(NAME).await;
    stage.until_reason(NAME, "Issued").await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn corrected_credentials_act_within_a_second_whatever_delay_was_due() {
    let stage = Stage::open().await;
    // A rejection is tried again after minutes, so that a call means that the change was seen.
    let rejected = Action::Fail { status: 400, retry_after: None, body: Default::default(), at: Default::default() };
    stage.simulator.fault(Fault::always(rejected));
    stage.apply(NAME, stage.spec("1h")).await;
    assert!(is_stalled(&stage.until_reason(NAME, "RequestRejected").await));
    let mut quickest = PATIENCE;
    for (calls, secret) in [(2, "wrong"), (3, "wrong again")] {
        let changed = jiff::Timestamp::now();
        stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, secret, PORTAL_TOKEN)).await;
        stage.until_calls(calls).await;
        let called = stage.simulator.journal().calls[calls - 1].received;
        quickest = quickest.min(called.duration_since(changed).unsigned_abs());
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    stage.simulator.clear_faults();
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    assert!(!is_stalled(&stage.until_ready(NAME).await));
}

#[tokio::test]
async fn a_wrong_consumer_secret_is_found_when_it_is_written_and_the_live_token_stays() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let token = stage.token().await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, "wrong", PORTAL_TOKEN)).await;
    let resource = stage.until_reason(NAME, "RefreshFailed").await;
    assert!(is_ready(&resource) && ready_message(&resource).contains(CREDENTIALS), "{}", ready_message(&resource));
    assert_eq!(stage.token().await, token);
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    stage.until_reason(NAME, "Issued").await;
    assert_eq!(stage.token().await, token);
}

#[tokio::test]
async fn a_changed_old_token_is_asked_with_at_once_and_once() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, "pasted anew")).await;
    stage.until_calls(2).await;
    stage.until_noticed(NAME).await;
    let calls = stage.simulator.journal().calls;
    assert_eq!((calls.len(), calls[1].parameters["oldtoken"].as_str()), (2, "pasted anew"));
}

#[tokio::test]
async fn a_changed_consumer_key_brings_the_token_of_that_application() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let old = stage.token().await;
    stage.simulator.add_application(NewApplication::expired("second-key", "second-secret", "second-token"));
    stage.put_secret(CREDENTIALS, &credentials("second-key", "second-secret", "second-token")).await;
    let new = stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    assert_eq!(journal.token(&new).unwrap().owner, "second-key");
    assert_eq!(journal.calls[1].parameters["oldtoken"], "second-token");
    assert_eq!(journal.calls.len(), 2);
}

#[tokio::test]
async fn a_changed_endpoint_is_asked_at_once_and_once() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let endpoint = stage.simulator.url("/apptoken-refresh");
    stage.change(NAME, json!({"spec": {"application": {"endpoint": endpoint}}})).await;
    stage.until_calls(2).await;
    stage.until_noticed(NAME).await;
    let calls = stage.simulator.journal().calls;
    assert_eq!((calls.len(), calls[1].path.as_str()), (2, "/apptoken-refresh"));
}

#[tokio::test]
async fn a_deleted_credentials_secret_stalls_the_resource_while_its_token_lives() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    stage.delete_secret(CREDENTIALS).await;
    let resource = stage.until_reason(NAME, "CredentialsNotFound").await;
    assert!(is_stalled(&resource) && is_ready(&resource), "{:?}", resource.status);
    assert_eq!(resource.status.unwrap().next_refresh_time, None);
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn an_old_token_that_the_issuer_does_not_know_gives_way_to_the_next_one() {
    let stage = Stage::open().await;
    stage.simulator.switch(|switches| switches.unknown_old_token = UnknownOldToken::Reject);
    let consent = json!({"annotations": {"syniverse.dev/adopt": NAME}});
    stage.put_secret(NAME, &[("accessToken", "never issued")]).await;
    stage.change_secret(NAME, json!({"metadata": consent})).await;
    stage.issued("1h").await;
    let calls = stage.simulator.journal().calls;
    let tried: Vec<_> = calls.iter().map(|call| call.parameters["oldtoken"].as_str()).collect();
    assert_eq!(tried, ["never issued", PORTAL_TOKEN]);
}
