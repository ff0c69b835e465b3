//! The parts of a run, one after the other, and what each of them shows.

use std::time::{Duration, Instant};

use harness::{Cluster, wait_for};
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use tokio::time::{sleep, sleep_until};

use crate::figures::{Rotations, Table, calls, per};
use crate::histories::{Histories, Seen};
use crate::operators::{Operators, Start};
use crate::requests::Requests;
use crate::settings::Settings;
use crate::usage::Usage;

/// What follows a token, such as status and Event, is written by then.
const SETTLED: Duration = Duration::from_secs(5);
/// Twice the interval at which the operator looks at its clocks: that shall be seen to cost nothing, too.
const REST: Duration = Duration::from_secs(120);
/// A rest that is shorter says nothing.
const SHORTEST_REST: Duration = Duration::from_secs(2);
/// By this part of its life no token is asked for again: it is checked when nine tenths are over.
const UNDISTURBED: f64 = 0.85;
/// A restarted operator is given so long.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a metrics page is asked for: making it costs an operator, too.
const LOOK: Duration = Duration::from_millis(500);

/// A run in progress.
pub(crate) struct Phases<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) cluster: &'a Cluster,
    pub(crate) histories: Histories,
    pub(crate) operators: Operators,
}

/// What is counted from a moment on.
struct Mark {
    at: Timestamp,
    requests: Requests,
    passes: u64,
    cpu: f64,
}

/// What was counted from one moment to another.
pub(crate) struct Span {
    begin: Timestamp,
    end: Timestamp,
    requests: Requests,
    passes: u64,
    /// CPU time is that of the span, memory that at its end.
    usage: Usage,
}

/// The first tokens.
pub(crate) struct Sync {
    span: Span,
    began: Instant,
    took: Duration,
    served: usize,
}

/// A new process that found fresh tokens.
pub(crate) struct Restart {
    span: Span,
    ready: Duration,
    /// None if it did not come to that.
    looked_at: Option<Duration>,
}

/// A time in which nothing is due.
pub(crate) struct Rest(Span);

/// A time in which tokens end.
pub(crate) struct Busy(Span);

impl Phases<'_> {
    /// Starts the operators and waits until each resource has a token, or the deadline is over.
    pub(crate) async fn first_sync(&mut self, start: &Start<'_>) -> anyhow::Result<Sync> {
        let mark = Mark { at: Timestamp::now(), requests: Requests::so_far(self.cluster)?, passes: 0, cpu: 0.0 };
        self.operators = Operators::start(start)?;
        let (began, deadline) = (Instant::now(), self.settings.deadline);
        let all = async || (self.histories.served() >= self.settings.size).then_some(());
        // That the deadline passed is a figure, too.
        let _ = wait_for("the first tokens", deadline, all).await;
        let (took, served) = (began.elapsed(), self.histories.served());
        Ok(Sync { span: self.since(mark).await?, began, took, served })
    }

    /// Watches operators that have nothing to do, as long as half of the time until the first token is due again; none
    /// if there is no such time.
    pub(crate) async fn rest(&mut self, sync: &Sync) -> anyhow::Result<Option<Rest>> {
        let due = sync.began + self.settings.validity.mul_f64(UNDISTURBED);
        let free = due.saturating_duration_since(Instant::now());
        let long = REST.min(free / 2);
        if self.settings.spread || sync.served < self.settings.size || long < SHORTEST_REST {
            return Ok(None);
        }
        sleep(SETTLED.min(free / 10)).await;
        let mark = self.mark().await?;
        sleep(long).await;
        Ok(Some(Rest(self.since(mark).await?)))
    }

    /// Kills the operators, starts them again, and waits until each resource was looked at.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Restart> {
        let mark = Mark { at: Timestamp::now(), requests: Requests::so_far(self.cluster)?, passes: 0, cpu: 0.0 };
        self.operators.restart()?;
        let began = Instant::now();
        let ready = self.operators.ready(PATIENCE).await?;
        let looked_at = loop {
            let looked_at = self.operators.counts().await.map_or(0, |counts| counts.looked_at);
            match began.elapsed() {
                elapsed if looked_at >= self.settings.size => break Some(elapsed),
                elapsed if elapsed > PATIENCE => break None,
                _ => sleep(LOOK).await,
            }
        };
        Ok(Restart { span: self.since(mark).await?, ready, looked_at })
    }

    /// Watches tokens end and be replaced.
    pub(crate) async fn rotate(&mut self) -> anyhow::Result<Busy> {
        let mark = self.mark().await?;
        let end = tokio::time::Instant::now() + self.settings.duration();
        while tokio::time::Instant::now() < end {
            self.operators.check()?;
            sleep_until(end.min(tokio::time::Instant::now() + Duration::from_secs(1))).await;
        }
        Ok(Busy(self.since(mark).await?))
    }

    async fn mark(&mut self) -> anyhow::Result<Mark> {
        let (requests, passes) = (Requests::so_far(self.cluster)?, self.operators.counts().await?.passes);
        Ok(Mark { at: Timestamp::now(), requests, passes, cpu: self.operators.usage()?.cpu })
    }

    async fn since(&mut self, mark: Mark) -> anyhow::Result<Span> {
        let (end, usage) = (Timestamp::now(), self.operators.usage()?);
        let requests = Requests::so_far(self.cluster)?.since(&mark.requests);
        let passes = self.operators.counts().await?.passes - mark.passes;
        Ok(Span { begin: mark.at, end, requests, passes, usage: Usage { cpu: usage.cpu - mark.cpu, ..usage } })
    }
}

