//! Workloads that are restarted for a new token, and whether now is the time.

use super::annotation::{RESTART_ANNOTATION, has_token};
use super::consumer::secret_use;
use crate::api::{RestartMode, RestartPropagation, WorkloadKind};
use crate::time::later;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;

/// How long a Pod is assumed to take until it is ready and the next one follows, beside `minReadySeconds`.
const POD_START: Duration = Duration::from_secs(10);

/// A workload that is younger than a token by this has come up with it: its clock is the API server's, and in whole seconds.
const CLOCKS: Duration = Duration::from_secs(60);

/// The least time between two restarts.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// What a restart needs to know of a Deployment, StatefulSet or DaemonSet.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The tokens for which it was restarted.
    restarted_for: Option<String>,
    created: Option<Timestamp>,
    pods: PodSpec,
    is_paused: bool,
    is_rolling: bool,
    roll_time: Duration,
}

/// Whether a workload is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its Pods have the token, or come up with it.
    Done,
    /// It is restarted now.
    Restart,
    /// Its Pods are being replaced already: later.
    Rolling,
    /// A person has paused it.
    Paused,
    /// The token would be dead before the last Pod has it.
    TooLate,
}

impl Workload {
    /// True when the spec asks for its restart after a change of this Secret.
    pub fn is_selected(&self, restart: &RestartPropagation, secret: &str) -> bool {
        match restart.mode {
            RestartMode::Unaware => secret_use(&self.pods, secret).is_blind,
            RestartMode::Listed => restart.workloads.iter().any(|it| it.kind == self.kind && it.name == self.name),
            RestartMode::None | RestartMode::Unknown => false,
        }
    }

    /// Whether it is restarted for this token, which is in the Secret since then and lives for so long; none = forever.
    pub fn verdict(&self, secret: &str, fingerprint: &str, since: Timestamp, life: Option<Duration>) -> Verdict {
        let known = later(since, CLOCKS);
        let is_younger = self.restarted_for.is_none() && self.created.is_some_and(|created| created > known);
        match () {
            () if is_younger || has_token(self.restarted_for.as_deref(), secret, fingerprint) => Verdict::Done,
            () if self.is_paused => Verdict::Paused,
            () if life.is_some_and(|life| life < self.roll_time) => Verdict::TooLate,
            () if self.is_rolling => Verdict::Rolling,
            () => Verdict::Restart,
        }
    }

    /// The value of the annotation of its template.
    pub fn annotation(&self) -> Option<&str> {
        self.restarted_for.as_deref()
    }

    /// Its kind and name, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    fn new(kind: WorkloadKind, metadata: ObjectMeta, template: PodTemplateSpec, rollout: Rollout) -> Self {
        let annotations = template.metadata.and_then(|metadata| metadata.annotations).unwrap_or_default();
        let is_seen = rollout.observed_generation >= metadata.generation;
        let in_turn = u32::try_from(rollout.pods.max(1)).unwrap_or(1).div_ceil(rollout.at_once.max(1));
        Self {
            kind,
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            restarted_for: annotations.get(RESTART_ANNOTATION).cloned(),
            created: metadata.creation_timestamp.map(|created| created.0),
            pods: template.spec.unwrap_or_default(),
            is_paused: rollout.is_paused,
            is_rolling: !is_seen || rollout.is_mixed,
            roll_time: (POD_START + rollout.min_ready) * in_turn,
        }
    }
}

/// How long after this restart the next one comes, with so many workloads left: they are spread over the time for which the
/// old token lives on, so that the last one has replaced its Pods by its end.
pub fn pause_between(old_lives: Option<Duration>, left: &[&Workload]) -> Duration {
    let longest = left.iter().map(|workload| workload.roll_time).max().unwrap_or_default();
    let count = u32::try_from(left.len()).unwrap_or(u32::MAX).max(1);
    (old_lives.unwrap_or_default().saturating_sub(longest) / count).max(SHORTEST_PAUSE)
}

