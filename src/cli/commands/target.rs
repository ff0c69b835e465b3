//! Which cluster and namespace a command is for.

use crate::client::error::describe_watch;
use crate::client::kubeconfig::{Choice, chosen};
use anyhow::Context as _;
use clap::Args;
use futures::{Stream, StreamExt};
use http::Request;
use http::header::DATE;
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::client::Body;
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;

/// For as long the API server may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Objects of a page.
const PAGE: u32 = 250;
/// Two clocks that differ by less agree: one tells whole seconds, and the answer takes its time.
const AGREEING: SignedDuration = SignedDuration::from_secs(3);

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
    /// The namespace that was named.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
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
    /// The present by the API server's clock, to a second: that of this machine may be off.
    pub(super) async fn now(&self) -> Timestamp {
        let asked = Request::get("/version").body(Body::empty());
        let answer = match asked {
            Ok(request) => self.client.send(request).await.ok(),
            Err(_) => None,
        };
        let date = answer.as_ref().and_then(|answer| answer.headers().get(DATE)?.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
        let own = Timestamp::now();
        // Of two clocks that agree, the finer one.
        date.filter(|date| own.duration_since(*date).abs() > AGREEING).unwrap_or(own)
    }

    /// The objects of a list, page by page.
    pub(super) async fn list<K>(&self, all: bool, wanted: ListParams) -> kube::Result<Vec<K>>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api = self.api_in::<K>(all);
        let (mut objects, mut page) = (Vec::new(), wanted.limit(PAGE));
        loop {
            let list = api.list(&page).await?;
            objects.extend(list.items);
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page.continue_token = Some(next),
                None => return Ok(objects),
            }
        }
    }

    /// A SyniverseToken as it is and as it changes; what keeps it from being seen is said once.
    pub(super) fn follow(&self, name: &str) -> impl Stream<Item = SyniverseToken> + Send + Unpin + use<> {
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut is_said = false;
        let seen = watcher(self.api::<SyniverseToken>(), only).default_backoff().applied_objects();
        let heard = seen.filter_map(move |seen| {
            if let Err(error) = &seen
                && !std::mem::replace(&mut is_said, true)
            {
                eprintln!("it cannot be watched: {}", describe_watch(error));
            }
            std::future::ready(seen.ok())
        });
        heard.boxed()
    }

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
