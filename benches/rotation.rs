//! How late rotations are and what they cost, on a real API server with a simulated issuer: `make bench-rotation`.
//!
//! It prints figures beside their targets, and fails only if it could not measure. `LATENCY=100-300` has the issuer take
//! so many milliseconds for a request, each another time within these limits.

#[path = "rotation/figures.rs"]
mod figures;
#[path = "measure/record.rs"]
mod record;
#[path = "measure/requests.rs"]
#[allow(dead_code, reason = "requests are counted by kind, not in all")]
mod requests;
#[path = "measure/resources.rs"]
mod resources;
#[path = "../examples/demo/stage.rs"]
mod stage;
#[path = "measure/table.rs"]
mod table;

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::{Cluster, ControlPlane};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault, Stage};
use issuer_simulator::switches::{Rounding, Switches};

use figures::Rotations;
use requests::Requests;
use resources::{Resources, Rest};
use stage::Example;
use syniverse_token_core::fingerprint::spread;

const RESOURCES: usize = 20;
const ROTATIONS: usize = 3;
const VALIDITY: Duration = Duration::from_secs(20);
/// What a rotation brings about is over by then, and the check before the next one has not begun.
const SETTLED: Duration = Duration::from_secs(5);
/// The operator looks at its clocks once a minute: that shall be seen to cost nothing, too.
const REST: Duration = Duration::from_secs(62);
const PATIENCE: Duration = Duration::from_secs(30);
/// More than the requests of a run.
const DELAYS: u64 = 2000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{RESOURCES} resources, {ROTATIONS} rotations of tokens that live {VALIDITY:?}, then {REST:?} at rest");
    let plane = ControlPlane::start().await?;
    let down = rotate(plane.cluster(), Rounding::Down).await?;
    let up = rotate(plane.cluster(), Rounding::Up).await?;
    let rest = rest(plane.cluster()).await?;
    print!("{}", figures::table(&down, &up, &rest));
    Ok(())
}

async fn rotate(cluster: &Cluster, rounding: Rounding) -> anyhow::Result<Rotations> {
    println!("==> rotations, the issuer rounding {rounding:?}");
    let mut resources = issued(cluster, rounding, VALIDITY).await?;
    let before = Requests::so_far(cluster)?;
    let longest = VALIDITY * ROTATIONS as u32 + PATIENCE;
    resources.until(longest, |record| record.held(ROTATIONS + 1) == RESOURCES).await?;
    resources.pass(SETTLED).await?;
    let requests = Requests::so_far(cluster)?.since(&before);
    let figures = Rotations::of(&resources.record, &resources.simulator.journal(), requests);
    resources.stop().await?;
    ensure!(figures.seen() > 0, "no rotation was seen within {longest:?}");
    Ok(figures)
}

async fn rest(cluster: &Cluster) -> anyhow::Result<Rest> {
    println!("==> at rest");
    let mut resources = issued(cluster, Rounding::Down, Duration::from_secs(3600)).await?;
    let rest = resources.rest(REST).await?;
    resources.stop().await?;
    Ok(rest)
}

/// Resources with an application each, whose first tokens have settled in their Secrets.
async fn issued(cluster: &Cluster, rounding: Rounding, validity: Duration) -> anyhow::Result<Resources> {
    let names: Vec<String> = (1..=RESOURCES).map(|number| format!("token-{number:02}")).collect();
    let switches = Switches { rounding, ..Switches::default() };
    let mut resources = Resources::start(cluster, switches, names.clone()).await?;
    delays(latency()?).into_iter().for_each(|delay| resources.simulator.fault(delay));
    for name in names {
        let application = NewApplication::expired(&name, "secret", "portal-token");
        resources.simulator.add_application(application.clone());
        let validity = format!("{}s", validity.as_secs());
        let example = Example::of(&application, &name, &resources.simulator.endpoint(), &validity)?;
        example.create(&resources.client, resources.namespace()).await?;
    }
    resources.until(PATIENCE, |record| record.held(1) == RESOURCES).await?;
    resources.pass(SETTLED).await?;
    Ok(resources)
}

/// The limits of `LATENCY`; none without it.
fn latency() -> anyhow::Result<Option<RangeInclusive<u64>>> {
    let Ok(text) = std::env::var("LATENCY") else { return Ok(None) };
    let (shortest, longest) = text.split_once('-').context("LATENCY is not of the form 100-300")?;
    Ok(Some(shortest.parse()?..=longest.parse()?))
}

/// A delay for each request of a run, on its way to the issuer; the same in every run.
fn delays(latency: Option<RangeInclusive<u64>>) -> Vec<Fault> {
    let Some(latency) = latency else { return Vec::new() };
    let width = latency.end() - latency.start() + 1;
    let millis = |number: u64| latency.start() + spread(&number.to_string()) % width;
    (0..DELAYS).map(|number| Fault::once(Action::Delay { millis: millis(number), at: Stage::BeforeWork })).collect()
}
