//! The tokens in a table, or all about one.

use super::Verdict;
use super::consumers::{Pods, count};
use super::target::{Target, TargetArguments};
use super::terminal::{self, Terminal};
use super::times::Times;
use super::token::{Life, TokenView, TroubleKind};
use crate::client::error::describe_watch;
use clap::{Args, ValueEnum};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Serialize;
use std::collections::HashMap;
use syniverse_token_core::api::SyniverseToken;

mod story;

/// A problem in the table has so many letters at most; all of it stands in the story of the token.
const LONGEST_PROBLEM: usize = 72;

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A SyniverseToken: all about it [default: a table of all]
    name: Option<String>,
    /// The tokens of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Go on, with a line for each change
    #[arg(short, long, conflicts_with = "name")]
    watch: bool,
    /// The form of the output
    #[arg(short, long, value_name = "FORM", conflicts_with = "watch")]
    output: Option<Form>,
    /// Which tokens
    #[arg(long, value_name = "WHICH")]
    only: Option<Which>,
    /// Show times in UTC
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    target: TargetArguments,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A table with the consumers of the tokens of all namespaces, and problems in full
    Wide,
    /// A JSON document
    Json,
    /// A YAML document
    Yaml,
}

/// Which tokens are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Those with a problem
    Failing,
}

/// A token, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_refresh_time: Option<String>,
}

/// Runs `status`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let target = arguments.target.open()?;
    if let Some(name) = &arguments.name {
        return story::tell(&target, name, arguments.utc).await;
    }
    let resources = target.list::<SyniverseToken>(arguments.all_namespaces, ListParams::default()).await?;
    let times = Times::at(target.now().await, arguments.utc);
    let tokens = resources.iter().map(|resource| TokenView::new(resource, times.present()));
    let tokens: Vec<_> = tokens.filter(|token| arguments.shows(token)).collect();
    match arguments.output {
        Some(Form::Json) => say!("{}", serde_json::to_string_pretty(&document(&tokens))?),
        Some(Form::Yaml) => terminal::write(&serde_saphyr::to_string(&document(&tokens))?),
        form => print(&target, &arguments, form, &tokens, &times).await?,
    }
    if arguments.watch {
        let known = resources.iter().filter_map(|resource| Some((resource.uid()?, resource.resource_version()?)));
        follow(&target, &arguments, known.collect()).await;
    }
    Ok(if tokens.iter().all(TokenView::is_as_wanted) { Verdict::Good } else { Verdict::Bad })
}

fn document(tokens: &[TokenView<'_>]) -> serde_json::Value {
    let row = |token: &TokenView<'_>| {
        let status = token.resource.status.clone().unwrap_or_default();
        Row {
            namespace: token.namespace(),
            name: token.name(),
            ready: token.is_ready(),
            reason: token.headline().map(|said| said.0.to_owned()),
            message: token.headline().map(|said| said.1.to_owned()),
            fingerprint: status.fingerprint,
            expiration_time: status.expiration_time,
            next_refresh_time: status.next_refresh_time,
        }
    };
    serde_json::json!({"tokens": tokens.iter().map(row).collect::<Vec<_>>()})
}

async fn print(
    target: &Target,
    arguments: &Arguments,
    form: Option<Form>,
    tokens: &[TokenView<'_>],
    times: &Times,
) -> anyhow::Result<()> {
    if tokens.is_empty() {
        let place = if arguments.all_namespaces { "any namespace" } else { target.namespace.as_str() };
        let which = if arguments.only.is_some() { "failing " } else { "" };
        say!("no {which}SyniverseToken in {place}");
        return Ok(());
    }
    let (is_wide, all) = (form == Some(Form::Wide), arguments.all_namespaces);
    // The Pods of a whole cluster are many.
    let pods = if all && !is_wide { None } else { Pods::list(target, all).await.ok() };
    let rows: Vec<_> = tokens.iter().map(|token| row(token, all, is_wide, pods.as_ref(), times)).collect();
    let mut head = vec!["NAME", "READY", "LEFT", "NEXT", "TOKEN"];
    head.extend(pods.is_some().then_some("CONSUMERS"));
    head.push("PROBLEM");
    if all {
        head.insert(0, "NAMESPACE");
    }
    terminal::write(&Terminal::stdout().table(&head, &rows));
    let needy: Vec<_> = tokens.iter().filter(|token| !token.is_as_wanted()).map(TokenView::name).collect();
    if !needy.is_empty() {
        let few = needy.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = if needy.len() > 5 { ", …" } else { "" };
        say!("{} of {} without a live token: {few}{more}", needy.len(), tokens.len());
    }
    Ok(())
}

fn row(token: &TokenView<'_>, all: bool, is_wide: bool, pods: Option<&Pods>, times: &Times) -> Vec<String> {
    let none = || "-".to_owned();
    let left = match token.life() {
        Life::None => none(),
        Life::Endless => "endless".to_owned(),
        Life::Until(end) => times.left(end),
    };
    let next = token.next().map(|(time, purpose)| format!("{} {purpose}", times.clock(time)));
    let mut row: Vec<_> = all.then(|| token.namespace()).into_iter().collect();
    row.extend([token.name(), Terminal::stdout().mark(token.mark()), left, next.unwrap_or_else(none)]);
    row.push(token.fingerprint().map_or_else(none, str::to_owned));
    row.extend(pods.map(|pods| count(&pods.consumers(token, times.present()))));
    row.push(problem(token, is_wide, times).unwrap_or_else(none));
    row
}

/// What is wrong, and since when there is no live token.
fn problem(token: &TokenView<'_>, is_wide: bool, times: &Times) -> Option<String> {
    let said = token.trouble()?.text;
    let since = token.ready_since().filter(|_| !token.is_ready());
    let since = since.map(|since| format!(" (since {})", times.clock(since))).unwrap_or_default();
    let is_short = is_wide || said.chars().count() <= LONGEST_PROBLEM;
    let shown = if is_short { said } else { said.chars().take(LONGEST_PROBLEM).chain(['…']).collect() };
    Some(format!("{shown}{since}"))
}

/// Prints a line for each change of a token, until the process is ended. What has been shown is known by UID and version.
async fn follow(target: &Target, arguments: &Arguments, known: HashMap<String, String>) {
    let api = target.api_in::<SyniverseToken>(arguments.all_namespaces);
    let mut seen = watcher(api, watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = seen.next().await {
        let times = Times::at(target.now().await, arguments.utc);
        match event {
            Ok(Event::Delete(resource)) => {
                let name = format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any());
                say!("{}   {name}   deleted", times.clock(times.present()));
            }
            Ok(Event::Apply(resource) | Event::InitApply(resource)) => {
                let token = TokenView::new(&resource, times.present());
                let is_known = resource.uid().and_then(|uid| known.get(&uid).cloned()) == resource.resource_version();
                if !is_known && arguments.shows(&token) {
                    let row = row(&token, arguments.all_namespaces, true, None, &times).join("   ");
                    say!("{}   {row}", times.clock(times.present()));
                }
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => eprintln!("it cannot be watched: {}", describe_watch(&error)),
        }
    }
}

impl Arguments {
    fn shows(&self, token: &TokenView<'_>) -> bool {
        self.only.is_none() || token.trouble().is_some_and(|trouble| trouble.kind != TroubleKind::Suspended)
    }
}
