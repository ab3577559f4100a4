//! Wrong bearer tokens: how many an address may send in a minute, and how many of them are told of.
//!
//! Only who is refused anyway is refused for their number. The right token is taken from every
//! address, so that nobody can lock out others who come from the same one.

use std::time::Duration;

use axum::response::{IntoResponse, Response};

use super::access::Refusal;
use crate::intake::Refusals;
use crate::source::Peer;

const MINUTE: Duration = Duration::from_secs(60);

/// What is remembered of wrong tokens, within bounds.
pub(super) struct Guesses {
    /// Those answered as what they are: ten a minute from one address.
    answered: Refusals,
    /// Those in the log: one a minute from one address.
    told: Refusals,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self {
            answered: Refusals::new(10, 1000, MINUTE),
            told: Refusals::new(1, 100, MINUTE),
        }
    }

    /// The answer to a request that was refused.
    pub(super) fn refuse(&self, refusal: Refusal, peer: Option<&Peer>) -> Response {
        if refusal != Refusal::TokenWrong {
            return refusal.into_response();
        }
        let peer = peer.map(|peer| peer.socket);
        if let Some(suppressed) = self.told.admit(peer) {
            tracing::warn!(
                peer_ip = peer.map(tracing::field::display),
                suppressed = (suppressed > 0).then_some(suppressed),
                "a request to the API was refused: its bearer token is not the admin token"
            );
        }
        match self.answered.admit(peer) {
            Some(_) => refusal.into_response(),
            None => Refusal::TooManyWrong.into_response(),
        }
    }
}
