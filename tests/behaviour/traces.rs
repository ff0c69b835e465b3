//! Traces: what a pass did is seen at a collector, and a collector that is away is in nobody's way.

use crate::support::*;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::BTreeSet;

fn is(span: &Span, name: &str, fields: &[(&str, &str)]) -> bool {
    let found = attributes(span);
    span.name == name && fields.iter().all(|(field, value)| found.get(*field).is_some_and(|found| found == value))
}

async fn traced() -> (Stage, Collector) {
    let (mut stage, collector) = (Stage::dark().await, Collector::start().await);
    stage.start_operator(&["--otlp-endpoint", &collector.endpoint]);
    (stage, collector)
}

#[tokio::test]
async fn a_rotation_is_one_pass_with_its_wait_its_steps_and_their_requests() {
    let (stage, collector) = traced().await;
    stage.issued("3s").await;
    let old = stage.token().await;
    let new = stage.until_rotated(&old).await;
    let (before, after) = (fingerprint(&old), fingerprint(&new));
    let rotated = [("fingerprint.before", before.as_str()), ("fingerprint.after", after.as_str())];
    let pass = collector.until("the pass", |span| is(span, "pass", &rotated)).await;
    let of = [("namespace", stage.namespace.name()), ("name", NAME), ("cause", "boundary"), ("outcome", "finished")];
    assert!(is(&pass, "pass", &of), "{:?}", attributes(&pass));
    assert!(pass.parent_span_id.is_empty());

    let children = collector.children(&pass);
    let names: BTreeSet<_> = children.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["queue wait", "observe", "issuing call", "write Secret", "write status"]));
    assert!(children.iter().all(|child| child.trace_id == pass.trace_id));
    let written = |name: &str| {
        let fields = [("cause", "boundary"), ("outcome", "success"), ("object", name), rotated[0], rotated[1]];
        children.iter().find(|span| is(span, "write Secret", &fields)).cloned()
    };
    let requests = collector.children(&written(NAME).unwrap());
    let [put] = requests.as_slice() else { panic!("{requests:?}") };
    let path = format!("/api/v1/namespaces/{}/secrets/{NAME}", stage.namespace.name());
    assert!(is(put, "PUT secrets", &[("url.path", &path)]), "{:?}", attributes(put));
    assert!(written(STATE).is_some());
    let wait = children.iter().find(|span| span.name == "queue wait").unwrap();
    assert!(wait.end_time_unix_nano <= pass.end_time_unix_nano && wait.start_time_unix_nano <= wait.end_time_unix_nano);
    assert!(
        collector.spans().iter().all(|span| span.events.is_empty()),
        "log lines, also those of libraries, stay out"
    );
    let others: BTreeSet<_> = collector.spans().into_iter().map(|span| span.name).collect();
    let is_ours = |name: &str| name.contains(' ') || ["pass", "observe"].contains(&name);
    assert!(others.iter().all(|name| is_ours(name)), "a library's span: {others:?}");
}

#[tokio::test]
async fn a_failed_call_is_an_error_with_its_kind() {
    use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
    let (stage, collector) = traced().await;
    let (body, at) = (FailBody::Text("canary".to_owned()), When::BeforeWork);
    stage.simulator.fault(Fault::once(Action::Fail { status: 503, retry_after: None, body, at }));
    stage.issued("1h").await;
    let failed = [("outcome", "unavailable"), ("cause", "first-issue")];
    let call = collector.until("the failed call", |span| is(span, "issuing call", &failed)).await;
    assert_eq!(call.status.unwrap().code, 2);
}

#[tokio::test]
async fn without_a_collector_rotations_go_on_and_it_is_said_once() {
    let (mut stage, collector) = traced().await;
    stage.issued("3s").await;
    collector.until("a pass", |span| span.name == "pass").await;
    drop(collector);
    let mut token = stage.token().await;
    let said = "spans cannot be exported";
    while !stage.operator().log().contains(said) {
        token = stage.until_rotated(&token).await;
    }
    stage.until_rotated(&token).await;
    assert_eq!(stage.operator().log().matches(said).count(), 1);
}

#[tokio::test]
async fn spans_that_wait_are_exported_at_the_end_of_the_process() {
    let (mut stage, collector) = traced().await;
    stage.issued("1h").await;
    let token = fingerprint(&stage.token().await);
    stage.operator().stop(PATIENCE).await.unwrap();
    let written = [("object", NAME), ("fingerprint.after", token.as_str())];
    assert!(collector.spans().iter().any(|span| is(span, "write Secret", &written)));
}

#[tokio::test]
async fn a_delivery_has_a_trace_of_its_own() {
    let (mut stage, collector) = (Stage::dark().await, Collector::start().await);
    stage.grant(&may_tell()).await;
    stage.start_operator(&["--otlp-endpoint", &collector.endpoint]);
    let scene = Workloads::on(stage).await;
    scene.run_pod("volume", with_volume()).await;
    scene.apply("1h", serde_json::json!({"pods": "Annotate"})).await;
    let patch = collector.until("the announcement", |span| span.name == "PATCH pods").await;
    let delivery = collector.until("the delivery", |span| span.span_id == patch.parent_span_id).await;
    assert!(is(&delivery, "delivery", &[("namespace", scene.stage.namespace.name()), ("name", NAME)]));
    assert!(delivery.parent_span_id.is_empty());
}
