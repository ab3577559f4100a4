//! What a sink wants of an event, known before the event is judged.

use super::SinkId;

/// One sink that wants an event, decided by routing before the event is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which sink.
    pub sink: SinkId,
    /// How its deliveries of one subject follow one another.
    pub order: Order,
    /// Whether it wants the event when it turns out accepted.
    pub fresh: bool,
    /// Whether it wants the event when it turns out stale.
    pub stale: bool,
}

impl Wanted {
    /// Whether it wants the event when it turns out `stale`, or else accepted.
    pub fn wants(&self, stale: bool) -> bool {
        if stale { self.stale } else { self.fresh }
    }
}

/// How deliveries of one subject follow one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// One at a time and in order.
    #[default]
    Subject,
    /// As [`Order::Subject`], but one that a later one overtakes while it waits is not made.
    Latest,
    /// As soon as there is room, each on its own.
    None,
}
