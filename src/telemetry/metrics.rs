//! What is counted and measured: one registry, and nothing whose labels could grow without bound.

use crate::telemetry::process::Usage;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syniverse_token_core::api::SyniverseTokenStatus;
use syniverse_token_core::issuer::Kind;
use syniverse_token_core::issuer::{Ask, Cause, FailureKind};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::reason::{Reason, Weight};
use syniverse_token_core::reconcile_report::{Delivered, NewToken, Pass};
use syniverse_token_core::status::{ready, reason};
use syniverse_token_core::time::{Moment, Now};

type Seconds = Gauge<f64, AtomicU64>;
type SecondsTotal = Counter<f64, AtomicU64>;

/// Bounds of a rotation's lateness, in seconds: a first ask that is answered at once takes hundredths.
const LATENESS: [f64; 11] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];
/// Bounds of an issuer's latency, in seconds, up to the usual call timeout.
const LATENCY: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Between two leaders nobody counts: the next one adds what was dead then, for up to this before it leads.
const HAND_OVER: Duration = Duration::from_secs(30);
/// What kills a token.
const EXPIRED: &str = "expired";
const SUPERSEDED: &str = "superseded";
/// What comes of a call, besides the kinds of failures.
const ANSWERED: &str = "answered";
/// What comes of a pass.
const FINISHED: &str = "finished";
const FAILED: &str = "failed";

/// Values of these come from closed vocabularies.
type Label = (&'static str, &'static str);
/// The namespace and the name of a resource.
type OfToken = [(&'static str, String); 2];

/// Everything that is counted and measured.
pub struct Metrics {
    registry: Registry,
    expiration: Family<OfToken, Seconds>,
    ready: Family<OfToken, Gauge>,
    dead: Family<[Label; 1], SecondsTotal>,
    lateness: Family<[Label; 1], Histogram>,
    refreshes: Family<[Label; 3], Counter>,
    latency: Family<[Label; 1], Histogram>,
    in_flight: Family<[Label; 1], Gauge>,
    skew: Family<[Label; 1], Gauge>,
    failures: Family<[Label; 1], Counter>,
    passes: Family<[Label; 1], Counter>,
    rival_writes: Counter,
    leads: Gauge,
    cpu: SecondsTotal,
    memory: Gauge,
    open_files: Gauge,
    start: Gauge,
    tokens: Mutex<HashMap<ObjectName, Token>>,
}

/// The token in one token Secret.
#[derive(Clone, Debug)]
struct Token {
    fingerprint: String,
    issuer: Label,
    /// When it dies; none = never.
    dies: Option<Moment>,
    /// Another one took its place at the issuer.
    is_superseded: bool,
    /// Its time as a dead one is counted up to here.
    counted: Moment,
}

impl Token {
    /// One whose time as a dead one is counted from then on.
    fn of(delivered: &Delivered, counted: Moment) -> Self {
        let issuer = ("issuer", delivered.kind.as_str());
        let (fingerprint, dies) = (delivered.fingerprint.clone(), delivered.dies);
        Self { fingerprint, issuer, dies, is_superseded: false, counted }
    }
}

/// Registers a metric under its name and what it tells.
fn told<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("syniverse_token");
        let expiration = told(
            own,
            "expiration_timestamp_seconds",
            "When the token in the Secret expires, Unix time; no series for one that never does",
            Family::default(),
        );
        let ready = told(own, "ready", "1 while the condition Ready is True, else 0", Family::default());
        let dead = told(
            own,
            "dead_seconds",
            "Seconds in which a Secret held a dead token, all together: past its end (expired), or after an extension had \
             killed it (superseded)",
            Family::default(),
        );
        let lateness = told(
            own,
            "rotation_lateness_seconds",
            "From the end of a token until the next one was in the Secret; 0 for one that came before",
            Family::new_with_constructor((|| Histogram::new(LATENESS)) as fn() -> Histogram),
        );
        let refreshes =
            told(own, "refreshes", "Calls to issuers, by why they were made and what came of them", Family::default());
        let latency = told(
            own,
            "issuer_request_duration_seconds",
            "How long calls to issuers took",
            Family::new_with_constructor((|| Histogram::new(LATENCY)) as fn() -> Histogram),
        );
        let in_flight =
            told(own, "issuer_requests_in_flight", "Calls to issuers that are being made", Family::default());
        let skew = told(
            own,
            "issuer_clock_skew_seconds",
            "How far the issuer's Date was ahead of our clock when last seen",
            Family::default(),
        );
        let failures = told(
            own,
            "failures",
            "Resources that came to a reason that is trouble, or that a person must act on",
            Family::default(),
        );
        let passes = told(own, "reconcile_passes", "Passes over resources", Family::default());
        let rival_writes = told(
            own,
            "rival_writes",
            "Answers of issuers that another process recorded while this one acts: two operators work in one namespace",
            Counter::default(),
        );
        let leads = told(own, "leads", "1 while this process leads, 0 while another one does", Gauge::default());
        let build: Family<[Label; 1], Gauge> = told(own, "build_info", "Always 1", Family::default());
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let process = registry.sub_registry_with_prefix("process");
        let cpu = told(process, "cpu_seconds", "CPU time of this process", SecondsTotal::default());
        let memory = told(process, "resident_memory_bytes", "Resident memory of this process", Gauge::default());
        let open_files = told(process, "open_fds", "Open file descriptors of this process", Gauge::default());
        let start = told(process, "start_time_seconds", "When this process started, Unix time", Gauge::default());
        let tokens = Mutex::default();
        let metrics = Self {
            registry,
            expiration,
            ready,
            dead,
            lateness,
            refreshes,
            latency,
            in_flight,
            skew,
            failures,
            passes,
            rival_writes,
            leads,
            cpu,
            memory,
            open_files,
            start,
            tokens,
        };
        metrics.start_at_zero();
        metrics
    }
}

