//! The public HTTP surface: problem documents and health, shared with the admin listener.

pub mod health;
pub mod problem;
