//! Who uses a token, and what they hold.

use super::Verdict;
use super::target::{Target, TargetArguments};
use super::terminal::{self, Mark, Terminal};
use super::times::Times;
use super::token::TokenView;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use std::collections::{BTreeSet, HashMap};
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::propagation::{TOKEN_ANNOTATION, containers_using, has_token, owner_of, secret_use};

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
    /// Reads them.
    pub(super) async fn list(target: &Target, all: bool) -> kube::Result<Self> {
        let running = ListParams::default().fields("status.phase=Running");
        let mut pods: HashMap<String, Vec<Pod>> = HashMap::new();
        for pod in target.list::<Pod>(all, running).await? {
            pods.entry(pod.namespace().unwrap_or_default()).or_default().push(pod);
        }
        Ok(Self(pods))
    }

    /// Those that use the token Secret of a resource.
    pub(super) fn consumers(&self, token: &TokenView<'_>, now: Timestamp) -> Vec<Consumer> {
        let pods = self.0.get(&token.namespace());
        pods.into_iter().flatten().filter_map(|pod| consumer(pod, token, now)).collect()
    }
}

/// How a Pod uses the token Secret; none if it does not, or is being deleted.
fn consumer(pod: &Pod, token: &TokenView<'_>, now: Timestamp) -> Option<Consumer> {
    let secret = token.resource.secret_name();
    let spec = pod.spec.as_ref().filter(|_| pod.metadata.deletion_timestamp.is_none())?;
    let used = secret_use(spec, secret);
    if !used.sees_changes && !used.is_blind {
        return None;
    }
    let since = token.issued();
    let started_before = |container: &str| Some(started(pod, container)? < since?);
    let mut blind = containers_using(spec, secret).filter(|(_, used)| used.is_blind);
    let has_older = blind.any(|(container, _)| started_before(container) == Some(true));
    let is_told = token.fingerprint().is_some_and(|fingerprint| {
        has_token(pod.annotations().get(TOKEN_ANNOTATION).map(String::as_str), secret, fingerprint)
    });
    let has_followed = is_told || since.is_some_and(|since| now.duration_since(since) > RESYNC);
    let holding = match () {
        () if has_older => Holding::Older,
        () if has_followed || !used.sees_changes && since.is_some() => Holding::Current,
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

/// When a container started: what it does not see change is as it was then. None while it does not run; it has the present
/// token when it starts again.
fn started(pod: &Pod, container: &str) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let own = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let found = own.into_iter().flatten().flatten().find(|status| status.name == container)?;
    Some(found.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}

/// Runs `consumers`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let target = arguments.target.open()?;
    let resource = target.api::<SyniverseToken>().get(&arguments.name).await?;
    let times = Times::at(target.now().await, false);
    let token = TokenView::new(&resource, times.present());
    let consumers = Pods::list(&target, false).await?.consumers(&token, times.present());
    if consumers.is_empty() {
        say!("no running Pod of namespace {} uses Secret {}", target.namespace, resource.secret_name());
        return Ok(Verdict::Good);
    }
    terminal::write(&table(Terminal::stdout(), &consumers));
    let older = || consumers.iter().filter(|consumer| consumer.holding == Holding::Older);
    let owners: BTreeSet<_> = older().map(|consumer| remedy(&consumer.owner, &target.namespace)).collect();
    owners.iter().for_each(|remedy| say!("{remedy}"));
    Ok(if owners.is_empty() { Verdict::Good } else { Verdict::Bad })
}

/// How its owner gets a Pod with the present token.
fn remedy(owner: &str, namespace: &str) -> String {
    match owner.split_once(' ') {
        Some((kind @ ("Deployment" | "StatefulSet" | "DaemonSet"), name)) => {
            format!("kubectl -n {namespace} rollout restart {}/{name}", kind.to_lowercase())
        }
        _ => format!("{owner}: make it anew; what is to see each token mounts the Secret as a volume"),
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A container: its name, how it uses the token, and since when it runs.
    type Running<'a> = (&'a str, &'a str, Option<&'a str>);

    const ISSUED: &str = "2026-01-01T12:00:00Z";

    /// What a Pod holds whose containers are these, ten minutes after the issue: name, uses, and since when each runs.
    fn held(kind: &str, containers: &[Running<'_>]) -> Option<Holding> {
        let resource: SyniverseToken = serde_json::from_value(json!({
            "apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "metadata": {"name": "m", "namespace": "n"},
            "spec": {"application": {"credentials": {"secretRef": {"name": "c"}}}},
            "status": {"fingerprint": "5f2c9a01", "issueTime": ISSUED}
        }))
        .unwrap();
        let uses = |used: &str| match used {
            "environment" => json!([{"secretRef": {"name": "m"}}]),
            _ => json!([]),
        };
        let spec = |(name, used, _): &Running<'_>| {
            let mounts = if *used == "file" { json!([{"name": "v", "mountPath": "/m"}]) } else { json!([]) };
            json!({"name": name, "image": "i", "envFrom": uses(used), "volumeMounts": mounts})
        };
        let status = |(name, _, since): &Running<'_>| {
            let state = since
                .map_or(json!({"waiting": {"reason": "CrashLoopBackOff"}}), |at| json!({"running": {"startedAt": at}}));
            json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state})
        };
        let all = |of: &dyn Fn(&Running<'_>) -> Value| containers.iter().map(of).collect::<Vec<_>>();
        let mut pod = json!({"metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [], "volumes": [{"name": "v", "secret": {"secretName": "m"}}]}, "status": {}});
        pod["spec"][kind] = json!(all(&spec));
        pod["status"][format!("{}Statuses", kind.trim_end_matches('s'))] = json!(all(&status));
        let now = "2026-01-01T12:10:00Z".parse().unwrap();
        let pod = serde_json::from_value(pod).unwrap();
        consumer(&pod, &TokenView::new(&resource, now), now).map(|consumer| consumer.holding)
    }

    #[test]
    fn only_the_containers_that_use_the_token_count() {
        const BEFORE: Option<&str> = Some("2026-01-01T11:00:00Z");
        const AFTER: Option<&str> = Some("2026-01-01T12:05:00Z");
        use Holding::{Current, Older};
        for (kind, containers, holding) in [
            ("containers", vec![("a", "environment", BEFORE)], Some(Older)),
            ("containers", vec![("a", "environment", AFTER), ("proxy", "", BEFORE)], Some(Current)),
            ("containers", vec![("a", "environment", None)], Some(Current)),
            ("containers", vec![("a", "file", BEFORE)], Some(Current)),
            ("containers", vec![("a", "file", AFTER), ("b", "environment", BEFORE)], Some(Older)),
            ("initContainers", vec![("sidecar", "environment", BEFORE)], Some(Older)),
            ("containers", vec![("a", "", BEFORE)], None),
        ] {
            assert_eq!(held(kind, &containers), holding, "{kind} {containers:?}");
        }
    }
}
