//! `check`, on a control plane of its own with what the chart installs: nothing is wrong there, and each fault that is
//! planted is found, with what to do.

use crate::command::{Said, run};
use crate::support::*;
use harness::{ControlPlane, wait_for};
use issuer_simulator::application::NewApplication;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, from_value, json};

/// What the chart renders with its defaults.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/install.yaml");
/// The namespace and the name of all that is in them.
const OPERATOR: &str = "syniverse-token-operator";

/// A cluster in which nothing is wrong, until something is planted.
pub(crate) struct Installation {
    pub(crate) stage: Stage,
    client: Client,
    pub(crate) control_plane: ControlPlane,
}

impl Installation {
    /// A control plane with the chart's objects, the Pods of its Deployment said to be ready, and an operator beside it
    /// that keeps a token.
    pub(crate) async fn healthy() -> Self {
        let control_plane = ControlPlane::start().await.unwrap();
        let mut stage = Stage::dark_in(control_plane.cluster()).await;
        let issuer = stage.simulator.endpoint();
        let issuer = issuer.trim_start_matches("http://").split('/').next().unwrap();
        // Of hosts, only the simulator's, and a port that nobody answers at.
        let hosts = [format!("--endpoint-host={issuer}"), "--endpoint-host=127.0.0.1:1".to_owned()];
        let kubeconfig = stage.kubeconfig();
        stage.start_operator_with(&kubeconfig, &["--insecure-endpoints", &hosts[0], &hosts[1], "--log-level=debug"]);
        stage.issued("1h").await;
        let this = Self { client: stage.cluster.client().await.unwrap(), stage, control_plane };
        this.kubectl(&["create", "namespace", OPERATOR]).await;
        this.kubectl(&["apply", "--server-side", "-n", OPERATOR, "-f", MANIFESTS]).await;
        this.lease(0, "leader").await;
        this.pods("Running", json!([{"type": "Ready", "status": "True"}]), json!([])).await;
        this
    }

    async fn kubectl(&self, arguments: &[&str]) {
        let (cluster, arguments) =
            (self.stage.cluster.clone(), arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        let run = move || cluster.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    }

    /// Has the Lease renewed so many seconds ago.
    async fn lease(&self, age: i64, holder: &str) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), OPERATOR);
        let renewed = Timestamp::now() - jiff::SignedDuration::from_secs(age);
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": OPERATOR},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 3600, "renewTime": format!("{renewed:.6}")}});
        let apply = PatchParams::apply(FIELD_MANAGER).force();
        leases.patch(OPERATOR, &apply, &Patch::Apply(from_value::<Lease>(lease).unwrap())).await.unwrap();
    }

    /// Says this of the Pods of the Deployment, as a kubelet would, and waits until the Deployment counts them.
    async fn pods(&self, phase: &str, conditions: Value, containers: Value) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), OPERATOR);
        let made = async || {
            let list = pods.list(&ListParams::default()).await.unwrap().items;
            (list.len() == 2).then_some(list)
        };
        let is_ready = conditions[0]["status"] == "True";
        let status = json!({"status": {"phase": phase, "conditions": conditions, "containerStatuses": containers}});
        for pod in wait_for("the Pods of the Deployment", PATIENCE, made).await.unwrap() {
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        }
        let counted = async || {
            let path = "jsonpath={.status.readyReplicas}";
            let arguments = ["-n", OPERATOR, "get", "deployment", OPERATOR, "-o", path];
            let ready = self.stage.cluster.kubectl(&arguments).unwrap();
            (ready == if is_ready { "2" } else { "" }).then_some(())
        };
        wait_for("the Deployment to count its Pods", PATIENCE, counted).await.unwrap();
    }

    async fn check(&self, arguments: &[&str]) -> Said {
        run(self.stage.cluster.kubeconfig(), &[&["check"], arguments].concat(), "").await
    }

    /// What is wrong: the id and the detail of each.
    async fn faults(&self) -> Vec<(String, String)> {
        let told = self.check(&["-o", "json"]).await;
        let document: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
        let checks = document["checks"].as_array().unwrap().iter().filter(|check| check["status"] != "ok");
        let fault = |check: &Value| {
            assert!(check["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{check}");
            (check["id"].as_str().unwrap().to_owned(), check["detail"].as_str().unwrap().to_owned())
        };
        checks.map(fault).collect()
    }

    /// Waits until this is found, and nothing else.
    async fn until_found(&self, id: &str, detail: &str) {
        let mut last = Vec::new();
        let found = async || {
            last = self.faults().await;
            let is_found = last.iter().any(|fault| fault.0 == id && fault.1.contains(detail));
            (is_found && last.iter().all(|fault| fault.0 == id)).then_some(())
        };
        if wait_for(id, PATIENCE, found).await.is_err() {
            panic!("{id}: {detail} is not found, or not alone: {last:#?}");
        }
    }

    async fn until_nothing_is_found(&self) {
        let mut last = Vec::new();
        let clean = async || {
            last = self.faults().await;
            last.is_empty().then_some(())
        };
        if wait_for("nothing wrong", PATIENCE, clean).await.is_err() {
            panic!("{last:#?}");
        }
    }

    /// Plants a fault, has it found, and takes it back.
    async fn finds(&self, id: &str, detail: &str, plant: &[&str], mend: &[&str]) {
        self.kubectl(plant).await;
        self.until_found(id, detail).await;
        self.kubectl(mend).await;
    }

    /// Plants a resource, has what is wrong with it found, and takes it back.
    async fn finds_in(&self, spec: Value, detail: &str) {
        self.stage.apply("planted", spec).await;
        self.until_found("reasons", detail).await;
        self.stage.delete("planted").await;
        let gone = async || self.stage.tokens.get_opt("planted").await.unwrap().is_none().then_some(());
        wait_for("the end of the resource", PATIENCE, gone).await.unwrap();
    }

    /// A spec with another application than that of the stage.
    fn spec(&self, credentials: &str) -> Value {
        let mut spec = self.stage.spec("1h");
        spec["application"]["credentials"]["secretRef"]["name"] = json!(credentials);
        spec
    }
}

