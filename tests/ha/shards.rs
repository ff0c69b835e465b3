//! Several operators divide the namespaces of a cluster between them, and their number changes while tokens rotate.

use crate::history::History;
use crate::replicas::{SHORT, replica_everywhere, until_leads_shard};
use crate::support::*;
use futures::future::join_all;
use harness::{ControlPlane, Operator, wait_for};
use issuer_simulator::journal::Journal;
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use syniverse_token_core::shard::Shard;

/// The token of the pair that a session begins with.
const PASTED: &str = "pasted";
/// What a killed leader may cost beside the time of its Lease.
const SERVED_AGAIN: Duration = Duration::from_secs(5);
/// A hand-over may delay a rotation so long on a machine that is busy.
const LATEST: f64 = 5.0;

/// A control plane with stages in every shard of two and of three.
struct Cluster {
    stages: Vec<Stage>,
    histories: Vec<History>,
    kubeconfig: PathBuf,
    _plane: ControlPlane,
}

impl Cluster {
    async fn start() -> Self {
        let plane = ControlPlane::start().await.unwrap();
        let mut stages = Vec::new();
        let all = ["1/2", "2/2", "1/3", "2/3", "3/3"];
        while !all.iter().all(|shard| stages.iter().any(|stage| holds(shard, stage))) {
            stages.push(Stage::dark_in(plane.cluster()).await);
        }
        stages[0].grant_everywhere().await;
        grant_leases(&stages[0]).await;
        let (histories, kubeconfig) = (stages.iter().map(History::of).collect(), stages[0].kubeconfig());
        Self { stages, histories, kubeconfig, _plane: plane }
    }

    fn home(&self) -> &Stage {
        &self.stages[0]
    }

    /// Starts a replica of this shard.
    fn operator(&self, name: &str, shard: &str) -> Operator {
        replica_everywhere(self.home(), name, SHORT, &self.kubeconfig, &[format!("--shard={shard}")])
    }

    /// The stages of this shard.
    fn of<'a>(&'a self, shard: &'a str) -> impl Iterator<Item = &'a Stage> {
        self.stages.iter().filter(move |stage| holds(shard, stage))
    }

    /// Waits until each stage has another token than now.
    async fn until_all_have_rotated(&self) {
        join_all(self.stages.iter().map(async |stage| {
            let old = stage.token().await;
            stage.until_rotated(&old).await;
        }))
        .await;
    }

    /// Fails if a token was lost, asked for twice or replaced by an older one, once all operators have ended.
    async fn assert_nothing_is_lost_or_doubled(&self) {
        for (stage, history) in self.stages.iter().zip(&self.histories) {
            let journal = stage.simulator.journal();
            let issued =
                || journal.tokens.iter().filter(|token| ![PORTAL_TOKEN, PASTED].contains(&token.value.as_str()));
            let held = || history.held().into_iter().map(|held| held.token);
            let newest = issued().next_back().unwrap().value.clone();
            wait_for("the newest token", PATIENCE, async || (held().next_back()? == newest).then_some(()))
                .await
                .unwrap();
            history.assert_in_order_of(&journal);
            assert!(held().eq(issued().map(|token| token.value.clone())), "{:?} {:?}", history.held(), journal.tokens);
            let mut pairs: Vec<_> =
                journal.calls.iter().filter_map(|call| call.parameters.get("refreshToken")).collect();
            let used = pairs.len();
            pairs.sort();
            pairs.dedup();
            assert_eq!(pairs.len(), used, "a pair was used twice");
        }
    }

    /// The longest time that a rotation came after the end of its token.
    fn latest(&self) -> f64 {
        let of = |(stage, history): (&Stage, &History)| history.rotations(&stage.simulator.journal());
        let rotations = self.stages.iter().zip(&self.histories).flat_map(of);
        rotations.map(|rotation| rotation.lateness.as_secs_f64()).fold(0.0, f64::max)
    }
}

/// The rights that the chart gives with more than one shard, besides those of the manifests.
async fn grant_leases(home: &Stage) {
    let names = [2, 3].map(|number| format!("--resource-name=syniverse-token-operator-{number}"));
    let role = ["create", "role", "shards", "--verb=get,list,watch,update", "--resource=leases.coordination.k8s.io"];
    home.kubectl(&[role.as_slice(), &names.each_ref().map(String::as_str)].concat()).await;
    let account = format!("--serviceaccount={}:operator-under-test", home.namespace.name());
    home.kubectl(&["create", "rolebinding", "shards", "--role=shards", &account]).await;
}

