//! What a thief tries, each as a dry run: it goes the whole way but for the last step, and leaves the next one unchanged.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

pub(super) const KINDS: [&str; 4] = ["Pod", "Deployment", "StatefulSet", "DaemonSet"];
/// The name of the object of each kind.
pub(super) const NAME: &str = "app";

const POD: &str = "the operator writes neither spec nor status of a Pod";
const POD_METADATA: &str = "the operator writes no metadata of a Pod but an annotation";
const POD_ANNOTATION: &str = "the operator writes no annotation of a Pod but syniverse.dev/token";
const POD_VALUE: &str = "the operator writes names of Secrets and fingerprints into a Pod's annotation";
const SPEC: &str = "the operator writes neither replicas nor anything else of a workload but its template";
const TEMPLATE: &str = "the operator writes nothing of a workload's template but an annotation";
const ANNOTATION: &str = "the operator writes no annotation of a template but syniverse.dev/token-restart";
const VALUE: &str = "the operator writes names of Secrets and fingerprints into a template's annotation";
const METADATA: &str = "the operator writes no metadata of a workload";
pub(super) const MANAGERS: &str = "the operator writes nothing about who has set which fields of a workload";

/// A JSON merge patch.
pub(super) struct Attempt {
    pub(super) kind: &'static str,
    pub(super) subresource: &'static str,
    change: Value,
    /// How the policy refuses it.
    pub(super) refusal: &'static str,
}

impl Attempt {
    pub(super) fn of(kind: &'static str, subresource: &'static str, change: Value, refusal: &'static str) -> Self {
        Self { kind, subresource, change, refusal }
    }

    pub(super) fn told(&self) -> String {
        format!("{}/{} {}", self.kind, self.subresource, self.change)
    }

    /// Tries it with the rights of a client.
    pub(super) async fn make(&self, api: &Api<DynamicObject>) -> kube::Result<DynamicObject> {
        let (how, change) = (PatchParams { dry_run: true, ..PatchParams::default() }, Patch::Merge(&self.change));
        match self.subresource {
            "" => api.patch(NAME, &how, &change).await,
            subresource => api.patch_subresource(subresource, NAME, &how, &change).await,
        }
    }
}

/// What RBAC lets through: patches of the status of Pods, and of workloads.
pub(super) fn within_the_rights() -> Vec<Attempt> {
    let pods = pod_metadata().into_iter().chain([
        (json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}), POD),
        (json!({"status": {"phase": "Failed"}}), POD),
    ]);
    let pods = pods.map(|(change, refusal)| Attempt::of("Pod", "status", change, refusal));
    let workloads = KINDS.into_iter().filter(|kind| *kind != "Pod").flat_map(|kind| {
        workload(kind).into_iter().map(move |(change, refusal)| Attempt::of(kind, "", change, refusal))
    });
    pods.chain(workloads).collect()
}

/// What only further rights would let through.
pub(super) fn beyond_the_rights() -> Vec<Attempt> {
    let told = json!({"metadata": {"labels": {"app": "other"}}});
    let mut attempts: Vec<_> = pod_metadata().into_iter().map(|(to, why)| Attempt::of("Pod", "", to, why)).collect();
    attempts.extend([
        Attempt::of("Pod", "", json!({"spec": {"containers": [container("other", "1")]}}), POD),
        Attempt::of("Pod", "", json!({"spec": {"activeDeadlineSeconds": 1}}), POD),
        Attempt::of("Pod", "", json!({"metadata": {"ownerReferences": [owner()]}}), POD_METADATA),
        Attempt::of("Pod", "resize", json!({"spec": {"containers": [container("app", "2")]}}), POD),
        Attempt::of("Pod", "ephemeralcontainers", json!({"spec": {"ephemeralContainers": [ephemeral()]}}), POD),
        Attempt::of("Deployment", "scale", json!({"spec": {"replicas": 5}}), SPEC),
        Attempt::of("StatefulSet", "scale", json!({"spec": {"replicas": 5}}), SPEC),
        Attempt::of("Deployment", "status", json!({"status": {"observedGeneration": 9}}), SPEC),
        Attempt::of("StatefulSet", "status", json!({"status": {"observedGeneration": 9}}), SPEC),
        Attempt::of("DaemonSet", "status", json!({"status": {"observedGeneration": 9}}), SPEC),
        Attempt::of("DaemonSet", "status", told, METADATA),
    ]);
    attempts
}

/// One that each policy refuses, to see whether it is there.
pub(super) fn first_of_each_policy() -> [Attempt; 2] {
    let all = within_the_rights();
    let first = |kind| all.iter().find(|attempt| attempt.kind == kind).unwrap();
    ["Pod", "Deployment"].map(first).map(|it| Attempt::of(it.kind, it.subresource, it.change.clone(), it.refusal))
}

