//! What one tenant's bad resources cost the tokens of another one, on a real API server with a simulated issuer:
//! `make bench-neighbours`. `CASE` picks the neighbourhoods whose line contains it, `OPERATOR` names another binary to
//! measure, such as that of an older version.
//!
//! It prints figures, and fails only if it could not measure.

#[path = "neighbours/crowd.rs"]
mod crowd;
#[path = "measure/operators.rs"]
#[allow(dead_code, reason = "of the metrics nothing is read")]
mod operators;
#[path = "measure/page.rs"]
mod page;
#[path = "measure/record.rs"]
#[allow(dead_code, reason = "only the tokens of a record are looked at")]
mod record;
#[path = "../examples/demo/stage.rs"]
#[allow(dead_code, reason = "the operator is started for two namespaces")]
mod stage;
#[path = "measure/usage.rs"]
mod usage;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use harness::{Cluster, ControlPlane, Namespace, wait_for};
use issuer_simulator::analysis::{dead_time, rotations};
use issuer_simulator::application::NewApplication;
use issuer_simulator::journal::Journal;
use issuer_simulator::{Options, Simulator};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use crowd::{Crowd, Kind, crowd};
use operators::{Operators, Start};
use record::{Record, Seen};
use stage::{Example, Sighting};

const VICTIMS: usize = 10;
const VALIDITY: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(60);

const NONE: Crowd = crowd(0, Kind::Forbidden, 0);
const CROWDS: [Crowd; 11] = [
    crowd(2, Kind::Forbidden, 0),
    crowd(2, Kind::Forbidden, 1),
    crowd(50, Kind::Forbidden, 0),
    crowd(50, Kind::Forbidden, 1),
    crowd(500, Kind::WrongSecret, 0),
    crowd(500, Kind::WrongSecret, 4),
    crowd(1000, Kind::Suspended, 1),
    crowd(250, Kind::Labels, 0),
    crowd(200, Kind::Template, 0),
    crowd(200, Kind::Annotations, 0),
    crowd(200, Kind::Credentials, 0),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let case = env::var("CASE").unwrap_or_default();
    println!("{VICTIMS} tokens that live {VALIDITY:?}, {MEASURED:?} beside bad neighbours of another namespace");
    println!("on {}, which runs all of it", usage::machine());
    let plane = ControlPlane::start().await?;
    println!(
        "{:<52}{:>9}{:>11}{:>11}{:>17}{:>8}{:>11}",
        "neighbours", "dead", "late p50", "late max", "later than none", "calls", "peak"
    );
    let alone = measure(plane.cluster(), &NONE).await?;
    println!("{}", alone.line(&NONE, &alone));
    for crowd in CROWDS.iter().filter(|crowd| crowd.to_string().contains(&case)) {
        let figures = measure(plane.cluster(), crowd).await?;
        println!("{}", figures.line(crowd, &alone));
    }
    Ok(())
}

/// The figures of one neighbourhood.
struct Figures {
    /// The part of the time in which a victim's Secret held a dead token.
    dead: f64,
    /// From a token's end until the next one was in the Secret, in ms.
    lateness: Vec<i64>,
    /// To the issuer, of all.
    calls: usize,
    /// The most that the operator had resident, in MiB.
    peak: f64,
}

impl Figures {
    fn line(&self, crowd: &Crowd, alone: &Self) -> String {
        let late = |late: Option<i64>| late.map_or("never".to_owned(), |late| format!("{late} ms"));
        let (median, most) = (self.lateness.get(self.lateness.len() / 2).copied(), self.lateness.last().copied());
        let more = most.zip(alone.lateness.last()).map(|(most, alone)| most - alone);
        let (crowd, dead, calls) = (crowd.to_string(), self.dead * 100.0, self.calls);
        let (median, most, more) = (late(median), late(most), late(more));
        format!("{crowd:<52}{dead:>7.2} %{median:>11}{most:>11}{more:>17}{calls:>8}{:>7.0} MiB", self.peak)
    }
}

