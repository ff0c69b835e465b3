//! Operators at work in all namespaces, for each shard as many as are to be its replicas, and what they say and cost
//! together.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::future::join_all;
use harness::{Operator, wait_for};

use crate::page::{free_address, is_ready, page};
use crate::usage::Usage;

const PASSES: &str = "syniverse_token_reconcile_passes_total{";
const READY: &str = "syniverse_token_ready{";

/// How the operators are started.
pub(crate) struct Start<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) kubeconfig: &'a Path,
    /// So many processes, each for its share of the namespaces.
    pub(crate) shards: usize,
    /// So many of them for each share; more than one take turns by a Lease.
    pub(crate) replicas: usize,
    /// More arguments of `run`.
    pub(crate) arguments: Vec<String>,
}

/// All of them; they end when dropped.
pub(crate) struct Operators(Vec<One>);

struct One {
    /// What it calls itself in a Lease begins with it.
    name: String,
    process: Operator,
    metrics: SocketAddr,
    health: SocketAddr,
}

/// What their metrics say, added up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) passes: u64,
    /// Resources that a pass was over since the process began.
    pub(crate) looked_at: usize,
}

impl Operators {
    /// None yet.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Starts them; they are not waited for.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(crate) fn start(start: &Start<'_>) -> anyhow::Result<Self> {
        let each = (1..=start.shards).flat_map(|shard| (1..=start.replicas).map(move |replica| (shard, replica)));
        each.map(|(shard, replica)| One::start(start, shard, replica)).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Kills (SIGKILL) the one that calls itself `holder` in a Lease.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn kill(&mut self, holder: &str) -> anyhow::Result<()> {
        let place =
            self.0.iter().position(|one| holder.starts_with(&one.name)).context("no operator holds the Lease")?;
        self.0.remove(place).process.kill9();
        Ok(())
    }

    /// What the one that calls itself `holder` in a Lease has cost so far.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn usage_of(&self, holder: &str) -> anyhow::Result<Usage> {
        let one = self.0.iter().find(|one| holder.starts_with(&one.name)).context("no operator holds the Lease")?;
        Usage::of(one.process.id()).context("/proc does not tell of an operator")
    }

    /// Kills each (SIGKILL) and starts it again.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.0.iter_mut().for_each(|one| one.process.kill9());
        Ok(self.0.iter_mut().try_for_each(|one| one.process.restart())?)
    }

    /// Time until the watches of all have shown everything.
    ///
    /// # Errors
    /// If that takes longer than `longest`, or one ends.
    pub(crate) async fn ready(&mut self, longest: Duration) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let all = async || join_all(self.0.iter().map(|one| is_ready(one.health))).await.iter().all(|it| *it);
        let waited = wait_for("ready operators", longest, async || all().await.then_some(())).await;
        self.check()?;
        waited?;
        Ok(begin.elapsed())
    }

    /// What their metrics say.
    ///
    /// # Errors
    /// If one does not answer.
    pub(crate) async fn counts(&self) -> anyhow::Result<Counts> {
        let pages = join_all(self.0.iter().map(|one| page(one.metrics, "/metrics"))).await;
        let pages: Option<Vec<_>> = pages.into_iter().collect();
        let pages = pages.context("an operator does not show its metrics")?;
        let lines = || pages.iter().flat_map(|page| page.lines());
        let passes = lines().filter(|line| line.starts_with(PASSES)).filter_map(|line| line.rsplit(' ').next());
        Ok(Counts {
            passes: passes.filter_map(|count| count.parse::<u64>().ok()).sum(),
            looked_at: lines().filter(|line| line.starts_with(READY)).count(),
        })
    }

    /// What they cost so far.
    ///
    /// # Errors
    /// If one is gone.
    pub(crate) fn usage(&mut self) -> anyhow::Result<Usage> {
        self.check()?;
        let each = self.0.iter().map(|one| Usage::of(one.process.id()));
        each.sum::<Option<Usage>>().context("/proc does not tell of an operator")
    }

    /// Looks whether all of them live.
    ///
    /// # Errors
    /// If one ended, with what it said last.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for one in &mut self.0 {
            if let Some(status) = one.process.process().status()? {
                let log = one.process.log();
                let last: Vec<_> = log.lines().rev().take(20).collect();
                bail!("an operator ended ({status}); it said, the last first:\n{}", last.join("\n"));
            }
        }
        Ok(())
    }
}

impl One {
    fn start(start: &Start<'_>, shard: usize, replica: usize) -> anyhow::Result<Self> {
        let (metrics, health) = (free_address()?, free_address()?);
        let name = format!("operator-{shard}-{replica}");
        let mut command = Command::new(start.binary);
        command.args(["run", "--insecure-endpoints", "--endpoint-host=*"]).args(&start.arguments);
        command.arg(format!("--listen={metrics}")).arg(format!("--health-listen={health}"));
        if start.shards > 1 {
            command.arg(format!("--shard={shard}/{}", start.shards));
        }
        if start.replicas > 1 {
            command.args(["--leader-election", "--lease-namespace=default"]).env("HOSTNAME", &name);
        }
        command.env("KUBECONFIG", start.kubeconfig);
        Ok(Self { name: format!("{name}_"), process: Operator::start(command)?, metrics, health })
    }
}
