//! Readiness and liveness of this process, for the probes of the kubelet.

use std::collections::HashMap;
use std::time::Duration;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;

/// Delay after which a pass that should have been aborted, or started, shows that the process is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Progress of the watches and passes.
#[derive(Debug, Default)]
pub struct Progress {
    /// Watches that have not completed their first list.
    unlisted: usize,
    is_stopping: bool,
    /// Passes that run, since when.
    running: HashMap<ObjectName, Moment>,
    /// When the next pass is to begin.
    due: HashMap<ObjectName, Moment>,
}

impl Progress {
    /// Notes that so many watches start.
    pub fn expect_watches(&mut self, count: usize) {
        self.unlisted += count;
    }

    /// Notes that a watch has completed its first list.
    pub fn watch_listed(&mut self) {
        self.unlisted = self.unlisted.saturating_sub(1);
    }

    /// The process is stopping.
    pub fn set_stopping(&mut self) {
        self.is_stopping = true;
    }

    /// A pass begins.
    pub fn pass_started(&mut self, name: &ObjectName, now: Moment) {
        self.due.remove(name);
        self.running.insert(name.clone(), now);
    }

    /// A pass has ended, and the next is to start at `due`; none = when something changes.
    pub fn pass_ended(&mut self, name: &ObjectName, due: Option<Moment>) {
        self.running.remove(name);
        self.due.extend(due.map(|due| (name.clone(), due)));
    }

    /// Forgets a resource that is gone, or for which this process no longer acts.
    pub fn forget(&mut self, name: &ObjectName) {
        self.due.remove(name);
    }

    /// Why this process is not ready, if so.
    pub fn not_ready(&self) -> Option<String> {
        match self {
            Self { is_stopping: true, .. } => Some("stopping".to_owned()),
            Self { unlisted: 0, .. } => None,
            Self { unlisted, .. } => Some(format!("{unlisted} watches have not completed their first list")),
        }
    }

    /// Why this process is stuck, if so, where a pass may take up to `longest_pass`.
    pub fn stuck(&self, now: Moment, longest_pass: Duration) -> Option<String> {
        let is_old = |(_, since): &(&ObjectName, &Moment)| **since + longest_pass + STUCK_AFTER < now;
        let told = |what: &str, name: &ObjectName| format!("{what} {}/{}", name.namespace, name.name);
        let running = self.running.iter().find(is_old).map(|(name, _)| told("a pass has not ended in time:", name));
        running.or_else(|| self.due.iter().find(is_old).map(|(name, _)| told("a pass has not started in time:", name)))
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
        assert_eq!(progress.not_ready().unwrap(), "1 watches have not completed their first list");
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
        assert_eq!(stuck(&progress, 181).unwrap(), "a pass has not ended in time: n/messaging");
        progress.pass_ended(&name(), Some(at(200)));
        assert_eq!(stuck(&progress, 380), None);
        assert_eq!(stuck(&progress, 381).unwrap(), "a pass has not started in time: n/messaging");
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
