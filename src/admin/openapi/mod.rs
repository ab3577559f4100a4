//! `openapi.json`: the description of the API, in `OpenAPI` 3.1.
//!
//! What is answered and taken is described from the very types that are served and read; which
//! requests there are, with which parameters and which answers, stands in [`operations`], and a
//! test holds that against the router.

mod operations;
mod parameters;
mod refusals;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::Uri;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use self::refusals::refusals;
use self::schemas::Schemas;
use super::Shared;
use super::params::Params;
use crate::aside::aside;
use crate::build;
use crate::intake::problem::Problem;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let text = serde_json::to_vec(&document());
    text.expect("a JSON value can be written").into()
});

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/openapi.json", get(openapi))
}

async fn openapi(uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let json = [(CONTENT_TYPE, "application/json")];
    // Who asks first has it made, which takes a while.
    let document = aside(u64::MAX, || DOCUMENT.clone()).await;
    Ok((json, document).into_response())
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for operation in operations::all(&mut schemas) {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        path[operation.method] = operation.told;
    }
    let responses = refusals(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "flashduty-receiver",
            "version": build::VERSION,
            "description": "What the admin listener tells and changes. Lists are paged: where \
                `next_cursor` is given, it begins the next page as `cursor`. Refusals are problem \
                documents (RFC 9457).",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        // None of them is asked for on loopback while admin.token is not set.
        "security": [{ "bearer": [] }, { "session": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions(),
            "responses": responses,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The value of `admin.token`.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "flashduty_session",
                    "description": "What `POST /login` sets; it lasts for twelve hours.",
                },
            },
        },
    })
}
