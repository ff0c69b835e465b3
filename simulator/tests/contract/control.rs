//! The control endpoint: the same as the Rust interface, over HTTP.

use std::net::{Ipv4Addr, SocketAddr};

use issuer_simulator::fault::Fault;
use issuer_simulator::journal::Journal;
use issuer_simulator::switches::Switches;
use issuer_simulator::{Options, Simulator};
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{Answer, KEY, PORTAL_TOKEN, SECRET, refresh, send, try_refresh};

struct Remote(Simulator);

impl Remote {
    async fn start() -> Self {
        let control = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let remote = Self(Simulator::start(Options { control, ..Options::default() }).await.unwrap());
        let application =
            json!({"consumerKey": KEY, "consumerSecret": SECRET, "token": PORTAL_TOKEN, "life": {"millis": 60000}});
        assert_eq!(remote.ask(Method::POST, "/applications", Some(application)).await.status, 200);
        remote
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        send(method, &format!("{}{path}", self.0.control_url().unwrap()), body.as_ref()).await.unwrap()
    }

    async fn post(&self, path: &str) -> u16 {
        self.ask(Method::POST, path, None).await.status
    }
}

#[tokio::test]
async fn an_application_is_registered_changed_regenerated_and_expired() {
    let remote = Remote::start().await;
    assert_eq!(refresh(&remote.0, PORTAL_TOKEN, "60").await.token(), PORTAL_TOKEN);
    let answer = remote.ask(Method::POST, &format!("/applications/{KEY}/regenerate"), None).await;
    let regenerated = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(&remote.0, PORTAL_TOKEN, "60").await.token(), regenerated);
    assert_eq!(remote.post(&format!("/owners/{KEY}/expire")).await, 200);
    assert_ne!(refresh(&remote.0, PORTAL_TOKEN, "60").await.token(), regenerated);
    let secret = json!({"consumerSecret": "other"});
    assert_eq!(remote.ask(Method::POST, &format!("/applications/{KEY}/secret"), Some(secret)).await.status, 200);
    assert_eq!(refresh(&remote.0, PORTAL_TOKEN, "60").await.status, 500);
}

#[tokio::test]
async fn nobody_of_that_name_is_404() {
    let remote = Remote::start().await;
    let answer = remote.ask(Method::POST, "/applications/nobody/regenerate", None).await;
    assert_eq!((answer.status, answer.text.contains("nobody")), (404, true));
    assert_eq!(remote.post("/owners/nobody/expire").await, 404);
}

#[tokio::test]
async fn an_account_is_registered() {
    let remote = Remote::start().await;
    let account = json!({"username": "u", "password": "p", "validitySeconds": 60});
    assert_eq!(remote.ask(Method::POST, "/sessions", Some(account)).await.status, 200);
    let credentials = json!({"username": "u", "password": "p"});
    let answer = send(Method::POST, &remote.0.session_endpoint(), Some(&credentials)).await.unwrap();
    assert_eq!(answer.json()["content"][0]["validityTime"], 60);
}

#[tokio::test]
async fn every_fault_has_a_form_in_json() {
    let remote = Remote::start().await;
    let actions = [
        json!({"fail": {"status": 503, "retryAfter": "3", "body": "xml", "at": "afterWork"}}),
        json!({"fail": {"status": 429}}),
        json!({"fail": {"status": 200, "body": {"text": "{"}}}),
        json!({"delay": {"millis": 5}}),
        json!({"hang": {}}),
        json!({"reset": {"at": "afterWork"}}),
        json!("truncate"),
        json!({"pad": {"bytes": 100_000}}),
        json!({"redirect": {"status": 302, "location": "http://127.0.0.1:9/"}}),
        json!({"validityTime": "absent"}),
        json!({"validityTime": {"value": null}}),
        json!({"tokenField": null}),
        json!("stale"),
    ];
    for action in &actions {
        let fault = json!({"api": "application", "owner": KEY, "times": 1, "action": action});
        let answer = remote.ask(Method::POST, "/faults", Some(fault)).await;
        assert_eq!(answer.status, 200, "{action}: {}", answer.text);
    }
    let waiting: Vec<Fault> = serde_json::from_value(remote.ask(Method::GET, "/faults", None).await.json()).unwrap();
    assert_eq!(waiting.len(), actions.len());
    assert_eq!(refresh(&remote.0, PORTAL_TOKEN, "60").await.status, 503);
    assert_eq!(remote.ask(Method::DELETE, "/faults", None).await.status, 200);
    assert_eq!(refresh(&remote.0, PORTAL_TOKEN, "60").await.status, 200);
}

#[tokio::test]
async fn a_misspelt_fault_is_refused() {
    let remote = Remote::start().await;
    let answer = remote.ask(Method::POST, "/faults", Some(json!({"action": {"hangs": {}}}))).await;
    assert_eq!((answer.status, answer.text.contains("hangs")), (422, true));
}

#[tokio::test]
async fn switches_are_changed_one_by_one() {
    let remote = Remote::start().await;
    let change = json!({"rounding": "up", "jumpSeconds": 300});
    assert_eq!(remote.ask(Method::PATCH, "/switches", Some(change)).await.status, 200);
    remote.ask(Method::PATCH, "/switches", Some(json!({"unknownOldToken": "reject"}))).await;
    let switches: Switches = serde_json::from_value(remote.ask(Method::GET, "/switches", None).await.json()).unwrap();
    assert_eq!(switches.jump_seconds, 300);
    assert_eq!(refresh(&remote.0, "foreign", "60").await.status, 500);
    assert_eq!(remote.ask(Method::PATCH, "/switches", Some(json!({"rounding": "sideways"}))).await.status, 400);
}

#[tokio::test]
async fn the_journal_reads_back_as_it_is() {
    let remote = Remote::start().await;
    refresh(&remote.0, PORTAL_TOKEN, "60").await;
    let read: Journal = serde_json::from_value(remote.ask(Method::GET, "/journal", None).await.json()).unwrap();
    assert_eq!(read, remote.0.journal());
}

#[tokio::test]
async fn the_issuers_go_down_and_come_back_while_control_stays() {
    let remote = Remote::start().await;
    assert_eq!(remote.post("/down").await, 200);
    try_refresh(&remote.0, PORTAL_TOKEN, "60").await.unwrap_err();
    assert_eq!(remote.post("/up").await, 200);
    assert_eq!(refresh(&remote.0, PORTAL_TOKEN, "60").await.status, 200);
}
