//! A SyniverseToken and the Pods that mount its Secret.

use crate::collector::{Sighting, Use};
use crate::figures::Delays;
use crate::pods::{self, Watchers};
use crate::scene::Scene;
use crate::support::*;
use harness::wait_for;
use issuer_simulator::application::NewApplication;
use issuer_simulator::journal::{Journal, Token};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the last token may take to get everywhere: more than the kubelet takes at worst.
const SLOWEST: Duration = Duration::from_secs(150);
/// From this number of Pods on the file is read half as often, so that what is measured has the processor for itself.
const MANY: usize = 50;

/// If the Pods are annotated.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Annotate {
    Yes,
    No,
}

/// What is to be measured: the resource and its Pods have this name.
pub(crate) struct Group {
    name: String,
    pods: usize,
    validity: Duration,
    annotate: Annotate,
    overlap: Option<Duration>,
    uses: bool,
    has_environment: bool,
}

impl Group {
    pub(crate) fn new(name: String, pods: usize, validity: Duration, annotate: Annotate) -> Self {
        Self { name, pods, validity, annotate, overlap: None, uses: false, has_environment: false }
    }

    /// The same with a second application, whose token lives for `overlap` beside the first.
    pub(crate) fn with_standby(self, overlap: Duration) -> Self {
        Self { overlap: Some(overlap), ..self }
    }

    /// The same with a Deployment whose Pods have the token in an environment variable, and that is restarted for each.
    pub(crate) fn in_environment(self) -> Self {
        Self { has_environment: true, ..self }
    }

    /// The same with Pods that make ten requests a second.
    pub(crate) fn using(self) -> Self {
        Self { uses: true, ..self }
    }

    /// Creates all of it and waits until each Pod has seen the same token.
    pub(crate) async fn start<'a>(&'a self, scene: &Scene) -> Started<'a> {
        for owner in self.owners() {
            self.register(scene, &owner).await;
        }
        scene.stage.apply(&self.name, self.spec(scene)).await;
        scene.stage.until_ready(&self.name).await;
        let poll = Duration::from_millis(if self.pods < MANY { 10 } else { 20 });
        let use_every = self.uses.then_some(Duration::from_millis(100));
        let watchers = Watchers { group: &self.name, count: self.pods, poll, use_every };
        if self.has_environment {
            pods::deploy(scene, &watchers).await
        } else {
            pods::create(scene, &watchers).await
        }
        let all = async || {
            let last = self.tokens(scene).len() - 1;
            self.is_everywhere(scene, last).then_some(last)
        };
        let first = pods::until(&format!("the first token in all Pods of {}", self.name), all).await;
        println!("{}: its Pods run", self.name);
        Started { group: self, first }
    }

    /// The consumer keys of its applications.
    fn owners(&self) -> Vec<String> {
        let second = self.overlap.map(|_| format!("{}-b", self.name));
        [Some(format!("{}-a", self.name)), second].into_iter().flatten().collect()
    }

    async fn register(&self, scene: &Scene, owner: &str) {
        let portal = format!("{PORTAL_TOKEN}-of-{owner}");
        scene.stage.simulator.add_application(NewApplication::expired(owner, CONSUMER_SECRET, &portal));
        scene.stage.put_secret(owner, &credentials(owner, CONSUMER_SECRET, &portal)).await;
    }

    fn spec(&self, scene: &Scene) -> Value {
        let mut spec = scene.stage.spec(&format!("{}s", self.validity.as_secs()));
        let owners = self.owners();
        spec["application"]["credentials"]["secretRef"]["name"] = json!(owners[0]);
        if let Some(overlap) = self.overlap {
            spec["application"]["standby"] = json!({"credentials": {"secretRef": {"name": owners[1]}}});
            spec["refreshBefore"] = json!(format!("{}s", overlap.as_secs()));
        }
        if self.annotate == Annotate::Yes {
            spec["propagation"] = json!({"pods": "Annotate"});
        }
        if self.has_environment {
            spec["propagation"]["restart"] = json!({"mode": "Unaware"});
        }
        spec
    }

    /// All tokens that the issuer gave for it, in order.
    fn tokens(&self, scene: &Scene) -> Vec<Token> {
        self.tokens_in(scene.stage.simulator.journal())
    }

    fn tokens_in(&self, journal: Journal) -> Vec<Token> {
        let owners = self.owners();
        let is_issued = |token: &Token| owners.contains(&token.owner) && !token.value.starts_with(PORTAL_TOKEN);
        journal.tokens.into_iter().filter(is_issued).collect()
    }

    fn sightings(&self, scene: &Scene, pod: usize) -> Vec<Sighting> {
        scene.collector.sightings(&pods::name(&self.name, pod))
    }

    /// If each Pod has seen the token of this place, or a later one.
    fn is_everywhere(&self, scene: &Scene, place: usize) -> bool {
        let recent: Vec<_> = self.tokens(scene).into_iter().skip(place).map(|token| token.value).collect();
        let has_seen = |pod| self.sightings(scene, pod).iter().any(|it| recent.contains(&it.token));
        !recent.is_empty() && (0..self.pods).all(has_seen)
    }
}