/// The tokens that are to be kept from harm, and what was seen of them.
struct Victims {
    namespace: Namespace,
    record: Record,
    sightings: UnboundedReceiver<(Timestamp, Sighting)>,
}

async fn measure(cluster: &Cluster, crowd: &Crowd) -> anyhow::Result<Figures> {
    let simulator = Simulator::start(Options::default()).await?;
    let (client, bad) = (cluster.client().await?, cluster.namespace().await?);
    let mut victims = Victims::of(cluster.namespace().await?, &client);
    let mut operator = start(cluster, [&victims.namespace, &bad])?;
    victims.create(&client, &simulator).await?;
    let served = async || (victims.look().held(1) == VICTIMS).then_some(());
    wait_for("the first tokens", PATIENCE, served).await?;
    crowd.come(&client, &simulator, bad.name()).await?;
    if crowd.is_about_size() {
        operator.restart()?;
        operator.ready(PATIENCE).await?;
    }

    let (begin, calls) = (Timestamp::now(), simulator.journal().calls.len());
    match crowd.patched {
        Some(every) => drop(timeout(MEASURED, crowd.patch(&client, bad.name(), every)).await),
        None => sleep(MEASURED).await,
    }
    let end = Timestamp::now();
    let (peak, journal) = (operator.usage()?.peak, simulator.journal());
    ensure!(victims.look().is_whole(), "the watch was interrupted: run it again");
    let (dead, lateness) = lateness(&victims.record, &journal, begin, end);
    drop(operator);
    victims.namespace.delete()?;
    bad.delete()?;
    Ok(Figures { dead, lateness, calls: journal.calls.len() - calls, peak })
}

fn lateness(record: &Record, journal: &Journal, begin: Timestamp, end: Timestamp) -> (f64, Vec<i64>) {
    let dead = |seen: &Seen, until| dead_time(journal, &seen.tokens, until).expired.as_secs_f64();
    let of_one = |seen: &Seen| dead(seen, end) - dead(seen, begin);
    let total: f64 = record.resources().map(|(_, seen)| of_one(seen)).sum();
    let changes = record.resources().flat_map(|(_, seen)| rotations(journal, &seen.tokens));
    let mut lateness: Vec<_> = changes
        .filter(|change| change.death.at >= begin)
        .map(|change| i64::try_from(change.lateness.as_millis()).unwrap_or(i64::MAX))
        .collect();
    lateness.sort_unstable();
    (total / (end.duration_since(begin).as_secs_f64() * VICTIMS as f64), lateness)
}

fn start(cluster: &Cluster, namespaces: [&Namespace; 2]) -> anyhow::Result<Operators> {
    let binary = env::var_os("OPERATOR").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_syniverse-token-operator").into());
    let arguments = namespaces.map(|namespace| format!("--namespace={}", namespace.name())).to_vec();
    Operators::start(&Start { binary: &binary, kubeconfig: cluster.kubeconfig(), shards: 1, replicas: 1, arguments })
}

impl Victims {
    fn of(namespace: Namespace, client: &Client) -> Self {
        let sightings = stage::watch(client, namespace.name());
        Self { namespace, record: Record::of(Self::names()), sightings }
    }

    fn names() -> impl Iterator<Item = String> {
        (0..VICTIMS).map(|number| format!("victim-{number}"))
    }

    async fn create(&self, client: &Client, simulator: &Simulator) -> anyhow::Result<()> {
        for name in Self::names() {
            let application = NewApplication::expired(&name, "secret", "portal-token");
            simulator.add_application(application.clone());
            let validity = format!("{}s", VALIDITY.as_secs());
            let example = Example::of(&application, &name, &simulator.endpoint(), &validity)?;
            example.create(client, self.namespace.name()).await?;
        }
        Ok(())
    }

    /// What was seen until now.
    fn look(&mut self) -> &Record {
        while let Ok((at, sighting)) = self.sightings.try_recv() {
            self.record.see(at, sighting);
        }
        &self.record
    }
}