const DEPLOYMENT: [&str; 4] = ["-n", OPERATOR, "patch", "deployment/syniverse-token-operator"];

#[tokio::test]
async fn each_planted_fault_is_found_and_nothing_on_a_healthy_cluster() {
    let installed = Installation::healthy().await;
    installed.until_nothing_is_found().await;
    let told = installed.check(&[]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.ends_with("result: nothing is wrong\n") && told.out.contains("\noperator\n"), "{told:?}");
    who_may_not_look(&installed).await;
    the_issuers(&installed).await;
    the_operator(&installed).await;
    the_tokens(&installed).await;
    installed.until_nothing_is_found().await;
    the_cluster(installed).await;
}

async fn the_operator(installed: &Installation) {
    let ready = || json!([{"type": "Ready", "status": "True"}]);
    let not_ready = || json!([{"type": "Ready", "status": "False"}]);
    let waiting = |reason: &str| json!([container(json!({"waiting": {"reason": reason}}), json!({}))]);
    installed.pods("Pending", not_ready(), waiting("ImagePullBackOff")).await;
    installed.until_found("replicas", "ImagePullBackOff").await;
    installed.pods("Running", not_ready(), waiting("CrashLoopBackOff")).await;
    installed.until_found("replicas", "0 of 2 ready: Pod syniverse-token-operator-").await;
    let killed =
        json!({"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": Timestamp::now().to_string()}});
    installed.pods("Running", ready(), json!([container(json!({"running": {}}), killed)])).await;
    installed.until_found("memory", "was killed for its memory").await;
    installed.pods("Running", ready(), json!([])).await;
    installed.lease(9_000, "gone").await;
    installed.until_found("leader", "gone renewed Lease").await;
    installed.lease(0, "").await;
    installed.until_found("leader", "has no holder").await;
    installed.lease(0, "leader").await;
    let version = |version: &str| json!({"metadata": {"labels": {"app.kubernetes.io/version": version}}}).to_string();
    let [old, own] = ["0.0.1", env!("CARGO_PKG_VERSION")].map(version);
    let patch = |patch| [DEPLOYMENT.as_slice(), &["--type=merge", "-p", patch]].concat();
    installed.finds("version", "is version 0.0.1", &patch(&old), &patch(&own)).await;
    let role = "clusterrole/syniverse-token-operator.syniverse-token-operator";
    let rule = |verbs: &str| format!(r#"[{{"op": "replace", "path": "/rules/2/verbs", "value": [{verbs}]}}]"#);
    let [few, all] = [r#""get","list","watch","create""#, r#""get","list","watch","create","update""#].map(rule);
    let patch = |patch| ["patch", role, "--type=json", "-p", patch];
    installed.finds("rbac", "lacks in all namespaces: update secrets", &patch(&few), &patch(&all)).await;
    let second = r#"{"metadata": {"labels": {"app.kubernetes.io/instance": "second"}}}"#;
    installed.kubectl(&["create", "namespace", "second"]).await;
    let copy = second_deployment(installed).await;
    installed.kubectl(&["apply", "-f", copy.1.to_str().unwrap()]).await;
    installed.kubectl(&["-n", "second", "patch", "deployment/second", "--type=merge", "-p", second]).await;
    let found = async || installed.faults().await.iter().any(|fault| fault.0 == "rival").then_some(());
    wait_for("the second release", PATIENCE, found).await.unwrap();
    installed.kubectl(&["-n", "second", "delete", "deployment/second"]).await;
}

/// A Deployment of another release, which works everywhere as well.
async fn second_deployment(installed: &Installation) -> (harness::Scratch, std::path::PathBuf) {
    let said = installed.stage.cluster.kubectl(&["-n", OPERATOR, "get", "deployment", OPERATOR, "-o", "json"]).unwrap();
    let mut deployment: Value = serde_json::from_str(&said).unwrap();
    deployment["metadata"] =
        json!({"name": "second", "namespace": "second", "labels": deployment["metadata"]["labels"]});
    deployment["status"] = Value::Null;
    let scratch = harness::Scratch::new().unwrap();
    let file = scratch.path().join("second.json");
    std::fs::write(&file, deployment.to_string()).unwrap();
    (scratch, file)
}

fn container(state: Value, last: Value) -> Value {
    json!({"name": "operator", "image": "i", "imageID": "i", "ready": false, "restartCount": 3, "state": state,
        "lastState": last})
}

async fn the_tokens(installed: &Installation) {
    let stage = &installed.stage;
    installed.finds_in(installed.spec("nowhere"), "CredentialsNotFound").await;
    stage.put_secret("incomplete", &[("consumerKey", "key")]).await;
    installed.finds_in(installed.spec("incomplete"), "CredentialsIncomplete").await;
    stage.put_secret("invalid", &credentials("key\u{7}", "secret", "old")).await;
    installed.finds_in(installed.spec("invalid"), "CredentialsInvalid").await;
    stage.put_secret("wrong", &credentials("key", "secret", "old")).await;
    installed.finds_in(installed.spec("wrong"), "CredentialsSuspect").await;
    let mut foreign = stage.spec("1h");
    foreign["secret"] = json!({"name": "wrong"});
    installed.finds_in(foreign, "SecretNotOwned").await;
    let mut down = installed.spec("wrong");
    down["application"]["endpoint"] = json!("https://127.0.0.1:1/none");
    installed.finds_in(down, "IssuerUnavailable").await;
    let mut elsewhere = installed.spec("wrong");
    elsewhere["application"]["endpoint"] = json!("https://elsewhere.example.com/token");
    installed.finds_in(elsewhere, "EndpointNotAllowed").await;
    let mut labelled = stage.spec("1h");
    labelled["secret"] = json!({"name": "labelled", "labels": {"grafana_dashboard": "1"}});
    installed.finds_in(labelled, "MetadataNotAllowed").await;
    let mut told = stage.spec("1h");
    (told["secret"], told["propagation"]) = (json!({"name": "told"}), json!({"pods": "Annotate"}));
    installed.finds_in(told, "PropagationRefused").await;
    let mut standby = stage.spec("1h");
    standby["secret"] = json!({"name": "turns"});
    standby["application"]["standby"] = json!({"credentials": {"secretRef": {"name": "nowhere"}}});
    installed.finds_in(standby, "StandbyFailing").await;
    a_reason_of_a_later_version(installed).await;
    let suspend = |value: bool| json!({"spec": {"suspend": value}});
    stage.change(NAME, suspend(true)).await;
    installed.until_found("suspended", "/messaging: suspended").await;
    stage.change(NAME, suspend(false)).await;
}

/// The operator that runs here takes it back, some seconds later.
async fn a_reason_of_a_later_version(installed: &Installation) {
    let said = json!({"status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False",
        "reason": "FromTheFuture", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let tokens = &installed.stage.tokens;
    let found = async || {
        tokens.patch_status(NAME, &PatchParams::default(), &Patch::Merge(&said)).await.unwrap();
        installed.faults().await.iter().any(|fault| fault.1.contains("FromTheFuture")).then_some(())
    };
    wait_for("the reason of a later version", PATIENCE, found).await.unwrap();
    installed.until_nothing_is_found().await;
}

/// Only where its user asks for that, and without a credential.
async fn the_issuers(installed: &Installation) {
    let calls = installed.stage.calls();
    let told = installed.check(&["--call"]).await;
    assert!(told.code == 0 && told.out.contains("answers HTTP 400 to an incomplete request"), "{told:?}");
    installed.stage.simulator.down().await.unwrap();
    let told = installed.check(&["--call"]).await;
    assert!(told.code == 1 && told.out.contains("FAIL http://127.0.0.1:") && told.out.contains("#issuer"), "{told:?}");
    installed.stage.simulator.up().await.unwrap();
    assert!(installed.stage.calls() <= calls + 1, "the issuer counts one incomplete request");
}

/// Who may do nothing is not told that all is well.
async fn who_may_not_look(installed: &Installation) {
    let config = std::fs::read_to_string(installed.stage.cluster.kubeconfig()).unwrap();
    let scratch = harness::Scratch::new().unwrap();
    installed.kubectl(&["-n", "default", "create", "serviceaccount", "nobody"]).await;
    let token = installed.stage.cluster.kubectl(&["-n", "default", "create", "token", "nobody"]).unwrap();
    let mut kubeconfig: Value = serde_saphyr::from_str(&config).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": token.trim()});
    let file = scratch.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let told = run(&file, &["check"], "").await;
    assert!(told.code == 2 && told.err.contains("could not be looked at"), "{told:?}");
    let told = run(&file, &["status"], "").await;
    assert!(told.code == 2 && told.err.contains("cannot list resource") && !told.err.contains("Status {"), "{told:?}");
}

/// Without an operator: a token that nobody renews, a resource that nobody sees, no Deployment, no definition.
async fn the_cluster(mut installed: Installation) {
    installed.stage.simulator.add_application(NewApplication::expired("key", "secret", "old"));
    let mut short = installed.spec("wrong");
    short["application"]["validity"] = json!("8s");
    installed.stage.apply("short", short).await;
    installed.stage.until_ready("short").await;
    installed.stage.operator().kill9();
    installed.until_found("dead", "/short: the token is not renewed").await;
    installed.stage.delete("short").await;
    installed.stage.apply("unseen", installed.stage.spec("1h")).await;
    installed.until_found("unseen", "/unseen: no operator has looked at it").await;
    installed.stage.delete("unseen").await;
    let binding = "validatingadmissionpolicybinding";
    installed.kubectl(&["delete", binding, "--all"]).await;
    installed.until_found("admission-policy", "is not bound").await;
    installed.kubectl(&["-n", OPERATOR, "delete", "deployment/syniverse-token-operator"]).await;
    installed.until_found("operator", "no Deployment of the operator").await;
    let old = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/propagation"}]"#;
    let definition = "crd/syniversetokens.syniverse.dev";
    installed.kubectl(&["patch", definition, "--type=json", "-p", old]).await;
    let lacks = async || {
        installed.faults().await.iter().any(|fault| fault.1.contains("it lacks spec.propagation")).then_some(())
    };
    wait_for("the older definition", PATIENCE, lacks).await.unwrap();
    assert_eq!(installed.check(&["--pre"]).await.code, 1);
    installed.kubectl(&["delete", definition]).await;
    let missing = async || installed.faults().await.iter().any(|fault| fault.1.contains("is missing")).then_some(());
    wait_for("the missing definition", PATIENCE, missing).await.unwrap();
    let told = installed.check(&["--pre"]).await;
    assert!(told.code == 0 && told.out.contains("the chart brings it"), "{told:?}");
}
