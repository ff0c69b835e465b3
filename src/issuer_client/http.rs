//! Sends requests to issuers over HTTP, with every safeguard that credentials need. Client required.

use super::Issuer;
use super::transport::{CaBundle, IssuerSettings, TransportProblem};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use reqwest::{Certificate, Client, ClientBuilder, Proxy, RequestBuilder, Response, redirect, retry, tls};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::issuer::body::{self, LIMIT_BYTES};
use syniverse_token_core::issuer::endpoint::{EndpointRules, NotAllowed};
use syniverse_token_core::issuer::reply::{Body, Reply};
use syniverse_token_core::issuer::{Content, Failure, FailureKind, Message, Method, TokenRequest, TokenResponse};
use syniverse_token_core::redacted::Redacted;

/// A longer `Retry-After` is read as this. How much of it is granted is decided later: 1 or 5 minutes
/// (`schedule::retry`).
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Each request has its own connection. A kept connection may have been closed or forgotten on the way, which only a
/// request that fails or hangs reveals, at the very moment at which a token is due; a pair sent into it may be lost;
/// and a late response on it is taken for the response to the next request. A handshake costs less.
const CONNECTIONS_KEPT: usize = 0;

/// The media type of all answers.
const JSON: &str = "application/json";

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The [`Issuer`] over HTTP. A single instance serves the whole process: it holds the state for TLS resumption.
///
/// It follows no redirect, repeats no request, sends no referer, verifies TLS (1.2 or newer) against the system's
/// CAs and the extra bundle, and takes no proxy from the environment.
pub struct HttpIssuer {
    client: Client,
    settings: IssuerSettings,
}

/// Settings from which no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The bundle holds no certificate that can be read.
    #[error("failed to read certificates from --ca-bundle {path}: it must hold one or more, in PEM")]
    CaBundle {
        /// The file.
        path: String,
    },
    /// Not a proxy that can be used. Its text may hold a password and is not shown.
    #[error("failed to use the value of --proxy: it must be a URL such as http://proxy.example.com:3128")]
    Proxy,
    /// TLS could not be prepared.
    #[error("failed to prepare TLS: the system has no CA certificates; install them or name some with --ca-bundle")]
    Tls,
}

impl HttpIssuer {
    /// Prepares the client. Nothing is sent.
    ///
    /// # Errors
    /// When a setting cannot be used; the text names the flag.
    pub fn new(settings: IssuerSettings) -> Result<Self, ClientError> {
        let mut builder = guarded(&settings).tls_certs_merge(extra_certificates(settings.ca_bundle.as_ref())?);
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(Proxy::all(proxy.expose()).map_err(|_| ClientError::Proxy)?);
        } else {
            builder = builder.no_proxy().dns_resolver(GuardedResolver(Arc::new(settings.endpoints.clone())));
        }
        let client = builder.build().map_err(|_| unusable(settings.ca_bundle.as_ref()))?;
        Ok(Self { client, settings })
    }

    async fn exchange(&self, token_request: &TokenRequest) -> Result<TokenResponse, Failure> {
        // The plan has checked it for the namespace of the resource.
        let endpoint = self.settings.endpoints.admit(None, token_request.endpoint())?;
        let Message { method, url, authorization, content } = token_request.wire().message(endpoint);
        let request = self.client.request(method_of(method), url.0);
        let request = authorization.as_ref().and_then(sensitive).into_iter().fold(request, with_authorization);
        let request = content.into_iter().fold(request, with_content);
        token_request.wire().read(&self.send_http(request).await?)
    }

    /// Sends a request whose URL or body is a secret.
    async fn send_http(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let sent = request.header(ACCEPT, JSON).header(ACCEPT_ENCODING, "identity").send().await;
        let response = sent.map_err(|error| self.failure(error))?;
        let date = date(response.headers(), &DATE);
        Ok(Reply {
            status: response.status().as_u16(),
            date,
            retry_after: retry_after(response.headers(), date.unwrap_or_else(Timestamp::now)),
            body: self.body(response).await,
        })
    }

    async fn body(&self, mut response: Response) -> Result<Body, Failure> {
        let mut read = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            if read.len() + chunk.len() > LIMIT_BYTES {
                return Err(unavailable("the issuer's response is larger than 64 KiB".to_owned()));
            }
            read.extend_from_slice(&chunk);
        }
        let (status, declared) = (response.status().as_u16(), content_encoding(response.headers()));
        let failure = |problem| unavailable(format!("the issuer answered HTTP {status} with {problem}"));
        body::decoded(read, &declared).map(Body).map_err(failure)
    }

    /// The only place that sees an error of the HTTP client, which would print the URL.
    fn failure(&self, error: reqwest::Error) -> Failure {
        match TransportProblem::of(&error) {
            TransportProblem::NotAllowed(cause) => cause.into(),
            problem => unavailable(problem.sentence(&self.settings)),
        }
    }
}

