//! TLS to the database: only the server that its authority vouches for, under the name it was called.

use crate::alone;
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::postgres::{Authority, DATABASE, PASSWORD, Postgres, USER};
use crate::receiver::PATIENCE;
use crate::stored::Stored;

/// A server that speaks TLS only, with a certificate for 127.0.0.1.
fn server(authority: &Authority) -> Postgres {
    let mut server = Postgres::prepare();
    server.encrypt(authority, "127.0.0.1");
    server.start_again();
    server.create_database();
    server
}

/// Calls the server `host` and trusts `authority`, as far as `mode` has it.
fn setup(server: &Postgres, host: &str, mode: &str, authority: Option<&Authority>) -> Setup {
    let trusted = authority.map(|authority| {
        let file = server.keep("trusted.pem", &authority.certificate());
        format!("ca_file = \"{}\"\n", file.display())
    });
    Setup {
        url: format!(
            "postgres://{USER}@{host}:{}/{DATABASE}?sslmode={mode}",
            server.port
        ),
        store: format!("lock_wait = \"0s\"\n{}", trusted.unwrap_or_default()),
        ..Setup::default()
    }
}

/// A receiver stores an event, over encrypted connections and with the password from its file.
fn is_trusted(server: &Postgres, setup: &Setup, id: &str) {
    let fleet = Fleet::start(1, setup);
    let answer = Pusher::default().push(fleet.address(0), &event(id, "s"));
    assert_eq!(answer.unwrap().status, 200);
    // The first commit may be slow enough to be spilled.
    fleet.wait_until_drained(PATIENCE);
    Stored::read(server).has_once([&id.to_owned()]);
    let encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE usename = 'flashduty'";
    assert_eq!(server.value(encrypted), "t");
}

#[test]
fn a_database_is_trusted_as_far_as_its_certificate_and_name_are_asked_for() {
    let _alone = alone();
    let authority = Authority::new();
    let server = server(&authority);
    for (id, host, mode, trusted) in [
        ("a", "127.0.0.1", "verify-full", Some(&authority)),
        ("b", "127.0.0.1", "require", None),
        ("c", "localhost", "require", None),
    ] {
        is_trusted(&server, &setup(&server, host, mode, trusted), id);
    }
}

#[test]
fn a_database_that_is_not_to_be_trusted_stops_the_start_with_the_reason() {
    let _alone = alone();
    let authority = Authority::new();
    let server = server(&authority);
    let another = Authority::new();
    for (host, mode, trusted, reason) in [
        (
            "127.0.0.1",
            "verify-full",
            Some(&another),
            "invalid peer certificate: UnknownIssuer",
        ),
        (
            "localhost",
            "verify-full",
            Some(&authority),
            "certificate not valid for name \"localhost\"",
        ),
        ("127.0.0.1", "disable", None, "no encryption"),
    ] {
        refused(&setup(&server, host, mode, trusted), reason);
    }
    server.rows(&format!("ALTER ROLE {USER} PASSWORD 'another'"));
    refused(
        &setup(&server, "127.0.0.1", "verify-full", Some(&authority)),
        "password authentication failed",
    );
}

/// A receiver says why it does not speak with the database, and ends.
fn refused(setup: &Setup, reason: &str) {
    let said = Fleet::prepare(1, setup).refuse(0);
    assert!(said.contains("does not take this receiver"), "{said}");
    assert!(said.contains(reason), "{reason}: {said}");
    assert!(!said.contains(PASSWORD), "{said}");
}
