//! `audit`: who changed what by hand, and why.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::Uri;

use super::Shared;
use super::api::{Shown, store_problem};
use super::params::Params;
use crate::inbox::query::{AuditFilter, AuditRow, Page};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/audit", get(audit))
}

/// What was selected, in words: those parts that were given.
pub(super) fn selected<const N: usize>(parts: [(&str, Option<String>); N]) -> String {
    let given = parts.into_iter().filter_map(|(name, value)| {
        let value = value?;
        Some(format!("{name}={value}"))
    });
    given.collect::<Vec<_>>().join(" ")
}

async fn audit(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Page<AuditRow>> {
    let params = Params::read(&uri, &["cursor", "limit", "action", "since", "until"])?;
    let now = shared.admin.clock.now();
    let filter = AuditFilter {
        cursor: params.parsed("cursor", "the next_cursor of the page before")?,
        limit: params.limit()?,
        action: params.text("action"),
        since: params.time("since", now)?,
        until: params.time("until", now)?,
    };
    let page = shared.admin.inbox.audited(filter).await;
    Ok(Json(page.map_err(store_problem)?))
}
