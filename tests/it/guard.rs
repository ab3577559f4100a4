//! Who may use the admin port of the real binary: every request that its own description names, and
//! those beside it, as strangers, other sites and holders of old sessions try them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::{Answer, Client};
use crate::receiver::{BASE, PATIENCE, Receiver, base_with, command};

const TOKEN: &str = "t0ken-of-the-admin-port";
const HERE: &str = "Host: localhost\r\n";
/// What holds no data and changes nothing here, so that anybody may ask for it.
const OPEN: [(&str, &str); 5] = [
    ("GET", "/metrics"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/login"),
    ("POST", "/logout"),
];
/// How browsers tell that a page of somebody else's asks.
const FOREIGN: [&str; 4] = [
    "Sec-Fetch-Site: cross-site\r\n",
    "Sec-Fetch-Site: same-site\r\n",
    "Origin: https://evil.example\r\n",
    "Origin: null\r\n",
];

type Operation = (String, String);

/// Every method and target that a running receiver describes, and others.
fn operations() -> Vec<Operation> {
    let described = Receiver::start("").api("/api/v1/openapi.json").json();
    let mut all = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        let target = path
            .replace("{seq}", "1")
            .replace("{id}", "1")
            .replace("{subject}", "incident:1");
        assert!(!target.contains('{'), "{target} is asked for as it stands");
        for method in methods.as_object().unwrap().keys() {
            all.push((method.to_ascii_uppercase(), target.clone()));
        }
    }
    assert!(all.len() > 25, "{all:?}");
    for (method, target) in OPEN.into_iter().chain([
        ("GET", "/"),
        ("HEAD", "/api/v1/status"),
        ("OPTIONS", "/api/v1/replay"),
        ("TRACE", "/api/v1/status"),
        ("DELETE", "/api/v1/events/1"),
        ("PUT", "/api/v1/reload"),
        ("PATCH", "/no/such/path"),
        ("GET", "/api/v1/no-such-list"),
        ("GET", "//metrics"),
    ]) {
        all.push((method.to_owned(), target.to_owned()));
    }
    all
}

fn is_open(method: &str, target: &str) -> bool {
    OPEN.contains(&(method, target))
}

fn is_login((method, target): &Operation) -> bool {
    method == "POST" && target == "/login"
}

/// The answer to a request with these lines in its head, and no body.
fn ask(receiver: &Receiver, (method, target): (&str, &str), headers: &str) -> Answer {
    let mut client = Client::connect(receiver.admin, PATIENCE).unwrap();
    let rest = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let request = format!("{method} {target} HTTP/1.1\r\n{headers}{rest}");
    client.send(request.as_bytes()).unwrap();
    client.answer(method == "HEAD").unwrap()
}

