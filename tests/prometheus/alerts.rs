//! The alerts of `docs/alerts.yaml`: silent while all goes well, whatever the scrape interval, and loud when it does not.

use crate::promtool::promtool;
use harness::Scratch;
use serde_json::{Value, json};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.yaml");

/// How often metrics are read, in seconds.
const INTERVALS: [u64; 5] = [5, 15, 30, 45, 60];
/// How often rules are evaluated, in seconds: also long after what they judge was read.
const EVALUATIONS: [u64; 3] = [5, 30, 60];
/// How long a story lasts, in seconds.
const LENGTH: u64 = 3600;
/// A token that lives so long, in seconds, is read before, at and after its end.
const LIVES: [u64; 4] = [20, 60, 900, 3600];
/// How late a rotation is that nobody complains of, in seconds.
const LATE: u64 = 5;

/// What a story shows at a second; none = no series.
type At<'a> = &'a dyn Fn(u64) -> Option<u64>;

/// A series, read at every interval.
fn series(name: &str, labels: &str, every: u64, at: At<'_>) -> Value {
    let shown = |seconds: u64| at(seconds).map_or("_".to_owned(), |value| value.to_string());
    let mut values: Vec<_> = (0..=LENGTH / every).map(|number| shown(number * every)).collect();
    // A series that ends is marked as such by whoever reads it.
    for index in 1..values.len() {
        if values[index] == "_" && !matches!(values[index - 1].as_str(), "_" | "stale") {
            values[index] = "stale".to_owned();
        }
    }
    json!({"series": format!("{name}{{{labels}}}"), "values": values.join(" ")})
}

fn ready(pod: &str, every: u64, at: At<'_>) -> Value {
    series("syniverse_token_ready", &format!("namespace=\"n\",name=\"a\",pod=\"{pod}\""), every, at)
}

fn expires(pod: &str, every: u64, at: At<'_>) -> Value {
    let labels = format!("namespace=\"n\",name=\"a\",pod=\"{pod}\"");
    series("syniverse_token_expiration_timestamp_seconds", &labels, every, at)
}

fn standby_ready(every: u64, at: At<'_>) -> Value {
    series("syniverse_token_standby_ready", "namespace=\"n\",name=\"a\",pod=\"a\"", every, at)
}

fn failing(reason: &str, every: u64, at: At<'_>) -> Value {
    let labels = format!("namespace=\"n\",name=\"a\",pod=\"a\",reason=\"{reason}\"");
    series("syniverse_token_failing", &labels, every, at)
}

fn failed_passes(every: u64, at: At<'_>) -> Value {
    series("syniverse_token_reconcile_passes_total", "outcome=\"failed\",pod=\"a\"", every, at)
}

fn skew(every: u64, at: At<'_>) -> Value {
    series("syniverse_token_issuer_clock_skew_seconds", "issuer=\"application\",pod=\"a\"", every, at)
}

fn due(every: u64, at: At<'_>) -> Value {
    series("syniverse_token_requests_waiting", "priority=\"due\",pod=\"a\"", every, at)
}

fn leads(pod: &str, every: u64, at: At<'_>) -> Value {
    series("syniverse_token_leader", &format!("pod=\"{pod}\""), every, at)
}

/// The end of the token that a Secret holds at a second, where each is replaced `LATE` after its end.
fn end(life: u64, seconds: u64) -> u64 {
    (seconds.saturating_sub(LATE) / life + 1) * life
}

/// A story with what is to be seen of it.
fn story(every: u64, series: Vec<Value>, seen: Value) -> Value {
    json!({"interval": format!("{every}s"), "input_series": series, "promql_expr_test": [seen]})
}

/// No alert fires at any time of it.
fn silence() -> Value {
    json!({"expr": format!("count by (alertname) (count_over_time(ALERTS{{alertstate=\"firing\"}}[{LENGTH}s]))"),
        "eval_time": format!("{LENGTH}s"), "exp_samples": []})
}

/// This alert fires at a second, and no other one.
fn fires(alert: &str, at: u64) -> Value {
    let sample = json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1});
    json!({"expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": format!("{at}s"),
        "exp_samples": [sample]})
}

