//! Tells Pods of a new token: an annotation, by which the kubelet notices at once that mounted files are to be updated.

use super::pages::Right;
use super::{Courier, Problem};
use crate::client::error::{is_refused_as_it_stands, status_of};
use crate::controller::audit;
use crate::telemetry::audit::{Action, GONE};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use syniverse_token_core::propagation::{
    Delivery, Names, TOKEN_ANNOTATION, is_reached, owner_of, secret_use, with_token,
};
use syniverse_token_core::queue::ObjectName;

/// Pods that are told at a time.
const AT_ONCE: usize = 8;
const PODS: Right = Right { resource: "pods", chart_value: "propagation.pods" };
const STATUS: Right = Right { resource: "pods/status", ..PODS };

/// What became of the Pods.
pub(super) struct PodsReached {
    /// Those that have the token, or know of it.
    pub(super) told: usize,
    /// One of them was told just now.
    pub(super) is_news: bool,
    /// What owns Pods that never see a change, and is not restarted.
    pub(super) unaware: Names,
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
        let mut users = Users::default();
        let running = ListParams::default().fields("status.phase=Running");
        let listed = self.look_at_all(name, delivery, (PODS, running), |pod: Pod| users.add(&pod, delivery)).await;
        if let Err(problem) = listed {
            return PodsReached { told: 0, is_news: false, unaware: Names::default(), problem: Some(problem) };
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), name.namespace());
        let (mut told, mut is_news, mut refused, mut problem) = (users.told, false, 0, None);
        let telling = users.untold.into_iter().map(|pod| self.tell(&pods, name, delivery, pod));
        let mut telling = stream::iter(telling).buffer_unordered(AT_ONCE);
        while let Some(result) = telling.next().await {
            match result {
                Ok(Told::Yes) => (told, is_news) = (told + 1, true),
                Ok(Told::Gone) => {}
                Err(Problem::Failed) => problem = problem.or(Some(Problem::Failed)),
                Err(Problem::Unwanted) => {
                    problem = Some(Problem::Unwanted);
                    break;
                }
                Err(refusal) => {
                    (refused, problem) = (refused + 1, Some(refusal));
                    // Where nobody can be told, not all are tried.
                    if !is_news && refused >= AT_ONCE {
                        break;
                    }
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
        let version = result.as_ref().ok().and_then(ResourceExt::resource_version);
        let status = result.as_ref().err().and_then(status_of);
        let told = match result {
            Ok(_) => Ok(Told::Yes),
            Err(error) => match &error {
                // 422: another UID than that of the patch.
                kube::Error::Api(status) if !is_refused_by_policy(&error) && matches!(status.code, 404 | 409 | 422) => {
                    Ok(Told::Gone)
                }
                error => Err(STATUS.problem("patch", error)),
            },
        };
        let (seen, audited) = match &told {
            Ok(Told::Yes) => ("annotated", Ok(version)),
            Ok(Told::Gone) => ("gone", Err((GONE, status))),
            Err(problem) => (problem.outcome(), Err((problem.outcome(), status))),
        };
        self.context.metrics.observe_pod(seen);
        let object = (Action::AnnouncePod, "Pod", pod.name.as_str());
        self.context.audit.record(|| audit::delivery(object, name, delivery, audited));
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
