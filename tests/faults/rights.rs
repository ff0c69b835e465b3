//! The operator under a service account that lacks a right: what is missing is named, and it goes on once it is granted.

use crate::support::*;
use harness::Scratch;
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use kube::config::Kubeconfig;
use serde_json::{json, to_value};
use std::path::PathBuf;

const ACCOUNT: &str = "operator";
const RESOURCES: [&str; 2] = ["--verb=get,list,watch", "--resource=syniversetokens.syniverse.dev"];
const STATUS: [&str; 2] = ["--verb=update", "--resource=syniversetokens.syniverse.dev/status"];
const READ_SECRETS: [&str; 2] = ["--verb=get,list,watch", "--resource=secrets"];
const WRITE_SECRETS: [&str; 2] = ["--verb=create,update", "--resource=secrets"];
const EVENTS: [&str; 2] = ["--verb=create,patch", "--resource=events.events.k8s.io"];

#[tokio::test]
async fn who_may_not_read_secrets_is_told_so_and_goes_on_once_it_may() {
    let (mut stage, account) = Account::with(&[&RESOURCES, &STATUS, &EVENTS, &WRITE_SECRETS]).await;
    account.start_operator(&mut stage);
    stage.apply(NAME, stage.spec("1h")).await;
    let missing = "cannot get resource \"secrets\"";
    let told = stage.until(NAME, missing, |token| ready_message(token).contains(missing)).await;
    assert!(!is_ready(&told));
    assert_eq!(stage.calls(), 0);
    stage.operator().wait_for_log(r#"cannot list resource \"secrets\""#, PATIENCE).await.unwrap();

    account.may(&stage, &READ_SECRETS).await;
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn who_may_not_write_secrets_is_told_so_asks_nobody_and_goes_on_once_it_may() {
    let (mut stage, account) = Account::with(&[&RESOURCES, &STATUS, &EVENTS, &READ_SECRETS]).await;
    account.start_operator(&mut stage);
    stage.apply(NAME, stage.spec("1h")).await;
    let told = stage.until_reason(NAME, "WriteFailed").await;
    let message = ready_message(&told);
    assert!(message.contains("cannot create resource \"secrets\""), "{message}");
    assert_eq!(stage.calls(), 0);

    account.may(&stage, &WRITE_SECRETS).await;
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn who_may_not_write_status_keeps_the_token_alive_and_says_what_is_missing_in_the_log() {
    let (mut stage, account) = Account::with(&[&RESOURCES, &EVENTS, &READ_SECRETS, &WRITE_SECRETS]).await;
    account.start_operator(&mut stage);
    stage.apply(NAME, stage.spec("3s")).await;
    let first = stage.until_secret(NAME, "a token", |secret| text(secret, "accessToken").is_some()).await;
    stage.until_rotated(&text(&first, "accessToken").unwrap()).await;
    let missing = r#"cannot update resource \"syniversetokens/status\""#;
    stage.operator().wait_for_log(missing, PATIENCE).await.unwrap();

    account.may(&stage, &STATUS).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn who_may_not_write_events_does_everything_else() {
    let (mut stage, account) = Account::with(&[&RESOURCES, &STATUS, &READ_SECRETS, &WRITE_SECRETS]).await;
    account.start_operator(&mut stage);
    stage.issued("1h").await;
    stage.operator().wait_for_log(r#"cannot create resource \"events\""#, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn who_may_not_list_resources_says_so_in_the_log() {
    let (mut stage, account) = Account::with(&[&STATUS, &EVENTS, &READ_SECRETS, &WRITE_SECRETS]).await;
    account.start_operator(&mut stage);
    stage.apply(NAME, stage.spec("1h")).await;
    stage.operator().wait_for_log(r#"cannot list resource \"syniversetokens\""#, PATIENCE).await.unwrap();

    account.may(&stage, &RESOURCES).await;
    stage.until_ready(NAME).await;
}

/// The token Secret cannot be written, so that the kill surely comes between the two writes.
#[tokio::test]
async fn a_kill_between_state_and_token_secret_costs_no_call() {
    let state_only = ["--verb=update", "--resource=secrets", "--resource-name=messaging-syniverse-state"];
    let create = ["--verb=create", "--resource=secrets"];
    let rights: [&[&str]; 6] = [&RESOURCES, &STATUS, &EVENTS, &READ_SECRETS, &create, &state_only];
    let (mut stage, account) = Account::with(&rights).await;
    let application = NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
    stage.simulator.add_application(application.living(Life::Millis(8000)));
    account.start_operator(&mut stage);
    stage.issued("1h").await;
    let told = stage.until_reason(NAME, "WriteFailed").await;
    let message = ready_message(&told).to_owned();
    assert!(message.contains("secrets \"messaging\" is forbidden"), "{message}");
    assert!(!is_ready(&told), "the token in the Secret is dead");
    let fresh = stage.simulator.journal().tokens.last().unwrap().value.clone();
    assert!(text(&stage.secret(STATE).await, "state.json").unwrap().contains(&fresh));
    assert_eq!(stage.token().await, PORTAL_TOKEN);
    let calls = stage.calls();

    stage.operator().kill9();
    account.may(&stage, &WRITE_SECRETS).await;
    stage.operator().restart().unwrap();

    assert_eq!(stage.until_rotated(PORTAL_TOKEN).await, fresh);
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), calls);
}

/// A service account whose rights in its namespace grow on demand.
struct Account {
    scratch: Scratch,
}

impl Account {
    /// A stage without an operator, and an account there with these rights.
    async fn with(rights: &[&[&str]]) -> (Stage, Self) {
        let stage = Stage::dark().await;
        let account = Self { scratch: Scratch::new().unwrap() };
        stage.kubectl(&["create", "serviceaccount", ACCOUNT]).await;
        for right in rights {
            account.may(&stage, right).await;
        }
        let token = stage.kubectl(&["create", "token", ACCOUNT]).await;
        let mut kubeconfig = to_value(Kubeconfig::read_from(stage.cluster.kubeconfig()).unwrap()).unwrap();
        kubeconfig["users"][0]["user"] = json!({"token": token.trim()});
        std::fs::write(account.kubeconfig(), kubeconfig.to_string()).unwrap();
        (stage, account)
    }

    fn start_operator(&self, stage: &mut Stage) {
        stage.start_operator_as(&self.kubeconfig(), &[]);
    }

    fn kubeconfig(&self) -> PathBuf {
        self.scratch.path().join("kubeconfig")
    }

    /// Grants a further right, in the words of `kubectl create role`.
    async fn may(&self, stage: &Stage, right: &[&str]) {
        let roles = stage.kubectl(&["get", "roles", "--output=name"]).await;
        let name = format!("right-{}", roles.lines().count());
        stage.kubectl(&[&["create", "role", &name], right].concat()).await;
        let (role, account) = (format!("--role={name}"), format!("{}:{ACCOUNT}", stage.namespace.name()));
        stage.kubectl(&["create", "rolebinding", &name, &role, &format!("--serviceaccount={account}")]).await;
    }
}
