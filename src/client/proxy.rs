//! The proxy on the way to the API server, by the rules of kubectl (`golang.org/x/net/http/httpproxy`).
//!
//! `HTTPS_PROXY`, for a server that is named with `http` `HTTP_PROXY`, unless `NO_PROXY` names the server or it is on this
//! machine. Each is also read in small letters. Calls to issuers read none of these.

use http::Uri;
use http::uri::InvalidUri;
use ipnet::IpNet;
use std::net::IpAddr;

/// The proxy settings of the environment. A proxy URL may hold a password.
pub struct Variables {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: String,
}

impl Variables {
    /// Reads them by `lookup`. One that is empty is none.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |name: &str| {
            [name.to_owned(), name.to_lowercase()]
                .iter()
                .filter_map(|name| lookup(name))
                .find(|value| !value.is_empty())
        };
        Self {
            http_proxy: first("HTTP_PROXY"),
            https_proxy: first("HTTPS_PROXY"),
            no_proxy: first("NO_PROXY").unwrap_or_default(),
        }
    }

    /// The proxy on the way to `server`.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn proxy_for(&self, server: &Uri) -> Result<Option<Uri>, InvalidUri> {
        let plain = server.scheme_str() == Some("http");
        let proxy = if plain { &self.http_proxy } else { &self.https_proxy };
        let Some(proxy) = proxy.as_deref().filter(|_| !self.exempt(server)) else { return Ok(None) };
        let url: Uri = proxy.parse()?;
        if url.scheme().is_some() { Ok(Some(url)) } else { format!("http://{proxy}").parse().map(Some) }
    }

    fn exempt(&self, server: &Uri) -> bool {
        let Some(target) = Target::of(server) else { return false };
        target.is_local() || self.no_proxy.split(',').any(|entry| target.is_named_by(entry.trim()))
    }
}

/// Where a request goes.
struct Target {
    host: String,
    ip: Option<IpAddr>,
    port: u16,
}

impl Target {
    fn of(url: &Uri) -> Option<Self> {
        let host = unbracketed(url.host()?).to_lowercase();
        let usual = if url.scheme_str() == Some("http") { 80 } else { 443 };
        Some(Self { ip: address(&host), host, port: url.port_u16().unwrap_or(usual) })
    }

    fn is_local(&self) -> bool {
        self.host == "localhost" || self.ip.is_some_and(|ip| ip.is_loopback())
    }

    /// Whether this is named by an entry of `NO_PROXY`: `*`, a network, or an address or a domain, each with or without a
    /// port. What is none of these names nothing.
    fn is_named_by(&self, entry: &str) -> bool {
        if entry == "*" {
            return true;
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            return self.ip.is_some_and(|ip| network.contains(&ip));
        }
        let (name, port) = with_port(entry);
        if port.is_some_and(|port| port != self.port) {
            return false;
        }
        match (self.ip, address(unbracketed(name))) {
            (None, None) => in_domain(&self.host, &name.to_lowercase()),
            (ip, named) => ip == named,
        }
    }
}

/// The name, and the port if present; an IPv6 address without a port has colons too.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    let port = || entry.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    match port() {
        Some((name, port)) if entry.parse::<IpAddr>().is_err() => (name, Some(port)),
        _ => (entry, None),
    }
}

/// `example.com` is itself and all below; `.example.com` and `*.example.com` are all below.
fn in_domain(host: &str, domain: &str) -> bool {
    let domain = domain.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(domain);
    if domain.is_empty() {
        return false;
    }
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || domain.starts_with('.') || rest.ends_with('.'))
}