fn log_in(receiver: &Receiver, token: &str) -> Answer {
    receiver.post("/login", &format!(r#"{{"token":"{token}"}}"#))
}

/// The line of a head that brings back the cookie of `answer`.
fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, 204, "{answer:?}");
    let set = answer.header("set-cookie").unwrap();
    assert!(set.ends_with("; HttpOnly; SameSite=Strict"), "{set}");
    format!("Cookie: {}\r\n", set.split(';').next().unwrap())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The status of a look at the API with these lines in the head.
fn seen(receiver: &Receiver, headers: &str) -> u16 {
    let headers = format!("{HERE}{headers}");
    ask(receiver, ("GET", "/api/v1/status"), &headers).status
}

#[test]
fn without_a_token_nothing_is_told_or_done_beyond_this_machine_nor_under_a_foreign_name() {
    let beyond = BASE.replace(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        "[admin]\nlisten = \"0.0.0.0:0\"",
    );
    assert_ne!(beyond, BASE);
    let (beyond, here) = (Receiver::configured(&beyond), Receiver::start(""));
    for operation in operations() {
        let (method, target) = (operation.0.as_str(), operation.1.as_str());
        let cases = [
            (&beyond, HERE, 401),
            (&here, "Host: rebound.example\r\n", 403),
            // Of two, neither counts.
            (&here, "Host: localhost\r\nHost: localhost\r\n", 403),
        ];
        for (receiver, host, refused) in cases {
            let answer = ask(receiver, (method, target), host);
            let shown = format!("{method} {target} with {host:?}: {answer:?}");
            if is_open(method, target) {
                assert!([200, 204].contains(&answer.status), "{shown}");
                continue;
            }
            // On loopback there is nothing to log in to.
            let nothing = refused == 403 && is_login(&operation);
            let wanted = if nothing { 409 } else { refused };
            assert_eq!(answer.status, wanted, "{shown}");
            let kind = answer.header("content-type");
            assert_eq!(kind, Some("application/problem+json"), "{shown}");
        }
    }
    assert!(here.rows("audit").is_empty());
}

#[test]
fn with_a_token_every_request_wants_it_and_no_other_site_changes_anything_even_with_it() {
    let receiver = Receiver::configured(&base_with("admin", &format!("token = \"{TOKEN}\"")));
    let credentials = [
        String::new(),
        bearer(TOKEN),
        cookie(&log_in(&receiver, TOKEN)),
    ];
    for operation in operations() {
        let (method, target) = (operation.0.as_str(), operation.1.as_str());
        if !is_open(method, target) && !is_login(&operation) {
            let answer = ask(&receiver, (method, target), HERE);
            assert_eq!(answer.status, 401, "{method} {target}: {answer:?}");
            assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
        }
        if ["GET", "HEAD"].contains(&method) {
            continue;
        }
        let needs_none = is_login(&operation) || is_open(method, target);
        for foreign in FOREIGN {
            for given in &credentials {
                let answer = ask(
                    &receiver,
                    (method, target),
                    &format!("{HERE}{foreign}{given}"),
                );
                let refused = match given.is_empty() && !needs_none {
                    true => 401,
                    false => 403,
                };
                assert_eq!(
                    answer.status, refused,
                    "{method} {target}: {foreign}{given}"
                );
                assert!(answer.header("set-cookie").is_none(), "{answer:?}");
            }
        }
    }
    let audit = ask(
        &receiver,
        ("GET", "/api/v1/audit"),
        &format!("{HERE}{}", bearer(TOKEN)),
    );
    assert_eq!(audit.json()["items"], serde_json::json!([]));
}

#[test]
fn a_session_outlives_a_restart_and_is_over_once_the_token_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let put = |token: &str| {
        let next = folder.path().join("next");
        std::fs::write(&next, token).unwrap();
        std::fs::rename(next, folder.path().join("token")).unwrap();
    };
    put(TOKEN);
    let configuration = base_with("admin", "token = \"file:token\"");
    std::fs::write(folder.path().join("config.toml"), configuration).unwrap();
    let start = || Receiver::run(folder.path(), command(folder.path(), &[]));
    let mut receiver = start();
    let session = cookie(&log_in(&receiver, TOKEN));
    assert_eq!(seen(&receiver, &session), 200);
    let other = Receiver::configured(&base_with("admin", &format!("token = \"{TOKEN}\"")));
    assert_eq!(seen(&other, &session), 200, "on another receiver");
    assert_eq!(receiver.stop().code(), Some(0));
    let receiver = start();
    assert_eq!(seen(&receiver, &session), 200, "after a restart");
    let kept = session.trim_end();
    let mut shorter = kept.to_owned();
    shorter.pop();
    for forged in [kept.replacen('.', "0.", 1), shorter, format!("{kept}0")] {
        assert_eq!(seen(&receiver, &format!("{forged}\r\n")), 401, "{forged}");
    }
    put("another-one");
    receiver.lines.wait("the reload", |line| {
        line["message"].to_string().contains("read again")
    });
    assert_eq!(seen(&receiver, &session), 401);
    assert_eq!(seen(&receiver, &bearer(TOKEN)), 401);
    assert_eq!(seen(&receiver, &bearer("another-one")), 200);
    assert_eq!(seen(&other, &session), 200, "whose token is the same still");
}

/// What a command of an exec sink finds, about itself and about who started it.
const TELLING: &str = "env >> told; cat /proc/$$/cmdline /proc/$PPID/cmdline >> told; echo >> told";

/// A receiver that logs all there is to log, and gets its token from the environment.
fn talkative(folder: &Path) -> Receiver {
    let tables = format!(
        "\n[log]\nlevel = \"trace\"\n[sink.run]\ntype = \"exec\"\n\
         command = ['sh', '-c', '{TELLING}']\n"
    );
    std::fs::write(folder.join("config.toml"), format!("{BASE}{tables}")).unwrap();
    let mut binary = command(folder, &[]);
    binary.env("FLASHDUTY__ADMIN__TOKEN", TOKEN);
    Receiver::run(folder, binary)
}

