//! Faults of the configuration, and of all that is around a receiver.

use super::{PASSWORD, TOKEN, Visit, allow, doctor, tools, visit, within};
use crate::certificates::{Authority, ECDSA};
use crate::database::Server;
use crate::fake::{FakeServer, Reply};
use crate::receiver::{BASE, base_with};
use crate::room::faketime;
use crate::sender::Sender;

/// A sink of type `http` at `url`.
fn sink(url: &str) -> String {
    format!("{BASE}[sink.tickets]\ntype = \"http\"\nurl = \"{url}\"\n")
}

#[test]
fn every_fault_of_the_configuration_is_found_at_once() {
    let wrong = base_with("server", "lisen = \"127.0.0.1:1\"\nmax_body = \"many\"");
    let visit = visit(&wrong);
    assert_eq!(visit.code, Some(2), "{}", visit.report);
    assert_eq!(visit.report["complete"], false);
    let findings = visit.check("configuration")["findings"].as_array().unwrap();
    let said = |key: &str| {
        let all = findings
            .iter()
            .map(|finding| finding[key].as_str().unwrap());
        all.collect::<Vec<_>>()
    };
    let what = said("what");
    assert_eq!(what.len(), 2, "{what:?}");
    let unknown = "config.toml:3: server.lisen = ***: is an unknown key (did you mean listen?)";
    assert!(what.contains(&unknown), "{what:?}");
    assert!(what.iter().any(|what| what.contains("server.max_body")));
    assert!(
        said("advice")
            .iter()
            .all(|advice| advice.starts_with("allowed: "))
    );
}

#[test]
fn a_secret_that_every_user_may_read_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    allow(&token, 0o644);
    let configuration = base_with("source", "token = \"file:token\"");
    let visit = Visit::of(doctor(folder.path(), &configuration));
    assert_eq!(
        visit.finding("secrets", "warning"),
        [
            "every user of this machine may use token, which holds a secret (mode 0644)",
            "chmod o= token, and chown it to the receiver's user where that is another one",
        ]
    );
    assert_eq!(visit.code, Some(0), "{}", visit.report);
}

#[test]
fn a_key_of_a_certificate_that_every_user_may_read_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    for (listener, mode) in [("server", 0o600), ("admin", 0o644)] {
        authority.issue(listener, ECDSA);
        allow(&authority.path(&format!("{listener}.key")), mode);
    }
    let tables = ["server", "admin"].map(|listener| {
        let keys = authority.keys(listener);
        format!("[{listener}.tls]\n{keys}")
    });
    let visit = Visit::of(doctor(folder.path(), &format!("{BASE}{}", tables.concat())));
    let [what, advice] = visit.finding("secrets", "warning");
    assert!(
        what.ends_with("admin.key, which holds a secret (mode 0644)"),
        "{what}"
    );
    assert!(advice.starts_with("chmod o= "), "{advice}");
    assert_eq!(visit.code, Some(0), "{}", visit.report);
}

