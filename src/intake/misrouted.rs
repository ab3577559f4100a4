//! Which URLs behind the webhook's path take a push.

use crate::event::Route;
use crate::inbox::{Inbox, MOST_ROUTES};

/// The longest query string that names a route: routes are remembered for good.
const MAX_QUERY: usize = 1024;

/// Why nothing can come in by `route`; `None` when it can.
pub fn misrouted(route: &Route, inbox: &dyn Inbox) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let tag_is_good = route
        .tag
        .as_ref()
        .is_none_or(|tag| (1..=64).contains(&tag.len()) && tag.bytes().all(good));
    if !tag_is_good {
        return Some("a tag is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned());
    }
    let long = route
        .query
        .as_ref()
        .is_some_and(|query| query.len() > MAX_QUERY);
    if long {
        return Some(format!("a query string has at most {MAX_QUERY} bytes"));
    }
    (!inbox.takes(route)).then(|| {
        format!(
            "events came to {MOST_ROUTES} different URLs already, and this one is new: give the \
             webhook fewer tags and query strings"
        )
    })
}
