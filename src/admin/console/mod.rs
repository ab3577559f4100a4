//! The console: pages for a browser, embedded in the binary, that show what the API tells.
//!
//! What is served here is the same for everybody and holds no data, so it is open to whoever
//! reaches the listener; everything that is shown on it comes from the API, which is guarded.
//! Scripts, styles and pictures come from here alone, and no script can make markup out of text.

mod files;
mod login;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use self::files::File;
use super::Shared;
use super::params::Named;
use crate::intake::problem::Problem;
use crate::source::Peer;

/// The largest request to log in: a token and its name.
const MOST_BYTES: usize = 4 << 10;

pub(super) fn routes() -> Router<Arc<Shared>> {
    let login = get(shell).post(login::login);
    Router::new()
        .route("/", get(front))
        .route("/login", login.layer(DefaultBodyLimit::max(MOST_BYTES)))
        .route("/logout", post(login::logout))
        .route("/console/{name}", get(file))
}

/// The console for those who take HTML, the list of what is served for all others.
async fn front(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let mut response = if takes_html(&headers) {
        shell(headers).await
    } else {
        match shared.judge(&method, &uri, &headers) {
            Ok(_pass) => super::index().await.into_response(),
            Err(refusal) => {
                let peer = peer.map(|Extension(peer)| peer);
                shared.guesses.refuse(refusal, peer.as_ref())
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// The page that every address of the console begins with; its scripts do the rest.
async fn shell(headers: HeaderMap) -> Response {
    named(files::SHELL, &headers)
}

async fn file(Named(name): Named, headers: HeaderMap) -> Response {
    // The page is not a part of itself: it would look for the others in the wrong place.
    if name == files::SHELL {
        return missing(&name);
    }
    named(&name, &headers)
}

fn named(name: &str, headers: &HeaderMap) -> Response {
    match File::named(name) {
        Some(file) => file.answer(headers),
        None => missing(name),
    }
}

fn missing(name: &str) -> Response {
    let detail = format!("the console has no file {name:?}");
    Problem::new(StatusCode::NOT_FOUND, detail).into_response()
}

/// Whether a browser asks for a page: other clients do not name HTML.
fn takes_html(headers: &HeaderMap) -> bool {
    let mut accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    accepted.any(|range| {
        let media = range.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("text/html")
    })
}
