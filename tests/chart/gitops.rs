//! Beside tools that apply again and again what they find in a repository: plain manifests, and a second field manager.

use crate::files::generated;
use crate::helm::{Helm, Objects};
use crate::release::{RELEASE, Release};
use crate::support::*;
use kube::ResourceExt;
use serde_json::json;
use std::path::Path;
use std::{env, fs};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests");
/// What only Helm's own objects carry.
const OF_HELM: [&str; 5] = [
    "# Source: ",
    "helm.sh/chart: ",
    "helm.sh/resource-policy: ",
    "app.kubernetes.io/managed-by: Helm",
    "app.kubernetes.io/managed-by: \"Helm\"",
];

#[tokio::test]
async fn the_manifests_are_what_the_chart_renders() {
    let helm = Helm::offline();
    let chart = ["template", RELEASE, crate::helm::CHART, "--skip-tests", "--namespace", RELEASE];
    let text = helm.run(&chart).await.unwrap();
    let (definition, rest): (Vec<_>, Vec<_>) = text
        .split("\n---\n")
        .map(|document| document.trim_start_matches("---\n"))
        .partition(|document| document.contains("\nkind: CustomResourceDefinition\n"));
    for (file, documents) in [("crd.yaml", definition), ("install.yaml", rest)] {
        generated(&Path::new(MANIFESTS).join(file), &plain(&documents));
    }
}

/// Without what is Helm's own.
fn plain(documents: &[&str]) -> String {
    let mut plain = "# Made from the chart by `make manifests`.\n".to_owned();
    for document in documents {
        plain += "---\n";
        let lines = document.lines().filter(|line| !OF_HELM.iter().any(|mark| line.trim_start().starts_with(mark)));
        for line in lines.filter(|line| !line.trim().is_empty()) {
            plain += line.trim_end();
            plain.push('\n');
        }
    }
    plain
}

#[tokio::test]
async fn the_api_server_takes_the_manifests_and_every_policy_follows_the_namespace() {
    let cluster = harness::shared().await.unwrap();
    let folder = harness::Scratch::new().unwrap();
    for file in fs::read_dir(MANIFESTS).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let moved = text.replace(&format!("namespace: {RELEASE}"), "namespace: elsewhere");
        let text = if file.file_name() == "kustomization.yaml" { moved } else { text };
        fs::write(folder.path().join(file.file_name()), text).unwrap();
    }
    let built = cluster.kubectl(&["kustomize", &folder.path().display().to_string()]).unwrap();
    let objects = Objects::read(&built);
    let account = format!("request.userInfo.username == 'system:serviceaccount:elsewhere:{RELEASE}'");
    for policy in objects.of("ValidatingAdmissionPolicy") {
        assert_eq!(policy["spec"]["matchConditions"][0]["expression"], json!(account));
    }
    assert_eq!(objects.the("ClusterRoleBinding")["subjects"][0]["namespace"], "elsewhere");
    assert_eq!(objects.the("Namespace")["metadata"]["name"], "elsewhere");
    assert!(!built.contains("helm.sh/"));
    // Objects of a namespace that is not there yet are not tried.
    let taken =
        cluster.kubectl_with(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-"], &{
            let free = objects.0.iter().filter(|object| object["metadata"]["namespace"].is_null());
            json!({"apiVersion": "v1", "kind": "List", "items": free.collect::<Vec<_>>()}).to_string()
        });
    assert!(taken.is_ok(), "{}", taken.unwrap_err());
}

