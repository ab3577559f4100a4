//! The browser's side: one process of node with one Chromium for all tests of this binary.
//!
//! It speaks JSON lines, as `driver.mjs` says, and ends by itself with this process.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::aloud::say_aloud;

/// As Debian's package puts it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// A scene that says nothing for so long hangs. Each of its own waits is shorter.
const PATIENCE: Duration = Duration::from_secs(300);

/// The scenes that are played, by number.
type Scenes = Arc<Mutex<HashMap<u64, Sender<Value>>>>;

struct Driver {
    input: Mutex<ChildStdin>,
    scenes: Scenes,
    begun: AtomicU64,
    _process: Child,
}

/// Where `scripts/browser-tools.sh` puts what npm installs, and this binary its pictures.
pub(crate) fn target() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().unwrap().to_owned()
}

/// Plays the scene of `tests/console/<scene>.mjs` and gives what it ended with; panics when it
/// fails. `answer` does meanwhile what it asks for. `None` where there is no browser.
pub(crate) fn play(
    scene: &str,
    with: &Value,
    mut answer: impl FnMut(&str, &Value) -> Value,
) -> Option<Value> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    let driver = DRIVER.get_or_init(Driver::start).as_ref()?;
    let (id, messages) = driver.begin(scene, with);
    loop {
        let message = messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{scene}: nothing more is heard of it: {error}"));
        if let Some(what) = message["ask"].as_str() {
            let answer = answer(what, &message["with"]);
            driver.send(&json!({"id": id, "answer": answer}));
        } else if let Some(failure) = message["failed"].as_str() {
            panic!("{scene}: {failure}");
        } else {
            return Some(message["done"].clone());
        }
    }
}

impl Driver {
    /// Starts it; says aloud what is missing where something is.
    fn start() -> Option<Self> {
        let tools = target().join("console-tools");
        let is_there = |path: &Path| path.exists();
        if !is_there(Path::new(CHROMIUM)) || !is_there(&tools.join("installed.json")) {
            say_aloud(
                "there is no Chromium here, or not what drives it, so nobody looked at the console \
                 in a browser; scripts/browser-tools.sh says why",
            );
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console/driver.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .arg(&tools)
            .arg(CHROMIUM)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let scenes = Scenes::default();
        let output = BufReader::new(process.stdout.take().unwrap());
        let told = Arc::clone(&scenes);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let message: Value = serde_json::from_str(&line).unwrap();
                let id = message["id"].as_u64().unwrap();
                let scenes = told.lock().unwrap();
                // Its test may have given up.
                let _heard = scenes.get(&id).map(|scene| scene.send(message));
            }
            // It is gone: nobody is to wait for it.
            told.lock().unwrap().clear();
        });
        Some(Self {
            input: Mutex::new(process.stdin.take().unwrap()),
            scenes,
            begun: AtomicU64::new(0),
            _process: process,
        })
    }

    fn begin(&self, scene: &str, with: &Value) -> (u64, Receiver<Value>) {
        let id = self.begun.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = channel();
        self.scenes.lock().unwrap().insert(id, sender);
        self.send(&json!({"id": id, "scene": scene, "with": with}));
        (id, messages)
    }

    fn send(&self, message: &Value) {
        let line = format!("{message}\n");
        let mut input = self.input.lock().unwrap();
        input.write_all(line.as_bytes()).unwrap();
    }
}
