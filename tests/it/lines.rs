//! The log of a receiver under test: its lines so far, and a reader of stdout that can be held.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;

use crate::receiver::PATIENCE;

/// The log's lines so far.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    shared: Arc<(Mutex<Vec<Value>>, Condvar)>,
    reading: Arc<(Mutex<Reading>, Condvar)>,
}

/// What the reader of stdout does.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    On,
    Held,
    Closing,
    Closed,
}

impl Lines {
    /// Those that `child` writes to its stdout, which a thread reads.
    pub(crate) fn of(child: &mut Child) -> Self {
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Self::default();
        let reading = lines.clone();
        std::thread::spawn(move || {
            reading.read(stdout);
            reading.shared.1.notify_all();
        });
        lines
    }

    /// Those that are there now.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.shared.0.lock().unwrap().clone()
    }

    /// The `event_id` of each delivered event, in the order of the lines.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let lines = self.shared.0.lock().unwrap();
        lines
            .iter()
            .filter(|line| line["target"] == "flashduty::event")
            .filter_map(|line| Some(line["event_id"].as_str()?.to_owned()))
            .collect()
    }

    /// How many events were delivered.
    pub(crate) fn count_delivered(&self) -> usize {
        let lines = self.shared.0.lock().unwrap();
        let events = lines
            .iter()
            .filter(|line| line["target"] == "flashduty::event");
        events.count()
    }

    /// Waits for a line; panics with the last lines when it does not come.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_until(what, |lines| {
            lines.iter().find(|line| wanted(line)).cloned()
        })
    }

    /// Waits until the lines are as `done` wants them.
    pub(crate) fn wait_until<T>(&self, what: &str, done: impl Fn(&[Value]) -> Option<T>) -> T {
        let (lines, changed) = &*self.shared;
        let mut lines = lines.lock().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = done(&lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<String> = lines
                    .iter()
                    .rev()
                    .take(12)
                    .rev()
                    .map(Value::to_string)
                    .collect();
                panic!(
                    "waited in vain for {what}; the log's last lines:\n{}",
                    last.join("\n")
                );
            }
            lines = changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// From now on nobody reads stdout.
    pub(crate) fn hold(&self) {
        self.turn(Reading::Held);
    }

    /// It is read again.
    pub(crate) fn release(&self) {
        self.turn(Reading::On);
    }

    /// Closes the reading end of stdout; what was read of it is among the lines.
    pub(crate) fn close(&self) {
        self.turn(Reading::Closing);
        self.wait_for_end();
    }

    /// Waits until stdout has ended, as it does with the process: what the pipe held then is
    /// among the lines.
    pub(crate) fn wait_for_end(&self) {
        let (reading, turned) = &*self.reading;
        let ended = turned
            .wait_timeout_while(reading.lock().unwrap(), PATIENCE, |reading| {
                *reading != Reading::Closed
            })
            .unwrap();
        assert!(!ended.1.timed_out(), "stdout did not end");
    }

    pub(crate) fn have_ended(&self) -> bool {
        *self.reading.0.lock().unwrap() == Reading::Closed
    }

    fn turn(&self, to: Reading) {
        *self.reading.0.lock().unwrap() = to;
        self.reading.1.notify_all();
    }

    /// Reads until the end, or until the test closes it.
    fn read(&self, mut stdout: BufReader<ChildStdout>) {
        let mut line = String::new();
        while self.may_read() || stdout.buffer().contains(&b'\n') {
            line.clear();
            // A line cut by a kill is no line.
            match stdout.read_line(&mut line) {
                Ok(1..) if line.ends_with("}\n") => self.add(&line),
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        drop(stdout);
        self.turn(Reading::Closed);
    }

    /// Waits while the reading is held. False when it is to end.
    fn may_read(&self) -> bool {
        let (reading, turned) = &*self.reading;
        let reading = turned
            .wait_while(reading.lock().unwrap(), |reading| *reading == Reading::Held)
            .unwrap();
        *reading == Reading::On
    }

    fn add(&self, line: &str) {
        let value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("a line of the log is no JSON ({error}): {line}"));
        self.shared.0.lock().unwrap().push(value);
        self.shared.1.notify_all();
    }
}
