//! Somebody deletes or edits what the operator wrote: it is written again, and the issuer is not asked.

use crate::support::*;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_deleted_token_secret_is_back_within_a_second_without_a_call() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let before = stage.secret(NAME).await;
    let mut quickest = PATIENCE;
    for _ in 0..3 {
        let deleted = Instant::now();
        stage.until_noticed(NAME).await;
        quickest = quickest.min(deleted.elapsed());
    }
    let after = stage.secret(NAME).await;
    assert_eq!((after.data, after.metadata.annotations), (before.data, before.metadata.annotations));
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn an_edited_token_secret_is_set_right_without_a_call() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let before = stage.secret(NAME).await;
    for edit in [
        json!({"stringData": {"accessToken": "mine"}}),
        json!({"data": {"accessToken": null}}),
        json!({"data": null}),
        json!({"metadata": {"annotations": {"syniverse.dev/fingerprint": "00000000"}}}),
        json!({"metadata": {"annotations": null, "labels": null}}),
        json!({"metadata": {"ownerReferences": null, "annotations": {"syniverse.dev/adopt": NAME}}}),
    ] {
        stage.change_secret(NAME, edit.clone()).await;
        let is_right = |secret: &Secret| {
            secret.data == before.data
                && secret.metadata.labels == before.metadata.labels
                && is_annotated(secret, &before)
        };
        stage.until_secret(NAME, &format!("set right after {edit}"), is_right).await;
    }
    assert_eq!(stage.calls(), 1);
}

fn is_annotated(secret: &Secret, before: &Secret) -> bool {
    let names = ["syniverse.dev/fingerprint", "syniverse.dev/issue-time", "syniverse.dev/expiration-time"];
    names.into_iter().all(|name| annotation(secret, name) == annotation(before, name))
}

#[tokio::test]
async fn a_deleted_state_secret_is_rewritten_from_memory_without_a_call() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let before = stage.secret(STATE).await;
    stage.until_noticed(STATE).await;
    let after = stage.secret(STATE).await;
    assert_eq!((after.data, after.metadata.owner_references), (before.data, before.metadata.owner_references));
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_garbled_state_secret_is_rewritten_from_memory_without_a_call() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let before = stage.secret(STATE).await;
    for edit in [json!({"stringData": {"state.json": "{}"}}), json!({"data": {"state.json": null}})] {
        stage.change_secret(STATE, edit).await;
        stage.until_secret(STATE, "as before", |secret| secret.data == before.data).await;
    }
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_state_secret_lost_while_nobody_ran_is_made_anew_from_the_token_secret_without_a_call() {
    for loss in [None, Some("garbage")] {
        let mut stage = Stage::open().await;
        stage.issued("1h").await;
        let before = stage.secret(NAME).await;
        stage.operator().kill9();
        match loss {
            None => stage.delete_secret(STATE).await,
            Some(text) => drop(stage.change_secret(STATE, json!({"stringData": {"state.json": text}})).await),
        }
        stage.restart_operator(NAME).await;
        let token = text(&before, "accessToken").unwrap();
        stage
            .until_secret(STATE, "knows the token", |secret| text(secret, "state.json").unwrap().contains(&token))
            .await;
        assert_eq!((stage.secret(NAME).await, stage.calls()), (before, 1));
    }
}

#[tokio::test]
async fn with_both_secrets_lost_while_nobody_ran_the_issuer_is_asked_with_the_first_token() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let token = stage.token().await;
    stage.operator().kill9();
    stage.delete_secret(STATE).await;
    stage.delete_secret(NAME).await;
    stage.restart_operator(NAME).await;
    stage.until_secret(NAME, "the same token", |secret| text(secret, "accessToken").as_ref() == Some(&token)).await;
    let journal = stage.simulator.journal();
    assert_eq!((journal.calls.len(), journal.calls[1].parameters["oldtoken"].as_str()), (2, PORTAL_TOKEN));
}

#[tokio::test]
async fn a_secret_that_somebody_keeps_changing_is_repaired_ten_times_and_then_reported() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let right = stage.secret(NAME).await.data;
    for _ in 0..10 {
        spoil(&stage).await;
        stage.until_secret(NAME, "repaired", |secret| secret.data == right).await;
    }
    spoil(&stage).await;
    let resource = stage.until_reason(NAME, "SecretContested").await;
    assert!(!is_ready(&resource) && ready_message(&resource).contains(NAME), "{}", ready_message(&resource));
    assert_ne!(stage.secret(NAME).await.data, right);
    assert_eq!(stage.calls(), 1);
}

async fn spoil(stage: &Stage) {
    let secret = stage.change_secret(NAME, json!({"stringData": {"accessToken": "mine"}})).await;
    assert_eq!(secret.data.unwrap()["accessToken"], ByteString(b"mine".to_vec()));
}

#[tokio::test]
async fn a_repair_is_reported_as_one_after_a_restart_too() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    stage.restart_operator(NAME).await;
    stage.until_noticed(NAME).await;
    stage.operator().wait_for_log("repaired messaging", PATIENCE).await.unwrap();
}
