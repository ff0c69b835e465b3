//! What is counted and measured; the page `docs/metrics.md` is written from it.

use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;
use syniverse_token_core::api::SyniverseTokenStatus;
use syniverse_token_core::issuer::Kind;
use syniverse_token_core::issuer::{Cause, Extend, FailureKind, Pair, Refresh, TokenRequest};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::queue::budget_use::BudgetUse;
use syniverse_token_core::reason::{Reason, Weight};
use syniverse_token_core::reconcile_report::{NewToken, ReconcileReport, ServedToken};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::shard::Shard;
use syniverse_token_core::time::{Moment, Now};
use syniverse_token_operator::settings::TokenSeries;
use syniverse_token_operator::telemetry::metrics::Metrics;

/// `seconds` after a start at which both axes stood together.
fn now(seconds: f64) -> Now {
    let since = Duration::from_secs_f64(seconds);
    Now { mono: Moment::after_start(since), wall: Timestamp::from_second(1_790_000_000).unwrap() + since }
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.yaml");

const INTRODUCTION: &str = "# Metrics

Served at `/metrics` of the address given with `--listen`, over plain HTTP, in Prometheus text format or, if the client asks
for it, OpenMetrics, gzip-compressed on request. It contains no secrets; a NetworkPolicy controls access. At most 64
connections are open at a time, each for one request and 10 s at most; a page may be a second old. Counters start at 0, so
that `rate` and `increase` see the first increment. Only four metrics have a series per resource, which goes with the resource,
one of them where there is a standby, and one while the resource is in trouble: all other labels come from closed lists, so that
10,000 resources make 20,000 to 30,000 series and some hundred more. With `--token-metrics failing` (chart: `tokenMetrics`) only
resources that are not Ready, whose reason is failing or stalled, or whose token has expired, have these series, which the alerts
below are content with; with `none` no resource has, and only totals are left. Of several replicas, the leader
(`syniverse_token_leader` 1) exports the series of resources. Dead time without a leader is counted by the next leader, up to 30 s
per token. `make docs` writes this page.

The key metric: `increase(syniverse_token_dead_seconds_total[1d])`. It grows by the lateness of each healthy rotation, and
at a hand-over by the time without a leader: track it, but do not page on it.
";

const METRICS: &str = "
## Dashboard
`charts/syniverse-token-operator/files/dashboard.json` is for Grafana; the chart makes a ConfigMap of it (`dashboard.enabled`) that
the usual sidecar finds. What it showed while the issuer of four tokens was away for 15 s (`make dashboard-picture`: tokens of ten
seconds, read once a second by a real Prometheus, rates over 30 s):

![Live, dying and dead tokens, time to expiry, dead seconds, calls, overlap and Pods told during an outage](images/dashboard.svg)

## Metrics
| metric | kind | labels | |
|---|---|---|---|
";

const ALERTS: &str = "
## Alerts
`docs/alerts.yaml` holds them as rules for Prometheus, and the chart as a PrometheusRule (`prometheusRule.enabled`). They were
tested at scrape and evaluation intervals of up to a minute: healthy rotations, starts and hand-overs fire none of them, and the
operator itself was made to fire each. `critical` is for a page, `warning` for a ticket. `docs/runbooks` has a page for each. The
chart has a dashboard for Grafana as well (below).

| alert | severity | for | meaning | expression |
|---|---|---|---|---|
";

fn name() -> ObjectName {
    ObjectName::new("n", "messaging")
}

fn leading() -> Metrics {
    let metrics = Metrics::default();
    metrics.set_leader(true);
    metrics
}

fn passed(metrics: &Metrics, report: &ReconcileReport, at: f64) {
    metrics.observe_pass(&name(), report, now(0.0).mono, now(at));
}

fn refresh() -> TokenRequest {
    TokenRequest::Refresh(Refresh {
        endpoint: "https://e".into(),
        consumer_key: Redacted::new("k"),
        consumer_secret: Redacted::new("s"),
        old_token: Redacted::new("t"),
        validity_seconds: 60,
    })
}

fn extend() -> TokenRequest {
    let pair = Pair { token: Redacted::new("t"), refresh_token: Redacted::new("r") };
    TokenRequest::Extend(Extend { endpoint: "https://e".into(), pair })
}

/// A pass after which the token Secret holds `fingerprint`, which dies at `expires`, as status and reason say.
fn pass(fingerprint: &str, dies: f64, ready: (&str, &str), written: Option<f64>) -> ReconcileReport {
    let condition = json!({"type": "Ready", "status": ready.0, "reason": ready.1, "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"conditions": [condition], "fingerprint": fingerprint,
        "expirationTime": now(dies).wall.to_string()});
    let moment = |seconds: f64| now(seconds).mono;
    ReconcileReport {
        steps: Vec::new(),
        before: None,
        after: Some(serde_json::from_value::<SyniverseTokenStatus>(status).unwrap()),
        new_token: written.map(|_| NewToken::Next),
        served_before: None,
        served_after: Some(ServedToken {
            fingerprint: fingerprint.into(),
            kind: Kind::Application,
            expires: Some(moment(dies)),
            written_at: written.map(moment),
        }),
        is_standby_ready: None,
        wake: None,
        request: None,
    }
}

/// The values of `metric`, by labels.
fn values(metrics: &Metrics, at: f64, metric: &str) -> BTreeMap<String, f64> {
    let text = metrics.encode(now(at));
    let samples = text.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
    samples.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap())).collect()
}

