//! A PostgreSQL server that belongs to one test: Debian's programs on a data folder of its own,
//! which is stopped, frozen, killed and started again on the same folder and port.
//!
//! It syncs as a real one does. It runs as the user `postgres` where the test is root, as the
//! server refuses to be. Nothing of it outlives the test: it is ended when dropped, and by the
//! system when the thread that started it ends.

#[path = "../../../src/inbox/postgres/tests/authority.rs"]
mod authority;
#[path = "../../../src/inbox/postgres/tests/bouncer.rs"]
mod bouncer;
mod processes;
#[path = "../../../src/inbox/postgres/tests/server.rs"]
mod server;
mod standby;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub(crate) use self::authority::Authority;
pub(crate) use self::bouncer::Bouncer;
pub(crate) use self::server::steady_port;
use self::server::{is_root, programs, run, unprivileged};

/// The receivers' user, database and password.
pub(crate) const USER: &str = "flashduty";
pub(crate) const DATABASE: &str = "inbox";
pub(crate) const PASSWORD: &str = "c0rrect-h0rse";

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Small, but as durable as any.
const SETTINGS: &str = "\
    listen_addresses = '127.0.0.1'\n\
    fsync = on\n\
    shared_buffers = '16MB'\n\
    dynamic_shared_memory_type = mmap\n\
    max_connections = 80\n\
    log_line_prefix = '%p %u '\n";

/// A server, which may be down.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// A server that runs, with the receivers' user and an empty database.
    pub(crate) fn start() -> Self {
        let mut server = Self::prepare();
        server.start_again();
        server.create_database();
        server
    }

    /// A data folder, before the first start.
    pub(crate) fn prepare() -> Self {
        let server = Self::in_new_folder();
        let data = server.data();
        let mut initdb = program("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        // Nothing is lost yet when the machine fails now.
        initdb.args(["--locale=C", "--no-sync", "--no-instructions"]);
        run(initdb.arg("--pgdata").arg(&data));
        server.admit("host");
        server.set(SETTINGS);
        server.set_place();
        server
    }

    fn in_new_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(folder.path()));
        }
        Self {
            folder,
            port: steady_port(),
            child: None,
        }
    }

    /// The role and the database, which the server has from then on.
    pub(crate) fn create_database(&self) {
        for statement in [
            format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"),
            format!("CREATE DATABASE {DATABASE} OWNER {USER}"),
        ] {
            self.ask_of("postgres", &statement).unwrap();
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The folder of its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its unix socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Connections over TCP are to be of `kind`: `host`, or `hostssl` for TLS only.
    pub(crate) fn admit(&self, kind: &str) {
        let rules = format!(
            "local all all trust\nlocal replication all trust\n\
             {kind} all all 127.0.0.1/32 scram-sha-256\n"
        );
        std::fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
    }

    /// Has it speak TLS only, from its next start on, with a certificate for `name`.
    pub(crate) fn encrypt(&self, authority: &Authority, name: &str) {
        let vouched = authority.vouch_for(name);
        let certificate = self.keep("server.pem", &vouched.certificate);
        let key = self.keep("server.key", &vouched.key);
        self.set(&format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            certificate.display(),
            key.display()
        ));
        self.admit("hostssl");
    }

    /// Adds lines to its configuration, for the next start.
    pub(crate) fn set(&self, lines: &str) {
        let file = self.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{before}\n{lines}")).unwrap();
    }

    fn set_place(&self) {
        self.set(&format!(
            "port = {}\nunix_socket_directories = '{}'\n",
            self.port,
            self.socket().display()
        ));
    }

    /// Puts a file that only it may read beside its data, and tells where.
    pub(crate) fn keep(&self, name: &str, content: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(&file));
        }
        file
    }

    /// Starts it, as often as it was ended, and waits until it takes connections.
    pub(crate) fn start_again(&mut self) {
        self.start_until("is ready to accept connections");
    }

    fn start_until(&mut self, ready: &'static str) {
        assert!(self.child.is_none(), "it runs already");
        let mut postgres = program("postgres");
        postgres.arg("-D").arg(self.data());
        let mut child = postgres.stderr(Stdio::piped()).spawn().unwrap();
        let said = read_aside(child.stderr.take().unwrap());
        self.child = Some(child);
        let mut lines = Vec::new();
        while !lines
            .last()
            .is_some_and(|line: &String| line.contains(ready))
        {
            match said.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(_) => panic!("PostgreSQL is not ready:\n{}", lines.join("\n")),
            }
        }
    }

    /// Ends it in good order: what is under way is rolled back, connections are ended.
    pub(crate) fn stop(&mut self) {
        self.end("INT");
    }

    /// What the superuser's `statement` gives in the receivers' database: rows of columns.
    pub(crate) fn rows(&self, statement: &str) -> Vec<Vec<String>> {
        let said = self.ask_of(DATABASE, statement).unwrap();
        let row = |line: &str| line.split('\x1f').map(str::to_owned).collect();
        said.lines().map(row).collect()
    }

    /// The same of one row and column.
    pub(crate) fn value(&self, statement: &str) -> String {
        let rows = self.rows(statement);
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{statement}: {rows:?}");
        rows[0][0].clone()
    }

    fn ask_of(&self, database: &str, statement: &str) -> Result<String, String> {
        let mut psql = Command::new(programs().join("psql"));
        psql.arg("--host").arg(self.socket());
        psql.args(["--port", &self.port.to_string(), "--username=postgres"]);
        psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet"]);
        psql.args(["--field-separator", "\x1f", "--dbname", database]);
        said(&psql.args(["--command", statement]).output().unwrap())
    }
}

/// One of its programs, as the user it runs as, who may enter the root.
fn program(name: &str) -> Command {
    let mut command = unprivileged(Path::new("setpriv"));
    // Behind the change of the user, with which the system forgets it.
    command.args(["--pdeathsig=KILL", "--"]);
    command.arg(programs().join(name)).stdin(Stdio::null());
    command
}

/// What it printed, or said of its failure.
fn said(output: &Output) -> Result<String, String> {
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout.clone()).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The lines of a server's log. They are read to the end, so that it never waits for a reader.
fn read_aside(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (saying, said) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody listens once it is ready.
            let _heard = saying.send(line);
        }
    });
    said
}
