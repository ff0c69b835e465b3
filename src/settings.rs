//! The settings of `run`, from the command line and the environment, parsed once into plain types.

use crate::issuer_client::transport::{CaBundle, IssuerSettings};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use ipnet::IpNet;
use reqwest::Url;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use syniverse_token_core::api::parse_duration;
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::issuer::host_list::{Entry, is_namespace};
use syniverse_token_core::lease::Timing;
use syniverse_token_core::queue::Budget;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::secret_metadata::{self, SecretMetadata};
use syniverse_token_core::shard::Shard;

use election::ElectionArguments;
pub use election::ElectionSettings;
use log::LogArguments;
pub use log::{AuditTarget, LogFormat, LogSettings, is_standard_collector_unusable};
use metrics::MetricsArguments;
pub use metrics::TokenSeries;
use shard::ShardArguments;

mod election;
mod log;
mod metrics;
mod shard;

/// Zero would renew no token; more than this is a typing error.
const MOST_REQUESTS: RangeInclusive<i64> = 1..=10_000;

/// The flags of `run` as given. Each has an environment variable: the flag's name in capitals after
/// `SYNIVERSE_TOKEN_OPERATOR_`; repeatable ones take a comma between values there.
#[derive(Args)]
pub struct RunArguments {
    /// An endpoint to allow besides the documented paths of api.syniverse.com. Without a port it means the default
    /// port, without a path every path, with a path also all paths below it, without a namespace all namespaces; *
    /// allows everything [repeatable]
    #[arg(
        long,
        value_name = "[NAMESPACE=]HOST[:PORT][/PATH]",
        env = "SYNIVERSE_TOKEN_OPERATOR_ENDPOINT_HOST",
        value_delimiter = ','
    )]
    endpoint_host: Vec<Entry>,
    /// A range of loopback, link-local, private or reserved addresses that endpoints may have, over https [repeatable]
    #[arg(long, value_name = "CIDR", env = "SYNIVERSE_TOKEN_OPERATOR_PRIVATE_ENDPOINTS", value_delimiter = ',',
        value_parser = range)]
    private_endpoints: Vec<IpNet>,
    /// For development: allow http and every address of an allowed host
    #[arg(long, env = "SYNIVERSE_TOKEN_OPERATOR_INSECURE_ENDPOINTS", value_parser = BoolishValueParser::new())]
    insecure_endpoints: bool,
    /// Use a credentials Secret only if it has the label syniverse.dev/credentials: "true"
    #[arg(long, env = "SYNIVERSE_TOKEN_OPERATOR_REQUIRE_CREDENTIALS_LABEL", value_parser = BoolishValueParser::new())]
    require_credentials_label: bool,
    /// A namespace to watch [repeatable; default: all]
    #[arg(long, value_name = "NS", env = "SYNIVERSE_TOKEN_OPERATOR_NAMESPACE", value_delimiter = ',',
        value_parser = namespace)]
    namespace: Vec<String>,
    /// Timeout of a request to an issuer, from connecting to the last byte
    #[arg(long, value_name = "DURATION", env = "SYNIVERSE_TOKEN_OPERATOR_CALL_TIMEOUT", default_value = "10s",
        value_parser = duration)]
    call_timeout: Duration,
    /// Timeout of connecting to an issuer, including DNS and TLS
    #[arg(long, value_name = "DURATION", env = "SYNIVERSE_TOKEN_OPERATOR_CONNECT_TIMEOUT", default_value = "5s",
        value_parser = duration)]
    connect_timeout: Duration,
    #[command(flatten)]
    scale: ShardArguments,
    /// The proxy for requests to issuers, such as http://proxy.example.com:3128; HTTPS_PROXY is not read
    #[arg(long, value_name = "URL", env = "SYNIVERSE_TOKEN_OPERATOR_PROXY", hide_env_values = true)]
    proxy: Option<String>,
    /// A PEM file of CA certificates to trust in addition to those of the system
    #[arg(long, value_name = "FILE", env = "SYNIVERSE_TOKEN_OPERATOR_CA_BUNDLE")]
    ca_bundle: Option<PathBuf>,
    /// Interval between checks of a token with more than a day to live
    #[arg(long, value_name = "DURATION", env = "SYNIVERSE_TOKEN_OPERATOR_DAILY_CHECK", default_value = "24h",
        value_parser = duration)]
    daily_check: Duration,
    /// Spread the ends of tokens: where an endpoint serves more than 200 tokens, new tokens of applications are requested
    /// with up to 5 % less than their validity, at most 30 minutes, always the same for a resource. Otherwise tokens
    /// first issued in one go would expire in one go, each time
    #[arg(long, value_name = "BOOL", env = "SYNIVERSE_TOKEN_OPERATOR_SPREAD_VALIDITY", default_value = "true",
        action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    spread_validity: bool,
    /// A label or annotation key that specs may put on Secrets besides those allowed by default, such as
    /// grafana_dashboard or example.com/*; a leading ! forbids it instead. The last match decides [repeatable]
    #[arg(long, value_name = "[!]KEY", env = "SYNIVERSE_TOKEN_OPERATOR_SECRET_METADATA", value_delimiter = ',')]
    secret_metadata: Vec<secret_metadata::Entry>,
    /// Log a warning when the chart's admission policy does not bind the operator's account
    #[arg(long, env = "SYNIVERSE_TOKEN_OPERATOR_EXPECT_ADMISSION_POLICY", value_parser = BoolishValueParser::new())]
    expect_admission_policy: bool,
    #[command(flatten)]
    election: ElectionArguments,
    #[command(flatten)]
    metrics: MetricsArguments,
    /// Address to answer probes on, over plain http, such as 0.0.0.0:8081 [default: none]
    #[arg(long, value_name = "ADDRESS:PORT", env = "SYNIVERSE_TOKEN_OPERATOR_HEALTH_LISTEN")]
    health_listen: Option<SocketAddr>,
    #[command(flatten)]
    log: LogArguments,
}