impl Issuer for HttpIssuer {
    fn send<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<TokenResponse, Failure>> {
        self.exchange(request).boxed()
    }
}

fn method_of(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
    }
}

/// A header value that the client does not print; none for what no header can hold, which no wire format writes.
fn sensitive(value: &Redacted) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn with_authorization(request: RequestBuilder, value: HeaderValue) -> RequestBuilder {
    request.header(AUTHORIZATION, value)
}

/// The body is passed as bytes, not through the client's own support for JSON and forms, so that its type cannot be
/// printed.
fn with_content(request: RequestBuilder, content: Content) -> RequestBuilder {
    request.header(CONTENT_TYPE, content.media_type()).body(content.into_body().0)
}

fn unavailable(detail: String) -> Failure {
    Failure { kind: FailureKind::Unavailable, detail, retry_after: None, status: None }
}

fn guarded(settings: &IssuerSettings) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .https_only(!settings.endpoints.insecure)
        .tls_version_min(tls::Version::TLS_1_2)
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.call_timeout)
        .pool_max_idle_per_host(CONNECTIONS_KEPT)
}

fn extra_certificates(bundle: Option<&CaBundle>) -> Result<Vec<Certificate>, ClientError> {
    let Some(bundle) = bundle else { return Ok(Vec::new()) };
    Certificate::from_pem_bundle(&bundle.pem)
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| unusable(Some(bundle)))
}

/// Building fails only without any CAs: the bundle was checked to hold certificates, and without a bundle the system
/// has some.
fn unusable(bundle: Option<&CaBundle>) -> ClientError {
    bundle.map_or(ClientError::Tls, |bundle| ClientError::CaBundle { path: bundle.path.clone() })
}

/// All that was applied to the body, in order.
fn content_encoding(headers: &HeaderMap) -> String {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    values.map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(",")
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.as_bytes()).ok()
}

/// `Retry-After` in either of its forms; a moment is counted from `now`.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs);
    let until = || {
        let moment = date(headers, &RETRY_AFTER)?;
        Some(Duration::try_from(moment.duration_since(now)).unwrap_or(Duration::ZERO))
    };
    seconds.or_else(until).map(|wish| wish.min(LONGEST_RETRY_AFTER))
}

/// Passes on only those addresses of a host that the rules admit. A literal address in a URL never comes here:
/// [`EndpointRules::admit`] has judged it.
struct GuardedResolver(Arc<EndpointRules>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(admitted(found, &rules)?.into_iter()) as Addrs)
        })
    }
}

/// The public addresses among `found`; an error when there are only others.
fn admitted(found: impl Iterator<Item = SocketAddr>, rules: &EndpointRules) -> Result<Vec<SocketAddr>, NotAllowed> {
    let mut admitted = Vec::new();
    let mut refusal = None;
    for address in found {
        match rules.admit_address(address.ip()) {
            Ok(()) => admitted.push(address),
            Err(cause) => refusal = Some(cause),
        }
    }
    match refusal {
        Some(cause) if admitted.is_empty() => Err(cause),
        _ => Ok(admitted),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wish(value: &'static str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        retry_after(&headers, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(wish("120"), Some(Duration::from_secs(120)));
        assert_eq!(wish("0"), Some(Duration::ZERO));
        assert_eq!(wish("Thu, 01 Jan 2026 00:01:30 GMT"), Some(Duration::from_secs(90)));
    }

    #[test]
    fn retry_after_is_bounded_and_never_negative() {
        assert_eq!(wish("86400"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wish("18446744073709551615"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wish("Fri, 01 Jan 2027 00:00:00 GMT"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wish("Wed, 31 Dec 2025 00:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn a_retry_after_that_says_nothing_is_ignored() {
        for value in ["", "-1", "soon", "1.5"] {
            assert_eq!(wish(value), None, "{value}");
        }
    }

    #[test]
    fn a_host_with_a_public_address_is_called_at_that_address_only() {
        let found = ["10.0.0.1:0", "8.8.8.8:0", "127.0.0.1:0"].map(|address| address.parse().unwrap());
        let rules = EndpointRules::default();
        assert_eq!(admitted(found.into_iter(), &rules).unwrap(), ["8.8.8.8:0".parse().unwrap()]);
        assert!(admitted(found[..1].iter().copied(), &rules).is_err());
        assert!(admitted(std::iter::empty(), &rules).unwrap().is_empty());
    }
}