fn dead(metrics: &Metrics, at: f64, cause: &str) -> f64 {
    let label = format!("{{cause=\"{cause}\"}}");
    values(metrics, at, "syniverse_token_dead_seconds_total")[&label]
}

fn late(metrics: &Metrics, at: f64) -> f64 {
    values(metrics, at, "syniverse_token_rotation_lateness_seconds_sum")["{issuer=\"application\"}"]
}

/// Those that something was counted in.
fn counted(mut values: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    values.retain(|_, value| *value != 0.0);
    values
}

#[test]
fn dead_time_runs_from_the_first_instant_past_the_end_until_the_next_token_is_written() {
    let metrics = leading();
    passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 1.0);
    assert_eq!(dead(&metrics, 19.0, "expired"), 0.0);
    assert_eq!(dead(&metrics, 21.5, "expired"), 1.5);
    assert_eq!(dead(&metrics, 22.0, "expired"), 2.0, "asked twice, counted once");
    passed(&metrics, &pass("b", 40.0, ("True", "Issued"), Some(23.0)), 24.0);
    assert_eq!(dead(&metrics, 30.0, "expired"), 3.0);
    assert_eq!(late(&metrics, 30.0), 3.0);
}

#[test]
fn a_token_that_an_extension_killed_is_dead_from_then_on() {
    let metrics = leading();
    passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 1.0);
    metrics.token_superseded(&name(), "of another session", now(5.0).mono);
    metrics.token_superseded(&name(), "a", now(10.0).mono);
    passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 10.5);
    passed(&metrics, &pass("b", 40.0, ("True", "Issued"), Some(11.0)), 11.0);
    assert_eq!((dead(&metrics, 30.0, "superseded"), dead(&metrics, 30.0, "expired")), (1.0, 0.0));
}

#[test]
fn who_takes_over_counts_what_was_dead_while_nobody_led() {
    for (died, counted) in [(90.0, 16.0), (10.0, 36.0)] {
        let metrics = leading();
        let found = pass("a", died, ("True", "Issued"), None).served_after;
        let first = ReconcileReport { served_before: found, ..pass("b", 200.0, ("True", "Issued"), Some(106.0)) };
        metrics.observe_pass(&name(), &first, now(100.0).mono, now(106.0));
        assert_eq!(dead(&metrics, 150.0, "expired"), counted);
        assert_eq!(late(&metrics, 150.0), 106.0 - died);
    }
}

#[test]
fn a_dead_token_is_counted_until_nobody_can_read_it() {
    let metrics = leading();
    passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 1.0);
    passed(&metrics, &ReconcileReport { served_after: None, ..pass("a", 20.0, ("False", "WriteFailed"), None) }, 25.0);
    assert_eq!(dead(&metrics, 99.0, "expired"), 5.0);
}

