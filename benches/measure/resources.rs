//! Many resources, served by one operator and seen through one watch.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use harness::{Cluster, Namespace, Operator};
use issuer_simulator::switches::Switches;
use issuer_simulator::{Options, Simulator};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

use crate::record::Record;
use crate::requests::Requests;
use crate::stage::{self, Sighting};

const LONGEST_STOP: Duration = Duration::from_secs(15);

/// Everything of one phase; it goes when dropped.
pub(crate) struct Resources {
    // Dropped in this order: nobody writes into a namespace that goes.
    operator: Operator,
    pub(crate) simulator: Simulator,
    pub(crate) record: Record,
    pub(crate) client: Client,
    sightings: UnboundedReceiver<(Timestamp, Sighting)>,
    cluster: Cluster,
    namespace: Namespace,
}

/// What happened while nothing was due.
pub(crate) struct Rest {
    pub(crate) time: Duration,
    pub(crate) calls: usize,
    pub(crate) writes: usize,
    pub(crate) requests: Requests,
}

impl Resources {
    /// Starts the simulator and the operator; the resources of these names are the caller's to create.
    ///
    /// # Errors
    /// If something cannot be started.
    pub(crate) async fn start(cluster: &Cluster, switches: Switches, names: Vec<String>) -> anyhow::Result<Self> {
        let simulator = Simulator::start(Options { switches, ..Options::default() }).await?;
        let (client, namespace) = (cluster.client().await?, cluster.namespace().await?);
        let binary = Path::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
        let operator = stage::operator(binary, Some(cluster.kubeconfig()), namespace.name())?;
        let sightings = stage::watch(&client, namespace.name());
        let cluster = cluster.clone();
        Ok(Self { operator, simulator, record: Record::of(names), sightings, client, cluster, namespace })
    }

    /// The namespace of the resources.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Records what is seen until the record is as `holds` says, or `longest` has passed.
    ///
    /// # Errors
    /// If the operator ends, or the watch began anew: something may have been missed.
    pub(crate) async fn until(&mut self, longest: Duration, holds: impl Fn(&Record) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + longest;
        while !holds(&self.record) {
            match timeout_at(end, self.sightings.recv()).await {
                Ok(Some((at, sighting))) => self.record.see(at, sighting),
                Ok(None) => bail!("the watch ended"),
                Err(_) => break,
            }
        }
        if let Some(status) = self.operator.process().status()? {
            bail!("the operator ended ({status}):\n{}", self.operator.log());
        }
        ensure!(self.record.is_whole(), "the watch was interrupted, or a Secret deleted: run it again");
        Ok(())
    }

    /// Records what is seen for as long as this.
    ///
    /// # Errors
    /// As [`RequestQueue::until`].
    pub(crate) async fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        self.until(time, |_| false).await
    }

    /// What happens from now on, for as long as this, while nothing is due.
    ///
    /// # Errors
    /// As [`RequestQueue::until`], or if the API server does not count.
    pub(crate) async fn rest(&mut self, time: Duration) -> anyhow::Result<Rest> {
        let (calls, writes) = (self.simulator.journal().calls.len(), self.record.writes());
        let before = Requests::so_far(&self.cluster)?;
        self.pass(time).await?;
        Ok(Rest {
            time,
            calls: self.simulator.journal().calls.len() - calls,
            writes: self.record.writes() - writes,
            requests: Requests::so_far(&self.cluster)?.since(&before),
        })
    }

    /// Ends the operator, so that it costs the next phase nothing.
    ///
    /// # Errors
    /// If it does not end in time.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.operator.stop(LONGEST_STOP).await?;
        // What the cluster does to bury this phase is not to be counted in the next.
        self.namespace.delete()?;
        Ok(())
    }
}
