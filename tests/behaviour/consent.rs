//! What must be permitted before credentials are sent anywhere: the place by the host list, the Secret by its label.

use crate::support::*;
use serde_json::json;

const LABEL: &str = "syniverse.dev/credentials";

fn labelled(value: Option<&str>) -> serde_json::Value {
    json!({"metadata": {"labels": {LABEL: value}}})
}

#[tokio::test]
async fn a_place_is_called_where_an_entry_allows_its_host_port_and_path_to_this_namespace() {
    let mut stage = Stage::dark().await;
    let endpoint = stage.simulator.endpoint();
    let authority = endpoint.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let here = format!("--endpoint-host={}={authority}/saop-rest-data/", stage.namespace.name());
    let elsewhere = format!("--endpoint-host=another={authority}/elsewhere");
    let kubeconfig = stage.kubeconfig();
    stage.start_operator_with(&kubeconfig, &["--insecure-endpoints", &here, &elsewhere]);
    for path in ["/elsewhere/apptoken-refresh", "/saop-rest-data2/apptoken-refresh"] {
        let mut spec = stage.spec("1h");
        spec["application"]["endpoint"] = json!(stage.simulator.url(path));
        stage.apply("refused", spec).await;
        let refused = stage.until("refused", path, |token| ready_message(token).contains(path)).await;
        assert_eq!((ready_reason(&refused), is_stalled(&refused)), ("EndpointNotAllowed", true));
        let entry = format!("--endpoint-host {authority}{path} would allow it");
        assert!(ready_message(&refused).ends_with(&entry), "{}", ready_message(&refused));
    }
    assert_eq!(stage.calls(), 0);
    stage.issued("1h").await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_secret_is_used_only_where_it_consents_if_the_operator_asks_for_that() {
    let mut stage = Stage::dark().await;
    stage.start_operator(&["--require-credentials-label"]);
    stage.apply(NAME, stage.spec("1h")).await;
    let refused = stage.until_reason(NAME, "CredentialsNotConsented").await;
    assert!(is_stalled(&refused) && !is_ready(&refused), "{:?}", refused.status);
    assert!(ready_message(&refused).contains("syniverse.dev/credentials: \"true\""), "{}", ready_message(&refused));
    stage.change_secret(CREDENTIALS, labelled(Some("false"))).await;
    stage.change_secret(CREDENTIALS, labelled(Some("true"))).await;
    let resource = stage.until_ready(NAME).await;
    assert_eq!((ready_reason(&resource), stage.calls()), ("Issued", 1));
}

#[tokio::test]
async fn a_token_whose_credentials_no_longer_consent_lives_to_its_end_and_not_a_call_longer() {
    let mut stage = Stage::dark().await;
    stage.start_operator(&["--require-credentials-label"]);
    stage.change_secret(CREDENTIALS, labelled(Some("true"))).await;
    stage.issued("4s").await;
    let token = stage.token().await;
    stage.change_secret(CREDENTIALS, labelled(None)).await;
    let living = stage.until_reason(NAME, "CredentialsNotConsented").await;
    let calls = stage.calls();
    assert!(is_ready(&living) && is_stalled(&living), "{:?}", living.status);
    let dead = stage.until(NAME, "not Ready", |resource| !is_ready(resource)).await;
    assert_eq!(ready_reason(&dead), "CredentialsNotConsented");
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "now"}}})).await;
    stage.until_noticed(NAME).await;
    assert_eq!((stage.token().await, stage.calls()), (token.clone(), calls));
    stage.change_secret(CREDENTIALS, labelled(Some("true"))).await;
    stage.until_rotated(&token).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_likely_mistake_in_a_value_that_the_issuer_refuses_is_said_and_an_unseen_character_is_named() {
    let stage = Stage::open().await;
    let quoted = format!("\"{CONSUMER_SECRET}\"");
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, &quoted, PORTAL_TOKEN)).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let refused = stage.until(NAME, "quotes", |token| ready_message(token).contains("wrapped in quotes")).await;
    assert!(ready_message(&refused).contains("under key consumerSecret"), "{}", ready_message(&refused));
    let unseen = CONSUMER_SECRET.replace('-', "\u{200b}");
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, &unseen, PORTAL_TOKEN)).await;
    let invalid = stage.until_reason(NAME, "CredentialsInvalid").await;
    assert!(ready_message(&invalid).contains("(U+200B) inside"), "{}", ready_message(&invalid));
    let around = format!("\u{feff}{CONSUMER_SECRET}\u{200b}\n");
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, &around, PORTAL_TOKEN)).await;
    stage.until_ready(NAME).await;
}
