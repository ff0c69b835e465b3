//! Counts what is written, as the API server tells it: every write of an object is one event of a watch.

use super::Stage;
use futures::{StreamExt, pin_mut};
use harness::wait_for;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

const MARK: &str = "mark";

/// The writes of the Secrets of a stage, from the moment it was made.
pub(crate) struct Writes {
    seen: Arc<Mutex<Vec<String>>>,
    watching: JoinHandle<()>,
}

impl Writes {
    /// Starts counting: nothing that comes after this call is missed.
    pub(crate) async fn of(stage: &Stage) -> Self {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = stage.secrets.list(&kube::api::ListParams::default()).await.unwrap();
        let version = list.metadata.resource_version.unwrap();
        let watching = tokio::spawn(watch(stage.secrets.clone(), version, Arc::clone(&seen)));
        Self { seen, watching }
    }

    /// How often the Secret `name` was created or changed so far.
    pub(crate) async fn count(&self, stage: &Stage, name: &str) -> usize {
        self.catch_up(stage).await;
        self.seen.lock().unwrap().iter().filter(|seen| *seen == name).count()
    }

    /// The names of the Secrets that were created or changed so far, in order.
    pub(crate) async fn names(&self, stage: &Stage) -> Vec<String> {
        self.catch_up(stage).await;
        self.seen.lock().unwrap().iter().filter(|seen| *seen != MARK).cloned().collect()
    }

    /// Events come in the order of the writes: with one of our own, all before it are there.
    async fn catch_up(&self, stage: &Stage) {
        let marks = || self.seen.lock().unwrap().iter().filter(|seen| *seen == MARK).count();
        let before = marks();
        stage.put_secret(MARK, &[]).await;
        wait_for("the mark", super::PATIENCE, async || (marks() > before).then_some(())).await.unwrap();
        stage.secrets.delete(MARK, &DeleteParams::default()).await.unwrap();
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn watch(secrets: Api<Secret>, version: String, seen: Arc<Mutex<Vec<String>>>) {
    let events = secrets.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        if let WatchEvent::Added(secret) | WatchEvent::Modified(secret) = event.unwrap() {
            seen.lock().unwrap().push(secret.name_any());
        }
    }
}
