//! What is measured, as the environment says: `SIZE=10000 make bench-scale`.

use std::fmt::{Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use issuer_simulator::switches::Latency;
use jiff::SignedDuration;

/// A run. Durations are written as in 30s, 10m or 100ms.
#[derive(Parser)]
pub(crate) struct Settings {
    /// How many resources there are
    #[arg(long, env = "SIZE", default_value = "1000")]
    pub(crate) size: usize,
    /// Over how many namespaces they are spread
    #[arg(long, env = "NAMESPACES", default_value = "10")]
    pub(crate) namespaces: usize,
    /// How long a token lives
    #[arg(long, env = "VALIDITY", default_value = "120s", value_parser = duration)]
    pub(crate) validity: Duration,
    /// Applications come with live tokens whose ends are spread over a validity, as in a fleet that has run for long,
    /// instead of expired ones: nothing rests, and as many tokens end each second as in the long run
    #[arg(long, env = "SPREAD", default_value = "false", value_parser = clap::value_parser!(bool), action = clap::ArgAction::Set)]
    pub(crate) spread: bool,
    /// Requests to the issuer per second
    #[arg(long, env = "BUDGET", default_value = "50")]
    pub(crate) budget: u32,
    /// How long an answer of the issuer takes
    #[arg(long, env = "LATENCY", default_value = "0ms", value_parser = latency)]
    pub(crate) latency: Latency,
    /// By how much every request to the API server is delayed
    #[arg(long, env = "API_DELAY", default_value = "0ms", value_parser = duration)]
    pub(crate) api_delay: Duration,
    /// How many operators share the work
    #[arg(long, env = "SHARDS", default_value = "1")]
    pub(crate) shards: usize,
    /// How many of each there are: with two, the leader of the first shard is killed in the end
    #[arg(long, env = "REPLICAS", default_value = "1")]
    pub(crate) replicas: usize,
    /// How long rotations are watched; twice the validity if not given
    #[arg(long, env = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// How long the first tokens are waited for
    #[arg(long, env = "DEADLINE", default_value = "600s", value_parser = duration)]
    pub(crate) deadline: Duration,
    /// The operator, if not that of this folder
    #[arg(long, env = "OPERATOR", default_value = env!("CARGO_BIN_EXE_syniverse-token-operator"), hide_default_value = true)]
    pub(crate) operator: PathBuf,
    /// A file to which the figures are appended, an object a line
    #[arg(long, env = "JSON")]
    pub(crate) json: Option<PathBuf>,
}

impl Settings {
    /// Those of the environment. Ends the process, saying why, if one cannot be used.
    pub(crate) fn of_the_environment() -> Self {
        Self::parse_from(["scale"])
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration.unwrap_or(self.validity * 2)
    }

    /// Whether the operator is the one that was built with this benchmark.
    fn is_own(&self) -> bool {
        self.operator.as_os_str() == env!("CARGO_BIN_EXE_syniverse-token-operator")
    }
}

impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { size, namespaces, validity, budget, shards, replicas, api_delay, spread, .. } = self;
        let Latency { least_millis, most_millis } = self.latency;
        write!(f, "SIZE={size} NAMESPACES={namespaces} VALIDITY={validity:?} BUDGET={budget} SHARDS={shards}")?;
        write!(f, " REPLICAS={replicas} SPREAD={spread}")?;
        write!(f, " LATENCY={least_millis}ms-{most_millis}ms API_DELAY={api_delay:?} DURATION={:?}", self.duration())?;
        if self.is_own() { Ok(()) } else { write!(f, " OPERATOR={}", self.operator.display()) }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let length: SignedDuration = text.parse().map_err(|_| "a duration such as 30s, 10m or 100ms")?;
    Duration::try_from(length).map_err(|_| "a duration that is not negative".to_owned())
}

/// One duration, or two of them with a dash between.
fn latency(text: &str) -> Result<Latency, String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let millis = |text: &str| Ok::<_, String>(duration(text)?.as_millis() as u64);
    let latency = Latency { least_millis: millis(least)?, most_millis: millis(most)? };
    if latency.least_millis > latency.most_millis { Err(format!("{text} falls")) } else { Ok(latency) }
}
