//! How long workloads hold a dead token when sessions are extended, and what that costs, on a real API server with a
//! simulated issuer: `make bench-session`.
//!
//! It prints figures beside their targets, and fails only if it could not measure.

#[path = "session/figures.rs"]
mod figures;
#[path = "measure/record.rs"]
mod record;
#[path = "measure/requests.rs"]
#[allow(dead_code, reason = "requests are counted by kind, not in all")]
mod requests;
#[path = "measure/resources.rs"]
mod resources;
#[path = "../examples/demo/stage.rs"]
#[allow(dead_code, reason = "the example is one of an application")]
mod stage;
#[path = "measure/table.rs"]
mod table;

use std::time::Duration;

use anyhow::ensure;
use harness::{Cluster, ControlPlane};
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use issuer_simulator::switches::Switches;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

use figures::Extensions;
use requests::Requests;
use resources::{Resources, Rest};

const RESOURCES: usize = 20;
const EXTENSIONS: usize = 10;
const VALIDITY: Duration = Duration::from_secs(20);
/// What an extension brings about is over by then.
const SETTLED: Duration = Duration::from_secs(5);
/// The operator looks at its clocks once a minute: that shall be seen to cost nothing, too.
const REST: Duration = Duration::from_secs(62);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{RESOURCES} sessions, {EXTENSIONS} extensions of tokens that live {VALIDITY:?}, then {REST:?} at rest");
    let plane = ControlPlane::start().await?;
    let extensions = extend(plane.cluster()).await?;
    let rest = rest(plane.cluster()).await?;
    print!("{}", figures::table(&extensions, &rest));
    Ok(())
}

async fn extend(cluster: &Cluster) -> anyhow::Result<Extensions> {
    println!("==> extensions");
    let mut resources = opened(cluster, VALIDITY).await?;
    let before = Requests::so_far(cluster)?;
    let longest = VALIDITY * EXTENSIONS as u32 + PATIENCE;
    resources.until(longest, |record| record.held(EXTENSIONS + 1) == RESOURCES).await?;
    resources.pass(SETTLED).await?;
    let requests = Requests::so_far(cluster)?.since(&before);
    let figures = Extensions::of(&resources.record, &resources.simulator.journal(), requests);
    resources.stop().await?;
    ensure!(figures.seen() > 0, "no extension was seen within {longest:?}");
    Ok(figures)
}

async fn rest(cluster: &Cluster) -> anyhow::Result<Rest> {
    println!("==> at rest");
    let mut resources = opened(cluster, Duration::from_secs(3600)).await?;
    let rest = resources.rest(REST).await?;
    resources.stop().await?;
    Ok(rest)
}

/// Resources with a pasted pair each and no login, so that nothing heals the loss of one; their first tokens have
/// settled in their Secrets.
async fn opened(cluster: &Cluster, validity: Duration) -> anyhow::Result<Resources> {
    let names: Vec<String> = (1..=RESOURCES).map(|number| format!("session-{number:02}")).collect();
    let mut resources = Resources::start(cluster, Switches::default(), names.clone()).await?;
    for name in &names {
        let (token, refresh_token) = (format!("{name}-token"), format!("{name}-refresh-token"));
        let account = NewSession::account(name, "password").valid_for(u32::try_from(validity.as_secs())?);
        resources.simulator.add_session(account.with_pair(&token, &refresh_token, Life::of(Duration::from_secs(3600))));
        create(&resources, name, json!({"token": token, "refreshToken": refresh_token})).await?;
    }
    resources.until(PATIENCE, |record| record.held(1) == RESOURCES).await?;
    resources.pass(SETTLED).await?;
    Ok(resources)
}

async fn create(resources: &Resources, name: &str, credentials: serde_json::Value) -> anyhow::Result<()> {
    let secret_name = format!("{name}-session");
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": secret_name}, "stringData": credentials}))?;
    let resource: SyniverseToken = serde_json::from_value(json!({
        "apiVersion": "syniverse.dev/v1alpha1",
        "kind": "SyniverseToken",
        "metadata": {"name": name},
        "spec": {"session": {
            "endpoint": resources.simulator.session_endpoint(),
            "credentials": {"secretRef": {"name": secret_name}},
        }},
    }))?;
    Api::namespaced(resources.client.clone(), resources.namespace()).create(&PostParams::default(), &secret).await?;
    Api::namespaced(resources.client.clone(), resources.namespace()).create(&PostParams::default(), &resource).await?;
    Ok(())
}
