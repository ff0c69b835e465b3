//! Wires watches to passes, and passes to the report.

pub mod admin;
pub mod apply;
pub mod context;
pub mod election;
pub mod observe;
pub mod progress;
pub mod reconcile;
pub mod report;
pub mod secret_index;
pub mod status_watch;
pub mod wake;
pub mod watches;

use crate::cli::settings::Settings;
use crate::client::admission_policy;
use crate::client::connection;
use crate::client::kubeconfig;
use crate::clock::SystemClock;
use crate::controller::context::{Context, Parts};
use crate::controller::election::{Elector, Leadership, Seat};
use crate::controller::observe::random_salt;
use crate::controller::report::Reporter;
use crate::controller::secret_index::Index;
use crate::controller::wake::wake;
use crate::controller::watches::{Door, knock};
use crate::issuer_client::http::HttpIssuer;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::api::ListParams;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::revision::Horizon;
use syniverse_token_core::secrets::OPERATOR;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// Told to stop, a process has the time of a call and this to record what it was given, as the API server may be away for
/// a moment. With the usual call timeout that leaves 5 s of a Pod's usual 30 for the release of the Lease.
const LONGEST_RECORDING: Duration = Duration::from_secs(15);
/// How often the store of the API server is asked for its version.
const STORE_LOOK: Duration = Duration::from_secs(10);
/// Of resources and of Secrets.
const WATCHES: usize = 2;
/// How often a pass with an answer in hand looks again, at least.
const ANSWER_RETRY: Duration = Duration::from_secs(1);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Neither a cluster around us nor a kubeconfig that can be used.
    #[error("failed to find a Kubernetes API server: {0}")]
    NoCluster(#[from] kubeconfig::NoApiServer),
    /// The client for the API server could not be made.
    #[error("failed to make the client for the API server: {0}")]
    Client(kube::Error),
    /// The settings for issuers cannot be used.
    #[error("failed to make the client for issuers: {0}")]
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
    /// Everything stopped without being told to.
    #[error("the watches ended by themselves")]
    Ended,
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or ends without having been told to.
pub async fn run(settings: Settings) -> Result<(), ControllerError> {
    let config = kubeconfig::configuration()?;
    let watches = connection::watching(config.clone()).map_err(ControllerError::Client)?;
    let client = connection::asking(config.clone()).map_err(ControllerError::Client)?;
    let leasing = connection::leasing(config).map_err(ControllerError::Client)?;
    let (reporter, events) = Reporter::new(client.clone());
    let (waker, woken) = tokio::sync::mpsc::unbounded_channel();
    let clock = Arc::new(SystemClock::start());
    let salt = random_salt()?;
    let (elector, leadership) = election(&settings, [leasing, watches.clone()], Arc::clone(&clock), &salt);
    if settings.expect_admission_policy {
        // Where the account may make Secrets.
        let namespace = settings.namespaces.first().map_or_else(|| client.default_namespace(), String::as_str);
        tokio::spawn(admission_policy::expect(client.clone(), namespace.to_owned()));
    }
    let context = Arc::new(Context::new(Parts {
        client,
        issuer: Arc::new(HttpIssuer::new(settings.issuer.clone())?),
        endpoints: settings.issuer.endpoints.clone(),
        require_credentials_label: settings.require_credentials_label,
        clock,
        reporter,
        wake: waker,
        daily_check: settings.daily_check,
        secret_metadata: settings.secret_metadata,
        call_timeout: settings.issuer.call_timeout,
        budget: settings.budget,
        leadership,
        salt,
    }));
    tokio::spawn(events);
    let stop = stop_signal()?;
    let scopes = scopes(&settings.namespaces);
    context.progress().watches(WATCHES * scopes.len());
    if let Some(address) = settings.listen {
        tokio::spawn(admin::metrics(address, Arc::clone(&context)).await?);
    }
    if let Some(address) = settings.health_listen {
        tokio::spawn(admin::probes(address, Arc::clone(&context)).await?);
    }
    tokio::spawn(follow_leadership(Arc::clone(&context), stop.clone()));
    tokio::spawn(watch_the_store(Arc::clone(&context), scopes.first().map(|scope| scope.api(&watches))));
    let (drained, until_drained) = oneshot::channel::<()>();
    let election = tokio::spawn(async move {
        if let Some(elector) = elector {
            elector.run(until_drained.map(drop)).await;
        }
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?settings.namespaces, "started");
    run_scopes(context, &watches, scopes, woken, stop.clone()).await;
    // Who still writes must not have given the Lease away: it is released last.
    drop(drained);
    let _ = election.await;
    if *stop.borrow() { Ok(()) } else { Err(ControllerError::Ended) }
}

/// The keeper of the Lease, if there is one to be kept, and what it says of this process.
fn election(
    settings: &Settings,
    [client, watches]: [Client; 2],
    clock: Arc<SystemClock>,
    salt: &str,
) -> (Option<Elector>, Leadership) {
    let Some(election) = &settings.election else { return (None, Leadership::sole()) };
    let machine = std::env::var("HOSTNAME").unwrap_or_else(|_| OPERATOR.to_owned());
    let seat = Seat {
        namespace: election.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned()),
        name: election.name.clone(),
        identity: format!("{machine}_{}", fingerprint(&Redacted::new(salt))),
        timing: election.timing,
    };
    let (elector, leadership) = Elector::new([client, watches], seat, clock, settings.issuer.call_timeout);
    (Some(elector), leadership)
}

/// Keeps what is said of this process in step with whether it acts, and whether it was told to stop.
async fn follow_leadership(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut leadership = context.leadership.clone();
    context.metrics.leads(leadership.leads());
    let turns = async {
        loop {
            leadership.begins().await;
            context.metrics.leads(true);
            leadership.ends().await;
            context.metrics.leads(false);
        }
    };
    tokio::select! { () = turns => {}, () = stopped(&mut stop) => context.progress().stops() }
}

fn stop_signal() -> Result<watch::Receiver<bool>, ControllerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("told to stop: calls in flight are finished and recorded");
        stop.send_replace(true);
        stop.closed().await;
    });
    Ok(stopped)
}

