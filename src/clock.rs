//! Where the present comes from. The pure rooms are given a [`Now`]; only the rooms with a client read a clock.

use jiff::Timestamp;
use syniverse_token_core::time::{Moment, Now};
use tokio::time::Instant;

/// Tells the present.
pub trait Clock: Send + Sync {
    /// The present on both axes.
    fn now(&self) -> Now;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting the monotonic axis.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { mono: Moment::after_start(self.start.elapsed()), wall: Timestamp::now() }
    }
}
