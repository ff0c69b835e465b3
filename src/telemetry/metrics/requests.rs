//! Requests to issuers.

use super::{Label, register};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;
use syniverse_token_core::issuer::{Cause, FailureKind, Kind, TokenRequest};

/// Buckets of an issuer's latency, in seconds, up to the default call timeout.
const LATENCY: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Outcomes of a request, besides the kinds of failures.
const ANSWERED: &str = "answered";

pub(super) struct RequestMetrics {
    refreshes: Family<[Label; 3], Counter>,
    latency: Family<[Label; 1], Histogram>,
    in_flight: Family<[Label; 1], Gauge>,
    skew: Family<[Label; 1], Gauge>,
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let refreshes = "Requests to issuers, by cause and outcome";
        let skew = "How far the issuer's Date header was ahead of the local clock when last seen";
        let latency = Family::new_with_constructor((|| Histogram::new(LATENCY)) as fn() -> Histogram);
        let in_flight = "Requests to issuers in flight";
        let metrics = Self {
            refreshes: register(registry, "refreshes", refreshes, Family::default()),
            latency: register(registry, "issuer_request_duration_seconds", "Duration of requests to issuers", latency),
            in_flight: register(registry, "issuer_requests_in_flight", in_flight, Family::default()),
            skew: register(registry, "issuer_clock_skew_seconds", skew, Family::default()),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for issuer in Kind::ALL.map(|kind| ("issuer", kind.as_str())) {
            drop(self.latency.get_or_create(&[issuer]));
            drop(self.in_flight.get_or_create(&[issuer]));
            for cause in Cause::ALL.map(|cause| ("cause", cause.as_str())) {
                for outcome in FailureKind::ALL.map(FailureKind::as_str).into_iter().chain([ANSWERED]) {
                    drop(self.refreshes.get_or_create(&[issuer, cause, ("outcome", outcome)]));
                }
            }
        }
    }

    /// A request is in flight until what is returned is dropped.
    pub(super) fn begin(&self, request: &TokenRequest) -> impl Drop + use<> {
        let in_flight = self.in_flight.get_or_create_owned(&[issuer(request)]);
        in_flight.inc();
        InFlightGuard(in_flight)
    }

    pub(super) fn ended(&self, request: &TokenRequest, cause: Cause, failure: Option<FailureKind>, took: Duration) {
        let issuer = issuer(request);
        let outcome = failure.map_or(ANSWERED, FailureKind::as_str);
        self.refreshes.get_or_create(&[issuer, ("cause", cause.as_str()), ("outcome", outcome)]).inc();
        self.latency.get_or_create(&[issuer]).observe(took.as_secs_f64());
    }

    /// Forgets what only the present leader can know.
    pub(super) fn lost_lead(&self) {
        self.skew.clear();
    }

    pub(super) fn skewed(&self, request: &TokenRequest, ahead_seconds: i64) {
        self.skew.get_or_create(&[issuer(request)]).set(ahead_seconds);
    }
}

struct InFlightGuard(Gauge);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn issuer(request: &TokenRequest) -> Label {
    ("issuer", request.wire().kind().as_str())
}
