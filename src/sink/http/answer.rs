//! An answer, and what it means: taken, worth another try, or the end.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use jiff::Timestamp;
use reqwest::Response;
use serde_json::{Map, Value};

use super::{HttpOptions, HttpSink};
use crate::clock;
use crate::echo::Secrets;
use crate::filter::{Expression, Scope};
use crate::inbox::Report;
use crate::sink::{Failure, SinkError};

/// The names that `success` and `retry_on` may use.
pub const ANSWER_NAMES: [&str; 4] = ["status", "headers", "body", "text"];

/// Of an answer is read no more than this.
const MAX_READ: usize = 64 << 10;

/// Of an answer is kept no more than this.
const MAX_KEPT: usize = 1 << 10;

/// An answer, as much of it as is looked at.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    is_whole: bool,
    /// Where it sends those who follow: the host.
    redirects_to: Option<String>,
}

impl Answer {
    /// Reads an answer to its end, or as far as anyone looks.
    pub(super) async fn read(mut response: Response) -> Result<Self, (StatusCode, reqwest::Error)> {
        let status = response.status();
        let redirects_to = status.is_redirection().then(|| {
            let location = response.headers().get(LOCATION)?.to_str().ok()?;
            let target = response.url().join(location).ok()?;
            target.host_str().map(str::to_owned)
        });
        let (mut body, mut is_whole) = (Vec::new(), true);
        while let Some(chunk) = response.chunk().await.map_err(|error| (status, error))? {
            let room = MAX_READ - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                is_whole = false;
                break;
            }
        }
        Ok(Self {
            status,
            headers: std::mem::take(response.headers_mut()),
            body: body.into(),
            is_whole,
            redirects_to: redirects_to.flatten(),
        })
    }

    /// The answer when it is known to be complete.
    pub(super) fn whole(&self) -> &[u8] {
        if self.is_whole { &self.body } else { &[] }
    }

    /// What there is to say about the attempt that began at `began`, without the `secrets` that the
    /// other side repeats.
    pub(super) fn report(&self, began: Timestamp, secrets: &Secrets) -> Report {
        let text = secrets.blot_out(&String::from_utf8_lossy(&self.body));
        Report {
            began: Some(began),
            status: Some(self.status.as_u16().into()),
            answer: (!text.is_empty()).then(|| shown(&text)),
            ..Report::default()
        }
    }

    /// How long it asks to be left alone, at most `longest`.
    fn asked_pause(&self, now: Timestamp, longest: Duration) -> Option<Duration> {
        let asked = clock::asked_pause(&self.headers, Some(now))?;
        Some(asked.min(longest))
    }
}

/// The beginning of `text`, with its control characters escaped, cut between characters.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let escaped = match character.is_control() {
            true => character.escape_default().to_string(),
            false => character.to_string(),
        };
        if out.len() + escaped.len() > MAX_KEPT {
            break;
        }
        out.push_str(&escaped);
    }
    out
}

/// An answer as the names of the expressions; only what they look at is made.
struct Scoped {
    status: Value,
    headers: Value,
    body: Value,
    text: Value,
}

