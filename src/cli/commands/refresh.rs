//! Asks the issuer now.

use super::target::{Target, TargetArguments};
use super::times::{Times, brief, duration};
use super::token::{Life, TokenView};
use super::{Verdict, plain};
use clap::Args;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;
use syniverse_token_core::api::{REFRESH_ANNOTATION, SyniverseToken};

/// What takes longer than this says that it goes on.
const PROMPT: Duration = Duration::from_secs(1);

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
    let target = arguments.target.open()?;
    let (wish, mut asked, mut verdict) = (Timestamp::now().to_string(), Vec::new(), Verdict::Good);
    for name in &arguments.names {
        match ask(&target, name, &wish).await {
            Ok(before) => asked.push((name, before)),
            Err(problem) => {
                eprintln!("{name}: {problem}");
                verdict = Verdict::Bad;
            }
        }
    }
    let Some(patience) = arguments.wait else {
        asked.iter().for_each(|(name, _)| say!("{name}: asked for"));
        return Ok(verdict);
    };
    let answers = asked.iter().map(|(name, before)| answer(&target, name, before.as_deref(), &wish, patience));
    let mut answers = std::pin::pin!(futures::future::join_all(answers));
    let answers = match tokio::time::timeout(PROMPT, &mut answers).await {
        Ok(answers) => answers,
        Err(_) => {
            eprintln!(
                "waiting for the issuer, up to {}",
                brief(SignedDuration::try_from(patience).unwrap_or_default())
            );
            answers.await
        }
    };
    for ((name, _), answer) in asked.iter().zip(answers) {
        let said = answer.unwrap_or_else(|problem| {
            verdict = Verdict::Bad;
            problem
        });
        say!("{name}: {said}");
    }
    Ok(verdict)
}

/// Asks for a refresh, and gives the fingerprint of the token before; an error where none will come.
async fn ask(target: &Target, name: &str, wish: &str) -> Result<Option<String>, String> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {REFRESH_ANNOTATION: wish}}}));
    let patched = target.api::<SyniverseToken>().patch(name, &PatchParams::default(), &patch).await;
    let resource = patched.map_err(|error| plain(&error))?;
    if resource.spec.suspend {
        return Err(format!("it is suspended: kubectl syniverse-token resume {name}"));
    }
    Ok(TokenView::new(&resource, Timestamp::now()).fingerprint().map(str::to_owned))
}

/// What became of it, as a sentence: an error where there was no answer in time.
async fn answer(
    target: &Target,
    name: &str,
    before: Option<&str>,
    wish: &str,
    patience: Duration,
) -> Result<String, String> {
    let (mut seen, mut last) = (target.follow(name), None);
    let handled = async {
        while let Some(resource) = seen.next().await {
            let handled = resource.status.as_ref().and_then(|status| status.last_handled_refresh.as_deref());
            if handled == Some(wish) {
                return Some(resource);
            }
            last = Some(resource);
        }
        None
    };
    let handled = tokio::time::timeout(patience, handled).await.ok().flatten();
    let times = Times::at(target.now().await, false);
    let waited = brief(SignedDuration::try_from(patience).unwrap_or_default());
    match (handled, last) {
        (Some(resource), _) => Ok(token(&TokenView::new(&resource, times.present()), before, &times)),
        (None, Some(resource)) => {
            let why = TokenView::new(&resource, times.present()).headline_text().map(|said| format!("; {said}"));
            Err(format!("no answer within {waited}{}", why.unwrap_or_default()))
        }
        (None, None) => Err(format!("the API server has shown nothing within {waited}")),
    }
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
