//! Pushes over TLS: what is agreed on, renewed certificates under load, and whoever does not finish.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::certificates::{Authority, ECDSA, Encrypted, RSA, Trusting, shown_to};
use crate::load::body;
use crate::receiver::{BASE, Receiver, command, count, soak_line, wait_until};

/// The receiver in `folder`, with what `authority` issued as `own`, and further `keys` of the server.
fn start(folder: &Path, authority: &Authority, keys: &str) -> Receiver {
    put(folder, authority, "own", keys);
    Receiver::run(folder, command(folder, &[]))
}

/// Puts a configuration in place that names what was issued as `name`.
fn put(folder: &Path, authority: &Authority, name: &str, keys: &str) {
    let base = BASE.replace("[server]\n", &format!("[server]\n{keys}\n"));
    let text = format!("{base}[server.tls]\n{}", authority.keys(name));
    let new = folder.join("config.toml.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join("config.toml")).unwrap();
}

fn handshakes(receiver: &Receiver, outcome: &str) -> f64 {
    let labels = format!("listener=\"server\",outcome=\"{outcome}\"");
    receiver.metric(&format!("flashduty_tls_handshakes_total{{{labels}}}"))
}

/// `openssl s_client` to the receiver, which closes as soon as it has shaken hands.
fn s_client(receiver: &Receiver, options: &str) -> Output {
    Command::new("openssl")
        .args(["s_client", "-connect", &receiver.public.to_string()])
        .args(options.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What `openssl s_client` says when it asks for another handshake on the same connection.
fn renegotiate(receiver: &Receiver) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect"])
        .arg(receiver.public.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Open until the end, which would otherwise come before the answer.
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"R\n").unwrap();
    let output = client.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pushes_come_by_the_versions_and_suites_of_today_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    authority.issue("own", ECDSA);
    let receiver = start(folder.path(), &authority, "");
    let mut client = authority.client().connect(receiver.public).unwrap();
    for id in ["first", "second"] {
        let answer = client.push("/webhook", &body(id)).unwrap();
        assert_eq!((answer.status, &*answer.outcome()), (200, "accepted"));
    }
    for good in [
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
        "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305",
        "-tls1_3",
        "-alpn h2,http/1.1",
        "-noservername",
    ] {
        let output = s_client(&receiver, good);
        assert!(output.status.success(), "{good}: {output:?}");
    }
    let agreed = s_client(&receiver, "-alpn h2,http/1.1");
    let agreed = String::from_utf8_lossy(&agreed.stdout).into_owned();
    assert!(agreed.contains("ALPN protocol: http/1.1"), "{agreed}");
    for bad in [
        "-tls1_1 -cipher DEFAULT@SECLEVEL=0",
        "-tls1 -cipher DEFAULT@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA",
        "-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384",
        "-tls1_2 -cipher AES128-GCM-SHA256",
        "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256",
        "-alpn h2",
    ] {
        let output = s_client(&receiver, bad);
        assert!(!output.status.success(), "{bad}: {output:?}");
    }
    let told = renegotiate(&receiver);
    assert!(told.contains("no renegotiation"), "{told}");
    assert!(handshakes(&receiver, "completed") >= 6.0);
    let expires = receiver
        .metric("flashduty_tls_certificate_not_after_timestamp_seconds{listener=\"server\"}");
    let days = (expires - crate::receiver::now() as f64 / 1000.0) / 86400.0;
    assert!((29.0..=30.0).contains(&days), "{days}");
}

#[test]
fn a_scanner_has_nothing_to_say_against_it() {
    for kind in [ECDSA, RSA] {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        authority.issue("own", kind);
        let receiver = start(folder.path(), &authority, "");
        let report = folder.path().join("scan.xml");
        let scan = Command::new("sslscan")
            .arg("--no-colour")
            .arg(format!("--xml={}", report.display()))
            .arg(receiver.public.to_string())
            .output()
            .expect("sslscan is there: `make test` installs it");
        assert!(scan.status.success(), "{scan:?}");
        let report = std::fs::read_to_string(report).unwrap();
        judge(&report, kind);
        // What the scan left behind holds up nobody.
        let mut client = authority.client().connect(receiver.public).unwrap();
        assert_eq!(client.push("/webhook", &body("after")).unwrap().status, 200);
    }
}

/// The value of an attribute of an element that stands on a line of its own.
fn attribute<'t>(line: &'t str, name: &str) -> &'t str {
    let begin = format!(" {name}=\"");
    let rest = line.split_once(&begin).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()).unwrap_or("")
}

