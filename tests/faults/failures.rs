//! Calls that fail, from the first answer to the healing: what the user reads, and when the issuer is asked again.

use crate::cast::{cast, spec_of};
use crate::support::*;
use harness::wait_for;
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use issuer_simulator::journal::Call;
use issuer_simulator::switches::UnknownOldToken;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::{Duration, Instant};
use syniverse_token_core::api::ADOPT_ANNOTATION;

/// A second is promised; the rest is for a machine that runs many tests at once.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(3);

#[tokio::test]
async fn a_rejected_request_stalls_and_is_asked_again_when_the_credentials_or_the_spec_are_corrected() {
    let stage = Stage::open().await;
    stage.simulator.fault(Fault::always(failing(400, None)));
    stage.apply(NAME, stage.spec("1h")).await;
    let rejected = stage.until_reason(NAME, "RequestRejected").await;
    assert!(is_stalled(&rejected));
    let message = ready_message(&rejected);
    assert!(message.contains("HTTP 400") && message.contains(CREDENTIALS), "{message}");
    // Its next retry is minutes away; a server error would have been asked again 2 times in this time.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(stage.calls(), 1);

    stage.simulator.clear_faults();
    stage.simulator.change_secret(CONSUMER_KEY, "canary-corrected").unwrap();
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, "canary-corrected", PORTAL_TOKEN)).await;
    assert_asked_at_once(&stage, 2).await;
    let ready = stage.until_ready(NAME).await;
    assert!(!is_stalled(&ready));

    stage.simulator.fault(Fault::always(failing(400, None)));
    ask_for_refresh(&stage, "1").await;
    let rejected = stage.until_reason(NAME, "RefreshFailed").await;
    assert!(is_ready(&rejected), "the token still lives");
    assert!(!is_stalled(&rejected), "nobody must act for what was right a moment ago");
    let message = ready_message(&rejected);
    assert!(message.contains("although the same request succeeded before"), "{message}");
    // It was served with the same values, so that it need not wait for a person.
    stage.simulator.clear_faults();
    stage.until_reason(NAME, "Issued").await;
}

#[tokio::test]
async fn a_wrong_secret_is_asked_with_at_growing_intervals_and_neighbours_tell_it_from_an_outage() {
    let stage = Stage::open().await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, "canary-wrong", PORTAL_TOKEN)).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let failed = stage.until_reason(NAME, "RefreshFailed").await;
    let message = ready_message(&failed);
    assert!(message.contains("wrong credentials or an outage"), "{message}");
    assert!(!is_stalled(&failed));
    stage.until_calls(4).await;
    let gaps = gaps(&stage.simulator.journal().calls);
    for (gap, seconds) in gaps.iter().zip([1.0, 2.0, 4.0]) {
        assert!((0.7 * seconds..1.3 * seconds + 0.5).contains(&gap.as_secs_f64()), "{gaps:?}");
    }

    stage.simulator.add_application(NewApplication::expired("canary-neighbour", CONSUMER_SECRET, "canary-other"));
    stage.put_secret("sdc-neighbour", &credentials("canary-neighbour", CONSUMER_SECRET, "canary-other")).await;
    let mut spec = stage.spec("1h");
    spec["application"]["credentials"]["secretRef"]["name"] = json!("sdc-neighbour");
    stage.apply("neighbour", spec).await;
    stage.until_ready("neighbour").await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, "canary-also-wrong", PORTAL_TOKEN)).await;
    let suspect = stage.until_reason(NAME, "CredentialsSuspect").await;
    let message = ready_message(&suspect);
    assert!(
        message.contains("while requests of other resources succeed") && message.contains(CREDENTIALS),
        "{message}"
    );

    let calls = stage.calls();
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    assert_asked_at_once(&stage, calls + 1).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn the_issuers_wish_for_patience_is_granted() {
    let stage = Stage::open().await;
    stage.simulator.fault(Fault::once(failing(429, Some("3"))));
    stage.simulator.fault(Fault::once(failing(503, Some("5"))));
    stage.issued("1h").await;
    let gaps = gaps(&stage.simulator.journal().calls);
    for (gap, seconds) in gaps.iter().zip([3.0, 5.0]) {
        assert!((seconds..seconds + 1.0).contains(&gap.as_secs_f64()), "{gaps:?}");
    }
    assert_eq!(gaps.len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_asked_every_few_seconds_while_a_token_is_wanted() {
    let stage = Stage::open().await;
    stage.simulator.fault(Fault::always(failing(503, None)));
    stage.apply(NAME, stage.spec("1h")).await;
    stage.until_reason(NAME, "IssuerUnavailable").await;
    stage.until_calls(7).await;
    let gaps = gaps(&stage.simulator.journal().calls);
    assert!(gaps.iter().all(|gap| gap.as_secs_f64() < 6.0), "{gaps:?}");
    assert!(gaps[3..].iter().all(|gap| gap.as_secs_f64() > 3.0), "{gaps:?}");
    stage.simulator.clear_faults();
    let returned = Instant::now();
    stage.until_ready(NAME).await;
    assert!(returned.elapsed() < Duration::from_secs(5), "{:?}", returned.elapsed());
}

#[tokio::test]
async fn every_failure_of_the_way_is_said_and_overcome() {
    let mut stage = Stage::dark().await;
    stage.start_operator(&["--call-timeout=1s", "--connect-timeout=1s"]);
    for Failure { name, action, reason, says } in failures_on_the_way() {
        let key = cast(&stage, name).await;
        stage.simulator.fault(Fault::once(action).only_for(&key));
        stage.apply(name, spec_of(&stage, name, "1h")).await;
        let failed = stage.until(name, says, |token| ready_message(token).contains(says)).await;
        // One of its kind or two in a row: only the name of the reason may tell of neighbours.
        let reasons = [reason, "IssuerUnavailable"];
        assert!(reasons.contains(&ready_reason(&failed)), "{name}: {}", ready_reason(&failed));
        if reason == "RequestRejected" {
            stage.change(name, json!({"spec": {"application": {"validity": "2h"}}})).await;
        }
        stage.until_ready(name).await;
    }
}

#[tokio::test]
async fn whoever_asks_too_often_is_held_back() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    for attempt in 2..62 {
        ask_for_refresh(&stage, &attempt.to_string()).await;
        let heard = async || (stage.calls() == attempt || is_limited(&stage).await).then_some(());
        wait_for("a call, or its refusal", PATIENCE, heard).await.unwrap();
        if is_limited(&stage).await {
            break;
        }
    }
    let limited = stage.until_reason(NAME, "CallsLimited").await;
    assert!(is_ready(&limited), "the token still lives");
    for attempt in 100..120 {
        ask_for_refresh(&stage, &attempt.to_string()).await;
    }
    stage.until_noticed(NAME).await;
    // 40 in a burst, and what a minute may have added.
    assert!((40..=42).contains(&stage.calls()), "{}", stage.calls());
}

#[tokio::test]
async fn each_retry_tries_one_old_token_the_one_in_the_token_secret_first() {
    let stage = Stage::open().await;
    stage.simulator.switch(|switches| switches.unknown_old_token = UnknownOldToken::Reject);
    stage.put_secret(NAME, &[("accessToken", "canary-unknown")]).await;
    stage.change_secret(NAME, json!({"metadata": {"annotations": {ADOPT_ANNOTATION: NAME}}})).await;
    stage.issued("1h").await;
    assert_eq!(old_tokens(&stage), ["canary-unknown", PORTAL_TOKEN]);

    let issued = stage.token().await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, "canary-mistyped")).await;
    stage.until_calls(4).await;
    stage.until_reason(NAME, "Issued").await;
    assert_eq!(old_tokens(&stage)[2..], ["canary-mistyped".to_owned(), issued]);
    assert_eq!(text(&stage.secret(NAME).await, "accessToken"), stage.simulator.journal().calls[3].token);
}

