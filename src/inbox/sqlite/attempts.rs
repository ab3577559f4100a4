//! What is kept of attempts, and what their answers are remembered for.

use rusqlite::{OptionalExtension as _, params};

use super::transaction::Work;
use crate::inbox::numbers::{
    STATE_DEAD, STATE_DELIVERED, STATE_EXPIRED, STATE_PENDING, STATE_SUPERSEDED,
};
use crate::inbox::{Report, Seq, Settled, SinkId};

/// Attempts kept of one delivery.
const KEPT_ATTEMPTS: u32 = 20;

impl Work<'_> {
    /// Writes down how an attempt ended: in the delivery, among its attempts, and what its answer
    /// asks to be remembered.
    pub(super) fn note_attempt(
        &mut self,
        settled: &Settled,
        state: i16,
        error: Option<&str>,
    ) -> rusqlite::Result<()> {
        if matches!(state, STATE_EXPIRED | STATE_SUPERSEDED) {
            // Nothing was attempted: a backlog that is too old leaves at once, whatever the rate.
            self.forget_send(settled)?;
        } else {
            self.end_send(settled)?;
        }
        let report = settled.report.as_deref();
        let kept = report.is_some_and(|report| report.keep);
        if matches!(state, STATE_DEAD | STATE_PENDING) || kept {
            self.keep_attempt(settled, state, error)?;
        }
        if let Some(report) = report {
            self.remember(settled, report)?;
        }
        Ok(())
    }

    fn keep_attempt(
        &mut self,
        settled: &Settled,
        state: i16,
        error: Option<&str>,
    ) -> rusqlite::Result<()> {
        if state == STATE_PENDING {
            self.sql
                .prepare("UPDATE deliveries SET last_error = ?3 WHERE seq = ?1 AND sink = ?2")?
                .execute(params![settled.seq.0, settled.sink.0, error])?;
        }
        let outcome = match state {
            STATE_PENDING => "retried",
            STATE_DELIVERED => "delivered",
            STATE_SUPERSEDED => "superseded",
            STATE_EXPIRED => "expired",
            _ => "dead",
        };
        let report = settled.report.as_deref();
        let number: u32 = self
            .sql
            .prepare(
                // After a replay attempts are counted from one again, and those before stay.
                "INSERT INTO attempts \
                 (seq, sink, n, began, ended, outcome, status, error, answer) \
                 SELECT ?1, ?2, max(?3, coalesce(max(n), 0) + 1), ?4, ?5, ?6, ?7, ?8, ?9 \
                 FROM attempts WHERE seq = ?1 AND sink = ?2 RETURNING n",
            )?
            .query_row(
                params![
                    settled.seq.0,
                    settled.sink.0,
                    settled.attempt_ended(),
                    report
                        .and_then(|report| report.began)
                        .map(jiff::Timestamp::as_microsecond),
                    self.now,
                    outcome,
                    report.and_then(|report| report.status),
                    error,
                    report.and_then(|report| report.answer.as_deref()),
                ],
                |row| row.get(0),
            )?;
        if number > KEPT_ATTEMPTS {
            self.sql
                .prepare("DELETE FROM attempts WHERE seq = ?1 AND sink = ?2 AND n <= ?3")?
                .execute(params![
                    settled.seq.0,
                    settled.sink.0,
                    number - KEPT_ATTEMPTS
                ])?;
        }
        Ok(())
    }

    fn remember(&mut self, settled: &Settled, report: &Report) -> rusqlite::Result<()> {
        if let Some(until) = report.hold_until {
            self.sql
                .prepare(
                    "UPDATE sinks SET held_until = max(coalesce(held_until, 0), ?2) WHERE id = ?1",
                )?
                .execute(params![settled.sink.0, until.as_microsecond()])?;
        }
        if report.remember.is_empty() {
            return Ok(());
        }
        let Some(subject) = self.subject_of(settled.seq)? else {
            return Ok(());
        };
        for (name, value) in &report.remember {
            self.sql
                .prepare(
                    "INSERT INTO remembered (subject, sink, name, value) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT DO UPDATE SET value = ?4",
                )?
                .execute(params![subject, settled.sink.0, name, value])?;
        }
        Ok(())
    }

    /// What is remembered of the sink and the event's subject.
    pub(super) fn remembered(
        &self,
        seq: Seq,
        sink: SinkId,
    ) -> rusqlite::Result<Vec<(String, String)>> {
        let Some(subject) = self.subject_of(seq)? else {
            return Ok(Vec::new());
        };
        self.sql
            .prepare("SELECT name, value FROM remembered WHERE subject = ?1 AND sink = ?2")?
            .query_map(params![subject, sink.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect()
    }

    /// The number of the event's subject on its route.
    fn subject_of(&self, seq: Seq) -> rusqlite::Result<Option<i64>> {
        self.sql
            .prepare("SELECT lane FROM events WHERE seq = ?1 AND lane > 0")?
            .query_row([seq.0], |row| row.get(0))
            .optional()
    }
}
