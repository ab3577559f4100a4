//! How old an event may be, at the edges.

use super::*;
use crate::event::Event;

/// Tells one time for ever.
struct Still(Timestamp);

impl crate::clock::Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

const NOW: i64 = 1_777_888_800_000;

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

/// Whether an event of this age is still delivered, its time being told or only its arrival known.
fn is_delivered(age: i64, ages: Ages, change: impl Fn(&mut Lease)) -> bool {
    let verdicts = [true, false].map(|told| {
        let mut event = Event::sample("{}");
        event.event_time = told.then_some(NOW - age);
        // What the event says of itself counts, not how long it took.
        event.received_at = time(if told { NOW } else { NOW - age });
        let mut lease = Lease::sample(1, event);
        change(&mut lease);
        let name: Arc<str> = Arc::from("s");
        let (begin, _begun) = mpsc::unbounded_channel();
        let sink = Arc::new(Scripted {
            ends: Mutex::default(),
            begun: begin,
            hold: None,
        });
        let dispatcher = Dispatcher::new(
            (Arc::clone(&name), SinkId(1)),
            settled_on(Plan { ages, ..plan(sink) }),
            Arc::new(Still(time(NOW))),
            Metrics::new().sink(&name),
        );
        let (wanted, settled) = dispatcher.sorted(vec![lease]);
        for settled in &settled {
            assert_eq!(settled.settlement, Settlement::Expired);
        }
        wanted.len() == 1
    });
    assert_eq!(verdicts[0], verdicts[1]);
    verdicts[0]
}

fn command(lease: &mut Lease) {
    Arc::make_mut(&mut lease.event).command = true;
}

#[test]
fn exactly_as_old_as_allowed_is_delivered_and_a_millisecond_more_is_not() {
    let event = |_: &mut Lease| {};
    assert!(is_delivered(3_600_000, AGES, event));
    assert!(!is_delivered(3_600_001, AGES, event));
    assert!(is_delivered(-60_000, AGES, event), "a clock that is ahead");
    assert!(is_delivered(600_000, AGES, command));
    assert!(!is_delivered(600_001, AGES, command));
    let ageless = Ages {
        event: None,
        ..AGES
    };
    assert!(is_delivered(NOW, ageless, event));
    assert!(!is_delivered(600_001, ageless, command));
    let brief = Ages {
        event: Some(Duration::from_secs(60)),
        ..AGES
    };
    assert!(is_delivered(60_000, brief, command));
    assert!(!is_delivered(60_001, brief, command), "the shorter counts");
}

#[test]
fn what_a_person_asks_for_again_has_no_age() {
    let replayed = |lease: &mut Lease| lease.replay = true;
    assert!(is_delivered(NOW, AGES, replayed));
    let pressed_again = |lease: &mut Lease| {
        command(lease);
        lease.replay = true;
    };
    assert!(is_delivered(NOW, AGES, pressed_again));
}

/// How a lease of the sample event ends when its attempt ends like this.
fn end(result: SinkError, change: impl Fn(&mut Lease)) -> Settlement {
    let mut event = Event::sample("{}");
    event.received_at = time(NOW - 30 * 86_400_000);
    let mut lease = Lease::sample(1, event);
    lease.replay = true;
    change(&mut lease);
    let name: Arc<str> = Arc::from("s");
    let (begin, _begun) = mpsc::unbounded_channel();
    let plan = plan(Arc::new(Scripted {
        ends: Mutex::default(),
        begun: begin,
        hold: None,
    }));
    let dispatcher = Dispatcher::new(
        (Arc::clone(&name), SinkId(1)),
        settled_on(plan.clone()),
        Arc::new(Still(time(NOW))),
        Metrics::new().sink(&name),
    );
    let (mut wanted, settled) = dispatcher.sorted(vec![lease]);
    let Some(lease) = wanted.pop() else {
        return settled[0].settlement.clone();
    };
    let ended = &mut attempt::Ended::default();
    let end = dispatcher.end(&plan, lease, Err(result), ended);
    end.unwrap().settlement
}

#[test]
fn a_command_that_is_replayed_is_carried_out_once_for_that() {
    let unknown = || SinkError::Unknown(Failure::new("no end within 10s"));
    assert!(matches!(end(unknown(), command), Settlement::Dead(_)));
    let interrupted = |lease: &mut Lease| {
        command(lease);
        lease.interrupted = true;
    };
    assert!(matches!(end(unknown(), interrupted), Settlement::Dead(_)));
    let no_command = |lease: &mut Lease| lease.interrupted = true;
    assert!(matches!(
        end(unknown(), no_command),
        Settlement::RetryAt(..)
    ));
}

#[test]
fn what_is_replayed_is_tried_as_long_as_what_is_new_whatever_its_age() {
    let busy = |attempt| {
        let failure = SinkError::Retry(Failure::new("busy"));
        end(failure, move |lease| lease.attempt = attempt)
    };
    assert!(matches!(busy(1), Settlement::RetryAt(..)));
    assert!(matches!(busy(200), Settlement::RetryAt(..)));
    assert!(matches!(busy(400), Settlement::Dead(_)));
}
