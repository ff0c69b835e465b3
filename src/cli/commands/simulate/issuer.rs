//! A model of the issuers: honest to when they give a new token, and nothing else.

use super::Outage;
use std::collections::HashMap;
use syniverse_token_core::issuer::{Failure, FailureKind, Lifetime, Omissions, TokenRequest, TokenResponse};
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::redacted::Redacted;

/// How long a request takes, in seconds.
pub(super) const DURATION: f64 = 0.1;

/// An issuer.
pub(super) struct Issuer {
    /// How long a token lives whose lifetime the issuer decides, in seconds.
    lifetime: u64,
    outages: Vec<Outage>,
    /// The live token of each credential, and its end.
    live: HashMap<String, (String, f64)>,
    requests: usize,
    tokens: usize,
}

impl Issuer {
    pub(super) fn new(lifetime: u64, outages: Vec<Outage>) -> Self {
        Self { lifetime, outages, live: HashMap::new(), requests: 0, tokens: 0 }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The answer to a request that was sent then.
    pub(super) fn answer(&mut self, planned: &PlannedRequest, at: f64) -> Result<TokenResponse, Failure> {
        self.requests += 1;
        if self.outages.iter().any(|outage| (outage.from..outage.to).contains(&at)) {
            let detail = "the issuer cannot be reached".to_owned();
            return Err(Failure { kind: FailureKind::Unavailable, detail, retry_after: None, status: None });
        }
        let (credential, seconds, keeps) = match &planned.request {
            // The same token is given until it is over.
            TokenRequest::Refresh(refresh) => {
                (refresh.consumer_key.expose().to_owned(), refresh.validity_seconds, true)
            }
            TokenRequest::ClientCredentials(client) => {
                let credential = client.shared_by.expose().to_owned();
                (credential, self.lifetime, planned.turn.is_some())
            }
            TokenRequest::Extend(_) | TokenRequest::LogIn(_) => ("session".to_owned(), self.lifetime, false),
        };
        let is_endless = seconds == 0;
        let live = self.live.get(&credential).filter(|(_, end)| keeps && *end > at).cloned();
        let (token, end) = live.unwrap_or_else(|| {
            self.tokens += 1;
            (format!("token {}", self.tokens), if is_endless { f64::INFINITY } else { at + seconds as f64 })
        });
        self.live.insert(credential, (token.clone(), end));
        let lifetime = if is_endless { Lifetime::Never } else { Lifetime::Seconds((end - at).round().max(0.0) as u64) };
        let is_pair = matches!(planned.request, TokenRequest::Extend(_) | TokenRequest::LogIn(_));
        let refresh_token = is_pair.then(|| Redacted::new(format!("{token}, to be extended")));
        Ok(TokenResponse {
            token: Redacted::new(token),
            refresh_token,
            lifetime,
            omissions: Omissions::default(),
            date: None,
        })
    }
}