#[test]
fn the_series_of_a_resource_go_with_it_and_with_the_lead() {
    let of_tokens = |metrics: &Metrics| {
        ["syniverse_token_ready{", "syniverse_token_expiration_timestamp_seconds{"]
            .map(|series| values(metrics, 1.0, series).len())
    };
    for go in [|metrics: &Metrics| metrics.forget(&name()), |metrics: &Metrics| metrics.set_leader(false)] {
        let metrics = leading();
        passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 1.0);
        assert_eq!(of_tokens(&metrics), [1, 1]);
        go(&metrics);
        assert_eq!(of_tokens(&metrics), [0, 0]);
        assert_eq!(dead(&metrics, 99.0, "expired"), 0.0, "nobody counts for it any more");
    }
}

#[test]
fn an_overlap_is_measured_and_with_a_standby_a_hand_over_counted() {
    let metrics = leading();
    let standby = |report: ReconcileReport| ReconcileReport { is_standby_ready: Some(true), ..report };
    passed(&metrics, &standby(pass("a", 20.0, ("True", "Issued"), None)), 1.0);
    passed(&metrics, &standby(pass("b", 40.0, ("True", "Issued"), Some(13.0))), 13.0);
    let failing = ReconcileReport { is_standby_ready: Some(false), ..pass("c", 60.0, ("True", "x"), Some(41.0)) };
    passed(&metrics, &failing, 41.0);
    let overlap = |what: &str| values(&metrics, 42.0, &format!("syniverse_token_overlap_seconds_{what}"));
    assert_eq!(overlap("sum")["{issuer=\"application\"}"], 7.0);
    assert_eq!(overlap("count")["{issuer=\"application\"}"], 2.0);
    let hand_overs = values(&metrics, 42.0, "syniverse_token_hand_overs_total");
    assert_eq!(hand_overs.into_values().collect::<Vec<_>>(), [1.0, 1.0]);
    assert_eq!(values(&metrics, 42.0, "syniverse_token_standby_ready{").into_values().next(), Some(0.0));
    passed(&metrics, &pass("d", 80.0, ("True", "Issued"), Some(50.0)), 50.0);
    assert_eq!(values(&metrics, 51.0, "syniverse_token_standby_ready{").len(), 0, "no standby, no series");
}

/// How many series a resource has.
fn series_count(metrics: &Metrics, at: f64) -> usize {
    series(metrics, at).into_iter().flatten().count()
}

/// The readiness and the expiry of the resource that `metrics` shows.
fn series(metrics: &Metrics, at: f64) -> [Option<f64>; 2] {
    ["syniverse_token_ready{", "syniverse_token_expiration_timestamp_seconds{"]
        .map(|metric| values(metrics, at, metric).into_values().next())
}

#[test]
fn who_wants_the_failing_alone_sees_a_resource_while_it_is_not_ready_or_its_token_is_dead() {
    let metrics = Metrics::new(TokenSeries::Failing, Shard::WHOLE);
    metrics.set_leader(true);
    let end = |seconds: f64| Some(now(seconds).wall.as_second() as f64);
    passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 1.0);
    assert_eq!(series(&metrics, 19.0), [None, None]);
    assert_eq!(series(&metrics, 21.0), [Some(1.0), end(20.0)], "no pass has told of it yet");
    passed(&metrics, &pass("a", 20.0, ("False", "Expired"), None), 31.0);
    assert_eq!(series(&metrics, 31.0), [Some(0.0), end(20.0)]);
    passed(&metrics, &pass("b", 60.0, ("True", "Issued"), Some(32.0)), 32.0);
    assert_eq!(series(&metrics, 33.0), [None, None]);
    assert_eq!(dead(&metrics, 33.0, "expired"), 12.0);
}

