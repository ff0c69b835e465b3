//! All that the image holds: the operator and the few files that it and its C library read.

use anyhow::Context;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const LICENSE: &str = include_str!("../../../LICENSE");

/// For programs that want to name the user; the image itself says 65532.
const PASSWD: &str = "nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "nonroot:x:65532:\n";

/// The two sources of host names that the C library has built in.
const NSSWITCH: &str = "hosts: files dns\n";

/// Lays the files out in `rootfs`.
pub fn write(binary: &Path, rootfs: &Path) -> anyhow::Result<()> {
    for (path, text) in [
        ("LICENSE", LICENSE),
        ("etc/group", GROUP),
        ("etc/nsswitch.conf", NSSWITCH),
        ("etc/passwd", PASSWD),
        ("etc/ssl/certs/ca-certificates.crt", &roots()),
    ] {
        let path = rootfs.join(path);
        fs::create_dir_all(path.parent().context("every file is in a folder")?)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    let operator = rootfs.join("syniverse-token-operator");
    fs::copy(binary, &operator).with_context(|| format!("{} cannot be copied", binary.display()))?;
    Ok(fs::set_permissions(&operator, fs::Permissions::from_mode(0o755))?)
}

/// Mozilla's CA roots, in the first place where the operator's TLS looks for the system's.
fn roots() -> String {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
    let roots: Vec<_> = roots.iter().map(|root| pem::Pem::new("CERTIFICATE", root.as_ref())).collect();
    pem::encode_many_config(&roots, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}
