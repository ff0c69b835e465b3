//! The real operator makes a real Prometheus fire each alert, and none while all is well. The copy of the rules that is loaded
//! here is `FASTER`: a `for` of a minute is one of two seconds, and so is a window of that length. Tokens are not: the end of
//! a token, and what is said to be late, is as in the rules. Where a runbook has commands, they are run while its alert fires.

use crate::fleet::*;
use crate::server::{Prometheus, free_address, page};
use crate::support::*;
use harness::{Cluster, ControlPlane, wait_for};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, Fault};
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// How much faster the clock of the rules runs.
const FASTER: u64 = 30;
/// A minute of the rules.
const SCRAPE: Duration = Duration::from_secs(60 / FASTER);
/// An hour of the rules.
const HOUR: Duration = Duration::from_secs(3600 / FASTER);

/// The rules with each `for` and each window shortened.
fn faster_rules() -> Value {
    let text = std::fs::read_to_string(format!("{ROOT}/docs/alerts.yaml")).unwrap();
    let mut rules: Value = serde_saphyr::from_str(&text).unwrap();
    for rule in rules["groups"][0]["rules"].as_array_mut().unwrap() {
        rule["for"] = json!(format!("{}s", lasts(rule).as_secs()));
        let expression = rule["expr"].as_str().unwrap().replace("[5m]", &format!("[{}s]", 5 * 60 / FASTER));
        assert!(!expression.contains("m]"), "a window of another length: {expression}");
        rule["expr"] = json!(expression);
    }
    rules
}

/// The `for` of a rule, shortened.
fn lasts(rule: &Value) -> Duration {
    let minutes: u64 = rule["for"].as_str().unwrap().strip_suffix('m').unwrap().parse().unwrap();
    Duration::from_secs(minutes * 60 / FASTER)
}

/// A stage whose operator a Prometheus reads.
struct Watched {
    stage: Stage,
    metrics: SocketAddr,
    prometheus: Prometheus,
}

impl Watched {
    async fn open(arguments: &[&str]) -> Self {
        Self::open_on(&harness::shared().await.unwrap(), arguments).await
    }

    async fn open_on(cluster: &Cluster, arguments: &[&str]) -> Self {
        let (mut stage, metrics) = (Stage::dark_in(cluster).await, free_address());
        stage.start_operator(&[&[format!("--listen={metrics}").as_str()], arguments].concat());
        let watched = Self { stage, metrics, prometheus: judging(metrics) };
        let judged = async || {
            let seen = watched.prometheus.query("syniverse_token_leader").await.filter(|seen| !seen.is_empty());
            let groups = watched.prometheus.data("rules", &[]).await?;
            seen.filter(|_| {
                groups["groups"][0]["rules"]
                    .as_array()
                    .is_some_and(|rules| rules.iter().all(|rule| rule["health"] == "ok"))
            })
        };
        wait_for("the first judgement", 2 * PATIENCE, judged).await.unwrap();
        watched
    }

    /// Waits until the metrics show the cause, and says when that was.
    async fn until_shown(&self, series: &str) -> Timestamp {
        let shown = async || page(self.metrics).await.lines().any(|line| is_like(line, series)).then(Timestamp::now);
        wait_for(&format!("{series} in the metrics"), 2 * PATIENCE, shown).await.unwrap()
    }

    /// Asserts that an alert fires in time, and that each command of its runbook works meanwhile.
    async fn assert_fires(&self, alert: &str, cause: Timestamp) {
        self.assert_in_time(alert, cause).await;
        self.follow_runbook(alert).await;
    }

    /// Asserts that an alert whose cause was shown then fires within its `for` and two scrapes.
    async fn assert_in_time(&self, alert: &str, cause: Timestamp) {
        let text = std::fs::read_to_string(format!("{ROOT}/docs/alerts.yaml")).unwrap();
        let rules: Value = serde_saphyr::from_str(&text).unwrap();
        let mut rules = rules["groups"][0]["rules"].as_array().unwrap().iter();
        let rule = rules.find(|rule| rule["alert"] == alert).unwrap();
        let within = lasts(rule) + 2 * SCRAPE;
        let firing = format!("timestamp(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})");
        let first = format!("min(min_over_time({firing}[5m:500ms]))");
        let fires = async || self.prometheus.query(&first).await?.first().map(|(_, at)| *at);
        let at = wait_for(alert, within + PATIENCE, fires).await.unwrap();
        let took = at - cause.as_millisecond() as f64 / 1000.0;
        println!("{alert}: {took:.1} s after its cause, for {:?}", lasts(rule));
        assert!(took <= within.as_secs_f64(), "{alert} fired {took} s after its cause, and not within {within:?}");
    }

