//! Recently rendered pages, shared by concurrent readers.

use super::exposition::Format;
use axum::body::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::time::Moment;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// Longest age of a page. With 10,000 resources it has 2 MB: a page for each of 64 readers would fill a container.
const FRESH: Duration = Duration::from_secs(1);

/// The format of a page, and whether it is compressed.
type Kind = (Format, bool);

/// The pages of the last second.
#[derive(Default)]
pub(super) struct Pages(Arc<Mutex<HashMap<Kind, (Moment, Bytes)>>>);

impl Pages {
    /// The page of this kind: from the last second, or rendered by `make` away from the threads that renew tokens; none
    /// if that panics.
    pub(super) async fn page(
        &self,
        kind: Kind,
        now: Moment,
        make: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Option<Bytes> {
        // Held while a page is rendered, also for a reader that has gone: the next waiting reader takes it.
        let mut pages = Arc::clone(&self.0).lock_owned().await;
        pages.retain(|_, (made, _)| now < *made + FRESH);
        if let Some((_, page)) = pages.get(&kind) {
            return Some(page.clone());
        }
        let made = spawn_blocking(move || {
            let page = Bytes::from(make());
            pages.insert(kind, (now, page.clone()));
            page
        });
        made.await.ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn readers_who_leave_before_their_page_is_made_have_one_made_and_not_one_each() {
        let (pages, made, kind) = (Pages::default(), Arc::new(AtomicUsize::new(0)), (Format::wanted(""), false));
        let now = Moment::after_start(Duration::ZERO);
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let page = || {
            let (made, gate) = (Arc::clone(&made), Arc::clone(&gate));
            pages.page(kind, now, move || {
                made.fetch_add(1, Ordering::Relaxed);
                // Until it is opened.
                let _ = gate.lock().unwrap().recv();
                b"page".to_vec()
            })
        };
        for _ in 0..64 {
            assert!(page().now_or_never().is_none(), "the reader leaves");
        }
        drop(open);
        assert_eq!(page().await.unwrap(), "page");
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_made_keeps_nobody_from_the_next() {
        let (pages, kind) = (Pages::default(), (Format::wanted(""), true));
        let now = Moment::after_start(Duration::ZERO);
        assert_eq!(pages.page(kind, now, || std::panic::resume_unwind(Box::new(()))).await, None);
        assert_eq!(pages.page(kind, now, || b"page".to_vec()).await.unwrap(), "page");
    }
}
