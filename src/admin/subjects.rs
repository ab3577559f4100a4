//! `subjects`: incidents and alerts, each with what its newest event in time says of it.
//!
//! None of it is kept or worked out when a push comes in: who looks pays for it. A page takes what it
//! finds within a bounded time, and the next one goes on from there, also when this one is not full.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::Uri;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::api::{Shown, list_problem, missing, store_problem};
use super::params::{MAX_LIMIT, Named, Params, refused};
use crate::aside::aside;
use crate::envelope::view::View;
use crate::event::{Seq, Subject};
use crate::inbox::headline::headlines;
use crate::inbox::query::{EventFilter, EventRow, Page, SubjectFilter, SubjectRow};
use crate::inbox::{Inbox, InboxError, Latest};

/// An incident or alert on one route.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubjectShown {
    /// Its row; the fields of `about` stand beside these.
    #[serde(flatten)]
    pub row: SubjectRow,
    /// What it says of itself.
    #[serde(flatten)]
    pub about: About,
}

/// What the newest event of a subject that is not stale says, in the words of filters and templates.
/// A body over 256 KiB is not read: then only the type is known.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the documentation")]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_name: Option<String>,
    /// Names, or else addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub responders: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// As it came: nobody has judged where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail_url: Option<String>,
    /// That event's type; absent when there is no such event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event_type: Option<String>,
}

/// `subjects/{subject}`: an incident or alert on every route it came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubjectDetail {
    /// As asked for.
    pub subject: String,
    /// Its row on each route.
    pub routes: Vec<SubjectShown>,
    /// Its events, paged by `cursor` and `limit`.
    pub events: Page<EventRow>,
}

/// Subjects whose events are read at once; between two such steps the time is looked at.
const STEP: usize = 64;
/// Subjects looked at for one page, give or take a step.
const LOOKED_AT: usize = 2_000;
/// How long a page may look, give or take a step.
const WITHIN: Duration = Duration::from_millis(100);

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", get(subject))
}

async fn subjects(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Page<SubjectShown>> {
    let allowed = ["cursor", "limit", "subject", "open", "severity"];
    let params = Params::read(&uri, &allowed)?;
    let filter = SubjectFilter {
        cursor: params.cursor()?,
        limit: params.limit()?,
        subject: params.subject()?,
    };
    let wanted = Wanted {
        open: params.word("open", &[("true", true), ("false", false)])?,
        severity: params.text("severity"),
    };
    let page = look(&*shared.admin.inbox, filter, &wanted).await;
    Ok(Json(page.map_err(|error| list_problem(error, &params))?))
}

async fn subject(
    State(shared): State<Arc<Shared>>,
    Named(text): Named,
    uri: Uri,
) -> Shown<SubjectDetail> {
    let params = Params::read(&uri, &["cursor", "limit"])?;
    let subject = Subject::parse(&text).ok_or_else(|| {
        refused(format!(
            "{text:?} is no subject; allowed: incident:<id> or alert:<id>"
        ))
    })?;
    let filter = EventFilter {
        cursor: params.cursor()?,
        limit: params.limit()?,
        subject: Some(subject.clone()),
        ..EventFilter::default()
    };
    let routes = SubjectFilter {
        limit: MAX_LIMIT,
        subject: Some(subject),
        ..SubjectFilter::default()
    };
    let inbox = &*shared.admin.inbox;
    let routes = look(inbox, routes, &Wanted::default()).await;
    let routes = routes.map_err(store_problem)?.items;
    let events = inbox.events(filter).await;
    let mut events = events.map_err(|error| list_problem(error, &params))?;
    headlines(inbox, &mut events.items)
        .await
        .map_err(store_problem)?;
    if routes.is_empty() && events.items.is_empty() {
        return Err(missing(format!("no event of {text} is stored")));
    }
    Ok(Json(SubjectDetail {
        subject: text,
        routes,
        events,
    }))
}

/// Which subjects are wanted, by what is said of them.
#[derive(Debug, Default)]
struct Wanted {
    open: Option<bool>,
    severity: Option<String>,
}

impl Wanted {
    fn is_everything(&self) -> bool {
        self.open.is_none() && self.severity.is_none()
    }

    fn includes(&self, about: &About) -> bool {
        let severity = about.severity.as_deref().unwrap_or_default();
        self.open.is_none_or(|open| open != about.is_closed())
            && self
                .severity
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(severity))
    }
}

impl About {
    fn of(latest: &Latest) -> Self {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let view = View::read(latest.body.as_deref().unwrap_or_default());
        let started = view.start_time;
        Self {
            title: owned(view.title),
            severity: owned(view.severity),
            status: owned(view.status),
            progress: owned(view.progress),
            channel_name: owned(view.channel_name),
            responders: view.responders.into_iter().map(Cow::into_owned).collect(),
            started_at: started.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            detail_url: owned(view.detail_url),
            last_event_type: Some(latest.event_type.clone()),
        }
    }

