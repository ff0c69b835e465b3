//! What was stored, change by change, and when it was seen: etcd tells of it, which nobody kills.

use crate::support::{FIELD_MANAGER, PATIENCE, Stage};
use futures::{Stream, StreamExt, pin_mut};
use harness::{Change, ControlPlane, wait_for};
use issuer_simulator::analysis::Held;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use std::sync::{Arc, Mutex};
use syniverse_token_core::api::{DEFAULT_KEY, STATE_SECRET_SUFFIX};
use syniverse_token_core::secrets::{read_state, token_in};
use tokio::task::JoinHandle;

const MARK: &str = "mark";
const SECRETS: &str = "secrets";
const RESOURCES: &str = "syniverse.dev/syniversetokens";

/// One change, and when it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) change: Change,
}

impl Seen {
    /// The namespace and the name of the object.
    pub(crate) fn place(&self) -> (&str, &str) {
        let (parent, name) = self.change.key.rsplit_once('/').unwrap();
        (parent.rsplit_once('/').unwrap().1, name)
    }

    /// True of an object of this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.place().1 == name
    }

    /// True of a Secret, false of a resource.
    pub(crate) fn is_secret(&self) -> bool {
        self.change.key.starts_with(&prefix(SECRETS))
    }

    /// True while nobody but the test itself has written the object.
    pub(crate) fn is_of_the_test(&self) -> bool {
        let managers = self.change.is.as_ref().and_then(|is| is.pointer("/metadata/managedFields")?.as_array());
        managers.is_some_and(|managers| managers.iter().all(|entry| entry["manager"] == FIELD_MANAGER))
    }

    /// What a resource says from then on.
    pub(crate) fn ready_reason(&self) -> Option<&str> {
        let conditions = self.change.is.as_ref()?.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|condition| condition["type"] == "Ready")?["reason"].as_str()
    }

    /// The tokens that the Secret of this name, a state Secret or a token Secret, held one after the other.
    pub(crate) fn held(changes: &[Self], name: &str) -> Vec<Held> {
        let of_secret = changes.iter().filter(|seen| seen.is_secret() && seen.is_of(name));
        let mut held: Vec<_> =
            of_secret.filter_map(|seen| Some(Held { since: seen.at, token: seen.token(name)? })).collect();
        held.dedup_by(|later, earlier| later.token == earlier.token);
        held
    }

    fn token(&self, name: &str) -> Option<String> {
        let secret: Secret = serde_json::from_value(self.change.is.clone()?).ok()?;
        if !name.ends_with(STATE_SECRET_SUFFIX) {
            return Some(token_in(&secret, DEFAULT_KEY)?.expose().to_owned());
        }
        Some(read_state(&secret).ok()?.active_token()?.token.expose().to_owned())
    }
}

fn prefix(kind: &str) -> String {
    format!("/registry/{kind}/")
}

/// The changes of the Secrets and resources of a stage, from its first on.
pub(crate) struct Record {
    seen: Arc<Mutex<Vec<Seen>>>,
    watching: JoinHandle<()>,
}

impl Record {
    pub(crate) async fn of(plane: &ControlPlane, stage: &Stage) -> Self {
        let under = [SECRETS, RESOURCES].map(|kind| format!("{}{}/", prefix(kind), stage.namespace.name()));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let watching = tokio::spawn(watch(plane.changes(&under).await.unwrap(), Arc::clone(&seen)));
        Self { seen, watching }
    }

    /// Everything until now.
    pub(crate) async fn end(self, stage: &Stage) -> Vec<Seen> {
        // Changes come in their order: with one of our own, all before it are there.
        stage.put_secret(MARK, &[]).await;
        let marked = async || self.seen.lock().unwrap().iter().any(|seen| seen.is_of(MARK)).then_some(());
        wait_for("the mark", PATIENCE, marked).await.unwrap();
        self.watching.abort();
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.retain(|seen| !seen.is_of(MARK));
        seen
    }
}

async fn watch(changes: impl Stream<Item = harness::Result<Change>>, seen: Arc<Mutex<Vec<Seen>>>) {
    pin_mut!(changes);
    while let Some(change) = changes.next().await {
        seen.lock().unwrap().push(Seen { at: Timestamp::now(), change: change.unwrap() });
    }
}
