//! A real OAuth2 server, Ory Hydra, on loopback.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    Error, OAuth2Client, OAuth2Server, Process, Result, Scratch,
    process::tail,
    ready::wait_while_running,
    scratch::random,
    tools::{self, free_port},
};

mod admin;
mod certificate;

/// A machine that compiles at the same time needs many times the usual 0.2 s.
const MIGRATED_WITHIN: Duration = Duration::from_secs(60);

/// How a server serves and what its tokens are like.
#[derive(Clone, Debug)]
pub struct HydraSettings {
    /// Whether it speaks https, with a certificate of an authority made for it ([`Hydra::ca_pem`]); otherwise plain http.
    pub https: bool,
    /// The lifetime of each token. What it tells of it (`expires_in`) are whole seconds, at times one less.
    pub token_lifespan: Duration,
    /// What tokens look like.
    pub token_format: TokenFormat,
}

impl Default for HydraSettings {
    /// Plain http, opaque tokens that live for an hour.
    fn default() -> Self {
        Self { https: false, token_lifespan: Duration::from_secs(3600), token_format: TokenFormat::Opaque }
    }
}

/// The form of access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// About 90 random characters.
    Opaque,
    /// A signed JSON web token of about 900 characters.
    Jwt,
}

/// A running OAuth2 server with a database of its own. The end of its log is shown when a test panics. Dropping it kills it
/// and removes its data.
#[derive(Debug)]
pub struct Hydra {
    // Dropped before the folder that holds its files.
    process: Process,
    layout: Layout,
}

impl Hydra {
    /// Starts one over plain http, whose opaque tokens live for an hour.
    ///
    /// # Errors
    /// As `start_with`.
    pub async fn start() -> Result<Self> {
        Self::start_with(HydraSettings::default()).await
    }

    /// Starts one, usually in half a second, and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be built, ends (its log is in the error), or is not ready within 60 s.
    pub async fn start_with(settings: HydraSettings) -> Result<Self> {
        let layout = Layout::new(settings)?;
        layout.migrate().await?;
        Ok(Self { process: layout.serve().await?, layout })
    }

    /// The authority that signed its certificate, as PEM; `None` over plain http.
    pub fn ca_pem(&self) -> Option<&str> {
        self.layout.ca_pem.as_deref()
    }

    /// Registers a client.
    ///
    /// # Errors
    /// `Error::Refused` if it is refused: there is one of that id, or its secret is too short.
    pub async fn create_client(&self, client: &OAuth2Client<'_>) -> Result<()> {
        admin::create_client(self.layout.admin_port, client).await
    }

    /// Kills it at once (SIGKILL). Its data stay, and its ports are none that the kernel gives to others.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same address, certificate, clients and tokens; kills it first (SIGKILL) if it still runs.
    ///
    /// # Errors
    /// If it ends, or is not ready within 60 s.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop();
        self.process = self.layout.serve().await?;
        Ok(())
    }
}

impl OAuth2Server for Hydra {
    fn token_url(&self) -> String {
        format!("{}/oauth2/token", self.layout.url())
    }

    async fn introspect(&self, token: &str) -> Result<Value> {
        admin::introspect(self.layout.admin_port, token).await
    }
}

impl Drop for Hydra {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of Hydra ends with:\n{}", tail(&self.layout.path("hydra.log")));
        }
    }
}

/// Where everything of one server lies, and how it is called.
#[derive(Debug)]
struct Layout {
    program: PathBuf,
    settings: HydraSettings,
    public_port: u16,
    admin_port: u16,
    ca_pem: Option<String>,
    scratch: Scratch,
}

impl Layout {
    fn new(settings: HydraSettings) -> Result<Self> {
        let mut layout = Self {
            program: tools::hydra()?,
            settings,
            public_port: free_port()?,
            admin_port: free_port()?,
            ca_pem: None,
            scratch: Scratch::new()?,
        };
        if layout.settings.https {
            let made = certificate::make()?;
            layout.write("certificate.pem", &made.certificate)?;
            layout.write("key.pem", &made.key)?;
            layout.ca_pem = Some(made.authority);
        }
        layout.write("config.json", &layout.config().to_string())?;
        Ok(layout)
    }

    fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.settings.https { "https" } else { "http" }, self.public_port)
    }

    fn config(&self) -> Value {
        let listener = |port, tls| {
            json!({
                "host": "127.0.0.1",
                "port": port,
                "tls": tls,
                "request_log": {"disable_for_health": true},
            })
        };
        let tls = json!({
            "enabled": self.settings.https,
            "cert": {"path": self.path("certificate.pem")},
            "key": {"path": self.path("key.pem")},
        });
        json!({
            "serve": {
                "public": listener(self.public_port, if self.settings.https { tls } else { json!({"enabled": false}) }),
                "admin": listener(self.admin_port, json!({"enabled": false})),
            },
            "urls": {"self": {"issuer": self.url()}},
            "secrets": {"system": [format!("{:016x}{:016x}", random(), random())]},
            "strategies": {"access_token": match self.settings.token_format {
                TokenFormat::Opaque => "opaque",
                TokenFormat::Jwt => "jwt",
            }},
            "ttl": {"access_token": format!("{}ms", self.settings.token_lifespan.as_millis())},
            // Statistics of its use, which it would send to its makers.
            "sqa": {"opt_out": true},
        })
    }

    /// Makes the tables.
    async fn migrate(&self) -> Result<()> {
        let log = self.path("migrate.log");
        let mut migration = Process::spawn(&self.command(&["migrate", "sql", "up", "--read-from-env", "--yes"]), &log)?;
        if migration.wait(MIGRATED_WITHIN).await?.success() {
            return Ok(());
        }
        Err(Error::Failed { program: "hydra migrate sql up".to_owned(), stderr: tail(&log) })
    }

    /// Starts the server and waits until it is ready.
    async fn serve(&self) -> Result<Process> {
        // Without --dev it does not issue tokens over plain http.
        let arguments: &[&str] = if self.settings.https { &["serve", "all"] } else { &["serve", "all", "--dev"] };
        let mut process = Process::spawn(&self.command(arguments), &self.path("hydra.log"))?;
        wait_while_running("the OAuth2 server", &mut [&mut process], async || self.readiness().await).await?;
        Ok(process)
    }

    /// Whether it serves, and why not otherwise.
    async fn readiness(&self) -> std::result::Result<(), String> {
        admin::readiness(self.admin_port).await?;
        let connected = TcpStream::connect(("127.0.0.1", self.public_port)).await;
        connected.map(drop).map_err(|error| format!("its public port: {error}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--config").arg(self.path("config.json"));
        // Variables outdo the file, and DSN is one that many have. No power cut is expected: without waiting for the disk
        // the migration takes a third of the time.
        command.env("DSN", format!("sqlite://{}?_fk=true&_sync=OFF", self.path("hydra.sqlite").display()));
        command
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path(name), text).map_err(Error::io(format!("write {name}")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}
