//! All metrics, in a single registry; no label can grow without bound.

use crate::settings::TokenSeries;
use process::ProcessMetrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use propagation::PropagationMetrics;
use queue::QueueMetrics;
use requests::RequestMetrics;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use syniverse_token_core::issuer::{Cause, FailureKind, TokenRequest};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::queue::budget_use::BudgetUse;
use syniverse_token_core::reason::{Reason, Weight};
use syniverse_token_core::reconcile_report::ReconcileReport;
use syniverse_token_core::shard::Shard;
use syniverse_token_core::status::reason;
use syniverse_token_core::time::{Moment, Now};
use tokens::TokenMetrics;

mod process;
mod propagation;
mod queue;
mod requests;
mod shown;
mod tokens;

type SecondsTotal = Counter<f64, AtomicU64>;

/// Outcomes of a pass.
const FINISHED: &str = "finished";
const FAILED: &str = "failed";

/// Values of these come from closed vocabularies.
type Label = (&'static str, &'static str);

/// All metrics.
pub struct Metrics {
    registry: Registry,
    tokens: TokenMetrics,
    requests: RequestMetrics,
    queue: QueueMetrics,
    propagation: PropagationMetrics,
    failures: Family<[Label; 1], Counter>,
    passes: Family<[Label; 1], Counter>,
    rival_writes: Counter,
    dropped_events: Counter,
    lost_lines: Counter,
    leader: Gauge,
    process: ProcessMetrics,
}

/// Registers a metric under its name, with its help text.
fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Whether this process leads. Each shard has a leader, and without one its tokens die whoever leads the others.
fn register_leader(registry: &mut Registry, shard: Shard) -> Gauge {
    let shards: Gauge = register(registry, "shards", "Shards that the namespaces are divided into", Gauge::default());
    shards.set(i64::from(shard.count()));
    let own = registry.sub_registry_with_label(("shard".into(), shard.to_string().into()));
    register(own, "leader", "1 while this process is the leader of its shard, else 0", Gauge::default())
}

fn register_build(registry: &mut Registry) {
    let build: Family<[Label; 1], Gauge> = register(registry, "build_info", "Always 1", Family::default());
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(TokenSeries::default(), Shard::WHOLE)
    }
}

impl Metrics {
    /// All metrics of a shard, with series of their own for these resources.
    pub fn new(series: TokenSeries, shard: Shard) -> Self {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("syniverse_token");
        let (tokens, requests) = (TokenMetrics::register(own, series), RequestMetrics::register(own));
        let queue = QueueMetrics::register(own);
        let propagation = PropagationMetrics::register(own);
        let failures =
            register(own, "failures", "Times a resource entered a failing or stalled reason", Family::default());
        let passes = register(own, "reconcile_passes", "Reconcile passes", Family::default());
        let rivals = "Responses of issuers that another process recorded while this process acts: two operators work in \
            one namespace";
        let rival_writes = register(own, "rival_writes", rivals, Counter::default());
        let dropped = "Kubernetes Events that were never sent: too many waited, or the API server did not take them";
        let dropped_events = register(own, "events_dropped", dropped, Counter::default());
        let lost_lines =
            register(own, "audit_lines_lost", "Lines of the audit log that were never written", Counter::default());
        let leader = register_leader(own, shard);
        register_build(own);
        let process = ProcessMetrics::register(registry.sub_registry_with_prefix("process"));
        let metrics = Self {
            registry,
            tokens,
            requests,
            queue,
            propagation,
            failures,
            passes,
            rival_writes,
            dropped_events,
            lost_lines,
            leader,
            process,
        };
        metrics.start_at_zero();
        metrics
    }

    /// Creates the series of all counters, since `rate` and `increase` miss the first increment of a new series.
    fn start_at_zero(&self) {
        for outcome in [FINISHED, FAILED] {
            drop(self.passes.get_or_create(&[("outcome", outcome)]));
        }
        for reason in Reason::ALL.iter().filter(|reason| is_failure(reason)) {
            drop(self.failures.get_or_create(&[("reason", reason.as_str())]));
        }
    }

    /// All metrics in the OpenMetrics text format. Dead-token time runs up to `now`.
    pub fn encode(&self, now: Now) -> String {
        self.tokens.measure(now.mono);
        self.process.measure();
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Sets whether this process is the leader; initially it is not.
    pub fn set_leader(&self, is_leader: bool) {
        self.tokens.leads(is_leader, || {
            self.leader.set(i64::from(is_leader));
        });
        if !is_leader {
            self.requests.lost_lead();
        }
    }

    /// Counts a request as in flight until the returned guard is dropped.
    pub fn request_started(&self, request: &TokenRequest) -> impl Drop + use<> {
        self.requests.begin(request)
    }

    /// A call has ended.
    pub fn observe_request(&self, request: &TokenRequest, cause: Cause, failure: Option<FailureKind>, took: Duration) {
        self.requests.ended(request, cause, failure, took);
    }

    /// Sets what waits for the budget, and how much of it is used.
    pub fn set_budget_use(&self, budget: &BudgetUse) {
        self.queue.set(budget);
    }

    /// What became of a Pod that was to be told of a token.
    pub fn observe_pod(&self, result: &'static str) {
        self.propagation.told(result);
    }

    /// A workload of this kind was restarted for a token.
    pub fn observe_restart(&self, kind: &'static str) {
        self.propagation.restarted(kind);
    }

    /// All Pods know of a token that was written so long ago.
    pub fn observe_propagation(&self, after: Duration) {
        self.propagation.took(after);
    }

    /// The issuer's clock was so far ahead of ours.
    pub fn set_clock_skew(&self, request: &TokenRequest, ahead_seconds: i64) {
        self.requests.skewed(request, ahead_seconds);
    }

    /// Notes that the issuer has replaced this token, which may be in the token Secret of `name`.
    pub fn token_superseded(&self, name: &ObjectName, fingerprint: &str, at: Moment) {
        self.tokens.superseded(name, fingerprint, at);
    }

    /// A pass over `name` came to an end, in a process that leads since then.
    pub fn observe_pass(&self, name: &ObjectName, report: &ReconcileReport, leader_since: Moment, now: Now) {
        self.passes.get_or_create(&[("outcome", FINISHED)]).inc();
        let Some(after) = &report.after else { return };
        let before = report.before.as_ref().and_then(reason);
        let is_news = |reason: &Reason| is_failure(reason) && before != Some(*reason);
        if let Some(reason) = reason(after).filter(is_news) {
            self.failures.get_or_create(&[("reason", reason.as_str())]).inc();
        }
        // Leadership may have been lost while the pass ran: the series belong to another process then.
        self.tokens.passed(name, report, leader_since, now.mono, || self.leader.get() != 0);
    }

    /// Notes that another process does the work of this process; true the first time.
    pub fn observe_rival(&self) -> bool {
        self.rival_writes.inc() == 0
    }

    /// Counts Events that are never sent.
    pub fn dropped_events(&self) -> Counter {
        self.dropped_events.clone()
    }

    /// Counts lines of the audit log that are never written.
    pub fn lost_lines(&self) -> Counter {
        self.lost_lines.clone()
    }

    /// Counts a failed pass.
    pub fn observe_failed_pass(&self) {
        self.passes.get_or_create(&[("outcome", FAILED)]).inc();
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, name: &ObjectName) {
        self.tokens.forget(name);
    }
}

/// True for reasons that are counted when a resource enters them.
fn is_failure(reason: &Reason) -> bool {
    reason.weight() >= Weight::Trouble
}
