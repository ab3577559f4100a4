//! The filters that templates have beside minijinja's own.
//!
//! | filter | gives |
//! | --- | --- |
//! | `tojson` | the value as JSON; in a JSON template the value itself, which is written as JSON anyway |
//! | `truncate_bytes(n)` | at most `n` bytes, cut between characters, with an ellipsis that counts |
//! | `one_line` | the text without line breaks and control characters |
//! | `md_escape(dialect)` | the text as markdown that shows it: `commonmark`, `feishu`, `dingtalk`, `wecom`, `slack` |
//! | `datetime(timezone, format)` | Unix seconds or milliseconds as `2026-04-12 16:00:00`; `local` is the same |
//! | `urlencode` | the text as a path segment; in a URL the value itself, which is encoded anyway |
//! | `http_url(n)` | the URL if it is http or https and has at most `n` bytes, else none |
//! | `at(pointer, …)` | what the first JSON pointer that leads somewhere leads to, else undefined |
//! | `people` | the names, or else addresses, of a person or a list of persons |

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};

use super::text::{self, Dialect};
use super::{DEFAULT_TIMEZONE, json};

/// Links that are longer help nobody in a chat.
const MAX_URL_BYTES: usize = 500;

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("truncate_bytes", truncate_bytes);
    environment.add_filter("one_line", one_line);
    environment.add_filter("md_escape", md_escape);
    environment.add_filter("datetime", datetime);
    environment.add_filter("local", datetime);
    environment.add_filter("urlencode", url_encode);
    environment.add_filter("http_url", http_url);
    environment.add_filter("at", at);
    environment.add_filter("people", people);
}

fn fault(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Fails as printing it would, when a value is not there.
fn require(state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        state.format(value.clone())?;
    }
    Ok(())
}

/// What `value` says; none says nothing.
fn words(state: &mut State<'_, '_>, value: &Value) -> Result<String, Error> {
    require(state, value)?;
    let text = match value.kind() {
        ValueKind::None | ValueKind::Undefined => String::new(),
        _ => value.to_string(),
    };
    let is_marked = value.is_safe() && *state.auto_escape() == AutoEscape::Json;
    Ok(if is_marked {
        json::unmarked(&text)
    } else {
        text
    })
}

fn to_json(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    require(state, value)?;
    if *state.auto_escape() == AutoEscape::Json {
        return Ok(value.clone());
    }
    json::text(value).map(Value::from)
}

fn truncate_bytes(state: &mut State<'_, '_>, value: &Value, limit: usize) -> Result<String, Error> {
    Ok(text::truncated(&words(state, value)?, limit).into_owned())
}

fn one_line(state: &mut State<'_, '_>, value: &Value) -> Result<String, Error> {
    Ok(text::on_one_line(&words(state, value)?))
}

fn md_escape(
    state: &mut State<'_, '_>,
    value: &Value,
    dialect: Option<&str>,
) -> Result<String, Error> {
    let name = dialect.unwrap_or("commonmark");
    let dialect = Dialect::parse(name).ok_or_else(|| {
        fault(format!(
            "md_escape knows commonmark, feishu, lark, dingtalk, wecom and slack, not {name:?}"
        ))
    })?;
    Ok(text::markdown_escaped(&words(state, value)?, dialect))
}

fn url_encode(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        require(state, value)?;
        return Ok(value.clone());
    }
    Ok(text::percent_encoded(&words(state, value)?).into())
}

fn http_url(
    state: &mut State<'_, '_>,
    value: &Value,
    limit: Option<usize>,
) -> Result<Value, Error> {
    let url = text::web_url(&words(state, value)?, limit.unwrap_or(MAX_URL_BYTES));
    Ok(url.map_or(Value::from(()), Value::from))
}

/// Seconds, milliseconds or microseconds by magnitude, as everywhere in the sender's pushes. What is
/// no time, such as the 0 that the sender writes for "not yet", gives none.
fn datetime(
    state: &mut State<'_, '_>,
    value: &Value,
    timezone: Option<&str>,
    format: Option<&str>,
) -> Result<Value, Error> {
    let configured = state.lookup("timezone");
    let name = timezone
        .or_else(|| configured.as_ref().and_then(Value::as_str))
        .unwrap_or(DEFAULT_TIMEZONE);
    let zone = jiff::tz::TimeZone::get(name)
        .map_err(|_| fault(format!("there is no timezone {name:?}")))?;
    let Some(time) = timestamp(&words(state, value)?) else {
        return Ok(Value::from(()));
    };
    let format = format.unwrap_or("%Y-%m-%d %H:%M:%S");
    jiff::fmt::strtime::format(format, &time.to_zoned(zone))
        .map(Value::from)
        .map_err(|error| fault(format!("datetime cannot use this format: {error}")))
}

fn timestamp(text: &str) -> Option<jiff::Timestamp> {
    match text
        .trim()
        .parse::<i64>()
        .ok()
        .filter(|number| *number > 0)?
    {
        seconds @ ..100_000_000_000 => jiff::Timestamp::from_second(seconds),
        millis @ ..100_000_000_000_000 => jiff::Timestamp::from_millisecond(millis),
        micros => jiff::Timestamp::from_microsecond(micros),
    }
    .ok()
}

fn at(value: &Value, pointers: Rest<String>) -> Result<Value, Error> {
    if pointers.is_empty() {
        return Err(fault(
            "at takes a JSON pointer, such as \"/incident/impact\"",
        ));
    }
    for pointer in pointers.iter() {
        let steps = pointer
            .strip_prefix('/')
            .ok_or_else(|| fault(format!("a JSON pointer begins with a slash: {pointer:?}")))?;
        if let Some(found) = follow(value, steps) {
            return Ok(found);
        }
    }
    Ok(Value::UNDEFINED)
}

fn follow(value: &Value, steps: &str) -> Option<Value> {
    let mut value = value.clone();
    for step in steps.split('/') {
        let step = step.replace("~1", "/").replace("~0", "~");
        let key = match value.kind() {
            ValueKind::Map => Value::from(step),
            ValueKind::Seq => Value::from(step.parse::<usize>().ok()?),
            _ => return None,
        };
        value = value.get_item(&key).ok()?;
    }
    (!value.is_undefined() && !value.is_none()).then_some(value)
}

fn people(state: &mut State<'_, '_>, value: &Value) -> Result<Vec<String>, Error> {
    require(state, value)?;
    let persons: Vec<Value> = match value.kind() {
        ValueKind::Map => vec![value.clone()],
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.collect(),
        _ => Vec::new(),
    };
    Ok(persons.iter().filter_map(name_of).collect())
}

fn name_of(person: &Value) -> Option<String> {
    ["name", "person_name", "email"].iter().find_map(|field| {
        let value = follow(person, field)?;
        let text = value.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    })
}
