//! Why a harness call failed, with enough of it to see the cause without opening a log.

use std::{io, path::PathBuf, time::Duration};

/// A failure to start, reach or operate what a test runs against.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("failed to {doing}: {source}")]
    Io {
        /// What was attempted, as a verb and its object.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("{program} failed: {stderr}")]
    Failed {
        /// The program and its arguments.
        program: String,
        /// What it said.
        stderr: String,
    },
    /// A process that should keep running ended; `log` is the end of its output.
    #[error("{name} ended before it was ready; its log ends with:\n{log}")]
    Ended {
        /// The process.
        name: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// A condition did not come true in time.
    #[error("waited {timeout:?} in vain for {what}")]
    TimedOut {
        /// The condition.
        what: String,
        /// How long it was given.
        timeout: Duration,
    },
    /// Servers run, and are not ready in time; `logs` are the ends of their outputs.
    #[error("waited {timeout:?} in vain for {what}, of which was last said: {said}\nthe logs end with:\n{logs}")]
    NotReady {
        /// What was waited for.
        what: String,
        /// How long it was given.
        timeout: Duration,
        /// The last answer to the question whether it is ready.
        said: String,
        /// The last lines that each server wrote.
        logs: String,
    },
    /// No unused port was found.
    #[error("failed to find a free loopback port below the range that the kernel hands out")]
    NoFreePort,
    /// A kubeconfig could not be used.
    #[error("failed to read the kubeconfig {path}: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: kube::config::KubeconfigError,
    },
    /// etcd told something that is not a change of an object.
    #[error("failed to read what etcd tells: {0}")]
    Store(String),
    /// A certificate could not be made.
    #[error("failed to make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// An OAuth2 server did not do what it was asked for.
    #[error("failed to {doing}: {server} answered {answer}")]
    Refused {
        /// What was attempted, as a verb and its object.
        doing: String,
        /// Its name.
        server: &'static str,
        /// Its status and body.
        answer: String,
    },
    /// The API server refused or could not be reached.
    #[error("failed to ask the API server: {0}")]
    Kube(#[from] kube::Error),
}

impl Error {
    /// Turns a system error into one that says what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
