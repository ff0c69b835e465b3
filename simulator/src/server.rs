//! HTTP over the model, with a hand on the socket: it can reset, break off and hang.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::fault::Delivery;
use crate::issuers::Issuers;
use crate::model::CallNumber;
use crate::reply::Reply;
use crate::request::Request;

/// Longest request body that is read.
const BODY_LIMIT_BYTES: usize = 1 << 20;

/// Serves one connection until either side ends it.
pub(crate) async fn serve(stream: TcpStream, issuers: Arc<Issuers>, tls: Option<Arc<ServerConfig>>) {
    let _delayed_answers_are_no_error = stream.set_nodelay(true);
    match tls {
        None => converse(stream, issuers).await,
        Some(config) => {
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                converse(stream, issuers).await;
            }
        }
    }
}

/// A byte stream that knows its socket.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Answers the calls of one connection until either side ends it.
async fn converse(stream: impl Wire, issuers: Arc<Issuers>) {
    let reset = Arc::new(Notify::new());
    let service = service_fn(|request| answer(request, issuers.clone(), reset.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut connection => {}
        () = reset.notified() => {
            // With a linger time of zero the close that follows sends RST instead of FIN.
            let stream = connection.into_parts().io.into_inner();
            let _closed_already = stream.socket().set_zero_linger();
        }
    }
}

/// One call, through the model and its fault; a use of a token is no call to an issuer, and meets none.
async fn answer(
    request: hyper::Request<Incoming>,
    issuers: Arc<Issuers>,
    reset: Arc<Notify>,
) -> Result<Response<Payload>, BrokenOff> {
    let request = read(request).await?;
    if let Some(token) = request.presented_token() {
        let reply = if issuers.accepts(token) { Reply::empty(204) } else { Reply::gateway(401) };
        return Ok(response(&reply, &date(&issuers), false));
    }
    let arrival = issuers.change(|model, now| model.receive(request, now));
    let mut open = OpenCall { issuers: &issuers, number: arrival.call, status: None };
    wait(arrival.delay).await;
    let delivery = issuers.change(|model, now| model.answer(arrival.call, now));
    wait(arrival.delay_after).await;
    open.status = delivery.status();
    let date = date(&issuers);
    match delivery {
        Delivery::Whole(reply) => Ok(response(&reply, &date, false)),
        Delivery::Truncated(reply) => Ok(response(&reply, &date, true)),
        Delivery::Reset => {
            drop(open);
            reset.notify_one();
            pending().await
        }
        Delivery::Hang => pending().await,
    }
}

/// Journals the end of a call even when the caller hangs up and this future is dropped half way.
struct OpenCall<'a> {
    issuers: &'a Issuers,
    number: CallNumber,
    status: Option<u16>,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.issuers.change(|model, now| model.end(self.number, self.status, now));
    }
}

/// A sleep of zero would still take a turn of the timer, a millisecond.
async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

async fn read(request: hyper::Request<Incoming>) -> Result<Request, BrokenOff> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT_BYTES).collect().await.map_err(|_| BrokenOff)?;
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    Ok(Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect::<BTreeMap<_, _>>(),
        body: body.to_bytes().to_vec(),
    })
}

fn date(issuers: &Issuers) -> String {
    let skew = issuers.change(|model, _| model.switches().date_skew_seconds);
    let now = Timestamp::now();
    let shown = now.checked_add(SignedDuration::from_secs(skew)).unwrap_or(now);
    DateTimePrinter::new().timestamp_to_rfc9110_string(&shown).unwrap_or_default()
}

/// Makes bytes of a reply. A fault may name a status or header that HTTP cannot carry: that is answered with 500.
fn response(reply: &Reply, date: &str, truncated: bool) -> Response<Payload> {
    let (content_type, bytes) = reply.body.rendered().unwrap_or_default();
    let mut builder = Response::builder().status(reply.status).header(DATE, date).header(CONTENT_LENGTH, bytes.len());
    if !content_type.is_empty() {
        builder = builder.header(CONTENT_TYPE, content_type);
    }
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    let sent = if truncated { bytes.len() / 2 } else { bytes.len() };
    let payload = Payload { rest: Some(Bytes::from(bytes).slice(..sent)), breaks_off: truncated, flushed: false };
    builder.body(payload).unwrap_or_else(|_| {
        let mut refused = Response::new(Payload { rest: None, breaks_off: false, flushed: false });
        *refused.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        refused
    })
}

/// A body in one piece, after which it ends or breaks off.
struct Payload {
    rest: Option<Bytes>,
    breaks_off: bool,
    flushed: bool,
}

/// Ends a connection in the middle of a message.
#[derive(Debug)]
struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message was broken off")
    }
}

impl std::error::Error for BrokenOff {}

impl Body for Payload {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(bytes) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.breaks_off {
            return Poll::Ready(None);
        }
        // The connection drops what it has not flushed when a body fails, so it gets one turn to flush.
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(BrokenOff)))
    }
}
