//! The console's files as they are embedded, and how each is answered.
//!
//! A browser keeps a copy and asks each time whether it is still the one: after an update nobody
//! sees an old script beside a new one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::event::hex;

/// The page itself.
pub(super) const SHELL: &str = "index.html";

/// What a page of the console may load and do. No script may turn text into markup.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("assets/", $name)))),*]
    };
}

/// Every file, by name.
pub(super) const FILES: &[(&str, &str)] = embedded![
    "api.js",
    "app.js",
    "audit.js",
    "body.js",
    "change.js",
    "chart.js",
    "console.css",
    "dead.js",
    "dom.js",
    "event.js",
    "events.js",
    "format.js",
    "icon.svg",
    "incidents.js",
    "index.html",
    "list.js",
    "live.js",
    "login.js",
    "overview.js",
    "prefs.js",
    "scrape.js",
    "unreadable.js",
    "words.js",
    "words.json",
];

static BY_NAME: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let named = FILES
        .iter()
        .map(|(name, text)| (*name, File::new(name, text)));
    named.collect()
});

/// One file of the console.
#[derive(Debug)]
pub(super) struct File {
    text: &'static str,
    kind: &'static str,
    /// An entity tag: the digest of the bytes, in quotes.
    tag: String,
}

impl File {
    fn new(name: &str, text: &'static str) -> Self {
        let kind = match name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/json",
        };
        let digest = Sha256::digest(text.as_bytes());
        Self {
            text,
            kind,
            tag: format!("\"{}\"", hex(&digest)),
        }
    }

    /// The file called `name`.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        BY_NAME.get(name)
    }

    /// The file, or that the client has it already.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = if self.is_known(headers) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(CONTENT_TYPE, self.kind)], self.text).into_response()
        };
        let tag = HeaderValue::from_str(&self.tag).expect("a tag is hexadecimal in quotes");
        for (name, value) in [
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            // With no referrer at all a browser would not name the origin of a change either.
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            (ETAG, tag),
        ] {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let mut tags = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','));
        tags.any(|tag| tag.trim().trim_start_matches("W/") == self.tag)
    }
}
