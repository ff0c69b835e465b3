//! What an issuer was asked, and what it gave.

use super::history::{Entry, What};
use issuer_simulator::fault::Action;
use issuer_simulator::journal::{Api, Call, Journal};

/// A request to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// For the live token of an application.
    Refresh { consumer_key: String, old_token: String },
    /// For the next pair of the session of this token.
    Extend { token: String },
    /// For a new session.
    LogIn { username: String },
    /// For a token of a client.
    Grant { client_id: String },
}

/// What the operator was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Token(String),
    /// The session is over.
    Ended,
    /// Nobody has this username and password.
    LoginRefused,
    /// A failure that says nothing of the session.
    Nothing,
}

impl Question {
    pub(crate) fn of(call: &Call) -> Option<Self> {
        let parameter = |name: &str| call.parameters.get(name).cloned().unwrap_or_default();
        Some(match (call.api?, call.method.as_str()) {
            (Api::Application, _) => {
                Self::Refresh { consumer_key: parameter("consumerkey"), old_token: parameter("oldtoken") }
            }
            (Api::Session, "PUT") => Self::Extend { token: parameter("token") },
            (Api::Session, _) => Self::LogIn { username: parameter("username") },
            (Api::ClientCredentials, _) => Self::Grant { client_id: call.owner.clone().unwrap_or_default() },
        })
    }

    /// Whose consumer key, user name or client id it is about; none for a token that nobody ever had.
    pub(crate) fn owner<'a>(&'a self, journal: &'a Journal) -> Option<&'a str> {
        match self {
            Self::Refresh { consumer_key, .. } => Some(consumer_key),
            Self::Extend { token } => journal.token(token).map(|token| token.owner.as_str()),
            Self::LogIn { username } => Some(username),
            Self::Grant { client_id } => Some(client_id),
        }
    }

    pub(crate) fn api(&self) -> Api {
        match self {
            Self::Refresh { .. } => Api::Application,
            Self::Extend { .. } | Self::LogIn { .. } => Api::Session,
            Self::Grant { .. } => Api::ClientCredentials,
        }
    }
}

impl Given {
    /// What an ended call gave, as far as the issuer knows.
    fn by(call: &Call, to: &Question) -> Self {
        let honest = !matches!(
            call.fault,
            Some(
                Action::Fail { .. }
                    | Action::Truncate
                    | Action::Redirect { .. }
                    | Action::Hang { .. }
                    | Action::Reset { .. }
            )
        );
        match (to, &call.token) {
            _ if call.status.is_none() || !honest => Self::Nothing,
            (_, Some(token)) => Self::Token(token.clone()),
            (Question::Extend { .. }, None) => Self::Ended,
            (Question::LogIn { .. }, None) => Self::LoginRefused,
            (Question::Refresh { .. } | Question::Grant { .. }, None) => Self::Nothing,
        }
    }
}

/// The calls of a journal as made by `process`: each one asked, and answered when it has ended.
pub(crate) fn calls_of(journal: &Journal, process: &str) -> Vec<Entry> {
    let entry = |at, what| Entry { at, process: Some(process.to_owned()), what };
    let both = |call: &Call| {
        let question = Question::of(call)?;
        let given = Given::by(call, &question);
        let answered = call.ended.map(|at| entry(at, What::Answered { to: question.clone(), given }));
        Some([Some(entry(call.received, What::Asked(question))), answered])
    };
    journal.calls.iter().filter_map(both).flatten().flatten().collect()
}
