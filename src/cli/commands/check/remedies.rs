//! What to do about a reason. The message of the status says what is wrong.

use syniverse_token_core::reason::Reason;

/// What to do, in a line; none where the whole story of the token has to be looked at.
pub(super) fn remedy(reason: Reason) -> Option<&'static str> {
    use Reason as R;
    Some(match reason {
        R::EndpointNotAllowed => "add the host to endpointHosts of the chart, or mend the endpoint in the spec",
        R::CredentialsNotFound => "make the credentials Secret, in the same namespace",
        R::CredentialsNotConsented => "kubectl label secret NAME syniverse.dev/credentials=true",
        R::CredentialsIncomplete | R::CredentialsInvalid => {
            "mend the key that the message names; it takes effect at once"
        }
        R::CredentialsSuspect | R::RefreshFailed => {
            "compare the credentials with the issuer's portal; the issuer serves others with theirs if it is CredentialsSuspect"
        }
        R::IssuerUnavailable => {
            "test the network, proxy and CA (caBundle) from the operator's Pod to the issuer; retries go on"
        }
        R::RequestRejected => "the issuer takes the request as wrong: mend the spec or the credentials",
        R::SessionLost | R::SessionEnded => {
            "put a fresh token and refreshToken, or username and password, into the Secret"
        }
        R::SessionShared => "give each SyniverseToken a session of its own",
        R::LoginRefused => "mend username or password in the credentials Secret",
        R::SecretNotOwned => {
            "rename spec.secret.name, or let it be taken over: annotate the Secret syniverse.dev/adopt=NAME"
        }
        R::SecretImmutable | R::SecretWrongType => "delete that Secret: it is written anew without asking the issuer",
        R::SecretContested => "find out what else writes this Secret, and stop it",
        R::SecretTooLarge => "make spec.secret.template smaller",
        R::WriteRefused | R::WriteFailed => {
            "the message quotes the API server: mend the policy, webhook, quota or right"
        }
        R::ReadFailed => "give the operator's account the right that the message names",
        R::MetadataNotAllowed => {
            "take these labels and annotations out of the spec, or allow them: allowedSecretMetadata"
        }
        R::PropagationRefused => "set propagation.pods or propagation.restart of the chart, or mend what refuses",
        R::ConsumersUnaware => "mount the Secret as a volume without subPath, or set spec.propagation.restart",
        R::RestartWithheld => "restart the workload by hand once the message's cause is over",
        R::StandbyFailing => "mend the standby's credentials: without it the next rotation leaves a gap",
        R::StandbyNotIndependent => "give the standby an application or a scope of its own",
        R::StateTooNew => "run the operator version that wrote the state Secret, or a newer one",
        R::CallsLimited => "change the resource less often; it goes on by itself",
        R::LifetimeUnusable => "ask the issuer for longer tokens",
        R::NotRotated => "press Re-Generate in the portal if it lasts longer than a minute",
        R::RefreshBeforeInvalid | R::SpecInvalid | R::NotSupported => "mend the field that the message names",
        R::Expired | R::Pending => "it is being asked for: see the Events, kubectl syniverse-token events NAME",
        _ => return None,
    })
}
