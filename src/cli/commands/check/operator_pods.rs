//! The Pods of a Deployment of the operator.

use super::operator::Installed;
use super::report::Report;
use crate::cli::commands::target::Target;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

/// A container that was ended so for its memory.
const OUT_OF_MEMORY: &str = "OOMKilled";

/// Checks that they are ready, and says why one is not.
pub(super) async fn check(target: &Target, operator: &Installed, report: &mut Report) {
    let (ready, wanted, title) = (operator.ready, operator.wanted, operator.title());
    let pods: Api<Pod> = Api::namespaced(target.client.clone(), &operator.namespace);
    let own = format!("{}-", operator.name);
    let pods = pods.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
    let of_operator = || pods.iter().filter(|pod| pod.name_any().starts_with(&own));
    let killed = of_operator().find(|pod| statuses(pod).any(|status| ended(status) == Some(OUT_OF_MEMORY)));
    if let Some(pod) = killed {
        let detail = format!("Pod {}/{} was killed for its memory", operator.namespace, pod.name_any());
        report.bad("memory", detail, "raise resources.limits.memory: docs/install.md says how much a size needs");
    }
    let detail = format!("{title}: {ready} of {wanted} ready");
    if ready >= wanted && wanted > 0 {
        return report.good("replicas", detail);
    }
    let why = of_operator().find_map(|pod| Some(format!(": Pod {}: {}", pod.name_any(), trouble(pod)?)));
    let detail = format!("{detail}{}", why.unwrap_or_default());
    let remedy = format!("kubectl -n {} describe deployment/{}", operator.namespace, operator.name);
    if ready == 0 { report.bad("replicas", detail, remedy) } else { report.warn("replicas", detail, remedy) }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// Why a container ended, now or the last time.
fn ended(status: &ContainerStatus) -> Option<&str> {
    let states = [status.state.as_ref(), status.last_state.as_ref()].into_iter().flatten();
    states.filter_map(|state| state.terminated.as_ref()?.reason.as_deref()).next()
}

/// Why a Pod is not ready.
fn trouble(pod: &Pod) -> Option<String> {
    let waiting = |status: &ContainerStatus| status.state.as_ref()?.waiting.as_ref()?.reason.clone();
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let unscheduled = conditions.into_iter().flatten().find(|it| it.type_ == "PodScheduled" && it.status == "False");
    let unscheduled = || unscheduled.and_then(|it| it.message.clone());
    statuses(pod).find_map(waiting).or_else(unscheduled)
}
