//! Whose Secret it is: ours, lent to us, or somebody else's; and what becomes of it when the resource goes.

use crate::support::*;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

/// Makes a Secret [`NAME`] from JSON that lacks only its name.
async fn make(stage: &Stage, mut secret: Value) -> Secret {
    secret["metadata"]["name"] = json!(NAME);
    stage.secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap()
}

fn consent() -> Value {
    json!({"annotations": {"syniverse.dev/adopt": NAME}})
}

async fn until_gone(stage: &Stage, name: &str) {
    let gone = async || stage.secrets.get_opt(name).await.unwrap().is_none().then_some(());
    harness::wait_for(&format!("the end of Secret {name}"), PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_secret_of_another_owner_is_left_alone_and_its_owner_is_named() {
    let stage = Stage::open().await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.cluster.client().await.unwrap(), stage.namespace.name());
    let metadata = ObjectMeta { name: Some("other-owner".to_owned()), ..ObjectMeta::default() };
    let map = maps.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await.unwrap();
    let owner = map.controller_owner_ref(&()).unwrap();
    let secret =
        make(&stage, json!({"metadata": {"ownerReferences": [owner]}, "stringData": {"accessToken": "t"}})).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let resource = stage.until_reason(NAME, "SecretNotOwned").await;
    assert!(is_stalled(&resource) && ready_message(&resource).contains("ConfigMap other-owner"));
    assert_eq!((stage.secret(NAME).await, stage.calls()), (secret, 0));
    assert_eq!(stage.secrets.get_opt(STATE).await.unwrap(), None);
}

#[tokio::test]
async fn a_secret_without_owner_or_consent_is_left_alone_until_it_is_gone() {
    let stage = Stage::open().await;
    let secret = make(&stage, json!({"stringData": {"accessToken": "t"}})).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let resource = stage.until_reason(NAME, "SecretNotOwned").await;
    assert!(ready_message(&resource).contains(&format!("syniverse.dev/adopt: {NAME}")));
    assert_eq!((stage.secret(NAME).await, stage.calls()), (secret, 0));
    stage.delete_secret(NAME).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_foreign_secret_under_the_name_of_the_state_secret_is_left_alone_and_nobody_is_asked() {
    let stage = Stage::open().await;
    let secret = stage.put_secret(STATE, &[("theirs", "kept")]).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let resource = stage.until_reason(NAME, "SecretNotOwned").await;
    assert!(is_stalled(&resource) && ready_message(&resource).contains(STATE), "{}", ready_message(&resource));
    assert_eq!((stage.secret(STATE).await, stage.calls()), (secret, 0));
    assert_eq!(stage.secrets.get_opt(NAME).await.unwrap(), None);
}

#[tokio::test]
async fn consent_to_another_resource_is_none() {
    let stage = Stage::open().await;
    let consent = json!({"annotations": {"syniverse.dev/adopt": "another"}});
    let secret = make(&stage, json!({"metadata": consent, "stringData": {"accessToken": "t"}})).await;
    stage.apply(NAME, stage.spec("1h")).await;
    stage.until_reason(NAME, "SecretNotOwned").await;
    assert_eq!((stage.secret(NAME).await, stage.calls()), (secret, 0));
}

#[tokio::test]
async fn a_secret_is_adopted_by_consent_and_its_token_is_the_old_one() {
    let stage = Stage::open().await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)[..2]).await;
    make(&stage, json!({"metadata": consent(), "stringData": {"accessToken": PORTAL_TOKEN, "theirs": "kept"}})).await;
    stage.apply(NAME, stage.spec("1h")).await;
    stage.until_ready(NAME).await;
    let (secret, call) = (stage.secret(NAME).await, stage.simulator.journal().calls[0].clone());
    assert_eq!((text(&secret, "accessToken"), call.parameters["oldtoken"].as_str()), (call.token, PORTAL_TOKEN));
    assert_eq!(text(&secret, "theirs").as_deref(), Some("kept"));
    assert_eq!(secret.owner_references(), []);
    assert_eq!(stage.secret(STATE).await.owner_references().len(), 1);
}

#[tokio::test]
async fn an_adopted_secret_survives_the_resource() {
    let stage = Stage::open().await;
    make(&stage, json!({"metadata": consent()})).await;
    stage.issued("1h").await;
    let adopted = stage.secret(NAME).await;
    stage.delete(NAME).await;
    until_gone(&stage, STATE).await;
    assert_eq!(stage.secret(NAME).await, adopted);
}

#[tokio::test]
async fn an_adopted_secret_has_no_owner_under_either_policy() {
    let stage = Stage::open().await;
    make(&stage, json!({"metadata": consent()})).await;
    stage.issued("1h").await;
    for policy in ["Retain", "Delete"] {
        stage.change(NAME, json!({"spec": {"deletionPolicy": policy}})).await;
        stage.until_ready(NAME).await;
        let secret = stage.secret(NAME).await;
        assert_eq!((secret.owner_references(), annotation(&secret, "syniverse.dev/adopt")), (&[][..], Some(NAME)));
    }
}

