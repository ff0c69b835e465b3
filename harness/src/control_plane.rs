//! etcd, kube-apiserver and kube-controller-manager on loopback.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use futures::Stream;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use tokio::sync::OnceCell;

use crate::{
    Change, Cluster, Error, Process, Result, Scratch,
    ready::wait_while_running,
    scratch::random,
    store,
    tools::{Tools, free_port},
};

/// The environment variable that names the kubeconfig of a control plane that already runs, for `shared`.
pub const KUBECONFIG_VARIABLE: &str = "CONTROL_PLANE_KUBECONFIG";

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");

/// The control plane of this test run: that of `CONTROL_PLANE_KUBECONFIG`, else one that all tests of this process share,
/// started by the first that asks and gone when the process ends. Tests keep apart by namespaces.
///
/// # Errors
/// As `ControlPlane::start`.
pub async fn shared() -> Result<Cluster> {
    static STARTED: OnceCell<ControlPlane> = OnceCell::const_new();
    if let Some(kubeconfig) = env::var_os(KUBECONFIG_VARIABLE) {
        return Ok(Cluster::new(PathBuf::from(kubeconfig), Tools::find()?.path("kubectl")));
    }
    Ok(STARTED.get_or_try_init(ControlPlane::start).await?.cluster().clone())
}

/// A control plane of one's own, with the definitions of `crds/` installed. Dropping it kills its servers and removes
/// its data.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: clients before servers, the folder last.
    _controller_manager: Process,
    apiserver: Process,
    etcd: Process,
    cluster: Cluster,
    layout: Layout,
}

impl ControlPlane {
    /// Starts it and waits until it serves: API server ready, definitions established, controllers at work.
    ///
    /// # Errors
    /// If a binary cannot be built or found, a server ends (its log is in the error), or it is not ready within 60 s, nor is
    /// another one: a server that hangs while it starts is none of a test's business. What it said is on stderr.
    pub async fn start() -> Result<Self> {
        match Self::start_one().await {
            Err(error @ Error::NotReady { .. }) => {
                eprintln!("{error}\nanother one is started in its place");
                Self::start_one().await
            }
            started => started,
        }
    }

    async fn start_one() -> Result<Self> {
        let layout = Layout::new()?;
        let mut etcd = layout.spawn("etcd", layout.etcd())?;
        let mut apiserver = layout.serve(&mut etcd).await?;
        let cluster = layout.cluster();
        // Before the controllers start: their garbage collector looks for new kinds only every 30 s.
        if has_files(Path::new(CRDS)) {
            cluster.install_crds(Path::new(CRDS))?;
            until_discovered(&cluster, &mut apiserver).await?;
        }
        let controller_manager = layout.control().await?;
        Ok(Self { _controller_manager: controller_manager, apiserver, etcd, cluster, layout })
    }

    /// How to reach it.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Every change of what is stored under one of these `/registry/…` keys, from the first on, whether the API server
    /// lives or not: etcd tells of it.
    ///
    /// # Errors
    /// If etcd does not answer. The stream ends with an error when etcd does.
    pub async fn changes(&self, under: &[String]) -> Result<impl Stream<Item = Result<Change>> + Send + use<>> {
        store::changes(self.layout.etcd_port, under.to_vec()).await
    }

    /// What is stored now. The API server and etcd are away for a moment.
    ///
    /// # Errors
    /// If it cannot be copied, or they do not start again.
    pub async fn backup(&mut self) -> Result<Backup> {
        self.stop_store();
        let backup = Backup(Scratch::new()?);
        copy(&self.layout.path("etcd"), &backup.0.path().join("etcd"))?;
        self.start_store().await?;
        Ok(backup)
    }

    /// Sets the store back to what it was, its revision included. The API server and etcd are away for a moment.
    ///
    /// # Errors
    /// As `backup`.
    pub async fn set_back(&mut self, to: &Backup) -> Result<()> {
        self.stop_store();
        let data = self.layout.path("etcd");
        fs::remove_dir_all(&data).map_err(Error::io("remove the data of etcd"))?;
        copy(&to.0.path().join("etcd"), &data)?;
        self.start_store().await
    }

    fn stop_store(&mut self) {
        self.apiserver.kill();
        self.etcd.kill();
    }

    async fn start_store(&mut self) -> Result<()> {
        self.etcd = self.layout.spawn("etcd", self.layout.etcd())?;
        self.start_apiserver().await
    }

    /// Kills the API server (SIGKILL). Its data stay, and its port is not given to anyone else.
    pub fn stop_apiserver(&mut self) {
        self.apiserver.kill();
    }

    /// Starts a stopped API server on the same port and data, and waits until it is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready within 60 s.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        self.apiserver = self.layout.serve(&mut self.etcd).await?;
        Ok(())
    }
}

