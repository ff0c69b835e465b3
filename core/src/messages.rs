//! The sentences for people that need more than one room's knowledge: the same words at every retry.

use crate::api::{ApplicationCredentials, CONSENT_LABEL, IssuerSpec, STATE_SECRET_SUFFIX, SyniverseTokenSpec};
use crate::issuer::FailureKind;
use crate::issuer::endpoint::NotAllowed;
use crate::memory::{FailedRequests, FailedWrites};
use crate::observed::{PeerHealth, Sharing};
use crate::reason::{Finding, Reason};
use crate::schedule::retry::RETRY_AFTER_LIMITS;
use crate::secret_metadata::LeftOut;
use crate::secrets::DesiredSecrets;
use std::collections::BTreeSet;

mod session;

pub use session::*;

/// Keys that one sentence names.
const KEYS_NAMED: usize = 3;
/// The letters of a text that are quoted when it is not what it should be.
const LONGEST_QUOTE: usize = 32;

/// The part of the spec that this version implements.
///
/// # Errors
/// A finding that names the field that it does not.
pub fn supported(spec: &SyniverseTokenSpec) -> Result<IssuerSpec<'_>, Finding> {
    let not_supported = |field: &str| {
        let message = format!("spec.{field} is not supported by this version of the operator: remove it");
        Err(Finding::new(Reason::NotSupported, message))
    };
    match spec.issuer() {
        _ if spec.propagation.is_some() => not_supported("propagation"),
        Some(IssuerSpec::Application(application)) if application.standby_credentials.is_some() => {
            not_supported("application.standbyCredentials")
        }
        Some(issuer) => Ok(issuer),
        None => {
            Err(Finding::new(Reason::NotSupported, "the spec names no issuer: set spec.application or spec.session"))
        }
    }
}

/// A duration in the spec that is none. The text is cut short: it may be anything.
pub fn no_duration(field: &str, text: &str) -> Finding {
    let shown: String = text.chars().take(LONGEST_QUOTE).collect();
    let message = format!("spec.{field} is {shown:?}, which is not a duration: write one such as 90s, 5m or 1h30m");
    Finding::new(Reason::SpecInvalid, message)
}

/// The settings do not allow the endpoint.
pub fn endpoint_not_allowed(cause: &NotAllowed) -> Finding {
    Finding::new(Reason::EndpointNotAllowed, cause.to_string())
}

/// The credentials Secret lacks the label that the settings ask for.
pub fn credentials_not_consented(secret: &str) -> Finding {
    let message = format!(
        "Secret {secret} may not be used for credentials: whoever is responsible for it must consent with the label \
         {CONSENT_LABEL}: \"true\""
    );
    Finding::new(Reason::CredentialsNotConsented, message)
}

/// The Secret that credentials are to be read from holds tokens, which the issuer of another resource must not be sent.
/// The API server refuses such a name, but not from a resource that is older.
pub fn credentials_in_state_secret(secret: &str) -> Option<Finding> {
    let message = || {
        format!(
            "Secret {secret} is not used for credentials, because its name ends with {STATE_SECRET_SUFFIX} as those do \
             that hold the tokens of a SyniverseToken: put the credentials into a Secret of another name"
        )
    };
    secret.ends_with(STATE_SECRET_SUFFIX).then(|| Finding::new(Reason::CredentialsInvalid, message()))
}

/// The API server does not let us read a Secret.
pub fn read_failed(detail: &str) -> Finding {
    Finding::new(Reason::ReadFailed, format!("{detail}: grant the operator's account this right"))
}

/// The state Secret was written by a newer version.
pub fn state_too_new(secret: &str, format: u32) -> Finding {
    let message = format!(
        "Secret {secret} has the format {format}, written by a newer version of the operator: run that version"
    );
    Finding::new(Reason::StateTooNew, message)
}

/// The issuer needs a token that the application has had, and there is none.
pub fn no_old_token(credentials: &ApplicationCredentials) -> Finding {
    Finding::new(
        Reason::CredentialsIncomplete,
        format!(
            "Secret {} has no value under key {}: copy Access Token from the application's Auth Keys page into it",
            credentials.secret_ref.name, credentials.keys.old_token
        ),
    )
}

/// `spec.suspend` is true.
pub fn suspended() -> Finding {
    Finding::new(Reason::Suspended, "spec.suspend is true: the issuer is not asked")
}

/// The API server does not take a write.
pub fn write_failed(failed: &FailedWrites) -> Finding {
    match failed.refused {
        None => Finding::new(Reason::WriteFailed, failed.detail.clone()),
        Some(_) => {
            let message = format!("{}: change the spec, or the rule that refuses it", failed.detail);
            Finding::new(Reason::WriteRefused, message)
        }
    }
}

/// Something makes a Secret immutable again and again.
pub fn sealed(secret: &str) -> Finding {
    let message = format!(
        "Secret {secret} was made immutable as soon as it was written: find the policy, webhook or controller that does so \
         and exempt this Secret, then delete it"
    );
    Finding::new(Reason::SecretImmutable, message)
}

