//! The whole simulator, as a test or the binary starts it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::application::NewApplication;
use crate::client::NewClient;
use crate::control::{self, Control};
use crate::fault::Fault;
use crate::issuers::Issuers;
use crate::journal::Journal;
use crate::model::{Model, UnknownOwner};
use crate::port::Port;
use crate::session::NewSession;
use crate::switches::Switches;
use crate::tls;

/// How a simulator is started. The default: plain HTTP on a free loopback port, no control endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of the issuers; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the control endpoint; none: there is no such endpoint.
    pub control: Option<SocketAddr>,
    /// Whether the issuers speak https, with an authority made for this run ([`Simulator::ca_pem`]).
    pub tls: bool,
    /// How the issuers behave at first.
    pub switches: Switches,
    /// Tokens follow from this number; none: different ones in each run.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen, control: None, tls: false, switches: Switches::default(), seed: None }
    }
}

/// All issuers, running until this value is dropped.
#[derive(Debug)]
pub struct Simulator {
    issuers: Arc<Issuers>,
    port: Arc<Port>,
    control: Option<SocketAddr>,
    ca_pem: Option<String>,
    /// Aborts the control endpoint when dropped.
    _tasks: JoinSet<()>,
}

impl Simulator {
    /// Starts the issuers, and the control endpoint if one is asked for.
    ///
    /// # Errors
    /// An address cannot be bound, or no certificate could be made.
    pub async fn start(options: Options) -> io::Result<Self> {
        let (tls, ca_pem) = if options.tls { Some(tls::certified(options.listen.ip())?) } else { None }.unzip();
        let seed = options.seed.unwrap_or_else(|| Timestamp::now().as_nanosecond() as u64);
        let issuers = Arc::new(Issuers::new(Model::new(options.switches, seed)));
        let port = Arc::new(Port::bind(options.listen, issuers.clone(), tls)?);
        port.up().await?;
        let mut tasks = JoinSet::new();
        let governed = Control { issuers: issuers.clone(), port: port.clone() };
        let control = match options.control {
            Some(address) => Some(start_control(address, governed, &mut tasks).await?),
            None => None,
        };
        Ok(Self { issuers, port, control, ca_pem, _tasks: tasks })
    }

    /// URL of the application API.
    pub fn endpoint(&self) -> String {
        self.url("/saop-rest-data/v1/apptoken-refresh")
    }

    /// URL of the session API.
    pub fn session_endpoint(&self) -> String {
        self.url("/api/v2/auth/token")
    }

    /// URL of the token endpoint for client credentials.
    pub fn token_endpoint(&self) -> String {
        self.url("/token")
    }

    /// URL of what stands for the messaging API: 204 to a live token (`Authorization: Bearer …`), 401 to any other. Uses of
    /// tokens are not journaled.
    pub fn verify_endpoint(&self) -> String {
        self.url("/verify")
    }

    /// URL of a path of this server. Any base is good for each API, as long as the path ends like theirs.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.port.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.port.address())
    }

    /// URL of the control endpoint, without a slash at its end.
    pub fn control_url(&self) -> Option<String> {
        self.control.map(|address| format!("http://{address}"))
    }

    /// The authority that signed the server's certificate; none without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Registers an application, in place of the one that had its consumer key.
    pub fn add_application(&self, new: NewApplication) {
        self.issuers.change(|model, now| model.add_application(new, now));
    }

    /// Registers an account of the session API, in place of the one that had its user name.
    pub fn add_session(&self, new: NewSession) {
        self.issuers.change(|model, now| model.add_session(new, now));
    }

    /// Registers a client of the token endpoint, in place of the one that had its id.
    pub fn add_client(&self, new: NewClient) {
        self.issuers.change(|model, _| model.add_client(new));
    }

    /// Gives a client another secret; its tokens stay.
    ///
    /// # Errors
    /// No client has this id.
    pub fn change_client_secret(&self, client_id: &str, client_secret: &str) -> Result<(), UnknownOwner> {
        self.issuers.change(|model, _| model.change_client_secret(client_id, client_secret))
    }

    /// Gives an application another consumer secret; its tokens stay.
    ///
    /// # Errors
    /// No application has this consumer key.
    pub fn change_secret(&self, consumer_key: &str, consumer_secret: &str) -> Result<(), UnknownOwner> {
        self.issuers.change(|model, _| model.change_secret(consumer_key, consumer_secret))
    }

    /// A human's Re-Generate: the live token dies, the new one is returned.
    ///
    /// # Errors
    /// No application has this consumer key.
    pub fn regenerate(&self, consumer_key: &str) -> Result<String, UnknownOwner> {
        self.issuers.change(|model, now| model.regenerate(consumer_key, now))
    }

    /// Ends what lives of an application or account now, as if its time were over.
    ///
    /// # Errors
    /// Nobody has this consumer key or user name.
    pub fn expire(&self, owner: &str) -> Result<(), UnknownOwner> {
        self.issuers.change(|model, now| model.expire(owner, now))
    }

    /// Adds a fault behind those that wait already.
    pub fn fault(&self, fault: Fault) {
        self.issuers.change(|model, _| model.faults().push(fault));
    }

    /// Forgets all faults; calls already in flight keep theirs.
    pub fn clear_faults(&self) {
        self.issuers.change(|model, _| model.faults().clear());
    }

    /// Changes how the issuers behave from now on.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.issuers.change(|model, _| change(model.switches()));
    }

    /// A copy of everything that has happened so far.
    pub fn journal(&self) -> Journal {
        self.issuers.journal()
    }

    /// Waits until the journal is as `holds` says; for ever if it never is.
    pub async fn until(&self, holds: impl Fn(&Journal) -> bool) {
        let mut changes = self.issuers.changes();
        while !holds(&self.journal()) && changes.changed().await.is_ok() {}
    }

    /// Closes every connection and refuses new ones; the port stays reserved.
    ///
    /// # Errors
    /// The port was taken by somebody else between closing and reserving it.
    pub async fn down(&self) -> io::Result<()> {
        self.port.down().await
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub async fn up(&self) -> io::Result<()> {
        self.port.up().await
    }
}

async fn start_control(address: SocketAddr, control: Control, tasks: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tasks.spawn(async move {
        let _ends_with_the_simulator = axum::serve(listener, control::router(control)).await;
    });
    Ok(bound)
}
