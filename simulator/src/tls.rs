//! A certificate authority of its own, made at start and forgotten at the end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The names and addresses the server's certificate is valid for wherever it listens.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A server's settings with a fresh certificate, and the PEM of the authority that signed it.
///
/// # Errors
/// Keys or certificates could not be made.
pub(crate) fn certified(address: IpAddr) -> io::Result<(Arc<ServerConfig>, String)> {
    let authority = authority().map_err(io::Error::other)?;
    let config = server_config(&authority, address)?;
    Ok((Arc::new(config), authority.pem()))
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "issuer-simulator authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server_config(authority: &CertifiedIssuer<'static, KeyPair>, address: IpAddr) -> io::Result<ServerConfig> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let params = CertificateParams::new(names(address)).map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, authority).map_err(io::Error::other)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .map_err(io::Error::other)
}

/// Beyond loopback also where it listens: by that address the Pods of a node call it.
fn names(address: IpAddr) -> Vec<String> {
    let usual = NAMES.into_iter().map(str::to_owned);
    usual.chain((!address.is_loopback()).then(|| address.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_certificate_names_the_address_of_a_bridge_and_no_other_loopback_address() {
        assert_eq!(names(Ipv4Addr::new(10, 244, 0, 1).into()), ["localhost", "127.0.0.1", "::1", "10.244.0.1"]);
        assert_eq!(names(Ipv4Addr::new(127, 0, 0, 2).into()), NAMES);
    }
}
