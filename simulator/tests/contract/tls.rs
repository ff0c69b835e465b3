//! The issuers over https.

use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault, Stage};
use issuer_simulator::model::Life;
use issuer_simulator::{Options, Simulator};
use reqwest::{Certificate, Client};

use crate::caller::{KEY, PORTAL_TOKEN, SECRET, io_kind, url};

async fn over_tls() -> (Simulator, u16) {
    let simulator = Simulator::start(Options { tls: true, ..Options::default() }).await.unwrap();
    simulator.add_application(NewApplication::expired(KEY, SECRET, PORTAL_TOKEN).living(Life::Never));
    let port = reqwest::Url::parse(&simulator.endpoint()).unwrap().port().unwrap();
    (simulator, port)
}

fn trusting(simulator: &Simulator) -> Client {
    let authority = Certificate::from_pem(simulator.ca_pem().unwrap().as_bytes()).unwrap();
    Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap()
}

fn refresh_url(host: &str, port: u16) -> String {
    let parameters = [("consumerkey", KEY), ("consumersecret", SECRET), ("oldtoken", PORTAL_TOKEN), ("validity", "60")];
    url(&format!("https://{host}:{port}/apptoken-refresh"), &parameters)
}

#[tokio::test]
async fn who_trusts_the_authority_is_served_by_name_and_by_address() {
    let (simulator, port) = over_tls().await;
    assert!(simulator.endpoint().starts_with("https://127.0.0.1:"));
    for host in ["localhost", "127.0.0.1"] {
        let response = trusting(&simulator).get(refresh_url(host, port)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn who_does_not_trust_it_gets_no_answer_and_makes_no_call() {
    let (simulator, port) = over_tls().await;
    let (other, _) = over_tls().await;
    trusting(&other).get(refresh_url("localhost", port)).send().await.unwrap_err();
    assert!(simulator.journal().calls.is_empty());
}

#[tokio::test]
async fn a_reset_reaches_through_tls() {
    let (simulator, port) = over_tls().await;
    simulator.fault(Fault::once(Action::Reset { at: Stage::BeforeWork }));
    let error = trusting(&simulator).get(refresh_url("localhost", port)).send().await.unwrap_err();
    assert_eq!(io_kind(&error), Some(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn plain_http_has_no_authority() {
    assert_eq!(crate::caller::simulator().await.ca_pem(), None);
}
