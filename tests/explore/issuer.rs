//! The issuer side of the operator, with the simulator's model in place of a network.

use crate::judge::{Given, Question, What};
use crate::planted::Planted;
use crate::stage::{KEY, PORTAL_TOKEN, STANDBY_KEY, STANDBY_PORTAL_TOKEN};
use crate::world::{To, Trip, World};
use futures::FutureExt;
use futures::future::BoxFuture;
use issuer_simulator::fault::Delivery;
use issuer_simulator::reply;
use issuer_simulator::request::Request;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::issuer::reply::{Body, Reply};
use syniverse_token_core::issuer::{
    Extend, Failure, FailureKind, LogIn, TokenRequest, TokenResponse, application, client_credentials, session,
};
use syniverse_token_operator::issuer_client::Issuer;
use tokio::time::{sleep, timeout};

/// One way, across the internet.
const WAY: Duration = Duration::from_millis(20);
/// As the operator's client is set.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct ModelIssuer {
    pub(crate) world: Arc<World>,
    pub(crate) process: String,
}

impl Issuer for ModelIssuer {
    fn send<'a>(&'a self, token_request: &'a TokenRequest) -> BoxFuture<'a, Result<TokenResponse, Failure>> {
        async move {
            let question = question(token_request);
            self.world.say(Some(&self.process), What::Asked(question.clone()));
            let response = match timeout(PATIENCE, self.deliver(token_request)).await {
                Ok(Some(Delivery::Whole(reply))) => read(token_request, &on_the_wire(&reply)),
                Ok(Some(Delivery::Truncated(_))) => Err(unavailable("the body broke off")),
                Ok(Some(Delivery::Reset) | None) => Err(unavailable("the connection was reset")),
                Ok(Some(Delivery::Hang)) | Err(_) => Err(unavailable("the issuer did not answer in time")),
            };
            self.world.say(Some(&self.process), What::Answered { to: question, given: given(&response) });
            self.taken(token_request, response)
        }
        .boxed()
    }
}

impl ModelIssuer {
    /// As a planted bug would have it.
    fn taken(
        &self,
        request: &TokenRequest,
        response: Result<TokenResponse, Failure>,
    ) -> Result<TokenResponse, Failure> {
        let is_planted = matches!(self.world.inside().planted, Planted::FailuresEndSessions);
        response.map_err(|failure| match request {
            TokenRequest::Extend(_) if is_planted => Failure { kind: FailureKind::Ended, ..failure },
            _ => failure,
        })
    }

    /// Sends a request; none when no answer came.
    async fn deliver(&self, token_request: &TokenRequest) -> Option<Delivery> {
        let (request, other) = (request(token_request), other_application(token_request));
        let (process, to) = (self.process.clone(), To::Issuer);
        let trip = Trip { process, to, request: "ask".to_owned(), is_read: false, way: WAY, patience: PATIENCE };
        let answered = self.world.travel(trip, move |inside, now| {
            if let Some(other) = other.filter(|_| matches!(inside.planted, Planted::BothAsked)) {
                let arrival = inside.issuers.receive(other, now);
                inside.issuers.answer(arrival.call, now);
            }
            let arrival = inside.issuers.receive(request, now);
            (arrival, inside.issuers.answer(arrival.call, now))
        });
        let (arrival, delivery) = answered.await?;
        // Only the answer is late: the model's work is done by then.
        sleep(arrival.delay + arrival.delay_after).await;
        self.world.inside().issuers.end(arrival.call, delivery.status(), self.world.now());
        if delivery == Delivery::Hang {
            std::future::pending::<()>().await;
        }
        Some(delivery)
    }
}

fn question(request: &TokenRequest) -> Question {
    match request {
        TokenRequest::Refresh(refresh) => Question::Refresh {
            consumer_key: refresh.consumer_key.expose().to_owned(),
            old_token: refresh.old_token.expose().to_owned(),
        },
        TokenRequest::Extend(Extend { pair, .. }) => Question::Extend { token: pair.token.expose().to_owned() },
        TokenRequest::LogIn(LogIn { login, .. }) => Question::LogIn { username: login.username.expose().to_owned() },
        TokenRequest::ClientCredentials(client) => Question::Grant { client_id: client.client_id.expose().to_owned() },
    }
}

fn request(request: &TokenRequest) -> Request {
    match request {
        TokenRequest::Refresh(refresh) => Request::refresh(
            refresh.consumer_key.expose(),
            refresh.consumer_secret.expose(),
            refresh.old_token.expose(),
            &refresh.validity_seconds.to_string(),
        ),
        TokenRequest::Extend(Extend { pair, .. }) => Request::extend(pair.token.expose(), pair.refresh_token.expose()),
        TokenRequest::LogIn(LogIn { login, .. }) => Request::log_in(login.username.expose(), login.password.expose()),
        TokenRequest::ClientCredentials(client) => {
            let further: Vec<_> = client.endpoint_params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            Request::client_credentials(
                client.client_id.expose(),
                client.client_secret.expose(),
                &client.scope,
                &further,
            )
        }
    }
}

/// The same request for the other one of two applications that take turns.
fn other_application(request: &TokenRequest) -> Option<Request> {
    let TokenRequest::Refresh(refresh) = request else { return None };
    let is_first = refresh.consumer_key.expose() == KEY;
    let (key, token) = if is_first { (STANDBY_KEY, STANDBY_PORTAL_TOKEN) } else { (KEY, PORTAL_TOKEN) };
    let validity = refresh.validity_seconds.to_string();
    Some(Request::refresh(key, refresh.consumer_secret.expose(), token, &validity))
}

/// As the operator reads it.
fn read(request: &TokenRequest, reply: &Reply) -> Result<TokenResponse, Failure> {
    match request {
        TokenRequest::Refresh(refresh) => application::read_response(reply, refresh.validity_seconds),
        TokenRequest::Extend(_) => session::extended(reply),
        TokenRequest::LogIn(_) => session::logged_in(reply),
        TokenRequest::ClientCredentials(client) => client_credentials::read_response(reply, &client.scope),
    }
}

fn given(response: &Result<TokenResponse, Failure>) -> Given {
    match response.as_ref().map_err(|failure| failure.kind) {
        Ok(response) => Given::Token(response.token.expose().to_owned()),
        Err(FailureKind::Ended) => Given::Ended,
        Err(FailureKind::LoginRefused) => Given::LoginRefused,
        Err(_) => Given::Nothing,
    }
}

fn on_the_wire(reply: &reply::Reply) -> Reply {
    let body = reply.body.rendered().map(|(_, bytes)| bytes).unwrap_or_default();
    Reply { status: reply.status, date: None, retry_after: None, body: Ok(Body(body)) }
}

fn unavailable(detail: &str) -> Failure {
    Failure { kind: FailureKind::Unavailable, detail: detail.to_owned(), retry_after: None, status: None }
}
