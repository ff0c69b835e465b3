//! The allowed endpoints: hosts with their ports and paths, for every namespace or for a single namespace. No client
//! required.

use super::endpoint::{is_same_host, plain_url};
use std::str::FromStr;
use url::Url;

/// The host that may always be called, at its documented paths.
pub const DEFAULT_HOST: &str = "api.syniverse.com";

/// Stands for every host, port and path.
pub const ANY_HOST: &str = "*";

/// The documented paths of the APIs at [`DEFAULT_HOST`]: the default path of applications, a shorter path in use, the
/// path of sessions, and the token endpoint for client credentials.
const DOCUMENTED_PATHS: [&str; 4] =
    ["/saop-rest-data/v1/apptoken-refresh", "/apptoken-refresh", "/api/v2/auth/token", "/token"];

/// An entry of the host list, as `[NAMESPACE=]HOST[:PORT][/PATH]` or `[NAMESPACE=]*`.
///
/// Without a port it covers the default port of the scheme. Without a path it covers every path of the host, but for
/// [`DEFAULT_HOST`] only the documented paths; with a path it covers that path and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The namespace whose resources it is for; none = all.
    namespace: Option<String>,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Anywhere,
    At { host: String, port: Option<u16>, path: Option<String> },
}

/// Not an entry of the host list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "[NAMESPACE=]HOST[:PORT][/PATH] without a scheme, such as sma.example.com or team-a=sma.example.com:8443/api, or *"
)]
pub struct NotAnEntry;

impl FromStr for Entry {
    type Err = NotAnEntry;

    fn from_str(text: &str) -> Result<Self, NotAnEntry> {
        let (namespace, place) = match text.split_once('=').filter(|(before, _)| !before.contains('/')) {
            Some((namespace, place)) if is_namespace(namespace) => (Some(namespace.to_owned()), place),
            Some(_) => return Err(NotAnEntry),
            None => (None, text),
        };
        Ok(Self { namespace, place: place.parse()? })
    }
}

impl FromStr for Place {
    type Err = NotAnEntry;

    fn from_str(text: &str) -> Result<Self, NotAnEntry> {
        if text == ANY_HOST {
            return Ok(Self::Anywhere);
        }
        let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let is_bare_ipv6 = authority.parse::<std::net::Ipv6Addr>().is_ok();
        let authority = if is_bare_ipv6 { format!("[{authority}]") } else { authority.to_owned() };
        // The URL parser normalises hosts, and rejects invalid ones.
        let url = plain_url(&format!("https://{authority}{path}")).map_err(|_| NotAnEntry)?;
        let is_one_host = |host: &&str| !host.contains('*') && !authority.ends_with(':');
        let host = url.host_str().filter(is_one_host).ok_or(NotAnEntry)?.to_owned();
        let path = (!path.is_empty()).then(|| url.path().to_owned());
        Ok(Self::At { host, port: url.port(), path })
    }
}

impl Entry {
    /// The entry that is allowed without any setting.
    pub fn default_host() -> Self {
        let place = Place::At { host: DEFAULT_HOST.to_owned(), port: None, path: None };
        Self { namespace: None, place }
    }

    /// True where it is meant for `namespace`; none = whichever.
    pub fn is_for(&self, namespace: Option<&str>) -> bool {
        self.namespace.is_none() || namespace.is_none() || self.namespace.as_deref() == namespace
    }

    /// True when it names the host of `url`.
    pub fn has_host(&self, url: &Url) -> bool {
        match &self.place {
            Place::Anywhere => true,
            Place::At { host, .. } => is_same_host(host, url.host_str().unwrap_or_default()),
        }
    }

    /// True when it names the host and the port of `url`.
    pub fn has_port(&self, url: &Url) -> bool {
        self.has_host(url)
            && match &self.place {
                Place::Anywhere => true,
                Place::At { port: None, .. } => url.port().is_none(),
                Place::At { port, .. } => *port == url.port_or_known_default(),
            }
    }

    /// True when it allows `url`.
    pub fn covers(&self, url: &Url) -> bool {
        self.has_port(url)
            && match &self.place {
                Place::Anywhere => true,
                Place::At { path: Some(path), .. } => is_below(path, url.path()),
                Place::At { host, .. } if is_same_host(host, DEFAULT_HOST) => DOCUMENTED_PATHS.contains(&url.path()),
                Place::At { .. } => true,
            }
    }
}

