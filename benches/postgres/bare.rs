//! What the store is measured against: one connection that inserts events into a table with the
//! columns and the primary key of the store's, in durable transactions, and does nothing else.

use std::time::{Duration, Instant};

use flashduty_receiver::event::hex;
use flashduty_receiver::inbox::Offer;
use tokio_postgres::{Client, NoTls, Statement};

/// A connection with a table of its own.
pub(crate) struct Bare {
    client: Client,
    insert: Statement,
    last: i64,
}

impl Bare {
    /// In a database in which the store made its tables.
    pub(crate) async fn open(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        // Ends with the client.
        let _driving = tokio::spawn(connection);
        client
            .batch_execute(
                "SET synchronous_commit = on; DROP TABLE IF EXISTS bare; \
                 CREATE TABLE bare (LIKE events INCLUDING ALL)",
            )
            .await
            .unwrap();
        let insert = client
            .prepare(
                "INSERT INTO bare (seq, lane, previous, route, event_id, event_type, event_time, \
                 subject, outcome, command, origin, source_ip, peer_ip, received, trace_parent, body) \
                 SELECT u.seq, u.seq, NULL, 1, u.event_id, u.event_type, u.event_time, u.subject, \
                 0, false, 0, u.ip, u.ip, u.received, NULL, u.body \
                 FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], \
                 $6::text[], $7::bigint[], $8::bytea[]) \
                 AS u (seq, event_id, event_type, event_time, subject, ip, received, body)",
            )
            .await
            .unwrap();
        Self {
            client,
            insert,
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
        self.client
            .execute(
                &self.insert,
                &[
                    &seqs, &ids, &types, &times, &subjects, &ips, &received, &bodies,
                ],
            )
            .await
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
