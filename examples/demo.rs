//! A token Secret in front of your eyes: issued, checked, rotated at its end, and healed after a deletion.
//!
//! `make demo` builds what it needs and runs it on a real API server, with a simulated issuer and the built operator.

#[path = "demo/place.rs"]
mod place;
#[path = "demo/stage.rs"]
mod stage;
#[path = "demo/story.rs"]
mod story;
#[path = "demo/view.rs"]
mod view;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use futures::future::{FusedFuture, FutureExt, OptionFuture};
use harness::Operator;
use issuer_simulator::application::NewApplication;
use issuer_simulator::{Options, Simulator};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use syniverse_token_core::api::parse_duration;
use tokio::signal::unix::{SignalKind, signal};

use place::Place;
use stage::{Example, Sighting};
use story::Story;
use view::View;

/// The name of the resource and of its token Secret, as in examples/syniversetoken.yaml.
const NAME: &str = "messaging";
const TICK: Duration = Duration::from_millis(250);
const LONGEST_STOP: Duration = Duration::from_secs(15);

/// Shows a token Secret being issued, rotated and healed. Ctrl-C ends it.
#[derive(Parser)]
struct Arguments {
    /// The operator's binary
    #[arg(long, value_name = "PATH")]
    operator: PathBuf,
    /// The lifetime to ask for each token
    #[arg(long, env = "VALIDITY", default_value = "60s", value_parser = validity)]
    validity: String,
    /// Where to play: a control plane started for it, or the cluster of the current kubectl context
    #[arg(long, env = "CLUSTER", default_value = "own")]
    cluster: Cluster,
    /// End after so many seconds, with a failure if something promised did not happen
    #[arg(long, env = "DURATION", value_name = "SECONDS")]
    duration: Option<u64>,
}

/// Where to play.
#[derive(Clone, Copy, ValueEnum)]
enum Cluster {
    /// A control plane started for the demo.
    Own,
    /// The cluster of the current kubectl context.
    Current,
}

/// The operator's own syntax. Its governor never lets more than one call a second through, so shorter lives cannot be
/// kept up with.
fn validity(text: &str) -> Result<String, &'static str> {
    let long_enough = parse_duration(text).is_some_and(|validity| validity >= Duration::from_secs(5));
    long_enough.then(|| text.to_owned()).ok_or("a duration of at least 5s, such as 10s or 1m30s")
}

#[tokio::main]
async fn main() -> ExitCode {
    match demo(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    let mut stop = pin!(told_to_stop()?.fuse());
    let view = View::new();
    view.say(match arguments.cluster {
        Cluster::Own => "==> starting a control plane, a simulated issuer and the operator",
        Cluster::Current => "==> starting a simulated issuer and the operator, for the current kubectl context",
    })?;
    let mut place = tokio::select! {
        place = Place::find(arguments.cluster) => place?,
        () = &mut stop => return Ok(()),
    };
    let played = play(arguments, &mut place, &view, stop).await;
    let left = place.leave().await;
    played.and(left)?;
    view.say("everything is stopped and removed")?;
    Ok(())
}

/// Signals are caught from the call on, so that none ends the demo half way through its cleaning up.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] = [signal(kinds[0])?, signal(kinds[1])?, signal(kinds[2])?];
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
    })
}

async fn play(
    arguments: &Arguments,
    place: &mut Place,
    view: &View,
    stop: impl FusedFuture<Output = ()> + Unpin,
) -> anyhow::Result<()> {
    let namespace = place.furnish().await?;
    let simulator = Simulator::start(Options::default()).await.context("failed to start the simulator")?;
    let application = NewApplication::expired("demo-key", "demo-secret", "demo-portal-token");
    simulator.add_application(application.clone());
    let example = Example::of(&application, NAME, &simulator.endpoint(), &arguments.validity)?;
    let operator = stage::operator(&arguments.operator, place.kubeconfig(), &namespace)?;
    introduce(arguments, place, &namespace, view)?;
    let sightings = stage::watch(&place.client, &namespace);
    example.create(&place.client, &namespace).await.context("failed to apply the example")?;
    let secrets = Api::namespaced(place.client.clone(), &namespace);
    let scene = Scene { arguments, view, secrets, simulator, operator, story: Story::new(Timestamp::now()) };
    scene.run(sightings, stop).await
}

