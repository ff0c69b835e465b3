//! The configuration for the API server: the current kubeconfig, or the in-cluster configuration. Client required.
//!
//! The client library's own reading of a kubeconfig also reads `NO_PROXY`, by rules that are not kubectl's, and fails at a
//! value that kubectl takes. So the parts are put together here, and the proxy is found by `proxy`.

use crate::client::proxy::Variables;
use http::uri::InvalidUri;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, ExecAuthCluster, InClusterError, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use std::path::PathBuf;

/// Why no configuration for an API server could be loaded.
#[derive(Debug, thiserror::Error)]
#[error("kubeconfig: {kubeconfig}; in-cluster configuration: {in_cluster}")]
pub struct NoApiServer {
    kubeconfig: Unusable,
    in_cluster: InClusterError,
}

/// Why a kubeconfig is unusable.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read, or lacks something.
    #[error("{0}")]
    Kubeconfig(String),
    /// The certificates of its authority are none.
    #[error("failed to parse the certificate authority: {0}")]
    Certificates(#[from] pem::Error),
    /// A proxy of the environment is no URL.
    #[error("HTTPS_PROXY or HTTP_PROXY must be a URL such as http://proxy.example.com:3128: {0}")]
    Proxy(#[from] InvalidUri),
}

impl From<KubeconfigError> for Unusable {
    /// Without the source: that of a text that cannot be parsed repeats its lines, with the credentials in them.
    fn from(error: KubeconfigError) -> Self {
        let KubeconfigError::Parse(parse) = &error else { return Self::Kubeconfig(error.to_string()) };
        let place = parse.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
        Self::Kubeconfig(format!("failed to parse the YAML{}", place.unwrap_or_default()))
    }
}

/// What a person has chosen of a kubeconfig, as for kubectl.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The file; none = `KUBECONFIG`, or that of the user.
    pub file: Option<PathBuf>,
    /// The context; none = the current one.
    pub context: Option<String>,
}

/// The configuration from the current kubeconfig, or the in-cluster configuration without a kubeconfig.
///
/// # Errors
/// When there is neither.
pub fn configuration() -> Result<Config, NoApiServer> {
    let read = chosen(&Choice::default());
    read.or_else(|kubeconfig| {
        let mut config = Config::incluster().map_err(|in_cluster| NoApiServer { kubeconfig, in_cluster })?;
        config.apply_debug_overrides();
        Ok(config)
    })
}

/// The configuration from a kubeconfig alone.
///
/// # Errors
/// When it cannot be read, or has no such context.
pub fn chosen(choice: &Choice) -> Result<Config, Unusable> {
    let variables = Variables::read(|name| std::env::var(name).ok());
    let mut kubeconfig = choice.file.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from)?;
    kubeconfig.current_context = choice.context.clone().or(kubeconfig.current_context);
    of(&kubeconfig, &variables)
}

fn of(kubeconfig: &Kubeconfig, variables: &Variables) -> Result<Config, Unusable> {
    let (context, cluster, user) = current(kubeconfig)?;
    let mut config = of_parts(context, cluster, user)?;
    config.apply_debug_overrides();
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|own| !own.is_empty()) {
        Some(own) => Some(own.parse().map_err(KubeconfigError::ParseProxyUrl)?),
        None => variables.proxy_for(&config.cluster_url)?,
    };
    Ok(config)
}

/// The parts of the current context. As for kubectl, a missing user is a user without credentials.
fn current(kubeconfig: &Kubeconfig) -> Result<(&Context, &Cluster, AuthInfo), KubeconfigError> {
    let name = kubeconfig.current_context.as_ref().ok_or(KubeconfigError::CurrentContextNotSet)?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == *name);
    let context = context.and_then(|named| named.context.as_ref());
    let context = context.ok_or_else(|| KubeconfigError::LoadContext(name.clone()))?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster.as_ref());
    let cluster = cluster.ok_or_else(|| KubeconfigError::LoadClusterOfContext(context.cluster.clone()))?;
    let user = kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref());
    Ok((context, cluster, user.and_then(|named| named.auth_info.clone()).unwrap_or_default()))
}

