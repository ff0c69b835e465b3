//! Every family of metrics, read by a real Prometheus in both formats.

use crate::fleet::{standby_spec, with_standby};
use crate::promtool::promtool;
use crate::server::{Prometheus, free_address, page};
use crate::support::*;
use harness::wait_for;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The formats, as Prometheus calls them; a job of its own reads each.
const FORMATS: [&str; 2] = ["PrometheusText0.0.4", "OpenMetricsText1.0.0"];

/// A stage whose operator has issued a token to a resource with a standby, and has another resource that it cannot serve, and
/// where its metrics are: every family has a series.
async fn serving() -> (Stage, SocketAddr) {
    let (mut stage, address) = (Stage::dark().await, free_address());
    stage.start_operator(&[&format!("--listen={address}")]);
    with_standby(&stage).await;
    stage.apply(NAME, standby_spec(&stage, "1h", "5m")).await;
    stage.until_ready(NAME).await;
    let mut spec = stage.spec("1h");
    spec["application"]["credentials"]["secretRef"]["name"] = json!("of-nobody");
    stage.apply("failing", spec).await;
    let series = ["syniverse_token_standby_ready{", "syniverse_token_failing{"];
    let shown = async || {
        let page = page(address).await;
        series.iter().all(|series| page.contains(series)).then_some(())
    };
    wait_for("the series of the resources", PATIENCE, shown).await.unwrap();
    (stage, address)
}

/// The families of a page in Prometheus' text format, and their kinds.
fn families(page: &str) -> BTreeMap<String, String> {
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// What a Prometheus has read, in either format.
struct Reader(Prometheus);

impl Reader {
    /// One that reads these metrics every second.
    fn start(metrics: SocketAddr) -> Self {
        let job = |format: &&str| {
            json!({"job_name": format, "scrape_protocols": [format], "fallback_scrape_protocol": format,
                "static_configs": [{"targets": [metrics.to_string()]}]})
        };
        let scrapes: Vec<_> = FORMATS.iter().map(job).collect();
        Self(Prometheus::start(json!({"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes}), None))
    }

    /// How it stands with what it reads: none while it has not read each of them yet.
    async fn health(&self) -> Option<Vec<String>> {
        let targets = self.0.data("targets", &[]).await?["activeTargets"].as_array()?.clone();
        let told =
            targets.iter().map(|target| format!("{} {}", target["health"].as_str().unwrap(), target["lastError"]));
        Some(told.collect()).filter(|told: &Vec<_>| told.len() == FORMATS.len() && !told.concat().contains("unknown"))
    }

    /// The families that a job has read, and their kinds.
    async fn families(&self, job: &str) -> BTreeMap<String, String> {
        let metadata = self.0.data("targets/metadata", &[("match_target", &of(job))]).await.unwrap();
        let own = |one: &&Value| !one["metric"].as_str().unwrap().starts_with("scrape_");
        let told = metadata.as_array().unwrap().iter().filter(own);
        told.map(|one| (one["metric"].as_str().unwrap().to_owned(), one["type"].as_str().unwrap().to_owned())).collect()
    }

    /// The names of all series that a job has.
    async fn series(&self, job: &str) -> Vec<String> {
        let names = self.0.data("label/__name__/values", &[("match[]", &of(job))]).await.unwrap();
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }
}

fn of(job: &str) -> String {
    format!("{{job=\"{job}\"}}")
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
    let prometheus = Reader::start(address);
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
