//! What the process says of what it does: log lines and the audit log.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;

/// The flags of logs.
#[derive(Args)]
pub(super) struct LogArguments {
    /// Lowest level to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "SYNIVERSE_TOKEN_OPERATOR_LOG_LEVEL", default_value = "info")]
    pub(super) log_level: LevelFilter,
    /// Format of log lines
    #[arg(long, value_name = "FORMAT", env = "SYNIVERSE_TOKEN_OPERATOR_LOG_FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
    /// A file to append a JSON line to for each request to an issuer and each write of a Secret, a Pod or a workload; - is
    /// standard output [default: none]
    #[arg(long, value_name = "FILE|-", env = "SYNIVERSE_TOKEN_OPERATOR_AUDIT_LOG", value_parser = audit_target)]
    pub(super) audit_log: Option<AuditTarget>,
}

/// Log settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The lowest level.
    pub level: LevelFilter,
    /// Their form.
    pub format: LogFormat,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object per line.
    Json,
}

/// Destination of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Standard output, on which nothing else is written.
    StandardOutput,
    /// A file, appended to.
    File(PathBuf),
}

fn audit_target(text: &str) -> Result<AuditTarget, &'static str> {
    match text {
        "" => Err("the path of a file, or - for standard output"),
        "-" => Ok(AuditTarget::StandardOutput),
        path => Ok(AuditTarget::File(path.into())),
    }
}
