//! Messages about sessions.

use super::with_mistake;
use crate::memory::FailedWrites;
use crate::reason::{Finding, Reason};

/// The API server does not accept a write, while the only copy of a session's pair waits for it.
pub fn pair_unrecorded(failed: &FailedWrites) -> Finding {
    let message = format!(
        "{}; the session was extended, and its new token pair exists only in the operator's memory: a restart before \
         it is written would lose it",
        failed.detail
    );
    Finding::new(Reason::WriteFailed, message)
}

/// Each new pair of a session lives too short to be of use.
pub fn session_lifetime_unusable() -> Finding {
    let message = "the issuer's session tokens repeatedly live for less than 10 seconds: the session is kept alive, \
        but its tokens are hardly usable; ask Syniverse for a longer validityTime";
    Finding::new(Reason::LifetimeUnusable, message)
}

/// The Secret holds neither a pair nor a login.
pub fn no_session(secret: &str) -> Finding {
    let message = format!(
        "Secret {secret} holds neither a login nor a token pair: add the keys username and password, or token and \
         refreshToken, or all four"
    );
    Finding::new(Reason::CredentialsIncomplete, message)
}

/// The session has ended, and no login can open a new session.
pub fn session_lost(secret: &str, mistake: Option<String>) -> Finding {
    let message = format!(
        "the session has ended, and Secret {secret} has no username and password to log in with: add them, or put a \
         new pair under token and refreshToken"
    );
    Finding::new(Reason::SessionLost, with_mistake(message, mistake))
}

/// The pasted pair, named by the fingerprint of its token, belongs to another resource, and dies with its first use.
pub fn session_shared(secret: &str, pair: &str) -> Finding {
    let message = format!(
        "another SyniverseToken already uses the pair {pair} in Secret {secret}, and a pair works for only one \
         resource: give this resource its own session, or a username and password"
    );
    Finding::new(Reason::SessionShared, message)
}

/// The issuer no longer knows the session.
pub fn session_ended(detail: &str) -> Finding {
    Finding::new(Reason::SessionEnded, format!("{detail}: the token pair sent to it is no longer valid"))
}

/// The issuer does not know the account.
pub fn login_refused(detail: &str, hint: &str) -> Finding {
    Finding::new(Reason::LoginRefused, format!("{detail}: {hint}"))
}

/// The issuer does not know the account of a changed login; the existing session stays in use.
pub fn login_refused_meanwhile(secret: &str, mistake: Option<String>) -> Finding {
    let message = format!(
        "the issuer refuses the username and password in Secret {secret}: correct them; the existing session stays \
         in use"
    );
    Finding::new(Reason::LoginRefused, with_mistake(message, mistake))
}

/// Hint about a login.
pub fn login_hint(secret: &str, mistake: Option<String>) -> String {
    with_mistake(format!("check the username and password in Secret {secret}"), mistake)
}

/// Hint about the values of a session.
pub fn session_hint(secret: &str, mistake: Option<String>) -> String {
    with_mistake(format!("check the values in Secret {secret}"), mistake)
}
