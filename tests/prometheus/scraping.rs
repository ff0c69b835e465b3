//! Every family of metrics, read by a real Prometheus in both formats.

use crate::promtool::promtool;
use crate::support::*;
use harness::{Operator, Scratch, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

/// The formats, as Prometheus calls them; a job of its own reads each.
const FORMATS: [&str; 2] = ["PrometheusText0.0.4", "OpenMetricsText1.0.0"];

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], harness::free_port().unwrap()))
}

async fn page(address: SocketAddr) -> String {
    reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap()
}

/// A stage whose operator has issued a token, and where its metrics are.
async fn serving() -> (Stage, SocketAddr) {
    let (mut stage, address) = (Stage::dark().await, free_address());
    stage.start_operator(&[&format!("--listen={address}")]);
    stage.issued("1h").await;
    let ready = "syniverse_token_ready{";
    wait_for("the token's series", PATIENCE, async || page(address).await.contains(ready).then_some(())).await.unwrap();
    (stage, address)
}

/// The families of a page in Prometheus' text format, and their kinds.
fn families(page: &str) -> BTreeMap<String, String> {
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

struct Prometheus {
    address: SocketAddr,
    _process: Operator,
    _scratch: Scratch,
}

impl Prometheus {
    /// One that reads these metrics every second.
    fn start(metrics: SocketAddr) -> Self {
        let (address, scratch) = (free_address(), Scratch::new().unwrap());
        let job = |format: &&str| {
            json!({"job_name": format, "scrape_protocols": [format], "fallback_scrape_protocol": format,
                "static_configs": [{"targets": [metrics.to_string()]}]})
        };
        let scrapes: Vec<_> = FORMATS.iter().map(job).collect();
        let config = json!({"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes}).to_string();
        let (file, data) = (scratch.path().join("prometheus.yml"), scratch.path().join("data"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(harness::prometheus("prometheus").unwrap());
        command.arg(format!("--config.file={}", file.display())).arg(format!("--storage.tsdb.path={}", data.display()));
        command.arg(format!("--web.listen-address={address}"));
        Self { address, _process: Operator::start(command).unwrap(), _scratch: scratch }
    }

    async fn data(&self, path: &str) -> Option<Value> {
        let answer = reqwest::get(format!("http://{}/api/v1/{path}", self.address)).await.ok()?;
        Some(serde_json::from_str::<Value>(&answer.text().await.ok()?).ok()?["data"].take())
    }

    /// How it stands with what it reads: none while it has not read each of them yet.
    async fn health(&self) -> Option<Vec<String>> {
        let targets = self.data("targets").await?["activeTargets"].as_array()?.clone();
        let told =
            targets.iter().map(|target| format!("{} {}", target["health"].as_str().unwrap(), target["lastError"]));
        Some(told.collect()).filter(|told: &Vec<_>| told.len() == FORMATS.len() && !told.concat().contains("unknown"))
    }

    /// The families that a job has read, and their kinds.
    async fn families(&self, job: &str) -> BTreeMap<String, String> {
        let metadata = self.data(&format!("targets/metadata?match_target={{job=\"{job}\"}}")).await.unwrap();
        let own = |one: &&Value| !one["metric"].as_str().unwrap().starts_with("scrape_");
        let told = metadata.as_array().unwrap().iter().filter(own);
        told.map(|one| (one["metric"].as_str().unwrap().to_owned(), one["type"].as_str().unwrap().to_owned())).collect()
    }

    /// The names of all series that a job has.
    async fn series(&self, job: &str) -> Vec<String> {
        let names = self.data(&format!("label/__name__/values?match[]={{job=\"{job}\"}}")).await.unwrap();
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn promtool_finds_no_fault_with_the_metrics() {
    let (_stage, address) = serving().await;
    let page = page(address).await;
    let said = tokio::task::spawn_blocking(move || promtool(&["check", "metrics"], &page)).await.unwrap();
    assert_eq!(said, Ok(String::new()));
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_prometheus_reads_every_family_in_both_formats() {
    let (_stage, address) = serving().await;
    let families = families(&page(address).await);
    assert!(families.len() >= 17, "{families:?}");
    let prometheus = Prometheus::start(address);
    let health = wait_for("a scrape of each format", PATIENCE, async || prometheus.health().await).await.unwrap();
    assert_eq!(health, ["up \"\"", "up \"\""]);
    for job in FORMATS {
        // OpenMetrics names a counter without the end of its samples.
        let name = |(name, kind): (&String, &String)| match kind.as_str() {
            "counter" if job.starts_with("Open") => (name.trim_end_matches("_total").to_owned(), kind.clone()),
            _ => (name.clone(), kind.clone()),
        };
        let expected: BTreeMap<_, _> = families.iter().map(name).collect();
        assert_eq!(prometheus.families(job).await, expected, "{job}");
        let series = prometheus.series(job).await;
        for family in families.keys() {
            assert!(series.iter().any(|name| name.starts_with(family)), "{job}: no series of {family}");
        }
    }
}