/// True for `above` itself and for every path below it.
fn is_below(above: &str, path: &str) -> bool {
    let rest = path.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// True for valid names of namespaces.
pub fn is_namespace(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    matches!(text.len(), 1..=63) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn covers(entry: &str, url: &str) -> bool {
        entry.parse::<Entry>().unwrap().covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_host_stands_for_its_default_port_and_every_path() {
        for url in ["https://sma.example.com/", "https://SMA.example.com./a/b", "https://sma.example.com:443/a"] {
            assert!(covers("sma.example.com", url), "{url}");
        }
        for url in ["https://sma.example.com:8443/", "https://sma.example.com:80/", "https://x.sma.example.com/"] {
            assert!(!covers("sma.example.com", url), "{url}");
        }
        assert!(covers("sma.example.com", "http://sma.example.com/a"), "where http is allowed at all");
    }

    #[test]
    fn a_port_stands_for_that_port_alone() {
        assert!(covers("sma.example.com:8443", "https://sma.example.com:8443/a"));
        assert!(!covers("sma.example.com:8443", "https://sma.example.com/a"));
        assert!(!covers("sma.example.com:8443", "https://sma.example.com:84/a"));
        assert!(covers("sma.example.com:443", "https://sma.example.com/a"));
        assert!(covers("sma.example.com:80", "http://sma.example.com/a"));
    }

    #[test]
    fn a_path_stands_for_itself_and_for_what_is_below_it() {
        for entry in ["sma.example.com/api", "sma.example.com/api/"] {
            for path in ["/api", "/api/", "/api/v2/auth/token"] {
                assert!(covers(entry, &format!("https://sma.example.com{path}")), "{entry} {path}");
            }
            for path in ["/", "/apis", "/API/v2", "/x/api/", "/api.v2"] {
                assert!(!covers(entry, &format!("https://sma.example.com{path}")), "{entry} {path}");
            }
        }
        assert!(covers("sma.example.com:8443/api", "https://sma.example.com:8443/api/x"));
        assert!(!covers("sma.example.com:8443/api", "https://sma.example.com/api/x"));
    }

    #[test]
    fn the_default_host_stands_for_its_documented_paths_until_a_path_is_given() {
        for path in DOCUMENTED_PATHS {
            assert!(Entry::default_host().covers(&Url::parse(&format!("https://api.syniverse.com{path}")).unwrap()));
            for entry in ["api.syniverse.com", "API.syniverse.com."] {
                assert!(covers(entry, &format!("https://api.syniverse.com{path}")), "{entry}");
                assert!(!covers(entry, &format!("https://api.syniverse.com{path}/")), "{entry}");
                assert!(!covers(entry, "https://api.syniverse.com/sms"), "{entry}");
            }
        }
        assert!(covers("api.syniverse.com/", "https://api.syniverse.com/sms"));
        assert!(covers("api.syniverse.com/sms", "https://api.syniverse.com/sms/v1"));
        assert!(!covers("api.syniverse.com:8243", "https://api.syniverse.com:8243/sms"));
    }

    #[test]
    fn the_star_stands_for_everything() {
        for url in ["http://127.0.0.1:40000/x", "https://[::1]:1/", "https://api.syniverse.com:8243/sms"] {
            assert!(covers("*", url), "{url}");
        }
    }

    #[test]
    fn addresses_are_the_same_in_every_spelling() {
        for entry in ["::1", "[::1]", "[0:0:0:0:0:0:0:1]"] {
            assert!(covers(entry, "https://[::1]/a"), "{entry}");
            assert!(!covers(entry, "https://[::1]:8443/a"), "{entry}");
        }
        assert!(covers("[2001:db8::1]:8443/api", "https://[2001:db8::1]:8443/api/x"));
        assert!(covers("2001:db8::1/api", "https://[2001:db8::1]/api"));
        assert!(covers("10.1", "https://10.0.0.1/"));
    }

    #[test]
    fn an_entry_of_a_namespace_is_for_that_namespace() {
        let entry: Entry = "team-a=sma.example.com:8443/api".parse().unwrap();
        assert!(entry.is_for(Some("team-a")) && entry.is_for(None));
        assert!(!entry.is_for(Some("team")) && !entry.is_for(Some("team-b")));
        assert!("*".parse::<Entry>().unwrap().is_for(Some("team-b")));
        assert!(!"team-a=*".parse::<Entry>().unwrap().is_for(Some("team-b")));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for text in [
            "",
            "https://sma.example.com",
            "sma.example.com:",
            "sma.example.com:port",
            "sma.example.com:99999",
            "*.example.com",
            "*:443",
            "*/api",
            "sma.example.com/a/../b",
            "sma.example.com/a%2fb",
            "sma.example.com//a",
            "sma.example.com/a?b",
            "user@sma.example.com",
            "sma example.com",
            "/api",
            "=sma.example.com",
            "Team=sma.example.com",
            "team-a=",
        ] {
            assert!(text.parse::<Entry>().is_err(), "{text}");
        }
    }
}
