//! What a receiver asks the system for, and calls on its store's files that fail when they are told
//! to, by strace(1).
//!
//! A call that is made to fail is not carried out. Each thread counts its own calls; the store is
//! written by one thread when it opens, another when it runs, and a third that moves the log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::receiver::{PATIENCE, Receiver, command};

/// What fails, how, and which time.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) call: &'static str,
    pub(crate) error: &'static str,
    /// From 1.
    pub(crate) nth: usize,
    /// The later ones, too.
    pub(crate) lasting: bool,
}

impl Fault {
    fn injection(&self) -> String {
        let lasting = if self.lasting { "+" } else { "" };
        let Self {
            call, error, nth, ..
        } = self;
        format!("inject={call}:error={error}:when={nth}{lasting}")
    }
}

/// What the traced process did to the store's files.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: Vec<String>,
}

impl Trace {
    fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap();
        Self {
            lines: String::from_utf8_lossy(&text)
                .lines()
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The first call that was made to fail.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.lines
            .iter()
            .find(|line| line.contains("(INJECTED)"))
            .map(String::as_str)
    }

    /// The programs that were run, each as strace writes its path and arguments.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &str> {
        self.calls("execve(")
            .filter_map(|call| call.split_once(", 0x").map(|(program, _)| program))
    }

    /// The processes that were made; threads are none. A call that a signal interrupts is made again.
    pub(crate) fn processes(&self) -> usize {
        let mut begun = std::collections::BTreeMap::new();
        let mut made = 0;
        for (thread, call) in self.lines.iter().filter_map(|line| Self::call(line)) {
            if ["clone", "fork(", "vfork("]
                .iter()
                .any(|name| call.starts_with(name))
            {
                begun.insert(thread, !call.contains("CLONE_THREAD"));
            } else if !call.contains("fork resumed>") && !call.contains("clone") {
                continue;
            }
            let result = call.rsplit_once(" = ").map(|(_, result)| result);
            if result.is_some_and(|result| result.starts_with(|first: char| first.is_ascii_digit()))
            {
                made += usize::from(begun.remove(thread).unwrap_or_default());
            }
        }
        made
    }

    /// A line's thread, and what stands behind the time.
    fn call(line: &str) -> Option<(&str, &str)> {
        let (thread, rest) = line.split_once(' ')?;
        let (_time, call) = rest.trim_start().split_once(' ')?;
        Some((thread, call))
    }

    /// Such calls, from where each began.
    fn calls(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_owned();
        let calls = self.lines.iter().filter_map(|line| Self::call(line));
        calls
            .map(|(_thread, call)| call)
            .filter(move |call| call.starts_with(&name))
    }

    /// How long the process lived on after that.
    pub(crate) fn outlived(&self) -> Duration {
        let at = |line: &str| -> f64 { line.split_whitespace().nth(1).unwrap().parse().unwrap() };
        let ended = self
            .lines
            .iter()
            .rfind(|line| line.contains("+++ exited with"))
            .expect("strace sees the process end");
        Duration::from_secs_f64((at(ended) - at(self.fault().unwrap())).max(0.0))
    }

    /// The most calls of one kind that one thread made.
    pub(crate) fn most(&self, call: &str) -> usize {
        let mut threads = std::collections::BTreeMap::<&str, usize>::new();
        for line in &self.lines {
            let mut words = line.split_whitespace();
            let (thread, what) = (words.next(), words.nth(1));
            if what.is_some_and(|what| what.starts_with(call)) {
                *threads.entry(thread.unwrap_or_default()).or_default() += 1;
            }
        }
        threads.into_values().max().unwrap_or(0)
    }
}

/// An strace that watches a receiver.
pub(crate) struct Tracer {
    child: Child,
    folder: PathBuf,
}

impl Tracer {
    /// Attaches to one that runs; without a fault it only counts.
    pub(crate) fn attach(receiver: &Receiver, fault: Option<&Fault>) -> Self {
        Self::watch(receiver, on_the_store(&receiver.folder, fault))
    }

    /// Attaches to one that runs, for the programs it runs.
    pub(crate) fn of_programs(receiver: &Receiver) -> Self {
        let mut strace = strace(&receiver.folder);
        strace.args(["-e", "trace=execve,clone,clone3,fork,vfork", "-s", "4096"]);
        Self::watch(receiver, strace)
    }

    fn watch(receiver: &Receiver, mut strace: Command) -> Self {
        let folder = receiver.folder.clone();
        let told = folder.join("strace.err");
        let child = strace
            .args(["-p", &receiver.child.id().to_string()])
            .stdout(Stdio::null())
            .stderr(File::create(&told).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need strace(1): {error}"));
        let tracer = Self { child, folder };
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&told).unwrap();
            if text.contains("attached") {
                return tracer;
            }
            assert!(begun.elapsed() < PATIENCE, "strace cannot attach: {text}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the process has ended.
    pub(crate) fn finish(mut self) -> Trace {
        self.child.wait().unwrap();
        Trace::read(&self.folder.join("trace"))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It may have ended already, with the process it watched.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The receiver's own command under an strace that makes `fault` happen from the first call on.
/// Its standard error goes to `stderr`, what it did to the store to `trace`, both in `folder`.
pub(crate) fn traced(folder: &Path, fault: &Fault) -> Command {
    let receiver = command(folder, &[]);
    let mut traced = on_the_store(folder, Some(fault));
    traced
        .arg("-qq")
        .arg(receiver.get_program())
        .args(receiver.get_args())
        .stderr(File::create(folder.join("stderr")).unwrap());
    traced
}

/// What such a command did.
pub(crate) fn trace_of(folder: &Path) -> Trace {
    Trace::read(&folder.join("trace"))
}

/// Ends the process that such a command runs, as an operator would; strace ends with it. It may
/// have ended by itself already.
pub(crate) fn terminate(tracer: u32) {
    let children = format!("/proc/{tracer}/task/{tracer}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    for child in children.split_whitespace() {
        let _gone = Command::new("kill").args(["-s", "TERM", child]).status();
    }
}

fn strace(folder: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(["-f", "-ttt", "-o", "trace"]);
    strace
}

fn on_the_store(folder: &Path, fault: Option<&Fault>) -> Command {
    let data = folder.canonicalize().unwrap().join("data");
    let mut strace = strace(folder);
    strace
        .args(["-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate"])
        .arg("-P")
        .arg(&data);
    for file in ["inbox.db", "inbox.db-wal", "inbox.db-shm"] {
        strace.arg("-P").arg(data.join(file));
    }
    if let Some(fault) = fault {
        strace.args(["-e", &fault.injection()]);
    }
    strace
}
