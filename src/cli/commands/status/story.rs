//! All about one token.

use crate::cli::commands::Verdict;
use crate::cli::commands::consumers::{self, Pods};
use crate::cli::commands::events;
use crate::cli::commands::target::Target;
use crate::cli::commands::terminal::{self, Terminal};
use crate::cli::commands::times::Times;
use crate::cli::commands::token::{Life, TokenView};
use syniverse_token_core::api::{IssuerSpec, SyniverseToken};

/// Events that are told.
const EVENTS: usize = 8;

pub(super) async fn tell(target: &Target, name: &str, is_utc: bool) -> anyhow::Result<Verdict> {
    let resource = target.api::<SyniverseToken>().get(name).await?;
    let (times, terminal) = (Times::at(target.now().await, is_utc), Terminal::stdout());
    let token = TokenView::new(&resource, times.present());
    for (title, text) in facts(&token, &times, terminal) {
        say!("{title:<10} {text}");
    }
    let pods = Pods::list(target, false).await;
    let users = pods.as_ref().map(|pods| pods.consumers(&token, times.present())).unwrap_or_default();
    if !users.is_empty() {
        terminal::write(&format!("\n{}", consumers::table(terminal, &users)));
    }
    let mut events = events::of(target, name).await.unwrap_or_default();
    let old = events.len().saturating_sub(EVENTS);
    let events = events.split_off(old);
    if !events.is_empty() {
        terminal::write(&format!("\n{}", events::table(terminal, &times, &events)));
    }
    Ok(if token.is_as_wanted() { Verdict::Good } else { Verdict::Bad })
}

fn facts(token: &TokenView<'_>, times: &Times, terminal: Terminal) -> Vec<(&'static str, String)> {
    let resource = token.resource;
    let mut facts = vec![("name", format!("{} in namespace {}", token.name(), token.namespace()))];
    let said = token.headline_text().unwrap_or_else(|| "no status yet".to_owned());
    let since = token.ready_since().map(|since| format!(" (since {})", times.clock(since))).unwrap_or_default();
    facts.push(("ready", format!("{} {said}{since}", terminal.mark(token.mark()))));
    let trouble = token.trouble().map(|trouble| trouble.text).filter(|trouble| *trouble != said);
    facts.extend(trouble.map(|trouble| ("problem", trouble)));
    let fingerprint = token.fingerprint().unwrap_or("none yet");
    facts.push(("token", format!("{fingerprint} in Secret {}, key {}", resource.secret_name(), resource.spec.key())));
    let issued = token.issued().map(|issued| format!(", issued {}", times.ago(issued))).unwrap_or_default();
    facts.push(match token.life() {
        Life::None => ("left", "-".to_owned()),
        Life::Endless => ("left", format!("endless{issued}")),
        Life::Until(end) => ("left", format!("{}, until {}{issued}", times.left(end), times.clock(end))),
    });
    let next = token.next().map(|(time, purpose)| format!("{purpose} at {}", times.clock(time)));
    facts.push(("next", next.unwrap_or_else(|| "no planned request".to_owned())));
    facts.extend(resource.spec.issuer().map(|issuer| ("issuer", described(issuer))));
    facts.extend(delivery(resource, times).map(|said| ("delivered", said)));
    facts
}

fn described(issuer: IssuerSpec<'_>) -> String {
    let kind = match issuer {
        IssuerSpec::Application(_) => "application",
        IssuerSpec::Session(_) => "session",
        IssuerSpec::ClientCredentials(_) => "client credentials",
    };
    let standby = issuer.standby_secret().map(|secret| format!(", standby in Secret {secret}")).unwrap_or_default();
    format!("{kind}, credentials in Secret {}{standby}", issuer.credentials_secret())
}

fn delivery(resource: &SyniverseToken, times: &Times) -> Option<String> {
    let said = resource.status.as_ref()?.propagation.as_deref()?;
    let token = said.fingerprint.as_deref().unwrap_or("none");
    let when = said.time.as_ref().and_then(|time| time.parse().ok()).map(|time| format!(" {}", times.ago(time)));
    let pods = said.pods.map(|pods| format!(", told {pods} Pods")).unwrap_or_default();
    let restarted =
        if said.workloads.is_empty() { String::new() } else { format!(", restarted {}", said.workloads.join(", ")) };
    Some(format!("token {token}{}{pods}{restarted}", when.unwrap_or_default()))
}
