//! What the console asks for, of a store that holds much of everything: how it is filled, and how long
//! each answer takes.
//!
//! The requests are those of the scripts in `src/admin/console/assets`, with every filter that the pages
//! offer: what is found at once, what is found rarely or far back, and what is nowhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::envelope::id_prefix;
use flashduty_receiver::event::{Event, Id, Key, Origin, Route, Seq, Subject};
use flashduty_receiver::inbox::{
    Audit, Batch, Change, Claim, Inbox, Lease, Offer, Order, Settled, Settlement, SinkId,
    Unreadable, UnreadableBounds, Wanted, What,
};
use jiff::{SignedDuration, Timestamp};

use crate::http::{Client, SENDER};
use crate::receiver::{PATIENCE, Receiver, count};

/// How often each request is repeated, behind a first time that is not counted.
const TIMES: usize = 5;
/// Pages of a list that are asked for, one behind the other.
const PAGES: usize = 10;
/// Events of one transaction.
const TOGETHER: usize = 2_000;
/// What the events are spread over.
const DAYS: i64 = 5;
/// The incident of every tenth event.
const HOT: &str = "664af0000000000000000001";
/// An address that sent one event, long ago.
const RARE: &str = "203.0.113.7";

/// What an answer may take. A build without optimization reads bodies many times as slowly.
fn bearable() -> Duration {
    Duration::from_millis(count(500, 200) as u64)
}

/// The sinks of the stored deliveries; the receiver has only the first of them.
#[derive(Clone, Copy)]
struct Sinks {
    log: SinkId,
    /// Takes most, and gives up the rest.
    hook: SinkId,
    /// Takes nothing.
    slow: SinkId,
}

/// Stores so many events of five days: each delivered to the log and delivered to, or given up at,
/// another sink; every tenth waits for a third. Beside them a full box of unreadable pushes, and an
/// audit.
pub(crate) async fn fill(inbox: &dyn Inbox, events: usize) {
    let sinks = Sinks {
        log: inbox.sink("log").await.unwrap(),
        hook: inbox.sink("hook").await.unwrap(),
        slow: inbox.sink("slow").await.unwrap(),
    };
    let begun = SystemClock.now() - SignedDuration::from_hours(24 * DAYS);
    let mut settled = Vec::new();
    let mut stored = 0;
    // Once all are stored, until all that were claimed are settled.
    while stored < events || !settled.is_empty() {
        let until = events.min(stored + TOGETHER);
        let offers = (stored..until).map(|number| offer((number, events), begun, sinks));
        let claim = |sink| Claim::new(sink, TOGETHER, Duration::from_secs(600));
        let batch = Batch {
            settled: std::mem::take(&mut settled),
            offers: offers.collect(),
            claims: vec![claim(sinks.log), claim(sinks.hook)],
            ..Batch::default()
        };
        let committed = inbox.commit(Arc::new(batch), SystemClock.now()).await;
        let committed = committed.unwrap();
        assert!(committed.lost.is_empty(), "{:?}", committed.lost);
        let leases = committed.leases.into_iter();
        settled = leases.map(|lease| settle(lease, sinks)).collect();
        stored = until;
    }
    fill_box(inbox).await;
    fill_audit(inbox, sinks.slow).await;
}

fn settle(lease: Lease, sinks: Sinks) -> Settled {
    let given_up = lease.sink == sinks.hook && lease.seq.0 % 4 == 0;
    lease.settle(match given_up {
        true => Settlement::Dead("the other side answered 500".to_owned()),
        false => Settlement::Delivered,
    })
}

async fn fill_box(inbox: &dyn Inbox) {
    let unreadable = (0..1_000).map(|number| Unreadable {
        received_at: SystemClock.now(),
        reason: format!("expected value at line 1 column {number}"),
        route: Route::default(),
        source_ip: Some(SENDER.parse().unwrap()),
        peer_ip: Some([127, 0, 0, 1].into()),
        body: Bytes::from("{".repeat(2_000)),
    });
    let bounds = UnreadableBounds {
        count: 1_000,
        bytes: 64 << 20,
    };
    let kept = inbox.keep_unreadable(unreadable.collect(), bounds).await;
    kept.unwrap();
}

async fn fill_audit(inbox: &dyn Inbox, sink: SinkId) {
    for number in 1..=count(20, 500) {
        let change = Change {
            seq: Seq(i64::try_from(number).unwrap()),
            sink,
            what: What::Drop,
        };
        let audit = Audit {
            who: "127.0.0.1".to_owned(),
            action: "drop",
            selector: format!("seq={number}"),
            reason: "a test".to_owned(),
        };
        let now = SystemClock.now();
        inbox.change(vec![change], audit, now).await.unwrap();
    }
}

