//! Every query of the dashboard, answered by a real Prometheus that has read the real operator.

use crate::fleet::fleet;
use crate::server::Prometheus;
use crate::support::*;
use harness::wait_for;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::net::SocketAddr;

const DASHBOARD: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/syniverse-token-operator/files/dashboard.json"));
/// The panels that are empty while all is well.
const EMPTY: [&str; 2] = ["In trouble, and why", "Failures by reason"];

/// A query of the dashboard, the variables being replaced by what stands for all.
#[derive(Debug)]
struct Query {
    /// The title of its panel.
    title: String,
    text: String,
    /// The names of its series, with labels in braces.
    legend: String,
}

/// The queries of all panels.
fn queries() -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "30s");
            let query = ["$job", "$instance", "$namespace"].iter().fold(query, |query, name| query.replace(name, ".+"));
            assert!(!query.contains('$'), "an unknown variable: {query}");
            let [title, legend] =
                [&panel["title"], &target["legendFormat"]].map(|text| text.as_str().unwrap().to_owned());
            queries.push(Query { title, text: query, legend });
        }
    }
    queries
}

/// The metric and the label that each variable lists the values of.
fn variables() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asked = variables.filter_map(|variable| variable["definition"].as_str()?.strip_prefix("label_values("));
    let parts = asked.map(|asked| asked.strip_suffix(')').unwrap().rsplit_once(", ").unwrap());
    parts.map(|(metric, label)| (metric.replace("$job", ".+"), label.to_owned())).collect()
}

fn reading(metrics: SocketAddr) -> Prometheus {
    let targets = json!([{"targets": [metrics.to_string()]}]);
    let scrape = json!({"job_name": "operator", "honor_labels": true, "static_configs": targets});
    Prometheus::start(json!({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}), None)
}

/// Waits until a query has a number that is as said.
async fn until(prometheus: &Prometheus, query: &Query, holds: impl Fn(f64) -> bool) {
    let is_so = async || {
        let series = prometheus.query(&query.text).await?;
        series.iter().any(|(_, value)| value.is_finite() && holds(*value)).then_some(())
    };
    wait_for(&format!("{query:?}"), 2 * PATIENCE, is_so).await.unwrap();
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn each_query_of_the_dashboard_has_data() {
    let (scene, metrics) = fleet().await;
    let prometheus = reading(metrics);
    let queries = queries();
    assert!(queries.len() >= 30, "{queries:?}");
    let (empty, full): (Vec<_>, Vec<_>) = queries.iter().partition(|query| EMPTY.contains(&query.title.as_str()));
    for query in full {
        until(&prometheus, query, |_| true).await;
    }
    for query in &empty {
        assert_eq!(prometheus.query(&query.text).await, Some(Vec::new()), "{query:?}");
    }
    for (metric, label) in variables() {
        let series = prometheus.query(&metric).await.unwrap();
        assert!(
            !series.is_empty() && series.iter().all(|(labels, _)| labels[&label].is_string()),
            "{label}: {series:?}"
        );
    }
    scene.stage.delete_secret(CREDENTIALS).await;
    for query in empty {
        until(&prometheus, query, |_| true).await;
    }
}

/// With `DASHBOARD_DATA` what it showed all along is written to that file: `make dashboard-picture` draws it.
#[tokio::test]
#[ignore = "make test-prometheus"]
async fn an_outage_of_the_issuer_is_seen_on_the_dashboard() {
    let begun = Timestamp::now();
    let (scene, metrics) = fleet().await;
    let (stage, prometheus, queries) = (&scene.stage, reading(metrics), queries());
    let shows = async |title: &str, count: f64| {
        let query = queries.iter().find(|query| query.title == title).unwrap();
        until(&prometheus, query, |value| value == count).await;
    };
    shows("Live", 4.0).await;
    rotate(stage).await;
    for title in ["Dead", "Dying", "In trouble", "Standbys that cannot take over"] {
        shows(title, 0.0).await;
    }
    stage.simulator.down().await.unwrap();
    let dying = queries.iter().find(|query| query.title == "Dying").unwrap();
    until(&prometheus, dying, |value| value >= 1.0).await;
    // What is dead is not dying any more.
    for (title, count) in [("Dead", 4.0), ("Dying", 0.0)] {
        shows(title, count).await;
    }
    shows("Live", 0.0).await;
    stage.simulator.up().await.unwrap();
    for (title, count) in [("Live", 4.0), ("Dead", 0.0), ("In trouble", 0.0)] {
        shows(title, count).await;
    }
    rotate(stage).await;
    if let Some(file) = std::env::var_os("DASHBOARD_DATA") {
        std::fs::write(file, history(&prometheus, &queries, begun).await.to_string()).unwrap();
    }
}

/// Waits for three further tokens.
async fn rotate(stage: &Stage) {
    for _ in 0..3 {
        stage.until_rotated(&stage.token().await).await;
    }
}

/// What each panel has shown since then, once a second.
async fn history(prometheus: &Prometheus, queries: &[Query], begun: Timestamp) -> Value {
    let [start, end] = [begun, Timestamp::now()].map(|time| time.as_second().to_string());
    let mut panels = Vec::new();
    for Query { title, text, legend } in queries {
        let range = [("query", text.as_str()), ("start", &start), ("end", &end), ("step", "1")];
        let data = prometheus.data("query_range", &range).await.unwrap();
        for series in data["result"].as_array().unwrap() {
            let labels = series["metric"].as_object().unwrap().iter();
            let named = labels.fold(legend.clone(), |name, (label, value)| {
                name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap())
            });
            panels.push(json!({"title": title, "name": named, "points": series["values"]}));
        }
    }
    json!(panels)
}
