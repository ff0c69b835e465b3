//! Traces, where an OTLP endpoint is set: a span for each pass, with its wait in the queue, its steps and its requests as
//! children. They are exported by a thread of its own, from a queue with a limit: a span that finds it full is dropped.
//!
//! Without an endpoint no layer is installed, and a span costs a look at a flag.

use super::audit::Entry;
use opentelemetry::trace::{Span as _, SpanBuilder, Tracer, TracerProvider};
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::{Duration, SystemTime};
use syniverse_token_core::reconcile_report::{ReconcileReport, StepResult};
use syniverse_token_core::status::reason;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

mod export;

pub use export::ClientError;

/// Target of all spans. Log lines do not show them, and no other span is exported: those of libraries have URLs and
/// headers in them.
pub const SPANS: &str = "syniverse_token_spans";

const SERVICE: &str = "syniverse-token-operator";

/// The longest that the end of the process waits for spans before it.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// Settings from which no exporter could be created.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Of the exporter.
    #[error("failed to prepare the export of traces: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Of its HTTP client.
    #[error("failed to prepare the export of traces: {0}")]
    Client(#[from] ClientError),
}

/// The export of spans of this process.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares the export to the collector at `endpoint`, to which `/v1/traces` is added. Nothing is sent yet. What the
    /// standard variables say of sampling, headers, limits and the resource counts.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn start(endpoint: &str) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(export::OtlpClient::new()?)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let pod = std::env::var("HOSTNAME").ok().map(|pod| KeyValue::new("service.instance.id", pod));
        let resource = Resource::builder().with_service_name(SERVICE).with_attributes([version].into_iter().chain(pod));
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(provider))
    }

    /// The layer that turns spans of ours into those of the export.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        let ours = Targets::new().with_target(SPANS, LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Exports what waits, for a short time.
    pub async fn flush(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LONGEST_FLUSH)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans were not exported");
        }
    }
}

/// The span of a pass over a resource.
pub fn pass(namespace: &str, name: &str) -> Span {
    info_span!(target: SPANS, parent: None, "pass", namespace, name, cause = Empty, outcome = Empty, reason = Empty,
        fingerprint.before = Empty, fingerprint.after = Empty, otel.status_code = Empty)
}

/// The span of a delivery of a token to Pods and workloads.
pub fn delivery(namespace: &str, name: &str, fingerprint: &str) -> Span {
    info_span!(target: SPANS, parent: None, "delivery", namespace, name, fingerprint.after = fingerprint)
}

/// The span of a step.
pub fn step(name: &'static str) -> Span {
    info_span!(target: SPANS, "step", otel.name = name, cause = Empty, outcome = Empty, status = Empty, object = Empty,
        fingerprint.before = Empty, fingerprint.after = Empty, otel.status_code = Empty)
}

/// The span of a request to the API server. The query of its URL is left out.
pub fn request(method: &str, path: &str) -> Span {
    info_span!(target: SPANS, "request", otel.name = format!("{method} {}", kind_in(path)), otel.kind = "client",
        http.request.method = method, url.path = path, http.response.status_code = Empty, otel.status_code = Empty)
}

/// The resource that a path of the API is about: `secrets` of `/api/v1/namespaces/n/secrets/name`.
fn kind_in(path: &str) -> &str {
    let mut parts = path.split('/').skip_while(|part| *part != "namespaces").skip(2);
    parts.next().unwrap_or("request")
}

/// Notes what became of a pass, in its span.
pub fn pass_finished(span: &Span, report: &ReconcileReport) {
    if span.is_disabled() {
        return;
    }
    span.record("outcome", if report.after.is_some() { "finished" } else { "gone" });
    let cause = report.steps.iter().find_map(|step| match step {
        StepResult::Requested(cause, _) => Some(cause.as_str()),
        _ => None,
    });
    if let Some(cause) = cause {
        span.record("cause", cause);
    }
    if let Some(reason) = report.after.as_ref().and_then(reason) {
        span.record("reason", reason.as_str());
    }
    let [before, after] = [&report.served_before, &report.served_after]
        .map(|served| served.as_ref().map(|served| served.fingerprint.as_str()));
    fingerprints(span, before, after);
}

/// Notes that a pass has failed, in its span.
pub fn pass_failed(span: &Span) {
    span.record("outcome", "failed");
    span.record("otel.status_code", "error");
}

/// Notes what was done, in the span of its step.
pub fn note(span: &Span, entry: &Entry) {
    span.record("cause", entry.cause.as_str());
    if let Some(outcome) = entry.outcome {
        span.record("outcome", outcome);
    }
    if entry.outcome.is_some_and(|outcome| outcome != super::audit::SUCCESS) {
        span.record("otel.status_code", "error");
    }
    if let Some(status) = entry.status {
        span.record("status", status);
    }
    if let Some(object) = &entry.object {
        span.record("object", object.name.as_str());
    }
    fingerprints(span, entry.before.as_deref(), entry.after.as_deref());
}

/// Notes which token was there before, and which is after.
pub fn fingerprints(span: &Span, before: Option<&str>, after: Option<&str>) {
    for (field, fingerprint) in [("fingerprint.before", before), ("fingerprint.after", after)] {
        if let Some(fingerprint) = fingerprint {
            span.record(field, fingerprint);
        }
    }
}

/// True where spans are exported.
pub fn are_on() -> bool {
    tracing::enabled!(target: SPANS, tracing::Level::INFO)
}

/// Gives a pass a child for the time that it has waited to begin.
pub fn queue_wait(pass: &Span, waited: Duration) {
    let end = SystemTime::now();
    let Some(start) = end.checked_sub(waited).filter(|_| !pass.is_disabled()) else { return };
    let tracer = global::tracer(SERVICE);
    let wait = SpanBuilder::from_name("queue wait").with_start_time(start);
    tracer.build_with_context(wait, &pass.context()).end_with_timestamp(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_after_what_it_is_about() {
        for (path, kind) in [
            ("/api/v1/namespaces/n/secrets/messaging", "secrets"),
            ("/apis/syniverse.dev/v1alpha1/namespaces/n/syniversetokens/messaging/status", "syniversetokens"),
            ("/version", "request"),
        ] {
            assert_eq!(kind_in(path), kind);
        }
    }

    #[test]
    fn without_a_layer_there_is_no_span() {
        assert!(!are_on() && pass("n", "messaging").is_disabled() && step("observe").is_disabled());
        queue_wait(&Span::none(), Duration::MAX);
    }
}
