//! A fake of the sender: it pushes by its real rules, remembers every attempt, and answers for them.
//!
//! Its rules: an answer counts within a second and when it is 200; a connection that is closed or
//! cannot be made in time is tried once more, nothing else is. A record's id is not the event's.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{FakeServer, Received, Reply};
use crate::http::Client;
use crate::receiver::now;

/// What the sender waits for an answer.
const BUDGET: Duration = Duration::from_secs(1);
/// Where the user told it to push.
pub(crate) const ENDPOINT: &str = "https://hooks.example.com/webhook";
pub(crate) const KEY: &str = "the-k3y-0f-the-acc0unt";

/// One attempt.
#[derive(Debug, Clone)]
struct Attempt {
    record: String,
    integration: i64,
    /// Behind the endpoint.
    route: &'static str,
    /// Milliseconds.
    at: i64,
    delivered: bool,
    body: String,
}

/// An event, and whether an attempt at it was answered with 200.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) command: bool,
    pub(crate) delivered: bool,
}

#[derive(Default)]
struct Memory {
    attempts: Mutex<Vec<Attempt>>,
    sent: Mutex<Vec<Sent>>,
    /// Added to the clock, in milliseconds.
    offset: AtomicI64,
    /// Every so many calls of the API something goes wrong; zero: never.
    mishaps: AtomicUsize,
    refuses: AtomicBool,
}

pub(crate) struct Sender {
    memory: Arc<Memory>,
    pub(crate) api: FakeServer,
}

impl Sender {
    pub(crate) fn new() -> Self {
        let memory = Arc::<Memory>::default();
        let answering = Arc::clone(&memory);
        Self {
            memory,
            api: FakeServer::new(move |request, at| answering.answer(request, at)),
        }
    }

    /// The tables that have a receiver recover from it, with further `keys` of `recover`.
    pub(crate) fn tables(&self, keys: &str) -> String {
        format!(
            "\n[flashduty]\napp_key = \"{KEY}\"\nbase_url = \"{}\"\n[recover]\n\
             integrations = [4021, 4022]\nendpoint = \"{ENDPOINT}\"\nsettle_delay = \"0s\"\n{keys}\n",
            self.api.url("")
        )
    }

    /// The sender's clock is so many hours behind.
    pub(crate) fn back(&self, hours: i64) {
        self.memory
            .offset
            .store(-hours * 3_600_000, Ordering::SeqCst);
    }

    /// Every so many calls of the API something goes wrong.
    pub(crate) fn trouble(&self, every: usize) {
        self.memory.mishaps.store(every, Ordering::SeqCst);
    }

    /// Whether the API refuses its key.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.memory.refuses.store(refuses, Ordering::SeqCst);
    }

    /// The events so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.memory.sent.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.memory.sent.lock().unwrap().len()
    }

    /// An event happens, and is pushed to whoever listens at `receiver`.
    pub(crate) fn push(&self, receiver: SocketAddr) {
        let number = self.count();
        let at = now() + self.memory.offset.load(Ordering::SeqCst);
        let command = number % 20 == 7;
        let kind = if command { "i_custom" } else { "i_r_title" };
        let id = format!("event-{number}");
        let subject = number % 17;
        let body = format!(
            r#"{{"event_id":"{id}","event_type":"{kind}","event_time":{at},"incident":{{"incident_id":"s{subject}","title":"été \"{number}\""}}}}"#
        );
        // Subjects stay on their route.
        let (integration, route) = match subject % 2 {
            0 => (4021, ""),
            _ => (4022, "/ops?team=a"),
        };
        let delivered = self.try_twice(
            receiver,
            &Attempt {
                record: format!("2026Xrec{number}"),
                integration,
                route,
                at,
                delivered: false,
                body,
            },
        );
        self.memory.sent.lock().unwrap().push(Sent {
            id,
            command,
            delivered,
        });
    }

    /// A push of this body failed.
    pub(crate) fn missed(&self, body: &str) {
        let mut attempts = self.memory.attempts.lock().unwrap();
        let record = format!("2026Xmissed{}", attempts.len());
        attempts.push(Attempt {
            record,
            integration: 4021,
            route: "",
            at: now() + self.memory.offset.load(Ordering::SeqCst),
            delivered: false,
            body: body.to_owned(),
        });
    }

    /// The user reshaped a push into something that is no event.
    pub(crate) fn push_unreadable(&self, receiver: SocketAddr) {
        let at = now() + self.memory.offset.load(Ordering::SeqCst);
        let first = Attempt {
            record: format!("2026Xodd{receiver}"),
            integration: 4021,
            route: "",
            at,
            delivered: false,
            body: "{{incident.title}} is no JSON".to_owned(),
        };
        self.try_twice(receiver, &first);
    }

    /// Pushes by the sender's rules, and remembers each attempt; whether it was answered with 200.
    fn try_twice(&self, receiver: SocketAddr, first: &Attempt) -> bool {
        for attempt in 0..2 {
            let ended = try_once(receiver, first.route, &first.body);
            let own = Attempt {
                record: format!("{}t{attempt}", first.record),
                delivered: ended.is_ok_and(|status| status == 200),
                ..first.clone()
            };
            // Somebody else's push fails at the same time.
            let others = Attempt {
                record: format!("others-{}", own.record),
                integration: 99,
                ..own.clone()
            };
            let delivered = own.delivered;
            self.memory.attempts.lock().unwrap().extend([own, others]);
            let again = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
            if !ended.is_err_and(|kind| again.contains(&kind)) {
                return delivered;
            }
        }
        false
    }
}

