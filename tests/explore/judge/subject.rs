//! One resource among those of a history, and the part of it that is its own.

use super::change::{Change, Key, Kind};
use super::facts::{Credentials, Resource, Stored, stored_token};
use super::history::{Entry, History, What};
use issuer_simulator::journal::Journal;
use jiff::{SignedDuration, Timestamp};
use std::ops::Deref;
use syniverse_token_core::api::STATE_SECRET_SUFFIX;

/// A resource, and the names of all that is its own.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) resource: String,
    /// The token Secret.
    pub(crate) secret: String,
    /// The Secrets in which users keep credentials for it.
    pub(crate) credentials: Vec<String>,
    /// Its consumer keys and user names.
    pub(crate) owners: Vec<String>,
}

/// What an object is to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Resource,
    State,
    Token,
    Credentials,
}

/// What one resource is judged by.
pub(crate) struct Part<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) entries: Vec<Seen<'a>>,
    /// The issuers' record of its owners.
    pub(crate) journal: Journal,
    pub(crate) blur: SignedDuration,
    pub(crate) slack: SignedDuration,
}

/// An entry, and what it says of a changed object, read once.
pub(crate) struct Seen<'a> {
    entry: &'a Entry,
    /// Of the changed object.
    pub(crate) role: Option<Role>,
    pub(crate) content: Content,
}

/// What a change made of an object.
pub(crate) enum Content {
    /// It is gone, it cannot be read, or nothing has changed.
    Nothing,
    Resource(Resource),
    State(Stored),
    /// The token in it.
    Token(String),
    Credentials(Credentials),
}

impl Deref for Seen<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.entry
    }
}

impl<'a> Seen<'a> {
    fn of(subject: &Subject, entry: &'a Entry) -> Self {
        let What::Changed(change) = &entry.what else { return Self { entry, role: None, content: Content::Nothing } };
        let role = subject.role(&change.key);
        Self { entry, role, content: Content::of(role, change).unwrap_or(Content::Nothing) }
    }

    /// What a state Secret holds from then on; the outer none = this changes no state Secret.
    pub(crate) fn state(&self) -> Option<Option<&Stored>> {
        (self.role == Some(Role::State)).then_some(match &self.content {
            Content::State(stored) => Some(stored),
            _ => None,
        })
    }
}

impl Content {
    fn of(role: Option<Role>, change: &Change) -> Option<Self> {
        let is = change.is.as_ref()?;
        Some(match role? {
            Role::Resource => Self::Resource(Resource::of(is)),
            Role::State => Self::State(Stored::of(is)?),
            Role::Token => Self::Token(stored_token(&change.key.name, is)?),
            Role::Credentials => Self::Credentials(Credentials::of(is)),
        })
    }
}

impl Subject {
    /// One with a token Secret of its own name.
    pub(crate) fn new(resource: &str, credentials: &str, owner: &str) -> Self {
        let [resource, credentials, owner] = [resource, credentials, owner].map(str::to_owned);
        Self { secret: resource.clone(), resource, credentials: vec![credentials], owners: vec![owner] }
    }

    /// The same, with this Secret and this consumer key or user name as well.
    #[must_use]
    pub(crate) fn and(mut self, credentials: &str, owner: &str) -> Self {
        self.credentials.push(credentials.to_owned());
        self.owners.push(owner.to_owned());
        self
    }

    fn is_state(&self, name: &str) -> bool {
        name.strip_suffix(STATE_SECRET_SUFFIX) == Some(&self.resource)
    }

    /// None for what is not its own.
    pub(crate) fn role(&self, key: &Key) -> Option<Role> {
        match key.kind {
            Kind::SyniverseToken => (key.name == self.resource).then_some(Role::Resource),
            Kind::Secret if self.is_state(&key.name) => Some(Role::State),
            Kind::Secret if key.name == self.secret => Some(Role::Token),
            Kind::Secret => self.credentials.contains(&key.name).then_some(Role::Credentials),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        [&self.resource, &self.secret].into_iter().chain(&self.credentials).any(|own| own == name)
            || self.is_state(name)
    }

    fn concerns(&self, journal: &Journal, what: &What) -> bool {
        let is_own = |owner: Option<&str>| owner.is_none_or(|owner| self.owners.iter().any(|own| own == owner));
        match what {
            What::Changed(change) => self.role(&change.key).is_some(),
            What::Requested { request, .. } | What::Needless { request } => {
                request.rsplit(' ').next().is_some_and(|name| self.is_named(name))
            }
            What::Asked(question) | What::Answered { to: question, .. } => is_own(question.owner(journal)),
            _ => true,
        }
    }
}

impl History {
    /// What concerns this resource.
    pub(crate) fn of<'a>(&'a self, subject: &'a Subject) -> Part<'a> {
        let concerned = self.entries.iter().filter(|entry| subject.concerns(&self.journal, &entry.what));
        let entries = concerned.map(|entry| Seen::of(subject, entry)).collect();
        let is_own = |owner: &String| subject.owners.contains(owner);
        let calls = self.journal.calls.iter().filter(|call| call.owner.as_ref().is_some_and(is_own));
        let tokens = self.journal.tokens.iter().filter(|token| is_own(&token.owner));
        let journal = Journal { calls: calls.cloned().collect(), tokens: tokens.cloned().collect() };
        Part { subject, entries, journal, blur: self.blur, slack: self.slack }
    }
}

impl Part<'_> {
    /// What went wrong, and until when.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Entry, Timestamp)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Fault { until, .. } | What::Trouble { until, .. } => Some((entry.entry, *until)),
            _ => None,
        })
    }

    /// The changes of what has this role, with their times.
    pub(crate) fn changes(&self, role: Role) -> impl DoubleEndedIterator<Item = &Change> {
        self.entries.iter().filter_map(move |entry| match &entry.what {
            What::Changed(change) if entry.role == Some(role) => Some(&**change),
            _ => None,
        })
    }

    /// The name of a token for readers: `T0` is the first of this resource.
    pub(crate) fn token_name(&self, value: &str) -> String {
        let place = self.journal.tokens.iter().position(|token| token.value == value);
        place.map_or_else(|| format!("{value:?}"), |place| format!("T{place}"))
    }

    /// True when the issuer gave `token` before `other`, as tokens of the same application or account.
    pub(crate) fn is_older(&self, token: &str, other: &str) -> bool {
        let place = |value: &str| self.journal.tokens.iter().position(|token| token.value == value);
        let (Some(token), Some(other)) = (place(token), place(other)) else { return false };
        let owner = |place: usize| &self.journal.tokens[place].owner;
        token < other && owner(token) == owner(other)
    }

    /// True when the issuer accepts this token then.
    pub(crate) fn is_live(&self, token: &str, at: Timestamp) -> bool {
        self.journal.token(token).is_some_and(|token| token.is_live(at))
    }
}
