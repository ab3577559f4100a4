//! What there is to look at: a receiver with incidents that people know, some of whose deliveries were
//! given up, and with pushes that nobody could read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::fake::{FakeServer, Reply};
use crate::http::Answer;
use crate::receiver::{BASE, PATIENCE, Receiver, now};

/// The channel whose tickets are refused until somebody mends it.
const ARCHIVED: &str = "Payments on call";

/// An incident, and how far it has come: its kind of event for each step.
struct Incident {
    title: &'static str,
    severity: &'static str,
    channel: &'static str,
    /// How many minutes ago it began.
    began: i64,
    steps: &'static [&'static str],
    description: &'static str,
    labels: &'static [(&'static str, &'static str)],
    people: &'static [&'static str],
}

const INCIDENTS: &[Incident] = &[
    Incident {
        title: "API gateway: 5xx above 2 % for five minutes",
        severity: "Warning",
        channel: "Edge on call",
        began: 190,
        steps: &["i_new", "i_ack", "i_rslv"],
        description: "http_5xx_ratio = 0.027 on gateway-eu-1",
        labels: &[("service", "gateway"), ("region", "eu-central-1")],
        people: &["Ana Ruiz"],
    },
    Incident {
        title: "证书将在 7 天内过期：*.shop.example.com",
        severity: "Info",
        channel: "平台值班",
        began: 142,
        steps: &["i_new"],
        description: "距离到期还有 6 天 20 小时，请尽快续期。",
        labels: &[("service", "ingress"), ("team", "平台")],
        people: &[],
    },
    Incident {
        title: "Replica lag over 30 s on orders-db-2",
        severity: "Warning",
        channel: "Storage on call",
        began: 64,
        steps: &["i_new", "i_assign", "i_ack"],
        description: "pg_replication_lag_seconds = 41",
        labels: &[
            ("service", "orders-db"),
            ("role", "replica"),
            ("env", "production"),
        ],
        people: &["Jonas Weber"],
    },
    Incident {
        title: "订单服务 P99 延迟超过 3 秒",
        severity: "Critical",
        channel: "交易值班",
        began: 33,
        steps: &["i_new", "i_assign", "i_ack"],
        description: "order-service 在 cn-hangzhou 的 P99 为 3.8 秒，持续 4 分钟",
        labels: &[("service", "order-service"), ("region", "cn-hangzhou")],
        people: &["张伟", "李娜"],
    },
    Incident {
        title: "Disk almost full on node-17",
        severity: "Critical",
        channel: "Storage on call",
        began: 21,
        steps: &["i_new", "i_assign"],
        description: "disk_used_percent = 93.4 on /var/lib/postgresql",
        labels: &[
            ("resource", "node-17.db.example.com"),
            ("check", "disk_used_percent"),
            ("mount", "/var/lib/postgresql"),
        ],
        people: &["Mia Chen"],
    },
    Incident {
        title: "Card payments are declined by the provider",
        severity: "Critical",
        channel: ARCHIVED,
        began: 12,
        steps: &["i_new", "i_assign", "i_ack"],
        description: "decline_rate = 0.31 at provider acquirer-2, usually 0.04",
        labels: &[
            ("service", "checkout"),
            ("provider", "acquirer-2"),
            ("env", "production"),
        ],
        people: &["Omar Haddad", "Lena Novak"],
    },
    Incident {
        title: "Nightly backup of the ledger did not run",
        severity: "Critical",
        channel: ARCHIVED,
        began: 7,
        steps: &["i_new"],
        description: "last success 26 hours ago",
        labels: &[("job", "ledger-backup"), ("env", "production")],
        people: &[],
    },
];

/// A receiver with all that, and the other side of its sink `tickets`.
pub(crate) struct Stage {
    pub(crate) receiver: Receiver,
    _tickets: FakeServer,
    mended: Arc<AtomicBool>,
    /// The events whose tickets were refused, oldest first.
    pub(crate) dead: Vec<Value>,
}

