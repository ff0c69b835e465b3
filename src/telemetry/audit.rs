//! The audit log: a line for each request to an issuer and each write of a Secret, a Pod or a workload. Losing it costs
//! lines, never a refresh.

use crate::settings::AuditTarget;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

mod record;
mod writer;

pub use record::{
    Action, AuditCause, AuditRecord, AuditedObject, AuditedResource, CONFLICT, Entry, FAILED, GONE, OUTCOMES_OF_WRITES,
    Phase, REFUSED, SUCCESS,
};

/// Lines that wait to be written, each below 1 KiB. More are dropped.
const MOST_WAITING: usize = 1024;
/// The longest that a request to an issuer waits for its line. A line takes some 10 µs, unless the disk hangs.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// The longest that the end of the process waits for the lines before it.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);
/// How long it waits for room in between.
const NEXT_TRY: Duration = Duration::from_millis(5);

/// The audit log of this process; nothing is made for one that is off.
#[derive(Clone, Default)]
pub struct AuditLog(Option<Arc<Log>>);

struct Log {
    process: String,
    lines: SyncSender<Message>,
    /// Of the last line. Held while a line is handed over, so that lines are in the log in their order.
    sequence: Mutex<u64>,
    losses: Losses,
}

/// What the writer is sent.
struct Message {
    sent: Instant,
    /// None for a mere question whether all before it is written.
    line: Option<Vec<u8>>,
    /// Told when it is written.
    written: Option<oneshot::Sender<()>>,
}

/// Lines that were lost: each is counted, and an outage is logged once.
#[derive(Clone)]
struct Losses {
    dropped: Counter,
    is_failing: Arc<AtomicBool>,
}

impl AuditLog {
    /// Starts to write lines of this process to `target`; lines that are never written are counted in `dropped`.
    pub fn start(target: AuditTarget, process: String, dropped: Counter) -> Self {
        let (lines, waiting) = sync_channel(MOST_WAITING);
        let losses = Losses { dropped, is_failing: Arc::default() };
        let writing = losses.clone();
        // A thread of its own: a write to a pipe that nobody reads never returns, and the runtime would wait for it.
        std::thread::spawn(move || writer::write(&target, &waiting, &writing));
        Self(Some(Arc::new(Log { process, lines, sequence: Mutex::default(), losses })))
    }

    /// True for a log that is written.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a line about something that was done.
    pub fn record(&self, entry: impl FnOnce() -> Entry) {
        if let Some(log) = &self.0 {
            log.send(entry(), None);
        }
    }

    /// Writes a line about something that is about to be done, and waits until it is with the kernel: it stays in the log
    /// if this process is killed right after. Returns its number; none when the log is off.
    pub async fn attempt(&self, entry: impl FnOnce() -> Entry) -> Option<u64> {
        let log = self.0.as_ref()?;
        let (written, is_written) = oneshot::channel();
        let sequence = log.send(entry(), Some(written));
        // A log that hangs, or is slow, delays the first request alone.
        if !log.losses.is_failing.load(Ordering::Relaxed)
            && tokio::time::timeout(LONGEST_WAIT, is_written).await.is_err()
        {
            log.losses.failing(&"a line takes too long to write");
        }
        Some(sequence)
    }

    /// Waits until all lines are written, for a short time.
    pub async fn flush(&self) {
        let Some(log) = &self.0 else { return };
        let flushed = async {
            let (written, is_written) = oneshot::channel();
            let mut question = Message { sent: Instant::now(), line: None, written: Some(written) };
            while let Err(TrySendError::Full(returned)) = log.lines.try_send(question) {
                question = returned;
                tokio::time::sleep(NEXT_TRY).await;
            }
            is_written.await
        };
        // It ends without its lines where they cannot be written: nothing else waits for them.
        let _ = tokio::time::timeout(LONGEST_FLUSH, flushed).await;
    }
}

impl Log {
    /// Numbers the line and hands it to the writer, without waiting.
    fn send(&self, entry: Entry, written: Option<oneshot::Sender<()>>) -> u64 {
        let mut sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        *sequence += 1;
        let record = AuditRecord { time: Timestamp::now(), sequence: *sequence, process: self.process.clone(), entry };
        match record.line() {
            Ok(line) => {
                if self.lines.try_send(Message { sent: Instant::now(), line: Some(line), written }).is_err() {
                    self.losses.lost(&"too many lines wait to be written");
                }
            }
            Err(error) => self.losses.lost(&error),
        }
        *sequence
    }
}

impl Losses {
    fn lost(&self, problem: &dyn std::fmt::Display) {
        self.dropped.inc();
        self.failing(problem);
    }

