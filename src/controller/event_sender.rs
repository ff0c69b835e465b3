//! Sends Events one after the other. Nobody waits for them.

use crate::client::error::{describe, is_namespace_ending, is_outage};
use crate::controller::event_queue::{EventQueue, WaitingEvent};
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder};
use prometheus_client::metrics::counter::Counter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syniverse_token_core::schedule::retry::Backoff;
use syniverse_token_core::secrets::OPERATOR;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Delays while the API server takes nothing.
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// Timeout of an Event.
const LONGEST_SEND: Duration = Duration::from_secs(15);
/// Interval of log lines about Events that were not sent.
const SAYING: Duration = Duration::from_secs(60);
/// How long the recorder remembers an Event, to count its repetitions.
const REMEMBERED: Duration = Duration::from_secs(360);
/// Events in that time after which a new recorder begins, without memory: it has no bound of its own, and 2 to 3 kB an Event.
const MOST_REMEMBERED: u32 = 1024;

/// The end of the queue that passes hold.
#[derive(Clone, Debug)]
pub(super) struct EventSink {
    queue: Arc<Mutex<EventQueue>>,
    bell: mpsc::Sender<()>,
}

impl EventSink {
    /// A sink, and the task that sends what comes into it: it ends when the last sink is dropped. `dropped` counts what
    /// is never sent.
    pub(super) fn new(client: Client, dropped: Counter) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, (bell, rung)) = (Arc::<Mutex<EventQueue>>::default(), mpsc::channel(1));
        let sender = EventSender {
            queue: Arc::clone(&queue),
            recorder: Recorder::new(client.clone(), OPERATOR.into()),
            client,
            remembered: (0, Instant::now()),
            failures: 0,
            dropped,
            unsaid: (0, None),
            quiet_until: Instant::now(),
        };
        (Self { queue, bell }, sender.run(rung))
    }

    /// Adds an Event.
    pub(super) fn push(&self, event: WaitingEvent) {
        lock(&self.queue).push(event);
        // A bell that rings already, or that nobody hears any more.
        let _ = self.bell.try_send(());
    }
}

struct EventSender {
    queue: Arc<Mutex<EventQueue>>,
    client: Client,
    recorder: Recorder,
    /// How many Events the recorder was given, since when.
    remembered: (u32, Instant),
    /// Failures in a row.
    failures: u32,
    dropped: Counter,
    /// What the log does not say yet: dropped Events, and the last error.
    unsaid: (u64, Option<String>),
    quiet_until: Instant,
}

impl EventSender {
    async fn run(mut self, mut rung: mpsc::Receiver<()>) {
        loop {
            let next = lock(&self.queue).pop(Instant::now());
            self.count_dropped();
            match next {
                Some(event) => self.send(event).await,
                None => tokio::select! {
                    rung = rung.recv() => if rung.is_none() { return },
                    () = sleep_until(self.quiet_until), if self.has_to_say() => {}
                },
            }
        }
    }

    async fn send(&mut self, waiting: WaitingEvent) {
        let event = Event {
            type_: if waiting.is_warning() { EventType::Warning } else { EventType::Normal },
            reason: waiting.finding.reason.to_string(),
            note: Some(waiting.finding.message.clone()),
            action: "Refresh".to_owned(),
            secondary: None,
        };
        self.bound_memory();
        let error = match timeout(LONGEST_SEND, self.recorder.publish(&event, &waiting.about)).await {
            Ok(Ok(())) => return self.failures = 0,
            Ok(Err(error)) if is_namespace_ending(&error) => {
                return tracing::debug!(reason = event.reason, "did not send an Event: the namespace is being deleted");
            }
            Ok(Err(error)) if !is_outage(&error) => {
                self.unsaid.1 = Some(describe(&error));
                return lock(&self.queue).refused();
            }
            Ok(Err(error)) => describe(&error),
            Err(_) => "no response in time".to_owned(),
        };
        self.unsaid.1 = Some(error);
        lock(&self.queue).put_back(waiting);
        self.failures = self.failures.saturating_add(1);
        self.count_dropped();
        sleep(RETRY.after(self.failures, 0)).await;
    }

    fn bound_memory(&mut self) {
        let now = Instant::now();
        let (count, since) = self.remembered;
        self.remembered = if now < since + REMEMBERED { (count + 1, since) } else { (1, now) };
        if self.remembered.0 > MOST_REMEMBERED {
            self.recorder = Recorder::new(self.client.clone(), OPERATOR.into());
            self.remembered = (1, now);
        }
    }

    fn count_dropped(&mut self) {
        let dropped = lock(&self.queue).take_dropped();
        self.dropped.inc_by(dropped);
        self.unsaid.0 += dropped;
        if self.has_to_say() && self.quiet_until <= Instant::now() {
            let (dropped, error) = std::mem::take(&mut self.unsaid);
            tracing::warn!(dropped, error, "failed to send Events");
            self.quiet_until = Instant::now() + SAYING;
        }
    }

