//! The rows of the application API.

use std::time::Duration;

use issuer_simulator::Simulator;
use issuer_simulator::journal::{Api, Cause};
use issuer_simulator::model::Life;
use issuer_simulator::switches::{Rounding, UnknownOldToken};
use reqwest::Method;
use serde_json::json;

use crate::caller::{KEY, PORTAL_TOKEN, SECRET, refresh, refresh_with, send, until, url, with_application};

const MINUTE: Life = Life::Millis(60_000);
const EVERYTHING: [(&str, &str); 4] =
    [("consumerkey", KEY), ("consumersecret", SECRET), ("oldtoken", PORTAL_TOKEN), ("validity", "60")];

#[tokio::test]
async fn a_live_token_comes_back_with_its_remaining_time_rounded_down() {
    let simulator = with_application(MINUTE).await;
    let answer = refresh(&simulator, PORTAL_TOKEN, "900").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let (least, most) = remaining_millis(&simulator);
    assert_eq!(answer.token(), PORTAL_TOKEN);
    assert!((least / 1000..=most / 1000).contains(&answer.seconds()), "{least} {most} {}", answer.text);
}

#[tokio::test]
async fn rounding_up_is_a_switch() {
    let simulator = with_application(MINUTE).await;
    simulator.switch(|switches| switches.rounding = Rounding::Up);
    let answer = refresh(&simulator, PORTAL_TOKEN, "900").await;
    let (least, most) = remaining_millis(&simulator);
    assert!((least / 1000 + 1..=most / 1000 + 1).contains(&answer.seconds()), "{least} {most} {}", answer.text);
}

/// What was left of the portal token at the end and at the start of the first call.
fn remaining_millis(simulator: &Simulator) -> (i64, i64) {
    let journal = simulator.journal();
    let (call, end) = (&journal.calls[0], journal.token(PORTAL_TOKEN).unwrap().expires.unwrap());
    let left = |at: &jiff::Timestamp| end.as_millisecond() - at.as_millisecond();
    (left(call.ended.as_ref().unwrap()), left(&call.received))
}

#[tokio::test]
async fn an_expired_token_is_followed_by_a_new_one_with_the_validity_asked_for() {
    let simulator = with_application(Life::Expired).await;
    let answer = refresh(&simulator, PORTAL_TOKEN, "60").await;
    assert_eq!((answer.status, answer.seconds()), (200, 60));
    assert_ne!(answer.token(), PORTAL_TOKEN);
    assert_eq!(refresh(&simulator, &answer.token(), "60").await.token(), answer.token());
}

#[tokio::test]
async fn a_superseded_old_token_still_names_the_application() {
    let simulator = with_application(Life::Expired).await;
    let fresh = refresh(&simulator, PORTAL_TOKEN, "60").await.token();
    simulator.switch(|switches| switches.unknown_old_token = UnknownOldToken::Reject);
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.token(), fresh);
}

#[tokio::test]
async fn a_validity_of_zero_gives_a_token_that_never_expires() {
    let simulator = with_application(Life::Expired).await;
    let answer = refresh(&simulator, PORTAL_TOKEN, "0").await;
    assert_eq!(answer.seconds(), 9_223_372_036_854_775);
    assert_eq!(simulator.journal().token(&answer.token()).unwrap().expires, None);
}

#[tokio::test]
async fn each_missing_or_empty_parameter_is_400() {
    let simulator = with_application(MINUTE).await;
    for missing in 0..EVERYTHING.len() {
        let mut parameters = EVERYTHING.to_vec();
        parameters[missing].1 = "";
        assert_eq!(refresh_with(&simulator, &parameters).await.unwrap().status, 400, "{parameters:?}");
        parameters.remove(missing);
        let answer = refresh_with(&simulator, &parameters).await.unwrap();
        assert_eq!((answer.status, &answer.json()["errorCode"]), (400, &json!(1)), "{parameters:?}");
    }
}

#[tokio::test]
async fn a_validity_that_is_no_whole_number_from_zero_on_is_400() {
    let simulator = with_application(MINUTE).await;
    for validity in ["-1", "abc", "60.5", "1h", "99999999999999999999"] {
        assert_eq!(refresh(&simulator, PORTAL_TOKEN, validity).await.status, 400, "{validity}");
    }
}

