//! The log sink: one structured line on stdout for each event.

use std::sync::Arc;

use async_trait::async_trait;

use super::line::{LabelStyle, LineInput, write_event_line};
use super::pretty::write_pretty_line;
use super::{Sink, SinkError, Taken};
use crate::clock::Clock;
use crate::inbox::Lease;
use crate::stdout::{Block, Stdout};

/// How event lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Pretty,
}

/// How the sink writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSinkOptions {
    /// How labels are written.
    pub labels: LabelStyle,
    /// How lines look.
    pub format: Format,
}

/// Writes event lines through the thread that owns stdout.
pub struct LogSink {
    options: LogSinkOptions,
    stdout: Stdout,
    clock: Arc<dyn Clock>,
}

impl LogSink {
    /// A sink that writes through `stdout`.
    pub fn new(options: LogSinkOptions, stdout: Stdout, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            stdout,
            clock,
        }
    }

    fn block(&self, leases: &[Lease]) -> Block {
        let options = &self.options;
        let now = self.clock.now();
        let mut block = Block {
            bytes: Vec::with_capacity(leases.len() * 800),
            ends: Vec::with_capacity(leases.len()),
        };
        for lease in leases {
            let input = LineInput {
                seq: lease.seq,
                event: &lease.event,
                redelivered: lease.redelivered(),
                replay: lease.replay,
                labels: &options.labels,
                now,
            };
            match options.format {
                Format::Json => write_event_line(&mut block.bytes, &input),
                Format::Pretty => write_pretty_line(&mut block.bytes, &input),
            }
            block.ends.push(block.bytes.len());
        }
        block
    }
}

#[async_trait]
impl Sink for LogSink {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        let mut block = self.block(leases);
        let answered = loop {
            match self.stdout.block(block) {
                Ok(answered) => break answered,
                Err(back) => {
                    // Nobody reads: there is no signal to wait for but time.
                    block = back;
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        };
        match answered.await {
            Ok(Ok(())) => vec![Ok(Taken::default()); leases.len()],
            Ok(Err(closed)) => (0..leases.len())
                .map(|line| {
                    if line < closed.lines {
                        Ok(Taken::default())
                    } else {
                        Err(SinkError::Gone(closed.to_string()))
                    }
                })
                .collect(),
            Err(_) => vec![Err(SinkError::Gone("stdout's thread ended".to_owned())); leases.len()],
        }
    }
}
