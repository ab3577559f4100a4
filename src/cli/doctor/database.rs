//! The database: as the start looks at it, and what it has room for.

use std::net::IpAddr;

use super::PATIENCE;
use super::report::{Check, parted};
use crate::app::StoreOptions;
use crate::clock::Clock;
use crate::config::Settings;
use crate::inbox::postgres::{Examined, PostgresInbox, PostgresOpenError};

/// Connects as a receiver does, asks, and changes nothing.
pub(super) async fn check(settings: &Settings, hosts: &[String], clock: &dyn Clock) -> Check {
    let mut check = Check::new("database");
    let options = match StoreOptions::new(settings) {
        Ok(StoreOptions::Postgres(options)) => options,
        Ok(StoreOptions::Sqlite(_)) => return check,
        Err(error) => {
            check.misuse(format!("{error:#}"), "correct store.ca_file");
            return check;
        }
    };
    let mut options = *options;
    options.patience = PATIENCE;
    let examined = match PostgresInbox::new(options) {
        Ok(inbox) => inbox.examine().await,
        Err(error) => Err(error),
    };
    match examined {
        Ok(examined) => {
            let whose = match hosts.first() {
                Some(host) => format!("the database at {host} (store.url)"),
                None => "the database (store.url)".to_owned(),
            };
            check.read_clock(whose, examined.now, clock.now());
            judge(&mut check, &examined, (settings.store.pool, hosts));
        }
        Err(error) => blame(&mut check, &error),
    }
    check
}

fn judge(check: &mut Check, examined: &Examined, (pool, hosts): (usize, &[String])) {
    if examined.schema == 0 && !examined.may_create {
        check.fail(
            "the role may not make the store's tables",
            "give it a schema that is its own, such as by GRANT CREATE ON SCHEMA public",
        );
    }
    let receivers = examined.receivers.max(1);
    let wanted = i64::try_from(pool)
        .unwrap_or(i64::MAX)
        .saturating_mul(receivers);
    if wanted > examined.connections {
        let many = if receivers > 1 {
            "receivers"
        } else {
            "receiver"
        };
        check.warn(
            format!(
                "{receivers} {many} with store.pool = {pool} may want {wanted} connections, and \
                 the server takes {}",
                examined.connections
            ),
            "lower store.pool, or raise max_connections of the server",
        );
    } else if examined.used >= examined.connections {
        check.warn(
            format!(
                "all of the {} connections that the server takes are in use",
                examined.connections
            ),
            "raise max_connections of the server, or see who else uses it (pg_stat_activity)",
        );
    }
    if !examined.encrypted && !hosts.iter().all(|host| is_here(host)) {
        check.warn(
            "the connection is not encrypted, and goes to another machine",
            "add sslmode=verify-full to store.url",
        );
    }
    check.tell(told(examined));
}

fn told(examined: &Examined) -> String {
    let tables = match examined.schema {
        0 => "no tables yet: the start makes them".to_owned(),
        version => format!("tables of version {version}"),
    };
    let standbys = match examined.waits_for_standbys {
        true => "commits wait for standbys, too",
        false => "commits wait for its own disk",
    };
    let default = match examined.synchronous_commit.as_str() {
        "on" => String::new(),
        other => format!(", although its synchronous_commit is {other}: the store asks for on"),
    };
    format!(
        "PostgreSQL {}, {tables}, {} of {} connections in use, {standbys}{default}",
        examined.server, examined.used, examined.connections
    )
}

fn is_here(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn blame(check: &mut Check, error: &PostgresOpenError) {
    match error {
        PostgresOpenError::Misconfigured { what, .. } => {
            check.misuse(
                format!("it cannot be used: {what}"),
                "correct store.url and store.ca_file",
            );
        }
        PostgresOpenError::Unfit { what, .. } => {
            let (what, advice) = parted(what, "use another database");
            check.fail(format!("the database {what}"), advice);
        }
        PostgresOpenError::Denied { what, .. } => {
            let advice = "check user and database of store.url, store.password, and the server's \
                pg_hba.conf";
            let (what, advice) = parted(what, advice);
            check.fail(
                format!("the server does not let this receiver in: {what}"),
                advice,
            );
        }
        PostgresOpenError::Away { what, .. } => check.fail(
            format!("the database cannot be reached: {what}"),
            "start it, or correct host and port of store.url; see that nothing in between (a \
             firewall, a network policy) keeps this machine from it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: fn(&mut Examined), host: &str) -> Vec<String> {
        let mut examined = Examined {
            server: "17.2".to_owned(),
            connections: 97,
            used: 9,
            now: jiff::Timestamp::UNIX_EPOCH,
            may_create: false,
            encrypted: false,
            synchronous_commit: "on".to_owned(),
            waits_for_standbys: false,
            schema: 5,
            receivers: 2,
        };
        change(&mut examined);
        let mut check = Check::new("database");
        let hosts = [host.to_owned()];
        judge(&mut check, &examined, (8, hosts.as_slice()));
        let found = check.found();
        found
            .iter()
            .map(|(_, what, _)| (*what).to_owned())
            .collect()
    }

    #[test]
    fn what_a_database_has_no_room_for_is_said() {
        assert_eq!(said(|_| {}, "127.0.0.1"), Vec::<String>::new());
        let few = said(|examined| examined.connections = 10, "localhost");
        let expected =
            "2 receivers with store.pool = 8 may want 16 connections, and the server takes 10";
        assert_eq!(few, [expected]);
        let taken = said(|examined| examined.used = 97, "::1");
        let expected = "all of the 97 connections that the server takes are in use";
        assert_eq!(taken, [expected]);
        let denied = said(|examined| examined.schema = 0, "localhost");
        assert_eq!(denied, ["the role may not make the store's tables"]);
        let open = said(|_| {}, "db.example.com");
        let expected = "the connection is not encrypted, and goes to another machine";
        assert_eq!(open, [expected]);
    }
}
