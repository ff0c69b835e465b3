//! Restarts workloads that cannot see a new token: an annotation of their template, once for each token, one workload after
//! the other while the old token lives.

use super::{Courier, Problem};
use crate::client::error::{describe, is_refused_as_it_stands};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::{RestartPropagation, WorkloadKind};
use syniverse_token_core::propagation::{
    Delivery, RESTART_ANNOTATION, Verdict, Workload, pause_between, right_missing, with_token,
};
use syniverse_token_core::queue::ObjectName;

/// Workloads in a page of a list.
const PAGE: u32 = 50;
/// Owner of the annotation in a template: other managers keep what is theirs, and see whose this is.
const FIELD_MANAGER: &str = "syniverse-token-operator-restart";
/// The value of the chart that grants what is needed here.
const CHART_VALUE: &str = "propagation.restart";
/// How long until it is looked again whether a workload still replaces its Pods.
const ROLLING: Duration = Duration::from_secs(5);

/// What became of the workloads.
#[derive(Default)]
pub(super) struct Restarted {
    /// Those that were restarted for this token.
    pub(super) done: Vec<String>,
    /// One of them was just now.
    pub(super) is_news: bool,
    /// Those that are not, and why.
    pub(super) withheld: Vec<String>,
    /// When the next one is restarted.
    pub(super) again: Option<Duration>,
    /// Why others were not restarted.
    pub(super) problem: Option<Problem>,
}

impl Courier {
    /// Restarts the next workload that waits for it.
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
            match workload.verdict(&delivery.secret, &delivery.fingerprint, delivery.issued, life) {
                Verdict::Done => result.done.extend(workload.annotation().is_some().then_some(title)),
                Verdict::Paused => result.withheld.push(format!("{title} is paused")),
                Verdict::TooLate => {
                    result.withheld.push(format!("{title} takes longer than the token lives"));
                }
                Verdict::Rolling => result.again = Some(ROLLING),
                Verdict::Restart => waiting.push(workload),
            }
        }
        let Some(first) = waiting.first() else { return result };
        match self.roll(name, delivery, first).await {
            Ok(true) => {
                result.done.push(first.title());
                result.is_news = true;
            }
            Ok(false) => {}
            Err(problem) => result.problem = Some(problem),
        }
        if let others @ 1.. = waiting.len() - 1 {
            let pause = pause_between(self.left(delivery.old_ends), others);
            result.again = Some(result.again.map_or(pause, |again| again.min(pause)));
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
        let is_selected = |workload: &Workload| workload.is_selected(restart, &delivery.secret);
        let mut found = Vec::new();
        let is_asked = |kind| restart.workloads.is_empty() || restart.workloads.iter().any(|it| it.kind == kind);
        if is_asked(WorkloadKind::Deployment) {
            found.extend(self.list::<Deployment>(name, delivery, "deployments", is_selected).await?);
        }
        if is_asked(WorkloadKind::StatefulSet) {
            found.extend(self.list::<StatefulSet>(name, delivery, "statefulsets", is_selected).await?);
        }
        if is_asked(WorkloadKind::DaemonSet) {
            found.extend(self.list::<DaemonSet>(name, delivery, "daemonsets", is_selected).await?);
        }
        Ok(found)
    }

    async fn list<K>(
        &self,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        resource: &str,
        is_selected: impl Fn(&Workload) -> bool,
    ) -> Result<Vec<Workload>, Problem>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
        Workload: From<K>,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), name.namespace());
        let (mut found, mut list) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            self.wanted(name, delivery)?;
            let page = api.list(&list).await.map_err(|error| problem(&error, "list", resource))?;
            found.extend(page.items.into_iter().map(Workload::from).filter(&is_selected));
            let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { return Ok(found) };
            list = list.continue_token(&next);
        }
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
        match result {
            Ok(()) => {
                self.context.metrics.observe_restart(workload.kind.as_str());
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => {
                let resource = format!("{}s", workload.kind.as_str().to_lowercase());
                Err(problem(&error, "patch", &resource))
            }
        }
    }

    async fn apply<K>(&self, name: &ObjectName, workload: &Workload, patch: &serde_json::Value) -> kube::Result<()>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), name.namespace());
        // Who restores a backup is said to have set the annotation: it is taken back, and nothing else.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&workload.name, &params, &Patch::Apply(patch)).await.map(drop)
    }
}

/// Workloads that the spec lists and the namespace does not have.
fn missing(restart: &RestartPropagation, found: &[Workload]) -> Vec<String> {
    let is_there =
        |kind: WorkloadKind, name: &str| found.iter().any(|workload| workload.kind == kind && workload.name == name);
    let missing = restart.workloads.iter().filter(|it| !is_there(it.kind, &it.name));
    missing.map(|it| format!("{} {} does not exist", it.kind.as_str(), it.name)).collect()
}

fn problem(error: &kube::Error, verb: &str, resource: &str) -> Problem {
    let is_forbidden = matches!(error, kube::Error::Api(status) if status.is_forbidden());
    if is_forbidden || is_refused_as_it_stands(error) {
        return Problem::Refused(right_missing(verb, resource, CHART_VALUE, &describe(error)));
    }
    Problem::Failed
}
