//! Sessions: a pasted pair or a login, extended before its end, and what is said and done when the session is over.

use crate::support::*;
use harness::{ControlPlane, wait_for};
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use issuer_simulator::journal::{Cause, Journal};
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use syniverse_token_core::api::SyniverseToken;

const SESSION: &str = "sma-session";
const USERNAME: &str = "canary-username";
const PAIR: [(&str, &str); 2] = [("token", "canary-token"), ("refreshToken", "canary-refresh-token")];
const LOGIN: [(&str, &str); 2] = [("username", USERNAME), ("password", "canary-password")];
const HOUR: u32 = 3600;
/// Fixed values take effect within it.
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_pasted_pair_is_extended_at_once_and_its_successor_is_in_the_secret() {
    let stage = Stage::open().await;
    let resource = opened(&stage, HOUR, &PAIR).await;
    let (journal, secret) = (stage.simulator.journal(), stage.secret(NAME).await);
    assert_eq!(methods(&journal), ["PUT"]);
    let issued = journal.tokens.last().unwrap();
    assert_eq!((text(&secret, "accessToken"), issued.value != PAIR[0].1), (Some(issued.value.clone()), true));
    let keys: Vec<_> = secret.data.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["accessToken", "expirationTime"], "what extends the session is nobody else's");
    let expires: Timestamp = resource.status.as_ref().unwrap().expiration_time.as_ref().unwrap().parse().unwrap();
    assert!((expires.as_second() - issued.expires.unwrap().as_second()).abs() <= 1);
    assert_eq!(ready_reason(&resource), "Issued");
}

#[tokio::test]
async fn a_login_opens_a_session() {
    let stage = Stage::open().await;
    opened(&stage, HOUR, &LOGIN).await;
    let journal = stage.simulator.journal();
    assert_eq!((methods(&journal), stage.token().await), (vec!["POST"], journal.tokens.last().unwrap().value.clone()));
}

#[tokio::test]
async fn a_session_is_extended_before_its_end_with_one_call_each_and_stays_ready() {
    let stage = Stage::open().await;
    opened(&stage, 6, &PAIR).await;
    let mut token = stage.token().await;
    for _ in 0..3 {
        token = stage.until_rotated(&token).await;
        assert!(is_ready(&stage.tokens.get(NAME).await.unwrap()));
    }
    let journal = stage.simulator.journal();
    assert_eq!(methods(&journal), ["PUT"; 4]);
    assert_eq!(token, journal.tokens.last().unwrap().value);
    let pairs = journal.tokens.iter().filter(|token| token.owner == USERNAME);
    let deaths: Vec<_> = pairs.map(|token| token.death().unwrap().cause).collect();
    assert_eq!(deaths, [[Cause::Superseded; 4].as_slice(), &[Cause::Expired]].concat());
}

#[tokio::test]
async fn with_pair_and_login_the_pair_is_used_and_the_login_only_when_the_pair_is_over() {
    let stage = Stage::open().await;
    opened(&stage, HOUR, &[PAIR, LOGIN].concat()).await;
    assert_eq!(methods(&stage.simulator.journal()), ["PUT"]);
    let old = stage.token().await;

    stage.simulator.expire(USERNAME).unwrap();
    ask_now(&stage, "1").await;

    stage.until_rotated(&old).await;
    stage.until_reason(NAME, "Issued").await;
    assert_eq!(methods(&stage.simulator.journal()), ["PUT", "PUT", "POST"]);
}

#[tokio::test]
async fn a_lost_session_is_said_with_what_to_do_asked_about_no_more_and_healed_by_a_new_pair_at_once() {
    let stage = Stage::open().await;
    opened(&stage, HOUR, &PAIR).await;
    stage.simulator.expire(USERNAME).unwrap();
    ask_now(&stage, "1").await;
    let lost = stage.until_reason(NAME, "SessionLost").await;
    assert!(!is_ready(&lost) && is_stalled(&lost));
    for word in [SESSION, "username", "password", "token", "refreshToken"] {
        assert!(ready_message(&lost).contains(word), "{}", ready_message(&lost));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 2);

    let pair = [("token", "another-token"), ("refreshToken", "another-refresh-token")];
    stage.simulator.add_session(account(HOUR).with_pair(pair[0].1, pair[1].1, Life::Never));
    let pasted = Instant::now();
    stage.put_secret(SESSION, &pair).await;
    assert!(!is_stalled(&stage.until_ready(NAME).await));
    assert!(pasted.elapsed() < AT_ONCE, "{:?}", pasted.elapsed());
    assert_eq!(stage.calls(), 3);
}

