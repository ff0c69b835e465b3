//! Two applications that take turns, over many rotations and with chance: not a moment without a live token.
//!
//! The applications behave as the issuer's do: one live token each, the same one until it is over, and whole seconds that
//! are rounded either way.

use crate::cluster::{Cluster, now, refresh, response, secret};
use serde_json::json;
use std::sync::Arc;
use syniverse_token_core::effects;
use syniverse_token_core::issuer::{Failure, FailureKind, Lifetime, TokenResponse};
use syniverse_token_core::plan::{Plan, PlannedRequest, Step};

const SEEDS: u64 = 24;
const ROTATIONS: f64 = 8.0;

/// Numbers that look random, the same ones for a seed.
struct Chance(u64);

impl Chance {
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.part()
    }
}

struct Application {
    key: &'static str,
    token: String,
    ends: f64,
}

/// What chance and fate do in a run.
struct Run {
    chance: Chance,
    applications: [Application; 2],
    issued: usize,
    /// By how much the issuer reports more than is left, once a token is no longer new.
    reports_more: f64,
    /// By how much it reports more than is left of a new token.
    new_reports_more: f64,
    /// By how much a token lives shorter than was asked for.
    lives_less: f64,
    /// When the issuer can be reached.
    is_up: Box<dyn Fn(f64) -> bool>,
    /// What the Secret held from when on, and until when that lived.
    held: Vec<(f64, f64)>,
    calls: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let over = |key: &'static str| Application { key, token: format!("portal {key}"), ends: 0.0 };
        Self {
            chance: Chance(seed.wrapping_mul(7_919) + 1),
            applications: [over("key"), over("key-b")],
            issued: 0,
            reports_more: 0.0,
            new_reports_more: 0.0,
            lives_less: 0.0,
            is_up: Box::new(|_| true),
            held: Vec::new(),
            calls: 0,
        }
    }

    fn answer(&mut self, planned: &PlannedRequest, at: f64) -> Result<TokenResponse, Failure> {
        if !(self.is_up)(at) {
            let detail = "the issuer cannot be reached".to_owned();
            return Err(Failure { kind: FailureKind::Unavailable, detail, retry_after: None, status: None });
        }
        let asked = refresh(planned);
        let application = self
            .applications
            .iter_mut()
            .find(|known| known.key == asked.consumer_key.expose())
            .expect("an application");
        let is_new = application.ends <= at;
        if is_new {
            self.issued += 1;
            application.token = format!("token {}", self.issued);
            application.ends = at + asked.validity_seconds as f64 - self.lives_less;
        }
        let more = if is_new { self.new_reports_more } else { self.reports_more };
        let left = application.ends - at + more;
        let seconds = if self.chance.part() < 0.5 { left.floor() } else { left.ceil() };
        let lifetime = Lifetime::Seconds(seconds.max(0.0) as u64);
        Ok(response(&application.token, lifetime))
    }

    /// Lets the operator work from one moment to another.
    fn go(&mut self, cluster: &mut Cluster, from: f64, until: f64) {
        let mut at = from;
        while at < until {
            match cluster.settle(now(at)) {
                Plan { step: Step::Request(planned), .. } => at = self.call(cluster, &planned, at),
                Plan { step: Step::Wait(Some(next)), .. } => {
                    at = next.until(now(0.0).mono).as_secs_f64().max(at + 0.001);
                }
                other => panic!("nothing to wait for: {other:?}"),
            }
        }
    }

    fn call(&mut self, cluster: &mut Cluster, planned: &PlannedRequest, sent: f64) -> f64 {
        let (there, back) = (self.chance.between(0.002, 0.15), self.chance.between(0.002, 0.15));
        let result = self.answer(planned, sent + there);
        self.calls += 1;
        let ended = sent + there + back;
        effects::request_sent(&mut cluster.memory, planned, now(sent));
        let times = (now(sent), now(ended).mono);
        effects::request_ended(&mut cluster.observed, &mut cluster.memory, planned, &result, times, |_, _| {});
        cluster.settle(now(ended));
        cluster.look();
        self.look(cluster, ended);
        ended
    }

    fn look(&mut self, cluster: &Cluster, at: f64) {
        let held = cluster.token("accessToken");
        let found = self.applications.iter().find(|application| Some(&application.token) == held.as_ref());
        if let Some(ends) = found.map(|application| application.ends)
            && self.held.last().is_none_or(|last| last.1 != ends)
        {
            self.held.push((at, ends));
        }
    }

    /// The longest time in which the Secret held a dead token, after `from`.
    fn longest_gap(&self, from: f64, until: f64) -> f64 {
        let nexts = self.held.iter().skip(1).map(|next| next.0).chain([until]);
        let gaps = self.held.iter().zip(nexts).filter(|(held, _)| held.0 >= from);
        gaps.map(|((_, ends), next)| next - ends).fold(0.0, f64::max)
    }
}