/// What the command of the exec sink wrote, once it has run.
fn told_by_command(folder: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = std::fs::read(folder.join("told")).unwrap_or_default();
        let told = String::from_utf8_lossy(&told).into_owned();
        if told.ends_with('\n') && told.contains("flashduty-receiver") {
            return told;
        }
        assert!(Instant::now() < deadline, "the command wrote {told:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_admin_token_is_in_no_line_page_number_or_argument_however_much_is_logged() {
    const WRONG: &str = "n0t-the-token";
    let folder = tempfile::tempdir().unwrap();
    let receiver = talkative(folder.path());
    let session = cookie(&log_in(&receiver, TOKEN));
    assert_eq!(log_in(&receiver, WRONG).status, 401);
    assert_eq!(seen(&receiver, &bearer(TOKEN)), 200);
    assert_eq!(seen(&receiver, &session), 200);
    assert_eq!(seen(&receiver, &bearer(WRONG)), 401);
    let allowed = format!("{HERE}{}", bearer(TOKEN));
    let reload = ask(&receiver, ("POST", "/api/v1/reload"), &allowed);
    assert_eq!(reload.status, 200, "{reload:?}");
    assert_eq!(
        receiver
            .push(r#"{"event_id":"e","event_type":"i_new"}"#)
            .outcome(),
        "accepted"
    );

    let mut shown = vec![told_by_command(folder.path())];
    assert!(shown[0].contains("FLASHDUTY_EVENT_ID=e"), "{shown:?}");
    for (method, target) in operations() {
        if method == "GET" {
            let answer = ask(&receiver, (method.as_str(), target.as_str()), &allowed);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            shown.extend([answer.head, body]);
        }
    }
    let arguments = format!("/proc/{}/cmdline", receiver.child.id());
    let arguments = std::fs::read(arguments).unwrap();
    shown.push(String::from_utf8_lossy(&arguments).into_owned());
    let lines = receiver.lines.all();
    shown.extend(lines.iter().map(ToString::to_string));
    let (_, seal) = session.trim_end().split_once('.').unwrap();
    for text in &shown {
        for secret in [TOKEN, WRONG, seal] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[test]
fn what_an_attacker_asks_of_the_console_reaches_no_file_and_comes_back_as_a_refusal() {
    let receiver = Receiver::start("");
    for target in [
        "/console/../config.toml",
        "/console/..%2fconfig.toml",
        "/console/%2e%2e/config.toml",
        "/console/..%5cconfig.toml",
        "/console/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/console//etc/passwd",
        "/console/api.js%00",
        "/console/index.html",
        "/console/",
        "/../config.toml",
    ] {
        let answer = ask(&receiver, ("GET", target), HERE);
        assert!((400..=404).contains(&answer.status), "{target}: {answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{target}");
    }
    let mine = "Cookie: flashduty_session=mine\r\nOrigin: http://localhost\r\n";
    for method in ["OPTIONS", "TRACE", "PUT", "PROPFIND"] {
        for target in ["/", "/metrics", "/console/api.js", "/api/v1/status"] {
            let answer = ask(&receiver, (method, target), &format!("{HERE}{mine}"));
            assert_eq!(answer.status, 405, "{method} {target}");
            let said = format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body));
            assert!(!said.contains("mine"), "{said}");
            assert!(!said.to_lowercase().contains("access-control"), "{said}");
        }
    }
    let large = format!("Cookie: flashduty_session={}\r\n", "x".repeat(50_000));
    assert_eq!(seen(&receiver, &large), 200, "it is not asked for");
    assert_eq!(seen(&receiver, ""), 200);
}

#[test]
fn streams_are_bounded_and_the_bound_leaves_room_for_everything_else() {
    let receiver = Receiver::start("");
    let mut streams = Vec::new();
    let refused = loop {
        let mut client = Client::connect(receiver.admin, PATIENCE).unwrap();
        let request = format!("GET /api/v1/stream HTTP/1.1\r\n{HERE}\r\n");
        client.send(request.as_bytes()).unwrap();
        let answer = client.answer(false).unwrap();
        if answer.status != 200 {
            break answer;
        }
        streams.push(client);
        assert!(streams.len() < 100, "there is no bound");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.json()["detail"].to_string().contains("streams"));
    assert!(streams.len() >= 20, "only {} may follow", streams.len());
    assert_eq!(seen(&receiver, ""), 200);
    let pushed = receiver.push(r#"{"event_id":"e","event_type":"i_new"}"#);
    assert_eq!(pushed.outcome(), "accepted");
}
