//! The shard of this process, and the limits that all shards keep together.

use super::MOST_REQUESTS;
use clap::Args;
use syniverse_token_core::queue::Budget;
use syniverse_token_core::shard::Shard;

/// The flags of large clusters.
#[derive(Args)]
pub(super) struct ShardArguments {
    /// The part of the namespaces to work in, where several operators divide them: its number, from 1, and how many
    /// parts there are. Each has a Lease of its own, with its number after the name from the second on, and its share
    /// of the requests below
    #[arg(long, value_name = "I/N", env = "SYNIVERSE_TOKEN_OPERATOR_SHARD", default_value = "1/1")]
    pub(super) shard: Shard,
    /// Requests in flight to one endpoint. A request takes the issuer some tenths of a second, so 16 keep up with 50
    /// per second, and a hanging issuer is sent no more than 16 before it counts as down; then it is probed with a
    /// single request at a time, beside a single request of each resource whose token expires. All endpoints of one
    /// host and port together may have twice as many, so that a slow endpoint leaves room for the others of its host
    #[arg(long, value_name = "NUMBER", env = "SYNIVERSE_TOKEN_OPERATOR_REQUESTS_IN_FLIGHT", default_value = "16",
        value_parser = clap::value_parser!(u32).range(MOST_REQUESTS))]
    requests_in_flight: u32,
    /// Requests to one endpoint per second, and per burst. At 50, a thousand tokens are renewed within 20 s of the end
    /// of an outage, a rate that a public issuer can be expected to handle. All endpoints of one host and port share
    /// this limit
    #[arg(long, value_name = "NUMBER", env = "SYNIVERSE_TOKEN_OPERATOR_REQUESTS_PER_SECOND", default_value = "50",
        value_parser = clap::value_parser!(u32).range(MOST_REQUESTS))]
    requests_per_second: u32,
}

impl ShardArguments {
    /// This shard's share of the limits.
    pub(super) fn budget(&self) -> Budget {
        Budget {
            in_flight: self.shard.share(self.requests_in_flight) as usize,
            per_second: self.shard.share(self.requests_per_second),
        }
    }
}