#[tokio::test]
async fn a_refused_login_waits_for_another_password_which_acts_at_once_and_only_then() {
    let stage = Stage::open().await;
    let login = |password| [LOGIN[0], ("password", password)];
    stage.simulator.add_session(account(HOUR));
    stage.put_secret(SESSION, &login("wrong")).await;
    stage.apply(NAME, spec(&stage)).await;
    let refused = stage.until_reason(NAME, "LoginRefused").await;
    assert!(is_stalled(&refused) && ready_message(&refused).contains(SESSION), "{}", ready_message(&refused));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.calls(), 1);

    let corrected = Instant::now();
    stage.put_secret(SESSION, &LOGIN).await;
    assert!(!is_stalled(&stage.until_ready(NAME).await));
    assert!(corrected.elapsed() < AT_ONCE, "{:?}", corrected.elapsed());

    let calls = stage.calls();
    stage.put_secret(SESSION, &login("of tomorrow")).await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), calls);
}

#[tokio::test]
async fn whatever_fails_but_is_not_the_end_of_the_session_keeps_the_pair() {
    let mut stage = Stage::dark().await;
    stage.start_operator(&["--call-timeout=1s", "--connect-timeout=1s"]);
    opened(&stage, HOUR, &[PAIR, LOGIN].concat()).await;
    let pair = stage.token().await;
    let unavailable = |status, body| Action::Fail { status, retry_after: None, body, at: When::BeforeWork };
    let failures =
        [unavailable(200, FailBody::Envelope), Action::Hang { at: When::BeforeWork }, unavailable(502, FailBody::Html)];
    failures.iter().for_each(|action| stage.simulator.fault(Fault::once(action.clone())));

    ask_now(&stage, "1").await;

    stage.until_rotated(&pair).await;
    stage.until_reason(NAME, "Issued").await;
    let journal = stage.simulator.journal();
    assert_eq!(methods(&journal), ["PUT"; 5]);
    assert!(journal.calls[1..].iter().all(|call| call.parameters["token"] == pair));
}

/// An account that is locked, say: the documents name no code for that.
#[tokio::test]
async fn a_changed_login_that_the_issuer_does_not_take_never_costs_the_session_that_lives() {
    const OTHER: &str = "other-username";
    let stage = Stage::open().await;
    opened(&stage, 6, &LOGIN).await;
    let body = FailBody::Text(json!({"errorCode": "AUTH_1042", "errorMessage": "", "content": ""}).to_string());
    let locked = Action::Fail { status: 403, retry_after: None, body, at: When::BeforeWork };
    stage.simulator.fault(Fault::always(locked).only_for(OTHER));
    stage.put_secret(SESSION, &[("username", OTHER), LOGIN[1]]).await;
    stage.until_reason(NAME, "RefreshFailed").await;

    let mut token = stage.token().await;
    for _ in 0..3 {
        token = stage.until_rotated(&token).await;
        let resource = stage.tokens.get(NAME).await.unwrap();
        assert!(
            is_ready(&resource) && ready_message(&resource).contains("undocumented"),
            "{}",
            ready_message(&resource)
        );
    }
    let journal = stage.simulator.journal();
    let pairs = journal.tokens.iter().filter(|token| token.owner == USERNAME && token.expires.is_some());
    let deaths: Vec<_> = pairs.map(|token| token.death().unwrap().cause).collect();
    assert_eq!(deaths, [[Cause::Superseded; 3].as_slice(), &[Cause::Expired]].concat());

    stage.simulator.add_session(NewSession::account(OTHER, LOGIN[1].1).valid_for(HOUR));
    stage.simulator.clear_faults();
    stage.until_reason(NAME, "Issued").await;
    let journal = stage.simulator.journal();
    let last = journal.tokens.last().unwrap();
    assert_eq!((last.owner.as_str(), last.value.as_str()), (OTHER, stage.token().await.as_str()));
}

