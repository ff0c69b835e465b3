//! A run through everything that can happen, at trace level; then a search through all that it left behind.

use crate::cast::{cast, credentials_of, spec_of};
use crate::failures::failures_on_the_way;
use crate::hunt::Evidence;
use crate::support::*;
use harness::wait_for;
use issuer_simulator::client::NewClient;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use issuer_simulator::{Options, Simulator};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use syniverse_token_core::api::{ADOPT_ANNOTATION, SyniverseToken};

const WRONG_SECRET: &str = "canary-wrong-secret";
const ODD_VALUE: &str = "canary-odd-value";
const CLIENT_SECRET: &str = "canary-client-secret";
/// Clients, and where their secret travels.
const CLIENTS: [(&str, &str); 2] = [("client-basic", "Basic"), ("client-body", "Body")];

#[tokio::test]
async fn nothing_secret_shows_in_anything_that_a_run_left_behind() {
    let (mut stage, collector) = (Stage::dark().await, Collector::start().await);
    let kubeconfig = stage.kubeconfig();
    let flags =
        ["--log-level=trace", "--insecure-endpoints", "--endpoint-host=*", "--call-timeout=1s", "--audit-log=-"];
    stage.start_operator_with(
        &kubeconfig,
        &[&flags[..], &["--connect-timeout=1s", "--otlp-endpoint", &collector.endpoint]].concat(),
    );
    success_and_repairs(&mut stage).await;
    failures(&stage).await;
    echoes(&stage).await;
    clients(&stage).await;
    bad_inputs(&stage).await;
    failed_writes(&stage).await;
    stage.operator().stop(PATIENCE).await.unwrap();

    let mut evidence = gather(&mut stage).await;
    for span in collector.spans() {
        evidence.add(format!("span {}", span.name), format!("{span:?}"));
    }
    let journal = stage.simulator.journal();
    let keys = journal.calls.iter().filter_map(|call| call.parameters.get("consumerkey"));
    let tokens = journal.tokens.iter().map(|token| &token.value);
    let headers = CLIENTS.map(|(client, _)| basic(client));
    let given = [CONSUMER_SECRET, PORTAL_TOKEN, WRONG_SECRET, ODD_VALUE, CLIENT_SECRET, &headers[0], &headers[1]];
    let secrets: Vec<_> = given.into_iter().chain(keys.chain(tokens).map(String::as_str)).collect();
    assert!(secrets.len() > 20 && evidence.len() > 50_000, "{} secrets in {} bytes", secrets.len(), evidence.len());
    let leaks = evidence.leaks(secrets);
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(!evidence.leaks(["\"action\":\"issuing-call\""]).is_empty(), "the audit log is not searched");
    let spans = evidence.leaks(["url.path", "unavailable"]);
    assert!(["span issuing call", "span PUT secrets"].iter().all(|span| spans.iter().any(|at| at.starts_with(span))));
}

#[tokio::test]
async fn a_planted_secret_is_found_wherever_it_shows() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let planted = |place: &str| format!("planted-{place}");
    let annotation = |place: &str| json!({"metadata": {"annotations": {"example.com/planted": planted(place)}}});
    stage.change(NAME, annotation("resource")).await;
    stage.change_secret(NAME, annotation("secret")).await;
    let sent = async || (!events(&stage).await.is_empty()).then_some(());
    wait_for("an Event", PATIENCE, sent).await.unwrap();
    let evidence = gather(&mut stage).await;
    for place in ["resource", "secret"] {
        assert_eq!(evidence.leaks([planted(place).as_str()]).len(), 1, "{place}");
    }
    // What stands in a log line and in an Event of every run.
    assert!(evidence.leaks(["did="]).iter().any(|place| place.starts_with("log")));
    assert!(evidence.leaks(["syniverse-token-operator"]).iter().any(|place| place.starts_with("Event")));
}

