//! How a new token reaches Pods that already run.
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
    /// What is done to the running Pods that mount the token Secret as a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodPropagation>,
    /// Which workloads are restarted, once for each new token. Meant for tokens that live for hours, or for
    /// applications with standbyCredentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPropagation>,
}

/// What is done to the running Pods that mount the token Secret as a volume. Annotate: each gets an annotation with
/// the fingerprint of the new token, which makes its kubelet update the mounted files at once. The operator needs the
/// right to patch Pods for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodPropagation {
    /// They are annotated.
    Annotate,
    /// Something that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Which workloads are rolled after a rotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::restart)]
pub struct RestartPropagation {
    /// Which workloads of the namespace are restarted. None; Unaware: those whose Pods cannot see the change of a
    /// Secret, because they use it in an environment variable or through a subPath; Listed: those in workloads.
    #[serde(default)]
    pub mode: RestartMode,
    /// The workloads that mode Listed restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::workloads)]
    pub workloads: Vec<WorkloadReference>,
}

/// Which workloads are rolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartMode {
    /// None.
    #[default]
    None,
    /// Those that cannot see the change.
    Unaware,
    /// Those listed.
    Listed,
    /// Something that this version does not know.
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
    /// Something that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
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