/// Tells the stories to promtool, the rules being evaluated so often.
fn told(evaluated: u64, stories: &[Value]) -> Result<String, String> {
    let scratch = Scratch::new().unwrap();
    let file = scratch.path().join("test.yaml");
    let suite = json!({"rule_files": [RULES], "evaluation_interval": format!("{evaluated}s"), "tests": stories});
    std::fs::write(&file, suite.to_string()).unwrap();
    promtool(&["test", "rules", file.to_str().unwrap()], "")
}

fn assert_told(every: u64, stories: &[Value]) {
    for evaluated in EVALUATIONS {
        let told = told(evaluated, stories);
        told.unwrap_or_else(|said| panic!("read every {every} s and judged every {evaluated} s: {said}"));
    }
}

#[test]
#[ignore = "make test-prometheus"]
fn promtool_finds_no_fault_with_the_rules() {
    let said = promtool(&["check", "rules", "--lint=all", "--lint-fatal", RULES], "").unwrap();
    assert!(said.contains("14 rules found"), "{said}");
}

#[test]
#[ignore = "make test-prometheus"]
fn healthy_rotations_make_no_alert_at_any_interval() {
    for every in INTERVALS {
        let healthy = |life: u64| {
            let own = vec![
                ready("a", every, &|_| Some(1)),
                expires("a", every, &|at| Some(end(life, at))),
                leads("a", every, &|_| Some(1)),
                leads("b", every, &|_| Some(0)),
                standby_ready(every, &|_| Some(1)),
                failed_passes(every, &|_| Some(0)),
                skew(every, &|_| Some(1)),
                // A wave of rotations at every twentieth scrape, whenever that is.
                due(every, &|at| Some(if (at / every).is_multiple_of(20) { 30 } else { 0 })),
            ];
            story(every, own, silence())
        };
        assert_told(every, &LIVES.map(healthy));
    }
}

/// What heals by itself: a request that fails once before the end of a token, half a minute each hour; an issuer that is away for two minutes while
/// no token ends; an API server that is away for as long.
#[test]
#[ignore = "make test-prometheus"]
fn what_heals_by_itself_makes_no_alert() {
    let short = |from: u64, to: u64| move |at: u64| (from..to).contains(&at).then_some(1);
    for every in INTERVALS {
        let leader = || leads("a", every, &|_| Some(1));
        let live = |at: u64| Some(at + 1000);
        let blip = vec![leader(), expires("a", every, &live), failing("RefreshFailed", every, &short(600, 630))];
        let later = |at: u64| Some(at + 9000);
        let away = vec![leader(), expires("a", every, &later), failing("IssuerUnavailable", every, &short(600, 720))];
        let broken = vec![leader(), failed_passes(every, &|at| Some(at.clamp(600, 720) - 600))];
        let session = vec![leader(), failing("SessionEnded", every, &short(600, 603))];
        let rolled = vec![leader(), expires("a", every, &later), failing("RestartWithheld", every, &short(600, 900))];
        assert_told(every, &[blip, away, broken, session, rolled].map(|own| story(every, own, silence())));
    }
}

/// Nothing at all for a minute, then a leader after 20 s, and the first token after another 30 s.
#[test]
#[ignore = "make test-prometheus"]
fn a_start_makes_no_alert() {
    for every in INTERVALS {
        let since = |begin: u64, value: u64| move |at: u64| (at >= begin).then_some(value);
        let own = vec![
            leads("a", every, &|at| (at >= 60).then_some(u64::from(at >= 80))),
            ready("a", every, &|at| (at >= 80).then_some(u64::from(at >= 110))),
            expires("a", every, &since(110, 10_000)),
        ];
        assert_told(every, &[story(every, own, silence())]);
    }
}

/// The leader is gone for good, its token ends while nobody leads, and the next leader renews it. Then the same once more, soon
/// after, as when a Deployment is rolled out.
#[test]
#[ignore = "make test-prometheus"]
fn a_hand_over_makes_no_alert() {
    const FIRST: u64 = 601;
    const SECOND: u64 = 640;
    const GAP: u64 = 25;
    let during = |at: u64, from: u64, to: u64| (from..to).contains(&at);
    for every in INTERVALS {
        let mut own = Vec::new();
        for (pod, alive, leading) in [
            ("a", (0, FIRST), (0, FIRST)),
            ("b", (0, SECOND), (FIRST + GAP, SECOND)),
            ("c", (SECOND, 9999), (SECOND + GAP, 9999)),
        ] {
            let is_alive = |at| during(at, alive.0, alive.1);
            let is_leading = |at| during(at, leading.0, leading.1);
            own.push(leads(pod, every, &|at| is_alive(at).then_some(u64::from(is_leading(at)))));
            own.push(ready(pod, every, &|at| is_leading(at).then_some(1)));
            own.push(expires(pod, every, &|at| is_leading(at).then_some(end(20, at))));
        }
        assert_told(every, &[story(every, own, silence())]);
    }
}

