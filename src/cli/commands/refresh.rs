//! Asks the issuer now.

use super::Verdict;
use super::target::TargetArguments;
use super::times::Times;
use super::token::{Life, TokenView};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::time::Duration;
use syniverse_token_core::api::{REFRESH_ANNOTATION, SyniverseToken, parse_duration};

/// The arguments of `refresh`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The SyniverseTokens
    #[arg(required = true)]
    names: Vec<String>,
    /// Wait for the answer, for so long at most
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "30s", require_equals = true,
        value_parser = duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    target: TargetArguments,
}

/// Runs `refresh`. All are asked for before the first answer is waited for.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let api = arguments.target.open()?.api::<SyniverseToken>();
    let (wish, mut asked, mut verdict) = (Timestamp::now().to_string(), Vec::new(), Verdict::Good);
    for name in &arguments.names {
        match ask(&api, name, &wish).await {
            Ok(before) => asked.push((name, before)),
            Err(error) => {
                eprintln!("{name}: {error}");
                verdict = Verdict::Bad;
            }
        }
    }
    let Some(patience) = arguments.wait else {
        asked.iter().for_each(|(name, _)| say!("{name}: asked for"));
        return Ok(verdict);
    };
    let answers = asked.iter().map(|(name, before)| answer(&api, name, before.as_deref(), &wish, patience));
    for ((name, _), answer) in asked.iter().zip(futures::future::join_all(answers).await) {
        match answer? {
            Ok(said) => say!("{name}: {said}"),
            Err(said) => {
                say!("{name}: {said}");
                verdict = Verdict::Bad;
            }
        }
    }
    Ok(verdict)
}

/// Asks for a refresh, and gives the fingerprint of the token before.
async fn ask(api: &Api<SyniverseToken>, name: &str, wish: &str) -> kube::Result<Option<String>> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {REFRESH_ANNOTATION: wish}}}));
    let resource = api.patch(name, &PatchParams::default(), &patch).await?;
    Ok(TokenView::new(&resource, Timestamp::now()).fingerprint().map(str::to_owned))
}

/// What became of it, as a sentence: an error where there was no answer in time.
async fn answer(
    api: &Api<SyniverseToken>,
    name: &str,
    before: Option<&str>,
    wish: &str,
    patience: Duration,
) -> anyhow::Result<Result<String, String>> {
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut seen = watcher(api.clone(), only).default_backoff().applied_objects().boxed();
    let mut last = None;
    let handled = async {
        while let Some(resource) = seen.next().await {
            let Ok(resource) = resource else { continue };
            let handled = resource.status.as_ref().and_then(|status| status.last_handled_refresh.as_deref());
            if handled == Some(wish) {
                return Some(resource);
            }
            last = Some(resource);
        }
        None
    };
    let handled = tokio::time::timeout(patience, handled).await.ok().flatten();
    let times = Times::now(false);
    Ok(match (handled, last) {
        (Some(resource), _) => Ok(token(&TokenView::new(&resource, times.present()), before, &times)),
        (None, Some(resource)) => {
            let token = TokenView::new(&resource, times.present());
            let why = token.headline().map(|(reason, message)| format!("; {reason}: {message}"));
            Err(format!("no answer within {patience:?}{}", why.unwrap_or_default()))
        }
        (None, None) => Err(format!("the API server has shown nothing within {patience:?}")),
    })
}

fn token(token: &TokenView<'_>, before: Option<&str>, times: &Times) -> String {
    let is_same = token.fingerprint() == before;
    let (left, until) = match token.life() {
        Life::Until(end) => (format!("{} left", times.left(end)), format!("until {}", times.clock(end))),
        Life::Endless | Life::None => ("it never expires".to_owned(), "it never expires".to_owned()),
    };
    let fingerprint = token.fingerprint().unwrap_or("none");
    if is_same {
        format!("asked, same token {fingerprint}, {left}")
    } else {
        format!("new token {fingerprint}, {until}")
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("a duration such as 30s, 2m or 48h")
}
