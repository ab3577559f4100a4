//! A PostgreSQL server for tests: Debian's, started here, one for each test process.
//!
//! A small shell looks after it. It ends the server and removes its files as soon as its standard
//! input closes, which happens when the test process ends, however that is.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Waits for the end of its input, then for the server's.
const SCRIPT: &str = r#"trap '' INT
"$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 \
    -c fsync=on -c full_page_writes=on -c max_connections=300 -c shared_buffers=64MB \
    -c log_min_messages=warning -c timezone=UTC $4 >"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$2"
"#;

/// A running server.
pub(crate) struct Server {
    pub(crate) home: PathBuf,
    pub(crate) port: u16,
    made: AtomicU32,
    _keeper: Keeper,
}

impl Server {
    /// The one of this process, started when it is first asked for.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts one more.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with more settings, as on its command line.
    pub(crate) fn start_with(settings: &str) -> Self {
        let (programs, port) = (programs(), steady_port());
        let home = home("postgres", port);
        run(unprivileged(&programs.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(home.join("data")));
        let listens = port.to_string();
        let arguments = [
            programs.as_os_str(),
            home.as_os_str(),
            listens.as_ref(),
            settings.as_ref(),
        ];
        let server = Self {
            _keeper: Keeper::start(SCRIPT, &arguments, Stdio::null()),
            home,
            port,
            made: AtomicU32::new(0),
        };
        server.wait_until_ready(&programs);
        server
    }

    fn wait_until_ready(&self, programs: &Path) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let asked = Command::new(programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if asked.unwrap().success() {
                return;
            }
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
                panic!("the server does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A new and empty database.
    pub(crate) fn database(&self) -> String {
        let name = format!("t{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Runs statements with `psql`, and says what it printed: a line a row, columns by `|`.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        let output = Command::new(programs().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-U", "postgres", "-d", database])
            .args(["-p", &self.port.to_string(), "-c", text])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A shell script that looks after a program until its standard input closes: when this is dropped,
/// or when the test process ends. It runs as the user that the program may run as.
pub(crate) struct Keeper(Child);

impl Keeper {
    pub(crate) fn start(script: &str, arguments: &[&OsStr], stderr: Stdio) -> Self {
        let mut shell = unprivileged(Path::new("/bin/sh"));
        shell.args(["-c", script, "keeper"]).args(arguments);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(shell.stderr(stderr).spawn().unwrap())
    }

    /// What the script and its program say, where that was asked for.
    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

/// A folder for the files of what listens at `port`, which its keeper can remove.
pub(crate) fn home(what: &str, port: u16) -> PathBuf {
    let name = format!("flashduty-{what}-{}-{port}", std::process::id());
    let home = std::env::temp_dir().join(name);
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    if is_root() {
        run(Command::new("chown").arg("postgres:").arg(&home));
    }
    home
}

/// The folder with the server's programs: the newest that is installed.
pub(crate) fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut versions: Vec<PathBuf> = versions
        .expect("PostgreSQL is not installed: apt-get install postgresql")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .collect();
    versions.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name);
        version.and_then(|name| name.to_str()?.parse::<u32>().ok())
    });
    versions.pop().expect("PostgreSQL has no server installed")
}

/// A server refuses to run as root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program);
    command.current_dir("/");
    command
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A port that is free, and that no connection takes while its server is away: the system gives them
/// ports from 32768 on, and could connect one that is tried again and again to itself.
pub(crate) fn steady_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 12_000).unwrap();
    loop {
        let next = (begin + TRIED.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + next;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn run(command: &mut Command) {
    let output: io::Result<_> = command.output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
