//! A way to the API server that can be cut, or go silent, for one replica alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Carries connections until it is cut.
pub(crate) struct Relay {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    hush: watch::Sender<()>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((cut, is_cut), (hush, hushed)) = (watch::channel(false), watch::channel(()));
        tokio::spawn(carry_all(listener, target, is_cut, hushed));
        Self { address, cut, hush }
    }

    /// From now on nothing passes over the connections that there are, and neither end is told: each is acknowledged what
    /// it sends, and hears nothing. New connections are carried.
    pub(crate) fn hush(&self) {
        self.hush.send_replace(());
    }

    /// Breaks every connection, and takes no new one.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// A kubeconfig like `original` that goes this way, in `folder`.
    pub(crate) fn kubeconfig(&self, original: &Path, target: SocketAddr, folder: &Path) -> PathBuf {
        let text = std::fs::read_to_string(original).unwrap();
        let changed = text.replace(&target.to_string(), &self.address.to_string());
        assert_ne!(text, changed, "the kubeconfig names another server");
        let path = folder.join("relayed.kubeconfig");
        std::fs::write(&path, changed).unwrap();
        path
    }
}

async fn carry_all(
    listener: TcpListener,
    target: SocketAddr,
    is_cut: watch::Receiver<bool>,
    hushed: watch::Receiver<()>,
) {
    let accept = async {
        while let Ok((near, _)) = listener.accept().await {
            let mut hushed = hushed.clone();
            hushed.mark_unchanged();
            tokio::spawn(carry(near, target, is_cut.clone(), hushed));
        }
    };
    let mut until_cut = is_cut.clone();
    tokio::select! { () = accept => {}, _ = until_cut.wait_for(|cut| *cut) => {} }
}

async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    mut is_cut: watch::Receiver<bool>,
    mut hushed: watch::Receiver<()>,
) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        _ = is_cut.wait_for(|cut| *cut) => return,
        _ = hushed.changed() => {}
    }
    // Both ends stay open.
    let _ = is_cut.wait_for(|cut| *cut).await;
}
