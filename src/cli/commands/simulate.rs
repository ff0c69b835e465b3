//! What the operator will do, decided by the operator's own rules on a model of the issuer: when it asks, and for how long
//! the Secret would hold a dead token.

use super::Verdict;
use super::target::TargetArguments;
use super::times::duration;
use anyhow::{Context as _, bail};
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use syniverse_token_core::api::{SyniverseToken, parse_duration};
use syniverse_token_core::issuer::{Cause, TokenRequest};
use syniverse_token_core::plan::PlannedRequest;

mod cluster;
mod issuer;
mod manifest;

use cluster::Cluster;
use issuer::Issuer;

/// Requests after which a timeline is too long to be read, and a run is ended.
const MOST_REQUESTS: usize = 200_000;
/// A first token is there after this time, in seconds, where nothing is in its way.
const ISSUED: f64 = 1.0;

/// The arguments of `simulate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A SyniverseToken of the cluster
    #[arg(required_unless_present = "filename")]
    name: Option<String>,
    /// A file with a SyniverseToken instead; - reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    filename: Option<PathBuf>,
    /// The time to simulate
    #[arg(long, value_name = "DURATION", default_value = "48h", value_parser = duration)]
    r#for: Duration,
    /// A time in which the issuer cannot be reached, such as 2h@+6h [repeatable]
    #[arg(long, value_name = "DURATION@+START")]
    outage: Vec<Outage>,
    /// How long a token of a session or of client credentials lives, which the issuer decides
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    lifetime: Duration,
    /// For how long the token may be dead at worst, without this being an error
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    allow: Duration,
    #[command(flatten)]
    target: TargetArguments,
}

/// A time in which the issuer cannot be reached, in seconds from the start.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outage {
    from: f64,
    to: f64,
}

impl FromStr for Outage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.split_once("@+").and_then(|(length, from)| Some((parse_duration(length)?, parse_duration(from)?)));
        let (length, from) = parts.ok_or("a duration and when it begins, such as 2h@+6h")?;
        Ok(Self { from: from.as_secs_f64(), to: (from + length).as_secs_f64() })
    }
}

/// A request of a simulation.
#[derive(Debug)]
struct Happening {
    /// When it was sent, in seconds from the start.
    at: f64,
    purpose: &'static str,
    outcome: Outcome,
    /// For how long the Secret had held a dead token, in seconds.
    dead: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// A token that the Secret holds from then on until this end; none = for ever.
    New(Option<f64>),
    /// The Secret stays as it is.
    Same,
    /// No answer.
    Failed,
}

/// Runs `simulate`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let mut resource = resource(&arguments).await?;
    // It begins with nothing, whatever the cluster has.
    (resource.status, resource.spec.suspend) = (None, false);
    let length = arguments.r#for.as_secs_f64();
    let (mut cluster, mut issuer) =
        (Cluster::new(resource), Issuer::new(arguments.lifetime.as_secs(), arguments.outage));
    let Played { timeline, end } = play(&mut cluster, &mut issuer, length);
    lines(&timeline).iter().for_each(|line| say!("{line}"));
    if let Some(stop) = cluster.obstacle() {
        say!("{:>9}  nothing more happens: {stop}", "");
    }
    let first = timeline.iter().find(|happening| matches!(happening.outcome, Outcome::New(_)));
    let without = first.map_or(end, |first| first.at);
    let still = cluster.end().map_or(0.0, |over| (end - over).max(0.0));
    let dead = || timeline.iter().map(|happening| happening.dead).chain([still]);
    let (total, worst) = (dead().sum::<f64>(), dead().fold(0.0, f64::max));
    say!(
        "{} requests for {} tokens in {}; without a token for {without:.1} s at first, then dead for {total:.1} s in all, \
         {worst:.1} s at worst",
        issuer.requests(),
        issuer.tokens(),
        shown(end)
    );
    if end < length {
        bail!("ended after {MOST_REQUESTS} requests, before {}: choose a shorter time", shown(length));
    }
    let allowed = arguments.allow.as_secs_f64();
    Ok(if worst > allowed || without > allowed.max(ISSUED) { Verdict::Bad } else { Verdict::Good })
}

