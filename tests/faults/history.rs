//! What the token Secret held, in order, as a watch saw it.

use crate::support::{NAME, Stage, text};
use futures::{StreamExt, pin_mut};
use issuer_simulator::journal::Journal;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// The tokens of the token Secret of a stage, from the moment this was made.
pub(crate) struct History {
    tokens: Arc<Mutex<Vec<String>>>,
    watching: JoinHandle<()>,
}

impl History {
    pub(crate) fn of(stage: &Stage) -> Self {
        let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
        let watching = tokio::spawn(watch(stage.secrets.clone(), Arc::clone(&tokens)));
        Self { tokens, watching }
    }

    /// The tokens so far, each once for as long as it stayed.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let mut tokens = self.tokens.lock().unwrap().clone();
        tokens.dedup();
        tokens
    }

    /// Fails unless every token is one of the issuer's, and none stood there after a younger one.
    pub(crate) fn assert_in_order_of(&self, journal: &Journal) {
        let tokens = self.tokens();
        let birth = |token: &String| journal.tokens.iter().position(|known| known.value == *token);
        let births: Vec<_> = tokens.iter().map(birth).collect();
        assert!(births.iter().all(Option::is_some) && births.is_sorted(), "{births:?}");
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn watch(secrets: Api<Secret>, tokens: Arc<Mutex<Vec<String>>>) {
    let one = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let events = watcher(secrets, one);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(secret) | Event::InitApply(secret)) = event {
            tokens.lock().unwrap().extend(text(&secret, "accessToken"));
        }
    }
}