/// The event with this number, of so many.
fn offer((number, events): (usize, usize), begun: Timestamp, sinks: Sinks) -> Offer {
    let subject = match number % 10 {
        0 => HOT.to_owned(),
        1..=4 => format!("alone-{number}"),
        _ => format!("group-{}", number / 40),
    };
    let place = i64::try_from(number).unwrap() * DAYS * 86_400_000 / i64::try_from(events).unwrap();
    let received_at = begun + SignedDuration::from_millis(place);
    let kind = match number {
        7 => "i_custom",
        _ => ["i_new", "i_ack", "i_comm", "i_assign"][number % 4],
    };
    let source = if number == 7 { RARE } else { SENDER };
    let overtaken = number % 100 == 99;
    let id = format!("event-{number}");
    let mut key = [0; 16];
    key[..8].copy_from_slice(&id_prefix(&id));
    key[8..].copy_from_slice(&(number as u64).to_be_bytes());
    let mut wanted = vec![wants(sinks.log), wants(sinks.hook)];
    if number.is_multiple_of(10) {
        wanted.push(wants(sinks.slow));
    }
    Offer {
        event: Arc::new(Event {
            event_id: Some(Id::new(&id)),
            event_type: Id::new(kind),
            event_time: Some(match overtaken {
                true => 1_600_000_000_000,
                false => received_at.as_millisecond(),
            }),
            subject: Some(Subject::Incident(Id::new(&subject))),
            route: Route::default(),
            command: false,
            source_ip: Some(source.parse().unwrap()),
            peer_ip: Some([127, 0, 0, 1].into()),
            received_at,
            origin: Origin::Push,
            trace_parent: None,
            body: body(number, events),
        }),
        key: Some(Key(key)),
        moves_mark: true,
        wanted: wanted.into(),
    }
}

/// Each on its own, so that a claim gets all at once.
fn wants(sink: SinkId) -> Wanted {
    Wanted {
        sink,
        order: Order::None,
        fresh: true,
        stale: true,
    }
}

/// As long as a usual push. One in fifty says that somebody works on it still; five of all hold a text
/// that is in no other.
fn body(number: usize, events: usize) -> Bytes {
    let severity = ["Critical", "Warning", "Info"][number % 3];
    let progress = match number % 50 {
        0 => "Triggered",
        _ => "Closed",
    };
    let said = match number % (events / 5).max(1) {
        3 => "a needle in it; ",
        _ => "the storage tier is filling up; ",
    };
    let filler = said.repeat(36);
    Bytes::from(format!(
        r#"{{"event_id":"event-{number}","incident":{{"title":"disk {number} almost full","incident_severity":"{severity}","progress":"{progress}","description":"{filler}"}}}}"#
    ))
}

/// Every request of the console to a receiver with such a store.
fn requests(receiver: &Receiver) -> Vec<String> {
    let status = receiver.api("/api/v1/status").json();
    let last = status["inbox"]["last_seq"].as_i64().unwrap();
    let middle = receiver.api(&format!("/api/v1/events?limit=1&cursor={}", last / 2));
    let middle = middle.json()["items"][0].clone();
    let [seq, id, subject] = ["seq", "event_id", "subject"].map(|name| {
        let value = middle[name].to_string();
        value.trim_matches('"').to_owned()
    });
    let pages = ["/", "/console/app.js", "/console/words.json", "/metrics"];
    let api = [
        "status series spilled?event_id=event-1 audit?limit=100".to_owned(),
        format!("events/{seq} events/{seq}/body"),
        "unreadable?limit=100 unreadable/1 unreadable/1/body".to_owned(),
        listed(
            "subjects?limit=50",
            &format!(
                " &open=true &open=false &severity=critical &severity=nowhere &open=true&cursor={seq}"
            ),
        ),
        format!("subjects/incident:{HOT}?limit=100 subjects/{subject}?limit=100"),
        listed(
            "deliveries?limit=500",
            &format!(" &subject=incident:{HOT} &subject={subject} &subject=incident:nowhere"),
        ),
        listed(
            "events?limit=100",
            &format!(
                " &cursor={seq} &event_id={id} &event_id=nowhere &subject=incident:{HOT} \
                 &subject={subject} &subject=incident:{HOT}&outcome=duplicate \
                 &event_type=i_ack &event_type=i_custom &outcome=stale &outcome=duplicate \
                 &since=1h &since=7d &until=4d &since=3d&until=2d &since=3d&event_type=i_custom \
                 &source={SENDER} &source={RARE} &source=198.51.100.0/24 \
                 &text=storage &text=needle &text=nowhere &text=nowhere&outcome=stale \
                 &text=nowhere&subject=incident:{HOT} &text=nowhere&since=1h"
            ),
        ),
        listed(
            "deliveries?limit=100",
            &format!(
                "&state=dead &state=expired &state=pending &state=leased &state=delivered \
                 &state=superseded &state=dropped &state=dead&sink=hook \
                 &state=dead&sink=hook&cursor={seq} &state=dead&sink=log &state=pending&sink=slow \
                 &state=dropped&sink=slow &state=dead&event_type=i_custom \
                 &state=dead&sink=hook&event_type=i_custom &state=dead&event_id={id} \
                 &state=dead&since=1h &state=dead&until=4d &state=dead&sink=hook&until=4d \
                 &state=dead&subject=incident:{HOT}"
            ),
        ),
    ];
    let api = api.iter().flat_map(|paths| paths.split_whitespace());
    let api = api.map(|path| format!("/api/v1/{path}"));
    pages.map(str::to_owned).into_iter().chain(api).collect()
}