/// Hours, minutes and seconds from the start.
fn shown(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

async fn resource(arguments: &Arguments) -> anyhow::Result<SyniverseToken> {
    let Some(file) = &arguments.filename else {
        let name = arguments.name.as_deref().unwrap_or_default();
        return Ok(arguments.target.open()?.api::<SyniverseToken>().get(name).await?);
    };
    let shown = file.display().to_string();
    let text = if shown == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    manifest::token(&text.with_context(|| format!("{shown} cannot be read"))?).with_context(|| shown)
}

/// What happened, and when it ended, in seconds.
struct Played {
    timeline: Vec<Happening>,
    end: f64,
}

/// Lets the operator work for so many seconds.
fn play(cluster: &mut Cluster, issuer: &mut Issuer, length: f64) -> Played {
    let (mut timeline, mut at) = (Vec::new(), 0.0);
    while at < length && issuer.requests() < MOST_REQUESTS {
        let Some(planned) = cluster.settle(at) else {
            match cluster.wakes_at() {
                Some(next) => at = next.max(at + 0.001),
                None => at = length,
            }
            continue;
        };
        let (before, token) = (cluster.end(), cluster.fingerprint());
        let answer = issuer.answer(&planned, at);
        let sent = at;
        at += issuer::DURATION;
        cluster.answered(&planned, &answer, sent, at);
        let outcome = match answer {
            Err(_) => Outcome::Failed,
            Ok(_) if cluster.fingerprint() == token => Outcome::Same,
            Ok(_) => Outcome::New(cluster.end()),
        };
        let dead = match (outcome, before) {
            (Outcome::New(_), Some(end)) => (at - end).max(0.0),
            _ => 0.0,
        };
        timeline.push(Happening { at: sent, purpose: purpose(&planned), outcome, dead });
    }
    Played { timeline, end: at.min(length) }
}

/// What a request is for, in the words of the documentation.
fn purpose(planned: &PlannedRequest) -> &'static str {
    match (&planned.request, planned.cause) {
        (_, Cause::Boundary) => "expiry",
        (TokenRequest::ClientCredentials(_), Cause::Check) => "renewal",
        (_, cause) => cause.as_str(),
    }
}

/// A line for each request, and one for all that fail in a row.
fn lines(timeline: &[Happening]) -> Vec<String> {
    let runs = timeline.chunk_by(|one, next| one.outcome == Outcome::Failed && next.outcome == Outcome::Failed);
    let line = |run: &[Happening]| {
        let first = run.first()?;
        let what = match first.outcome {
            Outcome::New(Some(end)) => format!("the Secret holds a new token until {}", shown(end)),
            Outcome::New(None) => "the Secret holds a new token, which never expires".to_owned(),
            Outcome::Same => "answered; the Secret stays as it is".to_owned(),
            Outcome::Failed => {
                let last = run.last().map_or(first.at, |last| last.at);
                format!("the issuer cannot be reached: {} requests until {}", run.len(), shown(last))
            }
        };
        let dead =
            if first.dead > 0.0 { format!("; the old one was dead for {:.1} s", first.dead) } else { String::new() };
        Some(format!("{:>9}  {:<12} {what}{dead}", shown(first.at), first.purpose))
    };
    runs.filter_map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn played(spec: &str, length: f64, outages: &[&str]) -> (Vec<Happening>, f64) {
        let text =
            format!("apiVersion: syniverse.dev/v1alpha1\nkind: SyniverseToken\nmetadata: {{name: m}}\nspec: {spec}\n");
        let mut cluster = Cluster::new(manifest::token(&text).unwrap());
        let outages = outages.iter().map(|text| text.parse().unwrap()).collect();
        let Played { timeline, .. } = play(&mut cluster, &mut Issuer::new(3600, outages), length);
        let dead = timeline.iter().map(|happening| happening.dead).sum();
        (timeline, dead)
    }

    const HOURS: f64 = 3600.0;
    const APPLICATION: &str = "{application: {validity: 24h, credentials: {secretRef: {name: a}}}}";
    const STANDBY: &str = "{application: {validity: 24h, credentials: {secretRef: {name: a}},
        standby: {credentials: {secretRef: {name: b}}}}}";
    const CLIENT: &str = "{clientCredentials: {tokenURL: 'https://e/token', credentials: {secretRef: {name: a}}}}";
    const SESSION: &str = "{session: {endpoint: 'https://e/token', credentials: {secretRef: {name: a}}}}";

    #[test]
    fn an_application_has_a_gap_at_each_end_and_two_that_take_turns_have_none() {
        let (timeline, dead) = played(APPLICATION, 49.0 * HOURS, &[]);
        assert!(dead > 0.0 && dead < 2.0, "{dead} {timeline:?}");
        assert_eq!(timeline.iter().filter(|happening| matches!(happening.outcome, Outcome::New(_))).count(), 3);
        let (timeline, dead) = played(STANDBY, 49.0 * HOURS, &[]);
        assert!(dead <= 0.0 && timeline.len() >= 3, "{dead} {timeline:?}");
    }

    #[test]
    fn what_ends_in_an_outage_is_dead_until_the_issuer_is_back_and_a_lead_bridges_a_short_one() {
        let (_, dead) = played(APPLICATION, 30.0 * HOURS, &["1h@+23h30m"]);
        assert!((1_800.0..1_900.0).contains(&dead), "{dead}");
        for spec in [CLIENT, SESSION, STANDBY] {
            let (timeline, dead) = played(spec, 26.0 * HOURS, &["10m@+23h20m"]);
            assert!(dead <= 0.0, "{spec}: {dead} {timeline:?}");
        }
    }

    #[test]
    fn an_outage_is_a_duration_and_a_start() {
        assert_eq!("2h@+6h".parse(), Ok(Outage { from: 6.0 * HOURS, to: 8.0 * HOURS }));
        for bad in ["2h", "2h@6h", "@+6h", "2x@+6h"] {
            assert!(bad.parse::<Outage>().is_err(), "{bad}");
        }
    }
}
