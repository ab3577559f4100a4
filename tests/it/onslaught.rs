//! Pushes from several sides, and what is done to the receiver in the middle of them.

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::database::steady_port;
use crate::http::Client;
use crate::receiver::{BASE, PATIENCE, Receiver, wait_until};

const PUSHERS: usize = 4;

/// Has `pushers` push, each of which counts what was answered; once `enough` was, does `then`. Returns
/// what they made of it.
pub(crate) fn push_until<T: Send>(
    (pushers, enough): (usize, usize),
    push: impl Fn(usize, &AtomicUsize) -> Vec<T> + Sync,
    then: impl FnOnce(),
) -> Vec<T> {
    let answered = AtomicUsize::new(0);
    let (push, answered) = (&push, &answered);
    std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..pushers)
            .map(|pusher| scope.spawn(move || push(pusher, answered)))
            .collect();
        let are_enough = || answered.load(Ordering::Relaxed) >= enough;
        wait_until("enough pushes are answered", are_enough);
        then();
        let pushing = pushing.into_iter();
        pushing.flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Pushes events of a few subjects until `enough` are acknowledged, and kills the receiver meanwhile; the
/// ids of those that were.
pub(crate) fn push_and_kill(
    receiver: &mut Receiver,
    round: impl Display + Sync,
    enough: usize,
) -> Vec<String> {
    let address = receiver.public;
    let push = |pusher: usize, answered: &AtomicUsize| {
        let mut acknowledged = Vec::new();
        let Ok(mut client) = Client::connect(address, PATIENCE) else {
            return acknowledged;
        };
        for turn in 0.. {
            let id = format!("r{round}p{pusher}-{turn}");
            match client.push("/webhook", event(&id, turn % 5).as_bytes()) {
                Ok(answer) if answer.status == 200 => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    acknowledged.push(id);
                }
                // Too late on a busy disk: stored all the same, or not.
                Ok(_) => {}
                Err(_) => break,
            }
        }
        acknowledged
    };
    push_until((PUSHERS, enough), push, || receiver.kill())
}

/// The body of an event about one of the subjects.
pub(crate) fn event(id: &str, subject: usize) -> String {
    format!(
        r#"{{"event_id":"{id}","event_type":"i_r_title","incident":{{"incident_id":"s{subject}","title":"{id}"}}}}"#
    )
}

/// Writes a configuration whose admin listener is found again after a restart.
pub(crate) fn configure(folder: &Path) {
    let steady = format!("[admin]\nlisten = \"127.0.0.1:{}\"", steady_port());
    let configuration = BASE.replace("[admin]\nlisten = \"127.0.0.1:0\"", &steady);
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
}