/// The list alone and with each of `filters`, which are apart by blanks; one that begins with a blank
/// stands for the list itself, too.
fn listed(list: &str, filters: &str) -> String {
    let alone = filters.starts_with(' ').then_some("");
    let all = alone.into_iter().chain(filters.split_whitespace());
    let paths: Vec<String> = all.map(|filter| format!("{list}{filter}")).collect();
    paths.join(" ")
}

/// How long the answers took.
pub(crate) struct Answered {
    requests: usize,
    pages: usize,
    /// With the requests, the fastest first.
    took: Vec<(Duration, String)>,
}

impl Answered {
    /// Asks for everything: each request, and each page that follows one, once and then to be counted.
    /// A time is that of one client on a kept connection, from its first byte to the answer's last.
    pub(crate) fn by(receiver: &Receiver) -> Self {
        let mut client = Client::connect(receiver.admin, PATIENCE).unwrap();
        let mut answered = Self {
            requests: 0,
            pages: 0,
            took: Vec::new(),
        };
        for request in requests(receiver) {
            answered.requests += 1;
            let mut next = answered.ask(&mut client, &request, TIMES);
            for _ in 1..PAGES {
                let Some(cursor) = next else {
                    break;
                };
                let page = behind(&request, &cursor);
                answered.pages += 1;
                next = answered.ask(&mut client, &page, 1);
            }
        }
        answered.took.sort();
        answered
    }

    /// Where the next page begins, if there is one.
    fn ask(&mut self, client: &mut Client, path: &str, times: usize) -> Option<String> {
        let mut next = None;
        for time in 0..=times {
            let begun = Instant::now();
            let answer = client.get(path).unwrap();
            let took = begun.elapsed();
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            if time > 0 {
                self.took.push((took, path.to_owned()));
            }
            let answer = answer.json();
            // Of a subject, it is the events that go on.
            let cursor = [&answer["next_cursor"], &answer["events"]["next_cursor"]];
            let cursor = cursor.iter().find_map(|cursor| cursor.as_str());
            next = cursor.map(str::to_owned);
        }
        next
    }

    /// None took too long; in words, what they took.
    pub(crate) fn are_soon(&self) -> String {
        let bearable = bearable();
        let late: Vec<_> = self
            .took
            .iter()
            .filter(|(took, _)| *took >= bearable)
            .collect();
        assert!(late.is_empty(), "longer than {bearable:?}: {late:#?}");
        let (median, _) = &self.took[self.took.len() / 2];
        let (slowest, path) = self.took.last().unwrap();
        format!(
            "{} requests {TIMES} times each and {} pages behind them, each after a first time: \
             median {median:.1?}, slowest {slowest:.1?} of {path}",
            self.requests, self.pages
        )
    }
}

/// The same list from `cursor` on.
fn behind(request: &str, cursor: &str) -> String {
    let (list, query) = request.split_once('?').unwrap_or((request, ""));
    let filters = query.split('&').filter(|pair| !pair.starts_with("cursor="));
    let filters: Vec<&str> = filters.filter(|pair| !pair.is_empty()).collect();
    format!("{list}?{}&cursor={cursor}", filters.join("&"))
}