    /// Waits until an alert fires no longer.
    async fn until_over(&self, alert: &str) {
        let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        let over = async || self.prometheus.query(&firing).await.filter(Vec::is_empty);
        wait_for(&format!("{alert} to be over"), 2 * PATIENCE, over).await.unwrap();
    }

    /// Runs the commands of a runbook, as an administrator.
    async fn follow_runbook(&self, alert: &str) {
        let text = std::fs::read_to_string(format!("{ROOT}/docs/runbooks/{alert}.md")).unwrap();
        let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
        for block in blocks {
            let mut bash = Command::new("bash");
            bash.args(["-euo", "pipefail", "-c", block]).env("KUBECONFIG", self.stage.cluster.kubeconfig());
            let kubectl = self.stage.cluster.kubectl_command();
            let folder = std::path::Path::new(kubectl.get_program()).parent().unwrap().to_owned();
            bash.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
            for name in ["NAMESPACE", "OPERATOR_NAMESPACE"] {
                bash.env(name, self.stage.namespace.name());
            }
            let output = tokio::task::spawn_blocking(move || bash.env("NAME", NAME).output().unwrap()).await.unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            println!("$ {block}{said}");
            assert!(output.status.success(), "{alert}: {block}{said}");
        }
    }
}

/// A Prometheus that reads these metrics once a minute of the rules, and judges them by the rules.
fn judging(metrics: SocketAddr) -> Prometheus {
    let targets = json!([{"targets": [metrics.to_string()]}]);
    let scrape = json!({"job_name": "operator", "honor_labels": true, "static_configs": targets});
    let global = json!({"scrape_interval": format!("{}s", SCRAPE.as_secs()), "evaluation_interval": "500ms"});
    Prometheus::start(json!({"global": global, "scrape_configs": [scrape]}), Some(&faster_rules()))
}

/// True if a line is like a pattern, in which `*` stands for anything.
fn is_like(line: &str, pattern: &str) -> bool {
    let parts: Vec<_> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return line == pattern };
    let Some(mut left) = line.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

fn failing(reason: &str) -> String {
    format!("syniverse_token_failing{{*reason=\"{reason}\"}} 1")
}

async fn ask_now(stage: &Stage) {
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "now"}}})).await;
}

fn refusing() -> Fault {
    Fault::always(Action::Fail { status: 500, retry_after: None, body: Default::default(), at: Default::default() })
}

