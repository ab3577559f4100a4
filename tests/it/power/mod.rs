//! Power cuts: what the disk kept, and that everything acknowledged is in it.
//!
//! Tried in two ways. Real file systems are cut off in the middle of load. And the calls the
//! receiver makes are recorded, and replayed onto a modelled disk that keeps no more than it must:
//! that needs nothing to be mounted, and tries states a real disk reaches once in a while.

mod content;
mod cut;
mod disk;
mod failing;
mod gate;
pub(crate) mod image;
mod record;
mod replayed;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::http::Client;
use crate::receiver::{BASE, PATIENCE, Receiver, base_with, command};
use crate::{load, onslaught};

/// Connections that push at the same time.
const CONNECTIONS: usize = 4;
/// Every so many events one is large, so that the log is moved into the file now and then.
const LARGE_EVERY: usize = 4;

/// An answer 200: the event's id, and when it came.
struct Acknowledged {
    id: String,
    at: Instant,
}

/// Pushes on several connections, `most` events each, until one is not acknowledged; once `enough`
/// were, does `cut`. Returns all that were.
fn push_until(
    address: SocketAddr,
    run: &str,
    (enough, most): (usize, usize),
    cut: impl FnOnce(),
) -> Vec<Acknowledged> {
    let push = |connection: usize, answered: &AtomicUsize| {
        push_on(address, &format!("{run}c{connection}"), most, answered)
    };
    onslaught::push_until((CONNECTIONS, enough), push, cut)
}

/// The same, where nothing is to go wrong.
fn push_all(address: SocketAddr, run: &str, each: usize) -> Vec<String> {
    let all = CONNECTIONS * each;
    let acknowledged = push_until(address, run, (all, each), || {});
    assert_eq!(acknowledged.len(), all);
    acknowledged.into_iter().map(|push| push.id).collect()
}

/// One connection's events.
fn push_on(
    address: SocketAddr,
    name: &str,
    most: usize,
    answered: &AtomicUsize,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = Client::connect(address, PATIENCE) else {
        // What another connection pushed has ended the receiver already.
        return acknowledged;
    };
    for number in 1..=most {
        let id = format!("{name}-{number}");
        let large = number % LARGE_EVERY == 0;
        let body = load::body_of(&id, if large { 60_000 } else { 1_400 });
        // An answer that is cut off is none, and a failing disk is told with 503.
        match client.push("/webhook", &body) {
            Ok(answer) if answer.status == 200 => {
                let at = Instant::now();
                acknowledged.push(Acknowledged { id, at });
            }
            Ok(_) | Err(_) => break,
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// Puts a configuration in `folder` with a log so short that the load begins it anew.
fn configure(folder: &Path) {
    let short = base_with("store", "max_size = \"128MiB\"");
    assert_ne!(short, BASE);
    std::fs::write(folder.join("config.toml"), short).unwrap();
}

/// What of `acknowledged` is missing where the store in `folder` is opened by the receiver, or how
/// the start failed. The store must be whole.
fn missing(folder: &Path, acknowledged: &[String]) -> Result<Vec<String>, String> {
    let mut receiver = Receiver::try_run(folder, command(folder, &[]))
        .map_err(|status| format!("the receiver ended: {status}"))?;
    let there: BTreeSet<String> = receiver
        .rows("events")
        .iter()
        .filter_map(|event| Some(event["event_id"].as_str()?.to_owned()))
        .collect();
    receiver.kill();
    let whole: String = rusqlite::Connection::open(folder.join("data/inbox.db"))
        .and_then(|store| store.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .map_err(|error| format!("the store cannot be checked: {error}"))?;
    if whole != "ok" {
        return Err(format!("the store is damaged: {whole}"));
    }
    let missing = acknowledged.iter().filter(|id| !there.contains(*id));
    Ok(missing.cloned().collect())
}
