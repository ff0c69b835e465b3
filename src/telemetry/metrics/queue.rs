//! Requests that wait for the budget, and how much of it is used.

use super::{Label, register};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use syniverse_token_core::queue::Priority;
use syniverse_token_core::queue::budget_use::BudgetUse;

pub(super) struct QueueMetrics {
    waiting: Family<[Label; 1], Gauge>,
    used: Family<[Label; 1], Gauge<f64, AtomicU64>>,
}

impl QueueMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let waiting = "Requests that wait for nothing but a permit of the budget: due, as their tokens end; new; retry, as \
            their last attempt failed";
        let used = "Share of the budget that is used up at the endpoint or host with least left, 0 to 1: of the requests \
            in flight (in_flight), and of those per second (rate)";
        let metrics = Self {
            waiting: register(registry, "requests_waiting", waiting, Family::default()),
            used: register(registry, "budget_used_ratio", used, Family::default()),
        };
        metrics.set(&BudgetUse::default());
        metrics
    }

    pub(super) fn set(&self, budget: &BudgetUse) {
        for priority in Priority::ALL {
            let waiting = i64::try_from(budget.waiting(priority)).unwrap_or(i64::MAX);
            self.waiting.get_or_create(&[("priority", priority.as_str())]).set(waiting);
        }
        self.used.get_or_create(&[("limit", "in_flight")]).set(budget.in_flight);
        self.used.get_or_create(&[("limit", "rate")]).set(budget.rate);
    }
}
