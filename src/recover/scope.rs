//! Which records of the history are ours, and the route each came to.

use crate::event::Route;

/// Which records of the history are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Of these integrations; none: of all.
    pub integrations: Vec<i64>,
    /// Pushed to URLs that begin so, without a slash at the end; empty: to any.
    pub endpoint: String,
    /// The webhook's path, where there is no `endpoint` to tell the route by.
    pub path: String,
}

/// What a record's URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aim {
    /// Pushed to somebody else.
    Elsewhere,
    /// Pushed to us.
    Here(Route),
    /// Pushed by one of our integrations, to a URL that does not show where it would come in.
    Astray,
}

impl Scope {
    /// What `url` says of the record that was pushed to it.
    pub(super) fn aim(&self, url: &str) -> Aim {
        let url = url.split('#').next().unwrap_or_default();
        let (behind, none) = if self.endpoint.is_empty() {
            let path = self.path.trim_end_matches('/');
            (path_of(url).strip_prefix(path), Aim::Astray)
        } else {
            let endpoint = self.endpoint.trim_end_matches('/');
            (url.strip_prefix(endpoint), Aim::Elsewhere)
        };
        match behind {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => Aim::Here(route(rest)),
            _ => none,
        }
    }
}

/// Path and query of a URL.
fn path_of(url: &str) -> &str {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host_ends = behind_scheme.find(['/', '?']);
    host_ends.map_or("", |at| behind_scheme.split_at(at).1)
}

/// The route of a URL's end behind the webhook's own: `/tag?query`, either half left out.
fn route(rest: &str) -> Route {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let tag = path.strip_prefix('/').unwrap_or(path);
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    Route {
        tag: some(tag),
        query: some(query),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(endpoint: &str) -> Scope {
        Scope {
            integrations: Vec::new(),
            endpoint: endpoint.to_owned(),
            path: "/in/webhook".to_owned(),
        }
    }

    fn here(tag: &str, query: &str) -> Aim {
        let some = |text: &str| (!text.is_empty()).then(|| text.into());
        Aim::Here(Route {
            tag: some(tag),
            query: some(query),
        })
    }

    #[test]
    fn what_follows_the_endpoint_is_the_route_as_a_push_would_have_it() {
        for endpoint in ["https://h.example/hook", "https://h.example/hook/"] {
            for (url, aim) in [
                ("https://h.example/hook", here("", "")),
                ("https://h.example/hook/", here("", "")),
                ("https://h.example/hook?team=a&b", here("", "team=a&b")),
                ("https://h.example/hook/ops?team=a#x", here("ops", "team=a")),
                ("https://h.example/hook/a/b", here("a/b", "")),
                ("https://h.example/hooks", Aim::Elsewhere),
                ("https://h.example/other", Aim::Elsewhere),
                ("http://h.example/hook", Aim::Elsewhere),
                ("", Aim::Elsewhere),
            ] {
                assert_eq!(scope(endpoint).aim(url), aim, "{url}");
            }
        }
    }

    #[test]
    fn without_an_endpoint_the_webhooks_path_tells_the_route() {
        for (url, aim) in [
            ("https://any.example/in/webhook", here("", "")),
            (
                "https://any.example:8443/in/webhook/ops?x",
                here("ops", "x"),
            ),
            ("https://any.example/in/webhooks", Aim::Astray),
            ("https://any.example/webhook", Aim::Astray),
            ("https://any.example?x=/in/webhook", Aim::Astray),
            ("https://any.example", Aim::Astray),
            ("", Aim::Astray),
        ] {
            assert_eq!(scope("").aim(url), aim, "{url}");
        }
    }
}