impl Scoped {
    fn new(answer: &Answer, options: &HttpOptions) -> Self {
        let is_read =
            |name: &str| options.success.references(name) || options.retry_on.references(name);
        let made = |name: &str, make: &dyn Fn() -> Value| {
            if is_read(name) { make() } else { Value::Null }
        };
        Self {
            status: answer.status.as_u16().into(),
            headers: made("headers", &|| headers(&answer.headers)),
            body: made("body", &|| {
                crate::words::exact_json(answer.whole()).unwrap_or(Value::Null)
            }),
            text: made("text", &|| String::from_utf8_lossy(&answer.body).into()),
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope::default()
            .with("status", &self.status)
            .with("headers", &self.headers)
            .with("body", &self.body)
            .with("text", &self.text)
    }
}

/// Names in lower case; several values of a name are one, as RFC 9110 joins them.
fn headers(headers: &HeaderMap) -> Value {
    let mut map = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        map.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    Value::Object(map)
}

/// `Ok(false)` when it is false, and the reason when it cannot be judged.
fn judged(expression: &Expression, name: &str, scope: &Scope<'_>) -> Result<bool, String> {
    expression
        .evaluate(scope)
        .map_err(|error| format!("{name} cannot be judged: {error}"))
}

impl HttpSink {
    /// What `answer`, which came at `now`, means: `success` decides first, `retry_on` is asked for
    /// every answer that is none, and the others are the end.
    pub(super) fn judge(&self, answer: &Answer, now: Timestamp) -> Result<(), SinkError> {
        let (options, host) = (&self.options, &self.host);
        let status = answer.status.as_u16();
        if answer.status.is_redirection() {
            let target = match &answer.redirects_to {
                Some(target) => format!("to {target}"),
                None => "without a target".to_owned(),
            };
            let reason = format!(
                "{host} answered {status}, a redirect {target}; redirects are not followed"
            );
            return Err(SinkError::Refused(Failure::new(reason)));
        }
        let scoped = Scoped::new(answer, options);
        let scope = scoped.scope();
        let success = judged(&options.success, "success", &scope);
        if success == Ok(true) {
            return Ok(());
        }
        let retry_on = judged(&options.retry_on, "retry_on", &scope);
        let unjudged: Vec<String> = [success, retry_on.clone()]
            .into_iter()
            .filter_map(Result::err)
            .collect();
        let mut reason = format!("{host} answered {status}");
        if retry_on != Ok(true) {
            reason.push_str(", which is neither success nor worth another try");
        }
        if !unjudged.is_empty() {
            reason.push_str(&format!(" ({})", unjudged.join("; ")));
        }
        let mut failure = Failure::new(reason);
        if retry_on != Ok(true) {
            return Err(SinkError::Refused(failure));
        }
        failure.after = answer.asked_pause(now, options.longest_retry_after);
        failure.hold = hold(status, options.pause, failure.after);
        // A gateway that got nothing useful from behind it does not know what happened there.
        Err(match status {
            502 | 504 => SinkError::Unknown(failure),
            _ => SinkError::Retry(failure),
        })
    }
}

/// How long an answer holds the whole sink: it does when it says that there is too much of it, which
/// a robot says in its own way and HTTP with 429, or 503 and a time. Other answers of 500 and more
/// may be about their own event.
fn hold(status: u16, pause: Duration, after: Option<Duration>) -> Option<Duration> {
    let pause = Some(pause).filter(|pause| status < 500 && !pause.is_zero());
    let after = after.filter(|_| pause.is_some() || matches!(status, 429 | 503));
    pause.max(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_whole_sink_is_held_by_the_longer_of_pause_and_retry_after() {
        let cases = [
            (400, 0, None, None),
            (400, 0, Some(7), None),
            (400, 60, None, Some(60)),
            (429, 60, Some(7), Some(60)),
            (429, 60, Some(90), Some(90)),
            (429, 0, Some(7), Some(7)),
            (429, 0, None, None),
            (503, 0, Some(7), Some(7)),
            (503, 60, Some(7), Some(7)),
            (503, 60, None, None),
            (500, 60, Some(7), None),
        ];
        for (status, pause, after, expected) in cases {
            let held = hold(status, SECOND * pause, after.map(|after| SECOND * after));
            let expected = expected.map(|seconds| SECOND * seconds);
            assert_eq!(held, expected, "{status} {pause} {after:?}");
        }
    }

    #[test]
    fn what_is_kept_of_an_answer_is_short_whole_characters_without_control() {
        assert_eq!(shown("a\0b\u{1b}[31m\n磁"), "a\\u{0}b\\u{1b}[31m\\n磁");
        let cut = shown(&format!("x{}", "磁".repeat(1000)));
        assert_eq!(cut.len(), 1 + 341 * 3);
    }
}
