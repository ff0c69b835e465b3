//! Readiness and liveness of this process, for the probes of the kubelet.

use std::collections::HashMap;
use std::time::Duration;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;

/// Delay after which a pass that should have been aborted, or a queue that is not looked at, shows that the process is
/// stuck.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Progress of the watches and passes.
#[derive(Debug, Default)]
pub struct Progress {
    /// Watches that have not completed their first list.
    unlisted: usize,
    is_stopping: bool,
    /// Passes that run, since when.
    running: HashMap<ObjectName, Moment>,
    /// When the queue of passes was last looked at.
    looked: Option<Moment>,
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
        self.running.insert(name.clone(), now);
    }

    /// A pass has ended.
    pub fn pass_ended(&mut self, name: &ObjectName) {
        self.running.remove(name);
    }

    /// The queue of passes is looked at, which happens every few seconds.
    pub fn looked_at_queue(&mut self, now: Moment) {
        self.looked = Some(now);
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
        let is_old = |since: Moment, longest: Duration| since + longest + STUCK_AFTER < now;
        let mut running = self.running.iter().filter(|(_, since)| is_old(**since, longest_pass));
        let pass = running
            .next()
            .map(|(name, _)| format!("a pass has not ended in time: {}/{}", name.namespace(), name.name()));
        let is_idle = self.looked.is_some_and(|looked| is_old(looked, Duration::ZERO));
        pass.or_else(|| is_idle.then(|| "no pass begins any more".to_owned()))
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
        ObjectName::new("n", "messaging")
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
    fn a_pass_that_does_not_end_is_named() {
        let mut progress = Progress::default();
        progress.pass_started(&name(), at(0));
        assert_eq!(stuck(&progress, 180), None);
        assert_eq!(stuck(&progress, 181).unwrap(), "a pass has not ended in time: n/messaging");
        progress.pass_ended(&name());
        assert_eq!(stuck(&progress, 9999), None);
    }

    #[test]
    fn a_queue_that_nobody_looks_at_is_told() {
        let mut progress = Progress::default();
        assert_eq!(stuck(&progress, 9999), None, "before the start");
        progress.looked_at_queue(at(10));
        assert_eq!(stuck(&progress, 130), None);
        assert!(stuck(&progress, 131).is_some());
    }
}