#[test]
fn a_port_that_another_program_holds_is_found() {
    let other = FakeServer::new(|_, _| Reply::new(200, "hello"));
    let at = other.address;
    let visit = visit(&BASE.replacen("127.0.0.1:0", &at.to_string(), 1));
    assert_eq!(
        visit.finding("listeners", "failure"),
        [
            format!("{at} (server.listen) is held by a program that is no receiver"),
            format!(
                "stop it (`ss -ltnp 'sport = :{}'` names it), or choose another port for \
                 server.listen",
                at.port()
            ),
        ]
    );
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_password_that_the_database_refuses_is_found() {
    let folder = tempfile::tempdir().unwrap();
    allow(folder.path(), 0o755);
    let rules = folder.path().join("pg_hba.conf");
    let trusted = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(&rules, trusted).unwrap();
    let server = Server::start_with(&format!("-c hba_file={}", rules.display()));
    let role = "CREATE ROLE receiver LOGIN PASSWORD 'the-right-one'";
    server.sql("postgres", role);
    let port = server.port;
    let url = format!("postgres://receiver@127.0.0.1:{port}/postgres?sslmode=disable");
    let keys = format!("url = \"{url}\"\npassword = \"{PASSWORD}\"\n");
    let visit = Visit::of(doctor(folder.path(), &format!("{BASE}{keys}")));
    let [what, advice] = visit.finding("database", "failure");
    let denied = "the server does not let this receiver in: ";
    assert!(what.starts_with(denied), "{what}");
    let expected = "password authentication failed for user \"receiver\"";
    assert!(what.contains(expected), "{what}");
    let expected = "check user and database of store.url, store.password, and the server's \
        pg_hba.conf";
    assert_eq!(advice, expected);
    assert_eq!(visit.code, Some(1), "{}", visit.report);
    let right = format!("{BASE}{}", keys.replace(PASSWORD, "the-right-one"));
    let visit = Visit::of(doctor(folder.path(), &right));
    let database = visit.check("database");
    assert_ne!(database["detail"], "", "{database}");
    assert_eq!(
        server.sql(
            "postgres",
            "SELECT count(*) FROM pg_class WHERE relname = 'meta'"
        ),
        "0"
    );
}

#[test]
fn a_sink_that_refuses_to_be_connected_to_is_found() {
    let visit = visit(&sink("http://127.0.0.1:1/hook/secret-path"));
    let [what, advice] = visit.finding("sink tickets", "failure");
    assert!(what.starts_with("cannot connect to 127.0.0.1: "), "{what}");
    assert!(what.contains("Connection refused"), "{what}");
    assert_eq!(
        advice,
        "see that it runs and that this machine reaches it, or correct sink.tickets.url; its \
         events wait in the store meanwhile"
    );
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_name_that_has_no_address_is_found() {
    let visit = visit(&sink("https://tools.invalid/hook/secret-path"));
    let [what, advice] = visit.finding("names", "failure");
    let expected = "tools.invalid (sink.tickets.url) does not resolve: ";
    assert!(what.starts_with(expected), "{what}");
    assert_eq!(
        advice,
        "correct the name, or see to this machine's name server (/etc/resolv.conf, `getent hosts \
         tools.invalid`)"
    );
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_program_that_is_not_there_is_found() {
    let heal = "[sink.heal]\ntype = \"exec\"\ncommand = [\"no-such-program\", \"--now\"]\n";
    let visit = visit(&format!("{BASE}{heal}"));
    assert_eq!(
        visit.finding("sink heal", "failure"),
        [
            "there is no program no-such-program",
            "install it, or give its whole path in sink.heal.command (searched: \
             /usr/local/bin:/usr/bin:/bin)",
        ]
    );
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_low_limit_of_open_files_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let low = ["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"];
    let visit = Visit::of(within(&low, &doctor(folder.path(), BASE)));
    assert_eq!(
        visit.finding("open files", "warning"),
        [
            "256 may be open: enough for 189 of server.max_connections = 4096",
            "raise the limit to 4392 (LimitNOFILE= of systemd, --ulimit nofile= of a container, \
             `ulimit -Hn` of a shell), or lower server.max_connections",
        ]
    );
}

#[test]
fn a_clock_that_is_wrong_is_found() {
    let (tools, folder) = (tools(), tempfile::tempdir().unwrap());
    let configuration = format!("{BASE}{}", tools.sink("tickets", ""));
    let mut doctor = doctor(folder.path(), &configuration);
    faketime(&mut doctor, "-2h");
    let visit = Visit::of(doctor);
    assert_eq!(
        visit.finding("clock", "warning"),
        [
            "this machine's clock is 2h behind that of 127.0.0.1 (sink.tickets)",
            "let NTP set this machine's clock (timedatectl set-ntp true), or have theirs set: \
             events' ages, stale marks and signatures go by it",
        ]
    );
    assert_eq!(visit.code, Some(0), "{}", visit.report);
}

#[test]
fn a_key_that_the_senders_api_refuses_is_found() {
    let sender = Sender::new();
    sender.refuse(true);
    let visit = visit(&format!("{BASE}{}", sender.tables("")));
    let [what, advice] = visit.finding("recovery", "failure");
    let refused = "127.0.0.1 refuses flashduty.app_key: the API answered 403 AccessDenied";
    assert!(what.starts_with(refused), "{what}");
    assert_eq!(
        advice,
        "put a key into flashduty.app_key whose permissions include Integrations Read; without it \
         nothing is recovered"
    );
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}