    /// Nobody works on it any more. What has recovered is closed only where nothing is said of its
    /// progress, and what says nothing at all is open: better looked at in vain than overlooked.
    fn is_closed(&self) -> bool {
        let closing = ["i_rslv", "a_close"];
        let is = |said: &str, word: &str| said.eq_ignore_ascii_case(word);
        let (status, progress) = (self.status.as_deref(), self.progress.as_deref());
        let closes = |kind: &str| closing.contains(&kind);
        self.last_event_type.as_deref().is_some_and(closes)
            || match progress {
                Some(progress) => is(progress, "closed"),
                None => status.is_some_and(|status| is(status, "ok")),
            }
    }
}

/// A page of those that are wanted, newest first. One subject's rows make a page of their own.
async fn look(
    inbox: &dyn Inbox,
    filter: SubjectFilter,
    wanted: &Wanted,
) -> Result<Page<SubjectShown>, InboxError> {
    let deadline = Instant::now() + WITHIN;
    let limit = match filter.subject {
        Some(_) => usize::MAX,
        None => filter.limit,
    };
    let mut page = Page {
        items: Vec::new(),
        next_cursor: filter.cursor,
    };
    let mut looked_at = 0;
    loop {
        let step = SubjectFilter {
            cursor: page.next_cursor.take(),
            limit: match wanted.is_everything() {
                true => STEP.min(limit - page.items.len()),
                false => STEP,
            },
            subject: filter.subject.clone(),
        };
        let found = inbox.subjects(step).await?;
        looked_at += found.items.len();
        page.next_cursor = found.next_cursor;
        for shown in tell(inbox, found.items, deadline).await? {
            if !wanted.includes(&shown.about) {
                continue;
            }
            let behind = shown.row.cursor_behind();
            page.items.push(shown);
            if page.items.len() == limit {
                page.next_cursor = behind;
                return Ok(page);
            }
        }
        let enough = looked_at >= LOOKED_AT || Instant::now() >= deadline;
        if enough || page.next_cursor.is_none() {
            return Ok(page);
        }
    }
}

/// `rows` with what they say of themselves. Beyond the first step, those for which there is no time
/// are shown without.
async fn tell(
    inbox: &dyn Inbox,
    rows: Vec<SubjectRow>,
    deadline: Instant,
) -> Result<Vec<SubjectShown>, InboxError> {
    let mut known: BTreeMap<Seq, About> = BTreeMap::new();
    for (number, some) in rows.chunks(STEP).enumerate() {
        if number > 0 && Instant::now() >= deadline {
            break;
        }
        let newest = some.iter().map(|row| row.last_seq).collect();
        let latest = inbox.latest(newest).await?;
        let bodies = latest.iter().filter_map(|one| one.body.as_ref());
        let bytes: u64 = bodies.map(|body| body.len() as u64).sum();
        let read = aside(bytes, move || {
            let read = latest.iter().map(|one| (one.newest, About::of(one)));
            read.collect::<Vec<_>>()
        });
        known.extend(read.await);
    }
    let shown = rows.into_iter().map(|row| SubjectShown {
        about: known.remove(&row.last_seq).unwrap_or_default(),
        row,
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn about(event_type: &str, body: &'static str) -> About {
        About::of(&Latest {
            newest: Seq(2),
            seq: Seq(1),
            event_type: event_type.to_owned(),
            body: Some(Bytes::from_static(body.as_bytes())),
        })
    }

    #[test]
    fn a_subject_is_closed_by_its_progress_its_last_event_or_for_want_of_both_by_its_status() {
        for (kind, body, closed) in [
            ("i_ack", r#"{"incident":{"progress":"Closed"}}"#, true),
            (
                "i_ack",
                r#"{"incident":{"progress":"Processing","incident_status":"Ok"}}"#,
                false,
            ),
            ("i_ack", r#"{"incident":{"incident_status":"Ok"}}"#, true),
            ("a_close", "{}", true),
            ("i_rslv", r#"{"incident":{"progress":"Processing"}}"#, true),
            ("i_reopen", "not read", false),
        ] {
            assert_eq!(about(kind, body).is_closed(), closed, "{kind} {body}");
        }
    }

    #[test]
    fn what_an_alert_says_is_told_in_the_same_words() {
        let told = about("a_new", include_str!("../../tests/samples/a_new.json"));
        assert!(told.title.is_some() && told.severity.is_some());
        assert_eq!(told.progress.as_deref(), Some("Triggered"));
        assert_eq!(told.responders, Vec::<String>::new());
        assert_eq!(told.last_event_type.as_deref(), Some("a_new"));
    }
}