#[tokio::test]
async fn wrong_credentials_look_like_an_outage() {
    let simulator = with_application(MINUTE).await;
    for wrong in [0, 1] {
        let mut parameters = EVERYTHING;
        parameters[wrong].1 = "wrong";
        let answer = refresh_with(&simulator, &parameters).await.unwrap();
        let body = answer.json();
        assert_eq!((answer.status, &body["errorCode"]), (500, &json!(1)));
        assert!(body["userMsg"].is_string() && body["moreInfo"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn an_unknown_old_token_is_answered_with_200_or_500_by_switch() {
    let simulator = with_application(MINUTE).await;
    assert_eq!(refresh(&simulator, "foreign", "60").await.token(), PORTAL_TOKEN);
    simulator.switch(|switches| switches.unknown_old_token = UnknownOldToken::Reject);
    assert_eq!(refresh(&simulator, "foreign", "60").await.status, 500);
}

#[tokio::test]
async fn every_path_with_the_right_end_is_served_and_others_are_404() {
    let simulator = with_application(MINUTE).await;
    for path in ["/apptoken-refresh", "/saop-rest-data/v1/apptoken-refresh", "/other/apptoken-refresh"] {
        let answer = send(Method::GET, &url(&simulator.url(path), &EVERYTHING), None).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    let answer = send(Method::GET, &url(&simulator.url("/elsewhere"), &EVERYTHING), None).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (404, "application/xml"));
}

#[tokio::test]
async fn another_method_is_405() {
    let simulator = with_application(MINUTE).await;
    let answer = send(Method::POST, &url(&simulator.endpoint(), &EVERYTHING), None).await.unwrap();
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn parameters_arrive_as_they_were_before_percent_encoding() {
    let simulator = with_application(MINUTE).await;
    let odd = "a+b &=%/ü";
    refresh(&simulator, odd, "60").await;
    assert_eq!(simulator.journal().calls[0].parameters["oldtoken"], odd);
}

#[tokio::test]
async fn regenerate_kills_the_live_token_at_once() {
    let simulator = with_application(MINUTE).await;
    let fresh = simulator.regenerate(KEY).unwrap();
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "900").await.token(), fresh);
    let journal = simulator.journal();
    let death = journal.token(PORTAL_TOKEN).unwrap().death().unwrap();
    assert_eq!((death.cause, death.at), (Cause::Superseded, journal.token(&fresh).unwrap().birth));
    assert!(simulator.regenerate("nobody").unwrap_err().to_string().contains("nobody"));
}

#[tokio::test]
async fn a_token_may_linger_after_its_end_though_it_is_dead() {
    let simulator = with_application(MINUTE).await;
    simulator.switch(|switches| switches.linger_millis = 3_600_000);
    simulator.expire(KEY).unwrap();
    let answer = refresh(&simulator, PORTAL_TOKEN, "60").await;
    assert_eq!(answer.token(), PORTAL_TOKEN);
    assert!(answer.seconds() <= 0);
    assert!(!simulator.journal().token(PORTAL_TOKEN).unwrap().is_live(jiff::Timestamp::now()));
    simulator.switch(|switches| switches.linger_millis = 0);
    assert_ne!(refresh(&simulator, PORTAL_TOKEN, "60").await.token(), PORTAL_TOKEN);
}

#[tokio::test]
async fn the_remaining_time_jumps_by_switch_but_a_new_token_has_its_full_time() {
    let simulator = with_application(MINUTE).await;
    for (jump, reported) in [(300, 300..360), (-300, -300..-240)] {
        simulator.switch(|switches| switches.jump_seconds = jump);
        let seconds = refresh(&simulator, PORTAL_TOKEN, "60").await.seconds();
        assert!(reported.contains(&seconds), "{seconds}");
    }
    simulator.expire(KEY).unwrap();
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.seconds(), 60);
}

#[tokio::test]
async fn the_date_header_goes_wrong_by_switch() {
    let simulator = with_application(MINUTE).await;
    simulator.switch(|switches| switches.date_skew_seconds = -86_400 * 365);
    let answer = refresh(&simulator, PORTAL_TOKEN, "60").await;
    let shown = jiff::fmt::rfc2822::parse(answer.header("date")).unwrap().timestamp();
    let behind = jiff::Timestamp::now().duration_since(shown);
    assert!((86_400 * 365..86_400 * 365 + 60).contains(&behind.as_secs()), "{behind:?}");
}

#[tokio::test]
async fn a_changed_secret_is_the_only_one_that_works() {
    let simulator = with_application(MINUTE).await;
    simulator.change_secret(KEY, "secret-2").unwrap();
    assert_eq!(refresh(&simulator, PORTAL_TOKEN, "60").await.status, 500);
    let mut parameters = EVERYTHING;
    parameters[1].1 = "secret-2";
    assert_eq!(refresh_with(&simulator, &parameters).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_journal_holds_the_call_and_the_life_of_the_token_it_brought() {
    let simulator = with_application(Life::Expired).await;
    let token = refresh(&simulator, PORTAL_TOKEN, "60").await.token();
    until(&simulator, |journal| journal.calls[0].ended.is_some()).await;
    let journal = simulator.journal();
    let (call, record) = (&journal.calls[0], journal.token(&token).unwrap());
    assert_eq!((call.api, call.owner.as_deref(), call.status), (Some(Api::Application), Some(KEY), Some(200)));
    assert_eq!((call.method.as_str(), call.token.as_ref()), ("GET", Some(&token)));
    assert_eq!(call.headers["accept"], "application/json");
    assert!(call.received <= record.birth && record.birth <= call.ended.unwrap());
    let life = record.expires.unwrap().duration_since(record.birth);
    assert_eq!((life.unsigned_abs(), record.owner.as_str()), (Duration::from_secs(60), KEY));
}
