//! What is said of sessions.

use super::with_mistake;
use crate::memory::FailedWrites;
use crate::reason::{Finding, Reason};

/// The API server does not take a write, while the only copy of a session's pair waits for it.
pub fn pair_unrecorded(failed: &FailedWrites) -> Finding {
    let message = format!(
        "{}; the session was extended, and its new pair is in the operator's memory alone: a restart before it is written \
         would lose it",
        failed.detail
    );
    Finding::new(Reason::WriteFailed, message)
}

/// One pair of a session after the other is over before it is of use.
pub fn session_lifetime_unusable() -> Finding {
    let message = "the issuer's session tokens, one after the other, live for less than 10 seconds: the session is kept \
                   alive, but hardly anybody can use its tokens; ask Syniverse for a longer validityTime";
    Finding::new(Reason::LifetimeUnusable, message)
}

/// Neither a pair nor a login was ever given.
pub fn no_session(secret: &str) -> Finding {
    let message = format!(
        "Secret {secret} opens no session: add the keys username and password, or token and refreshToken, or all four"
    );
    Finding::new(Reason::CredentialsIncomplete, message)
}

/// The session is over, and nothing opens another one.
pub fn session_lost(secret: &str, mistake: Option<String>) -> Finding {
    let message = format!(
        "the session is over, and Secret {secret} has no username and password to log in with: add them, or put a new \
         pair under token and refreshToken"
    );
    Finding::new(Reason::SessionLost, with_mistake(message, mistake))
}

/// The pasted pair, by the fingerprint of its token, is another resource's, and dies with its first use.
pub fn session_shared(secret: &str, pair: &str) -> Finding {
    let message = format!(
        "another SyniverseToken was given the pair {pair} in Secret {secret} first, and a pair serves one: give this one a \
         session of its own, or a username and password"
    );
    Finding::new(Reason::SessionShared, message)
}

/// The issuer no longer knows the session.
pub fn session_ended(detail: &str) -> Finding {
    Finding::new(Reason::SessionEnded, format!("{detail}: the pair that it was asked with is over"))
}

/// The issuer does not know the account.
pub fn login_refused(detail: &str, hint: &str) -> Finding {
    Finding::new(Reason::LoginRefused, format!("{detail}: {hint}"))
}

/// The issuer does not know the account of a changed login, while the session before goes on.
pub fn login_refused_meanwhile(secret: &str, mistake: Option<String>) -> Finding {
    let message = format!(
        "the issuer refuses the username and password in Secret {secret}: correct them; the session of the ones before \
         goes on"
    );
    Finding::new(Reason::LoginRefused, with_mistake(message, mistake))
}

/// What a person can do about a login.
pub fn login_hint(secret: &str, mistake: Option<String>) -> String {
    with_mistake(format!("check the username and password in Secret {secret}"), mistake)
}

/// What a person can do about the values of a session.
pub fn session_hint(secret: &str, mistake: Option<String>) -> String {
    with_mistake(format!("check the values in Secret {secret}"), mistake)
}
