//! Reports a pass: a log line, and Events for changes.

use crate::controller::event_queue::WaitingEvent;
use crate::controller::event_sender::EventSink;
use crate::telemetry::metrics::Metrics;
use kube::{Resource, ResourceExt};
use syniverse_token_core::api::{SyniverseToken, SyniverseTokenStatus, parse_duration};
use syniverse_token_core::issuer::{Failure, FailureKind};
use syniverse_token_core::messages;
use syniverse_token_core::reason::{Finding, Reason, Weight};
use syniverse_token_core::reconcile_report::{NewToken, ReconcileReport, StepResult};
use syniverse_token_core::schedule::crowd::SHORTEST_PROMISED;
use syniverse_token_core::status::{headline, ready, reason};
use syniverse_token_core::time::Moment;
use tokio::time::Instant;

/// The most that the API server takes as the note of an Event, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Reports passes. No pass ever waits for an Event.
#[derive(Clone, Debug)]
pub struct Reporter {
    events: EventSink,
}

impl Reporter {
    /// A reporter, and the task that sends its Events: it ends when the last reporter is dropped.
    pub fn new(client: kube::Client, metrics: &Metrics) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (events, sending) = EventSink::new(client, metrics.dropped_events());
        (Self { events }, sending)
    }

    /// Reports a pass over `resource`.
    pub fn report(&self, resource: &SyniverseToken, report: &ReconcileReport, now: Moment) {
        log(resource, report, now);
        for mut finding in findings_to_report(resource, report) {
            finding.message = truncated_note(finding.message);
            self.events.push(WaitingEvent { about: resource.object_ref(&()), finding, since: Instant::now() });
        }
    }
}

fn truncated_note(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(LONGEST_NOTE));
    message
}

/// Findings worth an Event: a new token, a repair, and every change of the reason that matters.
fn findings_to_report(resource: &SyniverseToken, report: &ReconcileReport) -> Vec<Finding> {
    let Some(after) = &report.after else { return Vec::new() };
    let before = report.before.as_ref();
    let mut news = Vec::new();
    news.extend(new_token(resource, report));
    news.extend(report.steps.iter().filter_map(|step| match step {
        StepResult::Repaired(name) => {
            let message = format!("Secret {name} was changed or deleted: restored without a request to the issuer");
            Some(Finding::new(Reason::Repaired, message))
        }
        StepResult::SawSkew(ahead) => {
            let message = format!("{}: one of the two clocks is wrong; expiries are not affected", skew(*ahead));
            Some(Finding::new(Reason::ClockSkew, message))
        }
        StepResult::Requested(_, Err(failure)) => request_finding(resource, after, failure),
        _ => None,
    }));
    news.extend(delivered(resource, before, after));
    news.extend(new_reason(before, after));
    news
}

/// A final verdict of the issuer about a session that the status does not show.
fn request_finding(resource: &SyniverseToken, after: &SyniverseTokenStatus, failure: &Failure) -> Option<Finding> {
    let finding = match failure.kind {
        FailureKind::Ended => messages::session_ended(&failure.detail),
        FailureKind::LoginRefused => {
            let hint = messages::login_hint(resource.spec.issuer()?.credentials_secret(), None);
            messages::login_refused(&failure.detail, &hint)
        }
        _ => return None,
    };
    let is_said = ready(after).is_some_and(|ready| ready.reason == finding.reason.as_str());
    (!is_said).then_some(finding)
}

fn skew(ahead: i64) -> String {
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    format!("the issuer's clock is {} s {side} ours", ahead.unsigned_abs())
}

/// The note names neither token nor time: the API server counts a repeated Event and keeps its first note.
fn new_token(resource: &SyniverseToken, report: &ReconcileReport) -> Vec<Finding> {
    let secret = resource.secret_name();
    match report.new_token {
        None => Vec::new(),
        Some(NewToken::Next) => {
            vec![Finding::new(Reason::Rotated, format!("a new token replaced the old token in Secret {secret}"))]
        }
        Some(NewToken::First) => {
            let issued = Finding::new(Reason::Issued, format!("Secret {secret} holds the first token"));
            [Some(issued), short_validity(resource)].into_iter().flatten().collect()
        }
    }
}

