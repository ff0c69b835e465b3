//! What one tenant's bad resources cost the tokens of another one, on a real API server with a simulated issuer:
//! `make bench-neighbours`. `OPERATOR` names another binary to measure, such as that of an older version.
//!
//! It prints figures, and fails only if it could not measure.

#[path = "measure/record.rs"]
#[allow(dead_code, reason = "only the tokens of a record are looked at")]
mod record;
#[path = "../examples/demo/stage.rs"]
#[allow(dead_code, reason = "the operator is started for two namespaces")]
mod stage;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{Cluster, ControlPlane, Namespace, Operator, wait_for};
use issuer_simulator::analysis::{dead_time, rotations};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage};
use issuer_simulator::journal::Journal;
use issuer_simulator::{Options, Simulator};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, interval, sleep, timeout};

use record::{Record, Seen};
use stage::Example;

const VICTIMS: usize = 10;
const VALIDITY: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests of this program at a time, while it makes them.
const AT_ONCE: usize = 16;

/// What the issuer answers the bad neighbours.
#[derive(Clone, Copy)]
enum Answer {
    /// 403 with a page of what stands before it.
    Forbidden,
    /// What it answers a wrong secret: 500 with its envelope.
    WrongSecret,
}

/// One kind of neighbourhood.
struct Neighbourhood {
    bad: usize,
    answer: Answer,
    /// How often each of their Secrets is written anew.
    patched: Option<Duration>,
}

const fn beside(bad: usize, answer: Answer, patched_every_seconds: u64) -> Neighbourhood {
    let patched = if patched_every_seconds > 0 { Some(Duration::from_secs(patched_every_seconds)) } else { None };
    Neighbourhood { bad, answer, patched }
}

const CASES: [Neighbourhood; 7] = [
    beside(0, Answer::Forbidden, 0),
    beside(2, Answer::Forbidden, 0),
    beside(2, Answer::Forbidden, 1),
    beside(50, Answer::Forbidden, 0),
    beside(50, Answer::Forbidden, 1),
    beside(500, Answer::WrongSecret, 0),
    beside(500, Answer::WrongSecret, 4),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{VICTIMS} tokens that live {VALIDITY:?}, {MEASURED:?} beside bad neighbours of another namespace");
    let plane = ControlPlane::start().await?;
    println!("{:<52}{:>9}{:>12}{:>12}{:>8}", "neighbours", "dead", "late p50", "late max", "calls");
    for case in &CASES {
        let figures = measure(plane.cluster(), case).await?;
        println!("{:<52}{figures}", case.to_string());
    }
    Ok(())
}

impl std::fmt::Display for Neighbourhood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let answer = match self.answer {
            Answer::Forbidden => "answered 403 text/html",
            Answer::WrongSecret => "with a wrong secret",
        };
        match (self.bad, self.patched) {
            (0, _) => write!(f, "none"),
            (bad, None) => write!(f, "{bad} {answer}"),
            (bad, Some(every)) => write!(f, "{bad} {answer}, Secret patched every {every:?}"),
        }
    }
}

/// The figures of one neighbourhood.
struct Figures {
    /// The part of the time in which a victim's Secret held a dead token.
    dead: f64,
    /// From a token's end until the next one was in the Secret, in ms.
    lateness: Vec<i64>,
    /// To the issuer, of all.
    calls: usize,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let late = |place: Option<&i64>| place.map_or("never".to_owned(), |late| format!("{late} ms"));
        let (median, most) = (self.lateness.get(self.lateness.len() / 2), self.lateness.last());
        write!(f, "{:>7.2} %{:>12}{:>12}{:>8}", self.dead * 100.0, late(median), late(most), self.calls)
    }
}

