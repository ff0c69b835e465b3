//! Watches: the resources in full, and the Secrets by their metadata.

use crate::client::connection::{DocumentTooLarge, WATCH};
use crate::client::error::describe_watch;
use crate::controller::context::Context;
use crate::controller::secret_index::{Gone, ListedSecrets, SecretIndex};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::predicates;
use kube::runtime::utils::Backoff as RetryDelays;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use syniverse_token_core::api::{REFRESH_ANNOTATION, REJECTED_ANNOTATION, SyniverseToken};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::schedule::retry::Backoff;
use syniverse_token_core::shard::Shard;
use syniverse_token_core::time::Moment;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

/// A failed watch is retried soon, so that a corrected credential takes effect soon after an outage, too.
const WATCH_RETRY: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(8) };
/// The code of a watch that went on from a version too old: after a restart of the API server, or a long break.
const GONE: u16 = 410;
/// Objects in a page of a list, unless they are large.
const PAGE: u32 = 500;
/// Duration after which a watch counts as healthy, which resets its backoff.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(60);

/// Follows the resources. Errors are logged and dropped, so that no watch ever delays the others.
pub async fn resources(context: Arc<Context>, api: Api<SyniverseToken>, index: Arc<Mutex<SecretIndex>>) {
    let events = restartable(api, context.rollbacks(), context.shard)
        .backoff(WatchBackoff::default())
        .modify(drop_unread_metadata);
    let (mut events, mut listed, mut is_first) = (events.boxed(), Vec::new(), true);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                note_first_list(&context, &event, &mut is_first);
                let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
                resource_event(&context, &mut index, &mut listed, event);
            }
            Err(error) => log_watch_error("SyniverseTokens", &error),
        }
    }
}

/// Takes an event of a resource: a changed spec, refresh annotation or UID makes a pass. Those of a list come when it is
/// complete, in the order of their deadlines; `listed` holds the changed resources of a list in progress.
pub fn resource_event(
    context: &Context,
    index: &mut SecretIndex,
    listed: &mut Vec<ObjectName>,
    event: Event<SyniverseToken>,
) {
    update_index(context, index, &event);
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(resource) => listed.extend(shown(context, resource)),
        Event::InitDone => context.all_changed(&std::mem::take(listed)),
        Event::Apply(resource) => context.all_changed(shown(context, resource).as_slice()),
        Event::Delete(_) => {}
    }
}

/// The name of the resource, if what changed makes a pass.
fn shown(context: &Context, resource: SyniverseToken) -> Option<ObjectName> {
    let name = context.name(&resource);
    let makes_a_pass = context.resources().set(&name, &resource);
    context.check_status(&name, &resource);
    makes_a_pass.then_some(name)
}

/// Of what others write about a resource only two annotations are read here, as far as they count: the rest is most of what a
/// resource weighs.
fn drop_unread_metadata(resource: &mut SyniverseToken) {
    let refresh = resource.refresh().map(|wish| (REFRESH_ANNOTATION.to_owned(), wish));
    let rejected = resource.rejected().map(|word| (REJECTED_ANNOTATION.to_owned(), word.to_owned()));
    let read: BTreeMap<_, _> = refresh.into_iter().chain(rejected).collect();
    let metadata = &mut resource.metadata;
    (metadata.managed_fields, metadata.labels) = (None, None);
    metadata.annotations = (!read.is_empty()).then_some(read);
}

/// The parts of a resource whose change makes a pass.
pub fn change_hash(resource: &SyniverseToken) -> u64 {
    let mut hasher = DefaultHasher::new();
    resource.metadata.uid.hash(&mut hasher);
    predicates::generation(resource).hash(&mut hasher);
    (resource.refresh(), resource.rejected()).hash(&mut hasher);
    hasher.finish()
}

/// A watch that the API server ends soon, and that resumes where it was: detects connections that have gone silent.
pub fn short_watch() -> watcher::Config {
    watcher::Config::default().timeout(u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX))
}

/// A watch of what the shard holds, which restarts with a list each time the store is rolled back, and with smaller pages
/// while a page of its list is too large.
fn restartable<K>(
    api: Api<K>,
    rollbacks: Receiver<Option<Moment>>,
    shard: Shard,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let begin = move |page| watcher(api.clone(), short_watch().page_size(page)).boxed();
    let events = futures::stream::unfold(
        (begin(PAGE), PAGE, begin, rollbacks),
        |(mut events, mut page, begin, mut rollbacks)| async move {
            loop {
                tokio::select! {
                    event = events.next() => match event? {
                        Err(error) if page > 1 && is_too_large(&error) => {
                            page /= 2;
                            events = begin(page);
                        }
                        event => return Some((event, (events, page, begin, rollbacks))),
                    },
                    Ok(()) = rollbacks.changed() => events = begin(page),
                }
            }
        },
    );
    events.filter(move |event| futures::future::ready(is_held(event, shard)))
}

