//! A broker's server as a child process, which can be killed and started again on the same port and
//! folder.

use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use flashduty_receiver::sink::{Sink, SinkError};

use crate::course::{Course, Progress, event, leases};

/// What is sent by [`killed_twice`], over so many subjects.
pub(crate) const EVENTS: usize = 2_000;
pub(crate) const SUBJECTS: usize = 50;

/// A server that runs, until it is dropped.
pub(crate) struct Server {
    command: Vec<String>,
    ready: &'static str,
    child: Child,
}

impl Server {
    /// Runs `command` and waits until it says `ready` on either of its outputs.
    pub(crate) fn start(command: Vec<String>, ready: &'static str) -> Self {
        let child = spawn(&command, ready);
        Self {
            command,
            ready,
            child,
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew after [`Self::kill`].
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.command, self.ready);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends events to `sink` while its server is killed and started again, twice.
pub(crate) async fn killed_twice(sink: Arc<dyn Sink>, server: &mut Server) -> Progress {
    let mut course = Course::run(sink, EVENTS, SUBJECTS).await;
    for enough in [400, 1_200] {
        let before = course.until(|progress| progress.delivered >= enough).await;
        server.kill();
        course
            .until(|progress| progress.failed > before.failed || progress.delivered == EVENTS)
            .await;
        server.start_again();
    }
    let progress = course.until(|progress| progress.delivered == EVENTS).await;
    course.end().await;
    assert!(progress.failed > 0, "it was killed in the middle");
    progress
}

/// A sink with a wrong password says so, and where, without the password.
pub(crate) async fn tells_no_password(sink: &dyn Sink, port: u16) {
    let results = sink.deliver(&leases(vec![event(0, 1)]).await).await;
    let Err(SinkError::Retry(failure)) = &results[0] else {
        panic!("{results:?}");
    };
    let place = format!("127.0.0.1:{port}");
    for part in ["refuses our credentials", place.as_str()] {
        assert!(failure.reason.contains(part), "{part}: {failure}");
    }
    assert!(!failure.reason.contains("p4ssword"), "{failure}");
}

fn spawn(command: &[String], ready: &'static str) -> Child {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; `make test` installs it", command[0]));
    let (said, saying) = mpsc::channel();
    let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
    let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
    for output in [stdout, stderr] {
        let said = said.clone();
        std::thread::spawn(move || {
            // To the end, so that the server never waits for a reader.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _heard = said.send(line);
            }
        });
    }
    drop(said);
    let mut lines = Vec::new();
    loop {
        match saying.recv_timeout(Duration::from_secs(30)) {
            Ok(line) if line.contains(ready) => return child,
            Ok(line) => lines.push(line),
            Err(_) => panic!("{} is not ready:\n{}", command[0], lines.join("\n")),
        }
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
