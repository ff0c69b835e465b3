//! The tokens that a watch of all namespaces saw in the token Secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use issuer_simulator::analysis::Held;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinSet;

use crate::stage::token_in;

/// The Secrets that an operator has made.
const MADE: &str = "app.kubernetes.io/managed-by=syniverse-token-operator";

/// Grows until it is dropped.
pub(crate) struct Histories {
    seen: Arc<Mutex<Seen>>,
    _watching: JoinSet<()>,
}

/// What was seen so far.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// By namespace and name of the Secret.
    pub(crate) tokens: HashMap<(String, String), Vec<Held>>,
    /// How often the watch began: a token may be missing for each time but the first.
    pub(crate) begun: usize,
}

impl Histories {
    /// Begins to watch.
    pub(crate) fn watch(client: &Client) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut watching = JoinSet::new();
        watching.spawn(watch(Api::all(client.clone()), Arc::clone(&seen)));
        Self { seen, _watching: watching }
    }

    /// How many resources have had a token.
    pub(crate) fn served(&self) -> usize {
        self.with(|seen| seen.tokens.len())
    }

    /// A copy of all of it.
    pub(crate) fn seen(&self) -> Seen {
        self.with(|seen| seen.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn watch(api: Api<Secret>, seen: Arc<Mutex<Seen>>) {
    let mut events = watcher(api, watcher::Config::default().labels(MADE)).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let (at, mut seen) = (Timestamp::now(), seen.lock().unwrap_or_else(PoisonError::into_inner));
        match event {
            Ok(Event::Init) => seen.begun += 1,
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => seen.note(at, &secret),
            // What is deleted is none of this benchmark's business, and after an error the watch begins again.
            Ok(Event::InitDone | Event::Delete(_)) | Err(_) => {}
        }
    }
}

impl Seen {
    /// Takes a Secret; a state Secret holds no token under the key of a token Secret.
    fn note(&mut self, at: Timestamp, secret: &Secret) {
        let Some(token) = token_in(secret) else { return };
        let tokens = self.tokens.entry((secret.namespace().unwrap_or_default(), secret.name_any())).or_default();
        if tokens.last().is_none_or(|last| last.token != token) {
            tokens.push(Held { since: at, token });
        }
    }
}
