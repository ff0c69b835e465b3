//! Notices when the store of the API server was rolled back to an earlier state: its watches do not tell.

use crate::controller::context::Context;
use kube::Api;
use kube::api::ListParams;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::revision::Horizon;

/// Interval of checking the version of the API server's store.
const STORE_LOOK: Duration = Duration::from_secs(10);

/// Detects a store that was rolled back, which its watches do not show.
pub(super) async fn detect_rollback(context: Arc<Context>, api: Option<Api<SyniverseToken>>) {
    let (Some(api), mut horizon) = (api, Horizon::default()) else { return };
    loop {
        tokio::time::sleep(STORE_LOOK).await;
        // The watches already report an API server that is unavailable.
        let Ok(few) = api.list_metadata(&ListParams::default().limit(1)).await else { continue };
        if horizon.falls_back_to(few.metadata.resource_version.as_deref()) {
            context.store_rolled_back();
        }
    }
}
