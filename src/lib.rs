//! Receives Flashduty webhooks, makes them durable, answers within the sender's second and hands
//! them to the team's own tools.
//!
//! Read the modules in this order; each may use only those above it.

pub mod build;
pub mod clock;
pub mod aside;
pub mod event;
pub mod echo;
pub mod metrics;
pub mod trust;
pub mod trace;
pub mod stdout;
pub mod envelope;
pub mod words;
pub mod filter;
pub mod template;
pub mod preset;
pub mod sign;
pub mod source;
pub mod flashduty;
pub mod inbox;
pub mod routing;
pub mod sink;
pub mod lifecycle;
pub mod dispatch;
pub mod recover;
pub mod listener;
pub mod supervisor;
pub mod intake;
pub mod admin;
pub mod config;
pub mod telemetry;
pub mod app;
pub mod cli;
#[cfg(test)]
mod lines;
#[cfg(test)]
#[path = "../tests/it/fake/mod.rs"]
#[expect(dead_code, reason = "it serves the end-to-end tests as well")]
mod fake;
