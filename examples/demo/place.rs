//! Where the demo plays: a control plane of its own, or the cluster of the current kubectl context.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use harness::{ControlPlane, wait_for};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use syniverse_token_core::api::{self, SyniverseToken};

use crate::Cluster;

const PATIENCE: Duration = Duration::from_secs(60);

/// An API server and what the demo has put there.
pub(crate) struct Place {
    /// A client with the rights of an administrator, or of the current context's user.
    pub(crate) client: Client,
    plane: Option<ControlPlane>,
    namespace: Option<String>,
    brought_crd: bool,
}

impl Place {
    /// Starts a control plane, or connects to the current cluster. Nothing has been put there yet.
    ///
    /// # Errors
    /// If the control plane does not start, or there is no current context.
    pub(crate) async fn find(cluster: Cluster) -> anyhow::Result<Self> {
        let (plane, client) = match cluster {
            Cluster::Own => {
                let plane = ControlPlane::start().await?;
                let client = plane.cluster().client().await?;
                (Some(plane), client)
            }
            Cluster::Current => (None, Client::try_default().await.context("failed to use the current context")?),
        };
        Ok(Self { client, plane, namespace: None, brought_crd: false })
    }

    /// Installs the definition where it is missing and makes a namespace, whose name is returned.
    ///
    /// # Errors
    /// If the API server refuses; what was put there until then is removed by [`Waiting::leave`].
    pub(crate) async fn furnish(&mut self) -> anyhow::Result<String> {
        self.bring_crd().await.context("failed to install the custom resource definition")?;
        let metadata = ObjectMeta { generate_name: Some("syniverse-token-demo-".to_owned()), ..Default::default() };
        let wanted = Namespace { metadata, ..Default::default() };
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let made = namespaces.create(&PostParams::default(), &wanted).await.context("failed to make a namespace")?;
        self.namespace = Some(made.name_any());
        Ok(made.name_any())
    }

    async fn bring_crd(&mut self) -> anyhow::Result<()> {
        let crds = Api::<CustomResourceDefinition>::all(self.client.clone());
        if crds.get_opt(SyniverseToken::crd_name()).await?.is_some() {
            return Ok(());
        }
        crds.create(&PostParams::default(), &api::crd()).await?;
        self.brought_crd = true;
        wait_for("the definition to be established", PATIENCE, async || {
            let crd = crds.get_opt(SyniverseToken::crd_name()).await.ok()?;
            is_crd_established().matches_object(crd.as_ref()).then_some(())
        })
        .await?;
        Ok(())
    }

    /// The kubeconfig of the control plane that was started; none for the current context.
    pub(crate) fn kubeconfig(&self) -> Option<&Path> {
        Some(self.plane.as_ref()?.cluster().kubeconfig())
    }

    /// The kubectl that was built with the control plane.
    pub(crate) fn kubectl(&self) -> String {
        let command = self.plane.as_ref().map(|plane| plane.cluster().kubectl_command());
        command.map_or_else(|| "kubectl".to_owned(), |command| command.get_program().to_string_lossy().into_owned())
    }

    /// Removes everything that the demo has put there.
    ///
    /// # Errors
    /// If something could not be removed; the message names it.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        if self.plane.is_some() {
            return Ok(()); // All of it goes with its servers.
        }
        if let Some(namespace) = &self.namespace {
            let removed = remove_namespace(&self.client, namespace).await;
            removed.with_context(|| format!("failed to remove the namespace {namespace}: delete it by hand"))?;
        }
        if self.brought_crd {
            remove_crd(&self.client).await.context("failed to remove the custom resource definition")?;
        }
        Ok(())
    }
}

async fn remove_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.delete(name, &DeleteParams::default()).await?;
    let gone = async || matches!(namespaces.get_opt(name).await, Ok(None)).then_some(());
    Ok(wait_for("the end of the namespace", PATIENCE, gone).await?)
}

/// Unless somebody else has begun to use it meanwhile.
async fn remove_crd(client: &Client) -> kube::Result<()> {
    if Api::<SyniverseToken>::all(client.clone()).list(&ListParams::default()).await?.items.is_empty() {
        let crds = Api::<CustomResourceDefinition>::all(client.clone());
        crds.delete(SyniverseToken::crd_name(), &DeleteParams::default()).await?;
    }
    Ok(())
}