/// One `kubectl apply` of both changes the Secret first, and the pair is tried where it does not belong.
#[tokio::test]
async fn a_pair_that_comes_before_its_endpoint_is_tried_there_as_well() {
    const OTHER: &str = "other-username";
    let pair = [("token", "another-token"), ("refreshToken", "another-refresh-token")];
    let stage = Stage::open().await;
    opened(&stage, HOUR, &PAIR).await;
    let old = stage.token().await;
    let body = FailBody::Text(json!({"errorCode": "AUTH_1002", "errorMessage": "", "content": ""}).to_string());
    let unknown = Action::Fail { status: 200, retry_after: None, body, at: When::BeforeWork };
    stage.simulator.fault(Fault::once(unknown));
    let account = NewSession::account(OTHER, LOGIN[1].1).valid_for(HOUR);
    stage.simulator.add_session(account.with_pair(pair[0].1, pair[1].1, Life::Never));
    stage.put_secret(SESSION, &pair).await;
    stage.until_calls(2).await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.token().await, old, "the session that there is goes on");

    let elsewhere = stage.simulator.session_endpoint().replace("127.0.0.1", "localhost");
    stage.change(NAME, json!({"spec": {"session": {"endpoint": elsewhere}}})).await;
    let token = stage.until_rotated(&old).await;
    let journal = stage.simulator.journal();
    let given = journal.tokens.last().unwrap();
    assert_eq!((given.owner.as_str(), given.value.as_str()), (OTHER, token.as_str()));
    assert_eq!(methods(&journal), ["PUT"; 3]);
}

#[tokio::test]
async fn a_pasted_pair_serves_the_resource_that_was_there_first() {
    let mut stage = Stage::open().await;
    opened(&stage, HOUR, &PAIR).await;
    stage.apply("another", spec(&stage)).await;
    let shared = stage.until_reason("another", "SessionShared").await;
    assert!(is_stalled(&shared) && ready_message(&shared).contains(SESSION), "{}", ready_message(&shared));
    assert!(!ready_message(&shared).contains(NAME), "{}", ready_message(&shared));
    stage.restart_operator("another").await;
    stage.until_noticed(NAME).await;
    assert_eq!(stage.calls(), 1);
    assert!(is_ready(&stage.tokens.get(NAME).await.unwrap()));
}

#[tokio::test]
async fn a_restart_with_a_fresh_session_asks_nothing_and_writes_nothing() {
    let mut stage = Stage::open().await;
    opened(&stage, HOUR, &PAIR).await;
    let writes = Writes::of(&stage).await;
    let before = stage.tokens.get(NAME).await.unwrap().metadata.resource_version;
    for _ in 0..3 {
        stage.restart_operator(NAME).await;
    }
    assert_eq!(stage.calls(), 1);
    assert_eq!(writes.names(&stage).await, [""; 0]);
    assert_eq!(stage.tokens.get(NAME).await.unwrap().metadata.resource_version, before);
}

#[tokio::test]
async fn told_to_stop_while_the_api_server_is_away_it_records_the_pair_in_hand_once_that_is_back() {
    let mut plane = ControlPlane::start().await.unwrap();
    let mut stage = Stage::dark_in(plane.cluster()).await;
    stage.start_operator(&[]);
    opened(&stage, HOUR, &PAIR).await;
    stage.simulator.fault(Fault::once(Action::Delay { millis: 2000, at: When::AfterWork }));
    ask_now(&stage, "1").await;
    let given = |journal: &Journal| journal.calls.len() == 2 && journal.calls[1].token.is_some();
    tokio::time::timeout(PATIENCE, stage.simulator.until(given)).await.unwrap();

    plane.stop_apiserver();
    let answered = |journal: &Journal| journal.calls[1].ended.is_some();
    tokio::time::timeout(PATIENCE, stage.simulator.until(answered)).await.unwrap();
    stage.operator().process().signal("TERM").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.operator().process().status().unwrap(), None, "it has a pair in hand");
    plane.start_apiserver().await.unwrap();

    let ended = stage.operator().process().wait(PATIENCE).await.unwrap();
    let fresh = stage.simulator.journal().calls[1].token.clone().unwrap();
    assert_eq!(ended.code(), Some(0));
    assert!(text(&stage.secret(STATE).await, "state.json").unwrap().contains(&fresh));
    let calls = stage.calls();
    stage.restart_operator(NAME).await;
    stage.until_secret(NAME, "the fresh token", |secret| text(secret, "accessToken") == Some(fresh.clone())).await;
    assert_eq!(stage.calls(), calls);
}

