//! Connections to the API server: kept alive, renewed when they go silent, and closed when they are not needed.
//!
//! A gateway that has forgotten a connection drops what is sent without any answer. TCP keepalive keeps gateways from
//! forgetting, and detects a peer that is gone. A peer that still acknowledges but never answers is detected by
//! [`renewal`], and in a watch by its end, which comes every [`WATCH`].

use http::HeaderValue;
use http::header::USER_AGENT;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use in_flight::InFlight;
use kube::client::ConfigExt;
use kube::{Client, Config};
use renewal::Renewal;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};
use traced::Traced;

mod bounded;
mod in_flight;
mod json_filter;
mod renewal;
mod traced;
mod trim;

pub use trim::DocumentTooLarge;

/// The API server ends each watch after this time, and the watch resumes where it was: a watch that is silent for
/// longer is dead. The extra request is answered from the API server's cache.
pub const WATCH: Duration = Duration::from_secs(20);
/// Tolerance for the end of a watch.
const WATCH_RESERVE: Duration = Duration::from_secs(3);

/// User agent of requests. The part before the slash is the field manager where none is named.
const OUR_USER_AGENT: &str = concat!("syniverse-token-operator/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest silence in an answer, and before it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Concurrent requests to the API server, until their responses are read: a thousand resources that wake together do not
/// open a thousand connections.
const REQUESTS_IN_FLIGHT: usize = 32;
/// The same for what delivers tokens to Pods.
const DELIVERIES_IN_FLIGHT: usize = 8;
/// Idle time after which a connection is closed: a connection that went silent is not met when a token expires, and
/// data read from it does not stay in its buffers.
const REUSED_WITHIN: Duration = Duration::from_secs(5);

/// Keepalive of an idle connection: first probe, interval, and number of failed probes before it is given up.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);
/// Sent data is acknowledged within this time, or the connection is given up (Linux `TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// Client for watches: a response may last as long as data keeps arriving. It shows the metadata that is read, and no
/// other.
///
/// # Errors
/// When the configuration cannot be used.
pub fn watching(mut config: Config) -> kube::Result<Client> {
    config.read_timeout = Some(WATCH + WATCH_RESERVE);
    let namespace = config.default_namespace.clone();
    let trimmed = ServiceBuilder::new().map_response(trim::trimmed).service(Renewal::of(config, Duration::ZERO)?);
    Ok(Client::new(trimmed, namespace))
}

/// Client for the few requests that keep the Lease: they wait for no others.
///
/// # Errors
/// When the configuration cannot be used.
pub fn leasing(config: Config) -> kube::Result<Client> {
    let namespace = config.default_namespace.clone();
    Ok(Client::new(Renewal::of(bounded(config), REUSED_WITHIN)?, namespace))
}

/// Client for all other requests. They are bounded in time, and repeated only when no response comes: a failed pass is
/// followed by a new pass.
///
/// # Errors
/// When the configuration cannot be used.
pub fn asking(config: Config) -> kube::Result<Client> {
    let namespace = config.default_namespace.clone();
    let some = InFlight::new(Renewal::of(bounded(config), REUSED_WITHIN)?, REQUESTS_IN_FLIGHT);
    Ok(Client::new(Traced(some), namespace))
}

/// Client for what delivers tokens to Pods: no other request waits for these. A response that is too large to be held is
/// an error, [`DocumentTooLarge`].
///
/// # Errors
/// When the configuration cannot be used.
pub fn delivering(config: Config) -> kube::Result<Client> {
    let namespace = config.default_namespace.clone();
    let few = InFlight::new(Renewal::of(bounded(config), REUSED_WITHIN)?, DELIVERIES_IN_FLIGHT);
    Ok(Client::new(ServiceBuilder::new().map_response(bounded::bounded).service(Traced(few)), namespace))
}

fn bounded(mut config: Config) -> Config {
    config.read_timeout = Some(REQUEST_TIMEOUT);
    config.write_timeout = Some(REQUEST_TIMEOUT);
    config.reset_reader_on_write = true;
    config
}

/// A client without a connection yet; a connection that was idle for longer than `reused_within` is not used again.
fn connect(config: &Config, reused_within: Duration) -> kube::Result<Client> {
    let mut config = config.clone();
    config.headers.push((USER_AGENT, HeaderValue::from_static(OUR_USER_AGENT)));
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // A client with its own retries would sleep through the end of an outage.
    config.default_retry = false;
    if config.proxy_url.is_some() {
        // The library handles tunnels; their silence is detected by the timeouts alone.
        return Client::try_from(config);
    }
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(kept_alive())?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let mut builder = legacy::Builder::new(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(reused_within);
    if reused_within.is_zero() {
        builder.pool_max_idle_per_host(0);
    }
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(builder.build(connector));
    Ok(Client::new(service, config.default_namespace))
}

fn kept_alive() -> HttpConnector {
    let (after, interval, probes) = KEEPALIVE;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_keepalive(Some(after));
    connector.set_keepalive_interval(Some(interval));
    connector.set_keepalive_retries(Some(probes));
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    connector
}
