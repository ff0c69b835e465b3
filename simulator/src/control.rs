//! The control endpoint: what a test does through [`crate::Simulator`], over HTTP on a port of its own.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /journal` | | [`crate::journal::Journal`] |
//! | `POST /applications` | [`NewApplication`] | |
//! | `POST /applications/{consumerKey}/secret` | `{"consumerSecret": …}` | |
//! | `POST /applications/{consumerKey}/regenerate` | | `{"token": …}` |
//! | `POST /sessions` | [`NewSession`] | |
//! | `POST /clients` | [`NewClient`] | |
//! | `POST /clients/{clientId}/secret` | `{"clientSecret": …}` | |
//! | `POST /owners/{consumerKey, username or clientId}/expire` | | |
//! | `GET`, `POST`, `DELETE /faults` | POST: [`Fault`] | GET: the waiting faults |
//! | `GET`, `PATCH /switches` | PATCH: the switches to change | [`Switches`] |
//! | `POST /down`, `POST /up` | | |

use std::io;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::application::NewApplication;
use crate::client::NewClient;
use crate::fault::Fault;
use crate::issuers::Issuers;
use crate::journal::Journal;
use crate::model::UnknownOwner;
use crate::port::Port;
use crate::session::NewSession;
use crate::switches::Switches;

/// A refusal: a status, and what to do about it.
type Refusal = (StatusCode, String);

/// What the control endpoint governs.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) port: Arc<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewSecret {
    consumer_secret: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewClientSecret {
    client_secret: String,
}

/// The routes of the table above.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/journal", get(journal))
        .route("/applications", post(add_application))
        .route("/applications/{key}/secret", post(change_secret))
        .route("/applications/{key}/regenerate", post(regenerate))
        .route("/sessions", post(add_session))
        .route("/clients", post(add_client))
        .route("/clients/{id}/secret", post(change_client_secret))
        .route("/owners/{owner}/expire", post(expire))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/switches", get(switches).patch(change_switches))
        .route("/down", post(down))
        .route("/up", post(up))
        .with_state(control)
}

async fn journal(State(control): State<Control>) -> Json<Journal> {
    Json(control.issuers.journal())
}

async fn add_application(State(control): State<Control>, Json(new): Json<NewApplication>) {
    control.issuers.change(|model, now| model.add_application(new, now));
}

async fn change_secret(
    State(control): State<Control>,
    Path(key): Path<String>,
    Json(new): Json<NewSecret>,
) -> Result<(), Refusal> {
    control.issuers.change(|model, _| model.change_secret(&key, &new.consumer_secret)).map_err(unknown)
}

async fn regenerate(State(control): State<Control>, Path(key): Path<String>) -> Result<Json<Value>, Refusal> {
    let token = control.issuers.change(|model, now| model.regenerate(&key, now)).map_err(unknown)?;
    Ok(Json(json!({"token": token})))
}

async fn add_session(State(control): State<Control>, Json(new): Json<NewSession>) {
    control.issuers.change(|model, now| model.add_session(new, now));
}

async fn add_client(State(control): State<Control>, Json(new): Json<NewClient>) {
    control.issuers.change(|model, _| model.add_client(new));
}

async fn change_client_secret(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(new): Json<NewClientSecret>,
) -> Result<(), Refusal> {
    control.issuers.change(|model, _| model.change_client_secret(&id, &new.client_secret)).map_err(unknown)
}

async fn expire(State(control): State<Control>, Path(owner): Path<String>) -> Result<(), Refusal> {
    control.issuers.change(|model, now| model.expire(&owner, now)).map_err(unknown)
}

async fn faults(State(control): State<Control>) -> Json<Vec<Fault>> {
    Json(control.issuers.change(|model, _| model.faults().clone()))
}

async fn add_fault(State(control): State<Control>, Json(fault): Json<Fault>) {
    control.issuers.change(|model, _| model.faults().push(fault));
}

async fn clear_faults(State(control): State<Control>) {
    control.issuers.change(|model, _| model.faults().clear());
}

async fn switches(State(control): State<Control>) -> Json<Switches> {
    Json(control.issuers.change(|model, _| model.switches().clone()))
}

async fn change_switches(
    State(control): State<Control>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Switches>, Refusal> {
    control.issuers.change(|model, _| {
        let changed = merged(model.switches(), changes).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?;
        *model.switches() = changed.clone();
        Ok(Json(changed))
    })
}

fn merged(switches: &Switches, changes: Map<String, Value>) -> serde_json::Result<Switches> {
    let mut all = serde_json::to_value(switches)?;
    for (name, value) in changes {
        all[name] = value;
    }
    serde_json::from_value(all)
}

async fn down(State(control): State<Control>) -> Result<(), Refusal> {
    control.port.down().await.map_err(|error| port_failed(&control, &error))
}

async fn up(State(control): State<Control>) -> Result<(), Refusal> {
    control.port.up().await.map_err(|error| port_failed(&control, &error))
}

fn unknown(error: UnknownOwner) -> Refusal {
    (StatusCode::NOT_FOUND, error.to_string())
}

fn port_failed(control: &Control, error: &io::Error) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to change {}: {error}", control.port.address()))
}
