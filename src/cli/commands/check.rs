//! What is wrong with the cluster, the operator and the tokens, each with what to do. It needs no more than its user's own
//! rights, and calls no issuer unless it is told to.

use super::Verdict;
use super::target::TargetArguments;
use super::terminal::{self, Mark, Terminal};
use super::times::duration;
use anyhow::bail;
use clap::{Args, ValueEnum};
use cluster::Reached;
use report::Report;
use std::time::Duration;
use tokio::time::{Instant, sleep};

mod cluster;
mod issuers;
mod metrics;
mod operator;
mod operator_pods;
mod remedies;
mod report;
mod rights;
mod tokens;

/// Interval between two looks of `--wait`.
const INTERVAL: Duration = Duration::from_secs(2);

/// The arguments of `check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Look at the cluster alone, before the operator is installed
    #[arg(long)]
    pre: bool,
    /// Ask each issuer once from this machine, with an incomplete request that issues nothing
    #[arg(long, conflicts_with = "pre")]
    call: bool,
    /// Look again until nothing is wrong, for so long at most
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
    /// The form of the output
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    /// Fail on warnings as well
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    target: TargetArguments,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// What is wrong and nothing else
    Short,
    /// A JSON document
    Json,
}

/// Runs `check`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let begun = Instant::now();
    let report = loop {
        let report = look(&arguments).await?;
        let is_over = arguments.wait.is_none_or(|patience| begun.elapsed() + INTERVAL > patience);
        if is_over || report.worst() < limit(&arguments) {
            break report;
        }
        eprintln!("waiting: {}", report.result());
        sleep(INTERVAL).await;
    };
    match arguments.output {
        Some(Form::Json) => say!("{}", serde_json::to_string_pretty(&report.document())?),
        form => terminal::write(&report.text(Terminal::stdout(), form == Some(Form::Short))),
    }
    match report.worst() >= limit(&arguments) {
        true => Ok(Verdict::Bad),
        false if report.is_blind => bail!("what could not be looked at may be wrong"),
        false => Ok(Verdict::Good),
    }
}

/// The least mark that fails.
fn limit(arguments: &Arguments) -> Mark {
    if arguments.strict { Mark::Warning } else { Mark::Bad }
}

async fn look(arguments: &Arguments) -> anyhow::Result<Report> {
    let target = arguments.target.open()?;
    let mut report = Report::default();
    report.begin("cluster");
    let reached = cluster::check(&target, arguments.pre, &mut report).await;
    if arguments.pre || reached == Reached::Nothing {
        return Ok(report);
    }
    let now = target.now().await;
    report.begin("operator");
    operator::check(&target, now, &mut report).await;
    if reached == Reached::All {
        let is_one_namespace = arguments.target.namespace().is_some();
        if arguments.call {
            report.begin("issuers");
            issuers::check(&target, is_one_namespace, now, &mut report).await;
        }
        report.begin("tokens");
        tokens::check(&target, is_one_namespace, now, &mut report).await;
    }
    Ok(report)
}