impl Stage {
    /// Two deliveries of it were given up, one more was and then dropped by hand.
    pub(crate) fn set() -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let is_mended = Arc::clone(&mended);
        let tickets = FakeServer::new(move |request, _| {
            if is_mended.load(Ordering::SeqCst) || !request.text().contains(ARCHIVED) {
                return Reply::new(201, r#"{"key":"OPS-4711"}"#);
            }
            Reply::new(422, r#"{"error":"project PAY is archived"}"#)
        });
        let sink = tickets.sink("tickets", "filter = 'severity == \"Critical\"'");
        let receiver = Receiver::start(&sink);
        let mut stage = Self {
            receiver,
            _tickets: tickets,
            mended,
            dead: Vec::new(),
        };
        stage.fill();
        stage
    }

    /// From now on the other side takes every ticket.
    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn base(&self) -> String {
        base(&self.receiver)
    }

    /// The state of the delivery of the event at `seq` to `tickets`.
    pub(crate) fn state(&self, seq: &Value) -> Value {
        let event = self.receiver.api(&format!("/api/v1/events/{seq}")).json();
        let deliveries = event["deliveries"].as_array().cloned().unwrap_or_default();
        let mut its = deliveries.iter().filter(|one| one["sink"] == "tickets");
        its.next().map_or(Value::Null, |one| one["state"].clone())
    }

    fn fill(&mut self) {
        for (number, incident) in INCIDENTS.iter().enumerate() {
            for (step, kind) in incident.steps.iter().enumerate() {
                let body = incident.event(number, step, kind).to_string();
                let answer = pushed(&self.receiver, &body);
                if incident.channel == ARCHIVED {
                    self.dead.push(answer.json()["seq"].clone());
                }
            }
        }
        for seq in &self.dead {
            self.receiver.wait_for_state(seq, "tickets", "dead");
        }
        // The same again, one that is late, and one that comes past the proxy.
        let first = INCIDENTS[2].event(2, 0, "i_new").to_string();
        assert_eq!(pushed(&self.receiver, &first).outcome(), "duplicate");
        let late = first.replace("event-2-0", "event-2-late");
        pushed(&self.receiver, &late);
        let mut bare = self.receiver.client();
        let denied = bare.push_with("/webhook", "", b"{}").unwrap();
        assert_eq!(denied.status, 403, "{denied:?}");
        for body in ["{\"event_type\": \"i_new\",", "[]", r#"{"event": "i_ack"}"#] {
            let refused = self.receiver.push(body);
            assert!([400, 422].contains(&refused.status), "{refused:?}");
        }
        self.change(
            "unreadable/1/drop",
            &json!({"reason": "a test of the proxy"}),
        );
        let dropped = self.dead.remove(0);
        let drop =
            json!({"seq": dropped, "sink": "tickets", "reason": "opened by hand as PAY-118"});
        self.change("drop", &drop);
    }

    fn change(&self, path: &str, body: &Value) {
        let answer = self
            .receiver
            .post(&format!("/api/v1/{path}"), &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

impl Incident {
    fn event(&self, number: usize, step: usize, kind: &str) -> Value {
        let id = format!("69db5a40c1f04e7a9d2b8c{number:02}");
        let began = now() / 1000 - self.began * 60;
        let progress = match kind {
            "i_rslv" => "Closed",
            "i_ack" => "Processing",
            _ => "Triggered",
        };
        let people = |name: &&str| json!({"person_name": name});
        let labels: serde_json::Map<_, _> = self
            .labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let step_at = i64::try_from(step).unwrap();
        json!({
            "event_id": format!("event-{number}-{step}"),
            "event_type": kind,
            "event_time": now() - 2_000 + step_at * 200,
            "person": if step > 0 { json!({"person_name": self.people.first()}) } else { Value::Null },
            "incident": {
                "incident_id": id,
                "title": self.title,
                "description": self.description,
                "incident_severity": self.severity,
                "incident_status": if progress == "Closed" { "Ok" } else { self.severity },
                "progress": progress,
                "start_time": began,
                "labels": labels,
                "channel_name": self.channel,
                "responders": self.people.iter().map(people).collect::<Vec<_>>(),
                "detail_url": format!("https://console.example.com/incident/detail/{id}"),
            },
        })
    }
}

/// Pushes `body` until it is known to be stored: on a busy disk the first answer may be that it is not
/// known yet, and the next one that it is a duplicate.
pub(crate) fn pushed(receiver: &Receiver, body: &str) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = receiver.push(body);
        if answer.status == 200 {
            return answer;
        }
        assert!(
            answer.status == 503 && Instant::now() < deadline,
            "{answer:?}"
        );
    }
}

/// Where a browser finds the console of `receiver`.
pub(crate) fn base(receiver: &Receiver) -> String {
    format!("http://{}", receiver.admin)
}

/// A receiver that wants `token` of those who look at it.
pub(crate) fn locked(token: &str) -> Receiver {
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{token}\"");
    Receiver::configured(&BASE.replace("[admin]\nlisten = \"127.0.0.1:0\"", &admin))
}

/// One that other machines could reach, with no token, and so is closed.
pub(crate) fn closed() -> Receiver {
    Receiver::configured(&BASE.replace(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        "[admin]\nlisten = \"0.0.0.0:0\"",
    ))
}

/// The same as from this machine.
pub(crate) fn base_of_closed(receiver: &Receiver) -> String {
    format!("http://127.0.0.1:{}", receiver.admin.port())
}
