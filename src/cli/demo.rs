//! The player of `demo`: one incident's life, pushed into a receiver as the sender would.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::Full;
use serde::Deserialize;

use super::api::detail;
use super::printer::Printer;
use super::request;
use super::sample::Moment;
use super::target::Target;
use super::tls::Known;
use crate::clock::{Clock as _, SystemClock};

/// One of the sender's addresses, allowed by default. The demo's receiver trusts loopback as a
/// proxy, and the player says in `X-Forwarded-For` for whom it speaks.
pub const SENDER: &str = "47.94.95.118";

/// An address that nobody allowed (RFC 5737).
const STRANGER: &str = "203.0.113.7";

const TIMEOUT: Duration = Duration::from_secs(2);

/// One push of the play.
struct Step {
    title: &'static str,
    event_type: &'static str,
    /// Which event this is; a number used before repeats that event.
    event: u8,
    /// Seconds since the incident began.
    at: i64,
    client: &'static str,
    /// The answer's status and outcome.
    answer: (u16, &'static str),
    shows: &'static str,
}

const STEP: Step = Step {
    title: "",
    event_type: "",
    event: 0,
    at: 0,
    client: SENDER,
    answer: (200, "accepted"),
    shows: "stored, answered, and then written to the log as one line",
};

const PLAY: [Step; 8] = [
    Step {
        title: "the incident is created",
        event_type: "i_new",
        event: 1,
        ..STEP
    },
    Step {
        title: "it is assigned to Lin Yue",
        event_type: "i_assign",
        event: 2,
        at: 10,
        shows: "every push carries the complete state of the incident",
        ..STEP
    },
    Step {
        title: "she acknowledges it",
        event_type: "i_ack",
        event: 3,
        at: 30,
        shows: "lag_ms tells how long after the fact it arrived",
        ..STEP
    },
    Step {
        title: "the acknowledgement comes again, as after a retry",
        event_type: "i_ack",
        event: 3,
        at: 30,
        answer: (200, "duplicate"),
        shows: "the same event_id: answered with the first one's seq, delivered once",
        ..STEP
    },
    Step {
        title: "a comment from before the acknowledgement comes late",
        event_type: "i_comm",
        event: 4,
        at: 20,
        answer: (200, "stale"),
        shows: "a later event was there first: stored, but not delivered to this sink",
        ..STEP
    },
    Step {
        title: "she presses the button of a custom action",
        event_type: "i_custom",
        event: 5,
        at: 25,
        shows: "a command is never stale, and its event_id stands inside the incident",
        ..STEP
    },
    Step {
        title: "a stranger pushes",
        event_type: "i_rslv",
        event: 6,
        at: 40,
        client: STRANGER,
        answer: (403, "denied"),
        shows: "not in source.allow: refused before the body is read, nothing stored",
    },
    Step {
        title: "the incident is closed",
        event_type: "i_rslv",
        event: 7,
        at: 60,
        shows: "the end of the story; the inbox keeps it for store.retention",
        ..STEP
    },
];

/// Plays the sample incident's life into the receiver at `base`, such as `http://127.0.0.1:8080`,
/// with `pause` between the steps so that each is seen beside the log lines it causes. Remarks go
/// to standard error; standard output belongs to the log.
///
/// # Errors
/// When the receiver does not answer as the play says it does.
pub async fn play(base: &str, pause: Duration, printer: &mut Printer) -> anyhow::Result<()> {
    let target = Target::parse(base, "/webhook", &Known::default())?;
    let began = SystemClock.now().as_millisecond() - 90_000;
    for (number, step) in PLAY.iter().enumerate() {
        let (status, said) = push(&target, step, began).await?;
        let answer = said.outcome.as_deref().unwrap_or("no outcome");
        let seq = said
            .seq
            .map(|seq| format!(", seq {seq}"))
            .unwrap_or_default();
        printer.note(&format!(
            "{}. {} ({}): answered {status} {answer}{seq}\n   {}",
            number + 1,
            step.title,
            step.event_type,
            step.shows
        ))?;
        if (status, answer) != step.answer {
            bail!(
                "the receiver answered {status} {answer} instead of {} {}: {}",
                step.answer.0,
                step.answer.1,
                said.text
            );
        }
        tokio::time::sleep(pause).await;
    }
    printer.note(&by_hand(&target, began))?;
    Ok(())
}

struct Said {
    outcome: Option<String>,
    seq: Option<i64>,
    text: String,
}

async fn push(target: &Target, step: &Step, began: i64) -> anyhow::Result<(u16, Said)> {
    let body = Moment {
        event_type: step.event_type,
        event_id: &format!("{began:029x}{:03x}", step.event),
        event_time: began + step.at * 1000,
        subject_id: &format!("{began:024x}"),
        padding: "",
    }
    .body();
    let request = Request::post(&target.path)
        .header(HOST, &target.authority)
        .header(CONTENT_TYPE, "application/json")
        .header("x-forwarded-for", step.client)
        .body(Full::new(Bytes::from(body)))?;
    let reply = request::send(target, request, (TIMEOUT, request::PROBE_BYTES)).await?;

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Answer {
        outcome: Option<String>,
        seq: Option<i64>,
    }
    let answer: Answer = serde_json::from_slice(&reply.body).unwrap_or_default();
    let said = Said {
        outcome: answer.outcome,
        seq: answer.seq,
        text: detail(&reply.body),
    };
    Ok((reply.status.as_u16(), said))
}

/// What to type next.
fn by_hand(target: &Target, now: i64) -> String {
    format!(
        "\nPush by hand:\n  curl -H 'X-Forwarded-For: {SENDER}' http://{}{} -d \
         '{{\"event_id\": \"by-hand-1\", \"event_type\": \"i_new\", \"event_time\": {now}, \
         \"incident\": {{\"incident_id\": \"by-hand\", \"title\": \"hello\"}}}}'\nStill serving; \
         Ctrl-C ends it.",
        target.authority, target.path
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::printer::tests::captured;

    /// Answers each connection's one push with the next of `answers`.
    async fn answer(listener: TcpListener, answers: Vec<(u16, &str)>) -> Vec<serde_json::Value> {
        let mut bodies = Vec::new();
        for (status, outcome) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}}") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            let text = String::from_utf8(seen).unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            bodies.push(serde_json::from_str(body).unwrap());
            let said = format!(r#"{{"outcome":"{outcome}","seq":null,"detail":"d"}}"#);
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
                said.len()
            );
            stream.write_all((head + &said).as_bytes()).await.unwrap();
        }
        bodies
    }

    async fn played(answers: Vec<(u16, &str)>) -> (anyhow::Result<()>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (mut printer, out, err) = captured(false);
        let (result, _) = tokio::join!(
            play(&base, Duration::ZERO, &mut printer),
            answer(listener, answers)
        );
        assert_eq!(out.text(), "", "standard output belongs to the log");
        (result, err.text())
    }

    #[tokio::test]
    async fn the_whole_life_is_played_and_each_step_explained() {
        let answers = PLAY.iter().map(|step| step.answer).collect();
        let (result, remarks) = played(answers).await;
        result.unwrap();
        assert_eq!(remarks.matches("answered ").count(), 8 + 1, "{remarks}");
        assert!(remarks.contains("curl -H"), "{remarks}");
        assert!(remarks.contains("Ctrl-C"), "{remarks}");
    }

    #[tokio::test]
    async fn an_answer_the_play_does_not_expect_ends_it() {
        let (result, _) = played(vec![(503, "overloaded")]).await;
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("503 overloaded instead of 200 accepted: d"),
            "{error}"
        );
    }

    #[test]
    fn only_the_repeat_has_an_id_used_before_and_only_the_late_one_goes_back_in_time() {
        let mut seen = std::collections::HashSet::new();
        let mut mark = 0;
        for step in &PLAY {
            let known = !seen.insert(step.event);
            assert_eq!(known, step.answer.1 == "duplicate", "{}", step.title);
            let command = step.event_type == "i_custom";
            let late = step.at < mark && !command && !known;
            assert_eq!(late, step.answer.1 == "stale", "{}", step.title);
            if step.answer == (200, "accepted") && !command {
                mark = step.at;
            }
        }
    }
}
