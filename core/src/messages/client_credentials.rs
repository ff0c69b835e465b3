//! Messages about client credentials.

use super::{first_of, with_mistake};
use crate::issuer::client_credentials::ASSUMED_SECONDS;
use crate::observed::Sharing;
use crate::reason::{Finding, Reason};

/// Hint about the values of a client, with a likely mistake.
pub fn client_hint(secret: &str, mistake: Option<String>) -> String {
    let hint = format!(
        "compare the values in Secret {secret} with the id and secret of the client (for SCG: of the application)"
    );
    with_mistake(hint, mistake)
}

/// The spec wants a way of authentication that only a newer version knows.
pub fn authentication_not_supported() -> Finding {
    let message = "spec.clientCredentials.authentication has a value that this version of the operator does not \
        support: set it to Basic or Body";
    Finding::new(Reason::NotSupported, message)
}

/// Each new token of a client lives too short to be of use.
pub fn client_lifetime_unusable() -> Finding {
    let message = "the issuer's tokens repeatedly live for less than 10 seconds: a new token is requested once a \
        minute; have the client's token lifetime raised, or ask for a longer one in \
        spec.clientCredentials.endpointParams";
    Finding::new(Reason::LifetimeUnusable, message)
}

/// The issuer does not report how long the token lives.
pub fn lifetime_unknown() -> Finding {
    let message = format!(
        "the issuer does not report how long its token lives (expires_in): {ASSUMED_SECONDS} seconds are assumed; have \
         it report the lifetime"
    );
    Finding::new(Reason::LifetimeUnknown, message)
}

/// The token lacks scopes that were asked for; none where it lacks none. They come from the spec, not from the issuer.
pub fn scope_not_granted(scopes: &[String]) -> Option<Finding> {
    let named = first_of(scopes.iter());
    let message = || {
        format!(
            "the token is without the scopes {named} of spec.clientCredentials.scopes: have them granted to the client, \
             or remove them"
        )
    };
    (!scopes.is_empty()).then(|| Finding::new(Reason::ScopeNotGranted, message()))
}

/// Other resources use the same client with the same scopes. None of them is named: they come and go, and names of other
/// namespaces must not leak.
pub fn client_shared(sharing: Sharing) -> Option<Finding> {
    let who = super::sharers(sharing)?;
    let message = format!(
        "{who} the same client with the same scopes: each requests its token separately; an issuer that revokes the \
         previous token needs a client for each"
    );
    Some(Finding::new(Reason::SharedApplication, message))
}