/// A failure that is not the issuer's own word.
pub(crate) struct Failure {
    /// A name for the resource that meets it.
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    reason: &'static str,
    /// What the user reads of it.
    pub(crate) says: &'static str,
}

pub(crate) fn failures_on_the_way() -> Vec<Failure> {
    let failure = |name, action, reason, says| Failure { name, action, reason, says };
    let page = |status, body| Action::Fail { status, retry_after: None, body, at: When::BeforeWork };
    let redirect = Action::Redirect { status: 302, location: "https://api.syniverse.com/elsewhere".to_owned() };
    let (hang, reset) = (Action::Hang { at: When::BeforeWork }, Action::Reset { at: When::BeforeWork });
    vec![
        failure("hang", hang, "RefreshFailed", "no response from the issuer within 1s"),
        failure("reset", reset, "RefreshFailed", "the connection closed before"),
        failure("truncated", Action::Truncate, "RefreshFailed", "the connection closed before"),
        failure("xml", page(500, FailBody::Xml), "RefreshFailed", "HTTP 500 with a body that is not from the API"),
        failure("html", page(200, FailBody::Html), "RefreshFailed", "HTTP 200 with a body that is not a JSON object"),
        failure("huge", Action::Pad { bytes: 1 << 20 }, "RefreshFailed", "larger than 64 KiB"),
        failure("redirect", redirect, "RequestRejected", "a redirect, which is not followed"),
        failure("tokenless", Action::TokenField(None), "RefreshFailed", "HTTP 200 with no accessToken"),
        failure(
            "missing",
            page(404, FailBody::Html),
            "RequestRejected",
            "HTTP 404 with a body that is not from the API",
        ),
    ]
}

fn failing(status: u16, retry_after: Option<&str>) -> Action {
    let retry_after = retry_after.map(str::to_owned);
    Action::Fail { status, retry_after, body: FailBody::Envelope, at: When::BeforeWork }
}

async fn ask_for_refresh(stage: &Stage, value: &str) {
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": value}}})).await;
}

async fn is_limited(stage: &Stage) -> bool {
    ready_reason(&stage.tokens.get(NAME).await.unwrap()) == "CallsLimited"
}

/// The call of this number comes at once after the change that was made just now.
async fn assert_asked_at_once(stage: &Stage, count: usize) {
    let changed = Timestamp::now();
    stage.until_calls(count).await;
    let late = stage.simulator.journal().calls[count - 1].received.duration_since(changed);
    assert!(late < AT_ONCE, "{late:?}");
}

/// From the end of each call to the arrival of the next.
fn gaps(calls: &[Call]) -> Vec<SignedDuration> {
    calls.windows(2).map(|pair| pair[1].received.duration_since(pair[0].ended.unwrap())).collect()
}

fn old_tokens(stage: &Stage) -> Vec<String> {
    stage.simulator.journal().calls.iter().map(|call| call.parameters["oldtoken"].clone()).collect()
}
