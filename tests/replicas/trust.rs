//! TLS to the database: only the server that its authority vouches for, under the name it was called.

use crate::alone;
use crate::authority::Authority;
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::postgres::{DATABASE, Postgres, USER};
use crate::stored::Stored;

/// A server that speaks TLS only, with a certificate for `name`.
fn server(authority: &Authority, name: &str) -> Postgres {
    let mut server = Postgres::prepare();
    authority.secure(&server, name);
    server.start_again();
    server.create_database();
    server
}

/// Calls the server 127.0.0.1 and trusts `authority`.
fn setup(server: &Postgres, authority: &Authority) -> Setup {
    let trusted = server.keep("trusted.pem", &authority.certificate());
    Setup {
        url: format!(
            "postgres://{USER}@{}/{DATABASE}?sslmode=verify-full",
            server.address()
        ),
        store: format!("ca_file = \"{}\"", trusted.display()),
        ..Setup::default()
    }
}

#[test]
fn a_database_is_trusted_when_its_certificate_and_name_are_vouched_for() {
    let _alone = alone();
    let authority = Authority::new();
    let server = server(&authority, "127.0.0.1");
    let fleet = Fleet::start(1, &setup(&server, &authority));
    let answer = Pusher::default()
        .push(fleet.address(0), &event("e", "s"))
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        answer.json()["seq"].is_i64(),
        "it was not spilled: {answer:?}"
    );
    assert_eq!(Stored::read(&server).len(), 1);
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE usename = 'flashduty' AND NOT ssl";
    assert_eq!(server.value(encrypted), "0");
}

#[test]
fn a_database_of_another_authority_is_refused_with_the_reason() {
    let _alone = alone();
    let server = server(&Authority::new(), "127.0.0.1");
    refused(&setup(&server, &Authority::new()), "certificate");
}

#[test]
fn a_database_under_another_name_is_refused_with_the_reason() {
    let _alone = alone();
    let authority = Authority::new();
    let server = server(&authority, "db.example.com");
    refused(&setup(&server, &authority), "db.example.com");
}

/// A receiver says why it does not speak with the database.
fn refused(setup: &Setup, reason: &str) {
    let fleet = Fleet::prepare(1, setup);
    let starting = fleet.begin(0);
    starting.lines.wait("the reason", |line| {
        line["level"] != "INFO" && line.to_string().contains(reason)
    });
}
