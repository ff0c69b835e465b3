//! What happened to a SyniverseToken.

use super::Verdict;
use super::target::{Target, TargetArguments};
use super::terminal::{self, Terminal};
use super::times::Times;
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;

/// The arguments of `events`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The SyniverseToken
    name: String,
    /// Show times in UTC
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    target: TargetArguments,
}

/// Runs `events`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let target = arguments.target.open()?;
    let events = of(&target, &arguments.name).await?;
    if events.is_empty() {
        say!("nothing in the last hour, for which the API server keeps Events by default");
    } else {
        terminal::write(&table(Terminal::stdout(), &Times::at(target.now().await, arguments.utc), &events));
    }
    Ok(Verdict::Good)
}

/// The Events about a SyniverseToken, the latest last.
pub(super) async fn of(target: &Target, name: &str) -> kube::Result<Vec<Event>> {
    let about = format!("involvedObject.kind=SyniverseToken,involvedObject.name={name}");
    let mut events = target.api::<Event>().list(&ListParams::default().fields(&about)).await?.items;
    events.sort_by_key(last_seen);
    Ok(events)
}

/// The table of Events.
pub(super) fn table(terminal: Terminal, times: &Times, events: &[Event]) -> String {
    let row = |event: &Event| {
        let seen = last_seen(event).map(|time| times.ago(time)).unwrap_or_default();
        let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1).max(1);
        let [kind, reason, message] =
            [&event.type_, &event.reason, &event.message].map(|text| text.clone().unwrap_or_default());
        vec![seen, kind, reason, format!("{count}"), message]
    };
    terminal.table(&["LAST SEEN", "TYPE", "REASON", "TIMES", "MESSAGE"], &events.iter().map(row).collect::<Vec<_>>())
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let moment = event.event_time.as_ref().map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    series.max(last).or(moment).or(made)
}