/// A token that reached somebody.
fn delivered(
    resource: &SyniverseToken,
    before: Option<&SyniverseTokenStatus>,
    after: &SyniverseTokenStatus,
) -> Option<Finding> {
    let is = after.propagation.as_ref()?;
    let was = before.and_then(|before| before.propagation.as_ref()?.fingerprint.as_ref());
    let is_news = is.fingerprint.as_ref() != was && is.time.is_some();
    let announced = is.pods.map(|pods| format!("announced to {pods} Pods"));
    let restarted = (!is.workloads.is_empty()).then(|| format!("restarted for it: {}", is.workloads.join(", ")));
    let done: Vec<_> = announced.into_iter().chain(restarted).collect();
    let message = format!("the new token in Secret {} was delivered; {}", resource.secret_name(), done.join("; "));
    is_news.then(|| Finding::new(Reason::Propagated, message))
}

fn short_validity(resource: &SyniverseToken) -> Option<Finding> {
    let validity = resource.spec.application.as_ref().and_then(|application| parse_duration(&application.validity))?;
    let message = "spec.application.validity is below 15m: Syniverse's specification does not guarantee that";
    (!validity.is_zero() && validity < SHORTEST_PROMISED).then(|| Finding::new(Reason::ShortValidity, message))
}

fn new_reason(before: Option<&SyniverseTokenStatus>, after: &SyniverseTokenStatus) -> Option<Finding> {
    let (is, was, reason) = (headline(after)?, before.and_then(reason), reason(after)?);
    let troubled = was.is_some_and(|was| was.weight() >= Weight::Trouble);
    match reason.weight() {
        _ if was == Some(reason) => None,
        Weight::Normal if !troubled || is.status != "True" => None,
        Weight::Normal => Some(Finding::new(Reason::Recovered, is.message.clone())),
        _ => Some(Finding::new(reason, is.message.clone())),
    }
}

fn log(resource: &SyniverseToken, report: &ReconcileReport, now: Moment) {
    let (ready, headline) = (report.after.as_ref().and_then(ready), report.after.as_ref().and_then(headline));
    let steps: Vec<_> = report.steps.iter().map(describe_step).collect();
    let next = report.wake.map(|wake| wake.until(now).as_secs_f64());
    let namespace = resource.namespace();
    let (name, fingerprint) =
        (resource.name_any(), report.after.as_ref().and_then(|after| after.fingerprint.as_deref()));
    let (status, reason) = (ready.map(|ready| ready.status.as_str()), headline.map(|said| said.reason.as_str()));
    if steps.is_empty() {
        tracing::debug!(namespace, name, ready = status, reason, fingerprint, next_in_s = next, "pass");
    } else {
        let did = steps.join(", ");
        tracing::info!(namespace, name, did, ready = status, reason, fingerprint, next_in_s = next, "pass");
    }
}

fn describe_step(step: &StepResult) -> String {
    match step {
        StepResult::Requested(cause, Ok(_)) => format!("requested a token ({})", cause.as_str()),
        StepResult::Requested(cause, Err(failure)) => {
            format!("requested a token ({}), but failed: {failure}", cause.as_str())
        }
        StepResult::SawSkew(ahead) => format!("found that {}", skew(*ahead)),
        StepResult::WroteState => "wrote state Secret".to_owned(),
        StepResult::WroteToken => "wrote token Secret".to_owned(),
        StepResult::Repaired(name) => format!("repaired {name}"),
        StepResult::FailedWrite(detail) => detail.clone(),
        StepResult::WroteStatus => "wrote status".to_owned(),
    }
}