/// Every element of a name.
fn elements<'t>(report: &'t str, name: &str) -> Vec<&'t str> {
    let begin = format!("<{name} ");
    let lines = report.lines().map(str::trim);
    lines.filter(|line| line.starts_with(&begin)).collect()
}

fn judge(report: &str, kind: &str) {
    let enabled: Vec<_> = elements(report, "protocol")
        .into_iter()
        .filter(|line| attribute(line, "enabled") == "1")
        .map(|line| format!("{} {}", attribute(line, "type"), attribute(line, "version")))
        .collect();
    assert_eq!(enabled, ["tls 1.2", "tls 1.3"], "{report}");
    let ciphers = elements(report, "cipher");
    let names: BTreeSet<&str> = ciphers
        .iter()
        .map(|line| attribute(line, "cipher"))
        .collect();
    let signed = if kind == RSA { "RSA" } else { "ECDSA" };
    let wanted = [
        "TLS_AES_128_GCM_SHA256".to_owned(),
        "TLS_AES_256_GCM_SHA384".to_owned(),
        "TLS_CHACHA20_POLY1305_SHA256".to_owned(),
        format!("ECDHE-{signed}-AES128-GCM-SHA256"),
        format!("ECDHE-{signed}-AES256-GCM-SHA384"),
        format!("ECDHE-{signed}-CHACHA20-POLY1305"),
    ];
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    assert_eq!(names, wanted, "{report}");
    for line in &ciphers {
        let strength = attribute(line, "strength");
        let weak = ["weak", "medium", "null", "anonymous"].contains(&strength);
        assert!(!weak, "{line}");
    }
    let groups: BTreeSet<&str> = elements(report, "group")
        .into_iter()
        .map(|line| attribute(line, "id"))
        .collect();
    let modern = BTreeSet::from(["0x0017", "0x0018", "0x001d"]);
    assert!(!groups.is_empty() && groups.is_subset(&modern), "{report}");
    // What is called secure is that it is signalled; that it is refused is tried elsewhere.
    for line in elements(report, "renegotiation") {
        let (supported, secure) = (attribute(line, "supported"), attribute(line, "secure"));
        assert!(supported == "0" || secure == "1", "{line}");
    }
    for (name, attribute_of, wrong) in [
        ("compression", "supported", "1"),
        ("heartbleed", "vulnerable", "1"),
    ] {
        for line in elements(report, name) {
            assert_ne!(attribute(line, attribute_of), wrong, "{line}");
        }
    }
    assert!(
        report.contains("<subject><![CDATA[") && report.contains("own]]>"),
        "{report}"
    );
    assert!(!report.contains("<expired>true</expired>"), "{report}");
}

/// Pushes at a steady rate until told to stop, and what became of them.
struct Pushes {
    stop: Arc<AtomicBool>,
    workers: Vec<std::thread::JoinHandle<Vec<Result<Duration, String>>>>,
}

impl Pushes {
    /// On `kept` connections that last, and as many workers that connect for each push.
    fn start(client: &Trusting, address: SocketAddr, kept: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let workers = (0..2 * kept).map(|number| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            std::thread::spawn(move || push_on(&client, address, (number, number < kept), &stop))
        });
        Self {
            workers: workers.collect(),
            stop,
        }
    }

    /// How long each took, and how the others failed.
    fn stop(self) -> (Vec<Duration>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut took, mut failed) = (Vec::new(), Vec::new());
        for worker in self.workers {
            for push in worker.join().unwrap() {
                match push {
                    Ok(time) => took.push(time),
                    Err(error) => failed.push(error),
                }
            }
        }
        (took, failed)
    }
}

