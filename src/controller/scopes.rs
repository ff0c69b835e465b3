//! The watches of each scope, a namespace or all of them, and the passes over all resources.

use crate::controller::context::Context;
use crate::controller::pass::pass;
use crate::controller::scheduler;
use crate::controller::secret_index::SecretIndex;
use crate::controller::watches;
use kube::{Api, Client};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Grace period for recording responses at shutdown, beside the duration of a request, as the API server may be
/// unavailable for a moment. With the default call timeout that leaves 5 s of a Pod's default 30 s for the release of
/// the Lease.
const LONGEST_RECORDING: Duration = Duration::from_secs(15);

/// What is watched: a namespace, or all.
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

/// Follows each scope, and runs the passes of all, until `stop`.
pub(super) async fn run_scopes(
    context: Arc<Context>,
    client: &Client,
    scopes: Vec<Scope>,
    stop: watch::Receiver<bool>,
) {
    let watches = scopes.iter().map(|scope| follow(Arc::clone(&context), client.clone(), scope));
    // A watch that ends by itself ends the process, as its namespace would no longer be served.
    let watches = futures::future::select_all(watches.map(Box::pin));
    let resync = resync_on_leadership(Arc::clone(&context));
    let out_of_time = out_of_time(stop.clone(), context.call_timeout + LONGEST_RECORDING);
    tokio::select! {
        () = scheduler::run(context, stop, |context, name| async move { pass(&context, &name).await }) => {}
        _ = watches => {}
        () = resync => {}
        () = out_of_time => tracing::warn!("stopped before all passes had ended"),
    }
}

async fn follow(context: Arc<Context>, client: Client, scope: &Scope) {
    let index = Arc::new(Mutex::new(SecretIndex::default()));
    let resources = watches::resources(Arc::clone(&context), scope.api(&client), Arc::clone(&index));
    let secrets = watches::secrets(context, scope.api(&client), index);
    tokio::select! { () = resources => {}, () = secrets => {} }
}

async fn out_of_time(mut stop: watch::Receiver<bool>, longest: Duration) {
    stopped(&mut stop).await;
    tokio::time::sleep(longest).await;
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends this task as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A new leader reconciles everything; earlier changes were another leader's. The same after a rollback of the store.
async fn resync_on_leadership(context: Arc<Context>) {
    let (mut leadership, mut rollbacks, mut since) = (context.leadership.clone(), context.rollbacks(), None);
    loop {
        tokio::select! {
            begun = leadership.wait_for_new_term(since) => {
                context.begin_waits();
                since = Some(begun);
            }
            Ok(()) = rollbacks.changed() => {}
        }
        let all = context.resources().names();
        context.all_changed(&all);
    }
}
