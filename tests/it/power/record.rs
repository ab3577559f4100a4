//! What a process does to the files of its folder and what it answers, in order, by strace(1).
//!
//! A call is written down before it is carried out, and its end before the thread goes on: an
//! answer that was given only because a sync had ended stands behind that end, and a change that
//! was made before a sync began stands before that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One step. A call that changes something has a number, and ends with a step of its own.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A folder was made.
    Folder {
        name: String,
    },
    /// A file was opened, and made if it was not there.
    Opened {
        name: String,
    },
    Removed {
        name: String,
    },
    Wrote {
        call: usize,
        name: String,
        offset: usize,
        data: Vec<u8>,
    },
    Resized {
        call: usize,
        name: String,
        length: usize,
    },
    /// The change is there for whoever reads it.
    Changed {
        call: usize,
    },
    /// The change was not made: the process was killed before.
    Unchanged {
        call: usize,
    },
    SyncBegan {
        call: usize,
        name: String,
    },
    SyncEnded {
        call: usize,
        worked: bool,
    },
    /// An answer over TCP, or a line on standard output.
    Said {
        text: String,
    },
}

const CALLS: &str = "trace=openat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,\
                     linkat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,ftruncate,\
                     fallocate,copy_file_range,fsync,fdatasync,sync_file_range";

/// `command`, at home in `folder`, under a recorder; `fault` is a further expression of strace's.
pub(super) fn recorded(folder: &Path, command: &Command, fault: Option<&str>) -> Command {
    let mut strace = Command::new("strace");
    strace
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        // Other calls are not stopped at.
        .args(["-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-o", "trace"])
        .args(["-a", "1", "-s", "4194304", "-e", CALLS]);
    if let Some(fault) = fault {
        strace.args(["-e", fault]);
    }
    strace.arg(command.get_program()).args(command.get_args());
    strace
}

/// Kills what such a command runs, and waits until the recorder has ended as well.
pub(super) fn kill(tracer: u32) {
    let children = format!("/proc/{tracer}/task/{tracer}/children");
    let children = std::fs::read_to_string(children).unwrap();
    for child in children.split_whitespace() {
        let killed = Command::new("kill").args(["-s", "KILL", child]).status();
        assert!(killed.unwrap().success());
    }
}

/// What such a command did to what lies in `folder`, whose names are given from there.
pub(super) fn steps(folder: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(folder.join("trace")).unwrap();
    let mut reader = Reader {
        folder: folder.canonicalize().unwrap(),
        steps: Vec::new(),
        open: BTreeMap::new(),
    };
    for line in text.lines() {
        let (thread, line) = line.split_once(' ').unwrap();
        reader.read(thread, line.trim_start());
    }
    for begun in std::mem::take(&mut reader.open).into_values() {
        reader.end(&begun, ") = ?");
    }
    reader.steps
}

/// Numbers calls, over all recordings.
static CALLS_SO_FAR: AtomicUsize = AtomicUsize::new(0);

/// A call that has not come back yet: its number, its name, and what stands in the parentheses.
struct Begun {
    call: usize,
    name: String,
    arguments: String,
}

struct Reader {
    folder: PathBuf,
    steps: Vec<Step>,
    /// By thread.
    open: BTreeMap<String, Begun>,
}

