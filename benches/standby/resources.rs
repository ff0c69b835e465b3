//! The kinds of resource that are compared, and the issuers of their tokens.

use futures::{StreamExt, TryStreamExt, stream};
use issuer_simulator::application::NewApplication;
use issuer_simulator::client::NewClient;
use issuer_simulator::switches::{ClientSwitches, Switches, TokenMode};
use issuer_simulator::{Options, Simulator};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use syniverse_token_core::api::SyniverseToken;

use crate::{REFRESH_BEFORE, RESOURCES, VALIDITY};

/// Requests of this program at a time, while it makes the resources.
const AT_ONCE: usize = 16;
const SCOPES: [&str; 1] = ["am_application_scope"];

/// A kind of resource.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The names of its resources, and the ids of their credentials, begin with it.
    pub(crate) name: &'static str,
    /// At most nine letters.
    pub(crate) title: &'static str,
    /// Whether the next token is there before the end of the one in the Secret.
    pub(crate) overlaps: bool,
    give: Give,
}

/// Registers what a resource of that name needs, and gives its spec with the data of its Secrets.
type Give = fn(&Simulator, &str) -> (Value, Vec<(String, Value)>);

/// All of them.
pub(crate) const KINDS: [Kind; 4] = [
    Kind { name: "two", title: "standby", overlaps: true, give: two_applications },
    Kind { name: "scopes", title: "2 scopes", overlaps: true, give: two_scopes },
    Kind { name: "new", title: "new token", overlaps: true, give: one_scope },
    Kind { name: "one", title: "one", overlaps: false, give: one_application },
];

/// A simulator for applications, and for clients that are given the same token until its end; and one that makes a new token
/// at each request.
pub(crate) struct Issuers {
    usual: Simulator,
    new_each_time: Simulator,
}

impl Issuers {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let clients = ClientSwitches { mode: TokenMode::Jwt, ..ClientSwitches::default() };
        let switches = Switches { clients, ..Switches::default() };
        let usual = Simulator::start(Options::default()).await?;
        Ok(Self { usual, new_each_time: Simulator::start(Options { switches, ..Options::default() }).await? })
    }

    pub(crate) fn of(&self, kind: &Kind) -> &Simulator {
        if kind.name == "new" { &self.new_each_time } else { &self.usual }
    }

    /// Makes all resources with their credentials. The first tokens of applications are over.
    pub(crate) async fn create_resources(&self, client: &Client, namespace: &str) -> anyhow::Result<()> {
        let names = (0..RESOURCES).flat_map(|number| KINDS.map(|kind| (kind, format!("{}-{number:02}", kind.name))));
        let creations = names.map(async |(kind, name)| {
            let (mut spec, secrets) = (kind.give)(self.of(&kind), &name);
            for (name, data) in secrets {
                let secret: Secret = serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data}))?;
                Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &secret).await?;
            }
            spec["refreshBefore"] = json!(format!("{}s", REFRESH_BEFORE.as_secs()));
            let resource: SyniverseToken = serde_json::from_value(json!({
                "apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "metadata": {"name": name}, "spec": spec,
            }))?;
            Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &resource).await?;
            anyhow::Ok(())
        });
        stream::iter(creations).buffer_unordered(AT_ONCE).try_collect().await
    }
}

fn two_applications(simulator: &Simulator, name: &str) -> (Value, Vec<(String, Value)>) {
    let (mut spec, mut secrets) = one_application(simulator, name);
    let second = format!("{name}-second");
    spec["application"]["standby"] = json!({"credentials": {"secretRef": {"name": second}}});
    secrets.push(application(simulator, second));
    (spec, secrets)
}

fn one_application(simulator: &Simulator, name: &str) -> (Value, Vec<(String, Value)>) {
    let first = format!("{name}-first");
    let spec = json!({
        "endpoint": simulator.endpoint(),
        "validity": format!("{}s", VALIDITY.as_secs()),
        "credentials": {"secretRef": {"name": first}},
    });
    (json!({"application": spec}), vec![application(simulator, first)])
}

/// Registers an application, and gives the name and the data of its Secret.
fn application(simulator: &Simulator, name: String) -> (String, Value) {
    let old = format!("{name}-portal-token");
    simulator.add_application(NewApplication::expired(&name, "secret", &old));
    let data = json!({"consumerKey": name, "consumerSecret": "secret", "oldToken": old});
    (name, data)
}

fn two_scopes(simulator: &Simulator, name: &str) -> (Value, Vec<(String, Value)>) {
    let (mut spec, secrets) = one_scope(simulator, name);
    spec["clientCredentials"]["standby"] = json!({"scopes": [SCOPES[0], "device_b"]});
    (spec, secrets)
}

fn one_scope(simulator: &Simulator, name: &str) -> (Value, Vec<(String, Value)>) {
    let id = format!("{name}-client");
    simulator.add_client(NewClient::of(&id, "secret").with_scopes(&SCOPES));
    let spec = json!({
        "tokenURL": simulator.url("/token"),
        "scopes": SCOPES,
        "endpointParams": {"validity_period": VALIDITY.as_secs().to_string()},
        "credentials": {"secretRef": {"name": id}},
    });
    (json!({"clientCredentials": spec}), vec![(id.clone(), json!({"clientId": id, "clientSecret": "secret"}))])
}
