//! What the demo and the benchmark have in common: the example resource fitted to a simulated application, the operator
//! at work in one namespace, and a watch that notes when it was told what.

use std::future::ready;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use futures::StreamExt;
use futures::stream::{BoxStream, select};
use harness::Operator;
use issuer_simulator::application::NewApplication;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use syniverse_token_core::api::{DEFAULT_KEY, SyniverseToken};
use syniverse_token_core::secrets;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const EXAMPLE: &str = include_str!("../syniversetoken.yaml");

/// The two objects of `examples/syniversetoken.yaml`, for an application of the simulator.
pub(crate) struct Example {
    credentials: Secret,
    resource: SyniverseToken,
}

impl Example {
    /// The example as a resource called `name`, its credentials filled in.
    ///
    /// # Errors
    /// If the file is no longer a Secret and a SyniverseToken with an application.
    pub(crate) fn of(application: &NewApplication, name: &str, endpoint: &str, validity: &str) -> anyhow::Result<Self> {
        let mut documents = serde_saphyr::from_multiple::<Value>(EXAMPLE)?.into_iter();
        let mut next = || documents.next().context("examples/syniversetoken.yaml lacks an object");
        let mut credentials: Secret = serde_json::from_value(next()?)?;
        let mut resource: SyniverseToken = serde_json::from_value(next()?)?;
        let values = [&application.consumer_key, &application.consumer_secret, &application.token];
        let values = ["consumerKey", "consumerSecret", "oldToken"].into_iter().zip(values);
        credentials.string_data = Some(values.map(|(key, value)| (key.to_owned(), value.clone())).collect());
        credentials.metadata.name = Some(format!("{name}-application"));
        resource.metadata.name = Some(name.to_owned());
        let spec = resource.spec.application.as_mut().context("examples/syniversetoken.yaml has no application")?;
        spec.credentials.secret_ref.name = credentials.name_any();
        spec.endpoint = endpoint.to_owned();
        spec.validity = validity.to_owned();
        Ok(Self { credentials, resource })
    }

    /// Creates both objects.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub(crate) async fn create(&self, client: &Client, namespace: &str) -> kube::Result<()> {
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &self.credentials).await?;
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &self.resource).await?;
        Ok(())
    }
}

/// Starts the operator for one namespace, allowed to call a simulator on loopback; without a kubeconfig it finds the
/// current one by itself.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn operator(binary: &Path, kubeconfig: Option<&Path>, namespace: &str) -> harness::Result<Operator> {
    let mut command = Command::new(binary);
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--namespace", namespace]);
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    Operator::start(command)
}

/// What a watch told.
pub(crate) enum Sighting {
    /// A Secret was there, created or changed: each write is one of these, as long as the watch does not begin anew.
    Secret(Box<Secret>),
    /// The Secret of this name is gone.
    NoSecret(String),
    /// The same as `Secret` of a resource.
    Resource(Box<SyniverseToken>),
    /// A watch began: a second time after an error, when events may have been missed.
    Began,
}

/// Watches the Secrets and resources of a namespace. Each sighting carries the instant of its arrival, however late it
/// is taken from the channel.
pub(crate) fn watch(client: &Client, namespace: &str) -> UnboundedReceiver<(Timestamp, Sighting)> {
    let of_secrets = events(Api::namespaced(client.clone(), namespace)).filter_map(|event| ready(of_secret(event)));
    let of_resources = events(Api::namespaced(client.clone(), namespace)).filter_map(|event| ready(of_resource(event)));
    let mut sightings = select(of_secrets, of_resources);
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(sighting) = sightings.next().await {
            if sender.send((Timestamp::now(), sighting)).is_err() {
                break;
            }
        }
    });
    receiver
}

fn events<K>(api: Api<K>) -> BoxStream<'static, Event<K>>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let events = watcher(api, watcher::Config::default()).default_backoff();
    events.filter_map(|event| ready(event.ok())).boxed()
}

fn of_secret(event: Event<Secret>) -> Option<Sighting> {
    match event {
        Event::Init => Some(Sighting::Began),
        Event::InitDone => None,
        Event::Apply(secret) | Event::InitApply(secret) => Some(Sighting::Secret(Box::new(secret))),
        Event::Delete(secret) => Some(Sighting::NoSecret(secret.name_any())),
    }
}

fn of_resource(event: Event<SyniverseToken>) -> Option<Sighting> {
    match event {
        Event::Init => Some(Sighting::Began),
        Event::InitDone | Event::Delete(_) => None,
        Event::Apply(resource) | Event::InitApply(resource) => Some(Sighting::Resource(Box::new(resource))),
    }
}

/// The token in a token Secret of the example.
pub(crate) fn token_in(secret: &Secret) -> Option<String> {
    Some(secrets::token_in(secret, DEFAULT_KEY)?.expose().to_owned())
}
