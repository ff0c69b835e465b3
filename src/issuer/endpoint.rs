//! Which endpoints may be called: scheme, host list and address guard. No client required.

use super::address::{plain, special_kind};
use super::{Failure, FailureKind};
use ipnet::IpNet;
use reqwest::Url;
use std::net::IpAddr;

/// The host that may always be called.
pub const DEFAULT_HOST: &str = "api.syniverse.com";

/// Stands for every host in the host list.
pub const ANY_HOST: &str = "*";

/// What the settings allow. The default allows [`DEFAULT_HOST`] over https, at public addresses.
///
/// Whoever may create a SyniverseToken chooses its endpoint, and a call carries credentials: without these rules
/// any Secret of a namespace could be sent to a host of one's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRules {
    /// Hosts allowed besides [`DEFAULT_HOST`]; [`ANY_HOST`] allows every host. Case and a trailing dot do not matter.
    pub hosts: Vec<String>,
    /// Ranges of special addresses that may be called over https.
    pub private: Vec<IpNet>,
    /// Development: http and every address are allowed. The host list still holds.
    pub insecure: bool,
}

/// Why an endpoint may not be called, and what would allow it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Not a URL, or one without a host.
    #[error("the endpoint is not a URL such as https://api.syniverse.com/path")]
    NotAUrl,
    /// Neither https, nor http with leave to use it.
    #[error("the endpoint is not https; only --insecure-endpoints, meant for development, allows http")]
    NotHttps,
    /// A part that could carry a credential or change the question.
    #[error("the endpoint must have no user, query or fragment")]
    ExtraPart,
    /// The host is not in the list.
    #[error("the endpoint's host {host} is not in the host list; --endpoint-host {host} would allow it")]
    Host {
        /// As the endpoint names it.
        host: String,
    },
    /// The host is, or resolves to, an address that is not public.
    #[error("the endpoint leads to a {kind} address; --private-endpoints with its CIDR would allow it over https")]
    Address {
        /// What kind of address. The address itself stays untold: it would let any user look up internal names.
        kind: &'static str,
    },
}

impl From<NotAllowed> for Failure {
    fn from(cause: NotAllowed) -> Self {
        Self { kind: FailureKind::EndpointNotAllowed, detail: cause.to_string(), retry_after: None }
    }
}

impl EndpointRules {
    /// Checks everything that can be known of `endpoint` without asking DNS, and returns it as a URL.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn admit(&self, endpoint: &str) -> Result<Url, NotAllowed> {
        let url = Url::parse(endpoint).map_err(|_| NotAllowed::NotAUrl)?;
        self.admit_scheme(url.scheme())?;
        if has_extra_part(&url) {
            return Err(NotAllowed::ExtraPart);
        }
        self.admit_host(url.host_str().ok_or(NotAllowed::NotAUrl)?)?;
        Ok(url)
    }

    /// Checks one address of a host, as DNS gave it.
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

    fn admit_host(&self, host: &str) -> Result<(), NotAllowed> {
        // A URL writes an IPv6 address in brackets.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let listed = self.hosts.iter().map(String::as_str).chain([DEFAULT_HOST]);
        if !listed.into_iter().any(|entry| entry == ANY_HOST || is_same_host(entry, bare)) {
            return Err(NotAllowed::Host { host: bare.to_owned() });
        }
        bare.parse().map_or(Ok(()), |address| self.admit_address(address))
    }

    fn is_listed(&self, address: IpAddr) -> bool {
        self.private.iter().any(|range| range.contains(&address) || range.contains(&plain(address)))
    }
}

fn has_extra_part(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some()
}

fn is_same_host(one: &str, other: &str) -> bool {
    let relative = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    relative(one) == relative(other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rules(hosts: &[&str], private: &[&str], insecure: bool) -> EndpointRules {
        EndpointRules {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            private: private.iter().map(|range| range.parse().unwrap()).collect(),
            insecure,
        }
    }

    fn refusal(rules: &EndpointRules, endpoint: &str) -> NotAllowed {
        rules.admit(endpoint).unwrap_err()
    }

    #[test]
    fn the_default_host_is_always_allowed_however_it_is_written() {
        for endpoint in
            ["https://api.syniverse.com/a", "https://API.Syniverse.COM/a", "https://api.syniverse.com.:8243/a"]
        {
            assert!(EndpointRules::default().admit(endpoint).is_ok(), "{endpoint}");
            assert!(rules(&["sma.example.com"], &[], false).admit(endpoint).is_ok(), "{endpoint}");
        }
    }

    #[test]
    fn other_hosts_need_to_be_listed() {
        let other = "https://sma.example.com/a";
        assert_eq!(refusal(&EndpointRules::default(), other), NotAllowed::Host { host: "sma.example.com".into() });
        assert!(rules(&["SMA.example.com."], &[], false).admit(other).is_ok());
        assert!(rules(&["*"], &[], false).admit(other).is_ok());
        assert!(rules(&["example.com"], &[], false).admit(other).is_err());
        assert!(EndpointRules::default().admit("https://api.syniverse.com.evil.example/a").is_err());
    }

    #[test]
    fn http_is_for_development() {
        let plain = "http://api.syniverse.com/a";
        assert_eq!(refusal(&EndpointRules::default(), plain), NotAllowed::NotHttps);
        assert_eq!(refusal(&rules(&["*"], &["0.0.0.0/0"], false), plain), NotAllowed::NotHttps);
        assert!(rules(&[], &[], true).admit(plain).is_ok());
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
        for endpoint in ["", "api.syniverse.com", "https://", "https://exa mple/"] {
            assert_eq!(refusal(&rules(&["*"], &[], true), endpoint), NotAllowed::NotAUrl, "{endpoint}");
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
        assert!(open.admit("https://8.8.8.8/").is_ok());
    }

    #[test]
    fn a_listed_range_is_allowed_over_https_and_nothing_beside_it() {
        let rules = rules(&["*"], &["10.1.0.0/16", "fd00:1::/32"], false);
        for allowed in ["https://10.1.2.3/", "https://[fd00:1::9]/", "https://[::ffff:10.1.2.3]/"] {
            assert!(rules.admit(allowed).is_ok(), "{allowed}");
        }
        for refused in ["https://10.2.0.1/", "https://[fd00:2::9]/", "https://127.0.0.1/"] {
            assert!(rules.admit(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn development_allows_every_address_of_a_listed_host() {
        assert!(rules(&["127.0.0.1"], &[], true).admit("http://127.0.0.1:8080/a").is_ok());
        assert!(rules(&["::1"], &[], true).admit("http://[::1]:8080/a").is_ok());
        assert!(rules(&[], &[], true).admit("http://127.0.0.1:8080/a").is_err());
    }

    #[test]
    fn a_refusal_says_which_setting_would_help() {
        let failure = Failure::from(refusal(&rules(&["*"], &[], false), "https://10.0.0.1/"));
        assert_eq!(failure.kind, FailureKind::EndpointNotAllowed);
        assert!(failure.detail.contains("--private-endpoints"), "{failure}");
    }
}
