//! The programs and places that a control plane is made of.

use std::{
    collections::HashMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Result, scratch::random};

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/control-plane/build");
const FETCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/oauth-servers/build");

/// The control plane's binaries.
#[derive(Debug)]
pub(crate) struct Tools(HashMap<String, PathBuf>);

impl Tools {
    /// Asks the build script, which builds what is missing (minutes the first time, said on stderr).
    pub(crate) fn find() -> Result<Self> {
        Self::built(&[])
    }

    fn built(arguments: &[&str]) -> Result<Self> {
        Self::told_by(BUILD, arguments)
    }

    fn told_by(script: &str, arguments: &[&str]) -> Result<Self> {
        let mut run = Command::new(script);
        run.args(arguments).stderr(Stdio::inherit());
        let output = run.output().map_err(Error::io(format!("run {script}")))?;
        if !output.status.success() {
            return Err(Error::Failed { program: script.to_owned(), stderr: "see its output above".to_owned() });
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        Ok(Self(lines.lines().filter_map(|line| line.split_once(' ')).map(|(n, p)| (n.into(), p.into())).collect()))
    }

    /// A binary's path; its bare name, for the search path, if the script did not say.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.get(name).cloned().unwrap_or_else(|| Path::new(name).to_owned())
    }
}

/// The path of Helm, which is built if it is missing (minutes the first time, said on stderr).
///
/// # Errors
/// If it cannot be built.
pub fn helm() -> Result<PathBuf> {
    Ok(Tools::built(&["helm"])?.path("helm"))
}

/// The path of Ory Hydra, which is built if it is missing (minutes the first time, said on stderr).
pub(crate) fn hydra() -> Result<PathBuf> {
    Ok(Tools::built(&["hydra"])?.path("hydra"))
}

/// The path of `oidc-provider` or `keycloak`, which are fetched if they are missing (a minute the first time, said on stderr).
pub(crate) fn oauth2_server(name: &str) -> Result<PathBuf> {
    Ok(Tools::told_by(FETCH, &[name])?.path(name))
}

/// The path of `prometheus` or `promtool`, which are built if they are missing (minutes the first time, said on stderr).
///
/// # Errors
/// If they cannot be built.
pub fn prometheus(name: &str) -> Result<PathBuf> {
    Ok(Tools::built(&["prometheus"])?.path(name))
}

/// A loopback port that nobody listens on.
///
/// It lies below the range (32768 and up) from which the kernel takes ports for outgoing connections: there, while the
/// API server is down, its port could be taken by a connection, even by a client's own retry.
///
/// # Errors
/// `NoFreePort` if a hundred ports tried are all taken.
pub fn free_port() -> Result<u16> {
    const ATTEMPTS: usize = 100;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..ATTEMPTS).map(|_| 10_000 + (random() % 20_000) as u16).find(is_free).ok_or(Error::NoFreePort)
}
