//! The keys that every sink has, whatever its type.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::duration;
use super::{condition, rate};
use crate::filter::Expression;
use crate::{dispatch, inbox};

/// How a sink's events are chosen and delivered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Delivery {
    /// Whether anything is delivered to it.
    pub enabled: bool,
    /// Which events it gets, in CEL; by default all.
    #[serde(
        serialize_with = "condition::serialize_option",
        deserialize_with = "condition::event",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "condition::OfEvent")]
    pub filter: Option<Arc<Expression>>,
    /// How events of one incident or alert follow one another.
    pub order: Order,
    /// Whether events that were overtaken by later ones are delivered too.
    pub include_stale: bool,
    /// Events older than this are not delivered any more; by default none is too old.
    #[serde(
        serialize_with = "duration::serialize_option",
        deserialize_with = "duration::deserialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "duration::Text", extend("x-min" = "1s", "x-max" = "3650d"))]
    pub max_age: Option<Duration>,
    /// Deliveries under way at the same time; absent where the type has no choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16", range(min = 1, max = 1000))]
    pub concurrency: Option<usize>,
    /// How long an attempt may take; absent where the type has no such limit.
    #[serde(
        serialize_with = "duration::serialize_option",
        deserialize_with = "duration::deserialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "duration::Text", extend("x-min" = "100ms", "x-max" = "1h"))]
    pub timeout: Option<Duration>,
    /// How many attempts there may be in which time, over all replicas.
    #[serde(
        serialize_with = "rate::serialize",
        deserialize_with = "rate::deserialize",
        skip_serializing_if = "<[_]>::is_empty"
    )]
    #[schemars(with = "rate::Texts")]
    pub rate: Arc<[inbox::Rate]>,
    /// When a failed delivery is tried again.
    pub retry: Retry,
    /// What becomes of an attempt whose end is unknown; the default depends on the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnInterrupt")]
    pub on_interrupt: Option<OnInterrupt>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            enabled: true,
            filter: None,
            order: Order::Subject,
            include_stale: false,
            max_age: None,
            concurrency: None,
            timeout: None,
            rate: Arc::default(),
            retry: Retry::default(),
            on_interrupt: None,
        }
    }
}

impl Delivery {
    /// Whether an attempt whose end is unknown is the last one.
    pub fn once(&self) -> bool {
        self.on_interrupt == Some(OnInterrupt::Dead)
    }
}

/// How events of one incident or alert follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// One at a time and in order.
    Subject,
    /// In order, and leaving out what a later one overtakes while it waits.
    Latest,
    /// As soon as there is room.
    None,
}

impl From<Order> for inbox::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Subject => Self::Subject,
            Order::Latest => Self::Latest,
            Order::None => Self::None,
        }
    }
}

/// When a failed delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retry {
    /// The longest wait after the first failure; doubles with each.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "10ms", "x-max" = "1h"))]
    pub initial: Duration,
    /// The longest wait at all.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "10ms", "x-max" = "1d"))]
    pub max: Duration,
    /// A delivery that is older is given up.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "30d"))]
    pub max_elapsed: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let dispatch::Retry {
            initial,
            max,
            max_elapsed,
        } = dispatch::Retry::default();
        Self {
            initial,
            max,
            max_elapsed,
        }
    }
}

impl From<Retry> for dispatch::Retry {
    fn from(retry: Retry) -> Self {
        Self {
            initial: retry.initial,
            max: retry.max,
            max_elapsed: retry.max_elapsed,
        }
    }
}

/// What becomes of an attempt whose end is unknown after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnInterrupt {
    /// It is made again.
    Retry,
    /// It is given up, for a person to decide.
    Dead,
}
