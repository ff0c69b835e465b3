//! Leader election between replicas.

use super::SettingsError;
use clap::Args;
use clap::builder::BoolishValueParser;
use std::time::Duration;
use syniverse_token_core::lease::Timing;
use syniverse_token_core::shard::Shard;

/// The flags of the election.
#[derive(Args)]
pub(super) struct ElectionArguments {
    /// Act only while holding a Lease, so that several replicas can run
    #[arg(long, env = "SYNIVERSE_TOKEN_OPERATOR_LEADER_ELECTION", value_parser = BoolishValueParser::new())]
    leader_election: bool,
    /// The name of the Lease
    #[arg(
        long,
        value_name = "NAME",
        env = "SYNIVERSE_TOKEN_OPERATOR_LEASE_NAME",
        default_value = "syniverse-token-operator"
    )]
    lease_name: String,
    /// The namespace of the Lease [default: the operator's own]
    #[arg(long, value_name = "NS", env = "SYNIVERSE_TOKEN_OPERATOR_LEASE_NAMESPACE", value_parser = super::namespace)]
    lease_namespace: Option<String>,
    /// How long the Lease is valid after its last renewal, and so how long a lost leader goes unreplaced
    #[arg(long, value_name = "DURATION", env = "SYNIVERSE_TOKEN_OPERATOR_LEASE_DURATION", default_value = "15s",
        value_parser = super::duration)]
    lease_duration: Duration,
    /// Time after which a leader that could not renew the Lease stops acting
    #[arg(long, value_name = "DURATION", env = "SYNIVERSE_TOKEN_OPERATOR_RENEW_DEADLINE", default_value = "10s",
        value_parser = super::duration)]
    renew_deadline: Duration,
    /// Interval between attempts to acquire or renew the Lease
    #[arg(long, value_name = "DURATION", env = "SYNIVERSE_TOKEN_OPERATOR_RETRY_PERIOD", default_value = "2s",
        value_parser = super::duration)]
    retry_period: Duration,
}

/// The Lease for leader election, and its timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionSettings {
    /// Its name.
    pub name: String,
    /// Its namespace; none = the operator's own.
    pub namespace: Option<String>,
    /// Timing of the Lease.
    pub timing: Timing,
}

impl ElectionArguments {
    /// None for a process that runs alone.
    pub(super) fn settings(
        self,
        call_timeout: Duration,
        shard: Shard,
    ) -> Result<Option<ElectionSettings>, SettingsError> {
        if !self.leader_election {
            return Ok(None);
        }
        let timing = Timing {
            duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
        };
        let calls_for = timing.calls_may_begin_for(call_timeout);
        if timing.retry_period >= timing.renew_deadline || timing.renew_deadline >= timing.duration {
            return Err(SettingsError::Lease { timing });
        }
        if calls_for <= timing.retry_period {
            return Err(SettingsError::LeaseTooShort { duration: timing.duration, call: call_timeout });
        }
        Ok(Some(ElectionSettings { name: shard.lease_name(self.lease_name), namespace: self.lease_namespace, timing }))
    }
}
