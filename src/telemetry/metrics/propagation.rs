//! Metrics of the delivery of tokens to Pods.

use super::{Label, register};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// In seconds.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
/// What becomes of a Pod that is to be told.
const RESULTS: [&str; 4] = ["annotated", "gone", "refused", "failed"];
const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

pub(super) struct PropagationMetrics {
    pods: Family<[Label; 1], Counter>,
    restarts: Family<[Label; 1], Counter>,
    duration: Histogram,
}

impl PropagationMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let pods = "Pods that were to be told of a new token, by what became of it: annotated; gone, or another Pod of that \
                    name; refused by the API server; failed";
        let restarts = "Workloads that were restarted for a new token";
        let duration = "Time from writing a new token to the Secret until the last Pod was told of it";
        let metrics = Self {
            pods: register(registry, "propagated_pods", pods, Family::default()),
            restarts: register(registry, "propagation_restarts", restarts, Family::default()),
            duration: register(registry, "propagation_duration_seconds", duration, Histogram::new(BUCKETS)),
        };
        RESULTS.iter().for_each(|result| drop(metrics.pods.get_or_create(&[("result", result)])));
        KINDS.iter().for_each(|kind| drop(metrics.restarts.get_or_create(&[("kind", kind)])));
        metrics
    }

    pub(super) fn told(&self, result: &'static str) {
        self.pods.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn restarted(&self, kind: &'static str) {
        self.restarts.get_or_create(&[("kind", kind)]).inc();
    }

    pub(super) fn took(&self, time: Duration) {
        self.duration.observe(time.as_secs_f64());
    }
}
