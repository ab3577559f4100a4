//! What the store is measured against: one connection that inserts in durable transactions, and does
//! nothing else. Either the events alone, into a table with the columns and the primary key of the
//! store's; or each with the other rows that it leaves behind, into copies of the store's tables.

use std::time::{Duration, Instant};

use flashduty_receiver::event::hex;
use flashduty_receiver::inbox::Offer;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};

const TABLES: [&str; 4] = ["events", "keys", "subjects", "deliveries"];
const EVENT: &str = "INSERT INTO bare_events (seq, lane, previous, route, event_id, event_type, \
     event_time, subject, outcome, command, origin, source_ip, peer_ip, received, trace_parent, body) \
     SELECT u.seq, u.seq, NULL, 1, u.event_id, u.event_type, u.event_time, u.subject, \
     0, false, 0, u.ip, u.ip, u.received, NULL, u.body \
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], \
     $6::text[], $7::bigint[], $8::bytea[]) \
     AS u (seq, event_id, event_type, event_time, subject, ip, received, body)";
/// A key and a subject are digests: they fall anywhere in their indexes.
const OTHERS: [&str; 3] = [
    "INSERT INTO bare_keys (key, seq, received) \
     SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])",
    "INSERT INTO bare_subjects (id, route, subject, last_time, last_seq, last_received) \
     SELECT u.id, 1, u.subject, u.time, u.seq, u.received \
     FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) \
     AS u (id, subject, time, seq, received)",
    "INSERT INTO bare_deliveries (seq, sink, state, attempts, settled) \
     SELECT u.seq, 1, 2, 1, u.received FROM unnest($1::bigint[], $2::bigint[]) AS u (seq, received)",
];

/// What is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// One row an event.
    Events,
    /// The rows that an event delivered to one sink leaves behind in four tables.
    AllRows,
}

/// A connection with tables of its own.
pub(crate) struct Bare {
    client: Client,
    event: Statement,
    others: Vec<Statement>,
    last: i64,
}

impl Bare {
    /// In a database in which the store made its tables.
    pub(crate) async fn open(url: &str, what: What) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        // Ends with the client.
        let _driving = tokio::spawn(connection);
        let tables = TABLES.map(|table| {
            format!(
                "DROP TABLE IF EXISTS bare_{table}; \
                 CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL);"
            )
        });
        let set_up = format!("SET synchronous_commit = on; {}", tables.concat());
        client.batch_execute(&set_up).await.unwrap();
        let event = client.prepare(EVENT).await.unwrap();
        let mut others = Vec::new();
        for text in OTHERS.iter().filter(|_| what == What::AllRows) {
            others.push(client.prepare(text).await.unwrap());
        }
        Self {
            client,
            event,
            others,
            last: 0,
        }
    }

    /// Inserts batches of what `offers` makes for so long, and says how many events a second.
    pub(crate) async fn insert(
        &mut self,
        length: Duration,
        mut offers: impl FnMut() -> Vec<Offer>,
    ) -> f64 {
        let (begun, first) = (Instant::now(), self.last);
        while begun.elapsed() < length {
            self.batch(&offers()).await;
        }
        super::facts::per_second(self.last - first, begun.elapsed())
    }

    async fn batch(&mut self, offers: &[Offer]) {
        let all = || offers.iter().map(|offer| &*offer.event);
        let seqs: Vec<i64> = (self.last + 1..).take(offers.len()).collect();
        self.last += i64::try_from(offers.len()).unwrap();
        let ids: Vec<_> = all()
            .map(|one| one.event_id.as_ref().map(ToString::to_string))
            .collect();
        let types: Vec<_> = all().map(|one| one.event_type.as_str()).collect();
        let times: Vec<_> = all().map(|one| one.event_time).collect();
        let subjects: Vec<_> = all()
            .map(|one| one.subject.as_ref().map(ToString::to_string))
            .collect();
        let ips: Vec<_> = all()
            .map(|one| one.peer_ip.map(|ip| ip.to_string()))
            .collect();
        let received: Vec<_> = all().map(|one| one.received_at.as_microsecond()).collect();
        let bodies: Vec<_> = all().map(|one| one.body.as_ref()).collect();
        let event: [&(dyn ToSql + Sync); 8] = [
            &seqs, &ids, &types, &times, &subjects, &ips, &received, &bodies,
        ];
        let [key, subject, delivery] = &*self.others else {
            self.client.execute(&self.event, &event).await.unwrap();
            return;
        };
        let keys: Vec<_> = offers.iter().map(|offer| offer.key.unwrap().0).collect();
        let digests: Vec<i64> = keys
            .iter()
            .map(|key| i64::from_be_bytes(*key.first_chunk().unwrap()) & i64::MAX)
            .collect();
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
        let values: [&[&(dyn ToSql + Sync)]; 3] = [
            &[&keys, &seqs, &received],
            &[&digests, &subjects, &times, &seqs, &received],
            &[&seqs, &received],
        ];
        // Polled in this order, and so sent in it: one round trip.
        tokio::try_join!(
            self.client.batch_execute("BEGIN"),
            self.client.execute(&self.event, &event),
            self.client.execute(key, values[0]),
            self.client.execute(subject, values[1]),
            self.client.execute(delivery, values[2]),
            self.client.batch_execute("COMMIT"),
        )
        .unwrap();
    }
}

/// A body of so many bytes like those that are pushed: text that differs from event to event and
/// from label to label, so that it is not compressed to nothing.
pub(crate) fn body(size: usize) -> Vec<u8> {
    let id = || hex(&uuid::Uuid::new_v4().into_bytes());
    let mut body = format!(
        "{{\"event_id\":\"{}\",\"event_time\":1700000000000,\"event_type\":\"i_new\",\
         \"incident\":{{\"incident_id\":\"{}\",\"incident_severity\":\"Critical\",\"labels\":{{",
        id(),
        id().chars().take(24).collect::<String>(),
    );
    let mut nth = 0;
    while body.len() + 60 < size {
        body += &format!("\"label_{nth}\":\"{}\",", id());
        nth += 1;
    }
    let end = "\"end\":\"\"}}}";
    body += &end.replace(
        "\"\"",
        &format!("\"{}\"", ".".repeat(size - body.len() - end.len())),
    );
    assert_eq!(body.len(), size);
    body.into_bytes()
}
