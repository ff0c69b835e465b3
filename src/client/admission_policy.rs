//! Checks whether the chart's admission policy binds the operator's account, without the right to read policies: a dry
//! run creates a Secret that the policy must refuse.

use crate::client::error::describe;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an API server may take to enforce a policy that was installed together with the operator.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(2);
/// The probe: a Secret without owner or consent. It is never stored.
const PROBE: &str = "syniverse-token-operator-policy-probe";
/// Text in every message of the policy.
const REFUSAL: &str = "the operator writes";

/// Result of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It binds this account.
    Binds,
    /// A write that the policy would refuse is accepted.
    Absent,
    /// The API server gave another response, which says nothing about the policy.
    Unknown(String),
}

/// Logs once whether a policy binds this account in `namespace`, where it may create Secrets. Nothing waits for it.
pub async fn expect(client: Client, namespace: String) {
    match look(client, &namespace).await {
        Binding::Binds => tracing::info!("the admission policy binds the operator's account"),
        Binding::Absent => tracing::warn!(
            namespace,
            "no admission policy binds the operator's account, although the chart ships one: with a stolen token of \
             this account any Secret in its reach can be overwritten; check the ValidatingAdmissionPolicy and its \
             binding"
        ),
        Binding::Unknown(answer) => {
            tracing::info!(
                namespace,
                answer,
                "could not determine whether an admission policy binds the operator's \
                account"
            );
        }
    }
}

async fn look(client: Client, namespace: &str) -> Binding {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    let begun = Instant::now();
    loop {
        match try_what_is_refused(&secrets).await {
            Binding::Binds => return Binding::Binds,
            found if begun.elapsed() >= PATIENCE => return found,
            _ => sleep(PAUSE).await,
        }
    }
}

async fn try_what_is_refused(secrets: &Api<Secret>) -> Binding {
    let metadata = ObjectMeta { name: Some(PROBE.to_owned()), ..ObjectMeta::default() };
    let probe = Secret { metadata, ..Secret::default() };
    match secrets.create(&PostParams { dry_run: true, ..PostParams::default() }, &probe).await {
        Ok(_) => Binding::Absent,
        Err(kube::Error::Api(refusal)) if refusal.message.contains(REFUSAL) => Binding::Binds,
        Err(error) => Binding::Unknown(describe(&error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicUsize, Ordering};

    static NONE: AtomicUsize = AtomicUsize::new(0);

    fn accepted() -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": PROBE}})
    }

    fn refused(code: u16, message: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": "Invalid", "message": message})
    }

    /// An API server that gives these responses in turn, and then repeats the last.
    fn server(answers: Vec<Value>, asked: &'static AtomicUsize) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            assert!(request.uri().query().unwrap().contains("dryRun=All"), "nothing is ever stored");
            let answer = answers[asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone();
            let code = u16::try_from(answer["code"].as_u64().unwrap_or(201)).unwrap();
            let response = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
            async move { response }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_comes_a_little_later_is_found() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let denied =
            refused(422, "ValidatingAdmissionPolicy 'x' denied request: the operator writes only Secrets that");
        let answers = vec![accepted(), refused(503, "starting"), denied];
        assert_eq!(look(server(answers, &ASKED), "default").await, Binding::Binds);
        assert_eq!(ASKED.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_policy_would_refuse_is_accepted_for_half_a_minute_before_it_counts_as_absent() {
        let begun = Instant::now();
        assert_eq!(look(server(vec![accepted()], &NONE), "default").await, Binding::Absent);
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn another_refusal_says_nothing_of_the_policy() {
        let other = refused(422, "admission webhook \"x\" denied the request: no label team");
        let found = look(server(vec![other], &NONE), "default").await;
        assert!(matches!(found, Binding::Unknown(_)), "{found:?}");
    }
}
