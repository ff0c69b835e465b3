//! Client credentials: when their tokens are requested, what is said of them, and what an early new token means.

use crate::cluster::{Cluster, now, response};
use serde_json::json;
use syniverse_token_core::api::ClientAuthentication;
use syniverse_token_core::issuer::{
    Cause, ClientCredentials, Failure, FailureKind, Lifetime, Omissions, TokenRequest, TokenResponse,
};
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::time::Moment;

const LIFE: u64 = 600;
/// A third of the lifetime, and the largest jitter.
const LEAD: std::ops::RangeInclusive<f64> = 380.0..=400.0;

fn asked(planned: &PlannedRequest) -> &ClientCredentials {
    match &planned.request {
        TokenRequest::ClientCredentials(client) => client,
        other => panic!("no client credentials but {other:?}"),
    }
}

/// One with the token `first`, issued at 0 for 600 s.
fn served(fields: serde_json::Value) -> Cluster {
    let mut cluster = Cluster::client(fields);
    cluster.answer(now(0.0), "first", LIFE);
    cluster.steps.clear();
    cluster
}

fn next(cluster: &mut Cluster, at: f64) -> f64 {
    since_start(cluster.rest(now(at)).0.unwrap())
}

fn since_start(moment: Moment) -> f64 {
    moment.until(now(0.0).mono).as_secs_f64()
}

fn fail(cluster: &mut Cluster, at: f64) -> f64 {
    cluster.fail(now(at), FailureKind::Unavailable);
    next(cluster, at)
}

#[test]
fn the_first_request_holds_what_the_spec_and_the_secret_say() {
    let mut cluster = Cluster::client(json!({"scopes": ["b", "a"], "audience": "x", "authentication": "Body",
        "endpointParams": {"validity_period": "900"}}));
    let planned = cluster.call(now(0.0));
    assert_eq!((planned.cause, planned.intent_write.is_some()), (Cause::FirstIssue, false));
    let client = asked(&planned);
    assert_eq!((client.scope.as_str(), client.audience.as_deref()), ("a b", Some("x")));
    assert_eq!(client.authentication, ClientAuthentication::Body);
    assert_eq!(client.endpoint_params["validity_period"], "900");
    assert_eq!((client.client_id.expose(), client.client_secret.expose()), ("id", "secret"));
    assert_eq!(planned.unrecorded(planned.result_of(&Ok(token("t"))).unwrap(), now(0.0), true).asked_seconds, None);
}

fn token(token: &str) -> TokenResponse {
    response(token, Lifetime::Seconds(LIFE))
}

#[test]
fn a_different_token_in_the_lead_is_written_at_once_and_is_the_next_to_be_replaced() {
    let mut cluster = served(json!({}));
    let early = next(&mut cluster, 1.0);
    assert!(LEAD.contains(&early), "{early}");
    let planned = cluster.call(now(early));
    assert_eq!((planned.cause, planned.is_renewal()), (Cause::Check, true));
    cluster.receive(&planned, now(early), "second", LIFE);
    let after = next(&mut cluster, early);
    assert_eq!(cluster.steps, ["state", "token"]);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    assert!(LEAD.contains(&(after - early)), "{after}");
}

#[test]
fn the_same_token_in_the_lead_is_followed_to_its_end() {
    let mut cluster = served(json!({}));
    let early = next(&mut cluster, 1.0);
    let planned = cluster.call(now(early));
    let left = LIFE - early as u64;
    cluster.receive(&planned, now(early), "first", left);
    assert_eq!(next(&mut cluster, early + 1.0).round(), LIFE as f64, "one check a token");
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    let planned = cluster.call(now(600.0));
    assert_eq!((planned.cause, planned.is_renewal()), (Cause::Boundary, true));
    cluster.receive(&planned, now(600.0), "second", LIFE);
    assert!(LEAD.contains(&(next(&mut cluster, 601.0) - 600.0)));
}

#[test]
fn the_lead_is_at_most_half_of_the_lifetime_and_by_default_at_most_an_hour() {
    for (lead, lifetime, earliest, latest) in
        [("10s", 600, 589.0, 590.0), ("5m", 600, 300.0, 300.0), ("1h", 600, 300.0, 300.0)]
    {
        let mut cluster = Cluster::client(json!({}));
        std::sync::Arc::make_mut(&mut cluster.observed.resource).spec.refresh_before = Some(lead.to_owned());
        cluster.answer(now(0.0), "first", lifetime);
        let at = next(&mut cluster, 1.0);
        assert!(at >= earliest && at <= latest, "{lead}: {at}");
    }
    let mut long = Cluster::client(json!({}));
    long.answer(now(0.0), "first", 86_400);
    let at = next(&mut long, 1.0);
    assert!((86_400.0 - 3960.0..=82_800.0).contains(&at), "{at}");
}

#[test]
fn a_busy_endpoint_does_not_keep_an_early_request_waiting() {
    let mut cluster = served(json!({}));
    let early = next(&mut cluster, 1.0);
    cluster.observed.peers.load.is_busy = true;
    assert_eq!(cluster.call(now(early)).cause, Cause::Check);
}

#[test]
fn retries_in_the_lead_are_a_minute_apart_at_most_and_4_s_in_the_last_minute() {
    let mut cluster = served(json!({}));
    let mut at = next(&mut cluster, 1.0);
    let mut tries = Vec::new();
    while at < 600.0 {
        tries.push(at);
        at = fail(&mut cluster, at);
    }
    for pair in tries.windows(2) {
        let longest = if pair[0] >= 540.0 { 4.0 } else { 60.0 };
        assert!(pair[1] - pair[0] <= longest + 0.001, "{pair:?}");
    }
    let first_of_last = tries.iter().find(|at| **at >= 540.0).unwrap();
    assert!(*first_of_last <= 544.001, "{tries:?}");
    assert!(at <= 600.0 + 4.0, "{at}");
}

