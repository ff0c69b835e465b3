//! What the process says of what it does: log lines, the audit log and traces.

use super::SettingsError;
use clap::{Args, ValueEnum};
use reqwest::Url;
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;

/// The variable that all programs with traces have.
const STANDARD_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

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
    /// The base URL of a collector to export traces to, over OTLP/HTTP, such as http://collector.example.com:4318 [default:
    /// that of OTEL_EXPORTER_OTLP_ENDPOINT, if set]
    #[arg(long, value_name = "URL", env = "SYNIVERSE_TOKEN_OPERATOR_OTLP_ENDPOINT", hide_env_values = true)]
    pub(super) otlp_endpoint: Option<String>,
}

impl LogArguments {
    /// The collector, if there is one that can be used. Keys that it wants are in a header: its URL can be shown.
    pub(super) fn collector(&self) -> Result<Option<String>, SettingsError> {
        let is_plain = |url: &Url| {
            let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
            is_http && url.username().is_empty() && url.password().is_none() && url.query().is_none()
        };
        let checked = |text: String| Url::parse(&text).ok().filter(is_plain).map(|_| text);
        match self.otlp_endpoint.clone().filter(|text| !text.is_empty()) {
            Some(text) => checked(text).map(Some).ok_or(SettingsError::Otlp),
            // Platforms set it for all Pods: what cannot be used must not keep tokens from being renewed.
            None => Ok(std::env::var(STANDARD_ENDPOINT).ok().and_then(checked)),
        }
    }
}

/// True when the standard variable names a collector that cannot be used, and no flag another one.
pub fn is_standard_collector_unusable(collector: Option<&str>) -> bool {
    collector.is_none() && std::env::var_os(STANDARD_ENDPOINT).is_some_and(|text| !text.is_empty())
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
