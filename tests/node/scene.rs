//! What is measured on: a cluster with a node, a namespace with an operator in it, and a collector.

use crate::collector::Collector;
use crate::pods;
use crate::secrets::Secrets;
use crate::support::*;
use crate::usage;
use harness::Cluster;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use std::path::Path;

/// Where the Pods of a cluster on this machine reach it.
const ADDRESS: &str = "10.244.0.1:0";

/// A namespace with an operator, and a collector that its Pods reach.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) collector: Collector,
    pub(crate) secrets: Secrets,
    node: Node,
    nodes: usize,
    machine: String,
}

impl Scene {
    /// One on the cluster of `KUBECONFIG`; none, having said why, where there is nothing to run Pods.
    pub(crate) async fn open() -> Option<Self> {
        let Some(kubeconfig) = std::env::var_os("KUBECONFIG").filter(|it| !it.is_empty()) else {
            println!("skipped: KUBECONFIG is not set, and this needs a cluster with a node");
            return None;
        };
        let cluster = Cluster::of(kubeconfig.into()).unwrap();
        let ready = ready_nodes(&cluster).await;
        let Some(node) = ready.first().cloned() else {
            println!("skipped: the cluster of KUBECONFIG has no Ready node");
            return None;
        };
        cluster.install_crds(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/crds"))).unwrap();
        let mut stage = Stage::dark_in(&cluster).await;
        // With the rights of the kubeconfig: which ones the chart has to give is for its own tests.
        stage.start_operator_as(cluster.kubeconfig(), &[]);
        let address = std::env::var("SIMULATOR_ADDRESS").unwrap_or_else(|_| ADDRESS.to_owned());
        let collector = Collector::start(&address, stage.simulator.verify_endpoint()).await;
        let secrets = Secrets::watch(stage.secrets.clone());
        let scene = Self { stage, collector, secrets, node, nodes: ready.len(), machine: usage::machine() };
        pods::put_program(&scene, &scene.architecture()).await;
        Some(scene)
    }

    /// The architecture of its node, as Go names it.
    fn architecture(&self) -> String {
        self.node.status.as_ref().unwrap().node_info.as_ref().unwrap().architecture.clone()
    }

    /// What the figures were measured on.
    pub(crate) fn describe(&self) -> String {
        let info = self.node.status.as_ref().unwrap().node_info.as_ref().unwrap();
        let (kubelet, runtime) = (&info.kubelet_version, &info.container_runtime_version);
        let nodes = if self.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", self.nodes) };
        format!("{nodes}, kubelet {kubelet}, {runtime}; operator, issuer and measurement on {}", self.machine)
    }

    /// Ends the operator and waits until the namespace is gone with its Pods.
    pub(crate) async fn close(mut self) {
        self.stage.operator().kill9();
        pods::delete(&self, None).await;
        let Stage { namespace, .. } = self.stage;
        tokio::task::spawn_blocking(|| namespace.delete()).await.unwrap().unwrap();
    }
}

async fn ready_nodes(cluster: &Cluster) -> Vec<Node> {
    let is_ready = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True")
    };
    let nodes: Api<Node> = Api::all(cluster.client().await.unwrap());
    nodes.list(&Default::default()).await.unwrap().items.into_iter().filter(is_ready).collect()
}