/// Nothing of what other shards hold is stored, indexed or remembered.
fn is_held<K: kube::Resource>(event: &watcher::Result<Event<K>>, shard: Shard) -> bool {
    let Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event else { return true };
    object.meta().namespace.as_deref().is_none_or(|namespace| shard.holds(namespace))
}

fn is_too_large(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Service(error)) if error.is::<DocumentTooLarge>())
}

/// Keeps the index in step with the resources.
fn update_index(context: &Context, index: &mut SecretIndex, event: &Event<SyniverseToken>) {
    let gone: Vec<Gone> = match event {
        Event::Init => {
            index.list_begins();
            Vec::new()
        }
        Event::InitDone => index.list_ends(),
        Event::Apply(resource) | Event::InitApply(resource) => {
            context.mark_living(resource.uid().unwrap_or_default());
            index.set(context.name(resource), resource).into_iter().collect()
        }
        Event::Delete(resource) => index.remove(&ObjectName::of(resource)).into_iter().collect(),
    };
    for secret in index.take_unused() {
        context.credentials().forget(&secret);
        context.own_writes().forget(&secret);
    }
    for gone in gone {
        context.resources().remove(&gone.name, gone.uid.as_deref());
        context.forget(&gone.name, gone.uid.as_deref());
    }
}

/// Wakes the resources that use a changed Secret. Metadata only, and nothing is kept.
pub async fn secrets(context: Arc<Context>, api: Api<PartialObjectMeta<Secret>>, index: Arc<Mutex<SecretIndex>>) {
    let mut events = restartable(api, context.rollbacks(), context.shard).backoff(WatchBackoff::default()).boxed();
    let (mut listed, mut is_first) = (ListedSecrets::default(), true);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                note_first_list(&context, &event, &mut is_first);
                let index = index.lock().unwrap_or_else(PoisonError::into_inner);
                context.all_changed(&affected_resources(&context, &index, &mut listed, &event));
            }
            Err(error) => {
                watch_interrupted(&context);
                log_watch_error("Secrets", &error);
            }
        }
    }
}

/// A watch has shown everything for the first time: the process is ready when each of them has.
fn note_first_list<K>(context: &Context, event: &Event<K>, is_first: &mut bool) {
    if matches!(event, Event::InitDone) && std::mem::take(is_first) {
        context.progress().watch_listed();
    }
}

/// The resources affected by an event of a Secret. Our own writes are ignored; a Secret that a list does not show may
/// have been deleted between two watches. `listed` holds the Secrets shown by the list in progress.
pub fn affected_resources(
    context: &Context,
    index: &SecretIndex,
    listed: &mut ListedSecrets,
    event: &Event<PartialObjectMeta<Secret>>,
) -> Vec<ObjectName> {
    match event {
        Event::Init => {
            watch_interrupted(context);
            *listed = ListedSecrets::default();
            Vec::new()
        }
        Event::InitDone => {
            let listed = std::mem::take(listed);
            context.own_writes().list_ended(|secret| listed.contains(secret));
            index.users_of_others(&listed)
        }
        Event::InitApply(secret) => {
            listed.insert(&ObjectName::of(secret));
            changed(context, index, secret)
        }
        Event::Apply(secret) => changed(context, index, secret),
        Event::Delete(secret) => {
            let name = ObjectName::of(secret);
            context.own_writes().forget(&name);
            context.credentials().shown(&name, None);
            index.users(&name)
        }
    }
}

fn changed(context: &Context, index: &SecretIndex, secret: &PartialObjectMeta<Secret>) -> Vec<ObjectName> {
    let (name, version) = (ObjectName::of(secret), secret.metadata.resource_version.as_deref());
    let mut is_used = false;
    let affected = context.own_writes().shown(&name, version, || {
        let users = index.users(&name);
        is_used = !users.is_empty();
        users
    });
    if is_used {
        context.credentials().shown(&name, version);
    }
    affected
}

/// Nothing is known by the watch alone until a list shows it.
fn watch_interrupted(context: &Context) {
    context.credentials().clear();
    context.own_writes().watch_interrupted();
}

fn log_watch_error(what: &str, error: &watcher::Error) {
    if matches!(error, watcher::Error::WatchError(status) if status.code == GONE) {
        tracing::debug!("restarting the watch of {what}: its resourceVersion expired (410)");
        return;
    }
    if matches!(error, watcher::Error::WatchFailed(kube::Error::ReadEvents(_))) {
        tracing::warn!("the connection of the watch of {what} broke or went silent; continuing over a new connection");
        return;
    }
    tracing::warn!(
        error = describe_watch(error),
        "failed to watch {what}, retrying; check that the CRD and the RBAC rules are installed"
    );
}

/// Backoff of a failing watch: growing for as long as it fails. The start of a list does not count as a success, as it
/// would for the stream itself.
#[derive(Default)]
struct WatchBackoff {
    failures: u32,
    last: Option<Instant>,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > BACKOFF_RESET_AFTER) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(Instant::now());
        Some(WATCH_RETRY.after(self.failures, 0))
    }
}

impl RetryDelays for WatchBackoff {
    fn reset(&mut self) {}
}
