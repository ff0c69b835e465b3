//! Log output: our own lines at the configured level, those of libraries never below a cap.

use crate::settings::{LogFormat, LogSettings};
use crate::telemetry::traces::{SPANS, Traces};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Targets of our own lines. Only these can be shown below `info`.
const OWN_TARGET: &str = "syniverse_token_operator";

/// Libraries that see a credential or a token pass by, with the most detail they may log: below it they print
/// URLs, headers or bodies. A target covers all that begins with it (`hyper` also `hyper_util`).
/// `kube_client::client` prints a whole body, which can be a Secret, with a warning.
const CAPPED_TARGETS: [(&str, LevelFilter); 11] = [
    // Spans are exported; in front of each line they would only repeat it.
    (SPANS, LevelFilter::OFF),
    // Its errors are returned to us, and our own lines report them.
    ("kube_client::client::builder", LevelFilter::OFF),
    ("kube_client::client", LevelFilter::ERROR),
    ("kube_client", LevelFilter::WARN),
    // Our own line reports every failure of a watch.
    ("kube_runtime::watcher", LevelFilter::ERROR),
    // Its span around each pass would only repeat our own line.
    ("kube_runtime", LevelFilter::WARN),
    ("reqwest", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("tower", LevelFilter::WARN),
];

/// Sends log lines to standard error for the rest of the process, those of the `log` crate included, and spans to the
/// export of `traces`.
///
/// # Errors
/// When it was called before.
pub fn start(settings: LogSettings, traces: Option<&Traces>) -> Result<(), TryInitError> {
    let lines = subscriber(settings, std::io::stderr);
    match traces {
        Some(traces) => lines.with(traces.layer()).try_init(),
        None => lines.try_init(),
    }
}

/// The subscriber that [`start`] installs, with another writer.
pub fn subscriber<W>(
    settings: LogSettings,
    writer: W,
) -> impl Subscriber + for<'s> LookupSpan<'s> + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    Registry::default().with(lines.with_filter(filter(settings.level)))
}

/// There is no setting that opens more: `RUST_LOG` is not read.
fn filter(level: LevelFilter) -> Targets {
    let capped = CAPPED_TARGETS.map(|(target, cap)| (target, level.min(cap)));
    Targets::new().with_default(level.min(LevelFilter::INFO)).with_target(OWN_TARGET, level).with_targets(capped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn our_own_lines_follow_the_level() {
        assert!(filter(LevelFilter::TRACE).would_enable("syniverse_token_operator::controller", &Level::TRACE));
        assert!(!filter(LevelFilter::INFO).would_enable("syniverse_token_operator::controller", &Level::DEBUG));
    }

    #[test]
    fn no_level_uncovers_what_libraries_say_in_detail() {
        let most = filter(LevelFilter::TRACE);
        for target in [
            "reqwest::connect",
            "hyper::proto::h1",
            "hyper_util::client",
            "hyper_rustls",
            "h2",
            "rustls",
            "rustls_platform_verifier",
            "tower::buffer",
            "tower_http",
            "kube_client::client::tls",
            "kube_client::config",
            "kube_runtime::controller",
        ] {
            assert!(most.would_enable(target, &Level::ERROR), "{target}");
            assert!(!most.would_enable(target, &Level::INFO), "{target}");
        }
        assert!(!most.would_enable("kube_client::client", &Level::WARN));
        assert!(!most.would_enable("kube_client::client::builder", &Level::ERROR));
        assert!(!most.would_enable("any_other_library", &Level::DEBUG));
    }

    #[test]
    fn a_quiet_level_quiets_libraries_too() {
        let quiet = filter(LevelFilter::ERROR);
        assert!(!quiet.would_enable("reqwest", &Level::WARN));
        assert!(!quiet.would_enable("kube_runtime", &Level::WARN));
        assert!(!filter(LevelFilter::OFF).would_enable("kube_client::client", &Level::ERROR));
    }
}