#[test]
fn a_resource_has_its_reason_as_a_series_while_that_is_failing_or_stalled() {
    for which in [TokenSeries::All, TokenSeries::Failing] {
        let metrics = Metrics::new(which, Shard::WHOLE);
        metrics.set_leader(true);
        let failing = |at: f64| values(&metrics, at, "syniverse_token_failing").into_keys().collect::<Vec<_>>();
        let passes =
            [("Issued", None), ("CredentialsSuspect", Some(())), ("StandbyFailing", Some(())), ("ClockSkew", None)];
        for (at, (reason, shown)) in (1_u8..).zip(passes) {
            passed(&metrics, &pass("a", 20.0, ("True", reason), None), f64::from(at));
            let series = shown.map(|_| format!("{{namespace=\"n\",name=\"messaging\",reason=\"{reason}\"}}"));
            assert_eq!(failing(f64::from(at)), Vec::from_iter(series), "{reason}");
            assert_eq!(series_count(&metrics, f64::from(at)) > 0, which == TokenSeries::All || shown.is_some());
        }
        metrics.forget(&name());
        assert_eq!(failing(9.0), [""; 0]);
    }
}

#[test]
fn what_waits_for_the_budget_is_shown_by_priority_and_how_much_of_it_is_used() {
    let metrics = Metrics::default();
    metrics.set_budget_use(&BudgetUse { waiting: [3, 2, 1], in_flight: 0.5, rate: 0.25 });
    let waiting = values(&metrics, 1.0, "syniverse_token_requests_waiting");
    let by_priority = [("due", 3.0), ("new", 2.0), ("retry", 1.0)];
    assert_eq!(waiting, by_priority.map(|(priority, count)| (format!("{{priority=\"{priority}\"}}"), count)).into());
    let used = values(&metrics, 1.0, "syniverse_token_budget_used_ratio");
    assert_eq!(
        used,
        [("in_flight", 0.5), ("rate", 0.25)].map(|(limit, used)| (format!("{{limit=\"{limit}\"}}"), used)).into()
    );
}

/// Whoever is told of a failing resource by one alert is not told again by another one of its kind.
#[test]
fn each_failing_reason_has_one_alert_of_its_own_or_is_known_to_need_none() {
    // The first two are told of by the series of standbys; the token is kept alive as it is with the others.
    let without = ["StandbyFailing", "StandbyNotIndependent", "MetadataNotAllowed", "RefreshBeforeInvalid"];
    let rules: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(RULES).unwrap()).unwrap();
    let expressions: Vec<_> =
        rules["groups"][0]["rules"].as_array().unwrap().iter().map(|rule| rule["expr"].as_str().unwrap()).collect();
    let listed = |operator: &str| -> Vec<&str> {
        let lists = expressions.iter().filter_map(|it| it.split_once(operator)?.1.split_once('"'));
        lists.flat_map(|(list, _)| list.split('|')).collect()
    };
    let mut named = [listed("reason=~\""), without.to_vec()].concat();
    let mut failing: Vec<_> = Reason::ALL.iter().filter(|reason| reason.weight() >= Weight::Trouble).collect();
    let mut harmless: Vec<_> = failing.iter().filter(|reason| !reason.is_in_the_way()).map(|it| it.as_str()).collect();
    named.sort_unstable();
    failing.sort_unstable_by_key(|reason| reason.as_str());
    assert_eq!(named, failing.into_iter().map(|reason| reason.as_str()).collect::<Vec<_>>());
    let mut not_in_the_way = listed("reason!~\"");
    not_in_the_way.sort_unstable();
    harmless.sort_unstable();
    assert_eq!(not_in_the_way, harmless);
}

#[test]
fn who_is_suspended_before_its_first_token_is_neither_ready_nor_not() {
    let metrics = leading();
    let mut report = pass("a", 20.0, ("True", "Issued"), None);
    report.after.as_mut().unwrap().conditions.clear();
    passed(&metrics, &report, 1.0);
    assert_eq!(values(&metrics, 1.0, "syniverse_token_ready{"), BTreeMap::new());
}

#[test]
fn what_only_a_leader_can_know_goes_with_the_lead() {
    let metrics = leading();
    metrics.set_clock_skew(&refresh(), 40);
    assert_eq!(values(&metrics, 1.0, "syniverse_token_issuer_clock_skew_seconds{").len(), 1);
    metrics.set_leader(false);
    assert_eq!(values(&metrics, 1.0, "syniverse_token_issuer_clock_skew_seconds{"), BTreeMap::new());
}

