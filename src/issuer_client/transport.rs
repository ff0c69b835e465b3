//! Transport of requests to issuers, and its failures in our own words. No client required.

use reqwest::Url;
use rustls::CertificateError;
use std::error::Error;
use std::time::Duration;
use syniverse_token_core::issuer::endpoint::{EndpointRules, NotAllowed};
use syniverse_token_core::redacted::Redacted;

/// Settings for requests to issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Which endpoints may be called.
    pub endpoints: EndpointRules,
    /// From the start of a request to the last byte of its response.
    pub call_timeout: Duration,
    /// For DNS, TCP and TLS together; at most the call timeout.
    pub connect_timeout: Duration,
    /// A URL that may hold a user and a password.
    pub proxy: Option<Redacted>,
    /// CAs to trust besides those of the system.
    pub ca_bundle: Option<CaBundle>,
}

/// A file of CA certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaBundle {
    /// Where it was read from, for messages.
    pub path: String,
    /// Its contents.
    pub pem: Vec<u8>,
}

/// Why no response was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportProblem {
    /// The host has no address that may be called.
    NotAllowed(NotAllowed),
    /// The issuer's certificate cannot be used.
    Certificate(CertificateProblem),
    /// TLS failed for another reason.
    Tls,
    /// DNS did not resolve the host.
    Name {
        /// The host of the endpoint.
        host: String,
    },
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// No connection.
    Connect,
    /// No complete response within the call timeout.
    CallTimeout,
    /// The connection closed before the response was complete.
    Cut,
}

/// The problem of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// No trusted CA has signed it.
    Untrusted,
    /// It has expired or is not valid yet.
    OutOfDate,
    /// It was made for another host.
    OtherHost,
    /// Anything else.
    Other,
}

impl TransportProblem {
    /// Classifies the client's error. Its own texts are not used, because libraries do not guard secrets; of its URL
    /// only the host is taken.
    pub fn of(error: &reqwest::Error) -> Self {
        if let Some(cause) = cause::<NotAllowed>(error) {
            return Self::NotAllowed(cause.clone());
        }
        if let Some(cause) = cause::<rustls::Error>(error) {
            return Self::of_tls(cause);
        }
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => Self::ConnectTimeout,
            (true, false) if error.is_dns() => {
                let host = error.url().and_then(Url::host_str).unwrap_or("of the endpoint");
                Self::Name { host: host.to_owned() }
            }
            (true, false) => Self::Connect,
            (false, true) => Self::CallTimeout,
            (false, false) => Self::Cut,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use CertificateError as E;
        let rustls::Error::InvalidCertificate(problem) = error else { return Self::Tls };
        Self::Certificate(match problem {
            E::UnknownIssuer => CertificateProblem::Untrusted,
            E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                CertificateProblem::OutOfDate
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => CertificateProblem::OtherHost,
            _ => CertificateProblem::Other,
        })
    }

    /// A clause for people. `settings` gives the timeouts, and whether a proxy is on the way.
    pub fn sentence(&self, settings: &IssuerSettings) -> String {
        let way = if settings.proxy.is_some() { " through the proxy" } else { "" };
        match self {
            Self::NotAllowed(cause) => cause.to_string(),
            Self::Certificate(problem) => format!("the issuer's certificate {}", problem.clause()),
            Self::Tls => format!("the TLS handshake with the issuer failed{way}; it must speak TLS 1.2 or newer"),
            // Through a proxy only the proxy's own name is looked up here.
            Self::Name { .. } if settings.proxy.is_some() => "the proxy's host could not be resolved by DNS".to_owned(),
            Self::Name { host } => format!("the host {host} could not be resolved by DNS"),
            Self::Connect => format!("could not connect to the issuer{way}"),
            Self::ConnectTimeout => {
                format!("could not connect to the issuer within {:?}{way}", settings.connect_timeout)
            }
            Self::CallTimeout => format!("no response from the issuer within {:?}", settings.call_timeout),
            Self::Cut => "the connection closed before the issuer's response was complete".to_owned(),
        }
    }
}

impl CertificateProblem {
    fn clause(self) -> &'static str {
        match self {
            Self::Untrusted => "is not trusted: if your own CA signed it, add that CA with --ca-bundle",
            Self::OutOfDate => "has expired or is not valid yet",
            Self::OtherHost => "is for another host",
            Self::Other => "could not be verified",
        }
    }
}

/// The first error of type `T` in the chain. I/O errors hide what they wrap from `source`, so they are opened.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| current.source());
    }
    None
}
