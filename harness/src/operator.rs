//! The built operator as a process that tests can kill, stop and start again.

use std::{fs, path::PathBuf, process::Command, process::ExitStatus, thread, time::Duration};

use crate::{Process, Result, Scratch, process::tail, wait_for};

/// A program under test. Its output, stdout and stderr of all its starts together, goes to one file, whose end is shown
/// when a test panics. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    // Dropped before the folder that holds its log.
    process: Process,
    command: Command,
    log: PathBuf,
    _scratch: Scratch,
}

impl Operator {
    /// Starts `command`: the path from `env!("CARGO_BIN_EXE_syniverse-token-operator")`, arguments and environment. It
    /// is not waited for: use `wait_for` or `wait_for_log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: Command) -> Result<Self> {
        let scratch = Scratch::new()?;
        let log = scratch.path().join("operator.log");
        Ok(Self { process: Process::spawn(&command, &log)?, command, log, _scratch: scratch })
    }

    /// The process id, which changes with each restart.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it at once (SIGKILL) and waits for its end.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// `TimedOut` if it still runs after `timeout`; `Ended` if it was killed before.
    pub async fn stop(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.process.signal("TERM")?;
        self.process.wait(timeout).await
    }

    /// Starts it again with the same arguments, environment and log; kills it first (SIGKILL) if it still runs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = Process::spawn(&self.command, &self.log)?;
        Ok(())
    }

    /// The process itself, to freeze it (`STOP`, `CONT`) or ask how it ended.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Everything that it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `text` stands in the log.
    ///
    /// # Errors
    /// `Ended` if the operator ends before; `TimedOut` if the text does not appear in time.
    pub async fn wait_for_log(&mut self, text: &str, timeout: Duration) -> Result<()> {
        let what = format!("{text:?} in the operator's log");
        wait_for(&what, timeout, async || {
            // Asked in this order, so that the last words of a process that ended are seen.
            let ended = self.process.check_running().err();
            if self.log().contains(text) { Some(Ok(())) } else { ended.map(Err) }
        })
        .await?
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the operator's log ends with:\n{}", tail(&self.log));
        }
    }
}
