//! Every fault, as the caller meets it.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use issuer_simulator::Simulator;
use issuer_simulator::fault::{Action, Encoding, FailBody, Fault, Form, Stage};
use issuer_simulator::journal::Api;
use issuer_simulator::model::Life;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::caller::{Answer, KEY, PORTAL_TOKEN, io_kind, refresh, try_refresh, until, with_application};

async fn refresh_meeting(action: Action) -> (Simulator, reqwest::Result<Answer>) {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::once(action));
    let answer = try_refresh(&simulator, PORTAL_TOKEN, "60").await;
    (simulator, answer)
}

async fn answer_meeting(action: Action) -> Answer {
    refresh_meeting(action).await.1.unwrap()
}

fn fail(status: u16, body: FailBody) -> Action {
    Action::Fail { status, retry_after: None, body, at: Stage::BeforeWork }
}

/// The tokens born since the application was registered.
fn births(simulator: &Simulator) -> usize {
    simulator.journal().tokens.len() - 1
}

#[tokio::test]
async fn any_status_can_be_answered_and_no_token_is_born() {
    for status in [200, 400, 401, 403, 429, 500, 502, 503, 504] {
        let (simulator, answer) = refresh_meeting(fail(status, FailBody::Envelope)).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.json()["errorCode"]), (status, &json!(1)));
        assert_eq!(births(&simulator), 0);
    }
}

#[tokio::test]
async fn the_work_may_be_done_behind_a_failure() {
    let action = Action::Fail { status: 504, retry_after: None, body: FailBody::Html, at: Stage::AfterWork };
    let (simulator, answer) = refresh_meeting(action).await;
    assert_eq!((answer.unwrap().status, births(&simulator)), (504, 1));
}

#[tokio::test]
async fn retry_after_is_sent_as_it_is_written() {
    for value in ["7", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"] {
        let retry_after = Some(value.to_owned());
        let action = Action::Fail { status: 429, retry_after, body: FailBody::Empty, at: Stage::BeforeWork };
        assert_eq!(answer_meeting(action).await.header("retry-after"), value);
    }
}

#[tokio::test]
async fn a_failure_has_the_body_asked_for() {
    for (body, content_type, start) in [
        (FailBody::Xml, "application/xml", "<fault>"),
        (FailBody::Html, "text/html", "<!DOCTYPE html>"),
        (FailBody::Text("{\"accessToken\" \"x\"}".to_owned()), "application/json", "{\"accessToken\" \"x\"}"),
    ] {
        let answer = answer_meeting(fail(503, body)).await;
        assert_eq!(answer.header("content-type"), content_type);
        assert!(answer.text.starts_with(start), "{}", answer.text);
    }
    assert_eq!(answer_meeting(fail(503, FailBody::Empty)).await.text, "");
}

#[tokio::test]
async fn a_delay_comes_before_or_after_the_work() {
    for (at, late_birth) in [(Stage::BeforeWork, true), (Stage::AfterWork, false)] {
        let start = Instant::now();
        let (simulator, answer) = refresh_meeting(Action::Delay { millis: 200, at }).await;
        assert!(start.elapsed() >= Duration::from_millis(200));
        let journal = simulator.journal();
        let birth = journal.token(&answer.unwrap().token()).unwrap().birth;
        let until_work = birth.duration_since(journal.calls[0].received);
        assert_eq!(until_work.as_millis() >= 200, late_birth, "{until_work:?}");
    }
}

#[tokio::test]
async fn a_hang_lasts_until_the_caller_gives_up() {
    for (at, born) in [(Stage::BeforeWork, 0), (Stage::AfterWork, 1)] {
        let simulator = with_application(Life::Expired).await;
        simulator.fault(Fault::once(Action::Hang { at }));
        let mut call = Box::pin(refresh(&simulator, PORTAL_TOKEN, "60"));
        tokio::select! {
            answer = &mut call => panic!("{answer:?}"),
            () = until(&simulator, |journal| journal.calls.iter().any(|call| call.fault.is_some())) => {}
        }
        assert_eq!(simulator.journal().calls[0].ended, None);
        until(&simulator, |journal| journal.tokens.len() == born + 1).await;
        drop(call);
        until(&simulator, |journal| journal.calls[0].ended.is_some()).await;
        assert_eq!(simulator.journal().calls[0].status, None);
    }
}

