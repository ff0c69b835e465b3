//! The way to the API server, and the proxy on it. Client required.
//!
//! In the cluster it is direct. With a kubeconfig it is as for kubectl: through its `proxy-url`, else through
//! `HTTPS_PROXY` unless `NO_PROXY` names the API server. Calls to issuers read none of these.

use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{InferConfigError, KubeConfigOptions};

/// The configuration of the current kubeconfig, or of the cluster around us where there is none.
///
/// # Errors
/// When there is neither.
pub async fn configuration() -> Result<Config, InferConfigError> {
    let Ok(mut config) = Config::from_kubeconfig(&KubeConfigOptions::default()).await else {
        return Config::infer().await;
    };
    config.apply_debug_overrides();
    Ok(Environment::read().applied_to(config))
}

/// What the environment says about proxies.
struct Environment {
    https_proxy: Option<String>,
    no_proxy: Option<String>,
}

impl Environment {
    fn read() -> Self {
        let first = |names: [&str; 2]| {
            names.into_iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty())
        };
        Self { https_proxy: first(["HTTPS_PROXY", "https_proxy"]), no_proxy: first(["NO_PROXY", "no_proxy"]) }
    }

    /// The client library looks for the name of the proxy, not of the API server, in `NO_PROXY`: decided here anew.
    fn applied_to(&self, mut config: Config) -> Config {
        let Some(https_proxy) = &self.https_proxy else { return config };
        let of_environment = https_proxy.parse().ok();
        if config.proxy_url.is_some() && config.proxy_url != of_environment {
            // The kubeconfig's own.
            return config;
        }
        let no_proxy = self.no_proxy.clone().unwrap_or_default();
        // Any proxy does for that question: one that cannot be used is complained of by the client library.
        let matcher = Matcher::builder().all("http://proxy.invalid").no(no_proxy).build();
        config.proxy_url = matcher.intercept(&config.cluster_url).and(of_environment);
        if config.proxy_url.as_ref().is_some_and(|proxy| proxy.scheme().is_none()) {
            config.proxy_url = format!("http://{https_proxy}").parse().ok();
        }
        config
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const API_SERVER: &str = "https://api.example.com:6443";

    /// The proxy for the API server, as the client library found it and as it is used.
    fn used(found: Option<&str>, https_proxy: Option<&str>, no_proxy: Option<&str>) -> Option<String> {
        let environment =
            Environment { https_proxy: https_proxy.map(str::to_owned), no_proxy: no_proxy.map(str::to_owned) };
        let mut config = Config::new(API_SERVER.parse().unwrap());
        config.proxy_url = found.map(|proxy| proxy.parse().unwrap());
        environment.applied_to(config).proxy_url.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_proxy_of_the_environment_is_used_unless_the_api_server_is_exempt() {
        let proxy = Some("http://user:password@proxy.example.com:3128/");
        for any in [proxy, Some("https://proxy.example.com/"), Some("socks5://127.0.0.1:1080/"), Some("ftp://a/")] {
            assert_eq!(used(any, any, None).as_deref(), any);
        }
        for other in ["other.example.com", "10.0.0.0/8", "api.example.com.evil.example", "127.0.0.1,localhost,.svc"] {
            assert_eq!(used(proxy, proxy, Some(other)).as_deref(), proxy, "{other}");
        }
        for exempt in ["api.example.com", ".example.com", "example.com", "*", "127.0.0.1, api.example.com ,.svc,"] {
            assert_eq!(used(proxy, proxy, Some(exempt)), None, "{exempt}");
        }
    }

    #[test]
    fn an_exempt_proxy_is_still_a_proxy() {
        let proxy = Some("http://127.0.0.1:3128/");
        assert_eq!(used(None, proxy, Some("127.0.0.1,localhost")).as_deref(), proxy);
    }

    #[test]
    fn the_proxy_of_a_kubeconfig_is_always_used() {
        let own = Some("http://own.example.com:3128/");
        assert_eq!(used(own, Some("http://proxy.example.com:3128"), Some("*")).as_deref(), own);
        assert_eq!(used(own, None, Some("*")).as_deref(), own);
        assert_eq!(used(None, None, None), None);
    }

    #[test]
    fn a_proxy_without_a_scheme_speaks_http() {
        let bare = Some("proxy.example.com:3128");
        assert_eq!(used(bare, bare, None).unwrap(), "http://proxy.example.com:3128/");
    }
}
