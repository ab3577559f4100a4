//! Following a receiver that says what it is told to, and is cut off.

use clap::Parser as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::run;
use crate::cli::printer::tests::captured;
use crate::cli::{Cli, Command, Exit};

/// A receiver, as far as this command can tell.
struct Fake(TcpListener);

impl Fake {
    /// The next request, on its connection: it must be `wanted`, behind `last`.
    async fn asked(&self, wanted: &str, last: Option<i64>) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut seen).await.unwrap();
        }
        let seen = String::from_utf8(seen).unwrap();
        let line = format!("GET {wanted} HTTP/1.1\r\n");
        assert!(seen.starts_with(&line), "wanted {wanted}: {seen}");
        let given = seen
            .lines()
            .find_map(|line| line.strip_prefix("last-event-id: "));
        assert_eq!(given, last.map(|seq| seq.to_string()).as_deref(), "{seen}");
        stream
    }

    /// The next request, answered at once.
    async fn answer(&self, wanted: &str, status: u16, body: &str) {
        let mut stream = self.asked(wanted, None).await;
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).await.unwrap();
    }

    /// The next request begins a stream.
    async fn stream(&self, wanted: &str, last: Option<i64>) -> TcpStream {
        let mut stream = self.asked(wanted, last).await;
        let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }
}

async fn say(stream: &mut TcpStream, message: &str) {
    stream.write_all(message.as_bytes()).await.unwrap();
}

fn position(seq: i64) -> String {
    format!("id: {seq}\nevent: position\ndata: {{\"seq\":{seq}}}\n\n")
}

fn row(seq: i64) -> String {
    format!(
        r#"{{"seq":{seq},"event_id":"e{seq}","event_type":"i_ack","outcome":"accepted","command":false,"received_at":"2026-05-04T10:00:00Z","origin":"push","body_bytes":2}}"#
    )
}

fn event(seq: i64) -> String {
    format!("id: {seq}\nevent: event\ndata: {}\n\n", row(seq))
}

/// A page of the list, newest first.
fn page(seqs: &[i64]) -> String {
    let rows: Vec<String> = seqs.iter().copied().map(row).collect();
    format!(r#"{{"items":[{}]}}"#, rows.join(","))
}

/// Runs `line` until `plays` is done with it, or it ends by itself: what it printed, what it remarked,
/// and how it ended then.
async fn tailed(
    line: &str,
    plays: impl AsyncFnOnce(Fake),
) -> (String, String, Option<anyhow::Result<Exit>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let line = format!("flashduty-receiver {line} --api {base}");
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let (mut printer, out, err) = captured(cli.json);
    let Some(Command::Tail(args)) = cli.command else {
        panic!("another command");
    };
    let played = async {
        let fake = Fake(listener);
        fake.answer("/livez", 200, "").await;
        plays(fake).await;
    };
    let ended = tokio::select! {
        ended = run(args, None, &mut printer) => Some(ended),
        () = played => None,
    };
    (out.text(), err.text(), ended)
}

fn seqs(out: &str) -> Vec<i64> {
    let seq = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["seq"].as_i64().unwrap()
    };
    out.lines().map(seq).collect()
}

#[tokio::test]
async fn what_was_there_comes_first_and_a_cut_costs_and_repeats_nothing() {
    let path = "/api/v1/stream?event_type=i_ack";
    let line = "tail --json -n 2 --type i_ack";
    let (out, err, ended) = tailed(line, async |fake: Fake| {
        let mut stream = fake.stream(path, None).await;
        say(&mut stream, &position(7)).await;
        // Comes while the list is asked for, and is shown behind it.
        say(&mut stream, &event(8)).await;
        let list = "/api/v1/events?cursor=7&limit=2&event_type=i_ack";
        fake.answer(list, 200, &page(&[6, 5])).await;
        say(&mut stream, ": alive\nid: 11\n\n").await;
        // Half a message is none.
        say(&mut stream, "id: 12\nevent: event\nda").await;
        drop(stream);
        let mut stream = fake.stream(path, Some(11)).await;
        say(&mut stream, &position(11)).await;
        say(&mut stream, &event(12)).await;
        drop(stream);
        fake.stream(path, Some(12)).await;
    })
    .await;
    assert!(ended.is_none());
    assert_eq!(seqs(&out), [5, 6, 8, 12]);
    assert_eq!(err.lines().count(), 2, "one for each cut: {err}");
    assert!(err.contains("following again"), "{err}");
}

#[tokio::test]
async fn since_a_time_the_stream_itself_begins_there() {
    let line = "tail --json --since 2026-05-04T10:00:00Z --route /ops?team=a";
    let path = "/api/v1/stream?route=ops%3Fteam%3Da&since=2026-05-04T10%3A00%3A00Z";
    let (out, _, ended) = tailed(line, async |fake: Fake| {
        let mut stream = fake.stream(path, None).await;
        say(&mut stream, &(position(0) + &event(3) + &event(4))).await;
        drop(stream);
        fake.stream(path, Some(4)).await;
    })
    .await;
    assert!(ended.is_none());
    assert_eq!(seqs(&out), [3, 4]);
}

