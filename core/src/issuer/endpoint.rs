//! Which endpoints may be called: scheme, host list and address guard. No client required.

use super::address::{plain, special_kind};
use super::host_list::Entry;
use super::{Failure, FailureKind};
use ipnet::IpNet;
use std::net::IpAddr;
use url::Url;

/// The endpoints that the settings allow. The default allows the documented paths of
/// [`DEFAULT_HOST`](super::host_list::DEFAULT_HOST) over https, at public addresses.
///
/// Every user who may create a SyniverseToken chooses its endpoint, and a request carries credentials: without these
/// rules any Secret of a namespace could be sent to a server of the user's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRules {
    /// The entries allowed besides [`Entry::default_host`].
    pub hosts: Vec<Entry>,
    /// Ranges of special addresses that may be called over https.
    pub private: Vec<IpNet>,
    /// Development: http and every address are allowed. The host list still holds.
    pub insecure: bool,
}

/// Why an endpoint may not be called, and what would allow it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Not a URL, or a URL without a host.
    #[error("the endpoint is not a URL such as https://api.syniverse.com/path")]
    NotAUrl,
    /// Neither https, nor http with leave to use it.
    #[error("the endpoint is not https; only --insecure-endpoints, meant for development, allows http")]
    NotHttps,
    /// A part that could carry a credential or change the request.
    #[error("the endpoint must have no user, query or fragment")]
    ExtraPart,
    /// A part that URL parsers read differently.
    #[error(
        "the endpoint must be plain: ASCII, without '%', ';' or backslash, and without '.', '..' or '' in its path"
    )]
    NotPlain,
    /// The list has no such host; or it has, but not with this port or this path.
    #[error("the endpoint's {part} is not in the host list; --endpoint-host {entry} would allow it")]
    Unlisted {
        /// The part that the list lacks, in words.
        part: String,
        /// The entry that would allow it.
        entry: String,
    },
    /// The host is, or resolves to, an address that is not public.
    #[error("the endpoint leads to a {kind} address; --private-endpoints with its CIDR would allow it over https")]
    Address {
        /// Kind of the address. The address itself is not shown: it would let any user look up internal names.
        kind: &'static str,
    },
}

impl From<NotAllowed> for Failure {
    fn from(cause: NotAllowed) -> Self {
        Self { kind: FailureKind::EndpointNotAllowed, detail: cause.to_string(), retry_after: None, status: None }
    }
}

impl EndpointRules {
    /// Checks everything that can be known of `endpoint` without asking DNS, and returns it as a URL. It is checked for
    /// the resources of `namespace`; none = for those of any, which is for a call whose resource was checked before.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn admit(&self, namespace: Option<&str>, endpoint: &str) -> Result<Url, NotAllowed> {
        let url = plain_url(endpoint)?;
        self.admit_scheme(url.scheme())?;
        self.admit_place(namespace, &url)?;
        self.admit_literal(url.host_str().ok_or(NotAllowed::NotAUrl)?)?;
        Ok(url)
    }

    /// Checks an address that DNS returned for a host.
    ///
    /// # Errors
    /// When it is not public and nothing allows it.
    pub fn admit_address(&self, address: IpAddr) -> Result<(), NotAllowed> {
        match special_kind(address) {
            Some(kind) if !self.insecure && !self.is_listed(address) => Err(NotAllowed::Address { kind }),
            _ => Ok(()),
        }
    }

    fn admit_scheme(&self, scheme: &str) -> Result<(), NotAllowed> {
        match scheme {
            "https" => Ok(()),
            "http" if self.insecure => Ok(()),
            _ => Err(NotAllowed::NotHttps),
        }
    }

    fn admit_place(&self, namespace: Option<&str>, url: &Url) -> Result<(), NotAllowed> {
        let default = Entry::default_host();
        let entries: Vec<_> = self
            .hosts
            .iter()
            .chain([&default])
            .filter(|entry| entry.is_for(namespace) && entry.has_host(url))
            .collect();
        if entries.iter().any(|entry| entry.covers(url)) {
            return Ok(());
        }
        Err(unlisted(url, !entries.is_empty(), entries.iter().any(|entry| entry.has_port(url))))
    }

    fn admit_literal(&self, host: &str) -> Result<(), NotAllowed> {
        // A URL writes an IPv6 address in brackets.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or(Ok(()), |address| self.admit_address(address))
    }

    fn is_listed(&self, address: IpAddr) -> bool {
        self.private.iter().any(|range| range.contains(&address) || range.contains(&plain(address)))
    }
}