fn pod_metadata() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"metadata": {"labels": {"app": "other"}}}), POD_METADATA),
        (json!({"metadata": {"labels": null}}), POD_METADATA),
        (json!({"metadata": {"finalizers": ["a/b"]}}), POD_METADATA),
        (json!({"metadata": {"annotations": {"team": "b"}}}), POD_ANNOTATION),
        (json!({"metadata": {"annotations": {"team": null}}}), POD_ANNOTATION),
        (json!({"metadata": {"annotations": {"more": "b"}}}), POD_ANNOTATION),
        (json!({"metadata": {"annotations": {"syniverse.dev/token": "$(id),a=0"}}}), POD_VALUE),
        (json!({"metadata": {"annotations": {"syniverse.dev/token": "a=0,"}}}), POD_VALUE),
    ]
}

fn workload(kind: &str) -> Vec<(Value, &'static str)> {
    let template = |template: Value| json!({"spec": {"template": template}});
    let mut with_a_variable = container("app", "1");
    with_a_variable["env"] = json!([{"name": "LD_PRELOAD", "value": "a"}]);
    let replicas = if kind == "DaemonSet" { "minReadySeconds" } else { "replicas" };
    vec![
        (json!({"spec": {replicas: 5}}), SPEC),
        (template(json!({"spec": {"containers": [container("other", "1")]}})), TEMPLATE),
        (template(json!({"spec": {"containers": [with_a_variable]}})), TEMPLATE),
        (template(json!({"spec": {"serviceAccountName": "other"}})), TEMPLATE),
        (template(json!({"metadata": {"labels": {"more": "b"}}})), TEMPLATE),
        (template(json!({"metadata": {"annotations": {"team": "b"}}})), ANNOTATION),
        (template(json!({"metadata": {"annotations": {"team": null}}})), ANNOTATION),
        (template(json!({"metadata": {"annotations": {"more": "b"}}})), ANNOTATION),
        (template(json!({"metadata": {"annotations": {"syniverse.dev/token-restart": "$(id),a=0"}}})), VALUE),
        (json!({"metadata": {"labels": {"app": "other"}}}), METADATA),
        (json!({"metadata": {"annotations": {"more": "b"}}}), METADATA),
        (json!({"metadata": {"annotations": {"team": null}}}), METADATA),
        (json!({"metadata": {"finalizers": ["a/b"]}}), METADATA),
        (json!({"metadata": {"ownerReferences": [owner()]}}), METADATA),
        (json!({"metadata": {"managedFields": [claimed("gitops", "Apply")]}}), MANAGERS),
        (json!({"metadata": {"managedFields": [{}]}}), MANAGERS),
    ]
}

/// An entry of a field that the manager has not set. Who is said to have applied it removes it when he applies again.
pub(super) fn claimed(manager: &str, operation: &str) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": "2026-01-02T03:04:05Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:minReadySeconds": {}}}})
}

pub(super) fn container(image: &str, cpu: &str) -> Value {
    json!({"name": "app", "image": image, "resources": {"requests": {"cpu": cpu}}})
}

fn ephemeral() -> Value {
    json!({"name": "debugger", "image": "other"})
}

pub(super) fn owner() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "00000000-0000-0000-0000-000000000000"})
}

/// A Pod or a workload without Pods.
pub(super) fn object(kind: &str, name: &str) -> Value {
    let labels = json!({"app": format!("{kind}-{name}")});
    let metadata = json!({"name": name, "labels": labels, "annotations": {"team": "a"}});
    let pod = json!({"automountServiceAccountToken": false, "containers": [container("app", "1")]});
    if kind == "Pod" {
        return json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": pod});
    }
    let template = json!({"metadata": {"labels": labels, "annotations": {"team": "a"}}, "spec": pod});
    let mut spec = json!({"selector": {"matchLabels": labels}, "template": template});
    if kind != "DaemonSet" {
        spec["replicas"] = json!(0);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// What the operator applies to restart a workload.
pub(super) fn applied(kind: &str, name: &str, value: &str) -> Value {
    let annotations = json!({"syniverse.dev/token-restart": value});
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"template": {"metadata": {"annotations": annotations}}}})
}

/// A workload as a backup brings it back, with the annotation.
pub(super) fn restored(kind: &str) -> Value {
    let mut object = object(kind, "restored");
    object["spec"]["template"]["metadata"]["annotations"]["syniverse.dev/token-restart"] = json!("messaging=0");
    object
}
