//! What a restart costs with a thousand fresh tokens, on a real API server with a simulated issuer: `make bench-restart`.
//!
//! It prints figures beside their targets, and fails only if it could not measure.

#[path = "measure/page.rs"]
mod page;
#[path = "measure/requests.rs"]
#[allow(dead_code, reason = "all requests are shown, none is counted by itself")]
mod requests;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use harness::{Cluster, ControlPlane, Namespace, Operator, wait_for};
use issuer_simulator::application::NewApplication;
use issuer_simulator::{Options, Simulator};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

use page::{free_address, is_ready, page};
use requests::Requests;

const RESOURCES: usize = 1000;
/// Requests of this program at a time, while it makes them.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a started operator is watched: its pass over each resource is over long before.
const WATCHED: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let plane = ControlPlane::start().await?;
    let (cluster, client) = (plane.cluster(), plane.cluster().client().await?);
    let namespace = cluster.namespace().await?;
    let simulator = Simulator::start(Options::default()).await?;
    let (address, health) = (free_address()?, free_address()?);
    let mut operator = start(cluster, &namespace, address, health)?;
    println!("==> {RESOURCES} first tokens");
    let begin = Instant::now();
    let creations = (0..RESOURCES).map(|number| create(&client, namespace.name(), &simulator, number));
    futures::stream::iter(creations).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let served = async || (served(address).await? == RESOURCES).then_some(());
    wait_for("the first tokens", PATIENCE, served).await?;
    println!("{RESOURCES} resources made and served in {:.1?}", begin.elapsed());
    operator.kill9();

    println!("==> restart");
    let calls = simulator.journal().calls.len();
    let versions = versions(&client, namespace.name()).await?;
    let before = Requests::so_far(cluster)?;
    let begin = Instant::now();
    operator.restart()?;
    wait_for("readiness", PATIENCE, async || is_ready(health).await.then_some(())).await?;
    let ready = begin.elapsed();
    let all = async || (passes(address).await? >= RESOURCES).then_some(());
    wait_for("a pass over each resource", PATIENCE, all).await?;
    let looked = begin.elapsed();
    tokio::time::sleep(WATCHED.saturating_sub(looked)).await;
    let requests = Requests::so_far(cluster)?.since(&before);
    let written = self::versions(&client, namespace.name()).await?.iter().filter(|now| !versions.contains(now)).count();
    println!("ready after                      {ready:>8.2?}   < 5 s");
    println!("each resource looked at after    {looked:>8.2?}");
    println!("calls to the issuer              {:>8}   0", simulator.journal().calls.len() - calls);
    println!("objects written, but the Lease   {written:>8}   0");
    for (what, count) in requests.of_an_operator() {
        println!("{what:<32} {count:>8}");
    }
    operator.stop(Duration::from_secs(30)).await?;
    Ok(())
}

/// Starts the operator, with its metrics at one address and the answers to probes at another one.
fn start(
    cluster: &Cluster,
    namespace: &Namespace,
    metrics: SocketAddr,
    health: SocketAddr,
) -> anyhow::Result<Operator> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--leader-election"]);
    // A leader that is killed is not waited for long.
    command.args(["--lease-duration=4s", "--renew-deadline=3s", "--retry-period=1s", "--call-timeout=1s"]);
    command.args(["--connect-timeout=1s", "--namespace", namespace.name(), "--lease-namespace", namespace.name()]);
    command.arg(format!("--listen={metrics}")).arg(format!("--health-listen={health}"));
    command.env("KUBECONFIG", cluster.kubeconfig());
    Ok(Operator::start(command)?)
}

async fn create(client: &Client, namespace: &str, simulator: &Simulator, number: usize) -> anyhow::Result<()> {
    let name = format!("token-{number:04}");
    simulator.add_application(NewApplication::expired(&name, "secret", "portal-token"));
    let credentials: Secret = serde_json::from_value(json!({
        "metadata": {"name": format!("{name}-credentials")},
        "stringData": {"consumerKey": name, "consumerSecret": "secret", "oldToken": "portal-token"},
    }))?;
    let resource: SyniverseToken = serde_json::from_value(json!({
        "apiVersion": "syniverse.dev/v1alpha1",
        "kind": "SyniverseToken",
        "metadata": {"name": name},
        "spec": {"application": {
            "endpoint": simulator.endpoint(),
            "credentials": {"secretRef": {"name": format!("{name}-credentials")}},
        }},
    }))?;
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &credentials).await?;
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &resource).await?;
    Ok(())
}

/// How many resources have a live token in their Secret.
async fn served(address: SocketAddr) -> Option<usize> {
    let metrics = page(address, "/metrics").await?;
    let ready = |line: &&str| line.starts_with("syniverse_token_ready{") && line.ends_with(" 1");
    Some(metrics.lines().filter(ready).count())
}

/// Name and version of every Secret and resource.
async fn versions(client: &Client, namespace: &str) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let resources: Api<SyniverseToken> = Api::namespaced(client.clone(), namespace);
    let secrets = secrets.list(&ListParams::default()).await?;
    let resources = resources.list(&ListParams::default()).await?;
    let mut all: Vec<_> = secrets.iter().map(|one| (one.name_any(), one.resource_version())).collect();
    all.extend(resources.iter().map(|one| (one.name_any(), one.resource_version())));
    Ok(all)
}

/// How many passes it has made.
async fn passes(address: SocketAddr) -> Option<usize> {
    let metrics = page(address, "/metrics").await?;
    let finished = "syniverse_token_reconcile_passes_total{outcome=\"finished\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(finished))?.parse().ok()
}
