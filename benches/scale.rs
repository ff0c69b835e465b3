//! What many resources cost and how late their tokens are, on a real API server with a simulated issuer:
//! `make bench-scale`. `scale/settings.rs` has the variables that say how many, how fast and how slow.
//!
//! It prints figures, and fails only if it could not measure.

#[path = "scale/figures.rs"]
mod figures;
#[path = "scale/histories.rs"]
mod histories;
#[path = "measure/operators.rs"]
mod operators;
#[path = "measure/page.rs"]
mod page;
#[path = "scale/phases.rs"]
mod phases;
#[path = "measure/requests.rs"]
#[allow(dead_code, reason = "all requests are shown, none is counted by itself")]
mod requests;
#[path = "scale/settings.rs"]
mod settings;
#[path = "measure/slow_api.rs"]
mod slow_api;
#[path = "../examples/demo/stage.rs"]
#[allow(dead_code, reason = "operators and watches are for all namespaces")]
mod stage;
#[path = "scale/takeover.rs"]
mod takeover;
#[path = "measure/usage.rs"]
mod usage;

use std::fs::OpenOptions;
use std::io::Write;

use futures::{StreamExt, TryStreamExt, stream};
use harness::{Cluster, ControlPlane};
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use issuer_simulator::switches::Switches;
use issuer_simulator::{Options, Simulator};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use figures::Table;
use histories::Histories;
use operators::{Operators, Start};
use phases::Phases;
use settings::Settings;
use slow_api::SlowApi;
use stage::Example;
use takeover::Takeover;

/// Requests of this program at a time, while it makes the resources.
const AT_ONCE: usize = 16;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::of_the_environment();
    let machine = usage::machine();
    println!("{settings}\non {machine}, which runs all of it: control plane, issuer, operator and this benchmark");
    let plane = ControlPlane::start().await?;
    let table = measure(plane.cluster(), &settings).await?;
    print!("{}", table.text);
    if let Some(path) = &settings.json {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", table.json(&settings.to_string(), &machine))?;
    }
    Ok(())
}

async fn measure(cluster: &Cluster, settings: &Settings) -> anyhow::Result<Table> {
    let (client, switches) = (cluster.client().await?, Switches { latency: settings.latency, ..Switches::default() });
    let simulator = Simulator::start(Options { switches, ..Options::default() }).await?;
    println!("==> {} resources are made", settings.size);
    create(&client, &simulator, settings).await?;
    let slow = match settings.api_delay {
        delay if delay.is_zero() => None,
        delay => Some(SlowApi::start(cluster, delay).await?),
    };
    let kubeconfig = slow.as_ref().map_or(cluster.kubeconfig(), SlowApi::kubeconfig);
    let start = Start {
        binary: &settings.operator,
        kubeconfig,
        shards: settings.shards,
        replicas: settings.replicas,
        arguments: vec![format!("--requests-per-second={}", settings.budget)],
    };
    let histories = Histories::watch(&client);
    let mut phases = Phases { settings, cluster, histories, operators: Operators::none() };
    println!("==> first tokens, for up to {:?}", settings.deadline);
    let sync = phases.first_sync(&start).await?;
    println!("==> at rest");
    let rest = phases.rest(&sync).await?;
    println!("==> restart");
    let restart = phases.restart().await?;
    println!("==> rotations, for {:?}", settings.duration());
    let rotations = phases.rotate().await?;
    let takeover = match settings.replicas {
        1 => None,
        _ => Some(Takeover::of_a_killed_leader(&client, &mut phases.operators, settings.shards).await?),
    };
    let (seen, journal) = (phases.histories.seen(), simulator.journal());
    let mut table = Table::default();
    sync.show(&mut table, settings.size, &journal);
    if let Some(rest) = &rest {
        rest.show(&mut table, &journal);
    }
    restart.show(&mut table, &journal);
    rotations.show(&mut table, &seen, &journal);
    if let Some(takeover) = &takeover {
        takeover.show(&mut table, &seen, &journal);
    }
    Ok(table)
}

/// Resources with an application and a Secret of credentials each.
async fn create(client: &Client, simulator: &Simulator, settings: &Settings) -> anyhow::Result<()> {
    let namespaces: Vec<_> = (0..settings.namespaces.max(1)).map(|number| format!("tenant-{number}")).collect();
    for name in &namespaces {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    }
    let validity = format!("{}s", settings.validity.as_secs());
    let creations = (0..settings.size).zip(namespaces.iter().cycle()).map(async |(number, namespace)| {
        let name = format!("token-{number:06}");
        let application = NewApplication::expired(&name, "secret", format!("portal-token-{number}"));
        let application = application.living(if settings.spread { spread(number, settings) } else { Life::Expired });
        simulator.add_application(application.clone());
        let example = Example::of(&application, &name, &simulator.endpoint(), &validity)?;
        anyhow::Ok(example.create(client, namespace).await?)
    });
    stream::iter(creations).buffer_unordered(AT_ONCE).try_collect::<()>().await
}

/// The ends of all tokens lie evenly in a validity, and in each namespace too.
fn spread(number: usize, settings: &Settings) -> Life {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    Life::of(settings.validity.mul_f64((number as f64 * GOLDEN).fract()))
}
