//! Commands against a receiver that answers what it is told to.

use clap::Parser as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::cli::printer::tests::captured;
use crate::cli::{Cli, Command, Exit, deliveries, events, explain, unreadable};

const ROW: &str = r#"{"seq":42,"event_id":"8d6f","event_type":"i_ack","event_time":1777888800000,"subject":"incident:664af","outcome":"accepted","command":false,"tag":"ops","source_ip":"47.94.95.118","peer_ip":"10.0.3.7","received_at":"2026-05-04T10:00:00.25Z","origin":"push","body_bytes":7"#;

const DELIVERIES: &str = r#""deliveries":[{"seq":42,"sink":"log","state":"dead","attempts":2,"last_error":"broken \u001b[31mpipe","replay":false,"settled_at":"2026-05-04T10:00:09Z","event_id":"8d6f","event_type":"i_ack","subject":"incident:664af","history":[{"n":1,"began":"2026-05-04T10:00:01Z","ended":"2026-05-04T10:00:02Z","outcome":"failed","error":"timed out"}]}]"#;

/// What one request must be for and what it is answered.
type Exchange = (&'static str, u16, String);

/// How the command ended, what it printed, and the requests' `Authorization`.
struct Ran {
    result: anyhow::Result<Exit>,
    out: String,
    authorization: Vec<Option<String>>,
}

/// Runs `line` against a receiver that expects exactly these requests, after the one for `/livez`
/// with which a command begins.
async fn ran(line: &str, exchanges: Vec<Exchange>) -> Ran {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let line = format!("flashduty-receiver {line} --api {base}");
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let (mut printer, out, _) = captured(cli.json);
    let command = async {
        match cli.command.unwrap() {
            Command::Events(args) => events::run(args, None, &mut printer).await,
            Command::Deliveries(args) => deliveries::run(args, None, &mut printer).await,
            Command::Unreadable(args) => unreadable::run(args, None, &mut printer).await,
            Command::Explain(args) => explain::run(args, None, &mut printer).await,
            other => panic!("{other:?} does not ask a receiver"),
        }
    };
    let receiver = async {
        let mut authorization = Vec::new();
        let live = ("GET /livez", 200, String::new());
        for (wanted, status, body) in std::iter::once(live).chain(exchanges) {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            let seen = String::from_utf8(seen).unwrap();
            assert!(
                seen.starts_with(&format!("{wanted} HTTP/1.1\r\n")),
                "wanted {wanted}: {seen}"
            );
            let header = seen
                .lines()
                .find_map(|line| line.strip_prefix("authorization: "));
            authorization.push(header.map(str::to_owned));
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
        authorization
    };
    let (result, authorization) = tokio::join!(command, receiver);
    Ran {
        result,
        out: out.text(),
        authorization,
    }
}

fn page(rows: &[&str], next: Option<&str>) -> String {
    let rows = rows.join(",");
    let next = next.map(|cursor| format!(r#","next_cursor":"{cursor}""#));
    format!(r#"{{"items":[{rows}]{}}}"#, next.unwrap_or_default())
}

/// So many events in the spill, and those that were found.
fn spill(events: u64, found: &str) -> String {
    format!(
        r#"{{"events":{events},"set_aside":0,"bytes":9,"oldest":null,"newest":null,"found":[{found}]}}"#
    )
}

fn detail() -> String {
    format!("{ROW},{DELIVERIES}}}")
}

fn not_found() -> String {
    r#"{"detail":"no such thing"}"#.to_owned()
}

#[tokio::test]
async fn a_list_is_read_page_by_page_until_it_ends() {
    let row = format!("{ROW}}}");
    let titled = format!(r#"{ROW},"title":"disk\nfull","severity":"Warning"}}"#);
    let ran = ran(
        "events --type i_ack --limit 600",
        vec![
            (
                "GET /api/v1/events?limit=500&event_type=i_ack",
                200,
                page(&[&row], Some("c 1")),
            ),
            (
                "GET /api/v1/events?cursor=c%201&limit=500&event_type=i_ack",
                200,
                page(&[&titled], None),
            ),
        ],
    )
    .await;
    assert_eq!(ran.result.unwrap(), Exit::Done);
    insta::assert_snapshot!(ran.out, @r"
    SEQ  RECEIVED                  TYPE   OUTCOME   SEVERITY  SUBJECT         ROUTE  FROM          BYTES  EVENT ID  TITLE
    42   2026-05-04T10:00:00.250Z  i_ack  accepted  -         incident:664af  /ops   47.94.95.118  7      8d6f      -
    42   2026-05-04T10:00:00.250Z  i_ack  accepted  Warning   incident:664af  /ops   47.94.95.118  7      8d6f      disk\nfull
    ");
}

#[tokio::test]
async fn a_search_goes_on_over_pages_on_which_nothing_was_found() {
    let row = format!("{ROW}}}");
    let pages = [
        ("limit=2", page(&[], Some("20001"))),
        ("cursor=20001&limit=2", page(&[&row], Some("7"))),
        ("cursor=7&limit=1", page(&[], None)),
    ];
    let exchanges = pages.map(|(place, page)| {
        let what = "text=node-17%25&source=47.94.0.0%2F16";
        let request: &'static str = format!("GET /api/v1/events?{place}&{what}").leak();
        let searched = page.replace(']', r#"],"searched_to":"2026-05-04T09:00:00Z""#);
        (request, 200, searched)
    });
    let line = "events --json --limit 2 --source 47.94.0.0/16 --text node-17%";
    let ran = ran(line, exchanges.into()).await;
    assert_eq!(ran.result.unwrap(), Exit::Done);
    assert_eq!(ran.out.lines().count(), 1);
    assert!(ran.out.contains(r#""seq":42"#), "{}", ran.out);
}

#[tokio::test]
async fn scripts_get_one_object_a_line() {
    let row = format!("{ROW}}}");
    let ran = ran(
        "events --json --limit 1",
        vec![("GET /api/v1/events?limit=1", 200, page(&[&row], Some("x")))],
    )
    .await;
    assert_eq!(ran.out.lines().count(), 1);
    let object: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(object["seq"], 42);
}

#[tokio::test]
async fn a_body_is_printed_byte_for_byte_and_found_by_its_event_id() {
    let row = format!("{ROW}}}");
    let body = "{\"a\":\"\u{1b}\\u0000\"}\r\n ";
    let ran = ran(
        "events show 8d6f --body",
        vec![
            (
                "GET /api/v1/events?limit=100&event_id=8d6f",
                200,
                page(&[&row], None),
            ),
            ("GET /api/v1/events/42", 200, detail()),
            ("GET /api/v1/events/42/body", 200, body.to_owned()),
        ],
    )
    .await;
    assert_eq!(ran.result.unwrap(), Exit::Done);
    assert_eq!(ran.out, body);
}

#[tokio::test]
async fn an_event_is_shown_with_the_attempts_to_deliver_it() {
    let ran = ran(
        "events show 42",
        vec![("GET /api/v1/events/42", 200, detail())],
    )
    .await;
    insta::assert_snapshot!(ran.out, @r"
    seq         42
    event id    8d6f
    event type  i_ack
    event time  2026-05-04T10:00:00.000Z
    subject     incident:664af
    severity    none
    title       none
    outcome     accepted
    command     no
    route       /ops
    received    2026-05-04T10:00:00.250000Z
    client      47.94.95.118
    peer        10.0.3.7
    origin      push
    body        7 bytes

    log: dead after 2 attempts, settled 2026-05-04T10:00:09.000Z; last error: broken \u{1b}[31mpipe
      attempt 1, begun 2026-05-04T10:00:01.000Z, ended 2026-05-04T10:00:02.000Z: failed: timed out
    ");
}

#[tokio::test]
async fn an_event_is_explained_from_arrival_to_delivery() {
    let ran = ran("explain 42", vec![("GET /api/v1/events/42", 200, detail())]).await;
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(
        lines[0].starts_with("  1. was pushed by 47.94.95.118 through 10.0.3.7"),
        "{}",
        ran.out
    );
    assert!(
        lines[2].starts_with("  3. was judged accepted"),
        "{}",
        ran.out
    );
    assert!(
        lines[3].starts_with("log: dead after 2 attempts"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn scripts_get_an_events_story_and_its_deliveries_in_one_object() {
    let asked = ("GET /api/v1/events/42", 200, detail());
    let ran = ran("explain 42 --json", vec![asked]).await;
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["seq"], 42);
    assert_eq!(told["steps"].as_array().unwrap().len(), 3);
    assert_eq!(told["deliveries"][0]["state"], "dead");
}

#[tokio::test]
async fn an_event_nobody_knows_is_an_error_that_says_where_to_look() {
    let ran = ran(
        "events show 7",
        vec![
            ("GET /api/v1/events/7", 404, not_found()),
            (
                "GET /api/v1/events?limit=100&event_id=7",
                200,
                page(&[], None),
            ),
            ("GET /api/v1/spilled?event_id=7", 200, spill(0, "")),
        ],
    )
    .await;
    let error = ran.result.unwrap_err().to_string();
    assert!(error.contains("flashduty::push"), "{error}");
    assert!(!error.contains("spill"), "{error}");
}

#[tokio::test]
async fn an_event_in_the_spill_is_told_as_one_that_the_store_has_not_got_yet() {
    let none = (
        "GET /api/v1/events?limit=100&event_id=8d6f",
        200,
        page(&[], None),
    );
    let row = r#"{"event_type":"i_ack","tag":"ops","received_at":"2026-05-04T10:00:00.25Z","set_aside":false}"#;
    let here = ("GET /api/v1/spilled?event_id=8d6f", 200, spill(12, row));
    let explained = ran("explain 8d6f", vec![none.clone(), here.clone()]).await;
    assert_eq!(explained.result.unwrap(), Exit::Done);
    let told = "  1. came to route /ops, at 2026-05-04T10:00:00.250Z, carried i_ack, and waits in the \
        spill of this receiver, which holds 12 events that the store has not got yet: once it has, it is \
        judged and delivered\n";
    assert_eq!(explained.out, told);

    let shown = ran("events show 8d6f", vec![none, here]).await;
    assert_eq!(shown.out, "");
    let error = shown.result.unwrap_err().to_string();
    assert!(
        error.starts_with("the event 8d6f is not in the store yet: it came to"),
        "{error}"
    );
}

#[tokio::test]
async fn while_the_database_is_away_the_spill_is_asked_all_the_same() {
    let away = r#"{"detail":"the database is away: no answer"}"#.to_owned();
    let failed = ("GET /api/v1/events?limit=100&event_id=8d6f", 503, away);
    let request = "GET /api/v1/spilled?event_id=8d6f";
    let row = r#"{"event_type":"i_ack","received_at":"2026-05-04T10:00:00Z","set_aside":true}"#;
    let here = ran(
        "explain 8d6f",
        vec![failed.clone(), (request, 200, spill(12, row))],
    )
    .await;
    assert!(
        here.out.contains("is set aside in the spill"),
        "{}",
        here.out
    );

    let other = ran("explain 8d6f", vec![failed, (request, 200, spill(12, ""))]).await;
    let error = format!("{:#}", other.result.unwrap_err());
    for part in [
        "holds 12 events",
        "none of them with this id",
        "the database is away",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn the_token_is_sent_and_its_refusal_says_what_to_give() {
    let refusal = r#"{"detail":"a bearer token is wanted"}"#.to_owned();
    let request = "GET /api/v1/deliveries?limit=50&state=dead";
    let bare = ran(
        "deliveries --state dead",
        vec![(request, 401, refusal.clone())],
    )
    .await;
    let error = bare.result.unwrap_err().to_string();
    assert!(error.contains("give --token-file"), "{error}");
    assert_eq!(bare.authorization, [None, None]);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let line = format!(
        "deliveries --state dead --token-file {}",
        file.path().display()
    );
    let wrong = ran(&line, vec![(request, 401, refusal)]).await;
    let error = format!("{:#}", wrong.result.unwrap_err());
    assert!(error.contains("does not take this token"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(wrong.authorization[1].as_deref(), Some("Bearer hunter2"));
}

#[tokio::test]
async fn an_unreadable_push_is_offered_again_and_its_refusal_explained() {
    let taken = r#"{"outcome":"accepted","event_id":"8d6f","seq":43}"#.to_owned();
    let request = "POST /api/v1/unreadable/3/offer";
    let done = ran("unreadable offer 3", vec![(request, 200, taken)]).await;
    assert_eq!(done.out, "accepted at position 43\n");
    let refusal = r#"{"detail":"the body still has no event type"}"#.to_owned();
    let refused = ran("unreadable offer 3", vec![(request, 422, refusal)]).await;
    let error = refused.result.unwrap_err().to_string();
    assert!(
        error.contains("the body still has no event type"),
        "{error}"
    );
    let gone = ran("unreadable offer 3", vec![(request, 404, not_found())]).await;
    assert!(gone.result.is_err());
}

#[tokio::test]
async fn nobody_at_the_named_address_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let line = format!("flashduty-receiver events --api {base}");
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let Some(Command::Events(args)) = cli.command else {
        panic!("another command");
    };
    let (mut printer, _, _) = captured(false);
    let error = events::run(args, None, &mut printer).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("nothing answers at {base}")),
        "{error}"
    );
}
