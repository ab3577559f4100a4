//! The list of incidents and alerts, over a store in memory.

use serde_json::json;

use super::*;
use crate::event::{Event, Id, Key, Subject};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Batch, Offer, Wanted};

struct Board {
    inbox: Arc<SqliteInbox>,
    stored: usize,
}

impl Board {
    fn new() -> Self {
        Self {
            inbox: Arc::new(SqliteInbox::in_memory()),
            stored: 0,
        }
    }

    /// An event of `subject` at `time`, with what it says of the incident or alert.
    fn offer(&mut self, (event_type, subject): (&str, &str), time: i64, says: &Value) -> Offer {
        self.stored += 1;
        let number = u128::try_from(self.stored).unwrap();
        let what = subject.split(':').next().unwrap();
        let body = json!({ "event_type": event_type, what: says });
        let event = Event {
            event_id: Some(Id::new(&number.to_string())),
            event_type: Id::new(event_type),
            event_time: Some(time),
            subject: Subject::parse(subject),
            ..Event::sample(body.to_string())
        };
        Offer {
            event: Arc::new(event),
            key: Some(Key(number.to_be_bytes())),
            moves_mark: true,
            wanted: Vec::<Wanted>::new().into(),
        }
    }

    async fn store(&self, offers: Vec<Offer>) {
        let batch = Batch {
            offers,
            ..Batch::default()
        };
        self.inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    }

    async fn ask(&self, query: &str) -> (u16, Value) {
        let inbox: Arc<dyn Inbox> = Arc::<SqliteInbox>::clone(&self.inbox);
        let router = router(Admin {
            streams: stream::none(&inbox),
            inbox,
            metrics: Metrics::new(),
            health: Arc::new(Nearly),
            hooks: Arc::new(Hooks),
            token: Arc::new(ArcSwapOption::from(None)),
            listen: "127.0.0.1:9090".parse().unwrap(),
            clock: Arc::new(FixedClock),
        });
        let request = request("GET", &format!("/api/v1/subjects?{query}"));
        let request = request.body(Body::empty()).unwrap();
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            serde_json::from_slice(&body).unwrap(),
        )
    }

    /// The subjects that a query shows in all its pages, and how many these are.
    async fn seen(&self, query: &str) -> (Vec<String>, usize) {
        let (mut seen, mut pages, mut asked) = (Vec::new(), 0, query.to_owned());
        loop {
            let (status, page) = self.ask(&asked).await;
            assert_eq!(status, 200, "{page}");
            pages += 1;
            let rows = page["items"].as_array().unwrap();
            let names = rows.iter().map(|row| row["subject"].as_str().unwrap());
            seen.extend(names.map(ToOwned::to_owned));
            match page["next_cursor"].as_str() {
                Some(cursor) => asked = format!("{query}&cursor={cursor}"),
                None => return (seen, pages),
            }
        }
    }
}

#[tokio::test]
async fn open_and_severity_select_by_the_newest_event_that_is_not_stale() {
    let mut board = Board::new();
    let says = |severity: &str, progress: &str| {
        json!({
            "title": "disk",
            "incident_severity": severity,
            "alert_severity": severity,
            "progress": progress,
        })
    };
    let (open, closed) = (says("Critical", "Triggered"), says("Critical", "Closed"));
    let offers = vec![
        board.offer(("i_new", "incident:a"), 1, &open),
        board.offer(("i_new", "incident:b"), 1, &open),
        board.offer(("i_rslv", "incident:b"), 2, &closed),
        board.offer(("i_rslv", "incident:c"), 2, &closed),
        // It comes last, and was overtaken.
        board.offer(("i_new", "incident:c"), 1, &open),
        board.offer(("a_new", "alert:d"), 1, &says("Warning", "Triggered")),
    ];
    board.store(offers).await;
    for (query, wanted) in [
        (
            "limit=9",
            vec!["alert:d", "incident:c", "incident:b", "incident:a"],
        ),
        ("open=true", vec!["alert:d", "incident:a"]),
        ("open=false", vec!["incident:c", "incident:b"]),
        (
            "severity=critical",
            vec!["incident:c", "incident:b", "incident:a"],
        ),
        ("severity=CRITICAL&open=true", vec!["incident:a"]),
        ("open=true&limit=1", vec!["alert:d", "incident:a"]),
        ("open=true&subject=incident:b", vec![]),
    ] {
        assert_eq!(board.seen(query).await.0, wanted, "{query}");
    }
    let (_, page) = board.ask("subject=incident:c").await;
    assert_eq!(page["items"][0]["last_seq"], 5);
    assert_eq!(page["items"][0]["last_event_type"], "i_rslv");
    let (status, problem) = board.ask("open=yes").await;
    assert_eq!(status, 400);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.ends_with("allowed: true, false"), "{detail}");
}

#[tokio::test]
async fn a_page_looks_at_no_more_than_it_may_and_the_next_ones_find_the_rest() {
    let mut board = Board::new();
    let mut open = Vec::new();
    for block in 0..5 {
        let mut offers = Vec::new();
        for number in block * 500..(block + 1) * 500 {
            let name = format!("incident:{number}");
            let progress = if number % 50 == 0 {
                "Triggered"
            } else {
                "Closed"
            };
            let says = json!({ "title": "disk", "progress": progress });
            offers.push(board.offer(("i_ack", &name), 1, &says));
            open.extend((number % 50 == 0).then_some(name));
        }
        board.store(offers).await;
    }
    open.reverse();
    for limit in [3, 500] {
        let (seen, pages) = board.seen(&format!("open=true&limit={limit}")).await;
        assert_eq!(seen, open);
        assert!(pages > 1, "it looked at all of them for one page");
    }
}
