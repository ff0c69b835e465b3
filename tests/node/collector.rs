//! What the Pods talk to: it notes by the clock of this process which token each of them sees, and passes uses of tokens on to
//! the simulator.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A token that was new in the file of a Pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) pod: String,
    pub(crate) token: String,
    pub(crate) at: Timestamp,
}

/// A request of a Pod, and the status that it was given; none if the simulator did not answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Use {
    pub(crate) pod: String,
    pub(crate) at: Timestamp,
    pub(crate) status: Option<u16>,
}

impl Use {
    pub(crate) fn accepted(&self) -> bool {
        self.status == Some(204)
    }

    pub(crate) fn refused(&self) -> bool {
        self.status == Some(401)
    }
}

#[derive(Clone)]
struct Heard {
    sightings: Arc<Mutex<Vec<Sighting>>>,
    uses: Arc<Mutex<Vec<Use>>>,
    verify: String,
    client: reqwest::Client,
}

/// The collector, serving until it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    heard: Heard,
    _serving: JoinSet<()>,
}

impl Collector {
    /// Starts one at an address that Pods reach; `verify` is where tokens are used.
    pub(crate) async fn start(address: &str, verify: String) -> Self {
        let listener = TcpListener::bind(address).await;
        let listener = listener.unwrap_or_else(|error| {
            panic!("SIMULATOR_ADDRESS must be an address of this machine that Pods reach, not {address}: {error}")
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let heard = Heard { sightings: Arc::default(), uses: Arc::default(), verify, client };
        let routes = Router::new().route("/seen/{pod}", get(seen)).route("/use/{pod}", get(used));
        let (address, routes) = (listener.local_addr().unwrap(), routes.with_state(heard.clone()));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, heard, _serving: serving }
    }

    /// What was seen in a Pod.
    pub(crate) fn sightings(&self, pod: &str) -> Vec<Sighting> {
        self.heard.sightings.lock().unwrap().iter().filter(|it| it.pod == pod).cloned().collect()
    }

    /// The requests that a Pod made.
    pub(crate) fn uses(&self, pod: &str) -> Vec<Use> {
        self.heard.uses.lock().unwrap().iter().filter(|it| it.pod == pod).cloned().collect()
    }
}

async fn seen(State(heard): State<Heard>, Path(pod): Path<String>, headers: HeaderMap) -> StatusCode {
    let at = Timestamp::now();
    let authorization = headers.get("authorization").and_then(|it| it.to_str().ok());
    let token = authorization.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    heard.sightings.lock().unwrap().push(Sighting { pod, token, at });
    StatusCode::NO_CONTENT
}

async fn used(State(heard): State<Heard>, Path(pod): Path<String>, headers: HeaderMap) -> StatusCode {
    let at = Timestamp::now();
    let request = heard.client.get(&heard.verify);
    let request = headers.get("authorization").into_iter().fold(request, |it, value| it.header("authorization", value));
    let status = request.send().await.ok().map(|answer| answer.status());
    heard.uses.lock().unwrap().push(Use { pod, at, status: status.map(|it| it.as_u16()) });
    status.unwrap_or(StatusCode::BAD_GATEWAY)
}
