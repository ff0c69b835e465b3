//! A release from its first day to its last, on a control plane of its own: what `helm` says and does, and that the
//! tokens live on through all of it.

use crate::helm::CHART;
use crate::release::{RELEASE, Release, values};
use crate::support::*;
use harness::{ControlPlane, Operator, wait_for};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;

const CRD: &str = "syniversetokens.syniverse.dev";
/// The grace period of the Pods.
const GRACE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_token_lives_through_install_upgrade_rollback_uninstall_and_install() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = plane.cluster();
    // The harness has installed the definition in another way; here the chart does.
    cluster.kubectl(&["delete", "crd", CRD]).unwrap();
    let release = Release::planned(cluster, "syniverse");
    cluster.kubectl(&["create", "namespace", "syniverse"]).unwrap();
    cluster.kubectl(&["label", "namespace", "syniverse", "pod-security.kubernetes.io/enforce=restricted"]).unwrap();

    // The chart before this one, with no values at all.
    let packages = release.path("packages").display().to_string();
    let older = ["--version", "0.0.1", "--app-version", "0.0.1"];
    release.helm.run(&[&["package", CHART, "--destination", &packages], &older[..]].concat()).await.unwrap();
    let said = release.helm(&["install", RELEASE, &format!("{packages}/{RELEASE}-0.0.1.tgz")]).await;
    assert!(said.contains("kubectl wait --for=condition=Ready"), "{said}");
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd", CRD]).unwrap();
    until_pods(&release, 2).await;

    // This one, with values for the simulator.
    let mut values = values();
    values["propagation"] = json!({"pods": true, "restart": true});
    release.helm(&["upgrade", RELEASE, CHART, "--set-json", &values.to_string()]).await;
    let scene = Workloads::on(Stage::dark_in(cluster).await).await;
    let stage = &scene.stage;
    let mut operator = release.start();
    until_serving(&values, "healthPort", "/readyz").await;
    until_serving(&values, "healthPort", "/healthz").await;
    until_serving(&values, "metricsPort", "/metrics").await;
    scene.run_pod("volume", with_volume()).await;
    scene.deploy("unaware", json!({}), with_environment()).await;
    scene.apply("1h", json!({"pods": "Annotate", "restart": {"mode": "Unaware"}})).await;
    stage.kubectl(&["wait", "--for=condition=Ready", "--timeout=30s", "syniversetoken/messaging"]).await;
    let token = stage.token().await;
    assert_eq!(Some(&token), stage.simulator.journal().tokens.last().map(|token| &token.value));

    scene.until_told("volume").await;
    scene.until_restarted("unaware").await;
    scene.until_delivered().await;
    let delivered = consumers(&scene).await;

    release.helm(&["upgrade", RELEASE, CHART, "--reuse-values", "--set", "logLevel=debug"]).await;
    operator = started_anew(&release, operator).await;
    assert!(arguments(&release).contains("--log-level=debug"));
    release.helm(&["rollback", RELEASE, "2"]).await;
    operator = started_anew(&release, operator).await;
    assert!(!arguments(&release).contains("--log-level=debug"));
    // Another generation has all looked through.
    stage.change(NAME, json!({"spec": {"refreshBefore": "7m"}})).await;
    scene.until_delivered().await;
    assert_eq!(consumers(&scene).await, delivered, "an upgrade tells and restarts nobody");

    let (tested, ()) = tokio::join!(release.helm(&["test", RELEASE, "--timeout", "60s"]), release.run_test_pod());
    assert!(tested.contains("Succeeded"), "{tested}");

    let state = stage.secret(STATE).await.resource_version();
    operator.stop(GRACE).await.unwrap();
    let said = release.helm(&["uninstall", RELEASE]).await;
    assert!(said.contains(CRD), "{said}");
    assert_eq!(left_behind(&release), [format!("customresourcedefinition.apiextensions.k8s.io/{CRD}")]);
    assert_eq!(stage.token().await, token);

    release.install(&values).await;
    let _operator = release.start();
    until_serving(&values, "healthPort", "/readyz").await;
    stage.until_ready(NAME).await;
    stage.until_noticed(NAME).await;
    assert_eq!((stage.token().await, stage.secret(STATE).await.resource_version()), (token, state));
    assert_eq!(stage.calls(), 1, "the issuer was asked once in all");
}

/// As a Deployment does: the old Pod is asked to end, and one of the new kind comes.
async fn started_anew(release: &Release, mut old: Operator) -> Operator {
    old.stop(GRACE).await.unwrap();
    let mut operator = release.start();
    operator.wait_for_log("became the leader", PATIENCE).await.unwrap();
    operator
}

/// The versions of a Pod that mounts the token and of a Deployment that has it in its environment.
async fn consumers(scene: &Workloads) -> [Option<String>; 2] {
    let pod = scene.pods.get("volume").await.unwrap().resource_version();
    let generation = scene.deployments.get("unaware").await.unwrap().metadata.generation;
    [pod, generation.map(|generation| generation.to_string())]
}

fn arguments(release: &Release) -> String {
    release.object("deployment", RELEASE)["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
}

/// Waits until the Pods are made, which the namespace's security standard has to let in.
async fn until_pods(release: &Release, wanted: usize) {
    let made = async || (release.kubectl(&["get", "pods", "--output=name"]).lines().count() == wanted).then_some(());
    wait_for("the Pods", PATIENCE, made).await.unwrap();
}

async fn until_serving(values: &Value, port: &str, path: &str) {
    let address = format!("http://127.0.0.1:{}{path}", values[port]);
    let answered = async || Some(reqwest::get(&address).await.ok()?.status().is_success()).filter(|good| *good);
    wait_for(&address, PATIENCE, answered).await.unwrap();
}

/// All that carries the labels of the release.
fn left_behind(release: &Release) -> Vec<String> {
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let kinds = "deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,\
        clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,\
        customresourcedefinitions";
    let left = release.kubectl(&["get", kinds, "--selector", &label, "--output=name"]);
    left.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_misspelt_field_of_a_kubernetes_type_is_refused_by_the_api_server() {
    let cluster = harness::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let release = Release::planned(&cluster, namespace.name());
    let mut values = crate::release::values_in(namespace.name());
    values["affinity"] = json!({"nodeAffinity": {"misspelt": []}});
    let values = values.to_string();
    let install = ["install", RELEASE, CHART, "--namespace", namespace.name(), "--set-json", &values];
    let refused = release.helm.run(&install).await.unwrap_err();
    assert!(refused.contains("affinity.nodeAffinity.misspelt: field not declared in schema"), "{refused}");
    // A failed release leaves what has no namespace, and would stay behind this one.
    release.helm(&["uninstall", RELEASE]).await;
}
