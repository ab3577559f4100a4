//! The sinks for brokers against real servers: `redis-server` and `nats-server` as child processes,
//! and librdkafka's own mock cluster. Behind the same features as the sinks.
//!
//! Between the events and a sink stand the real inbox and the real dispatcher.

#![cfg(any(feature = "nats", feature = "redis", feature = "kafka"))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed set-up should fail the test"
)]
#![expect(clippy::disallowed_methods, reason = "tests run the dispatcher's task")]
#![expect(
    clippy::print_stdout,
    reason = "what a course came through is worth seeing"
)]

mod arrived;
mod course;
#[cfg(any(feature = "nats", feature = "redis"))]
mod server;
#[cfg(any(feature = "nats", feature = "redis"))]
mod tls;

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "redis")]
mod redis;
