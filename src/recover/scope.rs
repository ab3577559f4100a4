//! Which records of the history are ours, and the route each came to.

use crate::event::Route;

/// Which records of the history are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Of these integrations; none: of all.
    pub integrations: Vec<i64>,
    /// Pushed to this URL, or to one whose path goes on from it; empty: to any.
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
        let target = Target::of(url);
        let (behind, none) = if self.endpoint.is_empty() {
            (behind(target.path, &self.path), Aim::Astray)
        } else {
            let endpoint = Target::of(&self.endpoint);
            let behind = behind(target.path, endpoint.path);
            (
                behind.filter(|_rest| target.is_beside(&endpoint)),
                Aim::Elsewhere,
            )
        };
        behind.map_or(none, |rest| Aim::Here(route(rest)))
    }
}

/// What follows `path` in another path, where a segment ends there.
fn behind<'a>(other: &'a str, path: &str) -> Option<&'a str> {
    let rest = other.strip_prefix(path.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

/// A URL as a request goes there: the fragment stays with whoever has it.
struct Target<'a> {
    scheme: &'a str,
    host: &'a str,
    port: &'a str,
    /// Path and query.
    path: &'a str,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Self {
        let url = url.trim().split('#').next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // Whose name and password they are changes nothing.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
            _ => (authority, ""),
        };
        Self {
            scheme,
            host,
            port: match port {
                "" if scheme.eq_ignore_ascii_case("https") => "443",
                "" => "80",
                port => port,
            },
            path,
        }
    }

    /// Whether both are paths of one server.
    fn is_beside(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }
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
    fn one_server_is_written_in_many_ways_and_a_path_in_one() {
        for (endpoint, url, is_here) in [
            ("https://h.example/hook", "HTTPS://H.Example/hook", true),
            ("https://H.EXAMPLE/hook", "https://h.example:443/hook", true),
            ("https://h.example:443/hook", "https://h.example/hook", true),
            ("http://h.example:80/hook", "http://h.example/hook", true),
            ("https://h.example/hook", "https://u:p@h.example/hook", true),
            ("https://[::1]/hook", "https://[::1]:443/hook", true),
            ("https://h.example", "https://h.example/any", true),
            (
                "https://h.example/hook",
                "https://h.example/hook-staging",
                false,
            ),
            ("https://h.example/hook", "https://h.example/Hook", false),
            (
                "https://h.example/hook",
                "https://h.example:8443/hook",
                false,
            ),
            ("https://h.example/hook", "http://h.example:443/hook", false),
            (
                "https://h.example/hook",
                "https://h.example.org/hook",
                false,
            ),
            (
                "https://h.example/hook",
                "https://o.example/?https://h.example/hook",
                false,
            ),
            ("https://[::1]/hook", "https://[::1:443]/hook", false),
        ] {
            let aim = scope(endpoint).aim(url);
            assert_eq!(
                aim == here("", "") || aim == here("any", ""),
                is_here,
                "{url}"
            );
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