/// Helm 4 waits as kstatus reads a resource: for one that is made suspended there is nothing to wait for.
#[tokio::test]
async fn helm_does_not_wait_for_a_resource_that_is_created_suspended_and_kubectl_does() {
    let stage = Stage::open().await;
    let chart = harness::Scratch::new().unwrap();
    let write = |path: &str, text: &str| fs::write(chart.path().join(path), text).unwrap();
    fs::create_dir(chart.path().join("templates")).unwrap();
    write("Chart.yaml", "apiVersion: v2\nname: tokens\nversion: 0.1.0\n");
    let mut spec = stage.spec("1h");
    spec["suspend"] = json!(true);
    let object = json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "metadata": {"name": NAME},
        "spec": spec});
    write("templates/token.yaml", &object.to_string());
    let (helm, folder) = (Helm::on(&stage.cluster), chart.path().display().to_string());
    let wait = ["--wait", "--timeout", "20s", "--namespace", stage.namespace.name()];
    helm.run(&[&["install", "tokens", folder.as_str()], &wait[..]].concat()).await.unwrap();
    let ready = ["wait", "--for=condition=Ready", "--timeout=1s", "syniversetoken/messaging"];
    let cluster = stage.cluster.clone();
    let ready = [&["--namespace", stage.namespace.name()], &ready[..]].concat();
    assert!(cluster.kubectl(&ready).is_err(), "there is no token to be ready");
    assert_eq!(stage.calls(), 0);
    // Resumed, it is waited for until its token is there.
    let resumed = object.to_string().replace("\"suspend\":true", "\"suspend\":false");
    write("templates/token.yaml", &resumed);
    helm.run(&[&["upgrade", "tokens", folder.as_str()], &wait[..]].concat()).await.unwrap();
    assert!(is_ready(&stage.tokens.get(NAME).await.unwrap()));
}

#[tokio::test]
async fn a_lent_secret_in_a_release_of_helm_is_not_fought_over() {
    const LENT: &str = r#"apiVersion: v1
kind: Secret
metadata:
  name: messaging
  labels: {app.kubernetes.io/managed-by: "{{ .Release.Service }}"}
  annotations: {syniverse.dev/adopt: messaging}
"#;
    let stage = Stage::open().await;
    let release = Release::planned(&stage.cluster, stage.namespace.name());
    let chart = release.path("lent");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: lent\nversion: 1.0.0\n").unwrap();
    fs::write(chart.join("templates/secret.yaml"), LENT).unwrap();
    let chart = chart.display().to_string();
    release.helm(&["install", "lent", &chart]).await;
    stage.issued("1h").await;
    let filled = stage.secret(NAME).await;
    assert!(text(&filled, "accessToken").is_some());
    // No --force-conflicts: had the operator taken a field that Helm applies, this would fail.
    release.helm(&["upgrade", "lent", &chart]).await;
    stage.until_noticed(STATE).await;
    let upgraded = stage.secret(NAME).await;
    assert_eq!((&upgraded.data, upgraded.labels()), (&filled.data, filled.labels()));
    assert_eq!(upgraded.labels()["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_resource_applied_again_and_again_is_not_fought_over() {
    let stage = Stage::open().await;
    let manifest = json!({
        "apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
        "metadata": {"name": NAME, "labels": {"app.example.com/instance": "tokens"},
            "annotations": {"gitops.example.com/tracking-id": "tokens:SyniverseToken:messaging"}},
        "spec": stage.spec("1h"),
    })
    .to_string();
    let apply = || {
        let how = ["apply", "--server-side", "--field-manager=gitops", "--filename=-"];
        stage.cluster.kubectl_with(&[&["--namespace", stage.namespace.name()], &how[..]].concat(), &manifest).unwrap()
    };
    apply();
    let ready = stage.until_ready(NAME).await;
    stage.until_noticed(NAME).await;
    let before = stage.tokens.get(NAME).await.unwrap().resource_version();
    // No --force-conflicts: had the operator taken a field of the spec or of the metadata, this would fail.
    apply();
    stage.until_noticed(NAME).await;
    let after = stage.tokens.get(NAME).await.unwrap();
    assert_eq!(after.resource_version(), before);
    assert_eq!((after.labels(), after.annotations()), (ready.labels(), ready.annotations()));
    assert!(after.labels().contains_key("app.example.com/instance"));
    assert_eq!(stage.calls(), 1);
}
