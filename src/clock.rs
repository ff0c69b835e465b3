//! The source of the current time. The core is given a [`Now`]; only the operator reads a clock.

use jiff::Timestamp;
use syniverse_token_core::time::{Moment, Now};
use tokio::time::Instant;

/// Reads the current time.
pub trait Clock: Send + Sync {
    /// The current time on both axes.
    fn now(&self) -> Now;
}

/// The clocks of the machine.
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