/// The part of `url` that the list lacks, although it may have the host, or the host with that port; and the narrowest
/// usual entry that would allow it.
fn unlisted(url: &Url, has_host: bool, has_port: bool) -> NotAllowed {
    let host = url.host_str().unwrap_or_default();
    let place = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let below = format!("{place}{}", url.path());
    let is_enough = place.parse::<Entry>().is_ok_and(|entry| entry.covers(url));
    let part = match (has_host, has_port, url.port_or_known_default()) {
        (true, true, _) => format!("path {}", url.path()),
        (true, false, Some(port)) => format!("port {port}"),
        _ => format!("host {}", host.trim_start_matches('[').trim_end_matches(']')),
    };
    NotAllowed::Unlisted { part, entry: if is_enough && !has_port { place } else { below } }
}

/// The URL that `text` is, when every reader reads it in the same way.
///
/// # Errors
/// When it is no URL, carries more than a location, or is written in a way that parsers decode differently.
pub(super) fn plain_url(text: &str) -> Result<Url, NotAllowed> {
    let url = Url::parse(text).map_err(|_| NotAllowed::NotAUrl)?;
    let (_, rest) = text.split_once("://").ok_or(NotAllowed::NotAUrl)?;
    if has_extra_part(&url) {
        return Err(NotAllowed::ExtraPart);
    }
    // `.` and `..` are gone from the path that was read.
    let written = rest.find('/').map_or("/", |at| &rest[at..]);
    let has_trick = text.contains(['%', ';', '\\']) || written.contains("//") || written != url.path();
    if has_trick || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NotAllowed::NotPlain);
    }
    Ok(url)
}

fn has_extra_part(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some()
}

