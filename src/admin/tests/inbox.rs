//! An inbox of a few fixed rows that can be read, and told to fail.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;

use super::rows::{BODY, at, attempt_row, body, counts, delivery_row, event_row, unreadable_row};
use crate::event::{Id, Route, Seq, Subject};
use crate::inbox::query::*;
use crate::inbox::search::{Sift, Sifted};
use crate::inbox::*;
use crate::routing::Target;

/// The only sink there is.
pub(super) fn target(name: &str) -> Option<Target> {
    (name == "log").then(|| Target {
        name: name.into(),
        sink: SinkId(1),
        order: Order::Subject,
        include_stale: false,
        filter: None,
        filter_errors: Counter::default(),
    })
}

/// Events 1 to `events`, each delivered to the log sink, and one unreadable push with the id 7.
#[derive(Debug, Clone)]
pub(super) struct FixedInbox {
    pub(super) events: i64,
    pub(super) failure: Option<InboxError>,
    /// Whoever looks through the events takes one of these, where there are any to be taken.
    pub(super) gate: Option<Arc<tokio::sync::Semaphore>>,
    /// The audit, oldest first.
    pub(super) written: Arc<Mutex<Vec<AuditRow>>>,
}

impl FixedInbox {
    fn check(&self) -> Result<(), InboxError> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn write_down(&self, audit: crate::inbox::Audit, at: Timestamp) {
        let mut written = self.written.lock().unwrap();
        let row = AuditRow {
            id: i64::try_from(written.len()).unwrap() + 1,
            at,
            who: audit.who,
            action: audit.action.to_owned(),
            selector: audit.selector,
            count: 1,
            reason: audit.reason,
        };
        written.push(row);
    }

    /// The rows below `cursor`, newest first, `limit` of them.
    fn page<T>(
        &self,
        cursor: Option<&str>,
        limit: usize,
        row: impl Fn(i64) -> Option<T>,
    ) -> Result<Page<T>, InboxError> {
        let below = match cursor {
            None => self.events + 1,
            Some(text) => text
                .parse()
                .map_err(|_| InboxError::Refused("no such cursor".to_owned()))?,
        };
        let mut matching = (1..below).rev().filter_map(|seq| Some((seq, row(seq)?)));
        let taken: Vec<_> = matching.by_ref().take(limit).collect();
        let more = matching.next().is_some();
        let next_cursor = taken
            .last()
            .filter(|_| more)
            .map(|(seq, _)| seq.to_string());
        let items = taken.into_iter().map(|(_, row)| row).collect();
        Ok(Page { items, next_cursor })
    }
}

#[async_trait]
impl Inbox for FixedInbox {
    async fn counts(&self) -> Result<Counts, InboxError> {
        self.check()?;
        Ok(counts(self.events))
    }

    async fn space(&self) -> Result<Space, InboxError> {
        Ok(Space {
            log: 0,
            longest_stall: std::time::Duration::ZERO,
            total: 1 << 40,
            store: 4096,
            free: Some(1 << 30),
        })
    }

    async fn event(&self, seq: Seq) -> Result<Option<(EventRow, Bytes)>, InboxError> {
        self.check()?;
        let there = (1..=self.events).contains(&seq.0);
        Ok(there.then(|| (event_row(seq.0), Bytes::from_static(body(seq.0)))))
    }

    async fn events(&self, filter: EventFilter) -> Result<Page<EventRow>, InboxError> {
        self.check()?;
        self.page(filter.cursor.as_deref(), filter.limit, |seq| {
            let row = event_row(seq);
            let route = Route {
                tag: row.tag.as_deref().map(Into::into),
                query: None,
            };
            let subject = filter.subject.as_ref().map(Subject::to_string);
            let matches = filter
                .event_type
                .as_ref()
                .is_none_or(|t| *t == row.event_type)
                && (filter.event_id.is_none() || filter.event_id == row.event_id)
                && filter.route.as_ref().is_none_or(|wanted| *wanted == route)
                && filter.outcome.is_none_or(|wanted| wanted == row.outcome)
                && filter.since.is_none_or(|since| row.received_at >= since)
                && filter.until.is_none_or(|until| row.received_at < until)
                && (subject.is_none() || subject == row.subject);
            matches.then_some(row)
        })
    }

