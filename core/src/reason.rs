//! The closed vocabulary of reasons: for conditions, Events, metric labels and log fields alike.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $weight:ident,)*) => {
        /// Reasons of conditions and Events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The name that users see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)* }
            }

            /// Its severity.
            pub const fn weight(self) -> Weight {
                match self { $(Reason::$name => Weight::$weight,)* }
            }
        }
    };
}

/// Severity of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it should be.
    Normal,
    /// Worth knowing; nothing is wrong.
    Notice,
    /// Something fails; the operator keeps retrying.
    Trouble,
    /// A person must act: the Stalled condition is True.
    Stall,
}

impl Reason {
    /// True when it may keep the operator from getting the next token.
    pub fn is_in_the_way(self) -> bool {
        match self {
            Self::Suspended => true,
            Self::MetadataNotAllowed
            | Self::RefreshBeforeInvalid
            | Self::PropagationRefused
            | Self::RestartWithheld
            | Self::ConsumersUnaware
            | Self::StandbyFailing
            | Self::StandbyNotIndependent => false,
            reason => reason.weight() > Weight::Notice,
        }
    }
}

reasons! {
    /// A live token is in the token Secret.
    Issued: Normal,
    /// The token is not yet in the Secret.
    Pending: Normal,
    /// A new token replaced the old token.
    Rotated: Normal,
    /// A deleted or edited Secret was written again from state.
    Repaired: Normal,
    /// A new token was delivered to the Pods that use it.
    Propagated: Normal,
    /// The failure reported before is over.
    Recovered: Normal,
    /// Another resource uses the same application.
    SharedApplication: Notice,
    /// A finite validity was asked for, but the issuer's token never expires.
    ValidityNotApplied: Notice,
    /// A validity below 900 seconds, which Syniverse's specification does not promise.
    ShortValidity: Notice,
    /// The issuer does not report how long its token lives: 300 seconds are assumed.
    LifetimeUnknown: Notice,
    /// The token lacks a scope that was asked for.
    ScopeNotGranted: Notice,
    /// The issuer's clock and ours differ by more than 30 seconds.
    ClockSkew: Notice,
    /// The tokens of two credentials end so close together that the next hand-over comes late.
    OverlapShort: Notice,
    /// `spec.suspend` is true.
    Suspended: Notice,
    /// The rate limiter delays requests.
    CallsLimited: Trouble,
    /// The issuer still returns the old token after its expiry.
    NotRotated: Trouble,
    /// The issuer's tokens live too short to be of use.
    LifetimeUnusable: Trouble,
    /// The token in the Secret is dead.
    Expired: Trouble,
    /// Requests fail; without other resources to compare with, the cause is open.
    RefreshFailed: Trouble,
    /// The issuer refuses this resource while it serves others.
    CredentialsSuspect: Trouble,
    /// The issuer's endpoint cannot be used.
    IssuerUnavailable: Trouble,
    /// The issuer has ended the session: the operator logs in, if it can.
    SessionEnded: Trouble,
    /// The standby has no token to take over with; the token in the Secret is kept alive all the same.
    StandbyFailing: Trouble,
    /// Consumers of the Secret never see a change of it, and nothing restarts them.
    ConsumersUnaware: Trouble,
    /// A workload is not restarted for a new token.
    RestartWithheld: Trouble,
    /// The API server refuses reading a Secret.
    ReadFailed: Trouble,
    /// The API server did not take a write.
    WriteFailed: Trouble,
    /// Another writer keeps changing a Secret of ours.
    SecretContested: Trouble,
    /// The issuer says that the request is wrong.
    RequestRejected: Stall,
    /// Both credentials are the same to the issuer: the first goes on alone.
    StandbyNotIndependent: Stall,
    /// The operator's settings do not allow the endpoint.
    EndpointNotAllowed: Stall,
    /// The credentials Secret does not exist.
    CredentialsNotFound: Stall,
    /// The credentials Secret lacks the label that the operator's settings ask for.
    CredentialsNotConsented: Stall,
    /// The credentials Secret lacks a value.
    CredentialsIncomplete: Stall,
    /// A value in the credentials Secret cannot be used.
    CredentialsInvalid: Stall,
    /// The session has ended, and there is no login to open a new session.
    SessionLost: Stall,
    /// A pasted session pair is already used by another resource.
    SessionShared: Stall,
    /// The issuer knows no account of this username and password.
    LoginRefused: Stall,
    /// A Secret of the wanted name belongs to another owner.
    SecretNotOwned: Stall,
    /// The API server refuses a write as it stands: a policy, a webhook, a quota or its own limits.
    WriteRefused: Stall,
    /// A Secret that we write is marked immutable.
    SecretImmutable: Stall,
    /// A Secret that we write exists with a type other than Opaque.
    SecretWrongType: Stall,
    /// The token Secret would be larger than a Secret may be.
    SecretTooLarge: Stall,
    /// The state Secret was written by a newer version of the operator.
    StateTooNew: Stall,
    /// Labels or annotations of the spec are left out of the Secret; the token is kept alive all the same.
    MetadataNotAllowed: Stall,
    /// The API server refuses what delivers a token to Pods; the token is kept alive all the same.
    PropagationRefused: Stall,
    /// A field of the spec has no usable value; the schema refuses it, but did not always.
    SpecInvalid: Stall,
    /// `spec.refreshBefore` cannot be read; the default is in force.
    RefreshBeforeInvalid: Stall,
    /// The spec uses a field that this version does not implement.
    NotSupported: Stall,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason and the sentence for people that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The word.
    pub reason: Reason,
    /// The sentence: names the object, what failed and what to do; the same at every retry.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
