//! TLS set up wrong, spoken to wrong, and on the admin port, where a client may need a certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::certificates::{Authority, ECDSA, Trusting, shown_to};
use crate::http::Answer;
use crate::load::body;
use crate::proxy::free_address;
use crate::receiver::{BASE, PATIENCE, Receiver, base_with, command, wait_until};

/// An authority and what it issued as `own`, in `folder`.
fn authority(folder: &Path) -> Authority {
    let authority = Authority::new(folder, "authority");
    authority.issue("own", ECDSA);
    authority
}

fn configure(folder: &Path, text: &str) {
    std::fs::write(folder.join("config.toml"), format!("{BASE}{text}")).unwrap();
}

/// What a command of the receiver in `folder` prints, and how it ends.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn plain_http_on_a_port_of_tls_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let own = format!("[server.tls]\n{}", authority.keys("own"));
    let receiver = Receiver::start_in(folder.path(), &own);
    let answer = receiver.push("{}");
    assert_eq!(answer.status, 400);
    let problem = answer.json();
    assert!(problem["detail"].as_str().unwrap().contains("https://"));
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    let line = receiver.lines.wait("the line about it", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("it came as plain HTTP")
    });
    assert_eq!(line["level"], "WARN");
    let name = "flashduty_tls_handshakes_total{listener=\"server\",outcome=\"plain_http\"}";
    assert_eq!(receiver.metric(name), 1.0);
}

#[test]
fn files_that_cannot_be_used_stop_the_start_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    authority.issue("other", ECDSA);
    let keys = authority.keys("own");
    let other = keys.replace("own.key", "other.key");
    let swapped = keys
        .replace("own.pem", "own.swap")
        .replace("own.key", "own.pem")
        .replace("own.swap", "own.key");
    for (keys, wanted) in [
        (other, "server.tls.key = "),
        (swapped, "are the files of certificate and key swapped?"),
        (
            keys.replace("own.pem", "none.pem"),
            "none.pem, which cannot be read",
        ),
    ] {
        configure(folder.path(), &format!("[server.tls]\n{keys}"));
        for arguments in [&["serve"][..], &["check"]] {
            let output = run(folder.path(), arguments);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let said = errors(&output);
            assert!(
                said.contains(wanted) && said.contains("config.toml:"),
                "{said}"
            );
        }
    }
}

#[test]
fn an_expired_certificate_is_warned_of_and_starts_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    authority.issue_at("own", ECDSA, Some("-40d"));
    let own = format!("[server.tls]\n{}", authority.keys("own"));
    let receiver = Receiver::start_in(folder.path(), &own);
    let line = receiver.lines.wait("the warning", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("server.tls.cert (own) expired at ")
    });
    assert_eq!(line["level"], "WARN");
    let refused = authority.client().connect(receiver.public).err().unwrap();
    assert!(refused.to_string().contains("expired"), "{refused}");
    let checked = run(folder.path(), &["check"]);
    assert!(checked.status.success(), "{checked:?}");
    let said = errors(&checked);
    assert!(
        said.contains("warning: server.tls.cert (own) expired at "),
        "{said}"
    );
}

