//! A way to the API server on which every message takes longer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use harness::{Cluster, Scratch};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

const CHUNK_BYTES: usize = 16 * 1024;

/// A port of its own before the API server: what is sent to it arrives later, what it answers does not. It passes TLS
/// on as it is, so that the two messages of a handshake are delayed as well. It ends when dropped.
pub(crate) struct SlowApi {
    kubeconfig: PathBuf,
    _scratch: Scratch,
    _accepting: JoinSet<()>,
}

impl SlowApi {
    /// Begins to pass on.
    ///
    /// # Errors
    /// If there is no port, or no place for a kubeconfig that names it.
    pub(crate) async fn start(cluster: &Cluster, delay: Duration) -> anyhow::Result<Self> {
        let url = cluster.config().await?.cluster_url;
        let target = url.authority().context("the kubeconfig names no server")?.to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.to_string();
        let scratch = Scratch::new()?;
        let kubeconfig = scratch.path().join("kubeconfig");
        std::fs::write(&kubeconfig, std::fs::read_to_string(cluster.kubeconfig())?.replace(&target, &own))?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, delay));
        Ok(Self { kubeconfig, _scratch: scratch, _accepting: accepting })
    }

    /// The kubeconfig of those who shall go this way.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

async fn accept(listener: TcpListener, target: String, delay: Duration) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let target = target.clone();
        connections.spawn(async move {
            // A connection that breaks is noticed by its two ends.
            let _broken = pass_on(client, &target, delay).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(client: TcpStream, target: &str, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(target).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let answers = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(later(from_client, to_server, delay), answers).map(drop)
}

/// Passes on each piece as long after its arrival, however many are under way.
async fn later(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> std::io::Result<()> {
    let (sender, mut receiver) = unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        loop {
            let mut piece = vec![0; CHUNK_BYTES];
            let length = from.read(&mut piece).await?;
            piece.truncate(length);
            if length == 0 || sender.send((Instant::now() + delay, piece)).is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = receiver.recv().await {
            sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}
