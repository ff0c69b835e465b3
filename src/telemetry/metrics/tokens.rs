//! The tokens in the token Secrets: when they expire, how long dead ones were there, and how late rotations were.

use super::shown::{ExpirationSeries, FailingSeries, ReadySeries, Shown, StandbySeries};
use super::{Label, SecondsTotal, is_failure, register};
use crate::settings::TokenSeries;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syniverse_token_core::api::SyniverseTokenStatus;
use syniverse_token_core::issuer::Kind;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::reconcile_report::{NewToken, ReconcileReport, ServedToken};
use syniverse_token_core::status::{ready, reason};
use syniverse_token_core::time::Moment;

/// Buckets of a rotation's lateness, in seconds: a first request that is answered at once takes hundredths.
const LATENESS: [f64; 11] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];
/// Buckets of an overlap, in seconds: a lead is at most an hour by default.
const OVERLAP: [f64; 9] = [0.0, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0];
/// No process counts between two leaders: the next leader adds the dead time, up to this long before its term.
const HAND_OVER: Duration = Duration::from_secs(30);
/// Causes of a token's death.
const EXPIRED: &str = "expired";
const SUPERSEDED: &str = "superseded";
/// How tokens are replaced where there is a standby: while the old one lives, or after its death.
const OVERLAPPING: &str = "overlapping";
const LATE: &str = "late";

pub(super) struct TokenMetrics {
    series: TokenSeries,
    shown: Shown,
    dead: Family<[Label; 1], SecondsTotal>,
    lateness: Family<[Label; 1], Histogram>,
    overlap: Family<[Label; 1], Histogram>,
    hand_overs: Family<[Label; 1], Counter>,
    tokens: Mutex<HashMap<ObjectName, Token>>,
}

/// The token in a token Secret.
#[derive(Clone, Debug)]
struct Token {
    fingerprint: Box<str>,
    issuer: &'static str,
    /// When it dies; none = never.
    dies: Option<Moment>,
    /// Another token replaced it at the issuer.
    is_superseded: bool,
    /// Its dead time is counted up to here.
    counted: Moment,
    said: Said,
}

/// What the status says of a resource.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// The condition Ready; none of a resource that is suspended before its first token.
    pub(super) is_ready: Option<bool>,
    /// Unix time; none = never, or not known.
    pub(super) expires: Option<i64>,
    /// The standby is able to take over; none without a standby.
    pub(super) is_standby_ready: Option<bool>,
    /// The reason, if it is failing or stalled.
    pub(super) failing: Option<Reason>,
}

impl Said {
    fn by(status: &SyniverseTokenStatus, is_standby_ready: Option<bool>) -> Self {
        let expires = status.expiration_time.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        let is_ready = ready(status).map(|condition| condition.status == "True");
        let failing = reason(status).filter(is_failure);
        Self { is_ready, expires: expires.map(Timestamp::as_second), is_standby_ready, failing }
    }

    fn is_in_order(&self) -> bool {
        self.is_ready != Some(false) && self.failing.is_none()
    }
}

impl Token {
    /// A token whose dead time is counted from then on.
    fn of(served: &ServedToken, counted: Moment) -> Self {
        let (issuer, fingerprint) = (served.kind.as_str(), served.fingerprint.as_str().into());
        let dies = served.expires;
        Self { fingerprint, issuer, dies, is_superseded: false, counted, said: Said::default() }
    }
}

