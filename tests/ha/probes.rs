//! What probes and Prometheus are told by a running operator.

use crate::replicas::{USUAL, free_address, replica, until_leads};
use crate::support::*;
use harness::wait_for;
use std::net::SocketAddr;

async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let response = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

async fn until_ready_at(address: SocketAddr) {
    let ready = async || get(address, "/readyz").await.filter(|(status, _)| *status == 200).map(drop);
    wait_for("readiness", PATIENCE, ready).await.unwrap();
}

#[tokio::test]
async fn leader_and_heir_are_ready_and_alive_and_the_leader_tells_of_the_tokens() {
    let stage = Stage::dark().await;
    let kubeconfig = stage.kubeconfig();
    let [at_a, at_b] = [free_address(), free_address()];
    let listen = |address: SocketAddr| [format!("--listen={address}")];
    let _leader = replica(&stage, "a", USUAL, &kubeconfig, &listen(at_a));
    until_leads(&stage, "a").await;
    let _heir = replica(&stage, "b", USUAL, &kubeconfig, &listen(at_b));
    for address in [at_a, at_b] {
        until_ready_at(address).await;
        assert_eq!(get(address, "/healthz").await.unwrap(), (200, "ok\n".to_owned()));
    }
    stage.issued("1h").await;
    let of_token = format!("{{namespace=\"{}\",name=\"{NAME}\"}}", stage.namespace.name());
    let told = async |address| get(address, "/metrics").await.unwrap().1;
    let is_told = async || told(at_a).await.contains(&format!("syniverse_token_ready{of_token} 1")).then_some(());
    wait_for("the metrics of the token", PATIENCE, is_told).await.unwrap();
    let (leads, heir) = (told(at_a).await, told(at_b).await);
    assert!(leads.contains("syniverse_token_leads 1") && heir.contains("syniverse_token_leads 0"), "{leads}\n{heir}");
    assert!(!heir.contains(&of_token) && leads.ends_with("# EOF\n"), "{heir}");
    let asked = "syniverse_token_refreshes_total{issuer=\"application\",cause=\"first-issue\",outcome=\"answered\"} 1";
    assert!(leads.contains(asked), "{leads}");
    for secret in [CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN, stage.token().await.as_str()] {
        assert!(!leads.contains(secret));
    }

    stage.delete(NAME).await;
    let is_gone = async || (!told(at_a).await.contains(&of_token)).then_some(());
    wait_for("the end of the token's series", PATIENCE, is_gone).await.unwrap();
}
