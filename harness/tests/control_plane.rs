//! The control plane is a real one, and goes away with whoever started it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use harness::{ControlPlane, Error, shared, wait_for};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_object_made_in_a_namespace_of_its_own_can_be_read_with_kubectl() {
    let cluster = shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();

    make_map(cluster.client().await.unwrap(), namespace.name(), "greeting").await;

    let read = cluster.kubectl(&["get", "configmap", "greeting", "-n", namespace.name(), "-o", "jsonpath={.data.key}"]);
    assert_eq!(read.unwrap(), "value");
}

#[tokio::test]
async fn a_refused_manifest_gives_the_reason_of_the_api_server() {
    let cluster = shared().await.unwrap();
    let nameless = "{apiVersion: v1, kind: Secret, metadata: {name: Not-A-Name}}";

    let refused = cluster.kubectl_with(&["apply", "-f", "-"], nameless).unwrap_err();

    assert!(matches!(&refused, Error::Failed { stderr, .. } if stderr.contains("RFC 1123")), "{refused}");
}

#[tokio::test]
async fn a_dropped_namespace_is_deleted() {
    let cluster = shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let name = namespace.name().to_owned();

    drop(namespace);

    let namespaces = Api::<Namespace>::all(cluster.client().await.unwrap());
    wait_for("the namespace to go", SOON, async || gone(&namespaces, &name).await).await.unwrap();
}

#[tokio::test]
async fn what_an_object_owns_goes_with_it() {
    let cluster = shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let client = cluster.client().await.unwrap();
    let owner = make_map(client.clone(), namespace.name(), "owner").await;
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace.name());
    let owned = ObjectMeta {
        name: Some("owned".to_owned()),
        owner_references: Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: "owner".to_owned(),
            uid: owner.metadata.uid.unwrap(),
            ..Default::default()
        }]),
        ..Default::default()
    };
    secrets.create(&PostParams::default(), &Secret { metadata: owned, ..Default::default() }).await.unwrap();

    let maps = Api::<ConfigMap>::namespaced(client, namespace.name());
    maps.delete("owner", &DeleteParams::default()).await.unwrap();

    wait_for("the owned Secret to go", SOON, async || gone(&secrets, "owned").await).await.unwrap();
}

#[tokio::test]
async fn a_stopped_api_server_comes_back_at_its_address_with_its_data() {
    let mut plane = ControlPlane::start().await.unwrap();
    let client = plane.cluster().client().await.unwrap();
    make_map(client.clone(), "default", "kept").await;
    let maps = Api::<ConfigMap>::namespaced(client, "default");

    plane.stop_apiserver();
    assert!(maps.get("kept").await.is_err());

    plane.start_apiserver().await.unwrap();
    assert!(maps.get("kept").await.is_ok());
}

#[tokio::test]
async fn every_change_is_told_whether_the_api_server_lives_or_not() {
    let mut plane = ControlPlane::start().await.unwrap();
    let client = plane.cluster().client().await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let changes = plane.changes(&["/registry/configmaps/default/told".to_owned()]).await.unwrap();
    let versions = |map: &ConfigMap| map.metadata.resource_version.clone();

    let made = versions(&make_map(client, "default", "told").await);
    plane.stop_apiserver();
    plane.start_apiserver().await.unwrap();
    let mut changed = maps.get("told").await.unwrap();
    changed.data = None;
    let changed = versions(&maps.replace("told", &PostParams::default(), &changed).await.unwrap());
    maps.delete("told", &DeleteParams::default()).await.unwrap();

    let told: Vec<_> = changes.take(3).try_collect().await.unwrap();
    let version = |object: &Option<Value>| {
        object.as_ref().map(|object| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
    };
    let told: Vec<_> = told.iter().map(|change| (version(&change.was), version(&change.is))).collect();
    assert_eq!(told, [(None, made.clone()), (made, changed.clone()), (changed, None)]);
}

#[tokio::test]
async fn a_killed_starter_leaves_neither_servers_nor_files() {
    let mut starter = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .args(["exec", "sh", "-c", "echo $KUBECONFIG; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut kubeconfig = String::new();
    BufReader::new(starter.stdout.take().unwrap()).read_line(&mut kubeconfig).unwrap();
    let folder = Path::new(kubeconfig.trim()).parent().unwrap().to_owned();
    // Each of the three servers with the shell that watches it, that shell's watcher, and the folder's sweeper.
    assert!(processes_that_name(&folder) >= 7);

    starter.kill().unwrap();
    starter.wait().unwrap();

    let nothing_left = async || (processes_that_name(&folder) == 0 && !folder.exists()).then_some(());
    wait_for("servers and files to go", SOON, nothing_left).await.unwrap();
}

async fn make_map(client: Client, namespace: &str, name: &str) -> ConfigMap {
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])),
        ..Default::default()
    };
    Api::namespaced(client, namespace).create(&PostParams::default(), &map).await.unwrap()
}

async fn gone<K>(api: &Api<K>, name: &str) -> Option<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.get_opt(name).await.unwrap().is_none().then_some(())
}

fn processes_that_name(folder: &Path) -> usize {
    let folder = folder.to_str().unwrap();
    let command_lines =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    command_lines.filter(|line| String::from_utf8_lossy(line).contains(folder)).count()
}