async fn success_and_repairs(stage: &mut Stage) {
    stage.issued("3s").await;
    let first = stage.token().await;
    let second = stage.until_rotated(&first).await;
    stage.change(NAME, json!({"spec": {"application": {"validity": "1h"}}})).await;
    stage.until_rotated(&second).await;
    stage.until_noticed(NAME).await;
    stage.until_noticed(STATE).await;
    stage.change_secret(NAME, json!({"stringData": {"accessToken": ODD_VALUE}})).await;
    stage.until_secret(NAME, "repaired", |secret| text(secret, "accessToken").as_deref() != Some(ODD_VALUE)).await;
    stage.change_secret(STATE, json!({"stringData": {"state.json": ODD_VALUE}})).await;
    stage.until_secret(STATE, "repaired", |secret| text(secret, "state.json").as_deref() != Some(ODD_VALUE)).await;
    stage.restart_operator(NAME).await;
}

/// Every failure on the way, wrong credentials, and an issuer whose certificate nobody trusts.
async fn failures(stage: &Stage) {
    for failure in failures_on_the_way() {
        let key = cast(stage, failure.name).await;
        stage.simulator.fault(Fault::once(failure.action).only_for(key));
        stage.apply(failure.name, spec_of(stage, failure.name, "1h")).await;
        stage.until(failure.name, failure.says, |token| ready_message(token).contains(failure.says)).await;
    }
    let key = cast(stage, "wrong").await;
    stage.put_secret(&credentials_of("wrong"), &credentials(&key, WRONG_SECRET, PORTAL_TOKEN)).await;
    stage.apply("wrong", spec_of(stage, "wrong", "1h")).await;
    until_said(stage, "wrong", "HTTP 500").await;
    let distrusted = Simulator::start(Options { tls: true, ..Options::default() }).await.unwrap();
    cast(stage, "distrusted").await;
    let mut spec = spec_of(stage, "distrusted", "1h");
    spec["application"]["endpoint"] = json!(distrusted.endpoint());
    stage.apply("distrusted", spec).await;
    until_said(stage, "distrusted", "certificate").await;
}

/// Issuers that repeat in their answers what they were asked with.
async fn echoes(stage: &Stage) {
    for (name, status) in [("echo-200", 200), ("echo-400", 400), ("echo-500", 500), ("echo-503", 503)] {
        let key = cast(stage, name).await;
        let text = format!("{{\"errorCode\":1,\"userMsg\":\"{key} {CONSUMER_SECRET} {PORTAL_TOKEN}\"}}");
        let body = FailBody::Text(text);
        let action = Action::Fail { status, retry_after: Some(key.clone()), body, at: When::BeforeWork };
        stage.simulator.fault(Fault::once(action).only_for(&key));
        stage.apply(name, spec_of(stage, name, "1h")).await;
        until_said(stage, name, &format!("HTTP {status}")).await;
    }
    let key = cast(stage, "echo-redirect").await;
    let location = format!("{}?consumersecret={CONSUMER_SECRET}", stage.simulator.endpoint());
    stage.simulator.fault(Fault::once(Action::Redirect { status: 307, location }).only_for(key));
    stage.apply("echo-redirect", spec_of(stage, "echo-redirect", "1h")).await;
    until_said(stage, "echo-redirect", "HTTP 307").await;
}

/// Clients whose issuer repeats in its first answer what it was asked with, and then gives a token.
async fn clients(stage: &Stage) {
    for (client, authentication) in CLIENTS {
        stage.simulator.add_client(NewClient::of(client, CLIENT_SECRET));
        stage.put_secret(&credentials_of(client), &[("clientId", client), ("clientSecret", CLIENT_SECRET)]).await;
        let description = format!("{CLIENT_SECRET} {}", basic(client));
        let body = FailBody::Text(json!({"error": "invalid_client", "error_description": description}).to_string());
        let action = Action::Fail { status: 401, retry_after: None, body, at: When::BeforeWork };
        stage.simulator.fault(Fault::once(action).only_for(client));
        let reference = json!({"secretRef": {"name": credentials_of(client)}});
        let spec = json!({"tokenURL": stage.simulator.token_endpoint(), "authentication": authentication,
            "credentials": reference});
        stage.apply(client, json!({"clientCredentials": spec})).await;
        until_said(stage, client, "invalid_client").await;
        stage.change(client, json!({"spec": {"clientCredentials": {"endpointParams": {"a": "b"}}}})).await;
        stage.until_ready(client).await;
    }
}

