//! Pages that were made a moment ago, which readers who come together share.

use super::exposition::Form;
use crate::moment::Moment;
use axum::body::Bytes;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// A page is made anew when it is older. Of 10,000 resources it has 2 MB: one for each of 64 readers would fill a container.
const FRESH: Duration = Duration::from_secs(1);

/// The form of a page, and whether it is compressed.
type Kind = (Form, bool);

/// The pages of the last second.
#[derive(Default)]
pub(super) struct Pages(Mutex<HashMap<Kind, (Moment, Bytes)>>);

impl Pages {
    /// The page of this kind: one from the last second, or what `make` makes, away from the threads that renew tokens; none
    /// if that panics.
    pub(super) async fn page(
        &self,
        kind: Kind,
        now: Moment,
        make: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Option<Bytes> {
        // Held while a page is made: who waits for it takes it.
        let mut pages = self.0.lock().await;
        pages.retain(|_, (made, _)| now < *made + FRESH);
        if let Some((_, page)) = pages.get(&kind) {
            return Some(page.clone());
        }
        let page = Bytes::from(spawn_blocking(make).await.ok()?);
        pages.insert(kind, (now, page.clone()));
        Some(page)
    }
}
