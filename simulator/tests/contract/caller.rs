//! A caller of the issuers that hides nothing it is told.

use std::error::Error;
use std::io;
use std::time::Duration;

use issuer_simulator::application::NewApplication;
use issuer_simulator::journal::Journal;
use issuer_simulator::model::Life;
use issuer_simulator::{Options, Simulator};
use reqwest::{Client, Method, redirect};
use serde_json::Value;

pub(crate) const KEY: &str = "key-1";
pub(crate) const SECRET: &str = "secret-1";
pub(crate) const PORTAL_TOKEN: &str = "portal-token";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn token(&self) -> String {
        self.json()["accessToken"].as_str().unwrap().to_owned()
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.json()["validityTime"].as_i64().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

pub(crate) async fn simulator() -> Simulator {
    Simulator::start(Options::default()).await.unwrap()
}

/// A simulator with one application, whose portal token lives as asked.
pub(crate) async fn with_application(life: Life) -> Simulator {
    let simulator = simulator().await;
    simulator.add_application(NewApplication::expired(KEY, SECRET, PORTAL_TOKEN).living(life));
    simulator
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap()
}

pub(crate) fn url(endpoint: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{endpoint}?{}", query.finish())
}

pub(crate) async fn send(method: Method, url: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
    let mut request = client().request(method, url).header("accept", "application/json");
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.timeout(Duration::from_secs(20)).send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

pub(crate) async fn refresh_with(simulator: &Simulator, parameters: &[(&str, &str)]) -> reqwest::Result<Answer> {
    send(Method::GET, &url(&simulator.endpoint(), parameters), None).await
}

pub(crate) async fn try_refresh(simulator: &Simulator, old_token: &str, validity: &str) -> reqwest::Result<Answer> {
    let parameters =
        [("consumerkey", KEY), ("consumersecret", SECRET), ("oldtoken", old_token), ("validity", validity)];
    refresh_with(simulator, &parameters).await
}

pub(crate) async fn refresh(simulator: &Simulator, old_token: &str, validity: &str) -> Answer {
    try_refresh(simulator, old_token, validity).await.unwrap()
}

/// The system's own error at the bottom of a client's error.
pub(crate) fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

/// Waits for the journal, but not for ever: a test that waits in vain fails.
pub(crate) async fn until(simulator: &Simulator, holds: impl Fn(&Journal) -> bool) {
    tokio::time::timeout(Duration::from_secs(10), simulator.until(holds)).await.unwrap();
}
