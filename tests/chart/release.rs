//! What a node would do for a release: run the operator as its Deployment says, under its service account.

use crate::helm::{CHART, Helm, Objects};
use crate::support::PATIENCE;
use harness::{Cluster, Operator, Scratch, wait_for};
use kube::config::Kubeconfig;
use kube::{Client, Config};
use serde_json::{Value, from_str, json, to_value};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of every release.
pub(crate) const RELEASE: &str = "syniverse-token-operator";
const BINARY: &str = env!("CARGO_BIN_EXE_syniverse-token-operator");

/// A release of the chart.
pub(crate) struct Release {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    pub(crate) helm: Helm,
    scratch: Scratch,
}

impl Release {
    /// One that is not installed yet.
    pub(crate) fn planned(cluster: &Cluster, namespace: &str) -> Self {
        let (cluster, namespace) = (cluster.clone(), namespace.to_owned());
        Self { helm: Helm::on(&cluster), cluster, namespace, scratch: Scratch::new().unwrap() }
    }

    /// Installs the chart as it is in the repository.
    pub(crate) async fn install(&self, values: &Value) -> String {
        self.helm(&["install", RELEASE, CHART, "--set-json", &values.to_string()]).await
    }

    /// Runs Helm in the namespace of the release.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> String {
        let arguments = [arguments, &["--namespace", &self.namespace]].concat();
        self.helm.run(&arguments).await.unwrap_or_else(|why| panic!("helm {}: {why}", arguments.join(" ")))
    }

    /// A file of this release's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// An object of the release, as it is in the cluster.
    pub(crate) fn object(&self, kind: &str, name: &str) -> Value {
        from_str(&self.kubectl(&["get", kind, name, "--output=json"])).unwrap()
    }

    /// Runs kubectl in the namespace of the release.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat()).unwrap()
    }

    /// A client with the rights of the service account.
    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// A kubeconfig with the rights of the service account.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let path = self.path("kubeconfig");
        write_kubeconfig(&self.cluster, &self.namespace, &path);
        path
    }

    /// Starts the operator as the Deployment in the cluster says.
    pub(crate) fn start(&self) -> Operator {
        let deployment = self.object("deployment", RELEASE);
        Operator::start(command(&deployment["spec"]["template"]["spec"], &self.kubeconfig())).unwrap()
    }

    /// Waits for a Pod of `helm test`, runs its container, and says how it ended.
    pub(crate) async fn run_test_pod(&self) {
        let name = format!("{RELEASE}-test");
        let found = async || self.cluster.kubectl(&["--namespace", &self.namespace, "get", "pod", &name]).ok();
        wait_for("the Pod of helm test", PATIENCE, found).await.unwrap();
        let pod = self.object("pod", &name);
        let ended = command(&pod["spec"], Path::new("/dev/null")).output().unwrap();
        let phase = if ended.status.success() { "Succeeded" } else { "Failed" };
        let status = json!({"status": {"phase": phase}}).to_string();
        self.kubectl(&["patch", "pod", &name, "--subresource=status", "--type=merge", "--patch", &status]);
    }
}

/// Writes a kubeconfig with the rights of the chart's service account, whose context is its namespace.
pub(crate) fn write_kubeconfig(cluster: &Cluster, namespace: &str, path: &Path) {
    let token = cluster.kubectl(&["--namespace", namespace, "create", "token", RELEASE]).unwrap();
    let mut kubeconfig = to_value(Kubeconfig::read_from(cluster.kubeconfig()).unwrap()).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": token.trim()});
    kubeconfig["contexts"][0]["context"]["namespace"] = json!(namespace);
    std::fs::write(path, kubeconfig.to_string()).unwrap();
}

/// The operator as a Pod says, with nothing of this process' own.
pub(crate) fn command(pod: &Value, kubeconfig: &Path) -> Command {
    let container = &pod["containers"][0];
    let mut command = Command::new(BINARY);
    command.args(container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
    for variable in container["env"].as_array().into_iter().flatten() {
        command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
    }
    command.env("KUBECONFIG", kubeconfig);
    command
}

/// Values that let the operator ask a simulator, and listen on a port of its own.
pub(crate) fn values() -> Value {
    json!({"endpointHosts": ["*"], "insecureEndpoints": true, "metricsPort": harness::free_port().unwrap(),
        "healthPort": harness::free_port().unwrap()})
}

/// The same for a release that works in its own namespace, on a control plane that others use.
pub(crate) fn values_in(namespace: &str) -> Value {
    let mut values = values();
    values["watchNamespaces"] = json!([namespace]);
    values["crds"] = json!({"install": false});
    values
}

/// Applies objects as the administrator.
pub(crate) fn apply(cluster: &Cluster, objects: &Objects) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.0});
    cluster.kubectl_with(&["apply", "--server-side", "--filename=-"], &list.to_string()).unwrap();
}