/// How a workload replaces its Pods.
struct Rollout {
    pods: i32,
    /// Replaced at a time.
    at_once: u32,
    min_ready: Duration,
    is_paused: bool,
    /// Some Pods are of an earlier template.
    is_mixed: bool,
    observed_generation: Option<i64>,
}

fn seconds(seconds: Option<i32>) -> Duration {
    Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default())
}

/// A number of Pods, or a percentage of them, rounded up.
fn share(of: Option<&IntOrString>, default: &str, pods: i32) -> u32 {
    let number = |text: &str| match text.strip_suffix('%') {
        Some(percent) => percent.parse::<i32>().map_or(0, |percent| (percent.saturating_mul(pods) + 99) / 100),
        None => text.parse().unwrap_or(0),
    };
    let share = match of {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => number(text),
        None => number(default),
    };
    u32::try_from(share).unwrap_or(0)
}

impl From<Deployment> for Workload {
    fn from(deployment: Deployment) -> Self {
        let (spec, status) = (deployment.spec.unwrap_or_default(), deployment.status.unwrap_or_default());
        let pods = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.unwrap_or_default();
        let is_in_one_go = strategy.type_.as_deref() == Some("Recreate");
        let rolling = strategy.rolling_update.unwrap_or_default();
        let at_once =
            share(rolling.max_surge.as_ref(), "25%", pods) + share(rolling.max_unavailable.as_ref(), "25%", pods);
        let updated = status.updated_replicas.unwrap_or(0);
        let rollout = Rollout {
            pods,
            at_once: if is_in_one_go { u32::MAX } else { at_once },
            min_ready: seconds(spec.min_ready_seconds),
            is_paused: spec.paused == Some(true),
            is_mixed: updated < pods || status.replicas.unwrap_or(0) > updated,
            observed_generation: status.observed_generation,
        };
        Self::new(WorkloadKind::Deployment, deployment.metadata, spec.template, rollout)
    }
}

impl From<StatefulSet> for Workload {
    fn from(stateful: StatefulSet) -> Self {
        let (spec, status) = (stateful.spec.unwrap_or_default(), stateful.status.unwrap_or_default());
        let strategy = spec.update_strategy.unwrap_or_default();
        let rolling = strategy.rolling_update.unwrap_or_default();
        let pods = spec.replicas.unwrap_or(1);
        let rollout = Rollout {
            pods,
            at_once: share(rolling.max_unavailable.as_ref(), "1", pods),
            min_ready: seconds(spec.min_ready_seconds),
            // Its Pods are replaced by hand: restarting is as little our business as with a paused Deployment.
            is_paused: strategy.type_.as_deref() == Some("OnDelete") || rolling.partition.unwrap_or(0) > 0,
            is_mixed: status.current_revision != status.update_revision,
            observed_generation: status.observed_generation,
        };
        Self::new(WorkloadKind::StatefulSet, stateful.metadata, spec.template, rollout)
    }
}

impl From<DaemonSet> for Workload {
    fn from(daemons: DaemonSet) -> Self {
        let (spec, status) = (daemons.spec.unwrap_or_default(), daemons.status.unwrap_or_default());
        let strategy = spec.update_strategy.unwrap_or_default();
        let rolling = strategy.rolling_update.unwrap_or_default();
        let pods = status.desired_number_scheduled;
        let at_once = share(rolling.max_unavailable.as_ref(), "1", pods) + share(rolling.max_surge.as_ref(), "0", pods);
        let rollout = Rollout {
            pods,
            at_once,
            min_ready: seconds(spec.min_ready_seconds),
            is_paused: strategy.type_.as_deref() == Some("OnDelete"),
            is_mixed: status.updated_number_scheduled.unwrap_or(0) < pods,
            observed_generation: status.observed_generation,
        };
        Self::new(WorkloadKind::DaemonSet, daemons.metadata, spec.template, rollout)
    }
}
