//! Writes that the API server refuses: by a policy, a webhook, a quota, its own limits.

use crate::support::*;
use harness::{free_port, wait_for};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, from_value, json};
use std::time::Duration;

/// A policy about the Secrets of one namespace, until it is lifted.
struct Policy {
    name: String,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
}

impl Policy {
    /// A Secret must be as `rule` says, or `message` is told, an expression.
    async fn on(stage: &Stage, rule: &str, message: &str) -> Self {
        let client = stage.cluster.client().await.unwrap();
        let name = stage.namespace.name().to_owned();
        let metadata = metadata(stage).await;
        let secrets = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["secrets"]});
        let policy = json!({"metadata": metadata, "spec": {
            "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [secrets]},
            "validations": [{"expression": rule, "messageExpression": message}],
        }});
        let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
        let binding = json!({"metadata": metadata, "spec": {
            "policyName": name, "validationActions": ["Deny"], "matchResources": here,
        }});
        let how = PostParams::default();
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
        policies.create(&how, &from_value(policy).unwrap()).await.unwrap();
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client);
        bindings.create(&how, &from_value(binding).unwrap()).await.unwrap();
        let probe: Secret = from_value(json!({"metadata": {"name": NAME, "labels": {"probe": "yes"}}})).unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let holds = async || {
            let refused = stage.secrets.create(&dry, &probe).await.err()?;
            refused.to_string().contains("ValidatingAdmissionPolicy").then_some(())
        };
        wait_for("the policy", PATIENCE, holds).await.unwrap();
        Self { name, bindings }
    }

    async fn lift(self) {
        self.bindings.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

/// Of something that is not in the namespace, and goes with it.
async fn metadata(stage: &Stage) -> Value {
    let (client, name) = (stage.cluster.client().await.unwrap(), stage.namespace.name());
    let namespace = Api::<Namespace>::all(client).get(name).await.unwrap();
    json!({"name": name, "ownerReferences": [
        {"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": namespace.uid().unwrap()}]})
}

const NOT_THE_TOKEN: &str = "object.metadata.name != 'messaging'";

#[tokio::test]
async fn a_policy_that_refuses_every_secret_of_ours_is_quoted_and_nobody_is_asked() {
    let stage = Stage::open().await;
    let labelled = "has(object.metadata.labels) && 'team' in object.metadata.labels";
    let policy = Policy::on(&stage, labelled, "'every Secret needs the label team'").await;
    stage.apply(NAME, stage.spec("3s")).await;
    let refused = stage.until_reason(NAME, "WriteRefused").await;
    let message = ready_message(&refused);
    assert!(is_stalled(&refused) && message.contains("every Secret needs the label team"), "{message}");
    assert_eq!(stage.calls(), 0);
    // What the policy wants goes to both Secrets, and a changed spec is tried at once.
    stage.change(NAME, json!({"spec": {"secret": {"labels": {"team": "a"}}}})).await;
    stage.until_ready(NAME).await;
    policy.lift().await;
}

#[tokio::test]
async fn while_the_token_secret_is_refused_no_token_is_issued_and_once_it_is_not_it_is_written() {
    let stage = Stage::open().await;
    let policy = Policy::on(&stage, NOT_THE_TOKEN, "'no such name'").await;
    stage.apply(NAME, stage.spec("2s")).await;
    let refused = stage.until_reason(NAME, "WriteRefused").await;
    assert!(is_stalled(&refused) && ready_message(&refused).contains("no such name"), "{}", ready_message(&refused));
    // Time in which nothing may happen.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.calls(), 0);
    policy.lift().await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_token_secret_that_is_refused_from_now_on_costs_one_call_however_many_lives_go_by() {
    let stage = Stage::open().await;
    stage.issued("2s").await;
    let policy = Policy::on(&stage, NOT_THE_TOKEN, "'no such name'").await;
    let refused = stage.until_reason(NAME, "WriteRefused").await;
    assert!(is_stalled(&refused) && ready_message(&refused).contains("no such name"), "{}", ready_message(&refused));
    let calls = stage.calls();
    // Five lives of the token: time in which nothing may happen.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.calls(), calls);
    policy.lift().await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_policy_that_repeats_what_it_was_shown_is_not_quoted() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let policy = Policy::on(&stage, NOT_THE_TOKEN, "'you sent ' + string(object.data['accessToken'])").await;
    stage.change(NAME, json!({"spec": {"secret": {"labels": {"team": "a"}}}})).await;
    let refused = stage.until_reason(NAME, "WriteRefused").await;
    // Where the words of the policy begin.
    assert!(ready_message(&refused).contains(" denied request: change the spec"), "{}", ready_message(&refused));
    // The status is written before the log line.
    stage.operator().wait_for_log("WriteRefused", PATIENCE).await.unwrap();
    let (token, log) = (stage.token().await, stage.operator().log());
    assert!(!log.contains(&token), "{log}");
    policy.lift().await;
}

#[tokio::test]
async fn a_quota_stalls_and_is_named() {
    let stage = Stage::open().await;
    stage.kubectl(&["create", "quota", "few", "--hard=count/secrets=1"]).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let says = |resource: &_| ready_message(resource).contains("exceeded quota: few");
    assert!(is_stalled(&stage.until(NAME, "the quota", says).await));
    assert_eq!(stage.calls(), 0);
    stage.kubectl(&["delete", "quota", "few"]).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_named_and_waited_for() {
    let stage = Stage::open().await;
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(stage.cluster.client().await.unwrap());
    let name = stage.namespace.name().to_owned();
    let webhook = json!({"metadata": metadata(&stage).await, "webhooks": [{
        "name": "team.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 1,
        "clientConfig": {"url": format!("https://127.0.0.1:{}/", free_port().unwrap())},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}],
    }]});
    webhooks.create(&PostParams::default(), &from_value(webhook).unwrap()).await.unwrap();
    let probe: Secret = from_value(json!({"metadata": {"name": "probe"}})).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let holds = async || stage.secrets.create(&dry, &probe).await.is_err().then_some(());
    wait_for("the webhook", PATIENCE, holds).await.unwrap();
    stage.apply(NAME, stage.spec("1h")).await;
    let failed = stage.until_reason(NAME, "WriteFailed").await;
    let message = ready_message(&failed);
    assert!(!is_stalled(&failed) && message.contains("failed calling webhook \"team.example.com\""), "{message}");
    assert_eq!(stage.calls(), 0);
    webhooks.delete(&name, &DeleteParams::default()).await.unwrap();
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn what_others_put_into_a_lent_secret_may_leave_no_room_for_the_token() {
    let stage = Stage::open().await;
    let (half, consent) = ("x".repeat(512 * 1024), json!({"annotations": {"syniverse.dev/adopt": NAME}}));
    let mut lent: Secret =
        from_value(json!({"metadata": consent, "stringData": {"a": half, "b": half[16..]}})).unwrap();
    lent.metadata.name = Some(NAME.to_owned());
    stage.secrets.create(&PostParams::default(), &lent).await.unwrap();
    stage.apply(NAME, stage.spec("2s")).await;
    let refused = stage.until_reason(NAME, "WriteRefused").await;
    assert!(is_stalled(&refused) && ready_message(&refused).contains("Too long"), "{}", ready_message(&refused));
    assert_eq!(stage.calls(), 0);
    stage.change_secret(NAME, json!({"data": {"a": null}})).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_template_that_is_too_large_once_rendered_is_refused_before_anybody_is_asked() {
    let stage = Stage::open().await;
    let template: serde_json::Map<_, _> =
        (0..16).map(|key| (format!("key-{key}"), json!("$(token)".repeat(1900)))).collect();
    let mut spec = stage.spec("1h");
    spec["secret"] = json!({"template": template});
    stage.apply(NAME, spec).await;
    let refused = stage.until_reason(NAME, "SecretTooLarge").await;
    assert!(is_stalled(&refused) && ready_message(&refused).contains("262144"), "{}", ready_message(&refused));
    assert_eq!(stage.calls(), 0);
    stage.change(NAME, json!({"spec": {"secret": {"template": null}}})).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn of_a_long_refresh_annotation_its_beginning_counts() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "x".repeat(200_000)}}})).await;
    stage.until_calls(2).await;
    let handled = |resource: &syniverse_token_core::api::SyniverseToken| {
        resource.status.as_ref().and_then(|status| status.last_handled_refresh.clone())
    };
    let is_handled = |resource: &_| handled(resource).is_some();
    let resource = stage.until(NAME, "handled", is_handled).await;
    assert_eq!(handled(&resource).unwrap(), "x".repeat(256));
    assert!(text(&stage.secret(STATE).await, "state.json").unwrap().len() < 4096);
}