/// The proxy may hold a password, so the arguments cannot be printed.
impl std::fmt::Debug for RunArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunArguments")
    }
}

/// The settings of `run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Settings for requests to issuers.
    pub issuer: IssuerSettings,
    /// Use credentials Secrets only with the consent label.
    pub require_credentials_label: bool,
    /// The namespaces to work in; empty = all.
    pub namespaces: Vec<String>,
    /// Interval between checks of a token with more than a day to live.
    pub daily_check: Duration,
    /// Spread the ends of many tokens of one endpoint.
    pub spread_validity: bool,
    /// Labels and annotations that a spec may set on a Secret.
    pub secret_metadata: SecretMetadata,
    /// Whether an admission policy is expected to bind the operator's account.
    pub expect_admission_policy: bool,
    /// The part of the namespaces to work in.
    pub shard: Shard,
    /// Limits of the requests of this shard to each endpoint.
    pub budget: Budget,
    /// The Lease for leader election; none for a process that runs alone.
    pub election: Option<ElectionSettings>,
    /// Address of metrics.
    pub listen: Option<SocketAddr>,
    /// The resources with series of their own in the metrics.
    pub token_series: TokenSeries,
    /// Address of probes.
    pub health_listen: Option<SocketAddr>,
    /// Log settings.
    pub log: LogSettings,
    /// Where the audit log goes, if anywhere.
    pub audit: Option<AuditTarget>,
    /// The base URL of the collector that traces are exported to, if any.
    pub traces: Option<String>,
}

