//! What a process hears of changes: in order, a little after they happened, and sometimes late, twice or not at all.

use crate::fault::{BROKEN, Fault, LATE, PointKind};
use crate::judge::{Change, Kind};
use crate::world::{Inside, Point};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// After the answer to the writer.
const USUAL_DELAY: Duration = Duration::from_millis(5);

#[derive(Clone, Debug)]
pub(crate) enum Told {
    Is(Value),
    Deleted(Value),
    /// The watch begins anew: what there is now is listed.
    ListAgain,
}

/// The sending end of one watch of one process.
pub(crate) struct Feed {
    process: String,
    kind: Kind,
    sender: mpsc::UnboundedSender<(Instant, Told)>,
    broken_until: Option<Instant>,
    /// It waits for versions that the store had before it was set back.
    is_deaf: bool,
}

/// The end of a watch that a process holds.
pub(crate) struct Watch(mpsc::UnboundedReceiver<(Instant, Told)>);

impl Watch {
    /// A watch that begins with a list.
    pub(crate) fn open(inside: &mut Inside, process: &str, kind: Kind) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send((Instant::now(), Told::ListAgain)).unwrap();
        inside.feeds.push(Feed { process: process.to_owned(), kind, sender, broken_until: None, is_deaf: false });
        Self(receiver)
    }

    pub(crate) async fn next(&mut self) -> Option<Told> {
        let (at, told) = self.0.recv().await?;
        sleep_until(at).await;
        Some(told)
    }
}

impl Feed {
    pub(crate) fn is_of(&self, process: &str) -> bool {
        self.process == process
    }

    /// Nothing is heard until the watch begins anew by itself.
    pub(crate) fn deafen(&mut self) {
        self.is_deaf = true;
    }

    /// It begins anew with a list.
    pub(crate) fn begins_anew(&mut self, process: &str, kind: Kind) {
        if self.is_of(process) && self.kind == kind {
            self.is_deaf = false;
            let _ = self.sender.send((Instant::now(), Told::ListAgain));
        }
    }

    /// Nothing is heard for a while, and then a list.
    pub(crate) fn breaks(&mut self, silence: Duration) {
        let until = Instant::now() + silence;
        self.broken_until = Some(until);
        // A closed watch is dropped with the next change.
        let _ = self.sender.send((until, Told::ListAgain));
    }

    /// Tells of a change; false when nobody listens any more.
    pub(crate) fn tell(&mut self, inside: &mut Inside, now: Timestamp, change: &Change) -> bool {
        if self.sender.is_closed() {
            return false;
        }
        let at = Instant::now() + USUAL_DELAY;
        if self.is_deaf || change.key.kind != self.kind || self.broken_until.is_some_and(|until| at < until) {
            return true;
        }
        let told = match (&change.is, &change.was) {
            (Some(is), _) => Told::Is(is.clone()),
            (None, was) => Told::Deleted(was.clone().unwrap_or_default()),
        };
        let deed = if change.is.is_some() { "change" } else { "deletion" };
        let request = format!("watch: {deed} of {:?} {}", self.kind, change.key.name);
        let fault = inside.point(now, &self.process, Point { request, kind: PointKind::Event }, Duration::ZERO);
        let events = match fault {
            Some(Fault::EventLate) => vec![(at + LATE, told)],
            Some(Fault::EventTwice) => vec![(at, told.clone()), (at, told)],
            Some(Fault::WatchBreaks) => {
                self.breaks(BROKEN);
                Vec::new()
            }
            _ => vec![(at, told)],
        };
        events.into_iter().all(|event| self.sender.send(event).is_ok())
    }
}