    async fn bodies(&self, seqs: Vec<Seq>) -> Result<Vec<(Seq, Bytes)>, InboxError> {
        self.check()?;
        let there = seqs.into_iter().filter(|seq| seq.0 <= self.events);
        Ok(there
            .map(|seq| (seq, Bytes::from_static(body(seq.0))))
            .collect())
    }

    async fn sift(&self, sift: Sift) -> Result<Sifted, InboxError> {
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        let wanted = EventFilter {
            limit: sift.rows,
            ..sift.filter.clone()
        };
        let page = self.events(wanted).await?;
        let mut sifted = Sifted {
            looked_at: page.items.len(),
            searched_to: page.items.last().map(|row| row.received_at),
            next: page.next_cursor.map(|cursor| Seq(cursor.parse().unwrap())),
            items: page.items,
        };
        let meant = |row: &EventRow| {
            let text = sift.text.as_ref();
            let source = sift.source.as_ref().zip(row.source_ip.as_ref());
            text.is_none_or(|text| text.is_in(row, body(row.seq.0)))
                && source.is_none_or(|(block, ip)| block.contains(ip))
        };
        sifted.items.retain(meant);
        Ok(sifted)
    }

    async fn horizon(&self) -> Result<Horizon, InboxError> {
        self.check()?;
        let newest = Seq(self.events);
        Ok(Horizon {
            complete: newest,
            drawn: newest,
        })
    }

