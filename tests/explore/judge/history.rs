//! What happened in one run, in order, so that it can be judged and read.
//!
//! A history is made by the exploration, or put together from what was seen of the real world:
//!
//! - every change of the resources and of their state, token and credentials Secrets, from their creation on;
//! - every start and death of a process, every call ([`calls_of`](super::calls_of) makes them of a journal), and
//!   everything that went wrong as [`What::Trouble`];
//! - [`What::Healed`] when nothing goes wrong any more, and [`What::Ended`].
//!
//! The rest is optional, and what is not told is not judged. A process is *known* from its first [`What::Started`] on.
//! What was done by one that never started is judged by every rule that need not know who it was; any death may then
//! have been its own.

use super::change::{Change, Kind};
use super::facts::{Ready, Stored, stored_token};
use super::question::{Given, Question};
use super::subject::Subject;
use issuer_simulator::journal::Journal;
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use syniverse_token_core::api::STATE_SECRET_SUFFIX;

/// A run, or a part of the real world seen the same way.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) entries: Vec<Entry>,
    /// The issuers' own record.
    pub(crate) journal: Journal,
    /// The resources that are judged.
    pub(crate) subjects: Vec<Subject>,
    /// Others that there are, which are not judged.
    pub(crate) neighbours: Vec<Subject>,
    /// How much later than they happened changes may have been seen, compared with calls.
    pub(crate) blur: SignedDuration,
    /// How much longer everything may take than where nobody waits for a processor.
    pub(crate) slack: SignedDuration,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    /// The operator process that did it or that it happened to; none = somebody else.
    pub(crate) process: Option<String>,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Started,
    Died,
    /// Somebody did something; `is_cause` when that is a cause to ask the issuer.
    User {
        deed: String,
        is_cause: bool,
    },
    /// Something is down, or odd, until then.
    Trouble {
        with: String,
        until: Timestamp,
        /// Meanwhile the operator cannot know, or cannot say, how things stand.
        blinds: bool,
    },
    /// A fault struck, and was over at this time.
    Fault {
        point: usize,
        fault: String,
        request: String,
        until: Timestamp,
        /// The request that it met takes effect only then.
        lands_later: bool,
    },
    /// A request to the API server took effect, or came back refused; it ends with a name.
    Requested {
        request: String,
        code: u16,
    },
    /// A request to the API server changed an object.
    Changed(Box<Change>),
    /// An update that changed nothing; it ends with a name.
    Needless {
        request: String,
    },
    /// An issuer was asked.
    Asked(Question),
    /// What the operator was given.
    Answered {
        to: Question,
        given: Given,
    },
    /// Every fault is over, and the script has been played.
    Healed,
    /// The run is over.
    Ended,
}

impl History {
    /// Of entries in any order; those of the same time stay in theirs.
    pub(crate) fn new(mut entries: Vec<Entry>, journal: Journal, subjects: Vec<Subject>) -> Self {
        entries.sort_by_key(|entry| entry.at);
        Self { entries, journal, subjects, ..Self::default() }
    }

    fn token_name(&self, value: &str) -> String {
        let place = self.journal.tokens.iter().position(|token| token.value == value);
        place.map_or_else(|| format!("{value:?}"), |place| format!("T{place}"))
    }

    fn told(&self, what: &What) -> String {
        match what {
            What::Started => "starts".to_owned(),
            What::Died => "DIES".to_owned(),
            What::User { deed, .. } => format!("somebody {deed}"),
            What::Trouble { with, .. } => format!("TROUBLE: {with}"),
            What::Fault { point, fault, request, .. } => format!("FAULT at point {point}: {request} {fault}"),
            What::Requested { request, code } => format!("{request} -> {code}"),
            What::Needless { request } => format!("{request} changes nothing"),
            What::Changed(change) => self.told_change(change),
            What::Asked(question) => self.told_question(question),
            What::Answered { given: Given::Token(token), .. } => format!("is given {}", self.token_name(token)),
            What::Answered { given, .. } => format!("is given {given:?}"),
            What::Ended => "---- the end ----".to_owned(),
            What::Healed => "---- all is well from here on ----".to_owned(),
        }
    }

    fn told_question(&self, question: &Question) -> String {
        match question {
            Question::Refresh { old_token, .. } => format!("asks with {}", self.token_name(old_token)),
            Question::Extend { token, .. } => format!("extends {}", self.token_name(token)),
            Question::LogIn { username } => format!("logs in as {username}"),
            Question::Grant { client_id } => format!("asks for client {client_id}"),
        }
    }

    fn told_change(&self, change: &Change) -> String {
        let name = &change.key.name;
        let Some(is) = &change.is else { return format!("  {name} is deleted") };
        if change.key.kind == Kind::SyniverseToken {
            let ready = Ready::of(is).map_or("no status".to_owned(), |ready| ready.to_string());
            return format!("  {name}: generation {}, {ready}", is["metadata"]["generation"]);
        }
        let token = stored_token(name, is).map_or("no token".to_owned(), |token| self.token_name(&token));
        let stored = Stored::of(is).filter(|_| name.ends_with(STATE_SECRET_SUFFIX));
        let note = stored.map_or(String::new(), |stored| stored.to_string());
        let version = is["metadata"]["resourceVersion"].as_str().unwrap_or("?");
        format!("  {name} holds {token}{note} (version {version})")
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.entries.first() else { return Ok(()) };
        for entry in &self.entries {
            let after = entry.at.duration_since(first.at).as_secs_f64();
            let who = entry.process.as_deref().unwrap_or("-");
            writeln!(f, "{after:10.3} {who:>3} {}", self.told(&entry.what))?;
        }
        Ok(())
    }
}