/// Flags that parse but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A connect timeout longer than the call timeout.
    #[error("--connect-timeout {connect:?} must not be longer than --call-timeout {call:?}")]
    Timeouts {
        /// As given.
        connect: Duration,
        /// As given.
        call: Duration,
    },
    /// Lease timing with which its holder could lose it while it acts.
    #[error(
        "--retry-period {:?} must be shorter than --renew-deadline {:?}, which must be shorter than --lease-duration \
         {:?}",
        timing.retry_period, timing.renew_deadline, timing.duration
    )]
    Lease {
        /// As given.
        timing: Timing,
    },
    /// A Lease too short for a request.
    #[error(
        "--lease-duration {duration:?} must be longer than --call-timeout {call:?}, --retry-period and a second together"
    )]
    LeaseTooShort {
        /// As given.
        duration: Duration,
        /// As given.
        call: Duration,
    },
    /// Its value may hold a password and is not shown.
    #[error("the value of --proxy must be an http or https URL such as http://proxy.example.com:3128")]
    Proxy,
    /// Its value may hold a password and is not shown.
    #[error(
        "the value of --otlp-endpoint must be an http or https URL such as http://collector.example.com:4318, without a \
         query and without a password"
    )]
    Otlp,
    /// The file cannot be read.
    #[error("failed to read --ca-bundle {path}: {cause}")]
    CaBundle {
        /// As given.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
}

impl RunArguments {
    /// Checks what flags mean together, and reads the files they name.
    ///
    /// # Errors
    /// The first flag that cannot be used, with its value unless that is secret.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        if self.connect_timeout > self.call_timeout {
            return Err(SettingsError::Timeouts { connect: self.connect_timeout, call: self.call_timeout });
        }
        let issuer = IssuerSettings {
            endpoints: EndpointRules {
                hosts: self.endpoint_host,
                private: self.private_endpoints,
                insecure: self.insecure_endpoints,
            },
            call_timeout: self.call_timeout,
            connect_timeout: self.connect_timeout,
            proxy: self.proxy.map(proxy).transpose()?,
            ca_bundle: self.ca_bundle.map(ca_bundle).transpose()?,
        };
        let shard = self.scale.shard;
        let election = self.election.settings(self.call_timeout, shard)?;
        Ok(Settings {
            issuer,
            require_credentials_label: self.require_credentials_label,
            namespaces: self.namespace,
            daily_check: self.daily_check,
            spread_validity: self.spread_validity,
            secret_metadata: SecretMetadata::new(self.secret_metadata),
            expect_admission_policy: self.expect_admission_policy,
            shard,
            budget: self.scale.budget(),
            election,
            listen: self.metrics.listen,
            token_series: self.metrics.token_metrics,
            health_listen: self.health_listen,
            traces: self.log.collector()?,
            log: LogSettings { level: self.log.log_level, format: self.log.log_format },
            audit: self.log.audit_log,
        })
    }
}

fn proxy(text: String) -> Result<Redacted, SettingsError> {
    let url = Url::parse(&text).map_err(|_| SettingsError::Proxy)?;
    matches!(url.scheme(), "http" | "https").then(|| Redacted::new(text)).ok_or(SettingsError::Proxy)
}

fn ca_bundle(path: PathBuf) -> Result<CaBundle, SettingsError> {
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Ok(pem) => Ok(CaBundle { path: shown, pem }),
        Err(cause) => Err(SettingsError::CaBundle { path: shown, cause }),
    }
}

fn range(text: &str) -> Result<IpNet, &'static str> {
    text.parse().map_err(|_| "a range of addresses such as 10.1.0.0/16 or fd00::/8")
}