fn push_on(
    client: &Trusting,
    address: SocketAddr,
    (number, keeps): (usize, bool),
    stop: &AtomicBool,
) -> Vec<Result<Duration, String>> {
    let begun = Instant::now();
    let mut kept: Option<Encrypted> = None;
    let mut pushes = Vec::new();
    for turn in 0_u32.. {
        let due = begun + turn * Duration::from_millis(25);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("tls-{number}-{turn}");
        let open = match kept.take() {
            Some(open) => Ok(open),
            None => client.connect(address),
        };
        let pushed = open.and_then(|mut open| {
            let answer = open.push("/webhook", &body(&id))?;
            Ok((open, answer))
        });
        pushes.push(match pushed {
            Ok((open, answer)) if answer.status == 200 => {
                kept = keeps.then_some(open);
                Ok(due.elapsed())
            }
            Ok((_, answer)) => Err(format!("{id}: {answer:?}")),
            Err(error) => Err(format!("{id}: {error}")),
        });
    }
    pushes
}

#[test]
fn renewed_certificates_are_shown_to_new_connections_and_no_push_fails() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    for name in ["own", "renewed"] {
        authority.issue(name, ECDSA);
    }
    let receiver = start(folder.path(), &authority, "");
    let client = authority.client();
    let pushes = Pushes::start(&client, receiver.public, 8);
    let mut old = client.connect(receiver.public).unwrap();
    let rounds = count(4, 20);
    let mut held = authority.certificate("own");
    for _ in 0..rounds {
        authority.issue("next", ECDSA);
        held = authority.certificate("next");
        // One after the other, as most programs that renew them do: between the two they do not fit.
        for file in ["pem", "key"] {
            let next = authority.path(&format!("next.{file}"));
            std::fs::rename(next, authority.path(&format!("own.{file}"))).unwrap();
        }
        wait_until_shown(&client, &receiver, &held);
    }
    // Those that are open go on.
    assert_eq!(old.push("/webhook", &body("old")).unwrap().status, 200);
    assert_ne!(shown_to(&old), held);
    // A key that belongs to another certificate is refused, and what was in force stays.
    std::fs::copy(authority.path("renewed.key"), authority.path("own.key")).unwrap();
    let refusal = receiver.lines.wait("the refusal", |line| {
        line["level"] == "ERROR"
            && line["message"].as_str().is_some_and(|message| {
                message.contains("server.tls.key") && message.contains("does not belong")
            })
    });
    assert!(refusal["message"].as_str().unwrap().contains("own.key"));
    assert_eq!(shown_to(&client.connect(receiver.public).unwrap()), held);
    let (took, failed) = pushes.stop();
    assert_eq!(failed, [""; 0]);
    let longest = took.iter().max().unwrap();
    soak_line(
        81,
        "renewed certificates under load",
        &format!(
            "{rounds} of them, {} pushes, none failed, the slowest after {longest:.1?}",
            took.len()
        ),
    );
}

fn wait_until_shown(
    client: &Trusting,
    receiver: &Receiver,
    wanted: &rustls::pki_types::CertificateDer<'static>,
) {
    wait_until("the renewed one is shown", || {
        shown_to(&client.connect(receiver.public).unwrap()) == *wanted
    });
}

#[test]
fn handshakes_that_do_not_end_hold_up_no_push() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    authority.issue("own", ECDSA);
    let receiver = start(folder.path(), &authority, "header_timeout = \"1m\"");
    // The beginning of a ClientHello of 512 bytes.
    let half = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let slow: Vec<TcpStream> = (0..count(200, 900))
        .map(|number| {
            let mut stream = TcpStream::connect(receiver.public).unwrap();
            stream
                .write_all(&half[..half.len() * (number % 2)])
                .unwrap();
            stream
        })
        .collect();
    let pushes = Pushes::start(&authority.client(), receiver.public, 4);
    receiver.lines.wait_until("a hundred pushes", |lines| {
        let events = lines
            .iter()
            .filter(|line| line["target"] == "flashduty::event");
        (events.count() >= 100).then_some(())
    });
    let (took, failed) = pushes.stop();
    assert_eq!(failed, [""; 0]);
    let longest = took.iter().max().unwrap();
    assert!(*longest < Duration::from_secs(5), "{longest:?}");
    assert!(receiver.metric("flashduty_connections") >= slow.len() as f64);
    drop(slow);
}
