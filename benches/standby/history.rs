//! What each token Secret held, as etcd tells it: a watch of the API server ends with that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use futures::{Stream, StreamExt, pin_mut};
use harness::{Change, ControlPlane};
use issuer_simulator::analysis::Held;
use jiff::Timestamp;
use syniverse_token_core::api::STATE_SECRET_SUFFIX;
use tokio::task::JoinHandle;

use crate::stage::token_in;

/// The tokens of each resource in their order, by its name.
pub(crate) type Tokens = BTreeMap<String, Vec<Held>>;

/// What is seen while it happens.
pub(crate) struct History {
    seen: Arc<Mutex<Tokens>>,
    watching: JoinHandle<anyhow::Result<()>>,
}

impl History {
    /// Watches the Secrets of a namespace.
    ///
    /// # Errors
    /// If etcd does not answer.
    pub(crate) async fn watch(plane: &ControlPlane, namespace: &str) -> anyhow::Result<Self> {
        let changes = plane.changes(&[format!("/registry/secrets/{namespace}/")]).await?;
        let seen: Arc<Mutex<Tokens>> = Arc::default();
        Ok(Self { watching: tokio::spawn(watch(changes, Arc::clone(&seen))), seen })
    }

    /// How many resources whose names begin so have had as many tokens.
    pub(crate) fn holding(&self, kind: &str, tokens: usize) -> usize {
        lock(&self.seen).iter().filter(|(name, held)| name.starts_with(kind) && held.len() >= tokens).count()
    }

    /// Everything until now.
    ///
    /// # Errors
    /// If the watch ended before: something was missed.
    pub(crate) fn end(self) -> anyhow::Result<Tokens> {
        if self.watching.is_finished() {
            bail!("the watch of etcd ended");
        }
        self.watching.abort();
        Ok(std::mem::take(&mut *lock(&self.seen)))
    }
}

fn lock(seen: &Mutex<Tokens>) -> MutexGuard<'_, Tokens> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch(changes: impl Stream<Item = harness::Result<Change>>, seen: Arc<Mutex<Tokens>>) -> anyhow::Result<()> {
    pin_mut!(changes);
    while let Some(change) = changes.next().await {
        let (change, since) = (change?, Timestamp::now());
        let name = change.key.rsplit('/').next().unwrap_or_default();
        let Some(secret) = change.is.filter(|_| !name.ends_with(STATE_SECRET_SUFFIX)) else { continue };
        let secret = serde_json::from_value(secret).context("etcd holds something else than a Secret")?;
        let Some(token) = token_in(&secret) else { continue };
        let mut seen = lock(&seen);
        let held = seen.entry(name.to_owned()).or_default();
        held.push(Held { since, token });
        held.dedup_by(|later, earlier| later.token == earlier.token);
    }
    Ok(())
}