#[tokio::test]
async fn an_immutable_secret_stalls_the_resource_while_its_token_lives() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let secret = stage.change_secret(NAME, json!({"immutable": true})).await;
    let resource = stage.until_reason(NAME, "SecretImmutable").await;
    assert!(is_stalled(&resource) && is_ready(&resource), "{:?}", resource.status);
    assert_eq!((stage.secret(NAME).await, stage.calls()), (secret, 1));
    stage.delete_secret(NAME).await;
    assert!(!is_stalled(&stage.until(NAME, "Ready", |resource| ready_reason(resource) == "Issued").await));
}

#[tokio::test]
async fn a_secret_of_another_type_stalls_the_resource_and_nobody_is_asked() {
    let stage = Stage::open().await;
    let secret = make(&stage, json!({"type": "example.com/other", "metadata": consent()})).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let resource = stage.until_reason(NAME, "SecretWrongType").await;
    assert!(is_stalled(&resource) && ready_message(&resource).contains("example.com/other"));
    assert_eq!((stage.secret(NAME).await, stage.calls()), (secret, 0));
}

#[tokio::test]
async fn a_state_of_a_newer_version_is_left_alone() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let newer = stage.change_secret(STATE, json!({"stringData": {"state.json": r#"{"version":99}"#}})).await;
    let resource = stage.until_reason(NAME, "StateTooNew").await;
    assert!(is_stalled(&resource) && ready_message(&resource).contains("99"), "{}", ready_message(&resource));
    assert_eq!((stage.secret(STATE).await, stage.calls()), (newer, 1));
}

#[tokio::test]
async fn with_the_policy_delete_both_secrets_go_with_the_resource() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    stage.delete(NAME).await;
    until_gone(&stage, NAME).await;
    until_gone(&stage, STATE).await;
}

#[tokio::test]
async fn with_the_policy_retain_both_secrets_stay_and_a_new_resource_carries_on_without_a_call() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("1h");
    spec["deletionPolicy"] = json!("Retain");
    stage.apply(NAME, spec.clone()).await;
    stage.until_ready(NAME).await;
    let (token, state) = (stage.secret(NAME).await, stage.secret(STATE).await);
    assert_eq!((token.owner_references(), annotation(&token, "syniverse.dev/adopt")), (&[][..], Some(NAME)));
    assert_eq!((state.owner_references(), annotation(&state, "syniverse.dev/adopt")), (&[][..], Some(NAME)));
    stage.delete(NAME).await;
    collect_garbage(&stage).await;
    assert_eq!((stage.secret(NAME).await, stage.secret(STATE).await), (token.clone(), state.clone()));
    let calls = stage.calls();
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    assert_eq!((stage.secret(NAME).await, stage.secret(STATE).await), (token, state));
    assert_eq!(stage.calls(), calls);
}

/// Waits until the Secrets of another resource have gone with it.
async fn collect_garbage(stage: &Stage) {
    stage.apply("other", stage.spec("1h")).await;
    stage.until_ready("other").await;
    stage.delete("other").await;
    until_gone(stage, "other").await;
    until_gone(stage, "other-syniverse-state").await;
}

#[tokio::test]
async fn switching_the_policy_changes_only_who_owns_the_secrets() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let data = stage.secret(NAME).await.data;
    for (policy, owners) in [("Retain", 0), ("Delete", 1)] {
        stage.change(NAME, json!({"spec": {"deletionPolicy": policy}})).await;
        for name in [NAME, STATE] {
            let secret = stage.until_secret(name, policy, |secret| secret.owner_references().len() == owners).await;
            assert_eq!(annotation(&secret, "syniverse.dev/adopt"), (owners == 0).then_some(NAME));
        }
    }
    assert_eq!((stage.secret(NAME).await.data, stage.calls()), (data, 1));
    stage.delete(NAME).await;
    until_gone(&stage, NAME).await;
    until_gone(&stage, STATE).await;
}

#[tokio::test]
async fn a_refresh_annotation_present_at_creation_counts_as_handled_where_a_state_was_retained() {
    let stage = Stage::open().await;
    let mut object = json!({"spec": stage.spec("1h")});
    object["spec"]["deletionPolicy"] = json!("Retain");
    stage.apply_object(NAME, object.clone()).await;
    stage.until_ready(NAME).await;
    stage.delete(NAME).await;
    object["metadata"] = json!({"annotations": {"syniverse.dev/refresh": "1"}});
    stage.apply_object(NAME, object).await;
    stage.until_ready(NAME).await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 1);
}
