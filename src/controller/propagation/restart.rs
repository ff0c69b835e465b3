//! Restarts workloads that cannot see a new token: an annotation of their template, once for each token, one workload after
//! the other while the old token lives.

use super::pages::Right;
use super::{Courier, Problem};
use crate::client::error::status_of;
use crate::controller::audit;
use crate::telemetry::audit::{Action, GONE};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::{RestartPropagation, WorkloadKind};
use syniverse_token_core::propagation::{
    Delivery, Names, RESTART_ANNOTATION, Verdict, Workload, pause_between, with_token,
};
use syniverse_token_core::queue::ObjectName;

/// Owner of the annotation in a template: other managers keep what is theirs, and see whose this is.
const FIELD_MANAGER: &str = "syniverse-token-operator-restart";

const KINDS: [WorkloadKind; 3] = [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet];

/// What became of the workloads.
#[derive(Default)]
pub(super) struct Restarted {
    /// Those that were restarted for this token.
    pub(super) done: Vec<String>,
    /// One of them was just now.
    pub(super) is_news: bool,
    /// Those that are not, and why.
    pub(super) withheld: Names,
    /// Those that are restarted when they have replaced their Pods.
    pub(super) rolling: Names,
    /// When the next one is restarted.
    pub(super) pause: Option<Duration>,
    /// Why others were not restarted.
    pub(super) problem: Option<Problem>,
}

impl Courier {
    /// Restarts the first workload of those that wait for it, and can be.
    pub(super) async fn restart(
        &self,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        restart: &RestartPropagation,
    ) -> Restarted {
        let workloads = match self.workloads(name, delivery, restart).await {
            Ok(workloads) => workloads,
            Err(problem) => return Restarted { problem: Some(problem), ..Restarted::default() },
        };
        let mut result = Restarted { withheld: missing(restart, &workloads), ..Restarted::default() };
        let mut waiting = Vec::new();
        for workload in &workloads {
            let life = self.left(delivery.expires);
            let title = workload.title();
            match workload.verdict(&delivery.secret, &delivery.fingerprint, delivery.since, life) {
                Verdict::Done => result.done.extend(workload.annotation().is_some().then_some(title)),
                Verdict::Paused => result.withheld.push(format!("{title} is paused, or updated by hand")),
                Verdict::TooLate => {
                    result.withheld.push(format!("{title} takes longer than the token lives"));
                }
                Verdict::Rolling => result.rolling.push(title),
                Verdict::Restart => waiting.push(workload),
            }
        }
        let may_restart = self.context.deliveries().may_restart(name);
        for (place, workload) in waiting.iter().enumerate().filter(|_| may_restart) {
            match self.roll(name, delivery, workload).await {
                Ok(true) => {
                    result.done.push(workload.title());
                    result.is_news = true;
                    let left = &waiting[place + 1..];
                    result.pause = (!left.is_empty()).then(|| pause_between(self.left(delivery.old_ends), left));
                    break;
                }
                Ok(false) => {}
                Err(Problem::Unwanted) => {
                    result.problem = Some(Problem::Unwanted);
                    break;
                }
                // Those behind it do not wait for it.
                Err(problem) => result.problem = Some(problem),
            }
        }
        result
    }

    /// The workloads of the namespace that the spec selects, by kind and name.
    async fn workloads(
        &self,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        restart: &RestartPropagation,
    ) -> Result<Vec<Workload>, Problem> {
        let is_asked = |kind| restart.workloads.is_empty() || restart.workloads.iter().any(|it| it.kind == kind);
        let mut found = Vec::new();
        let mut add =
            |workload: Workload| found.extend(Some(workload).filter(|it| it.is_selected(restart, &delivery.secret)));
        for kind in KINDS.into_iter().filter(|kind| is_asked(*kind)) {
            let list = (right(kind), ListParams::default());
            match kind {
                WorkloadKind::Deployment => {
                    self.look_at_all(name, delivery, list, |it: Deployment| add(it.into())).await?;
                }
                WorkloadKind::StatefulSet => {
                    self.look_at_all(name, delivery, list, |it: StatefulSet| add(it.into())).await?;
                }
                WorkloadKind::DaemonSet => {
                    self.look_at_all(name, delivery, list, |it: DaemonSet| add(it.into())).await?;
                }
                WorkloadKind::Unknown => {}
            }
        }
        Ok(found)
    }

    /// Has a workload replace its Pods; false when it is gone.
    async fn roll(&self, name: &ObjectName, delivery: &Arc<Delivery>, workload: &Workload) -> Result<bool, Problem> {
        self.turn(name, delivery).await?;
        let Some(annotation) = with_token(workload.annotation(), &delivery.secret, &delivery.fingerprint) else {
            return Ok(true);
        };
        let patch = json!({
            "apiVersion": "apps/v1",
            "kind": workload.kind.as_str(),
            "metadata": {"name": workload.name, "uid": workload.uid},
            "spec": {"template": {"metadata": {"annotations": {RESTART_ANNOTATION: annotation}}}},
        });
        let result = match workload.kind {
            WorkloadKind::Deployment => self.apply::<Deployment>(name, workload, &patch).await,
            WorkloadKind::StatefulSet => self.apply::<StatefulSet>(name, workload, &patch).await,
            WorkloadKind::DaemonSet => self.apply::<DaemonSet>(name, workload, &patch).await,
            WorkloadKind::Unknown => return Ok(false),
        };
        let (done, audited) = match result {
            Ok(version) => {
                self.context.metrics.observe_restart(workload.kind.as_str());
                (Ok(true), Ok(version))
            }
            Err(error) if is_gone(&error) => (Ok(false), Err((GONE, status_of(&error)))),
            Err(error) => {
                let problem = right(workload.kind).problem("patch", &error);
                let audited = Err((problem.outcome(), status_of(&error)));
                (Err(problem), audited)
            }
        };
        let object = (Action::RestartWorkload, workload.kind.as_str(), workload.name.as_str());
        self.context.audit.record(|| audit::delivery(object, name, delivery, audited));
        done
    }

    async fn apply<K>(
        &self,
        name: &ObjectName,
        workload: &Workload,
        patch: &serde_json::Value,
    ) -> kube::Result<Option<String>>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), name.namespace());
        // Who restores a backup is said to have set the annotation: it is taken back, and nothing else.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&workload.name, &params, &Patch::Apply(patch)).await.map(|written: K| written.resource_version())
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

/// Workloads that the spec lists and the namespace does not have.
fn missing(restart: &RestartPropagation, found: &[Workload]) -> Names {
    let is_there =
        |kind: WorkloadKind, name: &str| found.iter().any(|workload| workload.kind == kind && workload.name == name);
    let missing = restart.workloads.iter().filter(|it| !is_there(it.kind, &it.name));
    missing.map(|it| format!("{} {} does not exist", it.kind.as_str(), it.name)).collect()
}

const fn right(kind: WorkloadKind) -> Right {
    let resource = match kind {
        WorkloadKind::StatefulSet => "statefulsets",
        WorkloadKind::DaemonSet => "daemonsets",
        WorkloadKind::Deployment | WorkloadKind::Unknown => "deployments",
    };
    Right { resource, chart_value: "propagation.restart" }
}
