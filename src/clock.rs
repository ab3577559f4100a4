//! Where the time comes from, so that tests can move it.

use jiff::Timestamp;

/// Tells the current wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// The current time, with microseconds.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the clock"
        )]
        Timestamp::now()
    }
}
