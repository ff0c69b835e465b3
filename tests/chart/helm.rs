//! Helm, and what it renders.

use harness::{Cluster, Scratch};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The chart.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/syniverse-token-operator");

/// Helm with a home of its own; with the administrator's rights on a cluster, or with none.
pub(crate) struct Helm {
    kubeconfig: PathBuf,
    home: Scratch,
}

impl Helm {
    /// For what needs no cluster.
    pub(crate) fn offline() -> Self {
        Self { kubeconfig: PathBuf::from("/dev/null"), home: Scratch::new().unwrap() }
    }

    /// For releases on a cluster.
    pub(crate) fn on(cluster: &Cluster) -> Self {
        Self::with(cluster.kubeconfig())
    }

    /// With the rights of a kubeconfig.
    pub(crate) fn with(kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), ..Self::offline() }
    }

    /// What it prints; what it complains of, if it fails.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut helm = self.command();
        helm.args(arguments);
        let output = tokio::task::spawn_blocking(move || helm.output().unwrap()).await.unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        if output.status.success() { Ok(stdout) } else { Err(stderr) }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(harness::helm().unwrap());
        command.env("KUBECONFIG", &self.kubeconfig);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path());
        }
        command
    }

    /// The objects that the chart makes of these values, as release `operator` in the namespace `syniverse`.
    pub(crate) async fn template(&self, values: &Value) -> Result<Objects, String> {
        self.template_in("syniverse", values).await
    }

    /// The same in another namespace.
    pub(crate) async fn template_in(&self, namespace: &str, values: &Value) -> Result<Objects, String> {
        let values = values.to_string();
        let text = self
            .run(&["template", "operator", CHART, "--namespace", namespace, "--skip-tests", "--set-json", &values])
            .await?;
        Ok(Objects::read(&text))
    }
}

/// The objects of a manifest.
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// Reads a stream of YAML documents.
    pub(crate) fn read(text: &str) -> Self {
        let objects = serde_saphyr::from_multiple::<Value>(text).unwrap().into_iter();
        Self(objects.filter(|object| !object.is_null()).collect())
    }

    /// All of one kind.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only one of a kind.
    pub(crate) fn the(&self, kind: &str) -> &Value {
        let [object] = self.of(kind)[..] else { panic!("{} objects of the kind {kind}", self.of(kind).len()) };
        object
    }

    /// The kinds of all that belong to no namespace.
    pub(crate) fn cluster_wide(&self) -> Vec<&str> {
        let free = self.0.iter().filter(|object| object["metadata"]["namespace"].is_null());
        free.map(|object| object["kind"].as_str().unwrap()).collect()
    }

    /// What the operator's Pods are made from.
    pub(crate) fn pod(&self) -> &Value {
        &self.the("Deployment")["spec"]["template"]["spec"]
    }

    /// The operator's arguments.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        let arguments = self.pod()["containers"][0]["args"].as_array().unwrap();
        arguments.iter().map(|argument| argument.as_str().unwrap()).collect()
    }
}
