//! Names, query parameters and bodies of the API, read strictly: a misspelt filter must not silently
//! match all.
//!
//! What cannot be read is refused with 400. A body that can be, but says what cannot be meant, with 422.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use http::{StatusCode, Uri};
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::de::DeserializeOwned;

use crate::event::{Route, Subject};
use crate::intake::problem::Problem;

/// Rows of a page when the request does not say.
pub(super) const DEFAULT_LIMIT: usize = 100;
/// Rows of a page at most.
pub(super) const MAX_LIMIT: usize = 500;

/// What a time may be written as.
pub(super) const MOMENT: &str =
    "an RFC 3339 time such as 2026-05-04T10:00:00Z, or how long ago, such as 90m or 7d";

/// What the path's variable segment says.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| refused(format!("the path cannot be read: {error}")))?;
        Ok(Self(name))
    }
}

/// Reads a JSON object; `what` says in a word or two what it does.
pub(super) fn object<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Problem> {
    let wrong =
        |why: &dyn Display| refused(format!("the body is no JSON object that {what}: {why}"));
    // A list of values without names would do as well, and mean anything.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong(&"it does not begin with {"));
    }
    serde_json::from_slice(body).map_err(|error| wrong(&error))
}

/// The parameters of one request; each known, none twice.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the query of `uri`, which may use the `allowed` names only.
    pub(super) fn read(uri: &Uri, allowed: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| refused(format!("the query cannot be read: {error}")))?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !allowed.contains(&name.as_str()) {
                let names = match allowed {
                    [] => "none".to_owned(),
                    names => names.join(", "),
                };
                return Err(refused(format!(
                    "there is no parameter {name:?} here; allowed: {names}"
                )));
            }
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(refused(format!("the parameter {name} is given twice")));
            }
        }
        Ok(Self { pairs })
    }

    /// The parameter's text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let pair = self.pairs.iter().find(|(given, _)| given == name);
        pair.map(|(_, value)| value.clone())
    }

    /// Where the page begins. What could be no cursor is told here, whether or not a store would
    /// have come to look at it.
    pub(super) fn cursor(&self) -> Result<Option<String>, Problem> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let allowed = "the next_cursor of the page before";
        self.read_as("cursor", allowed, |text| {
            text.split(['-', '~']).all(digits).then(|| text.to_owned())
        })
    }

    /// The parameter as `read` understands it; `allowed` tells what that is.
    pub(super) fn read_as<T>(
        &self,
        name: &str,
        allowed: impl Display,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(refused(format!(
                "the parameter {name} cannot be {text:?}; allowed: {allowed}"
            ))),
        }
    }

    /// The parameter as a number or another type that parses.
    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &str,
        allowed: &str,
    ) -> Result<Option<T>, Problem> {
        self.read_as(name, allowed, |text| text.parse().ok())
    }

    /// The parameter as one of `words`, by the word each is written as.
    pub(super) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, Problem> {
        let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.read_as(name, allowed.join(", "), |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value)
        })
    }

    /// `limit`, within its bounds.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let allowed = format!("a number from 1 to {MAX_LIMIT}");
        let limit = self.read_as("limit", allowed, |text| {
            let limit = text.parse().ok()?;
            (1..=MAX_LIMIT).contains(&limit).then_some(limit)
        })?;
        Ok(limit.unwrap_or(DEFAULT_LIMIT))
    }

    /// `subject`.
    pub(super) fn subject(&self) -> Result<Option<Subject>, Problem> {
        self.read_as("subject", "incident:<id> or alert:<id>", Subject::parse)
    }

    /// `route`, written as the end of its URL: `TAG`, `?QUERY`, `TAG?QUERY`, or empty for the bare
    /// path.
    pub(super) fn route(&self) -> Option<Route> {
        self.text("route").map(|text| route(&text))
    }

    /// A time: RFC 3339, or how long before `now`.
    pub(super) fn time(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        self.read_as(name, MOMENT, |text| moment(text, now))
    }
}

/// A route, written as the end of its URL.
pub(super) fn route(text: &str) -> Route {
    let (tag, query) = text.split_once('?').unwrap_or((text, ""));
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    Route {
        tag: some(tag),
        query: some(query),
    }
}

/// A time, or how long before `now`.
pub(super) fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    text.parse().ok().or_else(|| ago(text, now))
}

fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    if duration.is_negative() {
        return None;
    }
    now.checked_sub(duration).ok()
}

