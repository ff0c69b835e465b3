//! A cluster that does at once what the plan says, with one resource in it.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::{IssuerSpec, SyniverseToken};
use syniverse_token_core::effects;
use syniverse_token_core::issuer::{Failure, TokenResponse};
use syniverse_token_core::memory::{Memory, Target};
use syniverse_token_core::observed::{Observed, PeerHealth};
use syniverse_token_core::plan::{Plan, PlannedRequest, Step, plan};
use syniverse_token_core::propagation::Shown;
use syniverse_token_core::status::TokenHealth;
use syniverse_token_core::time::{Moment, Now};

/// Steps of a pass, at most.
const STEPS: usize = 12;
const NAMESPACE: &str = "simulated";
const DAY: Duration = Duration::from_secs(86_400);

/// A resource and its Secrets, and what its operator remembers.
pub(super) struct Cluster {
    observed: Observed,
    memory: Memory,
    begun: Timestamp,
    wakes: Option<Moment>,
    obstacle: Option<String>,
}

impl Cluster {
    /// One with this resource, and credentials of its kind.
    pub(super) fn new(mut resource: SyniverseToken) -> Self {
        resource.metadata.namespace = Some(NAMESPACE.to_owned());
        (resource.metadata.uid, resource.metadata.generation) = (Some("simulated".to_owned()), Some(1));
        let issuer = resource.spec.issuer();
        let credentials = issuer.map(|issuer| credentials(issuer, issuer.credentials_secret()));
        let standby = issuer.and_then(|issuer| Some(credentials_of_standby(issuer, issuer.standby_secret()?)));
        let observed = Observed {
            resource: Arc::new(resource),
            not_allowed: None,
            credentials: credentials.into(),
            lacks_consent: false,
            standby: standby.into(),
            standby_lacks_consent: false,
            state: None.into(),
            token: None,
            forbidden: None,
            peers: PeerHealth::default(),
            salt: "simulated".to_owned(),
            daily_check: DAY,
            spread_validity: false,
            secret_metadata: Arc::default(),
            holder: "simulated".to_owned(),
            call_timeout: Duration::from_secs(10),
            acting_since: Moment::after_start(Duration::ZERO),
            term: None,
            propagation: Shown::default(),
        };
        let memory = Memory::new(Moment::after_start(Duration::ZERO));
        Self { observed, memory, begun: Timestamp::now(), wakes: None, obstacle: None }
    }

    fn now(&self, seconds: f64) -> Now {
        let since = Duration::from_secs_f64(seconds);
        Now { mono: Moment::after_start(since), wall: self.begun + since }
    }

    /// Does what the plan says, until it wants to ask the issuer, or to wait.
    pub(super) fn settle(&mut self, at: f64) -> Option<Box<PlannedRequest>> {
        let now = self.now(at);
        for _ in 0..STEPS {
            let Plan { step, findings, .. } = plan(&self.observed, &self.memory, now);
            let (observed, memory) = (&mut self.observed, &mut self.memory);
            match step {
                Step::Request(planned) => match &planned.intent_write {
                    Some(intent) => {
                        let stored = intent.write.secret().clone();
                        effects::intent_written(observed, memory, intent, stored, now.mono);
                    }
                    None => return Some(planned),
                },
                Step::Wait(until) => {
                    self.wakes = until;
                    let why =
                        findings.first().map(|finding| format!("{}: {}", finding.reason.as_str(), finding.message));
                    self.obstacle = why.filter(|_| until.is_none());
                    return None;
                }
                Step::DiscardResponse => memory.unrecorded = None,
                Step::WriteState(write) => {
                    let stored = write.write.secret().clone();
                    effects::state_written(observed, memory, &write.state, stored, now.mono);
                }
                Step::WriteToken(write) => {
                    effects::token_written(observed, memory, write.secret().clone(), now.mono);
                }
                Step::Repair(write) => {
                    let is_state = write.secret().metadata.name == Some(observed.resource.state_secret_name());
                    let target = if is_state { Target::State } else { Target::Token };
                    effects::repaired(observed, memory, target, write.secret().clone(), now.mono);
                }
            }
        }
        None
    }

    /// Takes the answer to a request, and does what follows.
    pub(super) fn answered(
        &mut self,
        planned: &PlannedRequest,
        answer: &Result<TokenResponse, Failure>,
        sent: f64,
        ended: f64,
    ) {
        let times = (self.now(sent), self.now(ended).mono);
        effects::request_sent(&mut self.memory, planned, times.0);
        effects::request_ended(&mut self.observed, &mut self.memory, planned, answer, times, |_, _| {});
        self.settle(ended);
        let resource = Arc::make_mut(&mut self.observed.resource);
        resource.status.get_or_insert_default().observed_generation = resource.metadata.generation;
    }

    /// When the plan wants to look again, in seconds from the start; none = never.
    pub(super) fn wakes_at(&self) -> Option<f64> {
        Some(self.wakes?.until(Moment::after_start(Duration::ZERO)).as_secs_f64())
    }

    /// Why nothing more happens, if that is so.
    pub(super) fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_deref()
    }

    /// The fingerprint of the token in the Secret.
    pub(super) fn fingerprint(&self) -> Option<String> {
        let health = TokenHealth::of(&self.observed, &self.memory, &[], self.now(0.0));
        health.served_token(None, Moment::after_start(Duration::ZERO)).map(|token| token.fingerprint)
    }

    /// The end of that token; none if it has none.
    pub(super) fn end(&self) -> Option<f64> {
        let health = TokenHealth::of(&self.observed, &self.memory, &[], self.now(0.0));
        let token = health.served_token(None, Moment::after_start(Duration::ZERO))?;
        Some(token.expires?.until(Moment::after_start(Duration::ZERO)).as_secs_f64())
    }
}

fn credentials(issuer: IssuerSpec<'_>, name: &str) -> Secret {
    let keys: Vec<String> = match issuer {
        IssuerSpec::Application(application) => {
            let keys = &application.credentials.keys;
            vec![keys.consumer_key.clone(), keys.consumer_secret.clone(), keys.old_token.clone()]
        }
        IssuerSpec::Session(_) => vec!["username".to_owned(), "password".to_owned()],
        IssuerSpec::ClientCredentials(client) => {
            let keys = &client.credentials.keys;
            vec![keys.client_id.clone(), keys.client_secret.clone()]
        }
    };
    secret(name, &keys)
}

fn credentials_of_standby(issuer: IssuerSpec<'_>, name: &str) -> Secret {
    let keys = match issuer {
        IssuerSpec::Application(application) => {
            let keys = application.standby.as_ref().map(|standby| &standby.credentials.keys);
            keys.map(|keys| vec![keys.consumer_key.clone(), keys.consumer_secret.clone(), keys.old_token.clone()])
        }
        IssuerSpec::ClientCredentials(client) => {
            let own = client.standby.as_ref().and_then(|standby| standby.credentials.as_ref());
            let keys = &own.unwrap_or(&client.credentials).keys;
            Some(vec![keys.client_id.clone(), keys.client_secret.clone()])
        }
        IssuerSpec::Session(_) => None,
    };
    secret(name, &keys.unwrap_or_default())
}

/// A Secret with values that tell it from others.
fn secret(name: &str, keys: &[String]) -> Secret {
    let value = |key: &String| (key.clone(), ByteString(format!("{key} of {name}").into_bytes()));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            resource_version: Some("1".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(keys.iter().map(value).collect::<BTreeMap<_, _>>()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
