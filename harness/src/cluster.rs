//! A control plane as its users see it: an address, an administrator's rights and kubectl.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use k8s_openapi::api::core::v1;
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::Kubeconfig,
};

use crate::{Error, Result, tools::Tools};

/// How to reach a running control plane as its administrator. Cheap to clone; owns nothing.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    pub(crate) fn new(kubeconfig: PathBuf, kubectl: PathBuf) -> Self {
        Self { kubeconfig, kubectl }
    }

    /// The cluster of a kubeconfig, wherever it runs; kubectl is built if it is missing (minutes the first time).
    ///
    /// # Errors
    /// If kubectl cannot be built.
    pub fn of(kubeconfig: PathBuf) -> Result<Self> {
        Ok(Self::new(kubeconfig, Tools::find()?.path("kubectl")))
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A new client with the administrator's rights. Each test needs its own: a client lives on the runtime that made
    /// it, and every test has a runtime of its own.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used; the API server is not asked.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// What `client` is made from, for a client with other limits.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn config(&self) -> Result<Config> {
        let unusable = |source| Error::Kubeconfig { path: self.kubeconfig.clone(), source };
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).map_err(unusable)?;
        Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.map_err(unusable)
    }

    /// kubectl, pointed at this control plane.
    pub fn kubectl_command(&self) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        kubectl
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    /// `Failed`, with what it said on stderr, if it ends with a failure.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl_command().args(arguments).output().map_err(Error::io("run kubectl"))?;
        printed(arguments, output)
    }

    /// Runs kubectl with `input` on its stdin (`apply -f -`) and returns what it printed.
    ///
    /// # Errors
    /// `Failed`, with what it said on stderr, if it ends with a failure.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut kubectl = self.kubectl_command();
        kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut kubectl = kubectl.spawn().map_err(Error::io("run kubectl"))?;
        if let Some(mut stdin) = kubectl.stdin.take() {
            stdin.write_all(input.as_bytes()).map_err(Error::io("write to kubectl"))?;
        }
        printed(arguments, kubectl.wait_with_output().map_err(Error::io("run kubectl"))?)
    }

    /// Makes a namespace of a fresh name.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn namespace(&self) -> Result<Namespace> {
        let metadata = ObjectMeta { generate_name: Some("test-".to_owned()), ..Default::default() };
        let wanted = v1::Namespace { metadata, ..Default::default() };
        let made = Api::all(self.client().await?).create(&PostParams::default(), &wanted).await?;
        Ok(Namespace { name: made.metadata.name.unwrap_or_default(), cluster: self.clone() })
    }

    /// Applies the custom resource definitions of a folder of YAML files and waits until they are established.
    ///
    /// # Errors
    /// `Failed`, with the API server's reason, if one is refused.
    pub fn install_crds(&self, folder: &Path) -> Result<()> {
        let folder = folder.to_string_lossy();
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &folder])?;
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", &folder])?;
        Ok(())
    }
}

fn printed(arguments: &[&str], output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Failed { program: format!("kubectl {}", arguments.join(" ")), stderr })
}

/// A namespace of one test. Dropping it asks for its deletion, without waiting for the end of it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    cluster: Cluster,
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Deletes it now, and waits until it has gone with all that is in it.
    ///
    /// # Errors
    /// `Failed` if that takes longer than a minute.
    pub fn delete(self) -> Result<()> {
        self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=true", "--timeout=60s"])?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The whole control plane may be gone already, and the namespace with it.
        let _ = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false", "--request-timeout=5s"]);
    }
}
