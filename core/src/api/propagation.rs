//! How a new token reaches running Pods.
//!
//! Each enumeration has an `Unknown` that is not in the schema: an object stored by a newer version must not fail
//! the list of all the others.

use super::rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a rotation reaches running Pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropagationSpec {
    /// What to do with running Pods that mount the token Secret as a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodPropagation>,
    /// Workloads to restart, once for each new token. Meant for tokens that live for hours, or for applications with
    /// a standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPropagation>,
}

/// What to do with running Pods that mount the token Secret as a volume. Annotate: each gets an annotation with the
/// fingerprint of the new token, which makes the kubelet update the mounted files at once; the operator needs the right
/// to patch Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodPropagation {
    /// They are annotated.
    Annotate,
    /// A value that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Workloads to restart after a rotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::restart)]
pub struct RestartPropagation {
    /// Which workloads of the namespace to restart. None; Unaware: those whose Pods do not see a changed Secret,
    /// because they use it in an environment variable or through a subPath; Listed: those in workloads.
    #[serde(default)]
    pub mode: RestartMode,
    /// The workloads that mode Listed restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::workloads)]
    pub workloads: Vec<WorkloadReference>,
}

/// Selection of the workloads to restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartMode {
    /// None.
    #[default]
    None,
    /// Workloads whose Pods do not see a changed Secret.
    Unaware,
    /// The listed workloads.
    Listed,
    /// A value that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// A workload of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadReference {
    /// Kind of the workload, of the API group apps.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(transform = rules::object_name)]
    pub name: String,
}

/// The kinds of workload that can be rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// apps/v1 Deployment
    Deployment,
    /// apps/v1 StatefulSet
    StatefulSet,
    /// apps/v1 DaemonSet
    DaemonSet,
    /// A value that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

impl WorkloadKind {
    /// The kind as manifests have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Unknown => "unknown workload",
        }
    }
}

impl PropagationSpec {
    /// True when it asks for anything.
    pub fn is_wanted(&self) -> bool {
        self.annotates_pods() || self.restarts().is_some() || self.is_newer()
    }

    /// True when it asks for Pods to be annotated.
    pub fn annotates_pods(&self) -> bool {
        self.pods == Some(PodPropagation::Annotate)
    }

    /// The workloads to restart, if any.
    pub fn restarts(&self) -> Option<&RestartPropagation> {
        self.restart.as_ref().filter(|restart| matches!(restart.mode, RestartMode::Unaware | RestartMode::Listed))
    }

    /// True when a newer version stored something that this one does not know.
    pub fn is_newer(&self) -> bool {
        let of_restart = |restart: &RestartPropagation| {
            restart.mode == RestartMode::Unknown || restart.workloads.iter().any(|it| it.kind == WorkloadKind::Unknown)
        };
        self.pods == Some(PodPropagation::Unknown) || self.restart.as_ref().is_some_and(of_restart)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_newer_version_stored_can_be_read() {
        let stored =
            json!({"pods": "Evict", "restart": {"mode": "Always", "workloads": [{"kind": "Rollout", "name": "a"}]}});
        let read: PropagationSpec = serde_json::from_value(stored).unwrap();
        let restart = read.restart.unwrap();
        assert_eq!(read.pods, Some(PodPropagation::Unknown));
        assert_eq!(restart.mode, RestartMode::Unknown);
        assert_eq!(restart.workloads[0].kind, WorkloadKind::Unknown);
    }
}