/// A group whose Pods run.
pub(crate) struct Started<'a> {
    group: &'a Group,
    /// The place of the token that all Pods had seen at first; rotations count from here.
    first: usize,
}

impl Started<'_> {
    /// Waits for so many rotations, and until each Pod has seen the last token.
    pub(crate) async fn until_rotated(&self, scene: &Scene, rotations: usize) {
        let (group, last) = (self.group, self.first + rotations);
        let what = format!("{rotations} rotations of {}", group.name);
        let issued = scene.stage.simulator.until(|journal| group.tokens_in(journal.clone()).len() > last);
        let patience = group.validity * u32::try_from(rotations + 1).unwrap() + PATIENCE;
        tokio::time::timeout(patience, issued).await.unwrap_or_else(|_| panic!("no {what} within {patience:?}"));
        let all = async || group.is_everywhere(scene, last).then_some(());
        wait_for(&format!("{what}, seen in all Pods"), SLOWEST, all).await.unwrap();
        println!("{}: {rotations} rotations are over", group.name);
    }

    /// What each of the first rotations took in each Pod.
    pub(crate) fn delays(&self, scene: &Scene, rotations: usize) -> Delays {
        let tokens = self.group.tokens(scene);
        let measured = &tokens[self.first + 1..=self.first + rotations];
        let seen: Vec<_> = (0..self.group.pods).map(|pod| self.group.sightings(scene, pod)).collect();
        let after = |token: &Token, at: Timestamp| at.duration_since(token.birth).as_secs_f64();
        let in_pod = |token: &Token, seen: &[Sighting]| {
            seen.iter().find(|it| it.token == token.value).map(|it| after(token, it.at))
        };
        let in_secret = |token: &Token| Some(after(token, scene.secrets.first_had(&token.value)?));
        let in_pods = measured.iter().flat_map(|token| seen.iter().map(move |seen| in_pod(token, seen)));
        Delays::of(measured.iter().filter_map(in_secret), in_pods)
    }

    /// The requests of its first Pod.
    pub(crate) fn uses(&self, scene: &Scene) -> Vec<Use> {
        scene.collector.uses(&pods::name(&self.group.name, 0))
    }

    /// How many new tokens its first Pod has seen since the first.
    pub(crate) fn hand_overs(&self, scene: &Scene) -> usize {
        self.group.sightings(scene, 0).len().saturating_sub(1)
    }

    /// Removes the resource and the Pods.
    pub(crate) async fn end(self, scene: &Scene) {
        scene.stage.delete(&self.group.name).await;
        pods::delete(scene, Some(&self.group.name)).await;
    }
}