#[test]
fn who_wants_no_series_of_tokens_sees_their_totals() {
    let metrics = Metrics::new(TokenSeries::None, Shard::WHOLE);
    metrics.set_leader(true);
    passed(&metrics, &pass("a", 20.0, ("False", "RefreshFailed"), None), 1.0);
    assert_eq!(series(&metrics, 21.5), [None, None]);
    assert_eq!(dead(&metrics, 21.5, "expired"), 1.5);
    assert_eq!(counted(values(&metrics, 22.0, "syniverse_token_failures_total")).len(), 1);
}

#[test]
fn a_pass_that_ends_after_the_lead_was_lost_brings_no_series_back() {
    let metrics = leading();
    metrics.set_leader(false);
    passed(&metrics, &pass("a", 20.0, ("True", "Issued"), None), 1.0);
    assert_eq!(values(&metrics, 1.0, "syniverse_token_ready{"), BTreeMap::new());
    assert_eq!(counted(values(&metrics, 1.0, "syniverse_token_reconcile_passes_total")).len(), 1);
}

#[test]
fn a_failure_is_counted_when_a_resource_comes_to_it() {
    let metrics = leading();
    let failing = pass("a", 20.0, ("True", "RefreshFailed"), None);
    passed(&metrics, &failing, 1.0);
    let again = ReconcileReport { before: failing.after.clone(), ..pass("a", 20.0, ("True", "RefreshFailed"), None) };
    passed(&metrics, &again, 2.0);
    passed(&metrics, &pass("a", 20.0, ("True", "SharedApplication"), None), 3.0);
    let failures = values(&metrics, 4.0, "syniverse_token_failures_total");
    assert_eq!(counted(failures), BTreeMap::from([("{reason=\"RefreshFailed\"}".to_owned(), 1.0)]));
}

#[test]
fn all_that_is_counted_starts_at_zero() {
    let metrics = Metrics::default();
    let text = metrics.encode(now(0.0));
    let kind = |wanted: &str| {
        let named = text.lines().filter_map(move |line| line.strip_prefix("# TYPE syniverse_token_")?.split_once(' '));
        named.filter(|(_, kind)| *kind == wanted).map(|(name, _)| format!("syniverse_token_{name}")).collect::<Vec<_>>()
    };
    let counters = kind("counter").into_iter().map(|name| name + "_total");
    let all: Vec<_> = counters.chain(kind("histogram").into_iter().map(|name| name + "_count")).collect();
    assert_eq!(all.len(), 14);
    let series: Vec<_> = all.iter().map(|name| values(&metrics, 0.0, name)).collect();
    assert!(series.iter().flat_map(BTreeMap::values).all(|value| *value == 0.0));
    let before: Vec<_> = series.iter().map(BTreeMap::len).collect();
    assert!(before.iter().all(|count| *count >= 1), "{before:?}");
    let after: Vec<_> = all.iter().map(|name| values(&filled(), 22.0, name).len()).collect();
    assert_eq!(after, before, "a series that begins when it is first counted in");
    assert!(text.contains("{reason=\"CredentialsNotFound\"} 0") && !text.contains("{reason=\"Issued\"}"));
}

/// What `promtool check metrics` looks for; the real one is asked by `make test-prometheus`.
#[test]
fn names_follow_the_conventions_and_no_series_stands_twice() {
    let text = filled().encode(now(22.0));
    let (mut families, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind) = ("", "");
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(described) = line.strip_prefix("# HELP ") {
            let (name, help) = described.split_once(' ').unwrap();
            assert!(families.insert(name) && help.len() > 8 && !help.contains(['"', '\\']), "{line}");
            let is_reserved = ["_total", "_sum", "_count", "_bucket", "_info"].iter().any(|end| name.ends_with(end));
            assert!(!is_reserved || name.ends_with("build_info"), "{name}");
            let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let is_scaled = ["_ms", "milli", "minutes", "percent", "kb"].iter().any(|part| name.contains(part));
            assert!(is_plain && !is_scaled, "{name}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            (family, kind) = typed.split_once(' ').unwrap();
        } else {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let end = series.split('{').next().and_then(|name| name.strip_prefix(family)).unwrap();
            let ends: &[_] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(ends.contains(&end) && seen.insert(series), "{line} of the {kind} {family}");
        }
    }
    assert_eq!(families.len(), 29);
}

