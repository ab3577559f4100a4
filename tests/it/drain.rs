//! Stopping and reloading under load fails no push.
