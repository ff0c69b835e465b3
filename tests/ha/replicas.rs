//! Replicas of the operator in the namespace of a stage, and who of them holds the Lease.

use crate::support::*;
use harness::{Operator, wait_for};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The name that the operator gives its Lease.
const LEASE: &str = "syniverse-token-operator";

/// How the Lease is kept, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lease: u64,
    pub(crate) deadline: u64,
    pub(crate) retry: u64,
    pub(crate) call: u64,
}

/// Short ones, so that twenty takeovers fit into a test.
pub(crate) const SHORT: Terms = Terms { lease: 4, deadline: 3, retry: 1, call: 1 };
/// The defaults.
pub(crate) const USUAL: Terms = Terms { lease: 15, deadline: 10, retry: 2, call: 10 };

impl Terms {
    /// Within this time after the death of a leader another one acts.
    pub(crate) fn takeover(self) -> Duration {
        Duration::from_secs(self.lease + 2 * self.retry)
    }
}

/// Starts a replica that calls itself `name`, through `kubeconfig`, and works in the namespace of the stage.
pub(crate) fn replica(stage: &Stage, name: &str, terms: Terms, kubeconfig: &Path, more: &[String]) -> Operator {
    let namespace = format!("--namespace={}", stage.namespace.name());
    replica_everywhere(stage, name, terms, kubeconfig, &[&[namespace], more].concat())
}

/// The same in all namespaces. Its Lease is in that of the stage.
pub(crate) fn replica_everywhere(
    stage: &Stage,
    name: &str,
    terms: Terms,
    kubeconfig: &Path,
    more: &[String],
) -> Operator {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--leader-election"]);
    command.args(["--lease-namespace", stage.namespace.name()]);
    for (flag, seconds) in [
        ("--lease-duration", terms.lease),
        ("--renew-deadline", terms.deadline),
        ("--retry-period", terms.retry),
        ("--call-timeout", terms.call),
        ("--connect-timeout", terms.call),
    ] {
        command.arg(format!("{flag}={seconds}s"));
    }
    command.args(more).env("KUBECONFIG", kubeconfig).env("HOSTNAME", name);
    Operator::start(command).unwrap()
}

/// The Lease of a stage.
pub(crate) async fn lease(stage: &Stage) -> LeaseSpec {
    named_lease(stage, LEASE).await
}

async fn named_lease(stage: &Stage, name: &str) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(stage.cluster.client().await.unwrap(), stage.namespace.name());
    leases.get_opt(name).await.unwrap().and_then(|lease| lease.spec).unwrap_or_default()
}

/// Waits until a replica of this name holds the Lease, and tells how long that took.
pub(crate) async fn until_leads(stage: &Stage, name: &str) -> Duration {
    until_holds(stage, LEASE, name).await
}

/// Waits until it leads the shard of this number.
pub(crate) async fn until_leads_shard(stage: &Stage, number: usize, name: &str) -> Duration {
    let lease = if number == 1 { LEASE.to_owned() } else { format!("{LEASE}-{number}") };
    until_holds(stage, &lease, name).await
}

async fn until_holds(stage: &Stage, lease: &str, name: &str) -> Duration {
    let begin = Instant::now();
    let leads = async || {
        let holder = named_lease(stage, lease).await.holder_identity.unwrap_or_default();
        holder.starts_with(&format!("{name}_")).then_some(())
    };
    wait_for(&format!("the Lease {lease} in the hands of {name}"), PATIENCE, leads).await.unwrap();
    begin.elapsed()
}

/// A free port of this machine.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], harness::free_port().unwrap()))
}
