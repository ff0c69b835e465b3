//! Many tokens at one endpoint: tokens that were issued in one go would end in one go, at every expiry.

use super::RefreshPolicy;
use std::time::Duration;

/// An endpoint with no more tokens than this renews them all within some seconds at any budget worth its name.
const FEW_TOKENS: usize = 200;
/// The largest part of the validity that is not requested ...
const LARGEST_PART: u32 = 20;
/// ... and the longest time.
const LONGEST_SHARE: Duration = Duration::from_secs(30 * 60);

/// The shortest validity that the issuer promises to accept.
pub const SHORTEST_PROMISED: Duration = Duration::from_secs(15 * 60);

impl RefreshPolicy {
    /// The validity to request, in whole seconds; zero = never expires. At an endpoint with many tokens it is the
    /// validity of the spec minus a share that is always the same for this resource, so that the tokens drift apart
    /// from rotation to rotation.
    ///
    /// What the issuer promises to accept is never made shorter than it promises to accept. What it has just refused may
    /// have been too short: the validity of the spec is requested then.
    pub fn requested_validity(&self, is_refused: bool) -> Duration {
        let validity = self.validity.unwrap_or_default();
        if !self.spread_validity || is_refused || self.load.served_tokens <= FEW_TOKENS {
            return validity;
        }
        let promised = validity.checked_sub(SHORTEST_PROMISED).unwrap_or(validity);
        let longest = (validity / LARGEST_PART).min(LONGEST_SHARE).min(promised);
        validity - Duration::from_secs(self.spread % (longest.as_secs() + 1))
    }
}
