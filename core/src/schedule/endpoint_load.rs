//! Load of an endpoint, as far as the times of requests depend on it.

use std::time::Duration;

/// Load of an endpoint, as far as the times of requests depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointLoad {
    /// Number of resources that have a token of this endpoint.
    pub served_tokens: usize,
    /// The shortest of the last round trips that brought a new token, or came too early for it; none before the first.
    pub shortest_round_trip: Option<Duration>,
    /// The tokens that expire soon take more than half of the budget.
    pub is_busy: bool,
}
