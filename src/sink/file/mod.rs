//! The file sink: one JSON line for each event, with the whole push.
//!
//! A batch is one write and one sync. What failed in between is cut off again, so that no half line
//! stands in the file and nothing is acknowledged that is not on disk.

mod journal;
pub mod options;
mod push;
mod rotation;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::journal::Journal;
pub use self::options::FileOptions;
use super::line::{LabelStyle, LineInput, write_whole_event_line};
use super::{Failure, Sink, SinkError, Taken};
use crate::clock::Clock;
use crate::inbox::Lease;

/// Appends lines to a file.
pub struct FileSink {
    labels: LabelStyle,
    clock: Arc<dyn Clock>,
    journal: Arc<Mutex<Journal>>,
}

impl FileSink {
    /// A sink that opens its file with the first event, so that a bad path holds up nothing else.
    pub fn new(options: FileOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            labels: options.labels.clone(),
            clock,
            journal: Arc::new(Mutex::new(Journal::new(options))),
        }
    }

    fn lines(&self, leases: &[Lease]) -> Vec<u8> {
        let now = self.clock.now();
        let bodies = leases.iter().map(|lease| lease.event.body.len() + 1024);
        let mut lines = Vec::with_capacity(bodies.sum());
        for lease in leases {
            let input = LineInput {
                seq: lease.seq,
                event: &lease.event,
                redelivered: lease.attempt > 1,
                replay: lease.replay,
                labels: &self.labels,
                now,
            };
            write_whole_event_line(&mut lines, &input);
            push::append(&mut lines, &lease.event.body);
        }
        lines
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        let (lines, now) = (self.lines(leases), self.clock.now());
        let journal = Arc::clone(&self.journal);
        let written = tokio::task::spawn_blocking(move || {
            let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal
                .append(&lines, now)
                .map_err(|error| error.to_string())
        });
        let result = match written.await {
            Ok(Ok(())) => Ok(Taken::default()),
            Ok(Err(reason)) => Err(SinkError::Retry(Failure::new(reason))),
            Err(_panicked) => Err(SinkError::Unknown(Failure::new("the writer was cut off"))),
        };
        vec![result; leases.len()]
    }
}
