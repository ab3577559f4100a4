//! The numbers that stand for words in the tables, the same in every backend.

use super::INTERRUPTED;
use super::query::DeliveryState;
use crate::event::{Origin, Outcome};

pub(super) const OUTCOME_ACCEPTED: i16 = 1;
pub(super) const OUTCOME_STALE: i16 = 2;

/// What waits and what is leased: the lane says which.
pub(super) const STATE_PENDING: i16 = 0;
pub(super) const STATE_DELIVERED: i16 = 2;
pub(super) const STATE_DEAD: i16 = 3;
pub(super) const STATE_SUPERSEDED: i16 = 4;
pub(super) const STATE_EXPIRED: i16 = 5;
pub(super) const STATE_DROPPED: i16 = 6;

/// Why a delivery was superseded while it waited; PostgreSQL's migrations say the same.
pub(super) const A_LATER_ONE_WAITS: &str = "a later event waits";

pub(super) fn origin_number(origin: Origin) -> i16 {
    match origin {
        Origin::Push => 0,
        Origin::Recovered => 1,
        Origin::Replay => 2,
    }
}

pub(super) fn origin(number: i16) -> Origin {
    match number {
        1 => Origin::Recovered,
        2 => Origin::Replay,
        _ => Origin::Push,
    }
}

pub(super) fn outcome_number(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Accepted => OUTCOME_ACCEPTED,
        // Duplicates are not stored; asking for them finds nothing.
        Outcome::Duplicate => 0,
        Outcome::Stale => OUTCOME_STALE,
    }
}

pub(super) fn outcome(number: i16) -> Outcome {
    match number {
        OUTCOME_STALE => Outcome::Stale,
        _ => Outcome::Accepted,
    }
}

pub(super) fn state_number(state: DeliveryState) -> i16 {
    match state {
        DeliveryState::Pending | DeliveryState::Leased => STATE_PENDING,
        DeliveryState::Delivered => STATE_DELIVERED,
        DeliveryState::Dead => STATE_DEAD,
        DeliveryState::Superseded => STATE_SUPERSEDED,
        DeliveryState::Expired => STATE_EXPIRED,
        DeliveryState::Dropped => STATE_DROPPED,
    }
}

/// How many attempts were begun of those that leases counted: a lease under which a delivery turned
/// out to be too old, needless or interrupted began none.
pub(super) fn begun(counted: u32, state: DeliveryState, reason: Option<&str>) -> u32 {
    let ended_unbegun = match state {
        DeliveryState::Expired => true,
        // What waits is superseded without a lease.
        DeliveryState::Superseded => reason != Some(A_LATER_ONE_WAITS),
        DeliveryState::Dead => reason == Some(INTERRUPTED),
        _ => false,
    };
    counted.saturating_sub(u32::from(ended_unbegun))
}

pub(super) fn state(number: i16, leased: bool) -> DeliveryState {
    match number {
        STATE_DELIVERED => DeliveryState::Delivered,
        STATE_DEAD => DeliveryState::Dead,
        STATE_SUPERSEDED => DeliveryState::Superseded,
        STATE_EXPIRED => DeliveryState::Expired,
        STATE_DROPPED => DeliveryState::Dropped,
        _ if leased => DeliveryState::Leased,
        _ => DeliveryState::Pending,
    }
}
