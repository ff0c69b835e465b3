//! A real Prometheus, and what it answers.

use harness::{Operator, Scratch};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

/// A running Prometheus.
pub(crate) struct Prometheus {
    address: SocketAddr,
    _process: Operator,
    _scratch: Scratch,
}

impl Prometheus {
    /// One with this configuration, and these rules.
    pub(crate) fn start(mut config: Value, rules: Option<&Value>) -> Self {
        let (address, scratch) = (free_address(), Scratch::new().unwrap());
        let file = |name: &str| scratch.path().join(name);
        if let Some(rules) = rules {
            std::fs::write(file("rules.yml"), rules.to_string()).unwrap();
            config["rule_files"] = json!([file("rules.yml")]);
        }
        std::fs::write(file("prometheus.yml"), config.to_string()).unwrap();
        let mut command = Command::new(harness::prometheus("prometheus").unwrap());
        command.arg(format!("--config.file={}", file("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", file("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        Self { address, _process: Operator::start(command).unwrap(), _scratch: scratch }
    }

    /// The data of an answer; none while it does not answer, or finds fault with what is asked.
    pub(crate) async fn data(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let url = reqwest::Url::parse_with_params(&url, parameters).unwrap();
        let answer = reqwest::get(url).await.ok()?.text().await.ok()?;
        let mut answer = serde_json::from_str::<Value>(&answer).ok()?;
        (answer["status"] == "success").then(|| answer["data"].take())
    }

    /// The series that a query has now, with their values; none if it cannot be answered.
    pub(crate) async fn query(&self, query: &str) -> Option<Vec<(Value, f64)>> {
        let data = self.data("query", &[("query", query)]).await?;
        let series = |one: &Value| Some((one["metric"].clone(), one["value"][1].as_str()?.parse().ok()?));
        data["result"].as_array()?.iter().map(series).collect()
    }
}

/// A loopback address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], harness::free_port().unwrap()))
}

/// The page of metrics that is served there; empty while nobody serves.
pub(crate) async fn page(address: SocketAddr) -> String {
    let Ok(answer) = reqwest::get(format!("http://{address}/metrics")).await else { return String::new() };
    answer.text().await.unwrap_or_default()
}