/// Where one controller works: a namespace, or all.
#[derive(Clone, Debug)]
struct Scope(Option<String>);

fn scopes(namespaces: &[String]) -> Vec<Scope> {
    if namespaces.is_empty() {
        return vec![Scope(None)];
    }
    namespaces.iter().cloned().map(|namespace| Scope(Some(namespace))).collect()
}

impl Scope {
    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.0 {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
}

/// One controller per scope; what wakes a resource from elsewhere goes to the scope it is in.
async fn run_scopes(
    context: Arc<Context>,
    client: &Client,
    scopes: Vec<Scope>,
    mut woken: tokio::sync::mpsc::UnboundedReceiver<ObjectName>,
    stop: watch::Receiver<bool>,
) {
    let (mut doors, mut running) = (HashMap::new(), FuturesUnordered::new());
    for scope in scopes {
        let (door, knocks) = unbounded();
        doors.insert(scope.0.clone(), door.clone());
        running.push(run_scope(Arc::clone(&context), client.clone(), scope, (door, knocks), stop.clone()));
    }
    let post = async {
        while let Some(name) = woken.recv().await {
            let door = doors.get(&Some(name.namespace.clone())).or_else(|| doors.get(&None));
            door.into_iter().for_each(|door| knock(&context, door, name.clone()));
        }
    };
    // Told to stop, all are waited for; one that ends by itself ends the process: nobody else would serve its namespace.
    let all = async { while running.next().await.is_some() && *stop.borrow() {} };
    let out_of_time = out_of_time(stop.clone(), context.call_timeout + LONGEST_RECORDING);
    tokio::select! { () = all => {}, () = post => {}, () = out_of_time => tracing::warn!("stopped before all passes ended") }
}

async fn out_of_time(mut stop: watch::Receiver<bool>, longest: Duration) {
    stopped(&mut stop).await;
    tokio::time::sleep(longest).await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends us as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

type Knocks = UnboundedReceiver<ObjectRef<SyniverseToken>>;

async fn run_scope(
    context: Arc<Context>,
    client: Client,
    scope: Scope,
    (door, knocks): (Door, Knocks),
    mut stop: watch::Receiver<bool>,
) {
    let index = Arc::new(Mutex::new(Index::default()));
    let (reader, writer) = reflector::store();
    let resources = watches::resources(Arc::clone(&context), scope.api(&client), Arc::clone(&index), writer);
    let secrets = watches::secrets(Arc::clone(&context), scope.api(&client), index, door.clone());
    let heir = takes_over(Arc::clone(&context), reader.clone(), door);
    let idle = stopped_before_the_list(reader.clone(), stop.clone());
    let passes = Controller::for_stream(resources, reader)
        .reconcile_on(knocks)
        .graceful_shutdown_on(async move { stopped(&mut stop).await })
        .run(pass, retry, context)
        .for_each(|_| futures::future::ready(()));
    tokio::select! { () = passes => {}, () = secrets => {}, () = heir => {}, () = idle => {} }
}

/// Ends when the process is told to stop before it has seen any resource: it has nothing to finish. The controller would go
/// on waiting for an API server that is away.
async fn stopped_before_the_list(resources: Store<SyniverseToken>, mut stop: watch::Receiver<bool>) {
    stopped(&mut stop).await;
    if resources.wait_until_ready().now_or_never().is_some() {
        std::future::pending().await
    }
}

/// Finds a store that was set back: its watches do not tell.
async fn watch_the_store(context: Arc<Context>, api: Option<Api<SyniverseToken>>) {
    let (Some(api), mut horizon) = (api, Horizon::default()) else { return };
    loop {
        tokio::time::sleep(STORE_LOOK).await;
        // An API server that cannot be asked is told of by the watches.
        let Ok(few) = api.list_metadata(&ListParams::default().limit(1)).await else { continue };
        if horizon.falls_back_to(few.metadata.resource_version.as_deref()) {
            context.set_back();
        }
    }
}

/// Looks at everything when this process begins to act: what changed before was none of its business. The same when the
/// store was set back.
async fn takes_over(context: Arc<Context>, resources: Store<SyniverseToken>, door: Door) {
    let (mut leadership, mut set_back, mut since) = (context.leadership.clone(), context.set_backs(), None);
    loop {
        tokio::select! {
            begun = leadership.begins_anew(since) => since = Some(begun),
            Ok(()) = set_back.changed() => {}
        }
        resources.state().iter().for_each(|resource| knock(&context, &door, ObjectName::of(&**resource)));
    }
}

/// The one thing to do for a process that does not act: to write down an answer that it was given while it did.
///
/// Told to stop, the controller waits for what runs, not for timers: with an answer in hand it goes on until that is
/// written.
async fn pass(resource: Arc<SyniverseToken>, context: Arc<Context>) -> Result<Action, Retry> {
    let uid = resource.uid().unwrap_or_default();
    if !context.leadership.leads() && !context.holds_answer(&uid).await {
        context.progress().forget(&ObjectName::of(&*resource));
        return Ok(Action::await_change());
    }
    loop {
        let left = wake(&context, Arc::clone(&resource)).await;
        if !context.holds_answer(&uid).await {
            return Ok(left.map_err(Retry)?.map_or_else(Action::await_change, Action::requeue));
        }
        let wait = left.unwrap_or_else(Some).unwrap_or(ANSWER_RETRY);
        tokio::time::sleep(wait.min(ANSWER_RETRY)).await;
    }
}

/// A failed pass is tried again after this.
#[derive(Debug, thiserror::Error)]
#[error("tried again in {0:?}")]
struct Retry(Duration);

#[allow(clippy::needless_pass_by_value)] // the controller's signature
fn retry(_: Arc<SyniverseToken>, error: &Retry, _: Arc<Context>) -> Action {
    Action::requeue(error.0)
}