#[test]
fn a_label_that_would_break_a_line_is_escaped() {
    let metrics = leading();
    let odd = ObjectName::new("n\"\\", "a\nb 1");
    metrics.observe_pass(&odd, &pass("a", 20.0, ("True", "Issued"), None), now(0.0).mono, now(1.0));
    let text = metrics.encode(now(1.0));
    assert!(text.contains(r#"syniverse_token_ready{namespace="n\"\\",name="a\nb 1"} 1"#), "{text}");
}

#[test]
fn a_call_in_flight_is_seen_until_it_ends() {
    let metrics = leading();
    let flying = metrics.request_started(&refresh());
    let seen = |metrics: &Metrics| values(metrics, 0.0, "syniverse_token_issuer_requests_in_flight");
    assert_eq!(seen(&metrics)["{issuer=\"application\"}"], 1.0);
    drop(flying);
    assert_eq!(seen(&metrics)["{issuer=\"application\"}"], 0.0);
}

/// One sample of everything there is.
fn filled() -> Metrics {
    let metrics = leading();
    for request in [refresh(), extend()] {
        drop(metrics.request_started(&request));
        metrics.observe_request(&request, Cause::Boundary, None, Duration::from_millis(80));
        metrics.observe_request(&request, Cause::FirstIssue, Some(FailureKind::Unavailable), Duration::from_secs(3));
        metrics.set_clock_skew(&request, 1);
    }
    passed(&metrics, &pass("a", 20.0, ("False", "RefreshFailed"), None), 1.0);
    let with_standby = |report| ReconcileReport { is_standby_ready: Some(true), ..report };
    passed(&metrics, &with_standby(pass("b", 40.0, ("True", "Issued"), Some(21.0))), 21.0);
    let failing = pass("c", 40.0, ("True", "CredentialsSuspect"), None);
    metrics.observe_pass(&ObjectName::new("n", "failing"), &failing, now(0.0).mono, now(1.0));
    metrics.observe_failed_pass();
    metrics.dropped_events().inc();
    metrics.lost_lines().inc();
    metrics
}

#[test]
fn the_page_of_metrics_is_what_is_served() {
    let text = filled().encode(now(22.0));
    let mut page = INTRODUCTION.to_owned() + ALERTS;
    let rules: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(RULES).unwrap()).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let [alert, expression, lasts] = ["alert", "expr", "for"].map(|field| rule[field].as_str().unwrap());
        let (severity, says) = (&rule["labels"]["severity"], rule["annotations"]["summary"].as_str().unwrap());
        let says = says.replace("{{ $labels.namespace }}/{{ $labels.name }}", "a resource");
        let said = [" ({{ $labels.reason }})", " ({{ $labels.issuer }})", " (shard {{ $labels.shard }})"];
        let says = said.iter().fold(says, |says, label| says.replace(label, ""));
        let (severity, expression) = (severity.as_str().unwrap(), expression.replace('|', "\\|"));
        writeln!(page, "| [{alert}](runbooks/{alert}.md) | {severity} | {lasts} | {says} | `{expression}` |").unwrap();
    }
    page += METRICS;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap();
        let total = if kind == "counter" { "_total" } else { "" };
        let sample = text.lines().find(|line| {
            let rest = line.strip_prefix(name).map(|rest| rest.trim_start_matches("_sum").trim_start_matches(total));
            rest.is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        let sample = sample.unwrap_or_else(|| panic!("no sample of {name}"));
        writeln!(page, "| `{name}{total}` | {kind} | {} | {} |", labels(sample), help.trim_end_matches('.')).unwrap();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &page).unwrap();
    }
    assert!(std::fs::read_to_string(PATH).unwrap_or_default() == page, "{PATH} is out of date: run `make docs`");
}

fn labels(sample: &str) -> String {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| format!("`{name}`"));
    names.filter(|name| name != "`le`").collect::<Vec<_>>().join(", ")
}
