//! The bad neighbours: what they are, and how they come to be.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use issuer_simulator::Simulator;
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use syniverse_token_core::api::SyniverseToken;
use tokio::time::{Instant, interval};

/// Requests of this program at a time, while it makes them.
const AT_ONCE: usize = 16;
/// What is as large as the API server takes it is made one by one.
const LARGE_AT_ONCE: usize = 4;
const LABELS: usize = 4000;
/// A template may have 16 entries of 15 KiB, and the Secret that it becomes 256 KiB.
const TEMPLATE: usize = 15;
const TEMPLATE_ENTRY: usize = 15 * 1024;
/// The annotations of an object may have 256 KiB.
const ANNOTATION: usize = 250 * 1024;
/// A Secret may have 1 MiB.
const VALUE: usize = 1000 * 1024;

/// What is bad about them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The issuer answers 403 with a page of what stands before it.
    Forbidden,
    /// The issuer answers 500 with its envelope.
    WrongSecret,
    /// They are suspended and all name one Secret.
    Suspended,
    /// They are Secrets of somebody else, with as many labels as go into one.
    Labels,
    /// Their token Secrets are as large as they may be.
    Template,
    /// They carry as much as an object may.
    Annotations,
    /// Their Secrets of credentials are as large as they may be.
    Credentials,
}

/// A neighbourhood.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    /// How often each of their Secrets is written anew.
    pub(crate) patched: Option<Duration>,
}

/// So many, each of whose Secrets is written anew every so many seconds, if not 0.
pub(crate) const fn crowd(count: usize, kind: Kind, patched_every_seconds: u64) -> Crowd {
    let patched = if patched_every_seconds > 0 { Some(Duration::from_secs(patched_every_seconds)) } else { None };
    Crowd { kind, count, patched }
}

impl Display for Crowd {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { count, kind, patched } = self;
        match kind {
            Kind::Forbidden if *count == 0 => write!(f, "none")?,
            Kind::Forbidden => write!(f, "{count} answered 403 text/html")?,
            Kind::WrongSecret => write!(f, "{count} with a wrong secret")?,
            Kind::Suspended => write!(f, "{count} suspended on one Secret")?,
            Kind::Labels => write!(f, "{count} foreign Secrets with {LABELS} labels")?,
            Kind::Template => write!(f, "{count} with a template of {} KiB", TEMPLATE * TEMPLATE_ENTRY / 1024)?,
            Kind::Annotations => write!(f, "{count} with {} KiB of annotations", ANNOTATION / 1024)?,
            Kind::Credentials => write!(f, "{count} with {} KiB of credentials", VALUE / 1024)?,
        }
        patched.map_or(Ok(()), |every| write!(f, ", patched every {every:?}"))
    }
}

impl Crowd {
    /// Whether it is the size of single objects that is bad: that shows when an operator starts.
    pub(crate) fn is_about_size(&self) -> bool {
        matches!(self.kind, Kind::Labels | Kind::Template | Kind::Annotations | Kind::Credentials)
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.count).map(|number| format!("bad-{number}"))
    }

    /// Makes them.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub(crate) async fn come(&self, client: &Client, simulator: &Simulator, namespace: &str) -> anyhow::Result<()> {
        if let Kind::Suspended = self.kind {
            create_secret(client, namespace, &credentials("shared", "wrong", 0)).await?;
        }
        let at_once = if self.is_about_size() { LARGE_AT_ONCE } else { AT_ONCE };
        let coming = self.names().map(|name| self.one(client, simulator, namespace, name));
        stream::iter(coming).buffer_unordered(at_once).try_collect().await
    }

    async fn one(&self, client: &Client, simulator: &Simulator, namespace: &str, name: String) -> anyhow::Result<()> {
        let (endpoint, forbidden) = (
            simulator.endpoint(),
            Action::Fail { status: 403, retry_after: None, body: FailBody::Html, at: Stage::BeforeWork },
        );
        let mut token = resource(&name, &name, &endpoint);
        let mut secret = credentials(&name, "secret", 0);
        match self.kind {
            Kind::Forbidden => simulator.fault(Fault::always(forbidden).only_for(name.clone())),
            Kind::WrongSecret => secret = credentials(&name, "wrong", 0),
            Kind::Suspended => {
                token = resource(&name, "shared", &endpoint);
                token["spec"]["suspend"] = json!(true);
                return create_resource(client, namespace, token).await;
            }
            Kind::Labels => return create_secret(client, namespace, &foreign(&name)).await,
            Kind::Template => {
                let template: BTreeMap<_, _> =
                    (0..TEMPLATE).map(|number| (format!("key-{number}"), "t".repeat(TEMPLATE_ENTRY))).collect();
                token["spec"]["secret"]["template"] = json!(template);
            }
            Kind::Annotations => token["metadata"]["annotations"] = json!({"example.com/much": "a".repeat(ANNOTATION)}),
            Kind::Credentials => secret = credentials(&name, "secret", VALUE),
        }
        simulator.add_application(NewApplication::expired(&name, "secret", "portal-token"));
        create_secret(client, namespace, &secret).await?;
        create_resource(client, namespace, token).await
    }

    /// Writes each of their Secrets anew every so often, with another value each time, for as long as it is polled.
    pub(crate) async fn patch(&self, client: &Client, namespace: &str, every: Duration) {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let shared = self.kind == Kind::Suspended;
        let names: Vec<_> = if shared { vec!["shared".to_owned()] } else { self.names().collect() };
        let (mut ticks, begin) = (interval(every), Instant::now());
        loop {
            ticks.tick().await;
            let value = format!("wrong since {:?}", begin.elapsed());
            let change = Patch::Merge(json!({"stringData": {"consumerSecret": value}}));
            let writes = names.iter().map(|name| {
                let (secrets, change, name) = (secrets.clone(), &change, name.clone());
                // One that is not taken is followed by the next: what counts is that they are many.
                async move { drop(secrets.patch(&name, &PatchParams::default(), change).await) }
            });
            stream::iter(writes).buffer_unordered(AT_ONCE).collect::<()>().await;
        }
    }
}

/// A resource whose credentials are in the Secret of that name.
fn resource(name: &str, secret: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "syniverse.dev/v1alpha1",
        "kind": "SyniverseToken",
        "metadata": {"name": name},
        "spec": {
            "application": {"endpoint": endpoint, "credentials": {"secretRef": {"name": secret}}},
            // Not the name of the credentials.
            "secret": {"name": format!("{name}-token")},
        },
    })
}

/// Credentials of an application, beside a value of so many bytes that nobody asked for.
fn credentials(name: &str, secret: &str, more: usize) -> Value {
    json!({
        "metadata": {"name": name},
        "stringData": {"consumerKey": name, "consumerSecret": secret, "oldToken": "portal-token", "more": "m".repeat(more)},
    })
}

/// A Secret that belongs to nobody.
fn foreign(name: &str) -> Value {
    let labels: BTreeMap<_, _> = (0..LABELS).map(|number| (format!("l{number:062}"), "v".repeat(63))).collect();
    json!({"metadata": {"name": name, "labels": labels}})
}

async fn create_secret(client: &Client, namespace: &str, secret: &Value) -> anyhow::Result<()> {
    let secret: Secret = serde_json::from_value(secret.clone())?;
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &secret).await?;
    Ok(())
}

async fn create_resource(client: &Client, namespace: &str, resource: Value) -> anyhow::Result<()> {
    let resource: SyniverseToken = serde_json::from_value(resource)?;
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &resource).await?;
    Ok(())
}
