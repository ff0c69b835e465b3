//! A controller for each scope: a namespace, or all of them.

use crate::controller::context::Context;
use crate::controller::passes::{error_policy, reconcile_resource};
use crate::controller::secret_index::SecretIndex;
use crate::controller::watches::{self, Trigger, enqueue};
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::runtime::controller::Controller;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::{Api, Client};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::queue::ObjectName;
use tokio::sync::watch;

/// Grace period for recording responses at shutdown, beside the duration of a request, as the API server may be
/// unavailable for a moment. With the default call timeout that leaves 5 s of a Pod's default 30 s for the release of
/// the Lease.
const LONGEST_RECORDING: Duration = Duration::from_secs(15);

/// Scope of a controller: a namespace, or all.
#[derive(Clone, Debug)]
pub(super) struct Scope(Option<String>);

pub(super) fn scopes(namespaces: &[String]) -> Vec<Scope> {
    if namespaces.is_empty() {
        return vec![Scope(None)];
    }
    namespaces.iter().cloned().map(|namespace| Scope(Some(namespace))).collect()
}

impl Scope {
    pub(super) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.0 {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
}

/// Runs a controller per scope; wakes from elsewhere go to the scope of the resource.
pub(super) async fn run_scopes(
    context: Arc<Context>,
    client: &Client,
    scopes: Vec<Scope>,
    mut woken: tokio::sync::mpsc::UnboundedReceiver<ObjectName>,
    stop: watch::Receiver<bool>,
) {
    let (mut doors, mut running) = (HashMap::new(), FuturesUnordered::new());
    for scope in scopes {
        let (trigger, triggers) = unbounded();
        doors.insert(scope.0.clone(), trigger.clone());
        running.push(run_scope(Arc::clone(&context), client.clone(), scope, (trigger, triggers), stop.clone()));
    }
    let post = async {
        while let Some(name) = woken.recv().await {
            let trigger = doors.get(&Some(name.namespace.clone())).or_else(|| doors.get(&None));
            trigger.into_iter().for_each(|trigger| enqueue(&context, trigger, name.clone()));
        }
    };
    // At shutdown all are awaited; a controller that ends by itself ends the process, as its namespace would no longer
    // be served.
    let all = async { while running.next().await.is_some() && *stop.borrow() {} };
    let out_of_time = out_of_time(stop.clone(), context.call_timeout + LONGEST_RECORDING);
    tokio::select! { () = all => {}, () = post => {}, () = out_of_time => tracing::warn!("stopped before all passes \
    had ended") }
}

async fn out_of_time(mut stop: watch::Receiver<bool>, longest: Duration) {
    stopped(&mut stop).await;
    tokio::time::sleep(longest).await;
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends this task as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

type Triggers = UnboundedReceiver<ObjectRef<SyniverseToken>>;

async fn run_scope(
    context: Arc<Context>,
    client: Client,
    scope: Scope,
    (trigger, triggers): (Trigger, Triggers),
    mut stop: watch::Receiver<bool>,
) {
    let index = Arc::new(Mutex::new(SecretIndex::default()));
    let (reader, writer) = reflector::store();
    let resources = watches::resources(Arc::clone(&context), scope.api(&client), Arc::clone(&index), writer);
    let secrets = watches::secrets(Arc::clone(&context), scope.api(&client), index, trigger.clone());
    let resync = resync_on_leadership(Arc::clone(&context), reader.clone(), trigger);
    let idle = stopped_before_the_list(reader.clone(), stop.clone());
    let passes = Controller::for_stream(resources, reader)
        .reconcile_on(triggers)
        .graceful_shutdown_on(async move { stopped(&mut stop).await })
        .run(reconcile_resource, error_policy, context)
        .for_each(|_| futures::future::ready(()));
    tokio::select! { () = passes => {}, () = secrets => {}, () = resync => {}, () = idle => {} }
}

/// Ends at a shutdown before any resource was seen: there is nothing to finish, but the controller would keep waiting
/// for an API server that is unavailable.
async fn stopped_before_the_list(resources: Store<SyniverseToken>, mut stop: watch::Receiver<bool>) {
    stopped(&mut stop).await;
    if resources.wait_until_ready().now_or_never().is_some() {
        std::future::pending().await
    }
}

/// A new leader reconciles everything; earlier changes were another leader's. The same after a rollback of the store.
async fn resync_on_leadership(context: Arc<Context>, resources: Store<SyniverseToken>, trigger: Trigger) {
    let (mut leadership, mut rollbacks, mut since) = (context.leadership.clone(), context.rollbacks(), None);
    loop {
        tokio::select! {
            begun = leadership.wait_for_new_term(since) => since = Some(begun),
            Ok(()) = rollbacks.changed() => {}
        }
        resources.state().iter().for_each(|resource| enqueue(&context, &trigger, ObjectName::of(&**resource)));
    }
}
