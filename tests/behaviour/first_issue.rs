//! From a resource to its first token.

use crate::limited::Limited;
use crate::support::*;
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use kube::ResourceExt;

#[tokio::test]
async fn the_state_secret_is_there_before_the_first_call_and_the_token_secret_after_it() {
    let stage = Stage::open().await;
    let writes = Writes::of(&stage).await;
    stage.issued("1h").await;
    assert_eq!(writes.names(&stage).await, [STATE, STATE, NAME]);
    assert_eq!(stage.calls(), 1);
    assert_eq!(stage.token().await, stage.simulator.journal().tokens[1].value);
}

#[tokio::test]
async fn an_operator_that_may_not_create_secrets_makes_no_call() {
    let mut stage = Stage::dark().await;
    let limited = Limited::to_reading(&stage).await;
    stage.start_operator_as(&limited.kubeconfig(), &[]);
    stage.apply(NAME, stage.spec("1h")).await;
    let token = stage.until_reason(NAME, "WriteFailed").await;
    assert!(ready_message(&token).contains("cannot create resource"), "{}", ready_message(&token));
    assert_eq!(stage.calls(), 0);
    limited.may_write(&stage).await;
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn the_token_secret_holds_the_token_its_expiry_and_whose_it_is() {
    let stage = Stage::open().await;
    let resource = stage.issued("1h").await;
    let (secret, issued) = (stage.secret(NAME).await, stage.simulator.journal().tokens[1].clone());
    let keys: Vec<_> = secret.data.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["accessToken", "expirationTime"]);
    assert_eq!(text(&secret, "accessToken"), Some(issued.value.clone()));
    let expires: jiff::Timestamp = text(&secret, "expirationTime").unwrap().parse().unwrap();
    assert!((expires.as_second() - issued.expires.unwrap().as_second()).abs() <= 1);
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(secret.labels()["app.kubernetes.io/managed-by"], "syniverse-token-operator");
    assert_eq!(annotation(&secret, "syniverse.dev/fingerprint"), Some(fingerprint(&issued.value).as_str()));
    let issue_time: jiff::Timestamp = annotation(&secret, "syniverse.dev/issue-time").unwrap().parse().unwrap();
    assert!((issue_time.as_second() - issued.birth.as_second()).abs() <= 1);
    assert_eq!(annotation(&secret, "syniverse.dev/expiration-time"), text(&secret, "expirationTime").as_deref());
    let [owner] = secret.owner_references() else { panic!("one owner") };
    assert_eq!(
        (&owner.kind, &owner.name, &owner.uid),
        (&"SyniverseToken".into(), &NAME.into(), &resource.uid().unwrap())
    );
    assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), None));
}

#[tokio::test]
async fn without_an_old_token_nobody_is_asked_and_the_message_says_where_to_find_it() {
    let stage = Stage::open().await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)[..2]).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let token = stage.until_reason(NAME, "CredentialsIncomplete").await;
    assert!(is_stalled(&token) && ready_message(&token).contains("Auth Keys"), "{}", ready_message(&token));
    assert_eq!(stage.calls(), 0);
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_missing_credentials_secret_is_named_and_taken_up_when_it_comes() {
    let stage = Stage::open().await;
    stage.delete_secret(CREDENTIALS).await;
    stage.apply(NAME, stage.spec("1h")).await;
    let token = stage.until_reason(NAME, "CredentialsNotFound").await;
    assert!(is_stalled(&token) && ready_message(&token).contains(CREDENTIALS), "{}", ready_message(&token));
    assert!(condition(&token, "Reconciling").is_some_and(|reconciling| reconciling.status == "False"));
    assert_eq!(stage.calls(), 0);
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    assert!(!is_stalled(&stage.until_ready(NAME).await));
}

#[tokio::test]
async fn a_token_that_never_expires_has_no_expiry_anywhere() {
    let stage = Stage::open().await;
    let resource = stage.issued("0s").await;
    let secret = stage.secret(NAME).await;
    let keys: Vec<_> = secret.data.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["accessToken"]);
    assert_eq!(annotation(&secret, "syniverse.dev/expiration-time"), None);
    let status = resource.status.as_ref().unwrap();
    assert_eq!((ready_reason(&resource), &status.expiration_time), ("Issued", &None));
    assert!(status.next_refresh_time.is_some());
}

#[tokio::test]
async fn a_validity_that_the_issuer_does_not_apply_is_said_while_the_token_is_ready() {
    let stage = Stage::open().await;
    let application = NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
    stage.simulator.add_application(application.living(Life::Never));
    let resource = stage.issued("24h").await;
    assert_eq!(ready_reason(&resource), "ValidityNotApplied");
    assert!(ready_message(&resource).contains("Re-Generate"));
    assert_eq!((stage.token().await.as_str(), stage.calls()), (PORTAL_TOKEN, 1));
}
