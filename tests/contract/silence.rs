//! At trace level, whatever happens to a call, nothing it carried is shown.

use crate::stage::{call, extend_pair, insecure, log_in_as, secure, start, trusting};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage};
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use issuer_simulator::{Options, Simulator};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::issuer::{Failure, Refresh, TokenRequest, TokenResponse};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_operator::issuer_client::transport::IssuerSettings;
use syniverse_token_operator::settings::{LogFormat, LogSettings};
use syniverse_token_operator::telemetry::logs;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Each differs from its percent-encoded form and in JSON; the part before the colon is the same in all.
const KEY: &str = "canary-key:\"k";
const SECRET: &str = "canary-secret:\"s";
const OLD_TOKEN: &str = "canary-old:\"o";
const TOKEN: &str = "canary-token:\"t";
const REFRESH_TOKEN: &str = "canary-refresh:\"r";
const USER: &str = "canary-user:\"u";
const PASSWORD: &str = "canary-password:\"p";
/// What is the same in all of them, and in the bodies that the simulator is told to send.
const CANARY: &str = "canary-";
const BODY: &str = "canary-body";

/// All that was logged, to be read while more is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Outcome = (Simulator, Result<TokenResponse, Failure>);
/// What to ask at a simulator, and what that simulator sends back of it in place of an error code.
type Question = (fn(&Simulator) -> TokenRequest, &'static str);
type Settings = fn(&Simulator) -> IssuerSettings;

const QUESTIONS: [Question; 3] = [(refresh, "canary-secret"), (extend, "canary-refresh"), (log_in, "canary-password")];

fn refresh(issuer: &Simulator) -> TokenRequest {
    TokenRequest::Refresh(Refresh {
        endpoint: issuer.endpoint(),
        consumer_key: Redacted::new(KEY),
        consumer_secret: Redacted::new(SECRET),
        old_token: Redacted::new(OLD_TOKEN),
        validity_seconds: 600,
    })
}

fn extend(issuer: &Simulator) -> TokenRequest {
    extend_pair(issuer.session_endpoint(), TOKEN, REFRESH_TOKEN)
}

fn log_in(issuer: &Simulator) -> TokenRequest {
    log_in_as(issuer.session_endpoint(), USER, PASSWORD)
}

fn hasty(_: &Simulator) -> IssuerSettings {
    IssuerSettings { call_timeout: Duration::from_millis(200), ..insecure() }
}

async fn outcomes(question: Question) -> Vec<Outcome> {
    let (request, echo) = question;
    let text = |status| Action::Fail {
        status,
        retry_after: None,
        body: FailBody::Text(format!(
            r#"{{"errorCode":"{echo}","accessToken":7,"userMsg":"{BODY}","errorMessage":"{BODY}","content":["{BODY}"]}}"#
        )),
        at: Stage::AfterWork,
    };
    let mut outcomes = Vec::new();
    outcomes.push(outcome(request, Options::default(), None, |_| insecure()).await);
    for action in [
        text(200),
        text(400),
        text(500),
        text(503),
        Action::TokenField(None),
        Action::Truncate,
        Action::Pad { bytes: 100_000 },
        Action::Reset { at: Stage::AfterWork },
        Action::Redirect { status: 307, location: format!("http://127.0.0.1:1/?{BODY}") },
    ] {
        outcomes.push(outcome(request, Options::default(), Some(action), |_| insecure()).await);
    }
    let hang = Action::Hang { at: Stage::AfterWork };
    outcomes.push(outcome(request, Options::default(), Some(hang), hasty).await);
    for settings in [trusting, |_: &Simulator| insecure(), |_: &Simulator| secure()] {
        outcomes.push(outcome(request, Options { tls: true, ..Options::default() }, None, settings).await);
    }
    outcomes
}

async fn outcome(
    request: fn(&Simulator) -> TokenRequest,
    options: Options,
    fault: Option<Action>,
    settings: Settings,
) -> Outcome {
    let issuer = start(options).await;
    issuer.add_application(NewApplication::expired(KEY, SECRET, OLD_TOKEN));
    issuer.add_session(NewSession::account(USER, PASSWORD).with_pair(TOKEN, REFRESH_TOKEN, Life::Never));
    fault.into_iter().for_each(|action| issuer.fault(Fault::always(action)));
    let request = request(&issuer);
    let result = call(settings(&issuer), &request).await;
    tracing::trace!(target: "syniverse_token_operator", ?request, ?result, "called");
    (issuer, result)
}

/// The tokens that a simulator gave.
fn issued((issuer, result): &Outcome) -> Vec<String> {
    let given = result.as_ref().ok().and_then(|response| response.refresh_token.as_ref());
    let tokens = issuer.journal().tokens.into_iter().map(|token| token.value);
    let known = [OLD_TOKEN, TOKEN, crate::stage::PORTAL_TOKEN, crate::stage::TOKEN];
    tokens
        .filter(|token| !known.contains(&token.as_str()))
        .chain(given.map(|token| token.expose().to_owned()))
        .collect()
}

/// Everything an error can be made to say.
fn spoken(error: &dyn std::error::Error) -> String {
    let source = error.source().map(spoken).unwrap_or_default();
    format!("{error} {error:?} {error:#?} {source}")
}

#[tokio::test]
async fn no_log_line_and_no_failure_shows_what_a_call_carried() {
    let log = Log::default();
    let settings = LogSettings { level: LevelFilter::TRACE, format: LogFormat::Text };
    let writer = log.clone();
    logs::subscriber(settings, move || writer.clone()).init();
    let mut all = Vec::new();
    for question in QUESTIONS {
        all.extend(outcomes(question).await);
    }

    let mut said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.matches("called").count(), all.len(), "{said}");
    assert_eq!(all.iter().filter(|(_, result)| result.is_ok()).count(), 2 * QUESTIONS.len());
    let mut canaries = [CANARY, "consumerkey=", "refreshToken\"", "password\""].map(String::from).to_vec();
    for outcome in &all {
        said += &outcome.1.as_ref().err().map(|failure| spoken(failure)).unwrap_or_default();
        canaries.extend(issued(outcome));
    }
    assert!(canaries.len() > 30, "tokens were issued");
    for canary in canaries {
        assert!(!said.contains(&canary), "{canary} in {said}");
    }
}
