//! Whether two applications that take turns leave no gap, on a real API server with a simulated issuer, while the operator and
//! the API server are killed: `make bench-standby`. Beside them are as many resources of each other kind.
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
#[path = "standby/resources.rs"]
mod resources;
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
use harness::{ControlPlane, wait_for};
use jiff::{SignedDuration, Timestamp};

use dice::Dice;
use figures::{Figures, table};
use history::History;
use resources::{Issuers, KINDS};
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (duration, kills) = (duration()?, kills()?);
    println!("{RESOURCES} resources of each kind, tokens that live {VALIDITY:?},");
    println!("refreshBefore {REFRESH_BEFORE:?}, {kills} kills of the operator, 1 of the API server");
    println!("on {}, which runs all of it", usage::machine());
    let mut dice = Dice::thrown();
    let mut plane = ControlPlane::start().await?;
    let (cluster, client) = (plane.cluster().clone(), plane.cluster().client().await?);
    let namespace = cluster.namespace().await?;
    let issuers = Issuers::start().await?;
    let history = History::watch(&plane, namespace.name()).await?;
    let binary = env::var_os("OPERATOR").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_syniverse-token-operator").into());
    let mut operator = stage::operator(&binary, Some(cluster.kubeconfig()), namespace.name())?;
    issuers.create_resources(&client, namespace.name()).await?;
    let served = async || KINDS.iter().all(|kind| history.holding(kind.name, 1) == RESOURCES).then_some(());
    wait_for("the first tokens", PATIENCE, served).await?;

    let storm = Storm { lasts: duration.unwrap_or(DURATION), kills };
    println!("==> kills, for {:?}", storm.lasts);
    let outage = storm.rage(&mut plane, &mut operator, &mut dice).await?;
    if duration.is_none() {
        let overlapping = KINDS.iter().filter(|kind| kind.overlaps).map(|kind| kind.name);
        let all = async || {
            let mut holding = overlapping.clone().map(|kind| history.holding(kind, HAND_OVERS + 1));
            holding.all(|resources| resources == RESOURCES).then_some(())
        };
        if let Err(slow) = wait_for("ten hand-overs each", PATIENCE, all).await {
            println!("{slow}");
        }
    }
    let (until, journals) = (Timestamp::now(), KINDS.map(|kind| issuers.of(&kind).journal()));
    let held = history.end()?;
    ensure!(operator.process().status()?.is_none(), "the operator ended by itself:\n{}", operator.log());
    let figures = [0, 1, 2, 3].map(|place| Figures::of(KINDS[place].name, &held, &journals[place], &outage, until));
    ensure!(figures.iter().all(Figures::is_measured), "no rotation was seen: DURATION is too short");
    print!("{}", table(KINDS.map(|kind| kind.title), &figures, &outage));
    Ok(())
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
