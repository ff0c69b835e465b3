//! The Pods of a Deployment of the operator.

use super::operator::Installed;
use super::report::Report;
use crate::cli::commands::target::Target;
use crate::cli::commands::terminal::Mark;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

/// A container that was ended so for its memory.
const OUT_OF_MEMORY: &str = "OOMKilled";
/// An end that is longer ago than this may have been mended since.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// Checks that they are ready, and says why one is not.
pub(super) async fn check(target: &Target, operator: &Installed, now: Timestamp, report: &mut Report) {
    let (ready, wanted, title) = (operator.ready, operator.wanted, operator.title());
    let pods: Api<Pod> = Api::namespaced(target.client.clone(), &operator.namespace);
    let pods =
        pods.list(&ListParams::default().labels(&operator.selector)).await.map(|list| list.items).unwrap_or_default();
    let killed = pods.iter().filter_map(|pod| Some((pod, statuses(pod).filter_map(out_of_memory).max()?)));
    if let Some((pod, at)) = killed.max_by_key(|(_, at)| *at) {
        let detail = format!("Pod {}/{} was killed for its memory at {at}", operator.namespace, pod.name_any());
        let mark = if now.duration_since(at) < RECENT { Mark::Bad } else { Mark::Warning };
        report.add_with(
            "memory",
            mark,
            detail,
            "raise resources.limits.memory: docs/install.md says how much a size needs",
        );
    }
    let detail = format!("{title}: {ready} of {wanted} ready");
    if ready >= wanted && wanted > 0 {
        return report.good("replicas", detail);
    }
    let why = pods.iter().find_map(|pod| Some(format!(": Pod {}: {}", pod.name_any(), trouble(pod)?)));
    let detail = format!("{detail}{}", why.unwrap_or_default());
    let remedy = format!("kubectl -n {} describe deployment/{}", operator.namespace, operator.name);
    if ready == 0 { report.bad("replicas", detail, remedy) } else { report.warn("replicas", detail, remedy) }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// When a container was ended for its memory, now or the last time.
fn out_of_memory(status: &ContainerStatus) -> Option<Timestamp> {
    let states = [status.state.as_ref(), status.last_state.as_ref()].into_iter().flatten();
    let mut ends = states.filter_map(|state| state.terminated.as_ref());
    Some(ends.find(|end| end.reason.as_deref() == Some(OUT_OF_MEMORY))?.finished_at.as_ref()?.0)
}

/// Why a Pod is not ready.
fn trouble(pod: &Pod) -> Option<String> {
    let waiting = |status: &ContainerStatus| status.state.as_ref()?.waiting.as_ref()?.reason.clone();
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let unscheduled = conditions.into_iter().flatten().find(|it| it.type_ == "PodScheduled" && it.status == "False");
    let unscheduled = || unscheduled.and_then(|it| it.message.clone());
    statuses(pod).find_map(waiting).or_else(unscheduled)
}