/// A receiver whose admin port speaks TLS, at addresses that its configuration names.
struct Guarded {
    receiver: Receiver,
    admin: SocketAddr,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Guarded {
    fn start(client_ca: &str) -> Self {
        Self::on(BASE, client_ca)
    }

    fn on(base: &str, client_ca: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = authority(folder.path());
        std::fs::copy(
            authority.path("authority.pem"),
            authority.path("clients.pem"),
        )
        .unwrap();
        let (public, admin) = (free_address(), free_address());
        let base = base
            .replacen("127.0.0.1:0", &public.to_string(), 1)
            .replacen("127.0.0.1:0", &admin.to_string(), 1)
            .replace("[admin]\n", "[admin]\ntoken = \"0123456789abcdef\"\n");
        let text = format!("{base}[admin.tls]\n{}{client_ca}", authority.keys("own"));
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let receiver = Receiver::run(folder.path(), command(folder.path(), &[]));
        Self {
            receiver,
            admin,
            authority,
            folder,
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.folder.path(), arguments)
    }

    fn get(&self, client: &Trusting, path: &str) -> std::io::Result<Answer> {
        client.connect(self.admin)?.get(path)
    }

    /// The receiver hears of what a client did a moment later.
    fn wait_until_counted(&self, client: &Trusting, outcome: &str, count: u32) {
        let wanted = format!(
            "flashduty_tls_handshakes_total{{listener=\"admin\",outcome=\"{outcome}\"}} {count}\n"
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.get(client, "/metrics").unwrap();
            let metrics = String::from_utf8(metrics.body).unwrap();
            if metrics.contains(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{wanted}: {metrics}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn the_admin_port_over_tls_is_asked_by_commands_and_health_checks_as_before() {
    let guarded = Guarded::start("");
    assert_eq!(
        guarded
            .receiver
            .push(r#"{"event_id":"1","event_type":"i_new"}"#)
            .status,
        200
    );
    let client = guarded.authority.client();
    assert_eq!(guarded.get(&client, "/readyz").unwrap().status, 200);
    // By the certificate of the configuration, without an authority.
    for arguments in [&["health"][..], &["health", "--live"], &["events"]] {
        let output = guarded.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let url = format!("https://{}", guarded.admin);
    let known = guarded.run(&["health", "--url", &url, "--ca", "authority.pem"]);
    assert!(known.status.success(), "{known:?}");
    let unknown = guarded.run(&["health", "--url", &url]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("--ca"), "{unknown:?}");
    let plain = guarded.run(&["health", "--url", &url.replace("https", "http")]);
    assert_eq!(plain.status.code(), Some(1), "{plain:?}");
    // The session's cookie does not go out in the clear.
    let mut browser = client.connect(guarded.admin).unwrap();
    let token = r#"{"token":"0123456789abcdef"}"#;
    let length = token.len();
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{token}"
    );
    browser.send(login.as_bytes()).unwrap();
    let answer = browser.answer(true).unwrap();
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
}

#[test]
fn where_a_client_certificate_is_asked_for_nobody_is_served_without_one() {
    let guarded = Guarded::start("client_ca = \"authority.pem\"\n");
    let Guarded {
        folder, authority, ..
    } = &guarded;
    authority.issue("somebody", ECDSA);
    let elsewhere = Authority::new(folder.path(), "elsewhere");
    elsewhere.issue("stranger", ECDSA);
    let somebody = authority.client_as("somebody");
    assert_eq!(guarded.get(&somebody, "/readyz").unwrap().status, 200);
    // What is stored wants the token as well.
    assert_eq!(
        guarded.get(&somebody, "/api/v1/status").unwrap().status,
        401
    );
    let stranger = authority.client_of(&elsewhere, "stranger");
    for client in [&authority.client(), &stranger] {
        assert!(guarded.get(client, "/readyz").is_err());
    }
    assert!(guarded.get(&elsewhere.client(), "/readyz").is_err());
    guarded.wait_until_counted(&somebody, "client_certificate", 2);
    guarded.wait_until_counted(&somebody, "rejected", 1);
    // The public port answers health checks that have no certificate.
    let health = guarded.run(&["health"]);
    assert!(health.status.success(), "{health:?}");
    assert_eq!(guarded.run(&["events"]).status.code(), Some(1));
    let both = ["somebody.pem", "somebody.key"]
        .map(|file| std::fs::read_to_string(authority.path(file)).unwrap());
    std::fs::write(authority.path("both.pem"), both.concat()).unwrap();
    let events = guarded.run(&["events", "--client-cert", "both.pem"]);
    assert!(events.status.success(), "{events:?}");
    assert_eq!(
        guarded
            .receiver
            .client()
            .push("/webhook", &body("one"))
            .unwrap()
            .status,
        200
    );
}

#[test]
fn the_admin_port_takes_renewed_certificates_and_other_authorities_of_clients() {
    let guarded = Guarded::start("client_ca = \"clients.pem\"\n");
    let authority = &guarded.authority;
    authority.issue("somebody", ECDSA);
    let elsewhere = Authority::new(guarded.folder.path(), "elsewhere");
    elsewhere.issue("stranger", ECDSA);
    let (somebody, stranger) = (
        authority.client_as("somebody"),
        authority.client_of(&elsewhere, "stranger"),
    );
    let replace = |new: &str, old: &str| {
        std::fs::rename(authority.path(new), authority.path(old)).unwrap();
    };
    assert_eq!(guarded.get(&somebody, "/readyz").unwrap().status, 200);
    assert!(guarded.get(&stranger, "/readyz").is_err());

    authority.issue("next", ECDSA);
    let renewed = authority.certificate("next");
    replace("next.pem", "own.pem");
    replace("next.key", "own.key");
    wait_until("the renewed one is shown", || {
        shown_to(&somebody.connect(guarded.admin).unwrap()) == renewed
    });

    replace("elsewhere.pem", "clients.pem");
    wait_until("the other authority's clients are served", || {
        let answer = guarded.get(&stranger, "/readyz");
        answer.is_ok_and(|answer| answer.status == 200)
    });
    assert!(guarded.get(&somebody, "/readyz").is_err());
}

#[test]
fn a_health_check_without_a_certificate_speaks_the_proxy_protocol_where_the_public_port_does() {
    let keys = "proxy_protocol = \"required\"\nclient_ip_header = \"none\"";
    let base = base_with("source", keys);
    let guarded = Guarded::on(&base, "client_ca = \"authority.pem\"\n");
    for arguments in [&["health"][..], &["health", "--live"]] {
        let health = guarded.run(arguments);
        assert!(health.status.success(), "{arguments:?}: {health:?}");
    }
    // A machine that is no proxy is not listened to, and need not ask.
    let file = guarded.folder.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("127.0.0.0/8", "192.0.2.1")).unwrap();
    let health = guarded.run(&["health"]);
    assert_eq!(health.status.code(), Some(1), "{health:?}");
    let said = errors(&health);
    for part in ["--client-cert", "list 127.0.0.1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
