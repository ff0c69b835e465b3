//! All issuers as one pure machine: a call arrives, is answered and ends, each at an instant the caller names.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::application::{Application, NewApplication, Refresh};
use crate::client::{self, Client};
use crate::fault::{self, Delivery, Fault, Stage};
use crate::journal::{Api, Call, Journal, Token};
use crate::reply::Reply;
use crate::request::Request;
use crate::session::{Account, NewSession};
use crate::switches::Switches;

mod clients;

/// How long a registered token lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Life {
    /// It has expired already.
    #[default]
    Expired,
    /// It lives for this many milliseconds.
    Millis(u64),
    /// It never expires.
    Never,
}

impl Life {
    /// A life of this length.
    pub fn of(length: Duration) -> Self {
        Self::Millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn duration(self) -> Option<SignedDuration> {
        match self {
            Self::Expired => Some(SignedDuration::ZERO),
            Self::Millis(millis) => Some(SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))),
            Self::Never => None,
        }
    }
}

/// Makes token values that look random; the same seed makes the same values.
#[derive(Debug)]
pub(crate) struct Mint(u64);

impl Mint {
    /// The next value, in the form of a UUID.
    pub(crate) fn next_value(&mut self) -> String {
        let (high, low) = (self.next_bits(), self.next_bits());
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
        format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
    }

    /// One step of the SplitMix64 generator.
    fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A call that has arrived: wait `delay`, answer it, wait `delay_after`, deliver, end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Names the call to [`Model::answer`] and [`Model::end`].
    pub call: CallNumber,
    /// Time to pass before the issuer works.
    pub delay: Duration,
    /// Time to pass between the work and the delivery of its answer.
    pub delay_after: Duration,
}

/// The place of a call in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallNumber(usize);

/// Nobody of this name is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownOwner(pub String);

impl std::fmt::Display for UnknownOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no application, account or client named {:?} is registered: register it first", self.0)
    }
}

impl std::error::Error for UnknownOwner {}

/// All issuers: who is registered, how they behave, what they have done. No socket, no clock.
#[derive(Debug)]
pub struct Model {
    switches: Switches,
    faults: Vec<Fault>,
    applications: HashMap<String, Application>,
    accounts: HashMap<String, Account>,
    clients: HashMap<String, Client>,
    calls: Vec<Call>,
    retired: Vec<Token>,
    mint: Mint,
}

impl Model {
    /// Issuers with nobody registered; tokens follow from the seed.
    pub fn new(switches: Switches, seed: u64) -> Self {
        Self {
            switches,
            faults: Vec::new(),
            applications: HashMap::new(),
            accounts: HashMap::new(),
            clients: HashMap::new(),
            calls: Vec::new(),
            retired: Vec::new(),
            mint: Mint(seed),
        }
    }

    /// Registers an application, in place of the one that had its consumer key; that one's tokens stay journaled.
    pub fn add_application(&mut self, new: NewApplication, now: Timestamp) {
        let replaced = self.applications.insert(new.consumer_key.clone(), Application::registered(new, now));
        self.retired.extend(replaced.iter().flat_map(Application::tokens).cloned());
    }

    /// Registers an account of the session API, in place of the one that had its user name; as above.
    pub fn add_session(&mut self, new: NewSession, now: Timestamp) {
        let replaced = self.accounts.insert(new.username.clone(), Account::registered(new, now));
        self.retired.extend(replaced.iter().flat_map(Account::tokens).cloned());
    }

    /// Gives an application another consumer secret; its tokens stay.
    ///
    /// # Errors
    /// No application has this consumer key.
    pub fn change_secret(&mut self, consumer_key: &str, consumer_secret: &str) -> Result<(), UnknownOwner> {
        self.application(consumer_key)?.consumer_secret = consumer_secret.to_owned();
        Ok(())
    }

    /// A human's Re-Generate: the live token dies, the new one is returned.
    ///
    /// # Errors
    /// No application has this consumer key.
    pub fn regenerate(&mut self, consumer_key: &str, now: Timestamp) -> Result<String, UnknownOwner> {
        let application = self.applications.get_mut(consumer_key);
        let application = application.ok_or_else(|| UnknownOwner(consumer_key.to_owned()))?;
        Ok(application.regenerate(now, &mut self.mint))
    }

    /// Ends what lives of an application, account or client at `now`, as if its time were over: tests need not wait.
    ///
    /// # Errors
    /// Nobody has this consumer key, user name or client id.
    pub fn expire(&mut self, owner: &str, now: Timestamp) -> Result<(), UnknownOwner> {
        if let Some(account) = self.accounts.get_mut(owner) {
            account.expire(now);
            return Ok(());
        }
        if let Some(client) = self.clients.get_mut(owner) {
            client.expire(now);
            return Ok(());
        }
        self.application(owner)?.expire(now);
        Ok(())
    }

    /// The switches, to be read or changed.
    pub fn switches(&mut self) -> &mut Switches {
        &mut self.switches
    }

    /// The faults still waiting, oldest first, to be read or changed.
    pub fn faults(&mut self) -> &mut Vec<Fault> {
        &mut self.faults
    }

    /// A copy of everything that has happened so far.
    pub fn journal(&self) -> Journal {
        let applications = self.applications.values().flat_map(Application::tokens);
        let sessions = self.accounts.values().flat_map(Account::tokens);
        let clients = self.clients.values().flat_map(Client::tokens);
        let all = self.retired.iter().chain(applications).chain(sessions).chain(clients);
        let mut tokens: Vec<Token> = all.cloned().collect();
        tokens.sort_by_key(|token| token.birth);
        Journal { calls: self.calls.clone(), tokens }
    }