fn holds(shard: &str, stage: &Stage) -> bool {
    shard.parse::<Shard>().unwrap().holds(stage.namespace.name())
}

/// A session that nothing but its pair keeps alive, instead of the application of the stage.
async fn open_session(stage: &Stage) {
    let pair = [("token", PASTED), ("refreshToken", "pasted-refresh-token")];
    let account = NewSession::account("user", "password").valid_for(20);
    stage.simulator.add_session(account.with_pair(pair[0].1, pair[1].1, Life::Never));
    stage.put_secret("session", &pair).await;
    let endpoint = stage.simulator.session_endpoint();
    let spec = json!({"session": {"endpoint": endpoint, "credentials": {"secretRef": {"name": "session"}}}});
    stage.apply(NAME, spec).await;
    stage.until_ready(NAME).await;
}

#[tokio::test]
async fn a_killed_shard_is_served_again_in_time_and_the_other_does_not_notice() {
    let cluster = Cluster::start().await;
    let home = cluster.home();
    let mut one = cluster.operator("one", "1/2");
    let mut two = cluster.operator("two", "2/2");
    until_leads_shard(home, 1, "one").await;
    until_leads_shard(home, 2, "two").await;
    let mut heir = cluster.operator("heir", "2/2");
    heir.wait_for_log("shard=2/2", PATIENCE).await.unwrap();
    join_all(cluster.stages.iter().map(|stage| stage.issued("10s"))).await;

    // The issuer has given a new token, and nobody has written it yet, or just has.
    let struck = cluster.of("2/2").next().unwrap();
    let known = struck.simulator.journal().tokens.len();
    let born = struck.simulator.until(|journal: &Journal| journal.tokens.len() > known);
    tokio::time::timeout(PATIENCE, born).await.expect("a rotation");
    two.kill9();
    let killed = Instant::now();
    until_leads_shard(home, 2, "heir").await;
    let newest = || struck.simulator.journal().tokens.last().unwrap().value.clone();
    struck.until_secret(NAME, "the newest token", |secret| text(secret, "accessToken") == Some(newest())).await;
    let took = killed.elapsed();
    println!("{} namespaces; served again after {took:.1?}", cluster.stages.len());
    assert!(took < Duration::from_secs(SHORT.lease) + SERVED_AGAIN, "{took:?}");

    cluster.until_all_have_rotated().await;
    for operator in [&mut one, &mut heir] {
        operator.stop(PATIENCE).await.unwrap();
    }
    cluster.assert_nothing_is_lost_or_doubled().await;
    for (operator, of_others) in [(&one, "2/2"), (&heir, "1/2"), (&two, "1/2")] {
        let log = operator.log();
        for stage in cluster.of(of_others) {
            assert!(!log.contains(&format!("namespace=\"{}\"", stage.namespace.name())), "{log}");
        }
    }
    assert!(cluster.of("1/2").all(|stage| one.log().contains(stage.namespace.name())));
}

#[tokio::test]
async fn one_operator_becomes_two_and_then_three_and_no_token_is_lost_or_doubled() {
    let cluster = Cluster::start().await;
    let home = cluster.home();
    let mut old = vec![cluster.operator("of-1-1", "1/1")];
    until_leads_shard(home, 1, "of-1-1").await;
    let session = cluster.of("2/2").next().unwrap();
    open_session(session).await;
    let others = cluster.stages.iter().filter(|stage| stage.namespace.name() != session.namespace.name());
    join_all(others.map(|stage| stage.issued("10s"))).await;

    for count in [2, 3] {
        let shards =
            (1..=count).map(|number| cluster.operator(&format!("of-{count}-{number}"), &format!("{number}/{count}")));
        let mut new: Vec<_> = shards.collect();
        // The additional one leads beside the old owner of its namespaces; the others wait for the Leases of the old.
        until_leads_shard(home, count, &format!("of-{count}-{count}")).await;
        for operator in &mut new {
            operator.wait_for_log("started", PATIENCE).await.unwrap();
        }
        cluster.until_all_have_rotated().await;
        for operator in &mut old {
            assert!(operator.stop(PATIENCE).await.unwrap().success());
        }
        for number in 1..=count {
            until_leads_shard(home, number, &format!("of-{count}-{number}")).await;
        }
        cluster.until_all_have_rotated().await;
        old = new;
    }
    for operator in &mut old {
        operator.stop(PATIENCE).await.unwrap();
    }
    cluster.assert_nothing_is_lost_or_doubled().await;
    println!("{} namespaces; the latest rotation was late by {:.2} s", cluster.stages.len(), cluster.latest());
    assert!(cluster.latest() < LATEST, "{}", cluster.latest());
}