fn namespace(text: &str) -> Result<String, &'static str> {
    is_namespace(text).then(|| text.to_owned()).ok_or("the name of a namespace")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).filter(|duration| !duration.is_zero()).ok_or("a duration above zero such as 10s, 90m or 24h")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::command_line::{Command, CommandLine};
    use clap::{CommandFactory, Parser};
    use syniverse_token_core::secrets::OPERATOR;
    use tracing::level_filters::LevelFilter;

    fn arguments(flags: &[&str]) -> Result<RunArguments, clap::Error> {
        match CommandLine::try_parse_from(["operator", "run"].iter().chain(flags))?.command {
            Command::Run(arguments) => Ok(*arguments),
            Command::Crd | Command::User(_) => unreachable!(),
        }
    }

    fn settings(flags: &[&str]) -> Settings {
        arguments(flags).unwrap().settings().unwrap()
    }

    fn complaint(flags: &[&str]) -> String {
        match arguments(flags) {
            Err(error) => error.to_string(),
            Ok(arguments) => arguments.settings().unwrap_err().to_string(),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let settings = settings(&[]);
        assert_eq!(settings.issuer.endpoints, EndpointRules::default());
        assert_eq!(settings.issuer.call_timeout, Duration::from_secs(10));
        assert_eq!(settings.issuer.connect_timeout, Duration::from_secs(5));
        assert_eq!((settings.shard, settings.budget), (Shard::WHOLE, Budget { in_flight: 16, per_second: 50 }));
        assert_eq!((settings.issuer.proxy, settings.issuer.ca_bundle), (None, None));
        assert_eq!(settings.daily_check, Duration::from_secs(86_400));
        assert!(settings.namespaces.is_empty() && !settings.require_credentials_label);
        assert_eq!(settings.secret_metadata, SecretMetadata::default());
        assert!(!settings.expect_admission_policy && settings.spread_validity);
        assert_eq!((settings.election, settings.listen, settings.health_listen), (None, None, None));
        assert_eq!(settings.token_series, TokenSeries::All);
        assert_eq!(settings.log, LogSettings { level: LevelFilter::INFO, format: LogFormat::Text });
        assert_eq!((settings.audit, settings.traces), (None, None));
    }

    #[test]
    fn a_collector_is_a_plain_url_and_what_is_not_is_not_shown() {
        let collector = settings(&["--otlp-endpoint", "http://collector.example.com:4318"]).traces;
        assert_eq!(collector.as_deref(), Some("http://collector.example.com:4318"));
        for url in ["canary", "grpc://canary:4317", "http://user:canary@a", "http://a/?key=canary", "http://canary@a"] {
            let complaint = complaint(&["--otlp-endpoint", url]);
            assert!(complaint.contains("--otlp-endpoint") && !complaint.contains("canary"), "{complaint}");
        }
    }

    #[test]
    fn the_audit_log_goes_to_standard_output_or_to_a_file() {
        assert_eq!(settings(&["--audit-log=-"]).audit, Some(AuditTarget::StandardOutput));
        assert_eq!(settings(&["--audit-log", "a.log"]).audit, Some(AuditTarget::File("a.log".into())));
    }

    #[test]
    fn repeatable_flags_are_repeated_or_separated_by_commas() {
        let settings = settings(&["--endpoint-host", "a.example", "--endpoint-host", "b.example,*", "--namespace=x,y"]);
        let entries = ["a.example", "b.example", "*"].map(|entry| entry.parse().unwrap());
        assert_eq!(settings.issuer.endpoints.hosts, entries);
        assert_eq!(settings.namespaces, ["x", "y"]);
    }

    #[test]
    fn every_flag_has_an_environment_variable_of_its_name() {
        let command = CommandLine::command();
        let run = command.find_subcommand("run").unwrap();
        let flags: Vec<_> = run.get_arguments().filter_map(|flag| Some((flag.get_long()?, flag.get_env()))).collect();
        assert!(flags.len() >= 20);
        for (name, variable) in flags {
            let expected = format!("SYNIVERSE_TOKEN_OPERATOR_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(variable.unwrap(), expected.as_str());
        }
    }

    #[test]
    fn a_bad_value_is_named_with_its_flag() {
        for (flag, value) in [
            ("--endpoint-host", "https://sma.example.com"),
            ("--endpoint-host", "sma.example.com:"),
            ("--endpoint-host", "Team=sma.example.com"),
            ("--private-endpoints", "10.0.0.0/33"),
            ("--namespace", "Not_A_Namespace"),
            ("--call-timeout", "10"),
            ("--call-timeout", "0s"),
            ("--requests-in-flight", "0"),
            ("--requests-per-second", "0"),
            ("--requests-per-second", "many"),
            ("--daily-check", "daily"),
            ("--shard", "0/3"),
            ("--shard", "4/3"),
            ("--shard", "2"),
            ("--spread-validity", "perhaps"),
            ("--secret-metadata", "a*b*c*"),
            ("--secret-metadata", "example.com/a b"),
            ("--token-metrics", "some"),
            ("--log-level", "loud"),
            ("--log-format", "xml"),
            ("--audit-log", ""),
            ("--ca-bundle", "no/such/file.pem"),
        ] {
            let complaint = complaint(&[flag, value]);
            assert!(complaint.contains(flag) && complaint.contains(value), "{complaint}");
        }
    }

    #[test]
    fn a_budget_of_its_own_is_taken_over() {
        let settings = settings(&["--requests-in-flight", "3", "--requests-per-second=7"]);
        assert_eq!(settings.budget, Budget { in_flight: 3, per_second: 7 });
    }

    #[test]
    fn a_shard_has_its_share_of_the_budget_and_a_lease_of_its_own() {
        let settings = settings(&["--shard=2/3", "--requests-in-flight=2", "--leader-election", "--lease-name=a"]);
        assert_eq!(settings.shard, "2/3".parse().unwrap());
        assert_eq!(settings.budget, Budget { in_flight: 1, per_second: 16 });
        assert_eq!(settings.election.unwrap().name, "a-2");
    }

    #[test]
    fn the_ends_of_tokens_need_not_be_spread() {
        assert!(!settings(&["--spread-validity=false"]).spread_validity);
    }

    #[test]
    fn a_connection_may_not_take_longer_than_its_call() {
        let complaint = complaint(&["--connect-timeout", "11s"]);
        assert!(complaint.contains("--connect-timeout 11s") && complaint.contains("--call-timeout 10s"), "{complaint}");
    }

    #[test]
    fn an_election_is_held_with_the_times_that_are_usual() {
        let election = settings(&["--leader-election"]).election.unwrap();
        let seconds = Duration::from_secs;
        let timing = Timing { duration: seconds(15), renew_deadline: seconds(10), retry_period: seconds(2) };
        assert_eq!((election.name.as_str(), election.namespace, election.timing), (OPERATOR, None, timing));
    }

    #[test]
    fn a_lease_that_its_holder_could_lose_while_it_acts_is_refused() {
        for flags in [["--retry-period=10s"], ["--renew-deadline=15s"], ["--lease-duration=10s"]] {
            let complaint = complaint(&["--leader-election", flags[0]]);
            for flag in ["--retry-period", "--renew-deadline", "--lease-duration"] {
                assert!(complaint.contains(flag), "{flags:?}: {complaint}");
            }
        }
    }

    #[test]
    fn a_lease_within_which_no_call_can_end_is_refused() {
        // 15 s - 12 s - 1 s in reserve are no more than the 2 s between two renewals.
        let complaint = complaint(&["--leader-election", "--call-timeout=12s"]);
        assert!(complaint.contains("--lease-duration 15s") && complaint.contains("--call-timeout 12s"), "{complaint}");
        assert!(arguments(&["--leader-election", "--call-timeout=11s"]).unwrap().settings().is_ok());
    }

    #[test]
    fn the_password_of_a_proxy_is_never_shown() {
        let settings = settings(&["--proxy", "http://user:canary@proxy.example.com:3128"]);
        assert!(!format!("{settings:?}").contains("canary"));
        let arguments = arguments(&["--proxy", "http://user:canary@proxy.example.com:3128"]).unwrap();
        assert!(!format!("{arguments:?}").contains("canary"));
        for bad in ["socks5://user:canary@proxy", "canary"] {
            let complaint = complaint(&["--proxy", bad]);
            assert!(complaint.contains("--proxy") && !complaint.contains("canary"), "{complaint}");
        }
    }
}