/// Case and a trailing dot do not matter.
pub(super) fn is_same_host(one: &str, other: &str) -> bool {
    let relative = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    relative(one) == relative(other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Where most rules do not matter.
    const PATH: &str = "/apptoken-refresh";

    fn rules(hosts: &[&str], private: &[&str], insecure: bool) -> EndpointRules {
        EndpointRules {
            hosts: hosts.iter().map(|entry| entry.parse().unwrap()).collect(),
            private: private.iter().map(|range| range.parse().unwrap()).collect(),
            insecure,
        }
    }

    fn admits(rules: &EndpointRules, endpoint: &str) -> bool {
        rules.admit(Some("team-a"), endpoint).is_ok()
    }

    fn refusal(rules: &EndpointRules, endpoint: &str) -> NotAllowed {
        rules.admit(Some("team-a"), endpoint).unwrap_err()
    }

    #[test]
    fn the_default_host_is_always_allowed_however_it_is_written() {
        for host in ["api.syniverse.com", "API.Syniverse.COM", "api.syniverse.com.", "api.syniverse.com:443"] {
            let endpoint = format!("https://{host}{PATH}");
            assert!(admits(&EndpointRules::default(), &endpoint), "{endpoint}");
            assert!(admits(&rules(&["sma.example.com"], &[], false), &endpoint), "{endpoint}");
        }
    }

    #[test]
    fn other_hosts_need_to_be_listed() {
        let other = "https://sma.example.com/a";
        let refused = refusal(&EndpointRules::default(), other).to_string();
        assert_eq!(
            refused,
            "the endpoint's host sma.example.com is not in the host list; --endpoint-host sma.example.com would allow it"
        );
        assert!(admits(&rules(&["SMA.example.com."], &[], false), other));
        assert!(admits(&rules(&["*"], &[], false), other));
        assert!(!admits(&rules(&["example.com"], &[], false), other));
        assert!(!admits(&EndpointRules::default(), "https://api.syniverse.com.evil.example/apptoken-refresh"));
    }

    #[test]
    fn an_entry_of_another_namespace_allows_nothing() {
        let other = "https://sma.example.com/a";
        assert!(admits(&rules(&["team-a=sma.example.com"], &[], false), other));
        let rules = rules(&["team-b=sma.example.com"], &[], false);
        assert!(refusal(&rules, other).to_string().contains("host sma.example.com is not in the host list"));
        assert!(rules.admit(Some("team-b"), other).is_ok() && rules.admit(None, other).is_ok());
    }

    #[test]
    fn the_entry_that_is_named_allows_the_endpoint_and_no_more_than_it_must() {
        for (hosts, endpoint, part, entry) in [
            (&[][..], "https://sma.example.com:8443/a", "host sma.example.com", "sma.example.com:8443"),
            (&["sma.example.com"], "https://sma.example.com:8443/a", "port 8443", "sma.example.com:8443"),
            (&["sma.example.com:8443"], "https://sma.example.com/a", "port 443", "sma.example.com"),
            (&["sma.example.com/b"], "https://sma.example.com/a", "path /a", "sma.example.com/a"),
            (&[], "https://api.syniverse.com/sms", "path /sms", "api.syniverse.com/sms"),
            (&[], "https://api.syniverse.com:8243/sms", "port 8243", "api.syniverse.com:8243/sms"),
            (&[], "https://[2001:db8::1]:8443/a", "host 2001:db8::1", "[2001:db8::1]:8443"),
        ] {
            let refused = refusal(&rules(hosts, &[], false), endpoint).to_string();
            let expected =
                format!("the endpoint's {part} is not in the host list; --endpoint-host {entry} would allow it");
            assert_eq!(refused, expected);
            let allowed = rules(&[hosts, &[entry]].concat(), &["2001:db8::/32"], false);
            assert!(admits(&allowed, endpoint), "{entry}");
        }
    }

    #[test]
    fn http_is_for_development() {
        let plain = "http://api.syniverse.com/apptoken-refresh";
        assert_eq!(refusal(&EndpointRules::default(), plain), NotAllowed::NotHttps);
        assert_eq!(refusal(&rules(&["*"], &["0.0.0.0/0"], false), plain), NotAllowed::NotHttps);
        assert!(admits(&rules(&[], &[], true), plain));
        assert_eq!(refusal(&rules(&["*"], &[], true), "ftp://api.syniverse.com/a"), NotAllowed::NotHttps);
    }

    #[test]
    fn a_user_a_query_or_a_fragment_is_refused() {
        for endpoint in [
            "https://u@api.syniverse.com/",
            "https://:p@api.syniverse.com/",
            "https://api.syniverse.com/?",
            "https://api.syniverse.com/#",
        ] {
            assert_eq!(refusal(&EndpointRules::default(), endpoint), NotAllowed::ExtraPart, "{endpoint}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for endpoint in ["", "api.syniverse.com", "https://", "https://exa mple/", "https:api.syniverse.com/a"] {
            assert_eq!(refusal(&rules(&["*"], &[], true), endpoint), NotAllowed::NotAUrl, "{endpoint}");
        }
    }

    #[test]
    fn what_two_readers_could_take_for_two_places_is_refused_whatever_is_listed() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/..",
            "/a//b",
            "//a",
            "/a//",
            "/%2e%2e/b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%0d%0ab",
            "/a%00",
            "/a%20b",
            "/a%252e",
            "/a%c0%ae",
            "/..;/b",
            "/a;b=c",
            "/a\tb",
            "/a\nb",
            "/\u{fc}",
            "/a\"b",
        ] {
            let endpoint = format!("https://sma.example.com{path}");
            assert_eq!(refusal(&rules(&["*"], &[], true), &endpoint), NotAllowed::NotPlain, "{endpoint}");
        }
        for endpoint in ["https://sma%2eexample.com/", "https:\\\\sma.example.com/a", "https://sma.ex\tample.com/"] {
            assert!(!admits(&rules(&["*"], &[], true), endpoint), "{endpoint}");
        }
        for path in ["", "/", "/a/", "/a.b/..c/...", "/a-b_c~d/e+f,g=h:i", "/a/b.json"] {
            let endpoint = format!("https://sma.example.com{path}");
            assert!(admits(&rules(&["*"], &[], true), &endpoint), "{endpoint}");
        }
    }
    #[test]
    fn an_address_in_the_url_is_judged_in_every_spelling() {
        let open = rules(&["*"], &[], false);
        for endpoint in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://127.0.0.1./",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(refusal(&open, endpoint), NotAllowed::Address { kind: "loopback" }, "{endpoint}");
        }
        assert!(admits(&open, "https://8.8.8.8/"));
    }

    #[test]
    fn a_listed_range_is_allowed_over_https_and_nothing_beside_it() {
        let rules = rules(&["*"], &["10.1.0.0/16", "fd00:1::/32"], false);
        for allowed in ["https://10.1.2.3/", "https://[fd00:1::9]/", "https://[::ffff:10.1.2.3]/"] {
            assert!(admits(&rules, allowed), "{allowed}");
        }
        for refused in ["https://10.2.0.1/", "https://[fd00:2::9]/", "https://127.0.0.1/"] {
            assert!(!admits(&rules, refused), "{refused}");
        }
    }

    #[test]
    fn development_allows_every_address_of_a_listed_host() {
        assert!(admits(&rules(&["127.0.0.1:8080"], &[], true), "http://127.0.0.1:8080/a"));
        assert!(admits(&rules(&["[::1]:8080"], &[], true), "http://[::1]:8080/a"));
        assert!(!admits(&rules(&[], &[], true), "http://127.0.0.1:8080/a"));
    }

    #[test]
    fn a_refusal_says_which_setting_would_help() {
        let failure = Failure::from(refusal(&rules(&["*"], &[], false), "https://10.0.0.1/"));
        assert_eq!(failure.kind, FailureKind::EndpointNotAllowed);
        assert!(failure.detail.contains("--private-endpoints"), "{failure}");
    }
}