#[tokio::test]
async fn people_see_the_title_what_is_missing_and_what_is_waited_for() {
    let (out, err, ended) = tailed("tail -n 0", async |fake: Fake| {
        let mut stream = fake.stream("/api/v1/stream", None).await;
        let gap = "event: gap\ndata: {\"after\":7,\"from\":9,\"reason\":\"pruned\"}\n\n";
        let waiting = "event: waiting\ndata: {\"seconds\":5,\"reason\":\"busy\"}\n\n";
        let titled = r#""body_bytes":2,"title":"disk\nfull","severity":"Warning"}"#;
        let titled = event(9).replace(r#""body_bytes":2}"#, titled);
        say(
            &mut stream,
            &(position(7) + gap + waiting + &titled + &event(10)),
        )
        .await;
        drop(stream);
        fake.stream("/api/v1/stream", Some(10)).await;
    })
    .await;
    assert!(ended.is_none());
    insta::assert_snapshot!(out, @r"
    2026-05-04T10:00:00.000Z  accepted  i_ack     Warning   disk\nfull  -  -
    2026-05-04T10:00:00.000Z  accepted  i_ack     -         -  -  -
    ");
    insta::assert_snapshot!(err, @r"
    events are missing behind position 7 and before 9: pruned
    nothing has come for 5 s: busy
    the receiver has ended the stream, or is gone: following again as soon as it answers
    ");
}

#[tokio::test]
async fn what_was_there_comes_all_the_same_when_it_could_not_be_asked_for_at_first() {
    let (out, err, ended) = tailed("tail --json -n 2", async |fake: Fake| {
        let mut stream = fake.stream("/api/v1/stream", None).await;
        say(&mut stream, &(position(7) + &event(8))).await;
        drop(fake.asked("/api/v1/events?cursor=7&limit=2", None).await);
        let mut stream = fake.stream("/api/v1/stream", None).await;
        say(&mut stream, &(position(8) + &event(9))).await;
        let list = "/api/v1/events?cursor=8&limit=2";
        fake.answer(list, 200, &page(&[8, 7])).await;
        drop(stream);
        fake.stream("/api/v1/stream", Some(9)).await;
    })
    .await;
    assert!(ended.is_none());
    assert_eq!(seqs(&out), [7, 8, 9]);
    assert_eq!(err.lines().count(), 2, "{err}");
}

#[tokio::test]
async fn a_refusal_ends_it_and_trouble_only_at_first() {
    let busy = r#"{"detail":"as many streams as there may be are open"}"#;
    let refused = r#"{"detail":"the bearer token is not the one in admin.token"}"#;
    let (_, _, ended) = tailed("tail", async |fake: Fake| {
        fake.answer("/api/v1/stream", 503, busy).await;
        std::future::pending().await
    })
    .await;
    let error = ended.unwrap().unwrap_err().to_string();
    assert!(error.contains("as many streams"), "{error}");
    let (out, err, ended) = tailed("tail --json -n 0", async |fake: Fake| {
        let mut stream = fake.stream("/api/v1/stream", None).await;
        say(&mut stream, &(position(3) + &event(4))).await;
        drop(stream);
        for (status, body) in [(503, busy), (401, refused)] {
            let mut stream = fake.asked("/api/v1/stream", Some(4)).await;
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
            say(&mut stream, &(head + body)).await;
        }
        std::future::pending().await
    })
    .await;
    assert_eq!(seqs(&out), [4]);
    assert_eq!(err.lines().count(), 1, "{err}");
    let error = ended.unwrap().unwrap_err().to_string();
    assert!(error.contains("wants a token"), "{error}");
}

#[tokio::test]
async fn severities_and_several_types_are_sifted_out_of_what_comes_and_of_what_was_there() {
    let critical = |seq| row(seq).replace('}', r#","severity":"Critical"}"#);
    let came = |row: String, seq: i64| format!("id: {seq}\nevent: event\ndata: {row}\n\n");
    let line = "tail --json -n 1 --severity critical --type i_ack,i_new";
    let (out, _, ended) = tailed(line, async |fake: Fake| {
        let mut stream = fake.stream("/api/v1/stream", None).await;
        say(&mut stream, &position(7)).await;
        let there = [row(7), critical(6), critical(5)].join(",");
        let list = "/api/v1/events?cursor=7&limit=500";
        let page = format!(r#"{{"items":[{there}]}}"#);
        fake.answer(list, 200, &page).await;
        let comment = critical(10).replace("i_ack", "i_comm");
        let messages = event(8) + &came(critical(9), 9) + &came(comment, 10);
        say(&mut stream, &messages).await;
        drop(stream);
        fake.stream("/api/v1/stream", Some(10)).await;
    })
    .await;
    assert!(ended.is_none());
    assert_eq!(seqs(&out), [6, 9]);
}
