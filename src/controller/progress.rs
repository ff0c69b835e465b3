//! Whether this process is ready and alive: what the probes of the kubelet ask.

use std::collections::HashMap;
use std::time::Duration;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;

/// A pass that runs for so long after it should have been given up, or begins so long after its time, shows that nothing
/// moves any more.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// How far things have come.
#[derive(Debug, Default)]
pub struct Progress {
    /// Watches that have not shown everything yet.
    unlisted: usize,
    is_stopping: bool,
    /// Passes that run, since when.
    running: HashMap<ObjectName, Moment>,
    /// When the next pass is to begin.
    due: HashMap<ObjectName, Moment>,
}

impl Progress {
    /// So many watches begin.
    pub fn expect_watches(&mut self, count: usize) {
        self.unlisted += count;
    }

    /// One of them has shown everything for the first time.
    pub fn watch_listed(&mut self) {
        self.unlisted = self.unlisted.saturating_sub(1);
    }

    /// The process was told to stop.
    pub fn set_stopping(&mut self) {
        self.is_stopping = true;
    }

    /// A pass begins.
    pub fn pass_started(&mut self, name: &ObjectName, now: Moment) {
        self.due.remove(name);
        self.running.insert(name.clone(), now);
    }

    /// A pass has ended, and the next one is to begin at `due`; none = when something changes.
    pub fn pass_ended(&mut self, name: &ObjectName, due: Option<Moment>) {
        self.running.remove(name);
        self.due.extend(due.map(|due| (name.clone(), due)));
    }

    /// Forgets a resource that is gone, or for which this process no longer acts.
    pub fn forget(&mut self, name: &ObjectName) {
        self.due.remove(name);
    }

    /// Why this process is not ready, if it is not.
    pub fn not_ready(&self) -> Option<String> {
        match self {
            Self { is_stopping: true, .. } => Some("told to stop".to_owned()),
            Self { unlisted: 0, .. } => None,
            Self { unlisted, .. } => Some(format!("{unlisted} watches have not shown everything yet")),
        }
    }

    /// Why this process is no longer alive, if it is not, where a pass may take up to `longest_pass`.
    pub fn stuck(&self, now: Moment, longest_pass: Duration) -> Option<String> {
        let is_old = |(_, since): &(&ObjectName, &Moment)| **since + longest_pass + STUCK_AFTER < now;
        let told = |what: &str, name: &ObjectName| format!("{what} {}/{}", name.namespace, name.name);
        let running = self.running.iter().find(is_old).map(|(name, _)| told("a pass does not end:", name));
        running.or_else(|| self.due.iter().find(is_old).map(|(name, _)| told("a pass does not begin:", name)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn stuck(progress: &Progress, seconds: u64) -> Option<String> {
        progress.stuck(at(seconds), Duration::from_secs(60))
    }

    fn name() -> ObjectName {
        ObjectName { namespace: "n".into(), name: "messaging".into() }
    }

    #[test]
    fn it_is_ready_when_all_watches_have_shown_everything_and_until_it_is_told_to_stop() {
        let mut progress = Progress::default();
        progress.expect_watches(2);
        progress.watch_listed();
        assert_eq!(progress.not_ready().unwrap(), "1 watches have not shown everything yet");
        progress.watch_listed();
        assert_eq!(progress.not_ready(), None);
        progress.set_stopping();
        assert!(progress.not_ready().is_some());
    }

    #[test]
    fn a_pass_that_does_not_end_or_does_not_begin_is_named() {
        let mut progress = Progress::default();
        progress.pass_started(&name(), at(0));
        assert_eq!(stuck(&progress, 180), None);
        assert_eq!(stuck(&progress, 181).unwrap(), "a pass does not end: n/messaging");
        progress.pass_ended(&name(), Some(at(200)));
        assert_eq!(stuck(&progress, 380), None);
        assert_eq!(stuck(&progress, 381).unwrap(), "a pass does not begin: n/messaging");
        progress.pass_started(&name(), at(381));
        progress.pass_ended(&name(), None);
        assert_eq!(stuck(&progress, 9999), None);
    }

    #[test]
    fn nothing_is_due_for_a_resource_that_is_forgotten() {
        let mut progress = Progress::default();
        progress.pass_ended(&name(), Some(at(0)));
        assert!(stuck(&progress, 500).is_some());
        progress.forget(&name());
        assert_eq!(stuck(&progress, 500), None);
    }
}
