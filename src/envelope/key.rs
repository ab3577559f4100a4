//! De-duplication keys: what makes two pushes the same event.
//!
//! Every field is hashed with its length and every kind of key under a name of its own, so that no
//! two different sets of fields can give the same bytes to the hash.

use sha2::{Digest as _, Sha256};

use super::Envelope;
use crate::event::{Event, Id, Key, Route};

/// The first half of the key of every event with this id, whatever its route.
///
/// Takes the id as the sender wrote it or as it is shown ([`Id`]); both give the same bytes.
pub fn id_prefix(raw_or_shown_id: &str) -> [u8; 8] {
    first_eight(hasher("event id").with(Id::new(raw_or_shown_id).as_str()))
}

impl Envelope {
    /// The event's key on `route`, or `None` when nothing tells it from another event.
    ///
    /// An id that stands inside the incident or alert may be theirs rather than the event's, so
    /// type and time join it; without a comparable time it proves nothing, and a second button
    /// press must stay a second command. Without any id the body stands for it, under the same
    /// condition.
    pub fn key(&self, route: &Route, body: &[u8]) -> Option<Key> {
        let of_route = |kind| {
            hasher(kind)
                .with_option(route.tag.as_deref())
                .with_option(route.query.as_deref())
        };
        let (prefix, rest) = match (&self.event_id, self.event_time) {
            (Some(id), _) if !self.nested_id => {
                (id_prefix(id.as_str()), of_route("event").with(id.as_str()))
            }
            (Some(id), Some(time)) => {
                let rest = of_route("event inside its subject").with(id.as_str());
                let rest = rest.with(self.event_type.as_str()).with(time.to_be_bytes());
                (id_prefix(id.as_str()), rest)
            }
            (None, Some(_)) => {
                let digest = Sha256::digest(body);
                (
                    first_eight(hasher("body").with(digest)),
                    of_route("body of an event").with(digest),
                )
            }
            (_, None) => return None,
        };
        Some(of_halves(prefix, first_eight(rest)))
    }
}

/// The key of an event that nothing tells from another one, when it comes out of the box of
/// unreadable pushes: that entry, once and for all. Its bytes and time are part of it, since another
/// store, which one spill may outlive, counts its entries from one again.
pub fn entry_key(entry: i64, event: &Event) -> Key {
    let rest = hasher("entry of the box")
        .with_option(event.route.tag.as_deref())
        .with_option(event.route.query.as_deref())
        .with(entry.to_be_bytes())
        .with(event.received_at.as_microsecond().to_be_bytes())
        .with(Sha256::digest(&event.body));
    let prefix = match &event.event_id {
        Some(id) => id_prefix(id.as_str()),
        None => first_eight(hasher("entry of the box, alone").with(entry.to_be_bytes())),
    };
    of_halves(prefix, first_eight(rest))
}

/// The same of one that comes out of the sender's history: that record, once and for all.
pub fn record_key(record: [u8; 16], event: &Event) -> Key {
    let rest = hasher("record of the history")
        .with_option(event.route.tag.as_deref())
        .with_option(event.route.query.as_deref())
        .with(record);
    let prefix = match &event.event_id {
        Some(id) => id_prefix(id.as_str()),
        None => first_eight(hasher("record of the history, alone").with(record)),
    };
    of_halves(prefix, first_eight(rest))
}

/// A SHA-256 over fields, each preceded by its length.
struct Fields(Sha256);

fn hasher(kind: &str) -> Fields {
    Fields(Sha256::new())
        .with("flashduty-receiver key 1")
        .with(kind)
}

impl Fields {
    fn with(mut self, field: impl AsRef<[u8]>) -> Self {
        let field = field.as_ref();
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
        self
    }

    /// Adds a field that may be missing, which is not the same as empty.
    fn with_option(self, field: Option<&str>) -> Self {
        match field {
            Some(field) => self.with([1]).with(field),
            None => self.with([0]),
        }
    }
}

fn of_halves(first: [u8; 8], second: [u8; 8]) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&first);
    key[8..].copy_from_slice(&second);
    Key(key)
}

fn first_eight(fields: Fields) -> [u8; 8] {
    let digest = fields.0.finalize();
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&digest[..8]);
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_box_has_a_key_of_its_own_that_stays_the_same() {
        let mut event = Event::sample("{}");
        event.event_id = None;
        let key = entry_key(1, &event);
        assert_eq!(entry_key(1, &event.clone()), key);
        assert_ne!(entry_key(2, &event), key, "another entry");
        let mut other = event.clone();
        other.received_at = "2026-05-04T10:00:00Z".parse().unwrap();
        assert_ne!(entry_key(1, &other), key, "an entry of another store");
        event.event_id = Some(Id::new("e"));
        let with_id = entry_key(1, &event);
        assert_eq!(with_id.0[..8], id_prefix("e"), "found by its id");
    }
}