fn of_parts(context: &Context, cluster: &Cluster, user: AuthInfo) -> Result<Config, Unusable> {
    let server = cluster.server.as_ref().ok_or(KubeconfigError::MissingClusterUrl)?;
    let mut config = Config::new(server.parse().map_err(KubeconfigError::ParseClusterUrl)?);
    // It has also the certificates in, from wherever they are.
    let presented = ExecAuthCluster::try_from(cluster)?;
    config.root_cert = presented.certificate_authority_data.as_deref().map(certificates).transpose()?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    config.disable_compression = cluster.disable_compression.unwrap_or_default();
    config.tls_server_name = cluster.tls_server_name.clone();
    if let Some(namespace) = &context.namespace {
        config.default_namespace = namespace.clone();
    }
    config.auth_info = user;
    if let Some(exec) = config.auth_info.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(presented);
    }
    Ok(config)
}

fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, pem::Error> {
    CertificateDer::pem_slice_iter(text).map(|found| found.map(|certificate| certificate.to_vec())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::Engine;
    use kube::config::KubeConfigOptions;

    const CERTIFICATES: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\nAwQF\n-----END CERTIFICATE-----\n";

    fn kubeconfig(text: &str) -> Kubeconfig {
        let data = base64::prelude::BASE64_STANDARD.encode(CERTIFICATES);
        Kubeconfig::from_yaml(&text.replace("PEM", &data)).unwrap()
    }

    const FULL: &str = "
current-context: here
contexts: [{name: there, context: {cluster: b}}, {name: here, context: {cluster: a, user: u, namespace: n}}]
clusters:
- name: b
  cluster: {server: 'https://b.example.com'}
- name: a
  cluster: {server: 'https://a.example.com:6443', certificate-authority-data: PEM, insecure-skip-tls-verify: true,
    disable-compression: true, tls-server-name: name.example.com}
users:
- name: u
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x, provideClusterInfo: true}}
";
    const BARE: &str = "
current-context: here
contexts: [{name: here, context: {cluster: a, user: nobody}}]
clusters: [{name: a, cluster: {server: 'https://a.example.com'}}]
";

    /// The proxy, from a kubeconfig with or without its own and with `HTTPS_PROXY` and `NO_PROXY`.
    fn proxy(own: Option<&str>, https_proxy: &str, no_proxy: &str) -> Option<String> {
        let mut kubeconfig = kubeconfig(BARE);
        kubeconfig.clusters[0].cluster.as_mut().unwrap().proxy_url = own.map(str::to_owned);
        let variables = Variables::read(|name| match name {
            "HTTPS_PROXY" => Some(https_proxy.to_owned()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        });
        of(&kubeconfig, &variables).unwrap().proxy_url.map(|proxy| proxy.to_string())
    }

    #[tokio::test]
    async fn all_but_the_proxy_is_read_as_by_the_client_library() {
        for text in [FULL, BARE] {
            let options = KubeConfigOptions::default();
            let mut theirs = Config::from_custom_kubeconfig(kubeconfig(text), &options).await.unwrap();
            theirs.proxy_url = None;
            let ours = of(&kubeconfig(text), &Variables::read(|_| None)).unwrap();
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            assert_eq!(ours.root_cert.is_some(), text == FULL);
        }
    }

    #[test]
    fn the_proxy_of_a_kubeconfig_is_always_used() {
        let own = "http://own.example.com:3128/";
        for no_proxy in ["", "*", "own.example.com", "a.example.com"] {
            for https_proxy in ["", own, "http://proxy.example.com:3128/"] {
                assert_eq!(proxy(Some(own), https_proxy, no_proxy).as_deref(), Some(own));
            }
        }
    }

    #[test]
    fn without_its_own_the_proxy_of_the_environment_is_used_unless_the_server_is_exempt() {
        let named = "http://proxy.example.com:3128/";
        for own in [None, Some("")] {
            assert_eq!(proxy(own, named, "proxy.example.com,,").as_deref(), Some(named));
            assert_eq!(proxy(own, named, "a.example.com:443"), None);
        }
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_parsed_is_not_repeated() {
        let text = "users:\n- name: a\n  user: {token: hunter2\n";
        let complaint = Unusable::from(Kubeconfig::from_yaml(text).unwrap_err()).to_string();
        assert!(
            complaint.starts_with("failed to parse the YAML at line ") && !complaint.contains("hunter2"),
            "{complaint}"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let variables = Variables::read(|_| None);
        for (text, missing) in [
            ("{}", "current context"),
            ("current-context: here", "here"),
            ("{current-context: here, contexts: [{name: here, context: {cluster: gone}}]}", "gone"),
        ] {
            let complaint = of(&kubeconfig(text), &variables).unwrap_err().to_string();
            assert!(complaint.contains(missing), "{complaint}");
        }
    }
}
