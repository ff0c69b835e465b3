//! Tells Pods of a new token: an annotation, by which the kubelet notices at once that mounted files are to be updated.

use super::{Courier, Problem};
use crate::client::error::{describe, is_refused_as_it_stands};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use syniverse_token_core::propagation::{
    Delivery, TOKEN_ANNOTATION, is_reached, owner_of, right_missing, secret_use, with_token,
};
use syniverse_token_core::queue::ObjectName;

/// Pods in a page of a list, where the API server makes pages.
const PAGE: u32 = 250;
/// Pods that are told at a time.
const AT_ONCE: usize = 8;
/// The value of the chart that grants what is needed here.
const CHART_VALUE: &str = "propagation.pods";

/// What became of the Pods.
pub(super) struct PodsReached {
    /// Those that have the token, or know of it.
    pub(super) told: usize,
    /// One of them was told just now.
    pub(super) is_news: bool,
    /// What owns Pods that never see a change, and is not restarted.
    pub(super) unaware: Vec<String>,
    /// Why others were not told.
    pub(super) problem: Option<Problem>,
}

/// Running Pods that use the Secret.
#[derive(Default)]
struct Users {
    /// Those that know of the token.
    told: usize,
    untold: Vec<Untold>,
    /// The owners of those that see no change.
    blind: BTreeSet<String>,
}

struct Untold {
    name: String,
    uid: Option<String>,
    /// With the token.
    annotation: String,
}

/// What became of a Pod.
enum Told {
    Yes,
    /// It is gone, or another one has its name.
    Gone,
}

impl Courier {
    /// Annotates each running Pod that mounts the Secret and does not know of the token.
    pub(super) async fn tell_pods(&self, name: &ObjectName, delivery: &Arc<Delivery>) -> PodsReached {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), name.namespace());
        let users = match self.users(&pods, name, delivery).await {
            Ok(users) => users,
            Err(problem) => {
                return PodsReached { told: 0, is_news: false, unaware: Vec::new(), problem: Some(problem) };
            }
        };
        let (mut told, mut is_news, mut problem) = (users.told, false, None);
        let telling = users.untold.into_iter().map(|pod| self.tell(&pods, name, delivery, pod));
        let mut telling = stream::iter(telling).buffer_unordered(AT_ONCE);
        while let Some(result) = telling.next().await {
            match result {
                Ok(Told::Yes) => (told, is_news) = (told + 1, true),
                Ok(Told::Gone) => {}
                Err(Problem::Failed) => problem = Some(Problem::Failed),
                Err(final_one) => {
                    problem = Some(final_one);
                    break;
                }
            }
        }
        let is_restarted = |owner: &String| {
            let Some(restart) = delivery.spec.restarts() else { return false };
            let is_listed = || restart.workloads.iter().any(|it| *owner == format!("{} {}", it.kind.as_str(), it.name));
            let kinds = ["Deployment ", "StatefulSet ", "DaemonSet "];
            if restart.workloads.is_empty() { kinds.iter().any(|kind| owner.starts_with(kind)) } else { is_listed() }
        };
        let unaware = users.blind.into_iter().filter(|owner| !is_restarted(owner)).collect();
        PodsReached { told, is_news, unaware, problem }
    }

    /// The running Pods of the namespace as the API server's cache has them, which follows the store within milliseconds.
    async fn users(&self, pods: &Api<Pod>, name: &ObjectName, delivery: &Arc<Delivery>) -> Result<Users, Problem> {
        let (mut users, mut list) = (Users::default(), ListParams::default().fields("status.phase=Running"));
        list = list.limit(PAGE).match_any();
        loop {
            self.wanted(name, delivery)?;
            let page = pods.list(&list).await.map_err(|error| problem(&error, "list", "pods"))?;
            for pod in &page.items {
                users.add(pod, delivery);
            }
            let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { return Ok(users) };
            list = ListParams { resource_version: None, version_match: None, ..list.continue_token(&next) };
        }
    }

    async fn tell(
        &self,
        pods: &Api<Pod>,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        pod: Untold,
    ) -> Result<Told, Problem> {
        self.turn(name, delivery).await?;
        let patch = json!({"metadata": {"uid": pod.uid, "annotations": {TOKEN_ANNOTATION: pod.annotation}}});
        // Of the status: who may patch that cannot change what a Pod runs.
        let result = pods.patch_status(&pod.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        let told = match result {
            Ok(_) => Ok(Told::Yes),
            Err(error) => match &error {
                // 422: another UID than that of the patch.
                kube::Error::Api(status) if !is_refused_by_policy(&error) && matches!(status.code, 404 | 409 | 422) => {
                    Ok(Told::Gone)
                }
                error => Err(problem(error, "patch", "pods/status")),
            },
        };
        self.context.metrics.observe_pod(match &told {
            Ok(Told::Yes) => "annotated",
            Ok(Told::Gone) => "gone",
            Err(Problem::Refused(_)) => "refused",
            Err(_) => "failed",
        });
        told
    }
}

impl Users {
    fn add(&mut self, pod: &Pod, delivery: &Delivery) {
        let Some(spec) = &pod.spec else { return };
        if secret_use(spec, &delivery.secret).is_blind {
            self.blind.insert(owner_of(pod));
        }
        if !is_reached(pod, &delivery.secret) {
            return;
        }
        let said = pod.annotations().get(TOKEN_ANNOTATION).map(String::as_str);
        match with_token(said, &delivery.secret, &delivery.fingerprint) {
            None => self.told += 1,
            Some(annotation) => self.untold.push(Untold { name: pod.name_any(), uid: pod.uid(), annotation }),
        }
    }
}

/// True when a policy or webhook denies it, with whatever code.
fn is_refused_by_policy(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    is_refused_as_it_stands(error) && status.message.contains("denied")
}

fn problem(error: &kube::Error, verb: &str, resource: &str) -> Problem {
    let is_forbidden = matches!(error, kube::Error::Api(status) if status.is_forbidden());
    if is_forbidden || is_refused_by_policy(error) {
        return Problem::Refused(right_missing(verb, resource, CHART_VALUE, &describe(error)));
    }
    Problem::Failed
}