    /// Journals a call that has arrived, and picks the fault it meets.
    pub fn receive(&mut self, request: Request, now: Timestamp) -> Arrival {
        let (api, parameters) = (request.api(), request.parameters());
        let owner = client::basic(&request.headers).map(|(id, _)| id).or_else(|| self.owner_named_by(&parameters));
        let fault = fault::take(&mut self.faults, api, owner.as_deref());
        let delay = |stage| fault.as_ref().map_or(Duration::ZERO, |fault| fault.delay(stage));
        let half = self.switches.latency.of(|| self.mint.next_bits()) / 2;
        let (before, after) = (half + delay(Stage::BeforeWork), half + delay(Stage::AfterWork));
        self.calls.push(Call {
            api,
            owner,
            method: request.method,
            path: request.path,
            parameters,
            headers: request.headers,
            received: now,
            ended: None,
            status: None,
            fault,
            token: None,
        });
        Arrival { call: CallNumber(self.calls.len() - 1), delay: before, delay_after: after }
    }

    /// Does the work of a call, unless its fault forbids it, and gives what reaches the caller.
    pub fn answer(&mut self, number: CallNumber, now: Timestamp) -> Delivery {
        let Some(call) = self.calls.get(number.0).cloned() else { return Delivery::Hang };
        let works = call.fault.as_ref().is_none_or(fault::Action::lets_work);
        let reply = if works { self.work(&call, number, now) } else { Reply::empty(200) };
        match &call.fault {
            Some(fault) => fault.deliver(call.api, reply, self.previous_token(call.owner.as_deref())),
            None => Delivery::Whole(reply),
        }
    }

    /// Journals the end of a call: the status the caller was given, none when it was given none.
    pub fn end(&mut self, number: CallNumber, status: Option<u16>, now: Timestamp) {
        if let Some(call) = self.calls.get_mut(number.0).filter(|call| call.ended.is_none()) {
            (call.ended, call.status) = (Some(now), status);
        }
    }

    fn work(&mut self, call: &Call, number: CallNumber, now: Timestamp) -> Reply {
        let done = match (call.api, call.method.as_str()) {
            (None, _) => Err(Reply::gateway(404)),
            (Some(Api::Application), "GET") => self.refresh(call, now),
            (Some(Api::Session), "PUT") => self.extend(call, now),
            (Some(Api::Session), "POST") => self.log_in(call, now),
            (Some(Api::ClientCredentials), "POST") => self.grant(call, now),
            _ => Err(Reply::gateway(405)),
        };
        let (reply, token) = done.map_or_else(|refusal| (refusal, None), |(reply, token)| (reply, Some(token)));
        if let Some(record) = self.calls.get_mut(number.0) {
            record.token = token;
        }
        reply
    }

    fn refresh(&mut self, call: &Call, now: Timestamp) -> Result<(Reply, String), Reply> {
        let asked = Refresh::read(&call.parameters)?;
        let application = self.applications.get_mut(asked.consumer_key);
        let application = application.ok_or_else(|| Reply::application_failure(500, "Unable to refresh the token"))?;
        application.refresh(&asked, &self.switches, now, &mut self.mint)
    }

    fn extend(&mut self, call: &Call, now: Timestamp) -> Result<(Reply, String), Reply> {
        let (token, refresh_token) = (call.parameter("token"), call.parameter("refreshToken"));
        let account = call.owner.as_ref().and_then(|owner| self.accounts.get_mut(owner));
        let extended = account.and_then(|account| account.extend(token, refresh_token, now, &mut self.mint));
        extended.ok_or_else(|| self.session_failure("AUTH_1002", "Invalid token"))
    }

    fn log_in(&mut self, call: &Call, now: Timestamp) -> Result<(Reply, String), Reply> {
        let account = self.accounts.get_mut(call.parameter("username"));
        let session = account.and_then(|account| account.log_in(call.parameter("password"), now, &mut self.mint));
        session.ok_or_else(|| self.session_failure("AUTH_1001", "Invalid credentials"))
    }

    fn session_failure(&self, code: &str, message: &str) -> Reply {
        Reply::session_failure(self.switches.session_failure_status, code, message)
    }

    /// Who a request is about: its consumer key, user name or client id, or the account its token belongs to.
    fn owner_named_by(&self, parameters: &std::collections::BTreeMap<String, String>) -> Option<String> {
        let named = ["consumerkey", "username", "client_id"].iter().find_map(|name| parameters.get(*name));
        named.cloned().or_else(|| self.account_of(parameters.get("token")?))
    }

    fn account_of(&self, token: &str) -> Option<String> {
        self.accounts.iter().find(|(_, account)| account.has_had(token)).map(|(name, _)| name.clone())
    }

    fn previous_token(&self, owner: Option<&str>) -> Option<&str> {
        let application = self.applications.get(owner?).and_then(Application::previous_token);
        let client = || self.clients.get(owner?).and_then(Client::previous_token);
        application.or_else(|| self.accounts.get(owner?).and_then(Account::previous_token)).or_else(client)
    }

    fn application(&mut self, consumer_key: &str) -> Result<&mut Application, UnknownOwner> {
        self.applications.get_mut(consumer_key).ok_or_else(|| UnknownOwner(consumer_key.to_owned()))
    }
}

impl Call {
    fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map(String::as_str).unwrap_or_default()
    }
}
