//! Waiting for servers to be ready, for as long as they run.

use std::time::Duration;

use crate::{Error, Process, Result, wait_for};

/// Usually 3 s; a machine that compiles at the same time needs more.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Waits for `condition`, for as long as the servers that it depends on run.
pub(crate) async fn wait_while_running(
    what: &str,
    servers: &mut [&mut Process],
    condition: impl AsyncFnMut() -> std::result::Result<(), String>,
) -> Result<()> {
    wait_longer_while_running(what, READY_WITHIN, servers, condition).await
}

/// The same with patience of one's own.
pub(crate) async fn wait_longer_while_running(
    what: &str,
    timeout: Duration,
    servers: &mut [&mut Process],
    mut condition: impl AsyncFnMut() -> std::result::Result<(), String>,
) -> Result<()> {
    let mut said = String::new();
    let waited = wait_for(what, timeout, async || {
        if let Some(ended) = servers.iter_mut().find_map(|server| server.check_running().err()) {
            return Some(Err(ended));
        }
        match condition().await {
            Ok(()) => Some(Ok(())),
            Err(why) => {
                said = why;
                None
            }
        }
    });
    match waited.await {
        Err(Error::TimedOut { what, timeout }) => {
            let logs: Vec<_> = servers.iter().map(|server| server.log_tail()).collect();
            Err(Error::NotReady { what, timeout, said, logs: logs.join("\n") })
        }
        waited => waited?,
    }
}
