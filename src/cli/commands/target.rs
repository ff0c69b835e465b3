//! Which cluster and namespace a command is for.

use crate::client::kubeconfig::{Choice, chosen};
use anyhow::Context as _;
use clap::Args;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use std::path::PathBuf;
use std::time::Duration;

/// For as long the API server may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The flags of every command that asks a cluster: those of kubectl.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArguments {
    /// The namespace [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, or that of the user]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A cluster, and a namespace of it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl TargetArguments {
    /// True where a namespace was named.
    pub(super) fn has_namespace(&self) -> bool {
        self.namespace.is_some()
    }

    /// Opens it; nothing is asked yet.
    pub(super) fn open(&self) -> anyhow::Result<Target> {
        let choice = Choice { file: self.kubeconfig.clone(), context: self.context.clone() };
        let mut config = chosen(&choice).context("no cluster: the kubeconfig is unusable")?;
        (config.connect_timeout, config.read_timeout) = (Some(PATIENCE / 3), Some(PATIENCE));
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Target { client: Client::try_from(config)?, namespace })
    }
}

impl Target {
    /// The objects of a kind in its namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of a kind in its namespace or in all.
    pub(super) fn api_in<K>(&self, all: bool) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        if all { Api::all(self.client.clone()) } else { self.api() }
    }
}
