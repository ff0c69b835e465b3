//! The tokens: what their statuses say is wrong.

use super::remedies::remedy;
use super::report::Report;
use crate::cli::commands::plain;
use crate::cli::commands::target::Target;
use crate::cli::commands::token::{TokenView, Trouble, TroubleKind};
use jiff::Timestamp;
use kube::api::ListParams;
use std::cmp::Reverse;
use syniverse_token_core::api::SyniverseToken;

/// Tokens named one by one.
const NAMED: usize = 50;

/// Checks those of all namespaces, or of the one that was named or is all that its user may see.
pub(super) async fn check(target: &Target, is_one_namespace: bool, now: Timestamp, report: &mut Report) {
    let (place, resources) = match list(target, is_one_namespace).await {
        Ok(found) => found,
        Err(error) => {
            let detail = format!("the SyniverseTokens of {} could not be listed: {}", target.namespace, plain(&error));
            return report.unseen("tokens", detail, "ask for the right to list syniversetokens");
        }
    };
    let tokens: Vec<_> = resources.iter().map(|resource| TokenView::new(resource, now)).collect();
    let mut troubled: Vec<_> = tokens.iter().filter_map(|token| Some((token, token.trouble()?))).collect();
    troubled.sort_by_key(|(_, trouble)| Reverse(trouble.mark));
    let (named, others) = troubled.split_at(troubled.len().min(NAMED));
    named.iter().for_each(|(token, trouble)| tell(token, trouble, report));
    if let Some((_, worst)) = others.first() {
        let detail = format!("{} more tokens have a problem", others.len());
        report.add_with("tokens", worst.mark, detail, "kubectl syniverse-token status -A");
    }
    let live = tokens.iter().filter(|token| token.is_ready()).count();
    report.good("tokens", format!("{live} of {} SyniverseTokens of {place} have a live token", tokens.len()));
}

/// Those that are looked at, and where.
pub(super) async fn list(target: &Target, is_one_namespace: bool) -> kube::Result<(String, Vec<SyniverseToken>)> {
    if !is_one_namespace && let Ok(all) = target.list(true, ListParams::default()).await {
        return Ok(("all namespaces".to_owned(), all));
    }
    Ok((format!("namespace {}", target.namespace), target.list(false, ListParams::default()).await?))
}

fn tell(token: &TokenView<'_>, trouble: &Trouble, report: &mut Report) {
    let detail = format!("{}/{}: {}", token.namespace(), token.name(), trouble.text);
    let named = format!("-n {} {}", token.namespace(), token.name());
    let (id, remedy) = match trouble.kind {
        TroubleKind::Suspended => ("suspended", format!("kubectl syniverse-token resume {named}")),
        TroubleKind::Dead => {
            ("dead", "does an operator run and lead? See above; then mend what the status says".to_owned())
        }
        TroubleKind::Unseen => {
            ("unseen", "does an operator run, lead, and have this namespace in watchNamespaces?".to_owned())
        }
        TroubleKind::Reason(reason) => {
            let known = reason.and_then(remedy).map(str::to_owned);
            ("reasons", known.unwrap_or_else(|| format!("kubectl syniverse-token status {named}")))
        }
    };
    report.add_with(id, trouble.mark, detail, remedy);
}