/// Somebody else keeps changing what we write.
pub fn contested(secret: &str) -> Finding {
    let message =
        format!("somebody else keeps changing Secret {secret}: it is repaired once a minute; find the writer");
    Finding::new(Reason::SecretContested, message)
}

/// A minute of asking past the end of the token brought no new one.
pub fn not_rotated() -> Finding {
    let message = "the issuer still returns the old token although its time is over: asked again at growing intervals";
    Finding::new(Reason::NotRotated, message)
}

/// One new token after the other is over before it is of use.
pub fn lifetime_unusable() -> Finding {
    let message = "the issuer's tokens, one after the other, are over at once or after a small part of \
                   spec.application.validity: a new one is asked for once a minute; \
                   check the Token Expiration on the application's Auth Keys page";
    Finding::new(Reason::LifetimeUnusable, message)
}

/// The governor holds calls back.
pub fn calls_limited() -> Finding {
    let message = "more calls are due than this resource may make: the next one follows as soon as it is allowed";
    Finding::new(Reason::CallsLimited, message)
}

/// A finite validity was asked for, but the token never expires.
pub fn validity_not_applied() -> Finding {
    let message = "the issuer's token never expires, so spec.application.validity is not in force: \
                   set a Token Expiration on the application's Auth Keys page and press Re-Generate";
    Finding::new(Reason::ValidityNotApplied, message)
}

/// Other resources use the same application. None of them is named: they come and go, and another namespace is nobody's
/// business.
pub fn shared(sharing: Sharing) -> Option<Finding> {
    let who = match (sharing.here, sharing.elsewhere) {
        (false, false) => return None,
        (true, false) => "another SyniverseToken of this namespace uses",
        (false, true) => "a SyniverseToken of another namespace uses",
        (true, true) => "SyniverseTokens of this and of another namespace use",
    };
    Some(Finding::new(
        Reason::SharedApplication,
        format!("{who} the same application: each asks the issuer for itself"),
    ))
}

/// Labels or annotations of the spec that do not come onto the Secret.
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
    let said: Vec<_> = left_out.map(|(keys, hint)| format!("without {}{hint}", named(keys))).collect();
    (!said.is_empty()).then(|| {
        let message = format!("Secret {} is written {}", resource.secret_name(), said.join("; "));
        Finding::new(Reason::MetadataNotAllowed, message)
    })
}

/// The first few of them: a spec may have 64, of 317 characters each.
fn named(keys: &BTreeSet<String>) -> String {
    let first = keys.iter().take(KEYS_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match keys.len().saturating_sub(KEYS_NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Where a person finds the right values of an application, and what may be wrong with one.
pub fn application_remedy(secret: &str, mistake: Option<String>) -> String {
    with_mistake(format!("compare the values in Secret {secret} with the application's Auth Keys page"), mistake)
}

fn with_mistake(hint: String, mistake: Option<String>) -> String {
    mistake.into_iter().fold(hint, |hint, mistake| format!("{hint}; {mistake}"))
}

/// Calls fail. Neighbours decide only the name of the reason; `hint` says what to do about wrong values.
pub fn failed(failing: &FailedRequests, peers: &PeerHealth, hint: &str) -> Finding {
    let wish = format!(" and asked to be left alone for longer than is granted ({RETRY_AFTER_LIMITS})");
    let detail = &format!("{}{}", failing.detail, if failing.is_cut_short { &wish } else { "" });
    match failing.kind {
        FailureKind::EndpointNotAllowed => Finding::new(Reason::EndpointNotAllowed, detail.clone()),
        // Nobody must act for what was right a moment ago.
        FailureKind::Rejected if failing.was_served => Finding::new(
            Reason::RefreshFailed,
            format!("{detail}, although it served the same request before: {hint}; trying again"),
        ),
        FailureKind::Rejected => {
            Finding::new(Reason::RequestRejected, format!("{detail}: the request is wrong; check the spec, and {hint}"))
        }
        FailureKind::Refused => refused(detail, peers, hint),
        FailureKind::Ended => session_ended(detail),
        FailureKind::LoginRefused => login_refused(detail, hint),
        FailureKind::Unavailable => {
            let reason = match peers.succeed {
                Some(false) => Reason::IssuerUnavailable,
                None if peers.endpoint_down => Reason::IssuerUnavailable,
                Some(true) | None => Reason::RefreshFailed,
            };
            Finding::new(reason, format!("{detail}; trying again"))
        }
    }
}

fn refused(detail: &str, peers: &PeerHealth, hint: &str) -> Finding {
    match peers.succeed {
        Some(true) => Finding::new(
            Reason::CredentialsSuspect,
            format!("{detail}, while other resources are served: the credentials are probably wrong; {hint}"),
        ),
        Some(false) => Finding::new(
            Reason::IssuerUnavailable,
            format!("{detail}, as it does to other resources: the issuer has an outage; trying again"),
        ),
        None => Finding::new(
            Reason::RefreshFailed,
            format!("{detail}, which stands for wrong credentials as well as for an outage: {hint}; trying again"),
        ),
    }
}
