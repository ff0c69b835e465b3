//! What the spec wants in the token Secret, and what others put there.

use crate::support::*;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Applies [`NAME`] with this `spec.secret` and waits until the token Secret is as `holds` says.
async fn with_secret(stage: &Stage, wanted: Value, what: &str, holds: impl Fn(&Secret) -> bool) -> Secret {
    let mut spec = stage.spec("1h");
    spec["secret"] = wanted;
    stage.apply(NAME, spec).await;
    stage.until_secret(NAME, what, holds).await
}

fn has(secret: &Secret, key: &str) -> bool {
    secret.data.as_ref().is_some_and(|data| data.contains_key(key))
}

#[tokio::test]
async fn a_template_is_filled_with_token_and_expiry_and_nothing_else() {
    let stage = Stage::open().await;
    let template = json!({"template": {
        "authorization": "Bearer $(token)",
        "file": "$(token) until $(expirationTime), $(other) $(token $TOKEN $$(token)",
    }});
    let secret = with_secret(&stage, template, "filled", |secret| has(secret, "file")).await;
    let (token, expires) = (text(&secret, "accessToken").unwrap(), text(&secret, "expirationTime").unwrap());
    assert_eq!(text(&secret, "authorization").unwrap(), format!("Bearer {token}"));
    let file = format!("{token} until {expires}, $(other) $(token $TOKEN ${token}");
    assert_eq!(text(&secret, "file").unwrap(), file);
}

#[tokio::test]
async fn a_changed_template_is_written_without_a_call_and_what_it_drops_is_removed() {
    let stage = Stage::open().await;
    with_secret(&stage, json!({"template": {"a": "$(token)"}}), "with a", |secret| has(secret, "a")).await;
    let changed = with_secret(&stage, json!({"template": {"b": "!"}}), "with b", |secret| has(secret, "b")).await;
    assert!(!has(&changed, "a") && has(&changed, "accessToken"));
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn the_old_key_goes_in_the_write_that_brings_the_new_one() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let (token, writes) = (stage.token().await, Writes::of(&stage).await);
    let changed = with_secret(&stage, json!({"key": "bearer"}), "a new key", |secret| has(secret, "bearer")).await;
    assert_eq!(text(&changed, "bearer"), Some(token));
    assert!(!has(&changed, "accessToken"));
    stage.until_ready(NAME).await;
    assert_eq!(writes.count(&stage, NAME).await, 1);
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn labels_and_annotations_of_the_spec_come_and_go_without_a_call() {
    let stage = Stage::open().await;
    let some = json!({"labels": {"team": "sms", "tier": "1"}, "annotations": {"example.com/note": "x"}});
    let secret = with_secret(&stage, some, "labelled", |secret| secret.labels().contains_key("team")).await;
    assert_eq!((secret.labels()["tier"].as_str(), annotation(&secret, "example.com/note")), ("1", Some("x")));
    let other = json!({"labels": {"team": "voice"}});
    let secret = with_secret(&stage, other, "relabelled", |secret| secret.labels()["team"] == "voice").await;
    assert!(!secret.labels().contains_key("tier"));
    assert_eq!(annotation(&secret, "example.com/note"), None);
    assert!(secret.labels().contains_key("app.kubernetes.io/managed-by"));
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_label_that_others_act_on_is_left_out_and_said_until_the_setting_allows_it() {
    let mut stage = Stage::open().await;
    let wanted = json!({"labels": {"team": "sms", "grafana_datasource": "1"}});
    let secret = with_secret(&stage, wanted, "labelled", |secret| secret.labels().contains_key("team")).await;
    assert!(!secret.labels().contains_key("grafana_datasource"));
    let said = stage.until_reason(NAME, "MetadataNotAllowed").await;
    assert!(is_ready(&said) && is_stalled(&said), "{:?}", said.status);
    for word in ["grafana_datasource", "--secret-metadata", "allowedSecretMetadata"] {
        assert!(ready_message(&said).contains(word), "{}", ready_message(&said));
    }
    stage.start_operator(&["--secret-metadata=grafana_*"]);
    let is_whole = |secret: &Secret| secret.labels().contains_key("grafana_datasource");
    stage.until_secret(NAME, "labelled with all of it", is_whole).await;
    stage.until_reason(NAME, "Issued").await;
    // As after an upgrade to an operator that allows less.
    stage.start_operator(&[]);
    stage.until_secret(NAME, "without what is not allowed", |secret| !is_whole(secret)).await;
    assert!(is_ready(&stage.until_reason(NAME, "MetadataNotAllowed").await));
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn what_others_put_into_the_token_secret_stays_and_causes_no_write() {
    let stage = Stage::open().await;
    with_secret(&stage, json!({"template": {"a": "!"}}), "with a", |secret| has(secret, "a")).await;
    let writes = Writes::of(&stage).await;
    let foreign = json!({"stringData": {"theirs": "kept"},
        "metadata": {"labels": {"theirs": "kept"}, "annotations": {"example.com/theirs": "kept"}}});
    stage.change_secret(NAME, foreign).await;
    let keeps = |secret: &Secret| {
        text(secret, "theirs").as_deref() == Some("kept")
            && secret.labels().get("theirs").is_some_and(|value| value == "kept")
            && annotation(secret, "example.com/theirs") == Some("kept")
    };
    stage.until_noticed(STATE).await;
    assert_eq!(writes.count(&stage, NAME).await, 1, "the foreign write alone");
    let changed = with_secret(&stage, json!({"template": {"b": "!"}}), "with b", |secret| has(secret, "b")).await;
    assert!(keeps(&changed) && !has(&changed, "a"));
    assert_eq!(stage.calls(), 1);
}