    fn failing(&self, problem: &dyn std::fmt::Display) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %problem, "the audit log cannot be written: lines that are lost are counted");
        }
    }

    fn recovered(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!(lost = self.dropped.get(), "the audit log is written again");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use syniverse_token_core::issuer::Cause;

    fn entry() -> Entry {
        let resource = AuditedResource {
            namespace: "n".to_owned(),
            name: "messaging".to_owned(),
            uid: "u".to_owned(),
            generation: 3,
        };
        Entry::new(Action::IssuingCall, Phase::Attempt, resource, AuditCause::Request(Cause::Boundary))
    }

    fn started(target: AuditTarget) -> (AuditLog, Counter) {
        let dropped = Counter::default();
        (AuditLog::start(target, "pod_0123abcd".to_owned(), dropped.clone()), dropped)
    }

    fn numbers(text: &str) -> Vec<u64> {
        let parsed = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        parsed.map(|line| line["sequence"].as_u64().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_attempt_is_in_the_file_when_it_may_begin() {
        let folder = Folder::new("attempt");
        let (log, dropped) = started(AuditTarget::File(folder.path("audit.log")));
        assert_eq!(log.attempt(entry).await, Some(1));
        assert_eq!(numbers(&folder.read("audit.log")), [1]);
        assert_eq!(fs::metadata(folder.path("audit.log")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(dropped.get(), 0);
    }

    #[tokio::test]
    async fn lines_of_many_at_once_are_in_the_file_in_their_order() {
        let folder = Folder::new("order");
        let (log, dropped) = started(AuditTarget::File(folder.path("audit.log")));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..5000).for_each(|_| log.record(entry)));
            }
        });
        log.flush().await;
        let numbers = numbers(&folder.read("audit.log"));
        assert!(numbers.is_sorted());
        assert_eq!(numbers.len() as u64 + dropped.get(), 8 * 5000);
    }

    #[tokio::test]
    async fn a_file_that_is_renamed_or_deleted_is_made_anew() {
        let folder = Folder::new("renamed");
        let (log, dropped) = started(AuditTarget::File(folder.path("audit.log")));
        log.attempt(entry).await;
        fs::rename(folder.path("audit.log"), folder.path("audit.log.1")).unwrap();
        log.attempt(entry).await;
        assert_eq!([numbers(&folder.read("audit.log.1")), numbers(&folder.read("audit.log"))], [[1], [2]]);
        fs::remove_file(folder.path("audit.log")).unwrap();
        log.attempt(entry).await;
        assert_eq!(numbers(&folder.read("audit.log")), [3]);
        assert_eq!(dropped.get(), 0);
    }

    #[tokio::test]
    async fn a_full_disk_costs_lines_that_are_counted_and_nothing_else() {
        let (log, dropped) = started(AuditTarget::File("/dev/full".into()));
        for number in 1..=3 {
            assert_eq!(log.attempt(entry).await, Some(number));
        }
        log.record(entry);
        log.flush().await;
        assert_eq!(dropped.get(), 4);
    }

    #[tokio::test]
    async fn a_place_that_comes_later_is_written_to_from_then_on() {
        let folder = Folder::new("later");
        let (log, dropped) = started(AuditTarget::File(folder.path("later/audit.log")));
        log.attempt(entry).await;
        fs::create_dir(folder.path("later")).unwrap();
        log.attempt(entry).await;
        log.flush().await;
        assert_eq!((numbers(&folder.read("later/audit.log")), dropped.get()), (vec![2], 1));
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_delays_one_attempt_and_holds_a_bounded_number_of_lines() {
        let folder = Folder::new("pipe");
        let pipe = folder.path("audit.log");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Kept open, so that it can be opened for writing; nothing reads it.
        let _reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let (log, dropped) = started(AuditTarget::File(pipe));
        // A pipe holds 64 KiB.
        let sent = 64 * 1024 / 200 + MOST_WAITING + 100;
        let begun = std::time::Instant::now();
        for _ in 0..sent {
            log.record(entry);
        }
        log.attempt(entry).await;
        log.attempt(entry).await;
        assert!(dropped.get() > 0, "{}", dropped.get());
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_pipe_that_is_closed_costs_lines_and_nothing_else() {
        let folder = Folder::new("closed");
        let pipe = folder.path("audit.log");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let (log, dropped) = started(AuditTarget::File(pipe));
        assert_eq!((log.attempt(entry).await, dropped.get()), (Some(1), 0));
        drop(reader);
        assert_eq!((log.attempt(entry).await, dropped.get()), (Some(2), 1));
    }

    #[tokio::test]
    async fn a_line_that_an_earlier_process_left_in_part_stays_apart() {
        let folder = Folder::new("torn");
        fs::write(folder.path("audit.log"), "{\"sequence\": 1").unwrap();
        let (log, _) = started(AuditTarget::File(folder.path("audit.log")));
        log.attempt(entry).await;
        let text = folder.read("audit.log");
        let (torn, rest) = text.split_once('\n').unwrap();
        assert_eq!((torn, numbers(rest)), ("{\"sequence\": 1", vec![1]));
    }

    #[test]
    fn a_line_that_is_written_late_ends_no_outage() {
        let folder = Folder::new("late");
        for (age, is_failing) in [(Duration::ZERO, false), (LONGEST_WAIT, true)] {
            let losses = Losses { dropped: Counter::default(), is_failing: Arc::new(AtomicBool::new(true)) };
            let (lines, waiting) = sync_channel(1);
            let sent = Instant::now().checked_sub(age).unwrap();
            lines.send(Message { sent, line: Some(b"{}\n".to_vec()), written: None }).unwrap();
            drop(lines);
            writer::write(&AuditTarget::File(folder.path("audit.log")), &waiting, &losses);
            assert_eq!(losses.is_failing.load(Ordering::Relaxed), is_failing, "{age:?}");
        }
    }

    #[tokio::test]
    async fn a_log_that_is_off_makes_no_line() {
        let log = AuditLog::default();
        log.record(|| unreachable!());
        assert_eq!(log.attempt(|| unreachable!()).await, None);
        log.flush().await;
    }

    /// A folder of a test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("audit-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