    fn has_to_say(&self) -> bool {
        self.unsaid.0 > 0 || self.unsaid.1.is_some()
    }
}

/// A panic elsewhere leaves the queue usable: at worst an Event is missing.
fn lock(queue: &Mutex<EventQueue>) -> MutexGuard<'_, EventQueue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{Request, Response, StatusCode};
    use k8s_openapi::api::core::v1::ObjectReference;
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;
    use syniverse_token_core::reason::Finding;
    use syniverse_token_core::reason::Reason::{self, Issued, RefreshFailed, Rotated};

    /// What an API server answers, and what it was asked.
    #[derive(Clone, Default)]
    struct ApiServer {
        /// The codes of its next answers; then it takes everything.
        codes: Arc<Mutex<Vec<u16>>>,
        asked: Arc<Mutex<Vec<(http::Method, Duration)>>>,
    }

    impl ApiServer {
        fn client(&self) -> Client {
            let (server, start) = (self.clone(), Instant::now());
            let service = tower::service_fn(move |request: Request<Body>| {
                server.asked.lock().unwrap().push((request.method().clone(), start.elapsed()));
                let code = server.codes.lock().unwrap().pop().unwrap_or(201);
                let status = json!({"status": "Failure", "message": "no", "reason": "no", "code": code});
                let event = json!({"metadata": {"name": "event"}, "eventTime": null});
                let answer = if code == 201 { event } else { status };
                let answer = Response::builder()
                    .status(StatusCode::from_u16(code).unwrap())
                    .body(answer.to_string().into_bytes());
                futures::future::ready(Ok::<_, Infallible>(answer.unwrap().map(Body::from)))
            });
            Client::new(service, "default")
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().iter().map(|(method, at)| format!("{method} {}", at.as_secs())).collect()
        }
    }

    fn push(sink: &EventSink, name: &str, reason: Reason) {
        let [namespace, name] = ["n", name].map(|text| Some(text.to_owned()));
        let about = ObjectReference { namespace, name, ..ObjectReference::default() };
        sink.push(WaitingEvent { about, finding: Finding::new(reason, "as found"), since: Instant::now() });
    }

    /// A sink to a server that answers with these codes first, and a count of what is dropped.
    fn sink(codes: &[u16]) -> (EventSink, ApiServer, Counter) {
        let (server, dropped) = (ApiServer::default(), Counter::default());
        server.codes.lock().unwrap().extend(codes.iter().rev());
        let (sink, sending) = EventSink::new(server.client(), dropped.clone());
        tokio::spawn(sending);
        (sink, server, dropped)
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_waits_for_an_api_server_that_is_away_and_is_sent_then() {
        let (sink, server, dropped) = sink(&[503, 429, 500]);
        push(&sink, "first", RefreshFailed);
        sleep(Duration::from_secs(60)).await;
        assert_eq!((server.asked().len(), dropped.get()), (4, 0));
        let last = server.asked.lock().unwrap().last().unwrap().1;
        assert!(Duration::from_secs(5) < last && last < Duration::from_secs(9), "{last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_not_repeated_for_ever() {
        let (sink, server, dropped) = sink(&[503; 1000]);
        push(&sink, "first", RefreshFailed);
        sleep(Duration::from_secs(400)).await;
        let asked = server.asked().len();
        assert_eq!((asked < 20, dropped.get()), (true, 1), "{asked}");
        sleep(Duration::from_secs(400)).await;
        assert_eq!(server.asked().len(), asked);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_event_is_dropped_and_holds_up_no_other() {
        let (sink, server, dropped) = sink(&[403]);
        push(&sink, "first", Issued);
        push(&sink, "second", Issued);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((server.asked(), dropped.get()), (vec!["POST 0".to_owned(), "POST 0".to_owned()], 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_is_counted_in_the_event_that_is_there() {
        let (sink, server, _) = sink(&[]);
        for _ in 0..3 {
            push(&sink, "first", Rotated);
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(server.asked(), ["POST 0", "PATCH 1", "PATCH 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_what_was_sent_is_bounded() {
        let (sink, server, _) = sink(&[]);
        for number in 0..MOST_REMEMBERED {
            push(&sink, &number.to_string(), Rotated);
            sleep(Duration::from_millis(1)).await;
        }
        push(&sink, "0", Rotated);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(server.asked().iter().filter(|asked| asked.starts_with("PATCH")).count(), 0);
        push(&sink, "0", Rotated);
        sleep(Duration::from_secs(1)).await;
        assert!(server.asked().last().unwrap().starts_with("PATCH"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_last_sink() {
        let server = ApiServer::default();
        let (sink, sending) = EventSink::new(server.client(), Counter::default());
        push(&sink, "first", Rotated);
        drop(sink);
        sending.await;
        assert_eq!(server.asked().len(), 1);
    }
}
