//! Suspends and resumes.

use super::Verdict;
use super::plain;
use super::target::TargetArguments;
use clap::Args;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

/// The arguments of `suspend` and `resume`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The SyniverseTokens
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    target: TargetArguments,
}

/// Runs `suspend` or `resume`. All are tried, also after one that fails.
pub(super) async fn run(arguments: Arguments, suspend: bool) -> anyhow::Result<Verdict> {
    let api = arguments.target.open()?.api::<SyniverseToken>();
    let mut verdict = Verdict::Good;
    for name in &arguments.names {
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        match api.patch(name, &PatchParams::default(), &patch).await {
            Ok(resource) => say!("{name}: {}", said(&resource, suspend)),
            Err(error) => {
                eprintln!("{name}: {}", plain(&error));
                verdict = Verdict::Bad;
            }
        }
    }
    Ok(verdict)
}

fn said(resource: &SyniverseToken, suspend: bool) -> String {
    if !suspend {
        return "resumed".to_owned();
    }
    let end = resource.status.as_ref().and_then(|status| status.expiration_time.clone());
    end.map_or_else(|| "suspended".to_owned(), |end| format!("suspended; its token runs out at {end}"))
}
