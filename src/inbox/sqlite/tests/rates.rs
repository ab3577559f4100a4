//! Rates, beside a model that keeps every attempt there ever was.

use super::*;
use crate::inbox::{Lease, Rate};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Offer,
    Claim(usize),
    /// One of those that run ends.
    End(usize, How),
}

#[derive(Debug, Clone, Copy)]
enum How {
    Delivered,
    /// To be tried again so many milliseconds later.
    Retry(i64),
    /// Never begun.
    Released,
}

/// Times are milliseconds.
struct Model<'a> {
    rates: &'a [Rate],
    /// When each delivery that waits is due.
    waiting: Vec<i64>,
    /// When each attempt that was made ended.
    ended: Vec<i64>,
    running: usize,
}

impl Model<'_> {
    /// How many may begin at `now`: an attempt counts until a window after its end.
    fn allowed(&self, now: i64) -> usize {
        let left = self.rates.iter().map(|rate| {
            let window = i64::try_from(rate.window.as_millis()).unwrap();
            let counts = self.ended.iter().filter(|&&ended| ended + window > now);
            (rate.count as usize).saturating_sub(self.running + counts.count())
        });
        left.min().unwrap()
    }

    fn claim(&mut self, now: i64, slots: usize) -> usize {
        self.waiting.sort_unstable();
        let due = self.waiting.partition_point(|&due| due <= now);
        let begun = slots.min(due).min(self.allowed(now));
        self.waiting.drain(..begun);
        self.running += begun;
        begun
    }

    /// How the attempt ends, told to the model and in the inbox's words.
    fn end(&mut self, now: i64, how: How) -> Settlement {
        self.running -= 1;
        match how {
            How::Delivered => self.ended.push(now),
            How::Retry(after) => {
                self.ended.push(now);
                self.waiting.push(now + after);
            }
            How::Released => self.waiting.push(now),
        }
        match how {
            How::Delivered => Settlement::Delivered,
            How::Retry(after) => Settlement::RetryAt(time(now + after), "busy".to_owned()),
            How::Released => Settlement::Released,
        }
    }

    /// When something could next begin, if nothing happens before.
    fn next(&self, now: i64) -> Option<i64> {
        let windows = self.rates.iter().flat_map(|rate| {
            let window = i64::try_from(rate.window.as_millis()).unwrap();
            self.ended.iter().map(move |ended| ended + window)
        });
        let due = *self.waiting.iter().min()?;
        let mut times: Vec<i64> = windows.chain([due, now]).collect();
        times.retain(|&at| at >= now.max(due));
        times.sort_unstable();
        times.into_iter().find(|&at| self.allowed(at) > 0)
    }
}

fn time(milliseconds: i64) -> jiff::Timestamp {
    at(0) + Duration::from_millis(u64::try_from(milliseconds).unwrap())
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let how = prop_oneof![
        Just(How::Delivered),
        (0..2_000_i64).prop_map(How::Retry),
        Just(How::Released),
    ];
    let step = prop_oneof![
        Just(Step::Offer),
        (1..5_usize).prop_map(Step::Claim),
        (0..8_usize, how).prop_map(|(which, how)| Step::End(which, how)),
    ];
    // All of it is over before a lease ends by itself.
    prop::collection::vec((0..1_000_i64, step), 1..60)
}

fn rates() -> impl Strategy<Value = Vec<Rate>> {
    let rate = (1..5_u32, 1..5_000_u64).prop_map(|(count, window)| Rate {
        count,
        window: Duration::from_millis(window),
    });
    prop::collection::vec(rate, 1..3)
}

async fn compare(rates: &[Rate], steps: Vec<(i64, Step)>) {
    let inbox = SqliteInbox::open(options(Location::Memory)).unwrap();
    let sink = inbox.sink("s").await.unwrap();
    let mut model = Model {
        rates,
        waiting: Vec::new(),
        ended: Vec::new(),
        running: 0,
    };
    let mut ids = IDS.iter();
    let mut leases: Vec<Lease> = Vec::new();
    let mut now = 0;
    for (after, step) in steps {
        now += after;
        let mut batch = Batch::default();
        match step {
            Step::Offer => {
                let Some(id) = ids.next() else { continue };
                batch.offers.push(event(id).alone().to(sink).offer());
                model.waiting.push(now);
            }
            Step::Claim(slots) => batch.claims.push(Claim {
                rates: rates.into(),
                ..Claim::new(sink, slots, TTL)
            }),
            Step::End(_, _) if leases.is_empty() => continue,
            Step::End(which, how) => {
                let lease = leases.swap_remove(which % leases.len());
                batch.settled.push(lease.settle(model.end(now, how)));
            }
        }
        let committed = inbox.commit(Arc::new(batch), time(now)).await.unwrap();
        let Step::Claim(slots) = step else { continue };
        let begun = model.claim(now, slots);
        assert_eq!(committed.leases.len(), begun, "at {now} ms");
        leases.extend(committed.leases);
        if let (true, Some(next)) = (begun < slots, model.next(now)) {
            let told = committed.next_due[0].1.expect("something waits");
            assert!(told <= time(next), "told {told}, but due at {next} ms");
        }
    }
    inbox.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_claim_gets_exactly_what_the_rates_leave(rates in rates(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(&rates, steps));
    }
}
