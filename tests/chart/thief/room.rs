//! Where a thief is at work.

use super::attempts::{self, Attempt, KINDS, NAME, applied, first_of_each_policy, object};
use crate::helm::Objects;
use crate::release::{RELEASE, Release, apply, values_in};
use crate::support::PATIENCE;
use harness::{Namespace, wait_for};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, from_value, json};

/// How the operator applies its annotation of a template.
pub(super) const MANAGER: &str = "syniverse-token-operator-restart";
/// Who makes what is made.
pub(super) const RESTORER: &str = "restorer";

/// A namespace with the chart, a Pod and a workload of each kind.
pub(super) struct Room {
    release: Release,
    client: Client,
    namespace: Namespace,
}

impl Room {
    pub(super) async fn open(is_guarded: bool) -> Self {
        let cluster = harness::shared().await.unwrap();
        let namespace = cluster.namespace().await.unwrap();
        let release = Release::planned(&cluster, namespace.name());
        let mut values = values_in(namespace.name());
        values["propagation"] = json!({"pods": true, "restart": true});
        values["admissionPolicy"] = json!({"enabled": is_guarded});
        release.install(&values).await;
        let room = Self { client: release.client().await, release, namespace };
        for kind in KINDS {
            room.apply_as("gitops", object(kind, NAME)).await;
        }
        for attempt in first_of_each_policy() {
            let settled = async || match (is_guarded, room.attempt(&attempt).await) {
                (true, Err(why)) => why.to_string().contains(attempt.refusal).then_some(()),
                (is_guarded, answer) => (answer.is_ok() && !is_guarded).then_some(()),
            };
            wait_for("the rights and the policies", PATIENCE, settled).await.unwrap();
        }
        room
    }

    /// The objects of a kind as the operator's account sees them.
    pub(super) async fn api(&self, kind: &str) -> Api<DynamicObject> {
        self.api_of(self.client.clone(), kind)
    }

    pub(super) async fn admin(&self, kind: &str) -> Api<DynamicObject> {
        self.api_of(self.release.cluster.client().await.unwrap(), kind)
    }

    fn api_of(&self, client: Client, kind: &str) -> Api<DynamicObject> {
        let group = if kind == "Pod" { "" } else { "apps" };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(client, self.namespace.name(), &resource)
    }

    pub(super) async fn found(&self, kind: &str) -> DynamicObject {
        self.admin(kind).await.get(NAME).await.unwrap()
    }

    pub(super) async fn make(&self, object: Value) {
        let api = self.admin(object["kind"].as_str().unwrap()).await;
        let how = PostParams { field_manager: Some(RESTORER.to_owned()), ..PostParams::default() };
        api.create(&how, &from_value(object).unwrap()).await.unwrap();
    }

    pub(super) async fn apply_as(&self, manager: &str, object: Value) {
        let api = self.admin(object["kind"].as_str().unwrap()).await;
        api.patch(name(&object), &PatchParams::apply(manager), &Patch::Apply(&object)).await.unwrap();
    }

    pub(super) async fn attempt(&self, attempt: &Attempt) -> kube::Result<DynamicObject> {
        attempt.make(&self.api(attempt.kind).await).await
    }

    /// What only further rights would let through. Kubernetes 1.32 has no resize.
    pub(super) async fn beyond_the_rights(&self) -> Vec<Attempt> {
        let core = self.release.cluster.client().await.unwrap().list_core_api_resources("v1").await.unwrap();
        let has_resize = core.resources.iter().any(|resource| resource.name == "pods/resize");
        let all = attempts::beyond_the_rights().into_iter();
        all.filter(|attempt| attempt.subresource != "resize" || has_resize).collect()
    }

    /// Applies the annotation as the operator does.
    pub(super) async fn restart(&self, kind: &str, name: &str, value: &str, is_forced: bool) {
        let how = PatchParams { force: is_forced, ..PatchParams::apply(MANAGER) };
        let answer = self.api(kind).await.patch(name, &how, &Patch::Apply(applied(kind, name, value))).await;
        let found = answer.unwrap_or_else(|why| panic!("{kind} {name}: {why}"));
        assert_eq!(found.data["spec"]["template"]["metadata"]["annotations"]["syniverse.dev/token-restart"], value);
    }

    /// Gives the operator's account every right on Pods and workloads, as somebody might beside the chart.
    pub(super) async fn grant_everything(&self) {
        let metadata = json!({"name": "everything", "namespace": self.namespace.name()});
        let rule = json!({"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["*"]});
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [rule]});
        let subject = json!({"kind": "ServiceAccount", "name": RELEASE, "namespace": self.namespace.name()});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": metadata, "subjects": [subject],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "everything"}});
        apply(&self.release.cluster, &Objects(vec![role, binding]));
        let may = async || self.api("Pod").await.get(NAME).await.ok();
        wait_for("every right", PATIENCE, may).await.unwrap();
    }
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}
