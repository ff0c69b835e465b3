//! A watch of the Secrets, by the clock of this process: when a token was in one.

use crate::support::text;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// Tokens and the instants at which a watch told that a Secret has them, until this value is dropped.
pub(crate) struct Secrets {
    told: Arc<Mutex<HashMap<String, Timestamp>>>,
    _watching: JoinSet<()>,
}

impl Secrets {
    pub(crate) fn watch(secrets: Api<Secret>) -> Self {
        let told = Arc::<Mutex<HashMap<_, _>>>::default();
        let (notes, mut watching) = (Arc::clone(&told), JoinSet::new());
        watching.spawn(async move {
            let mut writes = watcher(secrets, Default::default()).default_backoff().applied_objects().boxed();
            while let Ok(Some(secret)) = writes.try_next().await {
                if let Some(token) = text(&secret, "accessToken") {
                    notes.lock().unwrap().entry(token).or_insert_with(Timestamp::now);
                }
            }
        });
        Self { told, _watching: watching }
    }

    /// When a Secret first had this token.
    pub(crate) fn first_had(&self, token: &str) -> Option<Timestamp> {
        self.told.lock().unwrap().get(token).copied()
    }
}
