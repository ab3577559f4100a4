//! What the box of unreadable pushes holds already: the sender's history gives once more what was
//! refused when it was pushed.

use std::collections::HashMap;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::event::Route;
use crate::inbox::query::{UnreadableFilter, UnreadableRow};
use crate::inbox::{Inbox, InboxError};

/// Rows that are listed at a time.
const PAGE: usize = 500;

/// Digests of bodies in the box, by their row; each is read once, and only beside one that is like it.
#[derive(Debug, Default)]
pub(super) struct InBox(Mutex<HashMap<i64, [u8; 32]>>);

impl InBox {
    /// Whether the box holds a push of `body` to `route`.
    pub(super) async fn has(
        &self,
        inbox: &dyn Inbox,
        route: &Route,
        body: &Bytes,
    ) -> Result<bool, InboxError> {
        let wanted: [u8; 32] = Sha256::digest(body).into();
        let mut digests = self.0.lock().await;
        // Rows that are gone are left behind.
        let mut before = std::mem::take(&mut *digests);
        let mut has = false;
        let mut cursor = None;
        loop {
            let filter = UnreadableFilter {
                cursor,
                ..UnreadableFilter::newest(PAGE)
            };
            let page = inbox.unreadables(filter).await?;
            for row in &page.items {
                let known = before.remove(&row.id);
                let digest = match known {
                    None if !has && is_like(row, route, body) => digest(inbox, row.id).await?,
                    known => known,
                };
                if let Some(digest) = digest {
                    digests.insert(row.id, digest);
                    has |= digest == wanted && is_like(row, route, body);
                }
            }
            cursor = page.next_cursor.and_then(|next| next.parse().ok());
            if cursor.is_none() {
                return Ok(has);
            }
        }
    }
}

fn is_like(row: &UnreadableRow, route: &Route, body: &Bytes) -> bool {
    usize::try_from(row.body_bytes) == Ok(body.len())
        && row.tag.as_deref() == route.tag.as_deref()
        && row.query.as_deref() == route.query.as_deref()
}

async fn digest(inbox: &dyn Inbox, id: i64) -> Result<Option<[u8; 32]>, InboxError> {
    let found = inbox.unreadable(id).await?;
    Ok(found.map(|(_, body)| Sha256::digest(&body).into()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::inbox::sqlite::SqliteInbox;
    use crate::inbox::{Unreadable, UnreadableBounds};

    fn route(tag: &str) -> Route {
        Route {
            tag: (!tag.is_empty()).then(|| tag.into()),
            query: None,
        }
    }

    async fn keep(inbox: &SqliteInbox, tag: &str, body: &'static str, count: usize) {
        let unreadable = Unreadable {
            received_at: Timestamp::UNIX_EPOCH,
            reason: "no JSON".to_owned(),
            route: route(tag),
            source_ip: None,
            peer_ip: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let bounds = UnreadableBounds {
            count,
            bytes: 1 << 20,
        };
        let kept = inbox.keep_unreadable(vec![unreadable], bounds).await;
        kept.unwrap();
    }

    #[tokio::test]
    async fn what_is_in_the_box_is_found_by_route_and_bytes_as_long_as_it_is_there() {
        let inbox = SqliteInbox::in_memory();
        let (known, body) = (InBox::default(), Bytes::from_static(b"a"));
        let has = async |tag: &str, body: &Bytes| {
            let found = known.has(&inbox, &route(tag), body).await;
            found.unwrap()
        };
        assert!(!has("", &body).await);
        keep(&inbox, "", "a", 2000).await;
        // Further down than one page.
        for _ in 0..1100 {
            keep(&inbox, "", "b", 2000).await;
        }
        for _ in 0..2 {
            assert!(has("", &body).await);
            assert!(!has("ops", &body).await, "to another route");
            assert!(!has("", &Bytes::from_static(b"c")).await, "of that length");
        }
        assert_eq!(known.0.lock().await.len(), 1101);
        keep(&inbox, "ops", "a", 1).await;
        assert!(!has("", &body).await, "it had to go");
        assert!(has("ops", &body).await);
        assert_eq!(known.0.lock().await.len(), 1);
    }
}
