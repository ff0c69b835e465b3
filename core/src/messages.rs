//! Messages for people: the same words at every retry.

use crate::api::{ApplicationCredentials, CONSENT_LABEL, IssuerSpec, STATE_SECRET_SUFFIX, SyniverseTokenSpec};
use crate::issuer::FailureKind;
use crate::issuer::endpoint::NotAllowed;
use crate::memory::{FailedRequests, FailedWrites};
use crate::observed::{PeerHealth, Sharing};
use crate::reason::{Finding, Reason};
use crate::schedule::retry::RETRY_AFTER_LIMITS;
use crate::secret_metadata::LeftOut;
use crate::secrets::DesiredSecrets;

mod client_credentials;
mod session;
mod standby;

pub use client_credentials::*;
pub use session::*;
pub use standby::*;

/// Number of keys named in a message.
const KEYS_NAMED: usize = 3;
/// The letters of a text that are quoted when it is not what it should be.
const LONGEST_QUOTE: usize = 32;

/// The issuer that the spec names.
///
/// # Errors
/// A finding if this version knows none.
pub fn supported(spec: &SyniverseTokenSpec) -> Result<IssuerSpec<'_>, Finding> {
    match spec.issuer() {
        Some(issuer) => Ok(issuer),
        None => {
            let message = "the spec names no issuer: set spec.application, spec.session or spec.clientCredentials";
            Err(Finding::new(Reason::NotSupported, message))
        }
    }
}

/// A duration in the spec that is none. The text is cut short: it may be anything.
pub fn no_duration(reason: Reason, field: &str, text: &str) -> Finding {
    let shown: String = text.chars().take(LONGEST_QUOTE).collect();
    let message = format!("spec.{field} is {shown:?}, which is not a duration: write it like 90s, 5m or 1h30m");
    Finding::new(reason, message)
}

/// The settings do not allow the endpoint.
pub fn endpoint_not_allowed(cause: &NotAllowed) -> Finding {
    Finding::new(Reason::EndpointNotAllowed, cause.to_string())
}

/// The credentials Secret lacks the label that the settings ask for.
pub fn credentials_not_consented(secret: &str) -> Finding {
    let message = format!(
        "Secret {secret} may not be used for credentials: its owner must consent with the label {CONSENT_LABEL}: \
         \"true\""
    );
    Finding::new(Reason::CredentialsNotConsented, message)
}

/// The credentials Secret holds the tokens of another resource, which must not be sent to an issuer. The API server
/// refuses such a name, but not in an older resource.
pub fn credentials_in_state_secret(secret: &str) -> Option<Finding> {
    let message = || {
        format!(
            "Secret {secret} is not used for credentials, because its name ends with {STATE_SECRET_SUFFIX}, which \
             marks Secrets that hold the tokens of a SyniverseToken: put the credentials into a Secret with another \
             name"
        )
    };
    secret.ends_with(STATE_SECRET_SUFFIX).then(|| Finding::new(Reason::CredentialsInvalid, message()))
}

/// The API server refuses reading a Secret.
pub fn read_failed(detail: &str) -> Finding {
    Finding::new(Reason::ReadFailed, format!("{detail}: grant this right to the operator's service account"))
}

/// The state Secret was written by a newer version.
pub fn state_too_new(secret: &str, format: u32) -> Finding {
    let message = format!("Secret {secret} has the format {format} of a newer operator version: upgrade the operator");
    Finding::new(Reason::StateTooNew, message)
}

/// The issuer needs a former token of the application, but none is known.
pub fn no_old_token(credentials: &ApplicationCredentials) -> Finding {
    Finding::new(
        Reason::CredentialsIncomplete,
        format!(
            "Secret {} has no value under key {}: copy the Access Token from the application's Auth Keys page into it",
            credentials.secret_ref.name, credentials.keys.old_token
        ),
    )
}

/// `spec.suspend` is true.
pub fn suspended() -> Finding {
    Finding::new(Reason::Suspended, "spec.suspend is true: no token is requested")
}

/// The API server does not accept a write.
pub fn write_failed(failed: &FailedWrites) -> Finding {
    match failed.refused {
        None => Finding::new(Reason::WriteFailed, failed.detail.clone()),
        Some(_) => {
            let message = format!("{}: change the spec, or the rule that refuses it", failed.detail);
            Finding::new(Reason::WriteRefused, message)
        }
    }
}

/// A Secret becomes immutable again and again.
pub fn sealed(secret: &str) -> Finding {
    let message = format!(
        "Secret {secret} becomes immutable as soon as it is written: find the policy, webhook or controller that \
         does this, exempt the Secret, then delete it"
    );
    Finding::new(Reason::SecretImmutable, message)
}

/// Another writer keeps changing our Secrets.
pub fn contested(secret: &str) -> Finding {
    let message = format!(
        "something else keeps changing Secret {secret}: it is restored at most once a minute; find out what \
            else writes it"
    );
    Finding::new(Reason::SecretContested, message)
}

/// A minute of polling after the expiry brought no new token.
pub fn not_rotated() -> Finding {
    let message = "the issuer still returns the old token after its expiry; retrying at growing intervals";
    Finding::new(Reason::NotRotated, message)
}

