//! What is left in the memory of the operator of a resource that is gone: no copy of anything secret.

use crate::support::*;
use harness::wait_for;
use issuer_simulator::session::NewSession;
use k8s_openapi::ByteString;
use kube::api::ListParams;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Connections that are not used any more are closed within this, and with them go their buffers.
const CLOSED: Duration = Duration::from_secs(150);
/// What is read at a time.
const PART: usize = 1 << 20;

/// The ways in which a value may stand in memory: as it is, and inside of something longer in base64, which begins at any of
/// three places.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let inside = |before: usize| {
        let bytes = [vec![0; before], value.as_bytes().to_vec()].concat();
        let text = serde_json::to_value(ByteString(bytes)).unwrap().as_str().unwrap().trim_end_matches('=').to_owned();
        // The first and last characters depend on what stands beside it.
        text.as_bytes()[4..text.len() - 2].to_vec()
    };
    [value.as_bytes().to_vec(), inside(0), inside(1), inside(2)].into()
}

/// How often each of these values stands in the memory of a process that can be written to.
fn copies(process: u32, values: &[&str]) -> Vec<(String, usize)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let spelled =
        values.iter().enumerate().flat_map(|(place, value)| spellings(value).into_iter().map(move |s| (place, s)));
    let wanted: Vec<(usize, Vec<u8>)> = spelled.collect();
    let mut counts = vec![0; values.len()];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut whole = Vec::new();
        for at in (from..to).step_by(PART) {
            let mut part = vec![0; PART.min(usize::try_from(to - at).unwrap())];
            // A part that went away meanwhile holds nothing.
            let read = memory.read_at(&mut part, at).unwrap_or(0);
            whole.extend_from_slice(&part[..read]);
        }
        count(&whole, &wanted, &mut counts);
    }
    let found = values.iter().map(|value| (*value).to_owned()).zip(counts);
    found.filter(|(_, count)| *count > 0).collect()
}

fn count(memory: &[u8], wanted: &[(usize, Vec<u8>)], counts: &mut [usize]) {
    let mut begins = [false; 256];
    wanted.iter().for_each(|(_, spelling)| begins[usize::from(spelling[0])] = true);
    for (at, byte) in memory.iter().enumerate() {
        if begins[usize::from(*byte)] {
            let here = wanted.iter().filter(|(_, spelling)| memory[at..].starts_with(spelling));
            here.for_each(|(place, _)| counts[*place] += 1);
        }
    }
}

const SESSION: &str = "sma-session";
const USERNAME: &str = "canary-username";
const PASSWORD: &str = "canary-password";

/// Rotates an application's token, and repairs its Secrets. The credentials come as `kubectl apply` brings them, with a copy
/// in an annotation, which the watch of metadata shows.
async fn use_application(stage: &Stage) {
    let values = credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN).into_iter();
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key, ByteString(value.as_bytes().to_vec()))).collect();
    let applied = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIALS}, "data": values});
    let apply = ["--namespace", stage.namespace.name(), "apply", "--filename=-"];
    stage.cluster.kubectl_with(&apply, &applied.to_string()).unwrap();
    stage.issued("4s").await;
    let first = stage.token().await;
    let second = stage.until_rotated(&first).await;
    stage.until_noticed(NAME).await;
    stage.until_noticed(STATE).await;
    stage.until_rotated(&second).await;
}

/// Logs in, and extends the session.
async fn use_session(stage: &Stage) {
    stage.simulator.add_session(NewSession::account(USERNAME, PASSWORD).valid_for(6));
    stage.put_secret(SESSION, &[("username", USERNAME), ("password", PASSWORD)]).await;
    let endpoint = stage.simulator.session_endpoint();
    let session = json!({"endpoint": endpoint, "credentials": {"secretRef": {"name": SESSION}}});
    stage.apply(SESSION, json!({"session": session, "secret": {"name": "sma"}})).await;
    stage.until_ready(SESSION).await;
    let extended =
        stage.simulator.until(|journal| journal.calls.iter().filter(|call| call.method == "PUT").count() >= 2);
    tokio::time::timeout(PATIENCE, extended).await.expect("two extensions");
}

#[tokio::test]
async fn of_resources_that_are_gone_nothing_secret_is_left_in_memory() {
    let mut stage = Stage::dark().await;
    stage.delete_secret(CREDENTIALS).await;
    let kubeconfig = stage.kubeconfig();
    stage.start_operator_with(&kubeconfig, &["--insecure-endpoints", "--endpoint-host=*"]);
    use_application(&stage).await;
    use_session(&stage).await;
    let process = stage.operator().id();
    let given = [CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN, USERNAME, PASSWORD];
    // While they live there is something to find: else this would look in the wrong place.
    assert!(!copies(process, &given).is_empty());
    for name in [NAME, SESSION] {
        stage.delete(name).await;
    }
    for name in [CREDENTIALS, SESSION] {
        stage.delete_secret(name).await;
    }
    let gone = async || stage.secrets.list(&ListParams::default()).await.unwrap().items.is_empty().then_some(());
    wait_for("the Secrets being collected", PATIENCE, gone).await.unwrap();
    let tokens: Vec<_> = stage.simulator.journal().tokens.into_iter().map(|token| token.value).collect();
    let secrets: Vec<_> = given.into_iter().chain(tokens.iter().map(String::as_str)).collect();
    let mut left = Vec::new();
    let clean = async || {
        left = copies(process, &secrets);
        left.is_empty().then_some(())
    };
    let cleaned = wait_for("a memory without secrets", CLOSED, clean).await;
    assert!(cleaned.is_ok(), "{left:?}");
}

#[tokio::test]
async fn the_memory_of_the_operator_goes_into_no_core_dump() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", stage.operator().id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
