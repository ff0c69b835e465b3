//! The issuer side of the operator, with the simulator's model in place of a network.

use crate::history::What;
use crate::world::{To, Trip, World};
use futures::FutureExt;
use futures::future::BoxFuture;
use issuer_simulator::fault::Delivery;
use issuer_simulator::reply::Reply;
use issuer_simulator::request::Request;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_operator::issuer::application::{self, Body};
use syniverse_token_operator::issuer::{Answer, Ask, Failure, FailureKind, Issuer};
use tokio::time::{sleep, timeout};

/// One way, across the internet.
const WAY: Duration = Duration::from_millis(20);
/// As the operator's client is set.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct ModelIssuer {
    pub(crate) world: Arc<World>,
    pub(crate) process: String,
}

impl Issuer for ModelIssuer {
    fn refresh<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, Failure>> {
        async move {
            let asked = timeout(PATIENCE, self.ask(ask)).await;
            let answer = match asked {
                Ok(Some(Delivery::Whole(reply))) => application::answer(&on_the_wire(&reply), ask.validity_seconds),
                Ok(Some(Delivery::Truncated(_))) => Err(unavailable("the body broke off")),
                Ok(Some(Delivery::Reset) | None) => Err(unavailable("the connection was reset")),
                Ok(Some(Delivery::Hang)) | Err(_) => Err(unavailable("the issuer did not answer in time")),
            };
            let token = answer.as_ref().ok().map(|answer| answer.token.expose().to_owned());
            self.world.say(Some(&self.process), What::Answered { token });
            answer
        }
        .boxed()
    }
}

impl ModelIssuer {
    /// Sends the question; none when no answer came.
    async fn ask(&self, ask: &Ask) -> Option<Delivery> {
        let validity = ask.validity_seconds.to_string();
        let old_token = ask.old_token.expose();
        let request = Request::refresh(ask.consumer_key.expose(), ask.consumer_secret.expose(), old_token, &validity);
        self.world.say(Some(&self.process), What::Asked { old_token: old_token.to_owned() });
        let (process, to) = (self.process.clone(), To::Issuer);
        let trip = Trip { process, to, request: "ask".to_owned(), is_read: false, way: WAY, patience: PATIENCE };
        let answered = self.world.travel(trip, move |inside, now| {
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

fn on_the_wire(reply: &Reply) -> application::Reply {
    let body = reply.body.rendered().map(|(_, text)| text.into_bytes()).unwrap_or_default();
    application::Reply { status: reply.status, date: None, retry_after: None, body: Ok(Body(body)) }
}

fn unavailable(detail: &str) -> Failure {
    Failure { kind: FailureKind::Unavailable, detail: detail.to_owned(), retry_after: None }
}