fn introduce(arguments: &Arguments, place: &Place, namespace: &str, view: &View) -> anyhow::Result<()> {
    let kubectl = place.kubectl();
    view.say(&format!(
        "==> a token that lives {} is kept in Secret {NAME}; from another terminal:",
        arguments.validity
    ))?;
    if let Some(kubeconfig) = place.kubeconfig() {
        view.say(&format!("      export KUBECONFIG={}", kubeconfig.display()))?;
    }
    view.say(&format!("      {kubectl} -n {namespace} get syt --watch"))?;
    view.say(&format!("      {kubectl} -n {namespace} delete secret {NAME}"))?;
    Ok(view.say("==> Ctrl-C ends the demo and removes everything")?)
}

/// The running demo.
struct Scene<'a> {
    // Dropped in this order: the operator before the issuer that it asks.
    operator: Operator,
    simulator: Simulator,
    arguments: &'a Arguments,
    view: &'a View,
    secrets: Api<Secret>,
    story: Story,
}

impl Scene<'_> {
    async fn run(
        mut self,
        mut sightings: tokio::sync::mpsc::UnboundedReceiver<(Timestamp, Sighting)>,
        mut stop: impl FusedFuture<Output = ()> + Unpin,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        let time = self.arguments.duration.map(|seconds| tokio::time::sleep(Duration::from_secs(seconds)));
        let mut time_is_up = pin!(OptionFuture::from(time));
        loop {
            let told = self.story.calls();
            tokio::select! {
                () = &mut stop => break,
                Some(()) = &mut time_is_up => break,
                Some((at, sighting)) = sightings.recv() => self.see(at, sighting)?,
                () = self.simulator.until(|journal| journal.calls.len() > told) => self.ask_journal()?,
                _ = ticks.tick() => self.tick().await?,
            }
        }
        self.end().await
    }

    fn see(&mut self, at: Timestamp, sighting: Sighting) -> anyhow::Result<()> {
        self.ask_journal()?;
        let happening = match sighting {
            Sighting::Secret(secret) if secret.name_any() == NAME => self.story.secret(at, stage::token_in(&secret)),
            Sighting::NoSecret(name) if name == NAME => self.story.secret(at, None),
            Sighting::Resource(resource) => resource.status.and_then(|status| self.story.status(at, &status)),
            _ => None,
        };
        self.tell(happening)
    }

    fn ask_journal(&mut self) -> anyhow::Result<()> {
        let happenings = self.story.journal(self.simulator.journal());
        self.tell(happenings)
    }

    async fn tick(&mut self) -> anyhow::Result<()> {
        self.ask_journal()?;
        if let Some(status) = self.operator.process().status()? {
            bail!("the operator ended ({status}):\n{}", self.operator.log());
        }
        let now = Timestamp::now();
        let validity = parse_duration(&self.arguments.validity).unwrap_or_default();
        if self.story.delete_at(validity).is_some_and(|at| at <= now) {
            self.story.we_delete(now);
            self.view.say(&format!("==> now the demo deletes Secret {NAME}, once"))?;
            self.secrets.delete(NAME, &DeleteParams::default()).await.context("failed to delete the Secret")?;
        }
        let broken = self.story.check(now);
        self.tell(broken)?;
        Ok(self.view.count_down(&self.story, now)?)
    }

    fn tell(&self, happenings: impl IntoIterator<Item = story::Happening>) -> anyhow::Result<()> {
        for happening in happenings {
            self.view.tell(&happening, self.story.calls())?;
        }
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        self.story.check_end();
        self.view.say("==> the end")?;
        self.story.summary(now).iter().try_for_each(|line| self.view.say(line))?;
        let broken = self.story.broken();
        ensure!(broken.is_empty(), "promised, but not kept: {}", broken.join("; "));
        let status = self.operator.stop(LONGEST_STOP).await?;
        ensure!(status.success(), "the operator did not stop as it should ({status}):\n{}", self.operator.log());
        Ok(())
    }
}
