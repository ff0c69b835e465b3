//! How the next token of a credential is obtained: the promises of an issuer's API, as data.

use super::{application, client_credentials, session};
use crate::api::IssuerSpec;
use serde::{Deserialize, Serialize};

/// The kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An application's consumer key and secret.
    Application,
    /// A login session.
    Session,
    /// The id and secret of an OAuth 2.0 client, with its scopes.
    ClientCredentials,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Application, Self::Session, Self::ClientCredentials];

    /// The kind of credential that a spec names.
    pub const fn of(issuer: IssuerSpec<'_>) -> Self {
        match issuer {
            IssuerSpec::Application(_) => Self::Application,
            IssuerSpec::Session(_) => Self::Session,
            IssuerSpec::ClientCredentials(_) => Self::ClientCredentials,
        }
    }

    /// As in metric labels and in the state Secret.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Session => "session",
            Self::ClientCredentials => "client-credentials",
        }
    }

    /// How the next token is obtained.
    pub const fn renewal(self) -> Renewal {
        match self {
            Self::Application => application::RENEWAL,
            Self::Session => session::RENEWAL,
            Self::ClientCredentials => client_credentials::RENEWAL,
        }
    }
}

/// How the next token of a credential is obtained: everything that schedule, failures and queue need to know of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When the issuer gives it.
    pub when: RenewalTime,
    /// The issuer may give the next token before the current token expires, and leave that one alive: the check before
    /// the expiry is an attempt to get it.
    pub may_come_early: bool,
    /// The request may be repeated if its response was lost. If not, an intent is written first.
    pub is_repeatable: bool,
    /// A new token invalidates the previous token.
    pub supersedes: bool,
    /// The request names the wanted lifetime.
    pub names_lifetime: bool,
    /// The credential itself is lost unless its token is renewed while it lives.
    pub is_lost_at_expiry: bool,
}

/// When the issuer gives the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalTime {
    /// Once the current token has expired.
    AfterExpiry,
    /// While the current token is live.
    BeforeExpiry,
}