#[test]
fn what_a_person_must_correct_is_asked_slowly_and_at_once_when_it_changes() {
    let mut cluster = Cluster::client(json!({}));
    let planned = cluster.call(now(0.0));
    let detail = "the issuer answered invalid_client (HTTP 401; check)".to_owned();
    cluster.end(
        &planned,
        now(0.0),
        &Err(Failure { kind: FailureKind::Rejected, detail, retry_after: None, status: None }),
    );
    let (until, reasons) = cluster.rest(now(0.0));
    assert_eq!((until, reasons), (Some(now(300.0).mono), vec![Reason::RequestRejected]));
    let said = cluster.plan(now(0.0)).findings.remove(0).message;
    assert!(said.contains("invalid_client") && said.contains("Secret scg") && !said.contains("Auth Keys"), "{said}");
    cluster.give_client("other");
    assert_eq!(asked(&cluster.call(now(1.0))).client_secret.expose(), "other");
}

#[test]
fn each_value_of_the_request_matters_at_once_except_the_way_of_authentication() {
    let changes = [
        (json!({"tokenURL": "https://f/token"}), Some(Cause::Changed("endpoint"))),
        (json!({"endpointParams": {"a": "c"}}), Some(Cause::Changed("endpointParams"))),
        (json!({"endpointParams": null}), Some(Cause::Changed("endpointParams"))),
        (json!({"scopes": ["a", "b"]}), Some(Cause::FirstIssue)),
        (json!({"audience": "z"}), Some(Cause::FirstIssue)),
        (json!({"scopes": ["b", "c"]}), None),
        (json!({"authentication": "Body"}), None),
    ];
    let fields = json!({"scopes": ["c", "b"], "audience": "x", "endpointParams": {"a": "b"}});
    for (change, cause) in changes {
        let mut cluster = served(fields.clone());
        let before = serde_json::to_value(&cluster.observed.resource.spec).unwrap();
        let mut client = before["clientCredentials"].clone();
        change.as_object().unwrap().iter().for_each(|(name, value)| client[name] = value.clone());
        if client["endpointParams"].is_null() {
            client.as_object_mut().unwrap().remove("endpointParams");
        }
        cluster.respec(json!({"application": null, "clientCredentials": client}));
        match cause {
            Some(cause) => assert_eq!(cluster.call(now(1.0)).cause, cause, "{change}"),
            None => assert!(LEAD.contains(&next(&mut cluster, 1.0)), "{change}"),
        }
    }
    let mut cluster = served(fields);
    cluster.give_client("other");
    assert_eq!(cluster.call(now(1.0)).cause, Cause::Changed("clientSecret"));
}

#[test]
fn what_the_response_lacks_is_said_and_the_token_is_used() {
    let mut cluster = Cluster::client(json!({"scopes": ["a", "b"]}));
    let planned = cluster.call(now(0.0));
    let omissions = Omissions { lifetime: true, scopes: vec!["b".into()] };
    cluster.end(&planned, now(0.0), &Ok(TokenResponse { omissions, ..token("first") }));
    assert_eq!(cluster.rest(now(1.0)).1, [Reason::ScopeNotGranted, Reason::LifetimeUnknown]);
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    cluster.restart(now(2.0));
    assert_eq!(cluster.rest(now(2.0)).1, [Reason::ScopeNotGranted, Reason::LifetimeUnknown], "it is in the state");
    let early = next(&mut cluster, 2.0);
    cluster.answer(now(early), "second", LIFE);
    assert_eq!(cluster.rest(now(early + 1.0)).1, []);
}

#[test]
fn what_a_later_response_with_the_same_token_no_longer_lacks_is_no_longer_said() {
    let mut cluster = Cluster::client(json!({}));
    let planned = cluster.call(now(0.0));
    let omissions = Omissions { lifetime: true, scopes: Vec::new() };
    cluster.end(&planned, now(0.0), &Ok(TokenResponse { omissions, ..token("first") }));
    let early = next(&mut cluster, 1.0);
    cluster.answer(now(early), "first", LIFE - early as u64);
    assert_eq!(cluster.rest(now(early + 1.0)).1, []);
}

#[test]
fn a_new_token_of_another_resource_is_no_reason_to_ask() {
    let mut cluster = served(json!({}));
    cluster.memory.rotated_elsewhere = Some("another".to_owned());
    assert!(LEAD.contains(&next(&mut cluster, 1.0)));
}

#[test]
fn a_way_of_authentication_of_a_newer_version_is_not_supported() {
    let mut cluster = Cluster::client(json!({"authentication": "PrivateKeyJwt"}));
    assert_eq!(cluster.rest(now(0.0)).1, [Reason::NotSupported]);
}

#[test]
fn a_missing_secret_or_value_is_named_without_the_portal_of_another_api() {
    let mut cluster = Cluster::client(json!({}));
    cluster.observed.credentials = None.into();
    let missing = cluster.plan(now(0.0)).findings.remove(0);
    assert_eq!(missing.reason, Reason::CredentialsNotFound);
    assert!(missing.message.contains("clientId and clientSecret"), "{}", missing.message);
    cluster.give_client("");
    let incomplete = cluster.plan(now(0.0)).findings.remove(0);
    assert_eq!(incomplete.reason, Reason::CredentialsIncomplete);
    assert!(!incomplete.message.contains("Auth Keys"), "{}", incomplete.message);
}

#[test]
fn a_lost_state_is_restored_from_the_token_secret() {
    let mut cluster = served(json!({}));
    cluster.observed.state = None.into();
    cluster.restart(now(10.0));
    assert!(LEAD.contains(&next(&mut cluster, 10.0)));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
}