/// What a header says of this client.
fn basic(client: &str) -> String {
    let pair = ByteString(format!("{client}:{CLIENT_SECRET}").into_bytes());
    json!(pair).as_str().unwrap().to_owned()
}

/// Values that cannot be used, and Secrets that are not ours.
async fn bad_inputs(stage: &Stage) {
    let long = ODD_VALUE.repeat(6000);
    for (name, value) in [
        ("control", format!("{ODD_VALUE}\u{7}{ODD_VALUE}").into_bytes()),
        ("binary", [ODD_VALUE.as_bytes(), b"\xff"].concat()),
        ("long", long.into_bytes()),
    ] {
        cast(stage, name).await;
        let data = [("oldToken".to_owned(), ByteString(value))].into();
        let secret = Secret { data: Some(data), ..Secret::default() };
        stage.secrets.patch(&credentials_of(name), &PatchParams::default(), &Patch::Merge(secret)).await.unwrap();
        stage.apply(name, spec_of(stage, name, "1h")).await;
        stage.until_reason(name, "CredentialsInvalid").await;
    }
    cast(stage, "foreign").await;
    stage.put_secret("foreign", &[("accessToken", ODD_VALUE)]).await;
    stage.apply("foreign", spec_of(stage, "foreign", "1h")).await;
    stage.until_reason("foreign", "SecretNotOwned").await;
    cast(stage, "newer").await;
    let newer = json!({"version": 99, "applications": {ODD_VALUE: {"token": ODD_VALUE}}}).to_string();
    stage.put_secret("newer-syniverse-state", &[("state.json", &newer)]).await;
    let consent = json!({"metadata": {"annotations": {ADOPT_ANNOTATION: "newer"}}});
    stage.change_secret("newer-syniverse-state", consent).await;
    stage.apply("newer", spec_of(stage, "newer", "1h")).await;
    stage.until_reason("newer", "StateTooNew").await;
}

/// An API server that refuses what it is sent.
async fn failed_writes(stage: &Stage) {
    cast(stage, "refused").await;
    stage.kubectl(&["create", "quota", "none", "--hard=count/secrets=1"]).await;
    stage.apply("refused", spec_of(stage, "refused", "1h")).await;
    stage.until_reason("refused", "WriteRefused").await;
}

async fn until_said(stage: &Stage, name: &str, says: &str) {
    stage.until(name, says, |token| ready_message(token).contains(says)).await;
}

async fn events(stage: &Stage) -> Vec<Event> {
    let events = Api::namespaced(stage.cluster.client().await.unwrap(), stage.namespace.name());
    events.list(&ListParams::default()).await.unwrap().items
}

/// Logs, Events, resources, and everything of Secrets but their data.
async fn gather(stage: &mut Stage) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.add("log", stage.operator().log());
    for event in events(stage).await {
        evidence.add(format!("Event {}", event.name_any()), json!(event).to_string());
    }
    for token in stage.tokens.list(&ListParams::default()).await.unwrap() {
        let token: SyniverseToken = token;
        evidence.add(format!("SyniverseToken {}", token.name_any()), json!(token).to_string());
    }
    for secret in stage.secrets.list(&ListParams::default()).await.unwrap() {
        evidence.add(format!("Secret {}", secret.name_any()), json!(secret.metadata).to_string());
    }
    evidence
}
