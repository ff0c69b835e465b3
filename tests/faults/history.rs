//! What the token Secret held and when, as a watch saw it.

use crate::support::{NAME, Stage, text};
use futures::{StreamExt, pin_mut};
use issuer_simulator::analysis::{Held, Rotation, rotations};
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// The tokens of the token Secret of a stage, from the moment this was made.
pub(crate) struct History {
    held: Arc<Mutex<Vec<Held>>>,
    watching: JoinHandle<()>,
}

impl History {
    pub(crate) fn of(stage: &Stage) -> Self {
        let held: Arc<Mutex<Vec<Held>>> = Arc::default();
        let watching = tokio::spawn(watch(stage.secrets.clone(), Arc::clone(&held)));
        Self { held, watching }
    }

    /// Each token once for as long as it stayed.
    pub(crate) fn held(&self) -> Vec<Held> {
        let mut held = self.held.lock().unwrap().clone();
        held.dedup_by(|later, earlier| later.token == earlier.token);
        held
    }

    /// The changes from one of the issuer's tokens to the next.
    pub(crate) fn rotations(&self, journal: &Journal) -> Vec<Rotation> {
        rotations(journal, &self.held())
    }

    /// Fails unless every token is one of the issuer's, and none stood there after a younger one.
    pub(crate) fn assert_in_order_of(&self, journal: &Journal) {
        let birth = |held: &Held| journal.tokens.iter().position(|known| known.value == held.token);
        let births: Vec<_> = self.held().iter().map(birth).collect();
        assert!(births.iter().all(Option::is_some) && births.is_sorted(), "{births:?}");
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn watch(secrets: Api<Secret>, held: Arc<Mutex<Vec<Held>>>) {
    let one = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let events = watcher(secrets, one);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(secret) | Event::InitApply(secret)) = event else { continue };
        let token = text(&secret, "accessToken").map(|token| Held { since: Timestamp::now(), token });
        held.lock().unwrap().extend(token);
    }
}