/// What a control plane stored at one time.
#[derive(Debug)]
pub struct Backup(Scratch);

/// Copies a folder with all that is in it./// Waits until clients that ask what kinds there are hear of the new ones, which is some time after they are established.
async fn until_discovered(cluster: &Cluster, apiserver: &mut Process) -> Result<()> {
    let names = cluster.kubectl(&["get", "crds", "-o", "jsonpath={.items[*].spec.names.plural}"])?;
    let explained = async || {
        let asked = names.split_whitespace().try_for_each(|name| cluster.kubectl(&["explain", name]).map(drop));
        asked.map_err(|error| error.to_string())
    };
    wait_while_running("the new kinds", &mut [apiserver], explained).await
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copying = || Error::io(format!("copy {} to {}", from.display(), to.display()));
    fs::create_dir_all(to).map_err(copying())?;
    for entry in fs::read_dir(from).map_err(copying())? {
        let entry = entry.map_err(copying())?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(copying())?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(copying())?;
        }
    }
    Ok(())
}

/// Where everything of one control plane lies, and the command lines that follow from it.
#[derive(Debug)]
struct Layout {
    tools: Tools,
    etcd_port: u16,
    apiserver_port: u16,
    token: String,
    scratch: Scratch,
}

impl Layout {
    fn new() -> Result<Self> {
        let layout = Self {
            tools: Tools::find()?,
            etcd_port: free_port()?,
            apiserver_port: free_port()?,
            token: format!("{:016x}{:016x}", random(), random()),
            scratch: Scratch::new()?,
        };
        layout.write("tokens.csv", &format!("{},admin,admin,system:masters\n", layout.token))?;
        layout.write("kubeconfig", &layout.kubeconfig())?;
        Ok(layout)
    }

    fn cluster(&self) -> Cluster {
        Cluster::new(self.path("kubeconfig"), self.tools.path("kubectl"))
    }

    /// Starts the API server and waits until it is ready.
    async fn serve(&self, etcd: &mut Process) -> Result<Process> {
        let mut apiserver = self.spawn("kube-apiserver", self.apiserver())?;
        let servers = &mut [etcd, &mut apiserver];
        // It makes its certificate first thing; without it there can be no client.
        let certificate = self.path("certificates/apiserver.crt");
        let is_made = async || if certificate.exists() { Ok(()) } else { Err("it is not there".to_owned()) };
        wait_while_running("the API server's certificate", servers, is_made).await?;
        let client = self.cluster().client().await?;
        wait_while_running("the API server", servers, async || readiness(&client).await).await?;
        Ok(apiserver)
    }

    /// Starts the controllers and waits until they work: the default service account is made by one of them.
    async fn control(&self) -> Result<Process> {
        let mut controller_manager = self.spawn("kube-controller-manager", self.controller_manager())?;
        let accounts = Api::<ServiceAccount>::namespaced(self.cluster().client().await?, "default");
        let made = async || match accounts.get_opt("default").await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("there is no default service account".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        wait_while_running("the controllers", &mut [&mut controller_manager], made).await?;
        Ok(controller_manager)
    }

    fn etcd(&self) -> Vec<String> {
        // One member needs no peers, but wants an address for them: any free port will do.
        let (client, peer) = (format!("http://127.0.0.1:{}", self.etcd_port), "http://127.0.0.1:0");
        vec![
            format!("--data-dir={}", self.show("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
        ]
    }

    fn apiserver(&self) -> Vec<String> {
        // The certificate's key, which the server makes for itself, signs service account tokens as well.
        let key = self.show("certificates/apiserver.key");
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.apiserver_port),
            format!("--cert-dir={}", self.show("certificates")),
            format!("--service-account-key-file={key}"),
            format!("--service-account-signing-key-file={key}"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            format!("--token-auth-file={}", self.show("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            // No client can tell; `changes` can be read.
            "--storage-media-type=application/json".to_owned(),
        ]
    }

    fn controller_manager(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.show("kubeconfig")),
            format!("--service-account-private-key-file={}", self.show("certificates/apiserver.key")),
            format!("--root-ca-file={}", self.show("certificates/apiserver.crt")),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ]
    }

    fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: '{}'}}}}]
users: [{{name: admin, user: {{token: {}}}}}]
",
            self.apiserver_port,
            self.show("certificates/apiserver.crt"),
            self.token
        )
    }

    fn spawn(&self, name: &str, arguments: Vec<String>) -> Result<Process> {
        Process::spawn(Command::new(self.tools.path(name)).args(arguments), &self.path(&format!("{name}.log")))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path(name), text).map_err(Error::io(format!("write {name}")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn show(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// Whether the API server is ready, and what it says otherwise.
async fn readiness(client: &Client) -> std::result::Result<(), String> {
    let request = http::Request::get("/readyz?verbose").body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

fn has_files(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}