async fn measure(cluster: &Cluster, case: &Neighbourhood) -> anyhow::Result<Figures> {
    let simulator = Simulator::start(Options::default()).await?;
    let (client, victims, bad) = (cluster.client().await?, cluster.namespace().await?, cluster.namespace().await?);
    let mut operator = start(cluster, [&victims, &bad])?;
    let mut sightings = stage::watch(&client, victims.name());
    let names: Vec<String> = (0..VICTIMS).map(|number| format!("victim-{number}")).collect();
    let mut record = Record::of(names.clone());
    create(&client, &simulator, &victims, names, "secret").await?;
    let served = async || {
        while let Ok((at, sighting)) = sightings.try_recv() {
            record.see(at, sighting);
        }
        (record.held(1) == VICTIMS).then_some(())
    };
    wait_for("the first tokens", PATIENCE, served).await?;

    let neighbours: Vec<String> = (0..case.bad).map(|number| format!("bad-{number}")).collect();
    if let Answer::Forbidden = case.answer {
        let forbidden = || Action::Fail { status: 403, retry_after: None, body: FailBody::Html, at: Stage::BeforeWork };
        neighbours.iter().for_each(|name| simulator.fault(Fault::always(forbidden()).only_for(name.clone())));
    }
    create(&client, &simulator, &bad, neighbours.clone(), "wrong").await?;
    let (begin, calls) = (Timestamp::now(), simulator.journal().calls.len());
    match case.patched {
        Some(every) => drop(timeout(MEASURED, patch(&client, &bad, &neighbours, every)).await),
        None => sleep(MEASURED).await,
    }
    let end = Timestamp::now();
    while let Ok((at, sighting)) = sightings.try_recv() {
        record.see(at, sighting);
    }
    ensure!(record.is_whole(), "the watch was interrupted: run it again");
    let figures = figures(&record, &simulator.journal(), calls, begin, end);
    operator.stop(PATIENCE).await?;
    victims.delete()?;
    bad.delete()?;
    Ok(figures)
}

fn figures(record: &Record, journal: &Journal, calls: usize, begin: Timestamp, end: Timestamp) -> Figures {
    let dead = |seen: &Seen, until| dead_time(journal, &seen.tokens, until).expired.as_secs_f64();
    let of_one = |seen: &Seen| dead(seen, end) - dead(seen, begin);
    let total: f64 = record.resources().map(|(_, seen)| of_one(seen)).sum();
    let changes = record.resources().flat_map(|(_, seen)| rotations(journal, &seen.tokens));
    let mut lateness: Vec<_> = changes
        .filter(|change| change.death.at >= begin)
        .map(|change| i64::try_from(change.lateness.as_millis()).unwrap_or(i64::MAX))
        .collect();
    lateness.sort_unstable();
    let time = end.duration_since(begin).as_secs_f64() * VICTIMS as f64;
    Figures { dead: total / time, lateness, calls: journal.calls.len() - calls }
}

fn start(cluster: &Cluster, namespaces: [&Namespace; 2]) -> harness::Result<Operator> {
    let binary = std::env::var_os("OPERATOR").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_syniverse-token-operator").into());
    let mut command = Command::new(binary);
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*"]).env("KUBECONFIG", cluster.kubeconfig());
    for namespace in namespaces {
        command.args(["--namespace", namespace.name()]);
    }
    Operator::start(command)
}

/// Resources of these names, each with an application whose secret is `secret`: the issuer knows "secret".
async fn create(
    client: &Client,
    simulator: &Simulator,
    namespace: &Namespace,
    names: Vec<String>,
    secret: &str,
) -> anyhow::Result<()> {
    let creations = names.iter().map(async |name| {
        let application = NewApplication::expired(name, "secret", "portal-token");
        simulator.add_application(application.clone());
        let held = NewApplication { consumer_secret: secret.into(), ..application };
        let example = Example::of(&held, name, &simulator.endpoint(), &format!("{}s", VALIDITY.as_secs()))?;
        anyhow::Ok(example.create(client, namespace.name()).await?)
    });
    stream::iter(creations).buffer_unordered(AT_ONCE).try_collect::<()>().await
}

/// Writes each of the Secrets anew every so often, with another value each time, for as long as it is polled.
async fn patch(client: &Client, namespace: &Namespace, names: &[String], every: Duration) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    let (mut ticks, begin) = (interval(every), Instant::now());
    loop {
        ticks.tick().await;
        let value = format!("wrong since {:?}", begin.elapsed());
        let change = Patch::Merge(json!({"stringData": {"consumerSecret": value}}));
        let writes = names.iter().map(|name| {
            let (secrets, change, name) = (secrets.clone(), &change, format!("{name}-application"));
            // One that is not taken is followed by the next: what counts is that they are many.
            async move { drop(secrets.patch(&name, &PatchParams::default(), change).await) }
        });
        stream::iter(writes).buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}