impl Metrics {
    /// Makes the series of everything that is counted, since `rate` and `increase` cannot see how one begins.
    fn start_at_zero(&self) {
        for cause in [EXPIRED, SUPERSEDED] {
            drop(self.dead.get_or_create(&[("cause", cause)]));
        }
        for outcome in [FINISHED, FAILED] {
            drop(self.passes.get_or_create(&[("outcome", outcome)]));
        }
        for reason in Reason::ALL.iter().filter(|reason| is_failure(reason)) {
            drop(self.failures.get_or_create(&[("reason", reason.as_str())]));
        }
        for issuer in Kind::ALL.map(|kind| ("issuer", kind.as_str())) {
            drop(self.lateness.get_or_create(&[issuer]));
            drop(self.latency.get_or_create(&[issuer]));
            drop(self.in_flight.get_or_create(&[issuer]));
            for cause in Cause::ALL.map(|cause| ("cause", cause.as_str())) {
                for outcome in FailureKind::ALL.map(FailureKind::as_str).into_iter().chain([ANSWERED]) {
                    drop(self.refreshes.get_or_create(&[issuer, cause, ("outcome", outcome)]));
                }
            }
        }
    }

    /// All of it in the OpenMetrics text format. Dead-token time runs up to `now`.
    pub fn encode(&self, now: Now) -> String {
        self.tokens().values_mut().for_each(|token| self.count_dead_time(token, now.mono));
        if let Some(usage) = Usage::of_this_process() {
            self.cpu.inc_by((usage.cpu_seconds - self.cpu.get()).max(0.0));
            self.memory.set(usage.resident_bytes);
            self.open_files.set(usage.open_files);
            self.start.set(usage.start_time);
        }
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Whether this process leads. Before it is told it does not.
    pub fn leads(&self, leads: bool) {
        let mut tokens = self.tokens();
        self.leads.set(i64::from(leads));
        if !leads {
            // Whoever leads now knows them.
            tokens.clear();
            self.expiration.clear();
            self.ready.clear();
        }
    }

    /// A call is being made until what is returned is dropped.
    pub fn call(&self, ask: &Ask) -> impl Drop + use<> {
        let in_flight = self.in_flight.get_or_create_owned(&[issuer(ask)]);
        in_flight.inc();
        Flying(in_flight)
    }

    /// A call has ended.
    pub fn called(&self, ask: &Ask, cause: Cause, failure: Option<FailureKind>, took: Duration) {
        let issuer = issuer(ask);
        let outcome = failure.map_or(ANSWERED, FailureKind::as_str);
        self.refreshes.get_or_create(&[issuer, ("cause", cause.as_str()), ("outcome", outcome)]).inc();
        self.latency.get_or_create(&[issuer]).observe(took.as_secs_f64());
    }

    /// The issuer's clock was so far ahead of ours.
    pub fn skewed(&self, ask: &Ask, ahead_seconds: i64) {
        self.skew.get_or_create(&[issuer(ask)]).set(ahead_seconds);
    }

    /// The issuer has put another token in the place of this one, which may be in the token Secret of `name`.
    pub fn superseded(&self, name: &ObjectName, fingerprint: &str, at: Moment) {
        if let Some(token) = self.tokens().get_mut(name).filter(|token| token.fingerprint == fingerprint) {
            token.dies = Some(token.dies.map_or(at, |dies| dies.min(at)));
            token.is_superseded = true;
        }
    }

    /// A pass over `name` came to an end, in a process that leads since then.
    pub fn passed(&self, name: &ObjectName, pass: &Pass, leads_since: Moment, now: Now) {
        self.passes.get_or_create(&[("outcome", FINISHED)]).inc();
        let Some(after) = &pass.after else { return };
        let before = pass.before.as_ref().and_then(reason);
        let is_news = |reason: &Reason| is_failure(reason) && before != Some(*reason);
        if let Some(reason) = reason(after).filter(is_news) {
            self.failures.get_or_create(&[("reason", reason.as_str())]).inc();
        }
        let mut tokens = self.tokens();
        // The lead may have been lost while the pass ran: the series are another's then.
        if self.leads.get() != 0 {
            self.shows(name, after);
            if let Some(found) = pass.found.as_ref().filter(|_| !tokens.contains_key(name)) {
                tokens.insert(name.clone(), Token::of(found, leads_since - HAND_OVER));
            }
            self.holds(&mut tokens, name, pass, now.mono);
        }
    }

    fn shows(&self, name: &ObjectName, status: &SyniverseTokenStatus) {
        let labels = of(name);
        let is_ready = ready(status).is_some_and(|condition| condition.status == "True");
        self.ready.get_or_create(&labels).set(i64::from(is_ready));
        match status.expiration_time.as_ref().and_then(|time| time.parse::<Timestamp>().ok()) {
            Some(time) => drop(self.expiration.get_or_create(&labels).set(time.as_second() as f64)),
            None => drop(self.expiration.remove(&labels)),
        }
    }

    /// Another process does the work of this one; true when that is seen for the first time.
    pub fn met_rival(&self) -> bool {
        self.rival_writes.inc() == 0
    }

    /// A pass came to nothing.
    pub fn failed(&self) {
        self.passes.get_or_create(&[("outcome", FAILED)]).inc();
    }

    /// What the token Secret of `name` holds from now on, or since the pass wrote it.
    fn holds(&self, tokens: &mut HashMap<ObjectName, Token>, name: &ObjectName, pass: &Pass, now: Moment) {
        let Some(delivered) = &pass.delivered else {
            // Nobody reads a token that is not there.
            if let Some(mut token) = tokens.remove(name) {
                self.count_dead_time(&mut token, now);
            }
            return;
        };
        let since = delivered.written.unwrap_or(now);
        let token = Token::of(delivered, since);
        let Some(before) = tokens.get_mut(name) else {
            tokens.insert(name.clone(), token);
            return;
        };
        if before.fingerprint == token.fingerprint {
            self.count_dead_time(before, now);
            before.dies = if before.is_superseded { before.dies } else { token.dies };
            return;
        }
        self.count_dead_time(before, since);
        if pass.new_token == Some(NewToken::Next) {
            let late = before.dies.map_or(Duration::ZERO, |dies| since.until(dies));
            self.lateness.get_or_create(&[token.issuer]).observe(late.as_secs_f64());
        }
        *before = token;
    }

    fn count_dead_time(&self, token: &mut Token, now: Moment) {
        let Some(dies) = token.dies else { return };
        let cause = if token.is_superseded { SUPERSEDED } else { EXPIRED };
        let dead = now.until(token.counted.max(dies));
        token.counted = token.counted.max(now);
        if !dead.is_zero() {
            self.dead.get_or_create(&[("cause", cause)]).inc_by(dead.as_secs_f64());
        }
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, name: &ObjectName) {
        let labels = of(name);
        self.tokens().remove(name);
        self.expiration.remove(&labels);
        self.ready.remove(&labels);
    }

    /// A panic elsewhere leaves the map whole: each change is a single insertion or removal.
    fn tokens(&self) -> MutexGuard<'_, HashMap<ObjectName, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Flying(Gauge);

impl Drop for Flying {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn of(name: &ObjectName) -> OfToken {
    [("namespace", name.namespace.clone()), ("name", name.name.clone())]
}

/// Whether it is counted when a resource comes to it.
fn is_failure(reason: &Reason) -> bool {
    reason.weight() >= Weight::Trouble
}

fn issuer(ask: &Ask) -> Label {
    ("issuer", ask.wire().kind().as_str())
}
