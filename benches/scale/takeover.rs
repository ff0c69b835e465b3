//! A leader that is killed while tokens end, and the one that takes over.

use std::time::Duration;

use anyhow::Context;
use harness::wait_for;
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client};
use syniverse_token_core::shard::Shard;
use tokio::time::sleep;

use crate::figures::{Death, Rotations, Table, deaths};
use crate::histories::Seen;
use crate::operators::Operators;

/// The Lease of the first shard.
const LEASE: &str = "syniverse-token-operator";
/// A Lease ends after 15 s without renewal; who takes over is given more than twice that.
const PATIENCE: Duration = Duration::from_secs(60);
/// What waited is served by then, or it is no news that it was not.
const WATCHED: Duration = Duration::from_secs(30);

/// What was seen of it.
pub(crate) struct Takeover {
    shard: Shard,
    killed: Timestamp,
    /// When the Lease had its next holder.
    led: Timestamp,
    end: Timestamp,
    /// The most that the new leader ever had resident, in MiB.
    peak: f64,
}

impl Takeover {
    /// Kills the leader of the first of so many shards, and watches until the next one has had time to work off what
    /// waited.
    ///
    /// # Errors
    /// If nobody leads before, or after.
    pub(crate) async fn of_a_killed_leader(
        client: &Client,
        operators: &mut Operators,
        shards: usize,
    ) -> anyhow::Result<Self> {
        let leases: Api<Lease> = Api::namespaced(client.clone(), "default");
        let lease = async || Some(leases.get(LEASE).await.ok()?.spec?);
        let holder = lease().await.and_then(|lease| lease.holder_identity).context("nobody holds the Lease")?;
        operators.kill(&holder)?;
        let killed = Timestamp::now();
        let next = async || lease().await.filter(|it| it.holder_identity.as_ref().is_some_and(|next| *next != holder));
        let LeaseSpec { holder_identity: heir, acquire_time: led, .. } =
            wait_for("another leader", PATIENCE, next).await?;
        sleep(WATCHED).await;
        let (heir, led) = (heir.unwrap_or_default(), led.context("the Lease does not tell since when it is held")?.0);
        let shard = format!("1/{shards}").parse().map_err(anyhow::Error::msg)?;
        Ok(Self { shard, killed, led, end: Timestamp::now(), peak: operators.usage_of(&heir)?.peak })
    }

    /// Adds its lines to a table.
    pub(crate) fn show(&self, table: &mut Table, seen: &Seen, journal: &Journal) {
        let own = |death: &Death| self.shard.holds(death.namespace);
        let deaths: Vec<_> = deaths(seen, journal, self.killed, self.end).into_iter().filter(own).collect();
        let (waited, after): (Vec<_>, Vec<_>) = deaths.into_iter().partition(|death| death.died < self.led);
        let nearest = waited.iter().min_by_key(|death| death.died).copied();
        // Nobody could have served them before another one led.
        let waited: Vec<_> = waited.into_iter().map(|death| death.since(self.led)).collect();
        table.heading("takeover", ", after the leader of the first shard was killed");
        let without = self.led.duration_since(self.killed).as_secs_f64();
        table.row("time without a leader", 1, Some(without), "s");
        let nearest = nearest.and_then(|death| death.since(self.led).lateness());
        table.row("nearest deadline, served after the next one leads", 0, nearest.map(|millis| millis as f64), "ms");
        Rotations::of(&waited, self.end).show(table, "waited, since it leads");
        Rotations::of(&after, self.end).show(table, "ended under it");
        table.row("resident, peak of the next one", 1, Some(self.peak), "MiB");
    }
}
