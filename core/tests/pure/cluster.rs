//! Facts to decide on: a resource, its Secrets, the present.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::effects;
use syniverse_token_core::issuer::{Failure, FailureKind, Lifetime, Omissions, Refresh, TokenRequest, TokenResponse};
use syniverse_token_core::memory::{Memory, Target};
use syniverse_token_core::observed::{Observed, PeerHealth};
use syniverse_token_core::plan::{Plan, PlannedRequest, StateWrite, Step, plan};
use syniverse_token_core::reason::Reason;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::state::State;
use syniverse_token_core::time::{Moment, Now};

pub(crate) const START: i64 = 1_790_000_000;

/// The present, `seconds` after a start at which both axes stood together.
pub(crate) fn now(seconds: f64) -> Now {
    let since = Duration::from_secs_f64(seconds);
    let wall = Timestamp::from_second(START).unwrap() + since;
    Now { mono: Moment::after_start(since), wall }
}

pub(crate) fn resource(spec: Value) -> SyniverseToken {
    let mut whole = json!({"application": {"credentials": {"secretRef": {"name": "sdc"}}, "validity": "600s"}});
    merge(&mut whole, spec);
    serde_json::from_value(json!({
        "apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
        "metadata": {"namespace": "n", "name": "messaging", "uid": "uid-1", "generation": 1},
        "spec": whole
    }))
    .unwrap()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub(crate) fn secret(name: &str, values: &[(&str, &str)]) -> Secret {
    let data = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect();
    serde_json::from_value::<Secret>(
        json!({"metadata": {"name": name, "namespace": "n", "resourceVersion": "1"}, "type": "Opaque"}),
    )
    .map(|secret| Secret { data: Some(data), ..secret })
    .unwrap()
}

pub(crate) fn credentials(secret_value: &str, old_token: Option<&str>) -> Secret {
    let mut values = vec![("consumerKey", "key"), ("consumerSecret", secret_value)];
    values.extend(old_token.map(|token| ("oldToken", token)));
    secret("sdc", &values)
}

/// A resource in a cluster that does what it is told, and what its operator remembers.
pub(crate) struct Cluster {
    pub(crate) observed: Observed,
    pub(crate) memory: Memory,
    pub(crate) steps: Vec<&'static str>,
}

impl Cluster {
    /// Nothing but the resource and its credentials.
    pub(crate) fn new(spec: Value) -> Self {
        let observed = Observed {
            resource: Arc::new(resource(spec)),
            not_allowed: None,
            credentials: Some(credentials("secret", Some("old"))).into(),
            lacks_consent: false,
            standby: None.into(),
            standby_lacks_consent: false,
            state: None.into(),
            token: None,
            forbidden: None,
            peers: PeerHealth::default(),
            salt: "salt".into(),
            daily_check: Duration::from_secs(86_400),
            spread_validity: true,
            secret_metadata: Arc::default(),
            holder: "holder".into(),
            call_timeout: Duration::from_secs(10),
            acting_since: now(0.0).mono,
            term: None,
            propagation: syniverse_token_core::propagation::Shown::default(),
        };
        Self { observed, memory: Memory::new(now(0.0).mono), steps: Vec::new() }
    }

    /// A session, with these values in its credentials Secret.
    pub(crate) fn session(values: &[(&str, &str)]) -> Self {
        let session =
            json!({"endpoint": "https://sma.example.com/token", "credentials": {"secretRef": {"name": "sma"}}});
        let mut cluster = Self::new(json!({"application": null, "session": session}));
        cluster.give(values);
        cluster
    }

    /// Client credentials with these fields, and their credentials Secret.
    pub(crate) fn client(fields: Value) -> Self {
        let mut client = json!({"tokenURL": "https://e/token", "credentials": {"secretRef": {"name": "scg"}}});
        merge(&mut client, fields);
        let mut cluster = Self::new(json!({"application": null, "clientCredentials": client}));
        cluster.give_client("secret");
        cluster
    }

    /// This is the secret of the client now.
    pub(crate) fn give_client(&mut self, client_secret: &str) {
        let mut credentials = secret("scg", &[("clientId", "id"), ("clientSecret", client_secret)]);
        credentials.metadata.resource_version = Some(client_secret.to_owned());
        self.observed.credentials = Some(credentials).into();
    }

    /// These are the values in the credentials Secret of the session now.
    pub(crate) fn give(&mut self, values: &[(&str, &str)]) {
        let before = self.observed.credentials_version().and_then(|version| version.parse::<u64>().ok());
        let mut credentials = secret("sma", values);
        credentials.metadata.resource_version = Some((before.unwrap_or_default() + 1).to_string());
        self.observed.credentials = Some(credentials).into();
    }

    /// One with the token `first`, issued at 0 for 600 s.
    pub(crate) fn with_token(spec: Value) -> Self {
        let mut cluster = Self::new(spec);
        cluster.answer(now(0.0), "first", 600);
        cluster.steps.clear();
        cluster
    }

    pub(crate) fn plan(&self, at: Now) -> Plan {
        plan(&self.observed, &self.memory, at)
    }

    /// Does what the plan says, until it wants to call or to wait.
    pub(crate) fn settle(&mut self, at: Now) -> Plan {
        for _ in 0..10 {
            let plan = self.plan(at);
            match plan.step {
                Step::Request(ref planned) if planned.intent_write.is_some() => {
                    let write = planned.intent_write.as_ref().unwrap();
                    let stored = write.write.secret().clone();
                    effects::intent_written(&mut self.observed, &mut self.memory, write, stored, at.mono);
                    self.steps.push("announcement");
                }
                Step::Request(_) | Step::Wait(_) => return plan,
                Step::DiscardResponse => self.memory.unrecorded = None,
                Step::WriteState(StateWrite { ref state, ref write }) => {
                    let stored = write.secret().clone();
                    effects::state_written(&mut self.observed, &mut self.memory, state, stored, at.mono);
                    self.steps.push("state");
                }
                Step::WriteToken(ref write) => {
                    let stored = write.secret().clone();
                    effects::token_written(&mut self.observed, &mut self.memory, stored, at.mono);
                    self.steps.push("token");
                }
                Step::Repair(ref write) => {
                    let is_state = write.secret().metadata.name.as_deref() == Some("messaging-syniverse-state");
                    let target = if is_state { Target::State } else { Target::Token };
                    let stored = write.secret().clone();
                    effects::repaired(&mut self.observed, &mut self.memory, target, stored, at.mono);
                    self.steps.push("repair");
                }
            }
        }
        panic!("the plan never comes to rest: {:?}", self.steps);
    }

    /// The call that the plan comes to; anything else is a failed test.
    pub(crate) fn call(&mut self, at: Now) -> Box<PlannedRequest> {
        match self.settle(at) {
            Plan { step: Step::Request(planned), .. } => planned,
            other => panic!("no call but {other:?}"),
        }
    }

    /// When the plan waits until, and the reasons it gives; a call is a failed test.
    pub(crate) fn rest(&mut self, at: Now) -> (Option<Moment>, Vec<Reason>) {
        match self.settle(at) {
            Plan { step: Step::Wait(until), findings, .. } => {
                (until, findings.iter().map(|finding| finding.reason).collect())
            }
            other => panic!("no rest but {other:?}"),
        }
    }

    /// The call that is due is answered with `token`, and everything is written.
    pub(crate) fn answer(&mut self, at: Now, token: &str, seconds: u64) {
        let planned = self.call(at);
        self.receive(&planned, at, token, seconds);
        self.settle(at);
        self.look();
    }

    /// The call that is due fails.
    pub(crate) fn fail(&mut self, at: Now, kind: FailureKind) {
        let planned = self.call(at);
        let failure = Failure { kind, detail: format!("the issuer says {kind:?}"), retry_after: None, status: None };
        self.end(&planned, at, &Err(failure));
    }

    /// The request was sent at `at`, and ended at once.
    pub(crate) fn end(&mut self, planned: &PlannedRequest, at: Now, result: &Result<TokenResponse, Failure>) {
        effects::request_sent(&mut self.memory, planned, at);
        effects::request_ended(&mut self.observed, &mut self.memory, planned, result, (at, at.mono), |_, _| {});
    }

    /// A pass has ended: the status says so.
    pub(crate) fn look(&mut self) {
        let resource = Arc::make_mut(&mut self.observed.resource);
        resource.status.get_or_insert_default().observed_generation = resource.metadata.generation;
    }

    /// An answer comes in, and nothing is done with it yet.
    pub(crate) fn receive(&mut self, planned: &PlannedRequest, sent: Now, token: &str, seconds: u64) {
        // A session is given a pair.
        let refresh_token = match planned.request {
            TokenRequest::Refresh(_) | TokenRequest::ClientCredentials(_) => None,
            TokenRequest::Extend(_) | TokenRequest::LogIn(_) => Some(Redacted::new(format!("{token} refresh"))),
        };
        let lifetime = Lifetime::Seconds(seconds);
        let response = TokenResponse { refresh_token, ..response(token, lifetime) };
        self.end(planned, sent, &Ok(response));
    }

    /// The process dies and another one starts.
    pub(crate) fn restart(&mut self, at: Now) {
        self.memory = Memory::new(at.mono);
        self.steps.clear();
    }

    pub(crate) fn state(&self) -> State {
        self.observed.stored_state().cloned().unwrap()
    }

    pub(crate) fn annotate(&mut self, name: &str, value: &str) {
        let resource = Arc::make_mut(&mut self.observed.resource);
        resource.metadata.annotations.get_or_insert_default().insert(name.into(), value.into());
    }

    pub(crate) fn respec(&mut self, spec: Value) {
        let old = Arc::clone(&self.observed.resource);
        let resource = Arc::make_mut(&mut self.observed.resource);
        resource.spec = self::resource(spec).spec;
        self.observed.credentials = self.observed.credentials.secret().cloned().into();
        resource.metadata.generation = old.metadata.generation.map(|generation| generation + 1);
    }

    /// The text under `key` of the token Secret.
    pub(crate) fn token(&self, key: &str) -> Option<String> {
        let bytes = self.observed.token.as_ref()?.data.as_ref()?.get(key)?;
        Some(String::from_utf8(bytes.0.clone()).unwrap())
    }
}

/// A response with this token, and nothing else.
pub(crate) fn response(token: &str, lifetime: Lifetime) -> TokenResponse {
    let token = Redacted::new(token);
    TokenResponse { token, refresh_token: None, lifetime, omissions: Omissions::default(), date: None }
}

/// What an application is asked.
pub(crate) fn refresh(planned: &PlannedRequest) -> &Refresh {
    match &planned.request {
        TokenRequest::Refresh(refresh) => refresh,
        other => panic!("not a refresh but {other:?}"),
    }
}

/// The old token that an application is asked with.
pub(crate) fn old_token(planned: &PlannedRequest) -> String {
    refresh(planned).old_token.expose().to_owned()
}
