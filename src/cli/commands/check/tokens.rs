//! The tokens: what their statuses say is wrong.

use super::remedies::remedy;
use super::report::Report;
use crate::cli::commands::status::list;
use crate::cli::commands::target::Target;
use crate::cli::commands::terminal::Mark;
use crate::cli::commands::times::Times;
use crate::cli::commands::token::{Life, TokenView};
use crate::client::error::describe;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::reason::{Reason, Weight};

/// For as long a new resource, or a changed one, may wait for the operator to look at it.
const LOOKED_AT: SignedDuration = SignedDuration::from_secs(60);
/// Tokens named one by one.
const NAMED: usize = 50;

/// Checks those of all namespaces that its user may see; of one where it was named.
pub(super) async fn check(target: &Target, is_one_namespace: bool, report: &mut Report) {
    let all = if is_one_namespace { None } else { list(target, true).await.ok() };
    let resources = match all {
        Some(resources) => resources,
        None => match list(target, false).await {
            Ok(resources) => resources,
            Err(error) => {
                let detail =
                    format!("SyniverseTokens of {} could not be listed: {}", target.namespace, describe(&error));
                return report.warn("tokens", detail, "ask for the right to list syniversetokens");
            }
        },
    };
    let now = Timestamp::now();
    let (mut live, mut named) = (0_usize, 0_usize);
    for resource in &resources {
        let token = TokenView::new(resource, now);
        live += usize::from(token.is_ready());
        if token.mark() != Mark::Good || token.is_unseen() || token.is_overdue() {
            named += 1;
            if named <= NAMED {
                check_one(&token, report);
            }
        }
    }
    if named > NAMED {
        let detail = format!("{} more tokens have a problem", named - NAMED);
        report.bad("tokens", detail, "kubectl syniverse-token status -A --only failing");
    }
    report.good("tokens", format!("{live} of {} SyniverseTokens have a live token", resources.len()));
}

fn check_one(token: &TokenView<'_>, report: &mut Report) {
    let title = format!("{}/{}", token.namespace(), token.name());
    if token.is_unseen() {
        let is_fresh = touched(token.resource).is_some_and(|at| Timestamp::now().duration_since(at) < LOOKED_AT);
        let detail = format!("{title}: no operator has looked at it as it is now");
        let remedy = "does an operator run, lead, and have this namespace in watchNamespaces?";
        return if is_fresh { report.warn("unseen", detail, remedy) } else { report.bad("unseen", detail, remedy) };
    }
    if token.is_overdue() {
        let end = if let Life::Until(end) = token.life() { Times::now(false).left(end) } else { String::new() };
        let detail = format!("{title}: the token is {end}{}", said(token));
        return report.bad("dead", detail, token.reason().map_or("look at the operator above", remedy));
    }
    if token.is_suspended() {
        return report.warn("suspended", format!("{title} is suspended: its token runs out"), resume(token));
    }
    let reason = Reason::ALL.iter().copied().find(|reason| token.problem().is_some_and(|it| it.0 == reason.as_str()));
    let Some(reason) = reason.or(token.reason()) else { return };
    let detail = format!("{title}{}", said(token));
    let is_in_the_way = reason.weight() == Weight::Stall && reason.is_in_the_way();
    if token.is_ready() && !is_in_the_way {
        report.warn("reasons", detail, remedy(reason));
    } else {
        report.bad("reasons", detail, remedy(reason));
    }
}

fn resume(token: &TokenView<'_>) -> String {
    format!("kubectl syniverse-token resume -n {} {}", token.namespace(), token.name())
}

/// `: Reason: message`.
fn said(token: &TokenView<'_>) -> String {
    let said = token.problem().or_else(|| token.headline());
    said.map(|(reason, message)| format!(": {reason}: {message}")).unwrap_or_default()
}

/// When somebody changed it last, but for the operator's status.
fn touched(resource: &SyniverseToken) -> Option<Timestamp> {
    let fields = resource.managed_fields().iter().filter(|fields| fields.subresource.is_none());
    let changed = fields.filter_map(|fields| fields.time.as_ref()).map(|time| time.0).max();
    changed.or_else(|| resource.creation_timestamp().map(|time| time.0))
}
