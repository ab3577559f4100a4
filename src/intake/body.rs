//! Reading a body within its bounds: size, time, and the memory that large ones share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use memmap2::MmapMut;

/// Bodies up to this size need no share of the budget: the number of connections bounds them.
const FREE_OF_CHARGE: usize = 64 << 10;

/// A larger body is charged in steps of this size.
const STEP: usize = 64 << 10;

/// What an event takes beside its body, roughly.
const EVENT_COST: u64 = 1 << 10;

/// Memory that large bodies share, and as much again for what clients that hung up left behind.
#[derive(Debug, Default)]
pub struct Budget {
    used: AtomicU64,
    left_behind: AtomicU64,
}

/// A body's part of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
    left_behind: u64,
}

impl Share {
    fn none(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
            left_behind: 0,
        }
    }

    /// The body of `bytes` goes on without its connection, whose number therefore bounds it no
    /// longer.
    pub(super) fn leave_behind(&mut self, bytes: usize) {
        self.left_behind = bytes as u64 + EVENT_COST;
        self.budget
            .left_behind
            .fetch_add(self.left_behind, Ordering::Relaxed);
    }

    /// Grows to `bytes`, unless all shares would then exceed `limit`. One that does not fit gives
    /// back all it has in the same step: of two that do not fit together, one is refused.
    fn grow_to(&mut self, bytes: u64, limit: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let fits = |used: u64| used + more <= limit;
        let next = |used: u64| {
            if fits(used) {
                used + more
            } else {
                used - self.bytes
            }
        };
        let used = &self.budget.used;
        let before = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(next(used))
        });
        let fitted = before.is_ok_and(fits);
        self.bytes = if fitted { self.bytes + more } else { 0 };
        fitted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget
            .left_behind
            .fetch_sub(self.left_behind, Ordering::Relaxed);
    }
}

/// The bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_body: u64,
    pub(super) max_inflight: u64,
    pub(super) timeout: Duration,
}

/// Why there is no whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    NoMemory,
    Aborted,
}

/// Reads all of `body`. The share is held for as long as the bytes are; it grows with what came:
/// who only announces much takes nothing from others.
pub(super) async fn read(
    mut body: Body,
    bounds: Bounds,
    budget: &Arc<Budget>,
) -> Result<(Bytes, Share), BodyError> {
    if body.size_hint().lower() > bounds.max_body {
        return Err(BodyError::TooLarge);
    }
    if budget.left_behind.load(Ordering::Relaxed) > bounds.max_inflight {
        return Err(BodyError::NoMemory);
    }
    tokio::time::timeout(bounds.timeout, collect(&mut body, bounds, budget))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(
    body: &mut Body,
    bounds: Bounds,
    budget: &Arc<Budget>,
) -> Result<(Bytes, Share), BodyError> {
    let mut share = Share::none(budget);
    let mut room = Room::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Aborted)?.into_data() else {
            continue;
        };
        let length = room.length() + data.len();
        let rest = body.size_hint();
        let announced = (length as u64).saturating_add(rest.lower());
        if announced > bounds.max_body {
            return Err(BodyError::TooLarge);
        }
        // One that announces more is charged from its first bytes on, and refused with those where
        // there is no memory. The largest that is allowed fits alone.
        let charged = (length.next_multiple_of(STEP) as u64).min(bounds.max_inflight);
        if announced > FREE_OF_CHARGE as u64 && !share.grow_to(charged, bounds.max_inflight) {
            return Err(BodyError::NoMemory);
        }
        // Copied, so that the connection's read buffer is free again at once.
        room.add(&data, announced)
            .map_err(|_| BodyError::NoMemory)?;
    }
    Ok((room.into_bytes(), share))
}

/// What came of a body.
enum Room {
    Small(Vec<u8>),
    /// Mapped for itself: pages that nothing was written to take no memory, and all of them are
    /// given back with the body, while blocks of the heap leave holes that the next does not fit.
    Large {
        map: MmapMut,
        length: usize,
    },
}

impl Default for Room {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Room {
    fn length(&self) -> usize {
        match self {
            Self::Small(bytes) => bytes.len(),
            Self::Large { length, .. } => *length,
        }
    }

    /// Adds what came of a body that will have at least `announced` bytes in all.
    fn add(&mut self, data: &[u8], announced: u64) -> io::Result<()> {
        let announced = usize::try_from(announced).map_err(io::Error::other)?;
        if let Self::Small(bytes) = self
            && announced <= FREE_OF_CHARGE
        {
            if bytes.capacity() < announced {
                bytes.reserve_exact(announced - bytes.len());
            }
            bytes.extend_from_slice(data);
            return Ok(());
        }
        let (before, end) = (self.length(), self.length() + data.len());
        if let Self::Large { map, length } = self
            && let Some(place) = map.get_mut(before..end)
        {
            place.copy_from_slice(data);
            *length = end;
            return Ok(());
        }
        // The first time, or one whose length is not announced became longer.
        let mut map = MmapMut::map_anon(announced.max(before.saturating_mul(2)))?;
        map[..before].copy_from_slice(self.bytes());
        map[before..end].copy_from_slice(data);
        *self = Self::Large { map, length: end };
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large { map, length } => &map[..*length],
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Small(bytes) => Bytes::from(bytes),
            large @ Self::Large { .. } => Bytes::from_owner(large),
        }
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_body: 100 << 10,
        max_inflight: 150 << 10,
        timeout: Duration::from_secs(5),
    };

