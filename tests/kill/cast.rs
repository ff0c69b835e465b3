//! The resources that are served meanwhile: applications, and sessions with a pair, a login or both.

use crate::support::*;
use harness::wait_for;
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const VALIDITY: Duration = Duration::from_secs(20);
const APPLICATIONS: usize = 10;
/// How many sessions are given what.
const SESSIONS: [(Given, usize); 3] = [(Given::PairAndLogin, 5), (Given::Login, 3), (Given::Pair, 2)];
const PASSWORD: &str = "canary-password";

/// What the credentials Secret of a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Pair,
    Login,
    PairAndLogin,
}

/// One resource; its consumer key or user name is its name.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// None: it has an application.
    pub(crate) session: Option<Given>,
}

impl Member {
    /// True when the loss of a token or pair is healed without anybody's help.
    pub(crate) fn heals(&self) -> bool {
        self.session != Some(Given::Pair)
    }

    /// The name of its credentials Secret.
    pub(crate) fn credentials(&self) -> String {
        format!("{}-credentials", self.name)
    }

    async fn appear(&self, stage: &Stage) {
        let (values, spec) = match self.session {
            None => self.application(stage),
            Some(given) => self.session(stage, given),
        };
        let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        stage.put_secret(&self.credentials(), &values).await;
        stage.apply(&self.name, spec).await;
    }

    fn application(&self, stage: &Stage) -> (Vec<(&'static str, String)>, Value) {
        let (key, token) = (self.name.clone(), format!("{}-portal-token", self.name));
        stage.simulator.add_application(NewApplication::expired(&key, CONSUMER_SECRET, &token));
        let mut spec = stage.spec(&format!("{}s", VALIDITY.as_secs()));
        spec["application"]["credentials"]["secretRef"]["name"] = json!(self.credentials());
        let secret = CONSUMER_SECRET.to_owned();
        (vec![("consumerKey", key), ("consumerSecret", secret), ("oldToken", token)], spec)
    }

    fn session(&self, stage: &Stage, given: Given) -> (Vec<(&'static str, String)>, Value) {
        let (token, refresh_token) = (format!("{}-token", self.name), format!("{}-refresh-token", self.name));
        let validity = u32::try_from(VALIDITY.as_secs()).unwrap();
        let account = NewSession::account(&self.name, PASSWORD).valid_for(validity);
        stage.simulator.add_session(account.with_pair(&token, &refresh_token, Life::of(PATIENCE * 2)));
        let pair = vec![("token", token), ("refreshToken", refresh_token)];
        let login = vec![("username", self.name.clone()), ("password", PASSWORD.to_owned())];
        let values = match given {
            Given::Pair => pair,
            Given::Login => login,
            Given::PairAndLogin => [pair, login].concat(),
        };
        let (endpoint, secret) = (stage.simulator.session_endpoint(), self.credentials());
        (values, json!({"session": {"endpoint": endpoint, "credentials": {"secretRef": {"name": secret}}}}))
    }
}

/// Everybody.
pub(crate) struct Cast {
    pub(crate) members: Vec<Member>,
}

impl Cast {
    /// Registers them with the issuer and creates their objects.
    pub(crate) async fn on(stage: &Stage) -> Self {
        let given = SESSIONS.iter().flat_map(|(given, count)| vec![Some(*given); *count]);
        let members = vec![None; APPLICATIONS].into_iter().chain(given).enumerate();
        let named = |(number, session): (usize, Option<Given>)| {
            let kind = if session.is_some() { "session" } else { "application" };
            Member { name: format!("{kind}-{number:02}"), session }
        };
        let cast = Self { members: members.map(named).collect() };
        for member in &cast.members {
            member.appear(stage).await;
        }
        cast
    }

    /// Waits until every resource is Ready with a live token in its Secret; a session without a login may have been
    /// lost, and says so.
    pub(crate) async fn until_well(&self, stage: &Stage) {
        for member in &self.members {
            let what = format!("{} to be well", member.name);
            wait_for(&what, PATIENCE, async || is_well(stage, member).await.then_some(())).await.unwrap();
        }
    }
}

/// True when a member is as it should be, or its session is lost and nothing can be done about it.
async fn is_well(stage: &Stage, member: &Member) -> bool {
    let (Ok(resource), Ok(secret)) = (stage.tokens.get(&member.name).await, stage.secrets.get(&member.name).await)
    else {
        return false;
    };
    if !member.heals() && ready_reason(&resource) == "SessionLost" {
        return true;
    }
    let lives = |token: String| Some(stage.simulator.journal().token(&token)?.is_live(Timestamp::now()));
    is_ready(&resource) && text(&secret, "accessToken").and_then(lives) == Some(true)
}