#[tokio::test]
async fn what_is_missing_is_named_and_nobody_is_asked() {
    let stage = Stage::open().await;
    stage.apply(NAME, spec(&stage)).await;
    let missing = stage.until_reason(NAME, "CredentialsNotFound").await;
    assert!(is_stalled(&missing) && ready_message(&missing).contains(SESSION), "{}", ready_message(&missing));
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "username and password, or token and refreshToken"),
        (&PAIR[..1], "under key refreshToken"),
        (&PAIR[1..], "under key token"),
        (&LOGIN[..1], "under key password"),
        (&LOGIN[1..], "under key username"),
    ];
    for (given, named) in cases {
        stage.put_secret(SESSION, given).await;
        let is_said = |message: &str| message.contains(SESSION) && message.contains(named);
        let says = |token: &_| ready_reason(token) == "CredentialsIncomplete" && is_said(ready_message(token));
        assert!(is_stalled(&stage.until(NAME, named, says).await));
    }
    assert_eq!(stage.calls(), 0);
    opened(&stage, HOUR, &PAIR).await;
}

fn account(seconds: u32) -> NewSession {
    NewSession::account(USERNAME, LOGIN[1].1).valid_for(seconds)
}

fn spec(stage: &Stage) -> Value {
    let credentials = json!({"secretRef": {"name": SESSION}});
    json!({"session": {"endpoint": stage.simulator.session_endpoint(), "credentials": credentials}})
}

/// Registers an account with the pasted pair, whose later pairs live for so long, and waits until the resource is ready.
async fn opened(stage: &Stage, seconds: u32, given: &[(&str, &str)]) -> SyniverseToken {
    stage.simulator.add_session(account(seconds).with_pair(PAIR[0].1, PAIR[1].1, Life::Never));
    stage.put_secret(SESSION, given).await;
    stage.apply(NAME, spec(stage)).await;
    stage.until_ready(NAME).await
}

/// A webhook that nobody answers has to be asked about every write of a Secret of this namespace.
async fn webhook_down(stage: &Stage) -> Api<ValidatingWebhookConfiguration> {
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(stage.cluster.client().await.unwrap());
    let name = format!("{}.example.com", stage.namespace.name());
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE", "UPDATE"]});
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": stage.namespace.name()}});
    let webhook = json!({"name": name, "rules": [rule], "namespaceSelector": here, "failurePolicy": "Fail",
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/"}});
    let configuration = json!({"metadata": {"name": name}, "webhooks": [webhook]});
    webhooks.create(&PostParams::default(), &serde_json::from_value(configuration).unwrap()).await.unwrap();
    let refused = async || {
        let change = json!({"metadata": {"labels": {"asked": "in-vain"}}});
        stage.secrets.patch(SESSION, &PatchParams::default(), &Patch::Merge(change)).await.err()
    };
    wait_for("writes being refused", PATIENCE, refused).await.unwrap();
    webhooks
}

#[tokio::test]
async fn a_session_without_a_login_outlives_an_outage_of_writes_that_is_longer_than_it_lives() {
    let stage = Stage::open().await;
    opened(&stage, 30, &PAIR).await;
    let first = stage.token().await;
    let webhooks = webhook_down(&stage).await;
    // Once near the end of the pair that is stored, and once near the end of the one that is in hand.
    let extended = stage.simulator.until(|journal| methods(journal).len() >= 3);
    tokio::time::timeout(Duration::from_secs(90), extended).await.expect("two extensions that cannot be recorded");
    let told = stage.until_reason(NAME, "WriteFailed").await;
    assert!(ready_message(&told).contains("only in the operator's memory"), "{}", ready_message(&told));
    webhooks.delete(&format!("{}.example.com", stage.namespace.name()), &DeleteParams::default()).await.unwrap();
    let written = stage.until_rotated(&first).await;
    stage.until_reason(NAME, "Issued").await;
    let journal = stage.simulator.journal();
    assert_eq!(Some(&written), journal.tokens.last().map(|token| &token.value));
    assert_eq!(methods(&journal), ["PUT"; 3]);
}

/// Has the session extended now.
async fn ask_now(stage: &Stage, value: &str) {
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": value}}})).await;
}

fn methods(journal: &Journal) -> Vec<&str> {
    journal.calls.iter().map(|call| call.method.as_str()).collect()
}