impl Sync {
    /// Adds its lines to a table.
    pub(crate) fn show(&self, table: &mut Table, size: usize, journal: &Journal) {
        table.heading("first sync", "");
        table.row("time", 1, Some(self.took.as_secs_f64()), "s");
        table.row("resources without a token when it ended", 0, Some((size - self.served.min(size)) as f64), "");
        self.span.show(table, "a token", self.served, journal);
        table.row("CPU", 1, Some(self.span.usage.cpu), "s");
        table.row("resident, peak", 1, Some(self.span.usage.peak), "MiB");
    }
}

impl Rest {
    /// Adds its lines to a table.
    pub(crate) fn show(&self, table: &mut Table, journal: &Journal) {
        let Self(span) = self;
        table.heading("at rest", &format!(", for {:.0} s", span.seconds()));
        table.row("resident", 1, Some(span.usage.resident), "MiB");
        table.row("CPU", 2, Some(100.0 * span.usage.cpu / span.seconds()), "% of a core");
        table.row("issuer calls", 0, Some(calls(journal, span.begin, span.end) as f64), "");
        table.row("passes", 0, Some(span.passes as f64), "");
        table.row("API requests", 0, Some(span.requests.total() as f64), "");
    }
}

impl Restart {
    /// Adds its lines to a table.
    pub(crate) fn show(&self, table: &mut Table, journal: &Journal) {
        table.heading("restart", "");
        table.row("ready: every resource is known", 2, Some(self.ready.as_secs_f64()), "s");
        table.row("every resource was looked at", 1, self.looked_at.map(|time| time.as_secs_f64()), "s");
        table.row("issuer calls", 0, Some(calls(journal, self.span.begin, self.span.end) as f64), "");
        table.row("writes", 0, Some(self.span.requests.writes() as f64), "");
        table.row("API requests", 0, Some(self.span.requests.total() as f64), "");
        table.row("passes", 0, Some(self.span.passes as f64), "");
        table.row("CPU", 1, Some(self.span.usage.cpu), "s");
        table.row("resident, peak", 1, Some(self.span.usage.peak), "MiB");
    }
}

impl Busy {
    /// Adds its lines to a table.
    pub(crate) fn show(&self, table: &mut Table, seen: &Seen, journal: &Journal) {
        let Self(span) = self;
        let both = Rotations::first_and_later(seen, journal, span.begin, span.end);
        let count = both.iter().map(Rotations::count).sum();
        table.heading("rotations", &format!(", for {:.0} s", span.seconds()));
        if seen.begun > 1 {
            table.row("times that the watch was interrupted", 0, Some((seen.begun - 1) as f64), "");
        }
        for (rotations, which) in both.iter().zip(["first", "later"]) {
            rotations.show(table, which);
        }
        span.show(table, "a rotation", count, journal);
        table.row("CPU of 1,000 rotations", 2, per(1000.0 * span.usage.cpu, count), "s");
        table.row("CPU", 1, Some(100.0 * span.usage.cpu / span.seconds()), "% of a core");
        table.row("resident at the end", 1, Some(span.usage.resident), "MiB");
        table.row("resident, peak", 1, Some(span.usage.peak), "MiB");
    }
}

impl Span {
    fn seconds(&self) -> f64 {
        self.end.duration_since(self.begin).as_secs_f64()
    }

    /// What it took for each of so many.
    fn show(&self, table: &mut Table, each: &str, many: usize, journal: &Journal) {
        table.row(&format!("issuer calls {each}"), 2, per(calls(journal, self.begin, self.end) as f64, many), "");
        table.row(&format!("passes {each}"), 2, per(self.passes as f64, many), "");
        table.row(&format!("API requests {each}"), 2, per(self.requests.total() as f64, many), "");
        for (what, count) in self.requests.each() {
            table.row(&format!("  {what} {each}"), 2, per(count as f64, many), "");
        }
    }
}
