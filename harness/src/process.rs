//! One child process, supervised: it cannot outlive whoever started it.
//!
//! A death signal set by `prctl` follows the *thread* that spawned, and a test's thread ends early. A pipe does not:
//! the kernel closes it when the process is gone, however it went, and a small shell at its other end does the rest.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::{Error, Result, wait_for};

const SUPERVISE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/process/supervise.sh");
const LOG_TAIL: usize = 20;

/// A running program whose output goes to a file. Dropping it kills it (SIGKILL) and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    id: u32,
    log: PathBuf,
    supervisor: Child,
    signals: Option<ChildStdin>,
}

impl Process {
    /// Starts `command` with its arguments, environment and folder (its standard streams are not used), appending its
    /// output to `log`.
    ///
    /// # Errors
    /// If the supervising shell cannot be started. A program that does not exist shows as one that ended, status 127.
    pub fn spawn(command: &Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let starting = || Error::io(format!("start {name}"));
        let mut supervisor = supervised(command, log).spawn().map_err(starting())?;
        let signals = supervisor.stdin.take();
        let mut id = String::new();
        if let Some(stdout) = supervisor.stdout.take() {
            BufReader::new(stdout).read_line(&mut id).map_err(starting())?;
        }
        let id = id.trim().parse().map_err(|_| Error::Ended { name: name.clone(), log: tail(log) })?;
        Ok(Self { name, id, log: log.to_owned(), supervisor, signals })
    }

    /// The process id of the program itself.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal by its name without SIG: `TERM`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// If the program has ended.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        let Some(signals) = &mut self.signals else { return Err(self.ended()) };
        writeln!(signals, "{name}").map_err(Error::io(format!("send {name} to {}", self.name)))
    }

    /// The exit status, once the program has ended; a signal's number is reported as 128 + number.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.supervisor.try_wait().map_err(Error::io(format!("ask whether {} runs", self.name)))
    }

    /// Waits until the program has ended of itself.
    ///
    /// # Errors
    /// `TimedOut` if it still runs after `timeout`.
    pub async fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait_for(&what, timeout, async || self.status().transpose()).await?
    }

    /// Kills the program at once (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        drop(self.signals.take());
        // Fails only if there is nothing left to wait for.
        let _ = self.supervisor.wait();
    }

    /// Fails if the program has ended, with the end of its log.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if self.status()?.is_some() { Err(self.ended()) } else { Ok(()) }
    }

    /// The last lines that it has written.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    fn ended(&self) -> Error {
        Error::Ended { name: self.name.clone(), log: tail(&self.log) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The same command under the supervising shell, in a process group of its own so that a terminal's Ctrl-C reaches only
/// whoever started it.
fn supervised(command: &Command, log: &Path) -> Command {
    let mut supervised = Command::new("/bin/sh");
    supervised.arg(SUPERVISE).arg(log).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => supervised.env(name, value),
            None => supervised.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        supervised.current_dir(folder);
    }
    supervised.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    supervised
}

/// The last lines of a log; empty if it cannot be read.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
}
