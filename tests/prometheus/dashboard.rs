//! Every query of the dashboard, answered by a real Prometheus that has read the real operator.

use crate::fleet::fleet;
use crate::server::Prometheus;
use crate::support::*;
use harness::wait_for;
use serde_json::{Value, json};
use std::net::SocketAddr;

const DASHBOARD: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/syniverse-token-operator/files/dashboard.json"));
/// The panels that are empty while all is well.
const EMPTY: [&str; 2] = ["In trouble, and why", "Failures by reason"];

/// The queries of the dashboard with the titles of their panels, the variables being replaced by what stands for all.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "30s");
            let query = ["$job", "$instance", "$namespace"].iter().fold(query, |query, name| query.replace(name, ".+"));
            assert!(!query.contains('$'), "an unknown variable: {query}");
            queries.push((panel["title"].as_str().unwrap().to_owned(), query));
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

/// Waits until a query has a value that is a number.
async fn until_answered(prometheus: &Prometheus, title: &str, query: &str) {
    let is_answered = async || {
        let series = prometheus.query(query).await?;
        series.iter().any(|(_, value)| value.is_finite()).then_some(())
    };
    wait_for(&format!("{title}: {query}"), 2 * PATIENCE, is_answered).await.unwrap();
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn each_query_of_the_dashboard_has_data() {
    let (scene, metrics) = fleet().await;
    let prometheus = reading(metrics);
    let queries = queries();
    assert!(queries.len() >= 30, "{queries:?}");
    let is_empty = |title: &str| EMPTY.contains(&title);
    for (title, query) in queries.iter().filter(|(title, _)| !is_empty(title)) {
        until_answered(&prometheus, title, query).await;
    }
    for (title, query) in queries.iter().filter(|(title, _)| is_empty(title)) {
        assert_eq!(prometheus.query(query).await, Some(Vec::new()), "{title}: {query}");
    }
    for (metric, label) in variables() {
        let series = prometheus.query(&metric).await.unwrap();
        assert!(
            !series.is_empty() && series.iter().all(|(labels, _)| labels[&label].is_string()),
            "{label}: {series:?}"
        );
    }
    scene.stage.delete_secret(CREDENTIALS).await;
    for (title, query) in queries.iter().filter(|(title, _)| is_empty(title)) {
        until_answered(&prometheus, title, query).await;
    }
}