#[test]
#[ignore = "make test-prometheus"]
fn what_goes_wrong_makes_its_alert() {
    for every in INTERVALS {
        let leader = || leads("a", every, &|_| Some(1));
        let live = |at: u64| Some(at + 500);
        let not_ready = vec![leader(), ready("a", every, &|at| Some(u64::from(at < 600))), expires("a", every, &live)];
        let dead = vec![leader(), ready("a", every, &|_| Some(1)), expires("a", every, &|_| Some(600))];
        let heirs = vec![leads("a", every, &|at| Some(u64::from(at < 600))), leads("b", every, &|_| Some(0))];
        let gone = vec![leads("a", every, &|at| (at < 600).then_some(1))];
        let from = |at: u64| (at >= 600).then_some(1);
        let because = |reason: &str| vec![leader(), failing(reason, every, &from)];
        let soon = vec![leader(), expires("a", every, &|_| Some(2400)), failing("MetadataNotAllowed", every, &from)];
        let soon = [soon, vec![failing("WriteFailed", every, &from)]].concat();
        let passes = vec![leader(), failed_passes(every, &|at| Some(at.max(600) - 600))];
        let ahead = vec![leader(), skew(every, &|at| Some(if at < 600 { 0 } else { 40 }))];
        let full = vec![leader(), due(every, &|at| Some(u64::from(at >= 600)))];
        let standby = vec![leader(), standby_ready(every, &|at| Some(u64::from(at < 600)))];
        let stories = [
            (not_ready, "SyniverseTokenNotReady", 180),
            (dead, "SyniverseTokenNotRotated", 30 + 60),
            (soon, "SyniverseTokenExpiresSoon", 60),
            (because("SessionLost"), "SyniverseTokenSessionLost", 60),
            (because("CredentialsSuspect"), "SyniverseTokenCredentialsSuspect", 300),
            (because("RefreshFailed"), "SyniverseTokenIssuerUnavailable", 300),
            (because("SecretNotOwned"), "SyniverseTokenNotRenewing", 900),
            (because("PropagationRefused"), "SyniverseTokenNotDelivered", 600),
            (standby, "SyniverseTokenStandbyFailing", 300),
            (heirs, "SyniverseTokenOperatorNotLeading", 300),
            (gone, "SyniverseTokenOperatorAbsent", 300),
            (passes, "SyniverseTokenPassesFailing", 600),
            (ahead, "SyniverseTokenClockSkew", 600),
            (full, "SyniverseTokenBudgetSaturated", 300),
        ];
        let told = stories.map(|(own, alert, lasts)| story(every, own, fires(alert, 600 + lasts + 120)));
        assert_told(every, &told);
    }
}

/// What does not keep the next token from coming, and a token that has hours to live.
#[test]
#[ignore = "make test-prometheus"]
fn a_token_is_not_said_to_expire_while_its_successor_is_to_come_or_its_end_is_far() {
    for every in INTERVALS {
        let told = [("StandbyFailing", 1000), ("PropagationRefused", 1000), ("SecretNotOwned", 20_000)];
        let stories = told.map(|(reason, left)| {
            let own = vec![
                leads("a", every, &|_| Some(1)),
                expires("a", every, &|at| Some(at + left)),
                failing(reason, every, &|_| Some(1)),
            ];
            let seen = json!({"expr": "ALERTS{alertname=\"SyniverseTokenExpiresSoon\"}", "eval_time": "3600s",
                "exp_samples": []});
            story(every, own, seen)
        });
        assert_told(every, &stories);
    }
}

/// What the documentation said before: rules that fire on a healthy rotation are found by these stories.
#[test]
#[ignore = "make test-prometheus"]
fn the_stories_tell_a_rule_that_cries_wolf() {
    let own = vec![leads("a", 60, &|_| Some(1)), expires("a", 60, &|at| Some(end(20, at)))];
    let before = json!({"expr": "time() - syniverse_token_expiration_timestamp_seconds > 10", "eval_time": "645s",
        "exp_samples": []});
    assert!(told(60, &[story(60, own, before)]).is_err());
}