    async fn follow(&self, stretch: Stretch, _: EventFilter) -> Result<Followed, InboxError> {
        self.check()?;
        Ok(Followed {
            items: (stretch.after.0 + 1..=stretch.upto.0)
                .map(event_row)
                .collect(),
            upto: stretch.upto,
            pruned: Seq(0),
        })
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<DeliveryRow>, InboxError> {
        self.check()?;
        self.page(filter.cursor.as_deref(), filter.limit, |seq| {
            let mut row = delivery_row(seq);
            if filter.seq.is_some() {
                row.history.push(attempt_row());
            }
            let matches = filter.seq.is_none_or(|wanted| wanted == row.seq)
                && filter
                    .sink
                    .as_ref()
                    .is_none_or(|wanted| *wanted == row.sink)
                && filter.state.is_none_or(|wanted| wanted == row.state);
            matches.then_some(row)
        })
    }

    async fn candidates(
        &self,
        filter: DeliveryFilter,
        _: bool,
    ) -> Result<Page<Candidate>, InboxError> {
        let page = self.deliveries(filter).await?;
        let candidate = |row: DeliveryRow| Candidate {
            seq: row.seq,
            sink: SinkId(1),
            name: row.sink,
            state: Some(row.state),
            leased_until: None,
            event_id: row.event_id,
            event_type: row.event_type,
            command: false,
            stale: false,
        };
        Ok(Page {
            items: page.items.into_iter().map(candidate).collect(),
            next_cursor: page.next_cursor,
        })
    }

    async fn subjects(&self, filter: SubjectFilter) -> Result<Page<SubjectRow>, InboxError> {
        self.check()?;
        let subject = Subject::Incident(Id::new("664af0"));
        let wanted = filter.subject.is_none_or(|wanted| wanted == subject);
        let row = SubjectRow {
            subject: subject.to_string(),
            tag: Some("ops".to_owned()),
            query: None,
            last_time: Some(1_777_888_800_003),
            last_seq: Seq(self.events),
            last_received_at: at(self.events),
        };
        Ok(Page {
            items: wanted.then_some(row).into_iter().collect(),
            next_cursor: None,
        })
    }

    async fn latest(&self, newest: Vec<Seq>) -> Result<Vec<Latest>, InboxError> {
        self.check()?;
        let body = include_bytes!("../../../tests/samples/i_a_rspd.json");
        let latest = |newest| Latest {
            newest,
            seq: newest,
            event_type: "i_a_rspd".to_owned(),
            body: Some(Bytes::from_static(body)),
        };
        Ok(newest.into_iter().map(latest).collect())
    }

    async fn exhausted(
        &self,
        _: SinkId,
        rates: Arc<[Rate]>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, InboxError> {
        self.check()?;
        let window = rates.first().map(|rate| rate.window);
        Ok(window.and_then(|window| now.checked_add(window).ok()))
    }

    async fn replicas(&self) -> Result<Vec<Replica>, InboxError> {
        self.check()?;
        Ok(vec![Replica {
            name: "node-8:8080".to_owned(),
            started_at: at(1),
            seen_at: at(95),
            version: "0.1.0".to_owned(),
        }])
    }

    async fn unreadables(
        &self,
        filter: UnreadableFilter,
    ) -> Result<Page<UnreadableRow>, InboxError> {
        self.check()?;
        let row = unreadable_row();
        let shown = filter.limit > 0
            && filter.cursor.is_none_or(|below| below > 7)
            && filter.since.is_none_or(|since| row.received_at >= since)
            && filter.until.is_none_or(|until| row.received_at < until)
            && filter.source.is_none_or(|ip| row.source_ip == Some(ip))
            && filter.reason.is_none_or(|part| row.reason.contains(&part))
            && filter.route.is_none_or(|route| {
                route.tag.as_deref() == row.tag.as_deref()
                    && route.query.as_deref() == row.query.as_deref()
            });
        Ok(Page {
            items: shown.then_some(row).into_iter().collect(),
            next_cursor: None,
        })
    }

    async fn unreadable(&self, id: i64) -> Result<Option<(UnreadableRow, Bytes)>, InboxError> {
        self.check()?;
        Ok((id == 7).then(|| (unreadable_row(), Bytes::from_static(BODY))))
    }

    async fn sink(&self, _: &str) -> Result<SinkId, InboxError> {
        Err(InboxError::Closed)
    }

    async fn commit(&self, _: Arc<Batch>, _: Timestamp) -> Result<Committed, InboxError> {
        Err(InboxError::Closed)
    }

    fn takes(&self, _: &Route) -> bool {
        true
    }

    async fn probe(&self) -> Result<(), InboxError> {
        Err(InboxError::Closed)
    }

    async fn keep_unreadable(
        &self,
        _: Vec<Unreadable>,
        _: UnreadableBounds,
    ) -> Result<(), InboxError> {
        Err(InboxError::Closed)
    }

    async fn remove_unreadable(
        &self,
        ids: Vec<i64>,
        audit: crate::inbox::Audit,
        now: Timestamp,
    ) -> Result<Vec<bool>, InboxError> {
        self.check()?;
        let gone: Vec<bool> = ids.iter().map(|id| *id == 7).collect();
        self.write_down(audit, now);
        Ok(gone)
    }

    async fn change(
        &self,
        changes: Vec<crate::inbox::Change>,
        audit: crate::inbox::Audit,
        now: Timestamp,
    ) -> Result<Vec<crate::inbox::Changed>, InboxError> {
        self.check()?;
        self.write_down(audit, now);
        Ok(vec![crate::inbox::Changed::Done; changes.len()])
    }

    async fn note(&self, audit: Audit, _: usize, now: Timestamp) -> Result<(), InboxError> {
        self.write_down(audit, now);
        Ok(())
    }

    async fn audited(&self, filter: AuditFilter) -> Result<Page<AuditRow>, InboxError> {
        self.check()?;
        let written = self.written.lock().unwrap();
        let fits = |row: &&AuditRow| {
            filter
                .action
                .as_ref()
                .is_none_or(|action| *action == row.action)
                && filter.since.is_none_or(|since| row.at >= since)
                && filter.until.is_none_or(|until| row.at < until)
        };
        Ok(Page {
            items: written.iter().rev().filter(fits).cloned().collect(),
            next_cursor: None,
        })
    }

    async fn recovery_mark(&self) -> Result<Option<crate::inbox::Mark>, InboxError> {
        self.check()?;
        Ok(Some(crate::inbox::Mark {
            begun: at(0),
            reached: at(40),
        }))
    }
    async fn handled(&self, _: Vec<crate::inbox::RecordId>) -> Result<Vec<bool>, InboxError> {
        Err(InboxError::Closed)
    }
    async fn recovered(
        &self,
        _: Vec<crate::inbox::RecordId>,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<(), InboxError> {
        Err(InboxError::Closed)
    }
    async fn prune(&self, _: Prune) -> Result<Pruned, InboxError> {
        Err(InboxError::Closed)
    }

    async fn check(&self) -> Result<Option<String>, InboxError> {
        unreachable!("not asked by the API")
    }

    async fn close(&self) -> Result<(), InboxError> {
        Ok(())
    }
}
