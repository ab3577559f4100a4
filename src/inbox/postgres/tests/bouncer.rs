//! `PgBouncer` in transaction mode before a server: each transaction may meet another session.
//!
//! Debian's, started here and looked after as the server is. It gives the sessions out in turn and
//! knows nothing of prepared statements, so what only works on one session does not work.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::server::{Keeper, home, steady_port};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// Like the server it refuses to be root. What it says ends when it does not start.
const SCRIPT: &str = r#"trap '' INT
"$1" "$2/pgbouncer.ini" </dev/null &
bouncer=$!
exec 2>/dev/null
cat >/dev/null
kill -KILL $bouncer
wait $bouncer
rm -rf "$2"
"#;

/// A pool, which may be down. Ended when dropped, or with the test process.
pub(crate) struct Bouncer {
    pub(crate) address: SocketAddr,
    /// Whom it lets in.
    users: String,
    /// How it works, but for the place of the former.
    settings: String,
    keeper: Option<Keeper>,
}

impl Bouncer {
    /// Starts one that has so many sessions on each database at `server`, and waits until it takes
    /// connections of `user`, whom the server knows by `password`, too.
    pub(crate) fn before(server: SocketAddr, [user, password]: [&str; 2], sessions: usize) -> Self {
        let port = steady_port();
        // A server that was away is asked again at once, and a test that is over leaves no sessions.
        let mut settings = format!(
            "[databases]\n* = host={} port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\npool_mode = transaction\n\
             default_pool_size = {sessions}\nmax_client_conn = 500\nserver_round_robin = 1\n\
             server_login_retry = 1\nserver_idle_timeout = 20\n",
            server.ip(),
            server.port(),
        );
        if would_keep_statements() {
            settings.push_str("max_prepared_statements = 0\n");
        }
        let mut bouncer = Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            users: format!("\"{user}\" \"{password}\"\n"),
            settings,
            keeper: None,
        };
        bouncer.start_again();
        bouncer
    }

    /// Ends it in the middle of what passes through it.
    pub(crate) fn kill(&mut self) {
        self.keeper = None;
    }

    /// Starts it where it was, and waits until it takes connections.
    pub(crate) fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "it runs already");
        let home = home("pgbouncer", self.address.port());
        let users = home.join("users");
        let settings = format!("{}auth_file = {}\n", self.settings, users.display());
        std::fs::write(users, &self.users).unwrap();
        std::fs::write(home.join("pgbouncer.ini"), settings).unwrap();
        let arguments = [PROGRAM.as_ref(), home.as_os_str()];
        let mut keeper = Keeper::start(SCRIPT, &arguments, Stdio::piped());
        wait_until_up(&mut keeper);
        self.keeper = Some(keeper);
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether it can make up for prepared statements: from 1.21 on. Earlier ones refuse the setting.
fn would_keep_statements() -> bool {
    let told = Command::new(PROGRAM).arg("--version").output();
    let told = told.expect("PgBouncer is not installed: apt-get install pgbouncer");
    let told = String::from_utf8(told.stdout).unwrap();
    let version = told.split_whitespace().nth(1).unwrap();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>());
    let mut next = || numbers.next().unwrap().unwrap();
    (next(), next()) >= (1, 21)
}

fn wait_until_up(keeper: &mut Keeper) {
    let mut log = BufReader::new(keeper.stderr().unwrap()).lines();
    let mut said: Vec<String> = Vec::new();
    while !said.last().is_some_and(|line| line.contains("process up")) {
        match log.next() {
            Some(line) => said.push(line.unwrap()),
            None => panic!("PgBouncer does not start:\n{}", said.join("\n")),
        }
    }
    // To the end, so that it never waits for a reader.
    std::thread::spawn(move || log.for_each(drop));
}