/// The address, as IPv4 if it is embedded in IPv6.
fn address(host: &str) -> Option<IpAddr> {
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const API_SERVER: &str = "https://api.example.com:6443";
    const PROXY: &str = "http://user:password@proxy.example.com:3128/";

    /// The proxy on the way to `server`, by these variables.
    fn used(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let proxy = Variables::read(lookup).proxy_for(&server.parse().unwrap()).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    fn exempt(server: &str, no_proxy: &str) -> bool {
        used(server, &[("HTTPS_PROXY", PROXY), ("NO_PROXY", no_proxy)]).is_none()
    }

    #[test]
    fn the_proxy_of_the_scheme_is_used() {
        for any in [PROXY, "https://proxy.example.com/", "socks5://127.0.0.1:1080/", "ftp://a/"] {
            assert_eq!(used(API_SERVER, &[("HTTPS_PROXY", any)]).as_deref(), Some(any));
        }
        assert_eq!(used(API_SERVER, &[("HTTPS_PROXY", ""), ("https_proxy", PROXY)]).as_deref(), Some(PROXY));
        assert_eq!(used(API_SERVER, &[("HTTP_PROXY", PROXY)]), None);
        assert_eq!(used("http://api.example.com", &[("HTTPS_PROXY", PROXY)]), None);
        assert_eq!(used("http://api.example.com", &[("HTTP_PROXY", PROXY)]).as_deref(), Some(PROXY));
        assert_eq!(used(API_SERVER, &[]), None);
    }

    #[test]
    fn a_proxy_without_a_scheme_speaks_http() {
        let bare = [("HTTPS_PROXY", "proxy.example.com:3128")];
        assert_eq!(used(API_SERVER, &bare).unwrap(), "http://proxy.example.com:3128/");
    }

    #[test]
    fn what_is_no_url_is_complained_of_where_it_would_be_used() {
        let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| "http://pro xy".to_owned());
        assert!(Variables::read(lookup).proxy_for(&API_SERVER.parse().unwrap()).is_err());
        assert!(Variables::read(lookup).proxy_for(&"https://localhost".parse().unwrap()).unwrap().is_none());
    }

    #[test]
    fn domains_are_exempt_with_all_below_and_at_one_port_alone_where_they_name_it() {
        for named in ["api.example.com", ".example.com", "*.example.com", "example.com", "com", "API.example.COM"] {
            assert!(exempt(API_SERVER, named), "{named}");
            assert!(exempt(API_SERVER, &format!("{named}:6443")), "{named}");
            assert!(!exempt(API_SERVER, &format!("{named}:443")), "{named}");
        }
        for other in
            ["other.example.com", "pi.example.com", ".api.example.com", "*.api.example.com", "*api.example.com"]
        {
            assert!(!exempt(API_SERVER, other), "{other}");
        }
        assert!(exempt("https://api.example.com", "api.example.com:443"));
    }

    #[test]
    fn addresses_are_exempt_as_such_and_by_their_networks() {
        for named in ["10.0.0.1", "10.0.0.0/8", "10.0.0.1:6443", "::ffff:10.0.0.1", "*"] {
            assert!(exempt("https://10.0.0.1:6443", named), "{named}");
        }
        for named in ["fd00::1", "fd00::/8", "[fd00::1]:6443", "[fd00::1]"] {
            assert!(exempt("https://[fd00::1]:6443", named), "{named}");
        }
        for other in ["10.0.0.2", "11.0.0.0/8", "10.0.0.1:443", "0.0.1", ".1", "fd00::1"] {
            assert!(!exempt("https://10.0.0.1:6443", other), "{other}");
        }
        assert!(!exempt(API_SERVER, "10.0.0.0/8"));
    }

    #[test]
    fn what_names_nothing_is_passed_over() {
        for nothing in ["", " ", ",", "10.0.0.0/99", ":6443", "http://api.example.com", "[", "a b"] {
            assert!(!exempt(API_SERVER, nothing), "{nothing}");
            assert!(!exempt("https://api.example.com.", nothing), "{nothing}");
            assert!(exempt(API_SERVER, &format!("{nothing}, api.example.com ,")), "{nothing}");
        }
    }

    #[test]
    fn this_machine_is_always_exempt() {
        for here in ["localhost", "127.0.0.1:6443", "127.9.9.9", "[::1]:6443", "[::ffff:127.0.0.1]"] {
            assert!(exempt(&format!("https://{here}"), ""), "{here}");
        }
        for elsewhere in ["localhost.example.com", "0.0.0.0", "128.0.0.1", "[::2]"] {
            assert!(!exempt(&format!("https://{elsewhere}"), ""), "{elsewhere}");
        }
    }

    #[test]
    fn an_exempt_proxy_is_still_a_proxy() {
        assert!(!exempt(API_SERVER, "proxy.example.com"));
    }
}