/// Each new token lives too short to be of use.
pub fn lifetime_unusable() -> Finding {
    let message = "the issuer's tokens repeatedly expire at once or after a small part of spec.application.validity: \
        a new token is requested once a minute; check the Token Expiration on the application's Auth Keys page";
    Finding::new(Reason::LifetimeUnusable, message)
}

/// The rate limiter delays requests.
pub fn calls_limited() -> Finding {
    let message = "more requests are due than this resource may send: the next follows as soon as the rate limit \
        allows";
    Finding::new(Reason::CallsLimited, message)
}

/// A finite validity was asked for, but the token never expires.
pub fn validity_not_applied() -> Finding {
    let message = "the issuer's token never expires, so spec.application.validity has no effect: set a Token \
        Expiration on the application's Auth Keys page and press Re-Generate";
    Finding::new(Reason::ValidityNotApplied, message)
}

/// Other resources use the same application. None of them is named: they come and go, and names of other namespaces
/// must not leak.
pub fn shared(sharing: Sharing) -> Option<Finding> {
    let who = sharers(sharing)?;
    Some(Finding::new(
        Reason::SharedApplication,
        format!("{who} the same application: each requests its token separately"),
    ))
}

fn sharers(sharing: Sharing) -> Option<&'static str> {
    match (sharing.here, sharing.elsewhere) {
        (false, false) => None,
        (true, false) => Some("another SyniverseToken in this namespace uses"),
        (false, true) => Some("a SyniverseToken in another namespace uses"),
        (true, true) => Some("SyniverseTokens in this and in another namespace use"),
    }
}

/// Labels or annotations of the spec that are left out of the Secret.
pub fn metadata_not_allowed(DesiredSecrets { resource, metadata }: DesiredSecrets<'_>) -> Option<Finding> {
    let LeftOut { reserved, not_allowed } = metadata.left_out(resource.spec.secret.as_ref()?);
    let remedies = [
        (
            not_allowed,
            ": allow it with --secret-metadata (chart: allowedSecretMetadata), or remove it from spec.secret",
        ),
        (reserved, ", which belongs to Kubernetes, Helm or Argo CD: remove it from spec.secret"),
    ];
    let left_out = remedies.iter().filter(|(keys, _)| !keys.is_empty());
    let said: Vec<_> = left_out.map(|(keys, hint)| format!("without {}{hint}", first_of(keys.iter()))).collect();
    (!said.is_empty()).then(|| {
        let message = format!("Secret {} is written {}", resource.secret_name(), said.join("; "));
        Finding::new(Reason::MetadataNotAllowed, message)
    })
}

/// The first few of them: a spec may have 64, of 317 characters each.
fn first_of<'a>(keys: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = keys.len().saturating_sub(KEYS_NAMED);
    let first = keys.take(KEYS_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match more {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Hint about the values of an application, with a likely mistake.
pub fn application_remedy(secret: &str, mistake: Option<String>) -> String {
    with_mistake(format!("compare the values in Secret {secret} with the application's Auth Keys page"), mistake)
}

fn with_mistake(hint: String, mistake: Option<String>) -> String {
    mistake.into_iter().fold(hint, |hint, mistake| format!("{hint}; {mistake}"))
}

/// Requests fail. Other resources decide only the reason; `hint` is the hint about wrong values.
pub fn failed(failing: &FailedRequests, peers: &PeerHealth, hint: &str) -> Finding {
    let wish = format!(" and sent a longer Retry-After than is honoured ({RETRY_AFTER_LIMITS})");
    let detail = &format!("{}{}", failing.detail, if failing.is_cut_short { &wish } else { "" });
    match failing.kind {
        FailureKind::EndpointNotAllowed => Finding::new(Reason::EndpointNotAllowed, detail.clone()),
        // No person has to act on a request that succeeded a moment ago.
        FailureKind::Rejected if failing.was_served => Finding::new(
            Reason::RefreshFailed,
            format!("{detail}, although the same request succeeded before: {hint}; retrying"),
        ),
        FailureKind::Rejected => Finding::new(
            Reason::RequestRejected,
            format!(
                "{detail}: the issuer rejects the request; check the spec, \
                and {hint}"
            ),
        ),
        FailureKind::Refused => refused(detail, peers, hint),
        FailureKind::Ended => session_ended(detail),
        FailureKind::LoginRefused => login_refused(detail, hint),
        FailureKind::Unavailable => {
            let reason = match peers.succeed {
                Some(false) => Reason::IssuerUnavailable,
                None if peers.endpoint_down => Reason::IssuerUnavailable,
                Some(true) | None => Reason::RefreshFailed,
            };
            Finding::new(reason, format!("{detail}; retrying"))
        }
    }
}

fn refused(detail: &str, peers: &PeerHealth, hint: &str) -> Finding {
    match peers.succeed {
        Some(true) => Finding::new(
            Reason::CredentialsSuspect,
            format!("{detail}, while requests of other resources succeed: the credentials are probably wrong; {hint}"),
        ),
        Some(false) => Finding::new(
            Reason::IssuerUnavailable,
            format!("{detail}, as it does for other resources: the issuer has an outage; retrying"),
        ),
        None => Finding::new(
            Reason::RefreshFailed,
            format!("{detail}, which can mean wrong credentials or an outage: {hint}; retrying"),
        ),
    }
}
