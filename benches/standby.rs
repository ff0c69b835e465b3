//! Whether two applications that take turns leave no gap, on a real API server with a simulated issuer, while the operator and
//! the API server are killed: `make bench-standby`. Beside them are as many resources with one application each.
//!
//! It prints figures, and fails only if it could not measure. `DURATION=60s` ends it before ten hand-overs, `KILLS=0` spares the
//! operator, `SEED` gives the same moments again, `OPERATOR` names another binary to measure.

#[path = "../tests/support/dice.rs"]
#[allow(clippy::unwrap_used, reason = "tests have it, too")]
mod dice;
#[path = "standby/figures.rs"]
mod figures;
#[path = "standby/history.rs"]
mod history;
#[path = "../examples/demo/stage.rs"]
#[allow(dead_code, reason = "a watch of the API server ends with that")]
mod stage;
#[path = "standby/storm.rs"]
mod storm;
#[path = "measure/usage.rs"]
#[allow(dead_code, reason = "only the machine is named")]
mod usage;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{ControlPlane, wait_for};
use issuer_simulator::application::NewApplication;
use issuer_simulator::{Options, Simulator};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use syniverse_token_core::api::SyniverseToken;

use dice::Dice;
use figures::{Figures, table};
use history::History;
use storm::Storm;

/// Of each kind.
const RESOURCES: usize = 20;
const HAND_OVERS: usize = 10;
const VALIDITY: Duration = Duration::from_secs(30);
const REFRESH_BEFORE: Duration = Duration::from_secs(10);
/// Of the storm; hand-overs that are missing then are waited for.
const DURATION: Duration = Duration::from_secs(190);
const KILLS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests of this program at a time, while it makes the resources.
const AT_ONCE: usize = 16;
/// The names of resources with two applications begin with it.
const TWO: &str = "two";
/// The names of those with one.
const ONE: &str = "one";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (duration, kills) = (duration()?, kills()?);
    println!("{RESOURCES} resources with a standby, {RESOURCES} without, tokens that live {VALIDITY:?},");
    println!("refreshBefore {REFRESH_BEFORE:?}, {kills} kills of the operator, 1 of the API server");
    println!("on {}, which runs all of it", usage::machine());
    let mut dice = Dice::thrown();
    let mut plane = ControlPlane::start().await?;
    let (cluster, client) = (plane.cluster().clone(), plane.cluster().client().await?);
    let namespace = cluster.namespace().await?;
    let simulator = Simulator::start(Options::default()).await?;
    let history = History::watch(&plane, namespace.name()).await?;
    let binary = env::var_os("OPERATOR").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_syniverse-token-operator").into());
    let mut operator = stage::operator(&binary, Some(cluster.kubeconfig()), namespace.name())?;
    create(&client, namespace.name(), &simulator).await?;
    let served = async || (history.holding(TWO, 1) + history.holding(ONE, 1) == 2 * RESOURCES).then_some(());
    wait_for("the first tokens", PATIENCE, served).await?;

    let storm = Storm { lasts: duration.unwrap_or(DURATION), kills };
    println!("==> kills, for {:?}", storm.lasts);
    let outage = storm.rage(&mut plane, &mut operator, &mut dice).await?;
    if duration.is_none() {
        let all = async || (history.holding(TWO, HAND_OVERS + 1) == RESOURCES).then_some(());
        if let Err(slow) = wait_for("ten hand-overs each", PATIENCE, all).await {
            println!("{slow}");
        }
    }
    let (until, journal) = (Timestamp::now(), simulator.journal());
    let held = history.end()?;
    ensure!(operator.process().status()?.is_none(), "the operator ended by itself:\n{}", operator.log());
    let [two, one] = [TWO, ONE].map(|kind| Figures::of(kind, &held, &journal, &outage, until));
    ensure!(two.is_measured() && one.is_measured(), "no rotation was seen: DURATION is too short");
    print!("{}", table(&two, &one, &outage));
    Ok(())
}

/// Resources with their applications, all of whose first tokens are over.
async fn create(client: &Client, namespace: &str, simulator: &Simulator) -> anyhow::Result<()> {
    let names = (0..RESOURCES).flat_map(|number| [TWO, ONE].map(|kind| (kind, format!("{kind}-{number:02}"))));
    let creations = names.map(async |(kind, name)| {
        let mut application = json!({
            "endpoint": simulator.endpoint(),
            "validity": format!("{}s", VALIDITY.as_secs()),
            "credentials": add_application(client, namespace, simulator, &format!("{name}-first")).await?,
        });
        if kind == TWO {
            let credentials = add_application(client, namespace, simulator, &format!("{name}-second")).await?;
            application["standby"] = json!({"credentials": credentials});
        }
        let resource: SyniverseToken = serde_json::from_value(json!({
            "apiVersion": "syniverse.dev/v1alpha1",
            "kind": "SyniverseToken",
            "metadata": {"name": name},
            "spec": {"application": application, "refreshBefore": format!("{}s", REFRESH_BEFORE.as_secs())},
        }))?;
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &resource).await?;
        anyhow::Ok(())
    });
    stream::iter(creations).buffer_unordered(AT_ONCE).try_collect().await
}

/// Registers an application, puts its credentials into a Secret of that name, and gives what refers to that.
async fn add_application(client: &Client, namespace: &str, simulator: &Simulator, name: &str) -> anyhow::Result<Value> {
    let old = format!("{name}-portal-token");
    simulator.add_application(NewApplication::expired(name, "secret", &old));
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": name},
        "stringData": {"consumerKey": name, "consumerSecret": "secret", "oldToken": old},
    }))?;
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &secret).await?;
    Ok(json!({"secretRef": {"name": name}}))
}

fn duration() -> anyhow::Result<Option<Duration>> {
    let Ok(text) = env::var("DURATION") else { return Ok(None) };
    let length: SignedDuration = text.parse().context("DURATION is not of the form 200s or 5m")?;
    Ok(Some(Duration::try_from(length)?))
}

fn kills() -> anyhow::Result<u32> {
    let Ok(text) = env::var("KILLS") else { return Ok(KILLS) };
    text.parse().context("KILLS is not a number")
}