impl Reader {
    fn read(&mut self, thread: &str, line: &str) {
        if line.starts_with("+++") || line.starts_with("---") {
            return;
        }
        if let Some(rest) = line.strip_prefix("<... ") {
            let begun = self.open.remove(thread).unwrap();
            let (_, rest) = rest.split_once(" resumed>").unwrap();
            return self.end(&begun, rest);
        }
        let (name, rest) = line.split_once('(').unwrap();
        // The second is said of a thread that was gone before its call came back.
        let broken_off = [" <unfinished ...>", " <detached ...>"];
        let unfinished = broken_off.iter().find_map(|mark| rest.find(mark));
        let end = unfinished.or(rest.rfind(") = "));
        let end = end.unwrap_or_else(|| panic!("a call without an end: {line}"));
        let (arguments, rest) = rest.split_at(end);
        let begun = Begun {
            call: CALLS_SO_FAR.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        self.begin(&begun);
        if unfinished.is_some() {
            self.open.insert(thread.to_owned(), begun);
        } else {
            self.end(&begun, rest);
        }
    }

    /// What may have an effect from now on.
    fn begin(&mut self, begun: &Begun) {
        let call = begun.call;
        let arguments = begun.arguments.as_str();
        let step = match begun.name.as_str() {
            "write" | "writev" | "sendto" | "sendmsg" => {
                let goes_out = arguments.contains("<TCP") || arguments.starts_with("1<");
                goes_out.then(|| Step::Said {
                    text: String::from_utf8_lossy(&strings(arguments)).into_owned(),
                })
            }
            "pwrite64" => self.of_descriptor(arguments).map(|name| Step::Wrote {
                call,
                name,
                offset: last_number(arguments),
                data: strings(arguments),
            }),
            "ftruncate" => self.of_descriptor(arguments).map(|name| Step::Resized {
                call,
                name,
                length: last_number(arguments),
            }),
            "fsync" | "fdatasync" => self
                .of_descriptor(arguments)
                .map(|name| Step::SyncBegan { call, name }),
            _ => None,
        };
        self.steps.extend(step);
    }

    /// What has come back, with `rest` from its closing parenthesis.
    fn end(&mut self, begun: &Begun, rest: &str) {
        let (_, result) = rest.rsplit_once(" = ").unwrap();
        if result.starts_with('?') {
            return self.end_killed(begun);
        }
        let worked = !result.starts_with('-');
        let call = begun.call;
        let arguments = begun.arguments.as_str();
        let path = || self.below(&String::from_utf8_lossy(&strings(arguments)));
        let step = match begun.name.as_str() {
            "pwrite64" | "ftruncate" => self.of_descriptor(arguments).map(|name| {
                assert!(worked, "{name}: only syncs are made to fail: {result}");
                Step::Changed { call }
            }),
            "fsync" | "fdatasync" => self
                .of_descriptor(arguments)
                .map(|_| Step::SyncEnded { call, worked }),
            "openat" if worked && arguments.contains("O_CREAT") => path().map(|name| {
                assert!(!arguments.contains("O_TRUNC"), "{name} is emptied");
                Step::Opened { name }
            }),
            "mkdir" if worked => path().map(|name| Step::Folder { name }),
            "unlink" if worked => path().map(|name| Step::Removed { name }),
            "write" | "writev" | "sendto" | "sendmsg" | "openat" | "mkdir" | "unlink" => None,
            other => panic!("the recorder does not know what {other} does: {arguments}"),
        };
        self.steps.extend(step);
    }

    /// The process was killed meanwhile. Only the file knows whether the change was made.
    fn end_killed(&mut self, begun: &Begun) {
        let call = begun.call;
        let arguments = begun.arguments.as_str();
        let Some(name) = self.of_descriptor(arguments) else {
            return;
        };
        let content = std::fs::read(self.folder.join(name)).unwrap_or_default();
        let last = || last_number(arguments);
        let made = match begun.name.as_str() {
            "pwrite64" => content
                .get(last()..)
                .is_some_and(|rest| rest.starts_with(&strings(arguments))),
            "ftruncate" => content.len() == last(),
            _ => return,
        };
        self.steps.push(match made {
            true => Step::Changed { call },
            false => Step::Unchanged { call },
        });
    }

    /// The name of the file behind the descriptor that comes first.
    fn of_descriptor(&self, arguments: &str) -> Option<String> {
        let (_, rest) = arguments.split_once('<')?;
        let (path, _) = rest.split_once('>')?;
        self.below(&String::from_utf8_lossy(&bytes(path)))
    }

    /// The path from the folder, if it is one of the store's; the folder itself is empty.
    fn below(&self, path: &str) -> Option<String> {
        let whole = self.folder.join(path);
        let name = whole.strip_prefix(&self.folder).ok()?.to_str().unwrap();
        let ours = name.is_empty() || name == "data" || name.starts_with("data/inbox.db");
        // The lock says who holds it, and nothing else.
        (ours && !name.ends_with(".lock")).then(|| name.to_owned())
    }
}

/// The bytes of everything in quotes.
fn strings(arguments: &str) -> Vec<u8> {
    let quoted = arguments.split('"').skip(1).step_by(2);
    quoted.flat_map(bytes).collect()
}

/// The bytes of `\x00\x01…`.
fn bytes(text: &str) -> Vec<u8> {
    let pairs = text.split("\\x").skip(1);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn last_number(arguments: &str) -> usize {
    let (_, number) = arguments.rsplit_once(", ").unwrap();
    number.parse().unwrap()
}
