//! Who uses a token, and what they hold.

use super::Verdict;
use super::target::{Target, TargetArguments};
use super::terminal::{self, Mark, Terminal};
use super::times::Times;
use super::token::TokenView;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::collections::HashMap;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::propagation::{TOKEN_ANNOTATION, has_token, owner_of, secret_use};

/// Pods of a page: a Pod may be large.
const PAGE: u32 = 250;
/// For as long a kubelet may take to update a mounted file: its resync of a minute, and the age of its cache.
const RESYNC: SignedDuration = SignedDuration::from_secs(90);

/// The arguments of `consumers`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The SyniverseToken
    name: String,
    #[command(flatten)]
    target: TargetArguments,
}

/// What a Pod holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// The token of the Secret.
    Current,
    /// Perhaps an older one: its file follows.
    Following,
    /// An older one, until it is started again.
    Older,
}

/// A Pod that uses a token Secret.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) pod: String,
    pub(super) owner: String,
    /// A file of it follows each change.
    pub(super) sees_changes: bool,
    /// Something in it stays as it was when it started.
    pub(super) is_blind: bool,
    pub(super) holding: Holding,
}

/// The running Pods of one namespace or of all, by namespace.
pub(super) struct Pods(HashMap<String, Vec<Pod>>);

impl Pods {
    /// Reads them in pages, keeping what matters here.
    pub(super) async fn list(target: &Target, all: bool) -> kube::Result<Self> {
        let api: Api<Pod> = target.api_in(all);
        let mut pods: HashMap<String, Vec<Pod>> = HashMap::new();
        let mut page = ListParams::default().limit(PAGE).fields("status.phase=Running");
        loop {
            let mut list = api.list(&page).await?;
            for mut pod in std::mem::take(&mut list.items) {
                pod.metadata.managed_fields = None;
                pods.entry(pod.namespace().unwrap_or_default()).or_default().push(pod);
            }
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page.continue_token = Some(next),
                None => return Ok(Self(pods)),
            }
        }
    }

    /// Those that use the token Secret of a resource.
    pub(super) fn consumers(&self, token: &TokenView<'_>, now: Timestamp) -> Vec<Consumer> {
        let pods = self.0.get(&token.namespace());
        pods.into_iter().flatten().filter_map(|pod| consumer(pod, token, now)).collect()
    }
}

/// How a Pod uses the token Secret; none if it does not.
fn consumer(pod: &Pod, token: &TokenView<'_>, now: Timestamp) -> Option<Consumer> {
    let secret = token.resource.secret_name();
    let used = secret_use(pod.spec.as_ref()?, secret);
    if !used.sees_changes && !used.is_blind {
        return None;
    }
    let since = token.issued();
    let is_newer = since.is_some_and(|since| started(pod).is_some_and(|started| started > since));
    let is_told = token.fingerprint().is_some_and(|fingerprint| {
        has_token(pod.annotations().get(TOKEN_ANNOTATION).map(String::as_str), secret, fingerprint)
    });
    let has_followed = is_told || since.is_none_or(|since| now.duration_since(since) > RESYNC);
    let holding = match () {
        () if is_newer => Holding::Current,
        () if used.is_blind => Holding::Older,
        () if has_followed => Holding::Current,
        () => Holding::Following,
    };
    Some(Consumer {
        pod: pod.name_any(),
        owner: owner_of(pod),
        sees_changes: used.sees_changes,
        is_blind: used.is_blind,
        holding,
    })
}

/// When the last of its containers started: from then on it has what the Secret held.
fn started(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let running = containers.map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    running.map(|time| time.map(|time| time.0)).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Runs `consumers`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let target = arguments.target.open()?;
    let resource = target.api::<SyniverseToken>().get(&arguments.name).await?;
    let times = Times::now(false);
    let token = TokenView::new(&resource, times.present());
    let consumers = Pods::list(&target, false).await?.consumers(&token, times.present());
    if consumers.is_empty() {
        say!("no running Pod of namespace {} uses Secret {}", target.namespace, resource.secret_name());
        return Ok(Verdict::Good);
    }
    terminal::write(&table(Terminal::stdout(), &consumers));
    let older = consumers.iter().filter(|consumer| consumer.holding == Holding::Older).count();
    if older == 0 {
        return Ok(Verdict::Good);
    }
    say!(
        "{older} of {} hold an older token until they are restarted: kubectl -n {} rollout restart …, or \
         spec.propagation.restart",
        consumers.len(),
        target.namespace
    );
    Ok(Verdict::Bad)
}

/// The table of those that use a token.
pub(super) fn table(terminal: Terminal, consumers: &[Consumer]) -> String {
    let rows: Vec<_> = consumers.iter().map(|consumer| row(terminal, consumer)).collect();
    terminal.table(&["", "POD", "OF", "READS IT AS", "HOLDS"], &rows)
}

fn row(terminal: Terminal, consumer: &Consumer) -> Vec<String> {
    let (mark, holds) = match consumer.holding {
        Holding::Current => (Mark::Good, "the current token"),
        Holding::Following => (Mark::Warning, "the current token within 90s of its issue"),
        Holding::Older => (Mark::Bad, "an older token: it never sees a change"),
    };
    let reads = match (consumer.sees_changes, consumer.is_blind) {
        (true, true) => "file, and environment or subPath",
        (true, false) => "file",
        _ => "environment or subPath",
    };
    vec![terminal.mark(mark), consumer.pod.clone(), consumer.owner.clone(), reads.to_owned(), holds.to_owned()]
}

/// How many hold the current token, of how many.
pub(super) fn count(consumers: &[Consumer]) -> String {
    let current = consumers.iter().filter(|consumer| consumer.holding == Holding::Current).count();
    if consumers.is_empty() { "-".to_owned() } else { format!("{current}/{}", consumers.len()) }
}
