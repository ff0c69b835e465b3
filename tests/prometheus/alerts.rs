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
    leads_shard("1/1", pod, every, at)
}

fn leads_shard(shard: &str, pod: &str, every: u64, at: At<'_>) -> Value {
    series("syniverse_token_leader", &format!("pod=\"{pod}\",shard=\"{shard}\""), every, at)
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

/// An alert, with the series that make it while its cause lasts.
struct Cause {
    alert: &'static str,
    series: Vec<Value>,
    /// Seconds from its begin until the rule is met.
    delay: u64,
    /// Seconds for which the rule is met before the alert fires.
    lasts: u64,
}

/// When the causes begin.
const BEGIN: u64 = 600;

/// The causes of all alerts, each from `BEGIN` until its end, which follows from its delay and from how long it takes to fire.
struct Causes<'a> {
    every: u64,
    end: &'a dyn Fn(u64, u64) -> u64,
}

impl Causes<'_> {
    fn all(&self) -> Vec<Cause> {
        [self.of_reasons(), self.of_tokens(), self.of_operators()].into_iter().flatten().collect()
    }

    fn leader(&self) -> Value {
        leads("a", self.every, &|_| Some(1))
    }

    fn cause(
        &self,
        alert: &'static str,
        [delay, lasts]: [u64; 2],
        series: impl Fn(&dyn Fn(u64) -> bool) -> Vec<Value>,
    ) -> Cause {
        let end = (self.end)(delay, lasts);
        Cause { alert, series: series(&|at| (BEGIN..end).contains(&at)), delay, lasts }
    }

    fn of_reasons(&self) -> Vec<Cause> {
        let because = |(alert, lasts, reason)| {
            self.cause(alert, [0, lasts], |is| {
                vec![self.leader(), failing(reason, self.every, &|at| is(at).then_some(1))]
            })
        };
        let reasons = [
            ("SyniverseTokenSessionLost", 60, "SessionLost"),
            ("SyniverseTokenCredentialsSuspect", 300, "CredentialsSuspect"),
            ("SyniverseTokenIssuerUnavailable", 300, "RefreshFailed"),
            ("SyniverseTokenNotRenewing", 900, "SecretNotOwned"),
            ("SyniverseTokenNotDelivered", 600, "PropagationRefused"),
        ];
        reasons.map(because).into()
    }

    fn of_tokens(&self) -> Vec<Cause> {
        let every = self.every;
        vec![
            self.cause("SyniverseTokenNotReady", [0, 180], |is| {
                let live = |at: u64| Some(at + 500);
                vec![self.leader(), ready("a", every, &|at| Some(u64::from(!is(at)))), expires("a", every, &live)]
            }),
            self.cause("SyniverseTokenNotRotated", [30, 60], |is| {
                let ends = |at: u64| Some(if is(at) { BEGIN } else { at + 500 });
                // What is dead does not expire soon.
                let failing = failing("WriteFailed", every, &|at| is(at).then_some(1));
                vec![
                    self.leader(),
                    ready("a", every, &|at| Some(u64::from(!is(at)))),
                    expires("a", every, &ends),
                    failing,
                ]
            }),
            // The operator does not notice.
            self.cause("SyniverseTokenNotRotated", [30, 60], |is| {
                let ends = |at: u64| Some(if is(at) { BEGIN } else { at + 500 });
                vec![self.leader(), ready("a", every, &|_| Some(1)), expires("a", every, &ends)]
            }),
            self.cause("SyniverseTokenExpiresSoon", [0, 60], |is| {
                let because = |reason| failing(reason, every, &|at| is(at).then_some(1));
                let live = expires("a", every, &|at| Some(at + 1700));
                vec![self.leader(), live, because("MetadataNotAllowed"), because("WriteFailed")]
            }),
            self.cause("SyniverseTokenStandbyFailing", [0, 300], |is| {
                vec![self.leader(), standby_ready(every, &|at| Some(u64::from(!is(at))))]
            }),
        ]
    }

    fn of_operators(&self) -> Vec<Cause> {
        let every = self.every;
        vec![
            self.cause("SyniverseTokenOperatorNotLeading", [0, 300], |is| {
                vec![leads("a", every, &|at| Some(u64::from(!is(at)))), leads("b", every, &|_| Some(0))]
            }),
            self.cause("SyniverseTokenOperatorNotLeading", [0, 300], |is| {
                vec![
                    leads_shard("1/2", "a", every, &|_| Some(1)),
                    leads_shard("2/2", "b", every, &|at| Some(u64::from(!is(at)))),
                ]
            }),
            self.cause("SyniverseTokenOperatorAbsent", [0, 300], |is| {
                vec![leads("a", every, &|at| (!is(at)).then_some(1))]
            }),
            self.cause("SyniverseTokenOperatorAbsent", [0, 300], |is| {
                vec![
                    leads_shard("1/2", "a", every, &|_| Some(1)),
                    leads_shard("2/2", "b", every, &|at| (!is(at)).then_some(1)),
                    series("syniverse_token_shards", "pod=\"a\"", every, &|_| Some(2)),
                ]
            }),
            self.cause("SyniverseTokenPassesFailing", [0, 600], |is| {
                // The rule is met for five minutes, its window, after the last failure.
                let failed = |at: u64| (BEGIN..at).filter(|second| is(*second + 300)).count() as u64;
                vec![self.leader(), failed_passes(every, &|at| Some(failed(at)))]
            }),
            self.cause("SyniverseTokenClockSkew", [0, 600], |is| {
                vec![self.leader(), skew(every, &|at| Some(if is(at) { 40 } else { 30 }))]
            }),
            self.cause("SyniverseTokenBudgetSaturated", [0, 300], |is| {
                vec![self.leader(), due(every, &|at| Some(u64::from(is(at))))]
            }),
        ]
    }
}

#[test]
#[ignore = "make test-prometheus"]
fn what_goes_wrong_makes_its_alert() {
    for every in INTERVALS {
        let stories = (Causes { every, end: &|_, _| 2 * LENGTH })
            .all()
            .into_iter()
            .map(|cause| story(every, cause.series, fires(cause.alert, BEGIN + cause.delay + cause.lasts + 120)));
        assert_told(every, &stories.collect::<Vec<_>>());
    }
}

/// It is seen for up to a scrape longer than it lasts.
#[test]
#[ignore = "make test-prometheus"]
fn what_is_over_a_minute_before_its_time_makes_no_alert() {
    for every in INTERVALS {
        let over = |delay: u64, lasts: u64| BEGIN + delay + (lasts - 60).max(12);
        let stories =
            (Causes { every, end: &over }).all().into_iter().map(|cause| story(every, cause.series, silence()));
        assert_told(every, &stories.collect::<Vec<_>>());
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
