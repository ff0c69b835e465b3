//! Connects watches to passes, and passes to the report.

pub mod admin;
pub mod apply;
mod audit;
pub mod context;
pub mod credentials_cache;
pub mod deliveries;
pub mod election;
pub mod event_queue;
mod event_sender;
pub mod observe;
pub mod own_writes;
pub mod pass;
pub mod progress;
pub mod propagation;
pub mod reconcile;
pub mod report;
pub mod resources;
pub mod scheduler;
mod scopes;
pub mod secret_index;
pub mod status_watch;
mod store_watch;
pub mod watches;

use crate::client::admission_policy;
use crate::client::connection;
use crate::client::kubeconfig;
use crate::clock::SystemClock;
use crate::controller::context::{Context, Parts};
use crate::controller::election::{Elector, Leadership, LeaseParams};
use crate::controller::observe::random_salt;
use crate::controller::report::Reporter;
use crate::issuer_client::http::HttpIssuer;
use crate::settings::Settings;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::metrics::Metrics;
use futures::FutureExt;
use kube::Client;
use std::sync::Arc;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::secrets::OPERATOR;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// Of resources and of Secrets.
const WATCHES: usize = 2;

/// Reasons for which the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Neither an in-cluster configuration nor a usable kubeconfig.
    #[error("failed to find a Kubernetes API server: {0}")]
    NoCluster(#[from] kubeconfig::NoApiServer),
    /// The client for the API server could not be created.
    #[error("failed to create the client for the API server: {0}")]
    Client(kube::Error),
    /// The settings for issuers cannot be used.
    #[error("failed to create the client for issuers: {0}")]
    Issuer(#[from] crate::issuer_client::http::ClientError),
    /// The system gave no random bits.
    #[error("failed to get randomness from the system: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The port for metrics or for probes could not be opened.
    #[error(transparent)]
    Listen(#[from] admin::ListenError),
    /// Signals could not be listened for.
    #[error("failed to listen for signals: {0}")]
    Signals(std::io::Error),
    /// All watches stopped without a signal.
    #[error("the watches ended unexpectedly")]
    Ended,
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or ends without a signal.
pub async fn run(settings: Settings) -> Result<(), ControllerError> {
    let config = kubeconfig::configuration()?;
    let watches = connection::watching(config.clone()).map_err(ControllerError::Client)?;
    let client = connection::asking(config.clone()).map_err(ControllerError::Client)?;
    let delivering = connection::delivering(config.clone()).map_err(ControllerError::Client)?;
    let leasing = connection::leasing(config).map_err(ControllerError::Client)?;
    let (clock, salt) = (Arc::new(SystemClock::start()), random_salt()?);
    let (elector, leadership) = election(&settings, [leasing, watches.clone()], Arc::clone(&clock), &salt);
    expect_admission_policy(&settings, &client);
    let context = context(&settings, client, clock, leadership, salt)?;
    let stop = stop_signal()?;
    let scopes = scopes::scopes(&settings.namespaces);
    context.progress().expect_watches(WATCHES * scopes.len());
    serve(&settings, &context).await?;
    tokio::spawn(follow_leadership(Arc::clone(&context), stop.clone()));
    let store = scopes.first().map(|scope| scope.api(&watches));
    tokio::spawn(store_watch::detect_rollback(Arc::clone(&context), store));
    tokio::spawn(propagation::run(Arc::clone(&context), delivering, stop.clone()));
    let (drained, until_drained) = oneshot::channel::<()>();
    let election = tokio::spawn(async move {
        if let Some(elector) = elector {
            elector.run(until_drained.map(drop)).await;
        }
    });
    let (version, shard) = (env!("CARGO_PKG_VERSION"), settings.shard);
    tracing::info!(version, namespaces = ?settings.namespaces, %shard, "started");
    let audit = context.audit.clone();
    scopes::run_scopes(context, &watches, scopes, stop.clone()).await;
    // The Lease is released last: passes may still be writing.
    drop(drained);
    let _ = election.await;
    audit.flush().await;
    if *stop.borrow() { Ok(()) } else { Err(ControllerError::Ended) }
}

/// The shared context of all passes.
fn context(
    settings: &Settings,
    client: Client,
    clock: Arc<SystemClock>,
    leadership: Leadership,
    salt: String,
) -> Result<Arc<Context>, ControllerError> {
    let metrics = Metrics::new(settings.token_series, settings.shard);
    let (reporter, events) = Reporter::new(client.clone(), &metrics);
    let audit = settings.audit.clone().map(|target| AuditLog::start(target, identity(&salt), metrics.lost_lines()));
    let context = Context::new(Parts {
        client,
        issuer: Arc::new(HttpIssuer::new(settings.issuer.clone())?),
        endpoints: settings.issuer.endpoints.clone(),
        require_credentials_label: settings.require_credentials_label,
        clock,
        reporter,
        daily_check: settings.daily_check,
        spread_validity: settings.spread_validity,
        secret_metadata: settings.secret_metadata.clone(),
        call_timeout: settings.issuer.call_timeout,
        budget: settings.budget,
        leadership,
        shard: settings.shard,
        metrics,
        audit: audit.unwrap_or_default(),
        salt,
    });
    tokio::spawn(events);
    Ok(Arc::new(context))
}

fn expect_admission_policy(settings: &Settings, client: &Client) {
    if settings.expect_admission_policy {
        // A namespace in which the account may create Secrets.
        let namespace = settings.namespaces.first().map_or_else(|| client.default_namespace(), String::as_str);
        tokio::spawn(admission_policy::expect(client.clone(), namespace.to_owned()));
    }
}

/// Serves metrics and probes where the settings say so.
async fn serve(settings: &Settings, context: &Arc<Context>) -> Result<(), ControllerError> {
    if let Some(address) = settings.listen {
        tokio::spawn(admin::metrics(address, Arc::clone(context)).await?);
    }
    if let Some(address) = settings.health_listen {
        tokio::spawn(admin::probes(address, Arc::clone(context)).await?);
    }
    Ok(())
}

/// The elector, if leader election is on, and its verdict about this process.
fn election(
    settings: &Settings,
    [client, watches]: [Client; 2],
    clock: Arc<SystemClock>,
    salt: &str,
) -> (Option<Elector>, Leadership) {
    let Some(election) = &settings.election else { return (None, Leadership::sole()) };
    let params = LeaseParams {
        namespace: election.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned()),
        name: election.name.clone(),
        identity: identity(salt),
        timing: election.timing,
    };
    let (elector, leadership) = Elector::new([client, watches], params, clock, settings.issuer.call_timeout);
    (Some(elector), leadership)
}

/// Identity of this process: that of the Pod, and a random part.
fn identity(salt: &str) -> String {
    let machine = std::env::var("HOSTNAME").unwrap_or_else(|_| OPERATOR.to_owned());
    format!("{machine}_{}", fingerprint(&Redacted::new(salt)))
}

/// Keeps metrics and probes in step with leadership and shutdown.
async fn follow_leadership(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut leadership = context.leadership.clone();
    context.metrics.set_leader(leadership.is_leader());
    let turns = async {
        loop {
            leadership.wait_until_leader().await;
            context.metrics.set_leader(true);
            leadership.wait_until_not_leader().await;
            context.metrics.set_leader(false);
        }
    };
    tokio::select! { () = turns => {}, () = scopes::stopped(&mut stop) => context.progress().set_stopping() }
}

fn stop_signal() -> Result<watch::Receiver<bool>, ControllerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping: requests in flight are finished and recorded");
        stop.send_replace(true);
        stop.closed().await;
    });
    Ok(stopped)
}
