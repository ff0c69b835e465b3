//! Waiting for what a test expects, by asking for it rather than by sleeping.

use std::time::{Duration, Instant};

use crate::{Error, Result};

const POLL: Duration = Duration::from_millis(20);

/// Asks `condition` every 20 ms until it answers `Some`, and returns that; `what` names it in the error.
///
/// # Errors
/// `TimedOut` once `timeout` has passed. The condition is asked at least once, and once more after the last pause.
pub async fn wait_for<T>(what: &str, timeout: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        let late = started.elapsed() >= timeout;
        if let Some(found) = condition().await {
            return Ok(found);
        }
        if late {
            return Err(Error::TimedOut { what: what.to_owned(), timeout });
        }
        tokio::time::sleep(POLL).await;
    }
}
