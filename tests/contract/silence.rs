//! At trace level, whatever happens to a call, nothing it carried is shown.

use crate::stage::{call, insecure, secure, start};
use issuer_simulator::application::NewApplication;
use issuer_simulator::fault::{Action, FailBody, Fault, Stage};
use issuer_simulator::{Options, Simulator};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_operator::issuer::transport::IssuerSettings;
use syniverse_token_operator::issuer::{Answer, Ask, Failure};
use syniverse_token_operator::redacted::Redacted;
use syniverse_token_operator::settings::{LogFormat, LogSettings};
use syniverse_token_operator::telemetry;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Each differs from its percent-encoded form; the part before the colon is the same in both.
const KEY: &str = "canary-key:k";
const SECRET: &str = "canary-secret:s";
const OLD_TOKEN: &str = "canary-old:o";
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

async fn outcomes() -> Vec<(Simulator, Result<Answer, Failure>)> {
    let hasty = IssuerSettings { call_timeout: Duration::from_millis(200), ..insecure() };
    let text = |status| Action::Fail {
        status,
        retry_after: None,
        body: FailBody::Text(format!(r#"{{"errorCode":1,"accessToken":7,"userMsg":"{BODY}"}}"#)),
        at: Stage::AfterWork,
    };
    let mut outcomes = Vec::new();
    outcomes.push(outcome(Options::default(), None, insecure()).await);
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
        outcomes.push(outcome(Options::default(), Some(action), insecure()).await);
    }
    outcomes.push(outcome(Options::default(), Some(Action::Hang { at: Stage::AfterWork }), hasty).await);
    outcomes.push(outcome(Options { tls: true, ..Options::default() }, None, insecure()).await);
    outcomes.push(outcome(Options { tls: true, ..Options::default() }, None, secure()).await);
    outcomes
}

async fn outcome(
    options: Options,
    fault: Option<Action>,
    settings: IssuerSettings,
) -> (Simulator, Result<Answer, Failure>) {
    let issuer = start(options).await;
    issuer.add_application(NewApplication::expired(KEY, SECRET, OLD_TOKEN));
    fault.into_iter().for_each(|action| issuer.fault(Fault::always(action)));
    let ask = Ask {
        endpoint: issuer.endpoint(),
        consumer_key: Redacted::new(KEY),
        consumer_secret: Redacted::new(SECRET),
        old_token: Redacted::new(OLD_TOKEN),
        validity_seconds: 600,
    };
    let result = call(settings, &ask).await;
    tracing::trace!(target: "syniverse_token_operator", ?ask, ?result, "called");
    (issuer, result)
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
    telemetry::subscriber(settings, move || writer.clone()).init();
    let outcomes = outcomes().await;

    let mut said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.matches("called").count(), outcomes.len(), "{said}");
    assert_eq!(outcomes.iter().filter(|(_, result)| result.is_ok()).count(), 1);
    let mut canaries = ["canary-key", "canary-secret", "canary-old", BODY, "consumerkey="].map(String::from).to_vec();
    for (issuer, result) in &outcomes {
        said += &result.as_ref().err().map(|failure| spoken(failure)).unwrap_or_default();
        let issued = issuer.journal().tokens.into_iter().map(|token| token.value);
        canaries.extend(issued.filter(|token| token != OLD_TOKEN && token != crate::stage::PORTAL_TOKEN));
    }
    assert!(canaries.len() > 10, "tokens were issued");
    for canary in canaries {
        assert!(!said.contains(&canary), "{canary} in {said}");
    }
}
