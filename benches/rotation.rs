//! How late rotations are and what they cost, on a real API server with a simulated issuer: `make bench-rotation`.
//!
//! It prints figures beside their targets, and fails only if it could not measure.

#[path = "rotation/figures.rs"]
mod figures;
#[path = "rotation/fleet.rs"]
mod fleet;
#[path = "rotation/record.rs"]
mod record;
#[path = "rotation/requests.rs"]
mod requests;
#[path = "../examples/demo/stage.rs"]
mod stage;

use std::time::Duration;

use anyhow::ensure;
use harness::{Cluster, ControlPlane};
use issuer_simulator::switches::Rounding;

use figures::{Rest, Rotations};
use fleet::Fleet;
use requests::Requests;

const RESOURCES: usize = 20;
const ROTATIONS: usize = 3;
const VALIDITY: Duration = Duration::from_secs(20);
/// What a rotation brings about is over by then, and the check before the next one has not begun.
const SETTLED: Duration = Duration::from_secs(5);
/// The operator looks at its clocks once a minute: that shall be seen to cost nothing, too.
const REST: Duration = Duration::from_secs(62);
const PATIENCE: Duration = Duration::from_secs(30);

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
    let mut fleet = Fleet::start(cluster, rounding, RESOURCES, VALIDITY).await?;
    fleet.until(PATIENCE, |record| record.held(1) == RESOURCES).await?;
    fleet.pass(SETTLED).await?;
    let before = Requests::so_far(cluster)?;
    let longest = VALIDITY * ROTATIONS as u32 + PATIENCE;
    fleet.until(longest, |record| record.held(ROTATIONS + 1) == RESOURCES).await?;
    fleet.pass(SETTLED).await?;
    let requests = Requests::so_far(cluster)?.since(&before);
    let figures = Rotations::of(&fleet.record, &fleet.simulator.journal(), requests);
    fleet.stop().await?;
    ensure!(figures.seen() > 0, "no rotation was seen within {longest:?}");
    Ok(figures)
}

async fn rest(cluster: &Cluster) -> anyhow::Result<Rest> {
    println!("==> at rest");
    let mut fleet = Fleet::start(cluster, Rounding::Down, RESOURCES, Duration::from_secs(3600)).await?;
    fleet.until(PATIENCE, |record| record.held(1) == RESOURCES).await?;
    fleet.pass(SETTLED).await?;
    let (calls, writes) = (fleet.simulator.journal().calls.len(), fleet.record.writes());
    let before = Requests::so_far(cluster)?;
    fleet.pass(REST).await?;
    let rest = Rest {
        calls: fleet.simulator.journal().calls.len() - calls,
        writes: fleet.record.writes() - writes,
        requests: Requests::so_far(cluster)?.since(&before),
    };
    fleet.stop().await?;
    Ok(rest)
}