impl TokenMetrics {
    pub(super) fn register(registry: &mut Registry, series: TokenSeries) -> Self {
        let expiration = "Expiry of the token in the Secret, Unix time; no series for a token that never expires";
        let ready = "1 while the condition Ready is True, else 0";
        let failing =
            "1 while the reason of a resource is failing or stalled, which the label names; no series for the others";
        let dead = "Total seconds in which a Secret held a dead token: past its expiry (expired), or after an \
            extension had invalidated it (superseded)";
        let late = "Time from the expiry of a token until the next token was in the Secret; 0 if it came before the \
            expiry";
        let standby = "1 while the standby of a resource is able to take over, as far as is known, else 0; no series \
            without a standby";
        let overlap = "How long the old token lived on when the next token was in the Secret; 0 if it was dead by then";
        let hand_overs = "Tokens that were replaced in resources with a standby: while the old token lived \
            (overlapping), or after its end (late)";
        let lateness = Family::new_with_constructor((|| Histogram::new(LATENESS)) as fn() -> Histogram);
        let overlaps = Family::new_with_constructor((|| Histogram::new(OVERLAP)) as fn() -> Histogram);
        let shown = Shown::default();
        register(registry, "expiration_timestamp_seconds", expiration, ExpirationSeries(shown.clone()));
        register(registry, "ready", ready, ReadySeries(shown.clone()));
        register(registry, "failing", failing, FailingSeries(shown.clone()));
        register(registry, "standby_ready", standby, StandbySeries(shown.clone()));
        let metrics = Self {
            series,
            shown,
            dead: register(registry, "dead_seconds", dead, Family::default()),
            lateness: register(registry, "rotation_lateness_seconds", late, lateness),
            overlap: register(registry, "overlap_seconds", overlap, overlaps),
            hand_overs: register(registry, "hand_overs", hand_overs, Family::default()),
            tokens: Mutex::default(),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for cause in [EXPIRED, SUPERSEDED] {
            drop(self.dead.get_or_create(&[("cause", cause)]));
        }
        for issuer in Kind::ALL.map(|kind| ("issuer", kind.as_str())) {
            drop(self.lateness.get_or_create(&[issuer]));
            drop(self.overlap.get_or_create(&[issuer]));
        }
        for kind in [OVERLAPPING, LATE] {
            drop(self.hand_overs.get_or_create(&[("kind", kind)]));
        }
    }

    /// Counts dead-token time up to `now`, and shows the tokens that have expired since their last pass.
    pub(super) fn measure(&self, now: Moment) {
        for (name, token) in self.tokens().iter_mut() {
            self.count_dead_time(token, now);
            if self.series == TokenSeries::Failing && token.dies.is_some_and(|dies| dies <= now) {
                self.show(name, token.said);
            }
        }
    }

    /// Whether this process leads, as `is_set` makes known while no pass can end.
    pub(super) fn leads(&self, is_leader: bool, is_set: impl FnOnce()) {
        let mut tokens = self.tokens();
        is_set();
        if !is_leader {
            // The current leader knows them.
            tokens.clear();
            self.shown.tokens().clear();
        }
    }

    pub(super) fn superseded(&self, name: &ObjectName, fingerprint: &str, at: Moment) {
        if let Some(token) = self.tokens().get_mut(name).filter(|token| *token.fingerprint == *fingerprint) {
            token.dies = Some(token.dies.map_or(at, |dies| dies.min(at)));
            token.is_superseded = true;
        }
    }

    pub(super) fn passed(
        &self,
        name: &ObjectName,
        report: &ReconcileReport,
        leader_since: Moment,
        now: Moment,
        is_leader: impl FnOnce() -> bool,
    ) {
        let mut tokens = self.tokens();
        let Some(after) = report.after.as_ref().filter(|_| is_leader()) else { return };
        let said = Said::by(after, report.is_standby_ready);
        match self.series {
            TokenSeries::All => self.show(name, said),
            TokenSeries::Failing if !said.is_in_order() => self.show(name, said),
            TokenSeries::Failing | TokenSeries::None => self.hide(name),
        }
        if let Some(found) = report.served_before.as_ref().filter(|_| !tokens.contains_key(name)) {
            tokens.insert(name.clone(), Token::of(found, leader_since - HAND_OVER));
        }
        self.holds(&mut tokens, name, report, now);
        if let Some(token) = tokens.get_mut(name) {
            token.said = said;
        }
    }

    fn show(&self, name: &ObjectName, said: Said) {
        self.shown.tokens().insert(name.clone(), said);
    }

    fn hide(&self, name: &ObjectName) {
        self.shown.tokens().remove(name);
    }

    /// Sets the token in the token Secret of `name`, from now on or since the pass wrote it.
    fn holds(&self, tokens: &mut HashMap<ObjectName, Token>, name: &ObjectName, report: &ReconcileReport, now: Moment) {
        let Some(served) = &report.served_after else {
            // A missing token is not read.
            if let Some(mut token) = tokens.remove(name) {
                self.count_dead_time(&mut token, now);
            }
            return;
        };
        let since = served.written_at.unwrap_or(now);
        let token = Token::of(served, since);
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
        if report.new_token == Some(NewToken::Next) {
            self.rotated(before, since, report.is_standby_ready.is_some());
        }
        *before = token;
    }

    /// A token was replaced at that time by the next one.
    fn rotated(&self, before: &Token, at: Moment, has_standby: bool) {
        let issuer = [("issuer", before.issuer)];
        let late = before.dies.map_or(Duration::ZERO, |dies| at.until(dies));
        self.lateness.get_or_create(&issuer).observe(late.as_secs_f64());
        // A token that never dies overlaps for ever, which is no figure.
        let Some(overlap) = before.dies.map(|dies| dies.until(at)) else { return };
        self.overlap.get_or_create(&issuer).observe(overlap.as_secs_f64());
        if has_standby {
            let kind = if overlap.is_zero() { LATE } else { OVERLAPPING };
            self.hand_overs.get_or_create(&[("kind", kind)]).inc();
        }
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

    pub(super) fn forget(&self, name: &ObjectName) {
        self.tokens().remove(name);
        self.hide(name);
    }

    /// A panic elsewhere leaves the map whole: each change is a single insertion or removal.
    fn tokens(&self) -> MutexGuard<'_, HashMap<ObjectName, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
