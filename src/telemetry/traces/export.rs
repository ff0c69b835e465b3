//! The HTTP client of the export: that of the rest of the operator, on its runtime. A collector that is away is logged once.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::{Client, redirect};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// The longest that a batch takes: meanwhile spans wait in the queue.
const TIMEOUT: Duration = Duration::from_secs(5);

/// No client could be created.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be used: the system has no CA certificates")]
pub struct ClientError;

#[derive(Debug)]
pub(super) struct OtlpClient {
    client: Client,
    /// The exporter's thread has no runtime.
    runtime: Handle,
    is_failing: AtomicBool,
}

impl OtlpClient {
    /// A client on the present runtime.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub(super) fn new() -> Result<Self, ClientError> {
        let builder = Client::builder().timeout(TIMEOUT).no_proxy().redirect(redirect::Policy::none());
        let client = builder.build().map_err(|_| ClientError)?;
        Ok(Self { client, runtime: Handle::current(), is_failing: AtomicBool::new(false) })
    }

    /// Says when the export begins to fail, and when it works again.
    fn note(&self, problem: Option<String>) {
        let was_failing = self.is_failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_failing => {
                tracing::warn!(problem, "spans cannot be exported: they are dropped");
            }
            None if was_failing => tracing::info!("spans are exported again"),
            _ => {}
        }
    }
}

impl HttpClient for OtlpClient {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move { send(&client, request).await });
        Box::pin(async move {
            let result = sending.await?;
            self.note(match &result {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(format!("the collector answered HTTP {}", response.status().as_u16())),
                Err(_) => Some("the collector cannot be reached".to_owned()),
            });
            Ok(result?)
        })
    }
}

async fn send(client: &Client, request: Request<Bytes>) -> reqwest::Result<Response<Bytes>> {
    let response = client.execute(request.try_into()?).await?;
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    // What a collector says in the body, such as how many spans it did not take, is not used.
    Ok(answer)
}