#[tokio::test]
async fn a_connection_is_reset_before_or_after_the_work() {
    for (at, born) in [(Stage::BeforeWork, 0), (Stage::AfterWork, 1)] {
        let (simulator, answer) = refresh_meeting(Action::Reset { at }).await;
        assert_eq!(io_kind(&answer.unwrap_err()), Some(ErrorKind::ConnectionReset));
        let journal = simulator.journal();
        let call = &journal.calls[0];
        assert!(call.ended.is_some() && call.status.is_none());
        assert_eq!((births(&simulator), call.token.is_some()), (born, born == 1));
    }
}

#[tokio::test]
async fn a_truncated_answer_breaks_off_after_its_status() {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::once(Action::Truncate));
    let mut response = crate::caller::client().get(refresh_url(&simulator)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let declared = response.content_length().unwrap();
    let half = response.chunk().await.unwrap().unwrap();
    assert_eq!(half.len() as u64, declared / 2);
    assert!(half.starts_with(b"{\"accessToken\""));
    response.chunk().await.unwrap_err();
    assert_eq!(births(&simulator), 1);
}

fn refresh_url(simulator: &Simulator) -> String {
    let secret = crate::caller::SECRET;
    let parameters = [("consumerkey", KEY), ("consumersecret", secret), ("oldtoken", PORTAL_TOKEN), ("validity", "60")];
    crate::caller::url(&simulator.endpoint(), &parameters)
}

#[tokio::test]
async fn a_padded_answer_is_honest_and_huge() {
    let answer = answer_meeting(Action::Pad { bytes: 1 << 20 }).await;
    assert_eq!((answer.text.len(), answer.seconds()), (1 << 20, 60));
}

#[tokio::test]
async fn a_redirect_names_its_target_and_does_no_work() {
    let location = "http://127.0.0.1:9/apptoken-refresh".to_owned();
    let (simulator, answer) = refresh_meeting(Action::Redirect { status: 307, location: location.clone() }).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("location"), births(&simulator)), (307, location.as_str(), 0));
}

#[tokio::test]
async fn validity_time_comes_in_every_odd_form() {
    for (form, written) in [
        (Form::Float, Some(json!(60.0))),
        (Form::Text, Some(json!("60"))),
        (Form::Millis, Some(json!(60_000))),
        (Form::Absent, None),
        (Form::Value(Value::Null), Some(Value::Null)),
        (Form::Value(json!(0)), Some(json!(0))),
        (Form::Value(json!(-5)), Some(json!(-5))),
        (Form::Value(json!(i64::MAX)), Some(json!(i64::MAX))),
    ] {
        let answer = answer_meeting(Action::ValidityTime(form)).await;
        assert_eq!(answer.json().get("validityTime"), written.as_ref(), "{}", answer.text);
    }
    assert!(answer_meeting(Action::ValidityTime(Form::Float)).await.text.contains("60.0"));
}

/// The bytes of an honest answer under this fault, and its Content-Encoding.
async fn bytes_meeting(action: Action) -> (Vec<u8>, String) {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::once(action));
    let response = crate::caller::client().get(refresh_url(&simulator)).send().await.unwrap();
    let encoding = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
    (response.bytes().await.unwrap().to_vec(), encoding.unwrap_or_default())
}

fn inflated(mut decoder: impl Read) -> Value {
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn an_answer_may_be_compressed() {
    let (bytes, encoding) = bytes_meeting(Action::Encode(Encoding::Gzip)).await;
    assert_eq!((encoding.as_str(), &inflated(GzDecoder::new(&*bytes))["validityTime"]), ("gzip", &json!(60)));
    let (bytes, encoding) = bytes_meeting(Action::Encode(Encoding::Deflate)).await;
    assert_eq!((encoding.as_str(), &inflated(ZlibDecoder::new(&*bytes))["validityTime"]), ("deflate", &json!(60)));
    let (bytes, encoding) = bytes_meeting(Action::Encode(Encoding::RawDeflate)).await;
    assert_eq!((encoding.as_str(), &inflated(DeflateDecoder::new(&*bytes))["validityTime"]), ("deflate", &json!(60)));
    let (bytes, encoding) = bytes_meeting(Action::Encode(Encoding::Brotli)).await;
    // One stored block: its header, the text, and the empty last block.
    let [low, high, 0x10, text @ .., 0b11] = bytes.as_slice() else { panic!("{bytes:x?}") };
    assert_eq!((encoding.as_str(), inflated(text)["validityTime"].clone()), ("br", json!(60)));
    assert_eq!(usize::from(u16::from_le_bytes([*low, *high])), (text.len() - 1) << 4);
}

#[tokio::test]
async fn a_byte_order_mark_may_come_before_the_answer() {
    let (bytes, _) = bytes_meeting(Action::ByteOrderMark).await;
    assert_eq!(inflated(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap())["validityTime"], 60);
}

#[tokio::test]
async fn an_honest_answer_may_have_another_status() {
    let (simulator, answer) = refresh_meeting(Action::Status(201)).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.seconds(), births(&simulator)), (201, 60, 1));
}