/// An hour of the rules is two minutes, in which a token of ten seconds is replaced a dozen times.
#[tokio::test]
#[ignore = "make test-prometheus"]
async fn no_alert_fires_in_an_hour_of_healthy_rotations() {
    let (scene, metrics) = fleet().await;
    let prometheus = judging(metrics);
    let stage = &scene.stage;
    let begun = stage.simulator.journal().tokens.iter().filter(|token| token.owner == CONSUMER_KEY).count();
    let rotated = async || {
        let tokens = stage.simulator.journal().tokens.iter().filter(|token| token.owner == CONSUMER_KEY).count();
        (tokens >= begun + HOUR.as_secs() as usize / 10).then_some(())
    };
    wait_for("an hour of rotations", HOUR + PATIENCE, rotated).await.unwrap();
    let seen = prometheus.query("max_over_time(syniverse_token_ready[1h])").await.unwrap();
    assert_eq!(seen.len(), 4, "{seen:?}");
    let loaded = prometheus.data("rules", &[]).await.unwrap()["groups"][0]["rules"].take();
    assert!(loaded.as_array().unwrap().iter().all(|rule| rule["health"] == "ok"), "{loaded}");
    let fired = prometheus.query("count_over_time(ALERTS{alertstate=\"firing\"}[1h])").await.unwrap();
    assert!(fired.is_empty(), "{fired:?}");
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_dead_token_fires_not_rotated() {
    let watched = Watched::open(&[]).await;
    watched.stage.issued("10s").await;
    watched.stage.simulator.fault(refusing());
    watched.until_shown("syniverse_token_ready{*} 0").await;
    let resource = watched.stage.tokens.get(NAME).await.unwrap();
    let end: Timestamp = resource.status.unwrap().expiration_time.unwrap().parse().unwrap();
    watched.assert_fires("SyniverseTokenNotRotated", end + Duration::from_secs(30)).await;
    watched.stage.simulator.clear_faults();
    watched.until_over("SyniverseTokenNotRotated").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_first_token_that_does_not_come_fires_not_ready() {
    let watched = Watched::open(&[]).await;
    watched.stage.simulator.fault(refusing());
    watched.stage.apply(NAME, watched.stage.spec("1h")).await;
    let missing = watched.until_shown("syniverse_token_ready{*} 0").await;
    watched.assert_fires("SyniverseTokenNotReady", missing).await;
    watched.stage.simulator.clear_faults();
    watched.until_over("SyniverseTokenNotReady").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_token_that_will_expire_without_a_successor_fires_expires_soon() {
    let watched = Watched::open(&[]).await;
    watched.stage.issued("20m").await;
    watched.stage.delete_secret(CREDENTIALS).await;
    let stuck = watched.until_shown(&failing("CredentialsNotFound")).await;
    watched.assert_fires("SyniverseTokenExpiresSoon", stuck).await;
    let values = credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
    watched.stage.put_secret(CREDENTIALS, &values).await;
    watched.until_over("SyniverseTokenExpiresSoon").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_lost_session_fires_session_lost() {
    let watched = Watched::open(&[]).await;
    let (stage, pair) = (&watched.stage, [("token", "canary-token"), ("refreshToken", "canary-refresh-token")]);
    let account = NewSession::account(USERNAME, "canary-password").with_pair(pair[0].1, pair[1].1, Life::Never);
    stage.simulator.add_session(account);
    stage.put_secret(SESSION, &pair).await;
    stage.apply(NAME, session_spec(stage)).await;
    stage.until_ready(NAME).await;
    stage.simulator.expire(USERNAME).unwrap();
    ask_now(stage).await;
    let lost = watched.until_shown(&failing("SessionLost")).await;
    watched.assert_fires("SyniverseTokenSessionLost", lost).await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn credentials_that_are_refused_while_others_are_served_fire_credentials_suspect() {
    let watched = Watched::open(&[]).await;
    let (stage, other) = (&watched.stage, credentials("another-key", "another-secret", "another-token"));
    stage.simulator.add_application(NewApplication::expired(other[0].1, other[1].1, other[2].1));
    stage.put_secret("sdc-another", &other).await;
    let mut spec = stage.spec("1h");
    spec["application"]["credentials"]["secretRef"]["name"] = json!("sdc-another");
    stage.apply("another", spec).await;
    stage.until_ready("another").await;
    stage.issued("1h").await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, "wrong", PORTAL_TOKEN)).await;
    let refused = watched.until_shown(&failing("CredentialsSuspect")).await;
    watched.assert_fires("SyniverseTokenCredentialsSuspect", refused).await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    watched.until_over("SyniverseTokenCredentialsSuspect").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn an_issuer_that_is_away_fires_issuer_unavailable() {
    let watched = Watched::open(&[]).await;
    watched.stage.issued("1h").await;
    watched.stage.simulator.down().await.unwrap();
    ask_now(&watched.stage).await;
    let away = watched.until_shown("syniverse_token_failing{*} 1").await;
    watched.assert_fires("SyniverseTokenIssuerUnavailable", away).await;
    watched.stage.simulator.up().await.unwrap();
    watched.until_over("SyniverseTokenIssuerUnavailable").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_secret_that_belongs_to_somebody_else_fires_not_renewing() {
    let watched = Watched::open(&[]).await;
    watched.stage.put_secret(NAME, &[("of", "somebody else")]).await;
    watched.stage.apply(NAME, watched.stage.spec("1h")).await;
    let stuck = watched.until_shown(&failing("SecretNotOwned")).await;
    watched.assert_fires("SyniverseTokenNotRenewing", stuck).await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_standby_with_a_wrong_secret_fires_standby_failing() {
    let watched = Watched::open(&[]).await;
    let stage = &watched.stage;
    with_standby(stage).await;
    stage.apply(NAME, standby_spec(stage, "1h", "5m")).await;
    stage.until_ready(NAME).await;
    stage.put_secret(STANDBY, &credentials(STANDBY_KEY, "wrong", "canary-standby-token")).await;
    let failing = watched.until_shown("syniverse_token_standby_ready{*} 0").await;
    watched.assert_fires("SyniverseTokenStandbyFailing", failing).await;
    stage.put_secret(STANDBY, &credentials(STANDBY_KEY, STANDBY_SECRET, "canary-standby-token")).await;
    watched.until_over("SyniverseTokenStandbyFailing").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn a_delivery_without_the_right_to_it_fires_not_delivered() {
    let watched = Watched::open(&[]).await;
    let mut spec = watched.stage.spec("1h");
    spec["propagation"] = json!({"pods": "Annotate"});
    watched.stage.apply(NAME, spec).await;
    let refused = watched.until_shown(&failing("PropagationRefused")).await;
    watched.assert_fires("SyniverseTokenNotDelivered", refused).await;
}

/// It may make Leases, and use those that the chart names: no other one.
#[tokio::test]
#[ignore = "make test-prometheus"]
async fn an_operator_that_cannot_hold_its_lease_fires_not_leading() {
    let mut watched = Watched::open(&[]).await;
    let (listen, namespace) = (format!("--listen={}", watched.metrics), watched.stage.namespace.name().to_owned());
    let lease = format!("--lease-namespace={namespace}");
    watched.stage.start_operator(&["--leader-election", "--lease-name=of-somebody-else", &lease, &listen]);
    let idle = watched.until_shown("syniverse_token_leader{shard=\"1/1\"} 0").await;
    watched.assert_fires("SyniverseTokenOperatorNotLeading", idle).await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn an_operator_that_is_gone_fires_absent() {
    let mut watched = Watched::open(&[]).await;
    let gone = Timestamp::now();
    watched.stage.operator().kill9();
    watched.assert_fires("SyniverseTokenOperatorAbsent", gone).await;
    watched.stage.operator().restart().unwrap();
    watched.until_over("SyniverseTokenOperatorAbsent").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn an_api_server_that_is_away_fires_passes_failing() {
    let mut plane = ControlPlane::start().await.unwrap();
    let watched = Watched::open_on(plane.cluster(), &[]).await;
    watched.stage.issued("10s").await;
    let read = async || watched.prometheus.query("syniverse_token_ready").await.filter(|seen| !seen.is_empty());
    wait_for("the operator's metrics", PATIENCE, read).await.unwrap();
    plane.stop_apiserver();
    let failed = async || {
        let text = page(watched.metrics).await;
        let line =
            text.lines().find(|line| is_like(line, "syniverse_token_reconcile_passes_total{outcome=\"failed\"} *"))?;
        (!line.ends_with("} 0")).then(Timestamp::now)
    };
    let failing = wait_for("failed passes", 2 * PATIENCE, failed).await.unwrap();
    watched.assert_in_time("SyniverseTokenPassesFailing", failing).await;
    plane.start_apiserver().await.unwrap();
    watched.follow_runbook("SyniverseTokenPassesFailing").await;
    watched.until_over("SyniverseTokenPassesFailing").await;
}

#[tokio::test]
#[ignore = "make test-prometheus"]
async fn an_issuer_whose_clock_is_wrong_fires_clock_skew() {
    let watched = Watched::open(&[]).await;
    watched.stage.simulator.switch(|switches| switches.date_skew_seconds = 7200);
    watched.stage.issued("1h").await;
    let skewed = watched.until_shown("syniverse_token_issuer_clock_skew_seconds{*} 7*").await;
    watched.assert_fires("SyniverseTokenClockSkew", skewed).await;
    watched.stage.simulator.switch(|switches| switches.date_skew_seconds = 0);
    ask_now(&watched.stage).await;
    watched.until_over("SyniverseTokenClockSkew").await;
}

/// A request a second, for twenty tokens that live ten seconds.
#[tokio::test]
#[ignore = "make test-prometheus"]
async fn more_tokens_than_the_budget_can_renew_fire_budget_saturated() {
    let watched = Watched::open(&["--requests-per-second=1"]).await;
    let stage = &watched.stage;
    stage.apply(NAME, stage.spec("10s")).await;
    for number in 1..20 {
        let [key, secret, token] = ["key", "secret", "token"].map(|what| format!("canary-{what}-{number}"));
        let name = format!("messaging-{number}");
        stage.simulator.add_application(NewApplication::expired(&key, &secret, &token));
        let credentials_secret = format!("sdc-{number}");
        stage.put_secret(&credentials_secret, &credentials(&key, &secret, &token)).await;
        let mut spec = stage.spec("10s");
        spec["application"]["credentials"]["secretRef"]["name"] = json!(credentials_secret);
        stage.apply(&name, spec).await;
    }
    let waiting = async || {
        let series = "min_over_time(syniverse_token_requests_waiting{priority=\"due\"}[4s]) > 0";
        watched.prometheus.query(series).await.filter(|seen| !seen.is_empty()).map(|_| Timestamp::now())
    };
    let full = wait_for("requests that wait all the time", 2 * PATIENCE, waiting).await.unwrap();
    watched.assert_fires("SyniverseTokenBudgetSaturated", full).await;
}