fn try_once(receiver: SocketAddr, route: &str, body: &str) -> Result<u16, ErrorKind> {
    let path = format!("/webhook{route}");
    let answer = Client::connect(receiver, BUDGET)
        .and_then(|mut client| client.push(&path, body.as_bytes()))
        .map_err(|error| error.kind())?;
    Ok(answer.status)
}

impl Memory {
    fn answer(&self, request: &Received, at: usize) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap();
        assert_eq!(query, format!("app_key={KEY}"));
        if self.refuses.load(Ordering::SeqCst) {
            return error(403, "AccessDenied");
        }
        let asked = request.json();
        let every = self.mishaps.load(Ordering::SeqCst);
        if every > 0 && at % every == every - 1 {
            return mishap(at / every);
        }
        match path {
            "/webhook/history/list" if every > 0 && at.is_multiple_of(3) => {
                match asked["search_after_ctx"].is_string() {
                    true => error(400, "InvalidParameter"),
                    false => self.list(&asked),
                }
            }
            "/webhook/history/list" => self.list(&asked),
            _ => self.detail(&asked),
        }
    }

    fn list(&self, asked: &Value) -> Reply {
        let millis = |name: &str| asked[name].as_i64().unwrap();
        let (from, to) = (millis("start_time"), millis("end_time"));
        let limit = usize::try_from(millis("limit")).unwrap();
        let after = asked["search_after_ctx"].as_str().unwrap_or_default();
        let place = |attempt: &Attempt| format!("{}|{}", attempt.at, attempt.record);
        let attempts = self.attempts.lock().unwrap();
        let mut found: Vec<&Attempt> = attempts
            .iter()
            .filter(|attempt| {
                (from..=to).contains(&attempt.at)
                    && asked["integration_id"] == attempt.integration
                    && (asked["status"].is_null() || !attempt.delivered)
                    && *place(attempt) > *after
            })
            .collect();
        found.sort_by_cached_key(|attempt| place(attempt));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| place(last));
        let items: Vec<Value> = found.into_iter().map(item).collect();
        data(&json!({"items": items, "total": 0, "search_after_ctx": next.unwrap_or_default()}))
    }

    fn detail(&self, asked: &Value) -> Reply {
        let attempts = self.attempts.lock().unwrap();
        let found = attempts.iter().find(|attempt| {
            asked["event_id"] == *attempt.record && asked["integration_id"] == attempt.integration
        });
        let found = found.expect("only what was listed is asked for");
        assert_ne!(found.integration, 99, "others' pushes are not fetched");
        let mut item = item(found);
        item["request_body"] = found.body.clone().into();
        data(&item)
    }
}

fn item(attempt: &Attempt) -> Value {
    let at = jiff::Timestamp::from_millisecond(attempt.at).unwrap();
    json!({
        "integration_id": attempt.integration,
        "event_id": attempt.record,
        "webhook_type": "incident",
        "endpoint": format!("{ENDPOINT}{}", attempt.route),
        "status": if attempt.delivered { "success" } else { "failed" },
        "event_time": format!("{at:.6}"),
    })
}

fn data(data: &Value) -> Reply {
    Reply::new(200, json!({"request_id": "r", "data": data}).to_string())
}

fn error(status: u16, code: &str) -> Reply {
    let body = json!({"request_id": "r", "error": {"code": code, "message": "no"}});
    Reply::new(status, body.to_string())
}

/// What goes wrong the `nth` time. The longest silence comes last, since it takes ten seconds.
fn mishap(nth: usize) -> Reply {
    let cut = r#"{"request_id":"r","data":{"items":[{"event_id":"#;
    match nth % 12 {
        0 => error(500, "InternalError"),
        1 => error(429, "RequestTooFrequently").with("Retry-After", "1"),
        2 => Reply::new(200, cut),
        3 => Reply::ResetMidway,
        4 => Reply::Close,
        5 => Reply::Garbage,
        6 => Reply::new(200, r#"{"data":{"items":{}}}"#),
        7 => Reply::Reset,
        8 => Reply::new(502, "<html>bad gateway</html>"),
        9 => Reply::new(429, ""),
        10 => Reply::new(200, ""),
        _ => Reply::Hang,
    }
}
