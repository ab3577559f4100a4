//! PostgreSQL's protocol, as far as it takes to see where a message begins, and which is a COMMIT.

use std::collections::HashSet;

use bytes::{Buf as _, Bytes, BytesMut};

/// The codes by which a client asks for TLS, or for GSSAPI, before it starts.
const ENCRYPTIONS: [u32; 2] = [80_877_103, 80_877_104];

/// What the receiver says.
#[derive(Default)]
pub(super) struct Requests {
    started: bool,
    /// How often it asked for encryption, which is answered by one byte that is no message.
    pub(super) asked: usize,
    prepared: HashSet<Vec<u8>>,
    bound: bool,
}

impl Requests {
    /// The next whole message, and whether it commits.
    pub(super) fn next(&mut self, bytes: &mut BytesMut) -> Option<(Bytes, bool)> {
        if self.started {
            let message = typed(bytes)?;
            let commits = self.commits(&message);
            return Some((message, commits));
        }
        let length = (bytes.len() >= 8).then(|| (&bytes[..4]).get_u32())? as usize;
        let message = (bytes.len() >= length).then(|| bytes.split_to(length).freeze())?;
        if ENCRYPTIONS.contains(&(&message[4..8]).get_u32()) {
            self.asked += 1;
        } else {
            self.started = true;
        }
        Some((message, false))
    }

    /// A simple query that commits, or the execution of a prepared one.
    fn commits(&mut self, message: &[u8]) -> bool {
        let mut words = message[5..].split(|byte| *byte == 0);
        let mut word = || words.next().unwrap_or_default();
        match message[0] {
            b'Q' => has_commit(word()),
            b'P' => {
                let name = word().to_vec();
                if has_commit(word()) {
                    self.prepared.insert(name);
                } else {
                    self.prepared.remove(&name);
                }
                false
            }
            b'B' => {
                word();
                self.bound = self.prepared.contains(word());
                false
            }
            b'E' => self.bound,
            _ => false,
        }
    }
}

/// The next whole message, which begins with its type.
pub(super) fn typed(bytes: &mut BytesMut) -> Option<Bytes> {
    let length = (bytes.len() >= 5).then(|| (&bytes[1..5]).get_u32())? as usize + 1;
    (bytes.len() >= length).then(|| bytes.split_to(length).freeze())
}

/// Whether an answer says that a transaction is committed.
pub(super) fn is_committed(message: &[u8]) -> bool {
    message[0] == b'C' && message[5..].starts_with(b"COMMIT")
}

/// Whether the last of its statements commits.
fn has_commit(query: &[u8]) -> bool {
    let query = String::from_utf8_lossy(query).to_ascii_uppercase();
    let last = query.rsplit(';').find(|part| !part.trim().is_empty());
    last.is_some_and(|last| last.trim() == "COMMIT")
}
