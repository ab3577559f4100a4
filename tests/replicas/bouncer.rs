//! `PgBouncer` in transaction mode before a server: each transaction may meet another session.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::postgres::{DATABASE, PASSWORD, Postgres, USER, unprivileged};
use crate::proxy::free_address;

/// A pool that runs. Ended when dropped.
pub(crate) struct Bouncer {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    /// Starts it and waits until it takes connections.
    pub(crate) fn before(server: &Postgres) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n")).unwrap();
        let (host, port) = (server.address().ip(), server.address().port());
        let file = folder.path().join("pgbouncer.ini");
        // Fewer sessions than the receivers have connections. A server that was away is asked again
        // at once.
        let settings = format!(
            "[databases]\n{DATABASE} = host={host} port={port} dbname={DATABASE}\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 6\nserver_login_retry = 1\n",
            address.ip(),
            address.port(),
            users.display()
        );
        std::fs::write(&file, settings).unwrap();
        Self {
            address,
            child: start(&file),
            _folder: folder,
        }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn start(file: &Path) -> Child {
    // Like the server it refuses to be root.
    let mut command = unprivileged(Path::new("setpriv"));
    command.args(["--pdeathsig=KILL", "--", "/usr/sbin/pgbouncer"]);
    let mut child = command
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    while !said
        .last()
        .is_some_and(|line: &String| line.contains("process up"))
    {
        match log.next() {
            Some(line) => said.push(line.unwrap()),
            None => panic!("PgBouncer (`make test` installs it): {}", said.join("\n")),
        }
    }
    // To the end, so that it never waits for a reader.
    std::thread::spawn(move || log.for_each(drop));
    child
}
