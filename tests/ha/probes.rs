//! What probes and Prometheus are told by a running operator.

use crate::replicas::{USUAL, free_address, replica, until_leads};
use crate::support::*;
use harness::wait_for;
use issuer_simulator::fault::{Action, Fault, Stage as When};
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
    let [at_a, at_b, health_a, health_b] = [(); 4].map(|()| free_address());
    let listen =
        |metrics: SocketAddr, health: SocketAddr| [format!("--listen={metrics}"), format!("--health-listen={health}")];
    let _leader = replica(&stage, "a", USUAL, &kubeconfig, &listen(at_a, health_a));
    until_leads(&stage, "a").await;
    let _heir = replica(&stage, "b", USUAL, &kubeconfig, &listen(at_b, health_b));
    for address in [health_a, health_b] {
        until_ready_at(address).await;
        assert_eq!(get(address, "/healthz").await.unwrap(), (200, "ok\n".to_owned()));
    }
    stage.issued("1h").await;
    let of_token = format!("{{namespace=\"{}\",name=\"{NAME}\"}}", stage.namespace.name());
    let told = async |address| get(address, "/metrics").await.unwrap().1;
    let is_told = async || told(at_a).await.contains(&format!("syniverse_token_ready{of_token} 1")).then_some(());
    wait_for("the metrics of the token", PATIENCE, is_told).await.unwrap();
    let (leads, heir) = (told(at_a).await, told(at_b).await);
    assert!(
        leads.contains("syniverse_token_leader{shard=\"1/1\"} 1")
            && heir.contains("syniverse_token_leader{shard=\"1/1\"} 0"),
        "{leads}\n{heir}"
    );
    assert!(!heir.contains(&of_token), "{heir}");
    let asked = "syniverse_token_refreshes_total{issuer=\"application\",cause=\"first-issue\",outcome=\"answered\"} 1";
    assert!(leads.contains(asked), "{leads}");
    for secret in [CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN, stage.token().await.as_str()] {
        assert!(!leads.contains(secret));
    }

    stage.delete(NAME).await;
    let is_gone = async || (!told(at_a).await.contains(&of_token)).then_some(());
    wait_for("the end of the token's series", PATIENCE, is_gone).await.unwrap();
}

#[tokio::test]
async fn who_was_told_to_stop_is_unready_and_still_tells_until_its_call_has_ended() {
    let stage = Stage::dark().await;
    let [metrics, health] = [(); 2].map(|()| free_address());
    let listen = [format!("--listen={metrics}"), format!("--health-listen={health}")];
    let mut operator = replica(&stage, "a", USUAL, &stage.kubeconfig(), &listen);
    stage.simulator.fault(Fault::once(Action::Delay { millis: 3000, at: When::AfterWork }));
    stage.apply(NAME, stage.spec("1h")).await;
    let calls = "syniverse_token_issuer_requests_in_flight{issuer=\"application\"} 1";
    let is_calling = async || get(metrics, "/metrics").await.filter(|(_, page)| page.contains(calls)).map(drop);
    wait_for("the call", PATIENCE, is_calling).await.unwrap();
    operator.process().signal("TERM").unwrap();
    let is_unready = async || get(health, "/readyz").await.filter(|answer| *answer == (503, "stopping\n".to_owned()));
    wait_for("the end of readiness", PATIENCE, is_unready).await.unwrap();
    assert_eq!(get(health, "/healthz").await.unwrap().0, 200);
    assert_eq!(get(metrics, "/metrics").await.unwrap().0, 200);
    assert!(operator.process().wait(PATIENCE).await.unwrap().success());
    assert_eq!(stage.calls(), 1);
}