/// A time that a body calls `name`.
pub(super) fn moment_in_body(
    name: &str,
    text: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match moment(text, now) {
        None => Err(unprocessable(format!(
            "{name} cannot be {text:?}; allowed: {MOMENT}"
        ))),
        moment => Ok(moment),
    }
}

/// `limit` of a body, within its bounds, or the `usual` one.
pub(super) fn limit_in_body(given: Option<usize>, usual: usize) -> Result<usize, Problem> {
    let limit = given.unwrap_or(usual);
    match (1..=MAX_LIMIT).contains(&limit) {
        true => Ok(limit),
        false => Err(unprocessable(format!(
            "limit cannot be {limit}; allowed: a number from 1 to {MAX_LIMIT}"
        ))),
    }
}

/// Of a body whose `cursor` no step gave out.
pub(super) fn wrong_cursor(cursor: &str) -> Problem {
    unprocessable(format!(
        "cursor cannot be {cursor:?}; allowed: the next_cursor of the step before"
    ))
}

/// A 400 with `detail`: the request cannot be read.
pub(super) fn refused(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// A 422 with `detail`: the request can be read, but not be carried out.
pub(super) fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: [&str; 5] = ["limit", "subject", "since", "state", "route"];

    fn params(query: &str) -> Result<Params, Problem> {
        let uri: Uri = format!("/api/v1/events?{query}").parse().unwrap();
        Params::read(&uri, &ALLOWED)
    }

    fn detail<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        result.unwrap_err().detail.into_owned()
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_is_allowed() {
        insta::assert_snapshot!(detail(params("limits=5")), @r#"there is no parameter "limits" here; allowed: limit, subject, since, state, route"#);
        insta::assert_snapshot!(detail(params("limit=1&limit=2")), @"the parameter limit is given twice");
        let given = params("limit=501&subject=person:1&since=yesterday&state=done").unwrap();
        let now = Timestamp::UNIX_EPOCH;
        insta::assert_snapshot!(detail(given.limit()), @r#"the parameter limit cannot be "501"; allowed: a number from 1 to 500"#);
        insta::assert_snapshot!(detail(given.subject()), @r#"the parameter subject cannot be "person:1"; allowed: incident:<id> or alert:<id>"#);
        insta::assert_snapshot!(detail(given.time("since", now)), @r#"the parameter since cannot be "yesterday"; allowed: an RFC 3339 time such as 2026-05-04T10:00:00Z, or how long ago, such as 90m or 7d"#);
        insta::assert_snapshot!(detail(given.word("state", &[("dead", 1), ("leased", 2)])), @r#"the parameter state cannot be "done"; allowed: dead, leased"#);
    }

    #[test]
    fn a_limit_is_a_whole_number_within_bounds_and_has_a_default() {
        for (query, wanted) in [("", 100), ("limit=1", 1), ("limit=500", 500)] {
            assert_eq!(params(query).unwrap().limit(), Ok(wanted));
        }
        for query in [
            "limit=0",
            "limit=-1",
            "limit=",
            "limit=1e2",
            "limit=99999999999999999999",
        ] {
            assert_eq!(params(query).unwrap().limit().unwrap_err().status, 400);
        }
    }

    #[test]
    fn a_time_is_absolute_or_as_long_ago_as_it_says() {
        let now: Timestamp = "2026-05-04T10:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
            ("2026-05-01T08:00:00%2B08:00", "2026-05-01T00:00:00Z"),
            ("90m", "2026-05-04T08:30:00Z"),
            ("7d", "2026-04-27T10:00:00Z"),
            ("1h30m", "2026-05-04T08:30:00Z"),
        ] {
            let time = params(&format!("since={text}")).unwrap().time("since", now);
            assert_eq!(time, Ok(Some(wanted.parse().unwrap())), "{text}");
        }
        for text in ["-5m", "5", "1mo", ""] {
            let time = params(&format!("since={text}")).unwrap().time("since", now);
            assert_eq!(time.unwrap_err().status, 400, "{text}");
        }
    }

    #[test]
    fn a_route_is_written_as_the_end_of_its_url() {
        let route = |tag: Option<&str>, query: Option<&str>| Route {
            tag: tag.map(Into::into),
            query: query.map(Into::into),
        };
        for (text, wanted) in [
            ("route=", route(None, None)),
            ("route=ops", route(Some("ops"), None)),
            ("route=ops%3Fteam%3Da", route(Some("ops"), Some("team=a"))),
            ("route=%3Fteam%3Da%3F", route(None, Some("team=a?"))),
        ] {
            assert_eq!(params(text).unwrap().route(), Some(wanted), "{text}");
        }
        assert_eq!(params("").unwrap().route(), None);
    }
}
