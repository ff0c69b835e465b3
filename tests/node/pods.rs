//! Pods that watch the file of a token Secret. Their program comes in a ConfigMap, so that any image with a shell will do and
//! none has to be built or pushed.

use crate::scene::Scene;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;
use harness::{Scratch, wait_for};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use serde_json::{Value, from_value, json};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/consumer");
const PROGRAM: &str = "consumer";
const UNPACK_AND_RUN: &str = "/bin/busybox gunzip -c /program/consumer.gz > /run/consumer && \
    /bin/busybox chmod +x /run/consumer && exec /run/consumer";
/// How long Pods may take to go, or to come.
const PODS_PATIENCE: Duration = Duration::from_secs(300);

/// What the Pods of a group have in common.
pub(crate) struct Watchers<'a> {
    pub(crate) group: &'a str,
    pub(crate) count: usize,
    /// How often the file is read.
    pub(crate) poll: Duration,
    /// How often a request is made; none: never.
    pub(crate) use_every: Option<Duration>,
}

/// The name of a Pod of a group.
pub(crate) fn name(group: &str, number: usize) -> String {
    format!("{group}-{number}")
}

fn api<K>(scene: &Scene) -> Api<K>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(scene.stage.tokens.clone().into_client(), scene.stage.namespace.name())
}

/// Builds the program for an architecture and puts it into the namespace.
pub(crate) async fn put_program(scene: &Scene, architecture: &str) {
    let binary = build(architecture);
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&binary).unwrap();
    let packed = ByteString(packed.finish().unwrap());
    let metadata = ObjectMeta { name: Some(PROGRAM.to_owned()), ..ObjectMeta::default() };
    let binary_data = Some([("consumer.gz".to_owned(), packed)].into());
    let program = ConfigMap { metadata, binary_data, ..ConfigMap::default() };
    api::<ConfigMap>(scene).create(&PostParams::default(), &program).await.unwrap();
}

fn build(architecture: &str) -> Vec<u8> {
    let scratch = Scratch::new().unwrap();
    let output = scratch.path().join(PROGRAM);
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&output).arg(".").current_dir(SOURCE);
    go.env("CGO_ENABLED", "0").env("GOOS", "linux").env("GOARCH", architecture);
    assert!(go.status().expect("go runs").success(), "the program of the Pods was not built");
    std::fs::read(output).unwrap()
}

/// Creates the Pods of a group.
pub(crate) async fn create(scene: &Scene, watchers: &Watchers<'_>) {
    let pods = api::<Pod>(scene);
    let create = async |number| {
        let pod: Pod = from_value(pod(scene, watchers, number)).unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
    };
    join_all((0..watchers.count).map(create)).await;
}

/// Creates a Deployment of one Pod with the token in an environment variable: what it reads is a copy of that.
pub(crate) async fn deploy(scene: &Scene, watchers: &Watchers<'_>) {
    let mut template = pod(scene, watchers, 0);
    let (container, secret) = (&mut template["spec"]["containers"][0], watchers.group);
    container["command"][2] = json!(format!("printf %s \"$TOKEN\" > /run/token && {UNPACK_AND_RUN}"));
    container["volumeMounts"].as_array_mut().unwrap().retain(|mount| mount["name"] != "token");
    let variables = container["env"].as_array_mut().unwrap();
    variables.retain(|variable| variable["name"] != "TOKEN_FILE");
    variables.push(json!({"name": "TOKEN_FILE", "value": "/run/token"}));
    let source = json!({"secretKeyRef": {"name": secret, "key": "accessToken"}});
    variables.push(json!({"name": "TOKEN", "valueFrom": source}));
    template["spec"]["restartPolicy"] = json!("Always");
    template["spec"]["volumes"].as_array_mut().unwrap().retain(|volume| volume["name"] != "token");
    template["metadata"] = json!({"labels": {"group": secret}});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"group": secret}}, "template": template});
    let deployment = from_value(json!({"metadata": {"name": secret}, "spec": spec})).unwrap();
    api::<Deployment>(scene).create(&PostParams::default(), &deployment).await.unwrap();
}

/// The generation of a Deployment: each change of its spec is another.
pub(crate) async fn generation(scene: &Scene, deployment: &str) -> i64 {
    api::<Deployment>(scene).get(deployment).await.unwrap().metadata.generation.unwrap()
}

/// Deletes the Pods of a group, or all, and waits until they are gone.
pub(crate) async fn delete(scene: &Scene, group: Option<&str>) {
    let pods = api::<Pod>(scene);
    let these = group.map_or_else(ListParams::default, |group| ListParams::default().labels(&format!("group={group}")));
    pods.delete_collection(&DeleteParams::default(), &these).await.unwrap();
    let gone = async || pods.list(&these).await.ok()?.items.is_empty().then_some(());
    wait_for("the end of the Pods", PODS_PATIENCE, gone).await.unwrap();
}

fn pod(scene: &Scene, watchers: &Watchers<'_>, number: usize) -> Value {
    let name = name(watchers.group, number);
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    json!({
        "metadata": {"name": name, "labels": {"group": watchers.group}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": PROGRAM,
                "image": std::env::var("NODE_IMAGE").unwrap_or_else(|_| "busybox:1".to_owned()),
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-c", UNPACK_AND_RUN],
                "env": [
                    {"name": "COLLECTOR", "value": scene.collector.address.to_string()},
                    {"name": "POD", "value": name},
                    {"name": "TOKEN_FILE", "value": "/var/run/syniverse/accessToken"},
                    {"name": "POLL", "value": millis(watchers.poll)},
                    {"name": "USE", "value": watchers.use_every.map(millis)},
                    {"name": "GOMAXPROCS", "value": "1"},
                ],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "token", "mountPath": "/var/run/syniverse", "readOnly": true},
                    {"name": "program", "mountPath": "/program", "readOnly": true},
                    {"name": "run", "mountPath": "/run"},
                ],
            }],
            "volumes": [
                {"name": "token", "secret": {"secretName": watchers.group}},
                {"name": "program", "configMap": {"name": PROGRAM}},
                {"name": "run", "emptyDir": {}},
            ],
        },
    })
}

/// Waits for what Pods have to do first.
pub(crate) async fn until<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(what, PODS_PATIENCE, condition).await.unwrap()
}
