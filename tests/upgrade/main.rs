//! From the binary before the state had format 2 to this one, in the middle of rotations of both kinds, and back.
//! `make test-upgrade`, which builds that binary from the history.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

use harness::{ControlPlane, Operator, wait_for};
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;
use support::*;
use syniverse_token_core::state::FORMAT;

const SESSION: &str = "session";
const ACCOUNT: &str = "sma-account";
const USERNAME: &str = "canary-username";
/// Long enough that an operator can be replaced between two rotations, short enough to wait for them.
const VALIDITY: u32 = 20;
/// How long the old operator runs beside state that it does not know.
const STRANGER: Duration = Duration::from_secs(8);
/// An application is asked this often around one end, at most: the check, and twice where seconds are rounded.
const MOST_CALLS: usize = 4;

fn operator(stage: &Stage, binary: &str) -> Operator {
    let mut command = Command::new(binary);
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--log-level=debug", "--namespace"]);
    command.arg(stage.namespace.name()).env("KUBECONFIG", stage.kubeconfig());
    Operator::start(command).unwrap()
}

/// What is in the two pairs of Secrets: their versions and tokens.
async fn secrets(stage: &Stage) -> BTreeMap<String, (String, Option<String>)> {
    let mut found = BTreeMap::new();
    for name in [NAME, SESSION].iter().flat_map(|name| [(*name).to_owned(), format!("{name}-syniverse-state")]) {
        let secret = stage.secret(&name).await;
        found.insert(name, (secret.metadata.resource_version.clone().unwrap(), text(&secret, "accessToken")));
    }
    found
}

async fn format_of(stage: &Stage, name: &str) -> u64 {
    let text = text(&stage.secret(&format!("{name}-syniverse-state")).await, "state.json").unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["version"].as_u64().unwrap()
}

async fn tokens(stage: &Stage) -> [String; 2] {
    let token = async |name: &str| text(&stage.secret(name).await, "accessToken").unwrap();
    [token(NAME).await, token(SESSION).await]
}

/// Waits until both have been given another token.
async fn both_rotate(stage: &Stage) {
    let before = tokens(stage).await;
    let rotated = async || {
        let now = tokens(stage).await;
        (now[0] != before[0] && now[1] != before[1]).then_some(())
    };
    wait_for("a rotation of both", Duration::from_secs(3 * u64::from(VALIDITY)), rotated).await.unwrap();
}

/// Waits until this operator has looked at both.
async fn has_looked(operator: &Operator) {
    let looked = async || {
        let log = operator.log();
        let saw = |name: &str| log.lines().any(|line| line.contains("pass") && line.contains(&format!("\"{name}\"")));
        (saw(NAME) && saw(SESSION)).then_some(())
    };
    wait_for("a pass over both", PATIENCE, looked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the binary of an older version: make test-upgrade"]
async fn an_upgrade_and_the_way_back_lose_no_token_and_cost_no_call() {
    let old = std::env::var("OLD_OPERATOR").expect("OLD_OPERATOR: the binary of the older version");
    let new = env!("CARGO_BIN_EXE_syniverse-token-operator");
    let plane = ControlPlane::start().await.unwrap();
    let stage = Stage::dark_in(plane.cluster()).await;
    let account = NewSession::account(USERNAME, "canary-password").valid_for(VALIDITY);
    stage.simulator.add_session(account.with_pair("canary-token", "canary-refresh-token", Life::Never));
    // No login: a session that is not extended in time is lost.
    stage.put_secret(ACCOUNT, &[("token", "canary-token"), ("refreshToken", "canary-refresh-token")]).await;

    let mut before = operator(&stage, &old);
    stage.apply(NAME, stage.spec(&format!("{VALIDITY}s"))).await;
    let endpoint = stage.simulator.session_endpoint();
    let session = json!({"session": {"endpoint": endpoint, "credentials": {"secretRef": {"name": ACCOUNT}}}});
    stage.apply(SESSION, session).await;
    stage.until_ready(NAME).await;
    stage.until_ready(SESSION).await;
    both_rotate(&stage).await;
    assert_eq!((format_of(&stage, NAME).await, format_of(&stage, SESSION).await), (1, 1));

    // Forward, at once after a rotation: the new one has nothing to do.
    let (found, calls) = (secrets(&stage).await, stage.calls());
    before.kill9();
    let mut after = operator(&stage, new);
    has_looked(&after).await;
    assert_eq!((secrets(&stage).await, stage.calls()), (found, calls), "neither a call nor a write for the upgrade");
    both_rotate(&stage).await;
    both_rotate(&stage).await;
    assert_eq!((format_of(&stage, NAME).await, format_of(&stage, SESSION).await), (FORMAT.into(), FORMAT.into()));
    let rotations = |stage: &Stage| stage.simulator.journal().tokens.len();
    println!("{} calls for {} tokens", stage.calls(), rotations(&stage));
    assert!(stage.calls() <= MOST_CALLS * rotations(&stage));

    // Back: the old one says that the state is too new, and touches nothing.
    after.kill9();
    let (found, calls) = (secrets(&stage).await, stage.calls());
    before.restart().unwrap();
    for name in [NAME, SESSION] {
        stage
            .until(name, "StateTooNew", |told| {
                condition(told, "Stalled").is_some_and(|told| told.reason == "StateTooNew")
            })
            .await;
    }
    tokio::time::sleep(STRANGER).await;
    assert_eq!(
        (secrets(&stage).await, stage.calls()),
        (found, calls),
        "the old one leaves what it does not know alone"
    );

    // Forward again: both go on where they were, the session with the same pair.
    before.kill9();
    after.restart().unwrap();
    both_rotate(&stage).await;
    stage.until_ready(NAME).await;
    stage.until_ready(SESSION).await;
    let logins = stage.simulator.journal().calls.iter().filter(|call| call.method == "POST").count();
    assert_eq!(logins, 0, "the session was never lost");
}