    async fn read_bytes(size: usize, budget: &Arc<Budget>) -> Result<(Bytes, Share), BodyError> {
        read(Body::from(vec![b'x'; size]), BOUNDS, budget).await
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() {
        let budget = Arc::default();
        let (bytes, _share) = read_bytes(100 << 10, &budget).await.unwrap();
        assert_eq!(bytes.len(), 100 << 10);
        let refused = read_bytes((100 << 10) + 1, &budget).await.unwrap_err();
        assert_eq!(refused, BodyError::TooLarge);
    }

    #[tokio::test]
    async fn large_bodies_share_memory_and_small_ones_do_not_count() {
        let budget: Arc<Budget> = Arc::default();
        let held = read_bytes(100 << 10, &budget).await.unwrap();
        assert_eq!(
            read_bytes(70 << 10, &budget).await.unwrap_err(),
            BodyError::NoMemory
        );
        let _small = read_bytes(64 << 10, &budget).await.unwrap();
        drop(held);
        let _fits = read_bytes(70 << 10, &budget).await.unwrap();
    }

    #[tokio::test]
    async fn small_bodies_whose_clients_hung_up_count_until_they_are_stored() {
        let budget: Arc<Budget> = Arc::default();
        let mut left: Vec<Share> = Vec::new();
        while let Ok((bytes, mut share)) = read_bytes(10 << 10, &budget).await {
            share.leave_behind(bytes.len());
            left.push(share);
            assert!(left.len() < 100, "nothing bounds them");
        }
        assert_eq!(left.len(), 14, "150 KiB of 11 KiB each");
        drop(left);
        let _fits = read_bytes(10 << 10, &budget).await.unwrap();
    }

    #[test]
    fn of_two_that_do_not_fit_together_only_one_is_refused() {
        let budget = Arc::default();
        let (mut one, mut other) = (Share::none(&budget), Share::none(&budget));
        assert!(one.grow_to(75, 150) && other.grow_to(75, 150));
        assert!(!one.grow_to(76, 150), "no room");
        // Before the first one's bytes are gone.
        assert!(other.grow_to(150, 150), "all of it is free");
        drop((one, other));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn all_memory_is_given_back() {
        let budget: Arc<Budget> = Arc::default();
        drop(read_bytes(100 << 10, &budget).await);
        drop(read_bytes(101 << 10, &budget).await);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_is_charged_for_what_came_and_not_for_what_it_announces() {
        let budget: Arc<Budget> = Arc::default();
        let bounds = Bounds {
            max_inflight: 200 << 10,
            ..BOUNDS
        };
        let charged = async |came: usize| {
            let body = Body::new(Frames {
                sizes: vec![came],
                announced: Some(100 << 10),
            });
            let mut half = Box::pin(read(body, bounds, &budget));
            let pending = poll_fn(|cx| Poll::Ready(half.as_mut().poll(cx).is_pending())).await;
            assert!(pending);
            (half, budget.used.load(Ordering::Relaxed))
        };
        let (slow, used) = charged(1 << 10).await;
        assert_eq!(used, 64 << 10);
        let (half, used) = charged(20 << 10).await;
        assert_eq!(used, 128 << 10);
        let refused = read(Body::from(vec![b'x'; 100 << 10]), bounds, &budget)
            .await
            .unwrap_err();
        assert_eq!(refused, BodyError::NoMemory);
        drop(half);
        let _fits = read(Body::from(vec![b'x'; 100 << 10]), bounds, &budget)
            .await
            .unwrap();
        drop(slow);
    }

    #[tokio::test]
    async fn a_body_that_comes_in_pieces_is_charged_in_steps_of_what_came() {
        let budget: Arc<Budget> = Arc::default();
        let body = Body::new(Frames {
            sizes: vec![8 << 10; 12],
            announced: Some(96 << 10),
        });
        let (bytes, _share) = read(body, BOUNDS, &budget).await.unwrap();
        assert_eq!(bytes.len(), 96 << 10);
        assert_eq!(budget.used.load(Ordering::Relaxed), 128 << 10);
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_charged_for_its_room() {
        let budget: Arc<Budget> = Arc::default();
        let body = Body::new(Frames {
            sizes: vec![20 << 10, 60 << 10],
            announced: None,
        });
        let (bytes, _share) = read(body, BOUNDS, &budget).await.unwrap();
        assert_eq!(bytes.len(), 80 << 10);
        assert_eq!(budget.used.load(Ordering::Relaxed), 128 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_half_way_is_given_up() {
        let budget = Arc::default();
        let body = Body::new(Frames {
            sizes: vec![1 << 10],
            announced: Some(2 << 10),
        });
        assert_eq!(
            read(body, BOUNDS, &budget).await.unwrap_err(),
            BodyError::TooSlow
        );
    }

    /// Frames from the last to the first; one that announced more then waits for ever.
    struct Frames {
        sizes: Vec<usize>,
        announced: Option<u64>,
    }

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let Some(size) = self.sizes.pop() else {
                return match self.announced {
                    Some(1..) => Poll::Pending,
                    _ => Poll::Ready(None),
                };
            };
            self.announced = self.announced.map(|rest| rest - size as u64);
            Poll::Ready(Some(Ok(http_body::Frame::data(vec![b'x'; size].into()))))
        }

        fn size_hint(&self) -> http_body::SizeHint {
            self.announced
                .map_or_else(http_body::SizeHint::new, http_body::SizeHint::with_exact)
        }
    }
}
