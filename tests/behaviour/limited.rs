//! An operator with fewer rights than the administrator.

use crate::support::Stage;
use harness::Scratch;
use kube::config::Kubeconfig;
use std::path::PathBuf;

const USER: &str = "limited";

/// A user whose rights in one namespace grow on demand.
pub(crate) struct Limited {
    scratch: Scratch,
}

impl Limited {
    /// A user who may read and write status, but no Secret.
    pub(crate) async fn to_reading(stage: &Stage) -> Self {
        let limited = Self { scratch: Scratch::new().unwrap() };
        let mut kubeconfig = Kubeconfig::read_from(stage.cluster.kubeconfig()).unwrap();
        let user = kubeconfig.auth_infos[0].auth_info.as_mut().unwrap();
        user.impersonate = Some(USER.to_owned());
        std::fs::write(limited.kubeconfig(), serde_json::to_string(&kubeconfig).unwrap()).unwrap();
        grant(stage, "read", &["--verb=get,list,watch", "--resource=secrets,syniversetokens.syniverse.dev"]).await;
        grant(stage, "say", &["--verb=update", "--resource=syniversetokens.syniverse.dev/status"]).await;
        limited
    }

    /// Allows it to create and change Secrets.
    pub(crate) async fn may_write(&self, stage: &Stage) {
        grant(stage, "write", &["--verb=create,update", "--resource=secrets"]).await;
    }

    /// The kubeconfig of that user.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.scratch.path().join("kubeconfig")
    }
}

async fn grant(stage: &Stage, name: &str, what: &[&str]) {
    stage.kubectl(&[&["create", "role", name], what].concat()).await;
    let role = format!("--role={name}");
    stage.kubectl(&["create", "rolebinding", name, &role, &format!("--user={USER}")]).await;
}
