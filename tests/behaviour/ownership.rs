//! Whose Secret it is: ours, lent to us, or somebody else's; and what becomes of it when the resource goes.

use crate::support::*;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{ListParams, ObjectMeta, PostParams};
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
        assert_eq!(annotation(&secret, "syniverse.dev/created-by"), None);
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
async fn a_secret_that_is_made_immutable_whenever_it_is_written_is_told_so() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    for _ in 0..2 {
        stage.change_secret(NAME, json!({"immutable": true})).await;
        let says = |resource: &_| ready_message(resource).contains("as soon as it is written");
        assert!(is_stalled(&stage.until(NAME, "why", says).await));
        stage.delete_secret(NAME).await;
        stage.until(NAME, "Issued", |resource| ready_reason(resource) == "Issued").await;
    }
    assert_eq!(stage.calls(), 1);
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
            assert_eq!(annotation(&secret, "syniverse.dev/adopt"), Some(NAME));
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

/// What is left of both Secrets in a backup: no owner, or one that is gone.
async fn restore(stage: &Stage, backup: &[Secret], with_owners: bool) {
    for secret in backup {
        let mut restored = secret.clone();
        restored.metadata.resource_version = None;
        restored.metadata.uid = None;
        if !with_owners {
            restored.metadata.owner_references = None;
        }
        stage.secrets.create(&PostParams::default(), &restored).await.unwrap();
    }
}

fn uids(secret: &Secret) -> Vec<&str> {
    secret.owner_references().iter().map(|owner| owner.uid.as_str()).collect()
}

/// The restored Secrets are ours at once, nobody is asked for that, and they go with the resource as before.
async fn until_taken_over(stage: &Stage, policy: &str, backup: &[Secret], calls: usize) {
    let uid = stage.until_ready(NAME).await.uid().unwrap();
    let owners: Vec<&str> = if policy == "Delete" { vec![&uid] } else { Vec::new() };
    for secret in backup {
        let name = secret.name_any();
        let now = stage.until_secret(&name, "taken over", |secret| uids(secret) == owners).await;
        assert_eq!(now.data, secret.data, "{name}");
    }
    // A garbage collector that decided before would have acted by then.
    collect_garbage(stage).await;
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), calls + 1, "one call, for the other resource");
    stage.delete(NAME).await;
    match policy {
        "Delete" => {
            until_gone(stage, NAME).await;
            until_gone(stage, STATE).await;
        }
        _ => {
            collect_garbage(stage).await;
            assert_eq!(stage.secret(NAME).await.data, backup[0].data);
        }
    }
}

async fn restored(policy: &str, with_owners: bool) {
    let stage = Stage::open().await;
    let mut spec = stage.spec("1h");
    spec["deletionPolicy"] = json!(policy);
    stage.apply(NAME, spec.clone()).await;
    stage.until_ready(NAME).await;
    let backup = [stage.secret(NAME).await, stage.secret(STATE).await];
    stage.delete(NAME).await;
    if policy == "Delete" {
        until_gone(&stage, NAME).await;
        until_gone(&stage, STATE).await;
    } else {
        stage.delete_secret(NAME).await;
        stage.delete_secret(STATE).await;
    }
    let calls = stage.calls();
    if with_owners {
        // The other order loses to a garbage collector that is quick.
        stage
            .apply(NAME, {
                spec["suspend"] = json!(true);
                spec.clone()
            })
            .await;
        stage.until(NAME, "seen", |_| true).await;
        restore(&stage, &backup, true).await;
        stage.change(NAME, json!({"spec": {"suspend": false}})).await;
    } else {
        restore(&stage, &backup, false).await;
        stage.apply(NAME, spec).await;
    }
    until_taken_over(&stage, policy, &backup, calls).await;
}

#[tokio::test]
async fn secrets_restored_without_owners_go_on_at_once() {
    restored("Delete", false).await;
    restored("Retain", false).await;
}

#[tokio::test]
async fn secrets_restored_with_the_owner_of_a_former_life_go_on_at_once() {
    restored("Delete", true).await;
}

#[tokio::test]
async fn secrets_left_by_an_orphaning_deletion_are_taken_over_and_go_with_the_next_resource() {
    for policy in ["Delete", "Retain"] {
        let stage = Stage::open().await;
        let mut spec = stage.spec("1h");
        spec["deletionPolicy"] = json!(policy);
        stage.apply(NAME, spec.clone()).await;
        stage.until_ready(NAME).await;
        stage.kubectl(&["delete", "syniversetoken", NAME, "--cascade=orphan"]).await;
        let left = [stage.secret(NAME).await, stage.secret(STATE).await];
        assert_eq!(left.iter().map(|secret| secret.owner_references().len()).sum::<usize>(), 0);
        collect_garbage(&stage).await;
        let calls = stage.calls();
        stage.apply(NAME, spec).await;
        until_taken_over(&stage, policy, &left, calls).await;
    }
}

#[tokio::test]
async fn a_resource_deleted_and_made_anew_at_once_carries_on_or_begins_anew_but_is_ready() {
    let stage = Stage::open().await;
    for _ in 0..5 {
        stage.issued("1h").await;
        stage.delete(NAME).await;
        let resource = stage.issued("1h").await;
        let uid = resource.uid().unwrap();
        for name in [NAME, STATE] {
            stage.until_secret(name, "ours", |secret| uids(secret) == [uid.as_str()]).await;
        }
        // Who is ready now stays so: nothing is collected behind our back.
        let other = format!("other-{}", &uid[..8]);
        stage.apply(&other, stage.spec("1h")).await;
        stage.until_ready(&other).await;
        stage.delete(&other).await;
        until_gone(&stage, &other).await;
        assert!(is_ready(&stage.until_ready(NAME).await));
        assert_eq!(uids(&stage.secret(STATE).await), [uid.as_str()]);
    }
}

#[tokio::test]
async fn labels_of_the_spec_go_to_both_secrets_and_leave_both() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("1h");
    spec["secret"] = json!({"labels": {"team": "a"}});
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
    for (labels, team) in [(json!({"team": "b"}), Some("b")), (json!(null), None)] {
        stage.change(NAME, json!({"spec": {"secret": {"labels": labels}}})).await;
        for name in [NAME, STATE] {
            let follows = |secret: &Secret| secret.labels().get("team").map(String::as_str) == team;
            stage.until_secret(name, "its labels", follows).await;
        }
    }
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn everything_is_written_in_our_name() {
    let stage = Stage::open().await;
    let resource = stage.issued("1h").await;
    let ours = |fields: Option<Vec<_>>| -> Vec<String> {
        fields.unwrap().into_iter().filter_map(|entry: ManagedFieldsEntry| entry.manager).collect()
    };
    for name in [NAME, STATE] {
        let secret = stage.secret(name).await;
        assert_eq!(ours(secret.metadata.managed_fields), ["syniverse-token-operator"], "{name}");
    }
    assert_eq!(ours(resource.metadata.managed_fields), ["test", "syniverse-token-operator"]);
    let client = stage.cluster.client().await.unwrap();
    let events: Api<Event> = Api::namespaced(client, stage.namespace.name());
    let sent = async || {
        let events = events.list(&ListParams::default()).await.unwrap().items;
        events.into_iter().find(|event| event.reason.as_deref() == Some("Issued"))
    };
    let event = harness::wait_for("an Event", PATIENCE, sent).await.unwrap();
    assert_eq!(ours(event.metadata.managed_fields), ["syniverse-token-operator"]);
}