#[tokio::test]
async fn a_token_may_be_any_text() {
    for token in ["T3\r\nX-Injected: 1\n", "\u{0}\u{1b}[2J", "<script>", &"t".repeat(60_000)] {
        assert_eq!(answer_meeting(Action::TokenField(Some(token.to_owned()))).await.token(), token);
    }
}

#[tokio::test]
async fn each_refresh_may_make_a_new_token() {
    let simulator = with_application(Life::Never).await;
    simulator.switch(|switches| switches.always_new = true);
    simulator.fault(Fault::always(Action::ValidityTime(Form::Value(json!(0)))));
    for born in 1..4 {
        let answer = refresh(&simulator, PORTAL_TOKEN, "60").await;
        assert_eq!((births(&simulator), answer.seconds()), (born, 0));
        let journal = simulator.journal();
        let live = journal.tokens.iter().filter(|token| token.superseded.is_none());
        assert_eq!(live.map(|token| token.value.clone()).collect::<Vec<_>>(), [answer.token()]);
    }
}

#[tokio::test]
async fn the_token_field_may_be_empty_or_missing() {
    assert_eq!(answer_meeting(Action::TokenField(Some(String::new()))).await.token(), "");
    assert_eq!(answer_meeting(Action::TokenField(None)).await.json().get("accessToken"), None);
}

#[tokio::test]
async fn a_stale_node_answers_with_the_token_before_the_live_one() {
    let (simulator, answer) = refresh_meeting(Action::Stale).await;
    assert_eq!((answer.unwrap().token(), births(&simulator)), (PORTAL_TOKEN.to_owned(), 1));
}

#[tokio::test]
async fn a_fault_meets_as_many_calls_as_it_says_and_then_the_next_one_acts() {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::always(fail(503, FailBody::Envelope)).times(2));
    simulator.fault(Fault::once(fail(429, FailBody::Envelope)));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(refresh(&simulator, PORTAL_TOKEN, "60").await.status);
    }
    assert_eq!(statuses, [503, 503, 429, 200]);
}

#[tokio::test]
async fn a_fault_meets_only_the_calls_it_is_meant_for() {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::always(fail(503, FailBody::Envelope)).only_for("somebody else"));
    simulator.fault(Fault::always(fail(503, FailBody::Envelope)).only_on(Api::Session));
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.status, 200);
    simulator.fault(Fault::always(fail(503, FailBody::Envelope)).only_for(KEY).only_on(Api::Application));
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.status, 503);
}

#[tokio::test]
async fn cleared_faults_are_gone() {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::always(fail(503, FailBody::Envelope)));
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.status, 503);
    simulator.clear_faults();
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.status, 200);
}

#[tokio::test]
async fn while_down_connections_are_refused_and_afterwards_the_same_port_answers() {
    let simulator = with_application(Life::Expired).await;
    for _ in 0..2 {
        simulator.down().await.unwrap();
        let error = try_refresh(&simulator, PORTAL_TOKEN, "60").await.unwrap_err();
        assert_eq!(io_kind(&error), Some(ErrorKind::ConnectionRefused));
        simulator.down().await.unwrap();
        simulator.up().await.unwrap();
        simulator.up().await.unwrap();
        assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.status, 200);
    }
}

#[tokio::test]
async fn while_down_the_port_stays_reserved() {
    let simulator = with_application(Life::Expired).await;
    let address = simulator.url("").trim_start_matches("http://").parse().unwrap();
    for _ in 0..2 {
        simulator.down().await.unwrap();
        let taken = TcpSocket::new_v4().unwrap().bind(address).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }
}

#[tokio::test]
async fn going_down_ends_the_calls_in_flight() {
    let simulator = with_application(Life::Expired).await;
    simulator.fault(Fault::once(Action::Hang { at: Stage::AfterWork }));
    let down = async {
        until(&simulator, |journal| !journal.calls.is_empty()).await;
        simulator.down().await.unwrap();
    };
    let (answer, ()) = tokio::join!(try_refresh(&simulator, PORTAL_TOKEN, "60"), down);
    answer.unwrap_err();
    assert!(simulator.journal().calls[0].ended.is_some());
}
