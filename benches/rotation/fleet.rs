//! Many resources, each with an application of its own, served by one operator and seen through one watch.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use harness::{Cluster, Namespace, Operator};
use issuer_simulator::application::NewApplication;
use issuer_simulator::switches::{Rounding, Switches};
use issuer_simulator::{Options, Simulator};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

use crate::record::Record;
use crate::stage::{self, Example, Sighting};

const LONGEST_STOP: Duration = Duration::from_secs(15);

/// Everything of one phase; it goes when dropped.
pub(crate) struct Fleet {
    // Dropped in this order: nobody writes into a namespace that goes.
    operator: Operator,
    pub(crate) simulator: Simulator,
    pub(crate) record: Record,
    sightings: UnboundedReceiver<(Timestamp, Sighting)>,
    namespace: Namespace,
}

impl Fleet {
    /// Starts the simulator and the operator and creates the resources; no token is waited for.
    ///
    /// # Errors
    /// If something cannot be started, or the API server refuses an object.
    pub(crate) async fn start(
        cluster: &Cluster,
        rounding: Rounding,
        resources: usize,
        validity: Duration,
    ) -> anyhow::Result<Self> {
        let switches = Switches { rounding, ..Switches::default() };
        let simulator = Simulator::start(Options { switches, ..Options::default() }).await?;
        let (client, namespace) = (cluster.client().await?, cluster.namespace().await?);
        let binary = Path::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
        let operator = stage::operator(binary, Some(cluster.kubeconfig()), namespace.name())?;
        let sightings = stage::watch(&client, namespace.name());
        let names: Vec<String> = (1..=resources).map(|number| format!("token-{number:02}")).collect();
        for name in &names {
            let application = NewApplication::expired(name, "secret", "portal-token");
            simulator.add_application(application.clone());
            let validity = format!("{}s", validity.as_secs());
            let example = Example::of(&application, name, &simulator.endpoint(), &validity)?;
            example.create(&client, namespace.name()).await?;
        }
        Ok(Self { operator, simulator, record: Record::of(names), sightings, namespace })
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
    /// As [`Fleet::until`].
    pub(crate) async fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        self.until(time, |_| false).await
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
