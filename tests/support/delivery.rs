//! Pods and workloads that use a token Secret, without a node that runs them.

use super::{CREDENTIALS, NAME, PATIENCE, Stage, fingerprint};
use harness::wait_for;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, from_value, json};
use syniverse_token_core::api::SyniverseToken;

/// The annotation by which a Pod is told.
pub(crate) const TOKEN: &str = "syniverse.dev/token";
/// One without a kubelet.
const NODE: &str = "nowhere";
pub(crate) const RESTART: &str = "syniverse.dev/token-restart";

/// What uses a token Secret, and a stage for it.
pub(crate) struct Workloads {
    pub(crate) stage: Stage,
    pub(crate) pods: Api<Pod>,
    pub(crate) deployments: Api<Deployment>,
}

impl Workloads {
    pub(crate) async fn open(rights: &[Value]) -> Self {
        let mut stage = Stage::dark().await;
        stage.grant(rights).await;
        stage.start_operator(&[]);
        Self::on(stage).await
    }

    pub(crate) async fn on(stage: Stage) -> Self {
        let (client, namespace) = (stage.cluster.client().await.unwrap(), stage.namespace.name().to_owned());
        // Pods of a node that does not exist are deleted some time later.
        let node: Node = from_value(json!({"metadata": {"name": NODE}})).unwrap();
        match Api::all(client.clone()).create(&PostParams::default(), &node).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            made => drop(made.unwrap()),
        }
        Self {
            pods: Api::namespaced(client.clone(), &namespace),
            deployments: Api::namespaced(client, &namespace),
            stage,
        }
    }

    pub(crate) async fn apply(&self, validity: &str, propagation: Value) {
        let mut spec = self.stage.spec(validity);
        spec["propagation"] = propagation;
        self.stage.apply(NAME, spec).await;
    }

    /// A Pod that a kubelet is said to run.
    pub(crate) async fn run_pod(&self, name: &str, spec: Value) {
        let pod = json!({"metadata": {"name": name}, "spec": pod_spec(spec)});
        self.pods.create(&PostParams::default(), &from_value(pod).unwrap()).await.unwrap();
        let running = json!({"status": {"phase": "Running"}});
        self.pods.patch_status(name, &PatchParams::default(), &Patch::Merge(running)).await.unwrap();
    }

    /// Has the container of a Pod said to run since then.
    pub(crate) async fn run_since(&self, pod: &str, time: &str) {
        let container = json!({"name": "app", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": time}}});
        let status = Patch::Merge(json!({"status": {"containerStatuses": [container]}}));
        self.pods.patch_status(pod, &PatchParams::default(), &status).await.unwrap();
    }

    pub(crate) async fn deploy(&self, name: &str, fields: Value, pod: Value) {
        let labels = json!({"app": name});
        let template = json!({"metadata": {"labels": labels}, "spec": pod_spec(pod)});
        let mut spec = json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": template});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let deployment = json!({"metadata": {"name": name}, "spec": spec});
        self.deployments.create(&PostParams::default(), &from_value(deployment).unwrap()).await.unwrap();
    }

    /// Waits until the controllers have made so many Pods of a Deployment.
    pub(crate) async fn until_pods(&self, deployment: &str, count: usize) -> Vec<Pod> {
        let these = ListParams::default().labels(&format!("app={deployment}"));
        let made = async || {
            let counted = self.deployments.get(deployment).await.unwrap().status.and_then(|status| status.replicas);
            let pods = self.pods.list(&these).await.unwrap().items;
            (pods.len() == count && counted == i32::try_from(count).ok()).then_some(pods)
        };
        wait_for("the Pods of the Deployment", PATIENCE, made).await.unwrap()
    }

    /// Has that many Pods of a Deployment said to be ready.
    pub(crate) async fn make_ready(&self, deployment: &str, count: usize) {
        let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for pod in self.until_pods(deployment, count).await {
            self.pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&ready)).await.unwrap();
        }
    }

    /// Waits until a Pod knows of the token in the Secret.
    pub(crate) async fn until_told(&self, pod: &str) {
        let told = async || {
            let wanted = format!("{NAME}={}", fingerprint(&self.stage.token().await));
            let pod = self.pods.get(pod).await.unwrap();
            (pod.annotations().get(TOKEN) == Some(&wanted)).then_some(())
        };
        wait_for("the annotation of the Pod", PATIENCE, told).await.unwrap();
    }

    pub(crate) async fn until_restarted(&self, deployment: &str) -> Deployment {
        let restarted = async || {
            let wanted = format!("{NAME}={}", fingerprint(&self.stage.token().await));
            let deployment = self.deployments.get(deployment).await.unwrap();
            (restarted_for(&deployment) == Some(&wanted)).then_some(deployment)
        };
        wait_for("the restart of the Deployment", PATIENCE, restarted).await.unwrap()
    }

    /// Waits until the status says that the token in the Secret was delivered.
    pub(crate) async fn until_delivered(&self) -> SyniverseToken {
        let token = fingerprint(&self.stage.token().await);
        let is_delivered = |resource: &SyniverseToken| {
            let said = resource.status.as_ref().and_then(|status| status.propagation.as_ref()?.fingerprint.as_ref());
            said == Some(&token)
        };
        self.stage.until(NAME, "delivered", is_delivered).await
    }
}

pub(crate) fn restarted_for(deployment: &Deployment) -> Option<&String> {
    deployment.spec.as_ref()?.template.metadata.as_ref()?.annotations.as_ref()?.get(RESTART)
}

pub(crate) fn may_tell() -> [Value; 2] {
    [
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}),
        json!({"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}),
    ]
}

pub(crate) fn may_restart() -> Value {
    let resources = ["deployments", "statefulsets", "daemonsets"];
    json!({"apiGroups": ["apps"], "resources": resources, "verbs": ["list", "patch"]})
}

fn pod_spec(fields: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "app", "image": "none"}], "nodeName": NODE});
    for (key, value) in fields["container"].as_object().into_iter().flatten() {
        spec["containers"][0][key] = value.clone();
    }
    spec["volumes"] = fields["volumes"].clone();
    spec
}

pub(crate) fn mounting(volume: Value, mount: Value) -> Value {
    let mut volume = volume;
    volume["name"] = json!("token");
    let mut mount = mount;
    (mount["name"], mount["mountPath"]) = (json!("token"), json!("/token"));
    json!({"volumes": [volume], "container": {"volumeMounts": [mount]}})
}

pub(crate) fn with_volume() -> Value {
    with_volume_of(NAME)
}

pub(crate) fn with_volume_of(secret: &str) -> Value {
    mounting(json!({"secret": {"secretName": secret}}), json!({}))
}

pub(crate) fn with_environment() -> Value {
    with_environment_of(NAME)
}

pub(crate) fn with_environment_of(secret: &str) -> Value {
    let source = json!({"secretKeyRef": {"name": secret, "key": "accessToken"}});
    json!({"container": {"env": [{"name": "TOKEN", "valueFrom": source}]}})
}