fn cluster(validity: u64, refresh_before: Option<&str>) -> Cluster {
    let standby = json!({"credentials": {"secretRef": {"name": "sdc-b"}}});
    let application = json!({"validity": format!("{validity}s"), "standby": standby});
    let mut cluster = Cluster::new(json!({"application": application, "refreshBefore": refresh_before}));
    let values = [("consumerKey", "key-b"), ("consumerSecret", "secret-b"), ("oldToken", "portal key-b")];
    cluster.observed.standby = Some(secret("sdc-b", &values)).into();
    cluster
}

/// Runs with these settings, for each seed: the longest gap must be zero.
fn never_dead(name: &str, validity: u64, refresh_before: Option<&str>, fate: impl Fn(&mut Run, &mut Cluster, f64)) {
    for seed in 0..SEEDS {
        let (mut run, mut cluster) = (Run::new(seed), cluster(validity, refresh_before));
        let until = ROTATIONS * validity as f64;
        fate(&mut run, &mut cluster, until);
        let gap = run.longest_gap(0.0, until);
        assert!(gap <= 0.0, "{name}, seed {seed}: {gap} s without a live token in {:?}", run.held);
        assert!(run.held.len() as f64 >= ROTATIONS, "{name}, seed {seed}: {:?}", run.held);
    }
}

#[test]
fn all_is_well() {
    for validity in [30, 900, 86_400] {
        never_dead("all is well", validity, None, |run, cluster, until| {
            run.go(cluster, 0.0, until);
            // A call a rotation, and a check where the lead is short.
            let most = run.held.len() * 2 + 2;
            assert!(run.calls <= most, "{} calls for {} tokens", run.calls, run.held.len());
        });
    }
}

#[test]
fn the_issuer_is_down_but_for_65_s_inside_a_lead_or_for_5_s_in_its_last_minute() {
    for (validity, lead) in [(900.0, 300.0), (86_400.0, 3_600.0)] {
        for (open, earliest) in [(65.0, lead), (5.0, 60.0)] {
            never_dead("down", validity as u64, None, |run, cluster, until| {
                // The first hand-over is all that it is about: the first token is issued within 0.3 s.
                let begins = run.chance.between(validity - earliest + 0.5, validity - open - 0.5);
                run.is_up =
                    Box::new(move |at| at < 1.0 || (begins..begins + open).contains(&at) || at > begins + lead + open);
                run.go(cluster, 0.0, until);
            });
        }
    }
}

#[test]
fn the_validity_is_lowered_under_a_fixed_refresh_before() {
    never_dead("lowered", 3600, Some("600s"), |run, cluster, until| {
        let at = run.chance.between(3_000.0, 8_000.0);
        run.go(cluster, 0.0, at);
        Arc::make_mut(&mut cluster.observed.resource).spec.application.as_mut().unwrap().validity = "900s".into();
        run.go(cluster, at, until);
    });
}

#[test]
fn a_check_reports_300_s_too_much() {
    never_dead("more", 900, None, |run, cluster, until| {
        run.reports_more = 300.0;
        run.go(cluster, 0.0, until);
    });
}

#[test]
fn a_new_token_ends_300_s_before_its_response_says() {
    for (validity, lives_less) in [(900, 0.0), (900, 300.0), (86_400, 0.0), (86_400, 300.0)] {
        never_dead("less", validity, None, |run, cluster, until| {
            (run.new_reports_more, run.lives_less) = (300.0, lives_less);
            run.go(cluster, 0.0, until);
        });
    }
}

#[test]
fn after_hours_without_an_operator_there_is_no_gap_in_the_next_rotation() {
    for seed in 0..SEEDS {
        let (mut run, mut cluster) = (Run::new(seed), cluster(900, None));
        run.go(&mut cluster, 0.0, 2_000.0);
        cluster.restart(now(20_000.0));
        run.go(&mut cluster, 20_000.0, 30_000.0);
        let gap = run.longest_gap(20_000.0, 30_000.0);
        assert!(gap <= 0.0, "seed {seed}: {gap} s in {:?}", run.held);
    }
}

#[test]
fn the_tokens_of_both_live_at_the_start() {
    for seed in 0..SEEDS {
        let (mut run, mut cluster) = (Run::new(seed), cluster(900, None));
        let ends = [run.chance.between(5.0, 900.0), run.chance.between(5.0, 900.0)];
        run.applications[0].ends = ends[0];
        run.applications[1].ends = ends[1];
        run.go(&mut cluster, 0.0, 8_000.0);
        // Where both end within the time of a request of each other, nobody can help it.
        let gap = run.longest_gap(0.0, 8_000.0);
        assert!(gap <= 0.0 || (ends[0] - ends[1]).abs() < 3.0, "seed {seed}: {gap} s, {ends:?}, {:?}", run.held);
    }
}
