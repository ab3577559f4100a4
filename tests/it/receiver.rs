//! The real binary under test: started, asked, signalled, killed, and its log read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Answer, Client};
use crate::lines::Lines;

/// Long enough for a busy machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the full counts are asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "says how long the tests may take, and configures nothing"
)]
fn soaking() -> bool {
    std::env::var_os("FLASHDUTY_SOAK").is_some()
}

/// `small` by default, `full` under `make soak`.
pub(crate) fn count(small: usize, full: usize) -> usize {
    if soaking() { full } else { small }
}

/// Prints a row of the table that `make soak` collects.
#[expect(
    clippy::print_stderr,
    reason = "the table is read from the tests' output"
)]
pub(crate) fn soak_line(number: u32, what: &str, result: &str) {
    if soaking() {
        // The test's own name may stand on the line.
        eprintln!("\nsoak | {number} | {what} | {result}");
    }
}

/// The configuration every test starts from: loopback speaks for the sender.
pub(crate) const BASE: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[source]
trusted_proxies = ["127.0.0.0/8"]
[store]
min_free_disk = "16MiB"
"#;

/// [`BASE`] with further `keys` in one of its sections.
pub(crate) fn base_with(section: &str, keys: &str) -> String {
    let heading = format!("[{section}]\n");
    assert!(BASE.contains(&heading));
    BASE.replace(&heading, &format!("{heading}{keys}\n"))
}

/// Now, in milliseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "events are dated by the real clock, as the binary's is"
)]
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Waits until something is so of which nobody tells when it comes.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the end of a process.
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it did not end");
}

/// A receiver that runs. Killed when dropped.
pub(crate) struct Receiver {
    pub(crate) child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) lines: Lines,
    /// Its working directory: the store is `data/inbox.db` in it, the configuration `config.toml`.
    pub(crate) folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Receiver {
    /// In a folder of its own, with `extra` behind [`BASE`] (dotted keys or further tables).
    pub(crate) fn start(extra: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut receiver = Self::start_in(temporary.path(), extra);
        receiver._temporary = Some(temporary);
        receiver
    }

    /// In `folder`, whose store may be there from before.
    pub(crate) fn start_in(folder: &Path, extra: &str) -> Self {
        std::fs::write(folder.join("config.toml"), format!("{BASE}{extra}")).unwrap();
        Self::run(folder, command(folder, &[]))
    }

    /// In a folder of its own, with `configuration` and nothing else.
    pub(crate) fn configured(configuration: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("config.toml"), configuration).unwrap();
        let mut receiver = Self::run(temporary.path(), command(temporary.path(), &[]));
        receiver._temporary = Some(temporary);
        receiver
    }

    /// Puts `configuration` in place and has it read; the answer says what came of it.
    pub(crate) fn reconfigure(&self, configuration: &str) -> Answer {
        let new = self.folder.join("new.toml");
        std::fs::write(&new, configuration).unwrap();
        std::fs::rename(&new, self.folder.join("config.toml")).unwrap();
        self.post("/api/v1/reload", "")
    }

    /// Runs `command`, reads its log and waits until it is ready.
    pub(crate) fn run(folder: &Path, command: Command) -> Self {
        Self::try_run(folder, command)
            .unwrap_or_else(|status| panic!("the receiver ended: {status}"))
    }

    /// The same, or how it ended before it was ready.
    pub(crate) fn try_run(folder: &Path, command: Command) -> Result<Self, ExitStatus> {
        Starting::begin(folder, command).finish()
    }

    /// A connection to the public listener.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.public, PATIENCE).unwrap()
    }

    /// One push on a connection of its own.
    pub(crate) fn push(&self, body: &str) -> Answer {
        self.client().push("/webhook", body.as_bytes()).unwrap()
    }

    /// The admin API's answer to a GET.
    pub(crate) fn api(&self, path: &str) -> Answer {
        Client::connect(self.admin, PATIENCE)
            .unwrap()
            .get(path)
            .unwrap()
    }

    /// The admin API's answer to a POST.
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let mut client = Client::connect(self.admin, PATIENCE).unwrap();
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        client.send(format!("{head}{body}").as_bytes()).unwrap();
        client.answer(false).unwrap()
    }

    /// The value of a metric, its labels spelled as in the exposition; zero when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.api("/metrics").body).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    /// The output of a command of the same binary and configuration.
    pub(crate) fn cli(&self, arguments: &[&str]) -> std::process::Output {
        let api = format!("http://{}", self.admin);
        command(&self.folder, &[arguments, &["--api", &api]].concat())
            .output()
            .unwrap()
    }

    /// What such a command prints; panics when it fails.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `flashduty_pushes_total` of an outcome.
    pub(crate) fn pushes(&self, outcome: &str) -> f64 {
        self.metric(&format!("flashduty_pushes_total{{outcome=\"{outcome}\"}}"))
    }

    /// All rows of a list of the API, newest first.
    pub(crate) fn rows(&self, list: &str) -> Vec<Value> {
        self.rows_of(&format!("{list}?"))
    }

    /// The same for a list with a query, such as `deliveries?sink=log`.
    pub(crate) fn rows_of(&self, query: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .api(&format!("/api/v1/{query}&limit=500{cursor}"))
                .json();
            rows.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    /// Waits until the log sink's delivery of the event at `seq` is in `state`: that is written
    /// with a later transaction than the one that admitted the event.
    pub(crate) fn wait_for_delivery(&self, seq: &Value, state: &str) {
        self.wait_for_state(seq, "log", state);
    }

    /// The same for the delivery to any sink.
    pub(crate) fn wait_for_state(&self, seq: &Value, sink: &str, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.api(&format!("/api/v1/events/{seq}")).json();
            let deliveries = event["deliveries"].as_array().cloned().unwrap_or_default();
            let mut its = deliveries
                .iter()
                .filter(|delivery| delivery["sink"] == sink);
            if its.any(|delivery| delivery["state"] == state) {
                return;
            }
            assert!(Instant::now() < deadline, "no delivery {state}: {event}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The memory it holds, in bytes (`VmRSS`).
    pub(crate) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .and_then(|number| number.trim().parse::<u64>().ok());
        kibibytes.unwrap() << 10
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

/// A receiver that is not ready yet.
pub(crate) struct Starting {
    child: Child,
    pub(crate) lines: Lines,
    folder: PathBuf,
}

impl Starting {
    /// Runs `command` and reads its log.
    pub(crate) fn begin(folder: &Path, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(&mut child);
        Self {
            child,
            lines,
            folder: folder.to_owned(),
        }
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }

    /// Waits until it is ready, or tells how it ended.
    pub(crate) fn finish(mut self) -> Result<Receiver, ExitStatus> {
        let ready = self.lines.wait_until("the start", |lines| {
            let ready = lines
                .iter()
                .find(|line| line["message"] == "ready for pushes");
            match ready {
                Some(line) => Some(Some(line.clone())),
                None if self.lines.have_ended() => Some(None),
                None => None,
            }
        });
        let Some(ready) = ready else {
            return Err(self.child.wait().unwrap());
        };
        let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        Ok(Receiver {
            child: self.child,
            public: address("listen"),
            admin: address("admin"),
            lines: self.lines,
            folder: self.folder,
            _temporary: None,
        })
    }
}

/// Sends a signal, by name.
pub(crate) fn send_signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The binary with `arguments`, at home in `folder`, with nothing of this environment that would
/// configure it.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashduty-receiver"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(["--config", "config.toml"])
        .args(arguments);
    command
}
