//! The processes of a server: each works in the folder of its data, which is how they are known.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{PATIENCE, Postgres};

impl Postgres {
    /// Holds all of it, so that connections stay open and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal_all("STOP");
        // What was born while the others were told.
        self.signal_all("STOP");
    }

    /// It goes on where it was held.
    pub(crate) fn thaw(&self) {
        self.signal_all("CONT");
    }

    /// Ends all of it at once, as the loss of its machine would: nothing is written any more.
    pub(crate) fn kill(&mut self) {
        // First of all the one that has the others; what it has begun ends by itself.
        let first = self.child.as_ref().map(|child| child.id());
        send("KILL", &first.into_iter().collect::<Vec<_>>());
        self.signal_all("KILL");
        self.wait_for_end();
    }

    /// Ends only the first process, as the system does when memory is short: the others notice.
    pub(crate) fn crash(&mut self) {
        self.child.as_mut().unwrap().kill().unwrap();
        self.wait_for_end();
    }

    /// Sends the first process a signal that ends it, and waits for all.
    pub(super) fn end(&mut self, signal: &str) {
        send(signal, &[self.child.as_ref().unwrap().id()]);
        self.wait_for_end();
    }

    fn signal_all(&self, name: &str) {
        send(name, &working_in(&self.data()));
    }

    fn wait_for_end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
        // Not our children, so there is no other sign of their end.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = working_in(&self.data());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{left:?} do not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.thaw();
            // Ends without a checkpoint, and leaves no memory shared.
            self.end("QUIT");
        }
    }
}

/// The processes at work in `folder`.
fn working_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().unwrap();
    let all = std::fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| {
        let entry = entry.unwrap();
        let process = entry.file_name().to_str()?.parse().ok()?;
        // One that has just ended works nowhere.
        let place = std::fs::read_link(entry.path().join("cwd")).ok()?;
        (place == folder).then_some(process)
    })
    .collect()
}

fn send(signal: &str, to: &[u32]) {
    if !to.is_empty() {
        let to = to.iter().map(u32::to_string);
        // Some may have ended meanwhile.
        let _told = Command::new("kill")
            .args(["-s", signal])
            .args(to)
            .stderr(Stdio::null())
            .status()
            .unwrap();
    }
}
