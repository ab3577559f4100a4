//! A second server that follows the first and can take its place.

use std::time::{Duration, Instant};

use super::server::run;
use super::{PATIENCE, Postgres, program};

impl Postgres {
    /// A server that streams what this one writes. From now on this one confirms a commit only once
    /// it is durable there, too: only then is nothing lost by taking the other's place.
    pub(crate) fn standby(&self) -> Self {
        let mut standby = Self::in_new_folder();
        let mut copy = program("pg_basebackup");
        copy.args(["--write-recovery-conf", "--wal-method=stream"]);
        copy.args(["--checkpoint=fast", "--no-sync", "--username=postgres"]);
        copy.arg("--host").arg(self.socket());
        copy.args(["--port", &self.port.to_string()]);
        run(copy.arg("--pgdata").arg(standby.data()));
        standby.set_place();
        standby.start_until("is ready to accept read-only connections");
        for statement in [
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ] {
            self.ask_of("postgres", statement).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while self.value("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
            != "1"
        {
            assert!(Instant::now() < deadline, "the standby does not follow");
            std::thread::sleep(Duration::from_millis(10));
        }
        standby
    }

    /// Takes the place of the server it followed.
    pub(crate) fn promote(&self) {
        let done = self
            .ask_of("postgres", "SELECT pg_promote(true, 60)")
            .unwrap();
        assert_eq!(done.trim(), "t", "it was promoted");
    }
}
