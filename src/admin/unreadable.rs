//! `unreadable`: pushes that passed address and secret but could not be used.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::Uri;

use super::Shared;
use super::api::{Reoffered, Shown, download, list_problem, missing, number, store_problem};
use super::params::{Named, Params};
use crate::inbox::query::{Page, UnreadableRow};
use crate::intake::problem::Problem;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/unreadable", get(unreadables))
        .route("/unreadable/{id}", get(unreadable))
        .route("/unreadable/{id}/body", get(body))
        .route("/unreadable/{id}/offer", post(offer))
}

async fn unreadables(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Page<UnreadableRow>> {
    let params = Params::read(&uri, &["cursor", "limit"])?;
    let cursor = params.parsed("cursor", "the next_cursor of the page before")?;
    let page = shared
        .admin
        .inbox
        .unreadables(cursor, params.limit()?)
        .await;
    Ok(Json(page.map_err(|error| list_problem(error, &params))?))
}

async fn unreadable(State(shared): State<Arc<Shared>>, Named(id): Named) -> Shown<UnreadableRow> {
    let (row, _) = find(&shared, &id).await?;
    Ok(Json(row))
}

async fn body(State(shared): State<Arc<Shared>>, Named(id): Named) -> Result<Response, Problem> {
    let (row, body) = find(&shared, &id).await?;
    Ok(download(&format!("unreadable-{}", row.id), body))
}

async fn find(shared: &Shared, id: &str) -> Result<(UnreadableRow, Bytes), Problem> {
    let id = number("id", id)?;
    let found = shared.admin.inbox.unreadable(id).await;
    found
        .map_err(store_problem)?
        .ok_or_else(|| missing(format!("no unreadable push has the id {id}")))
}

async fn offer(State(shared): State<Arc<Shared>>, Named(id): Named) -> Shown<Reoffered> {
    let id = number("id", &id)?;
    shared.admin.hooks.offer_unreadable(id).await.map(Json)
}
