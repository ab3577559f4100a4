//! The console's files: what they may hold, and how they are served.

mod login;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};

use super::files::{FILES, POLICY, SHELL};
use crate::admin::tests::{Asked, request};
use crate::metrics::PauseReason;

/// What a browser sends when somebody types an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The one address in a script that is a name and is never fetched.
const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";

/// Where each file is served.
fn targets() -> Vec<(&'static str, String)> {
    let files = FILES.iter().filter(|(name, _)| *name != SHELL);
    let mut found: Vec<_> = files
        .map(|(name, _)| (*name, format!("/console/{name}")))
        .collect();
    found.push((SHELL, "/".to_owned()));
    found.push((SHELL, "/login".to_owned()));
    found
}

fn text(name: &str) -> &'static str {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found.unwrap().1
}

fn scripts() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    FILES.iter().filter(|(name, _)| name.ends_with(".js"))
}

#[tokio::test]
async fn every_file_is_served_under_the_strict_policy_and_asked_for_again_by_its_tag() {
    for (name, target) in targets() {
        let ask = || request("GET", &target).header("accept", BROWSER);
        let (parts, body) = Asked::default().send(ask()).await;
        assert_eq!(parts.status, 200, "{target}");
        assert_eq!(body, text(name).as_bytes(), "{target}");
        let kind = match name.rsplit('.').next().unwrap() {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/json",
        };
        assert_eq!(parts.headers[CONTENT_TYPE], kind, "{target}");
        assert_eq!(parts.headers[CONTENT_SECURITY_POLICY], POLICY, "{target}");
        assert_eq!(parts.headers[CACHE_CONTROL], "no-cache", "{target}");
        assert_eq!(
            parts.headers["x-content-type-options"], "nosniff",
            "{target}"
        );
        assert_eq!(
            parts.headers["cross-origin-resource-policy"], "same-origin",
            "{target}"
        );
        let tag = parts.headers[ETAG].to_str().unwrap().to_owned();
        for (given, status) in [
            (tag.clone(), 304),
            (format!("\"other\", W/{tag}"), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let again = ask().header("if-none-match", given);
            let (parts, body) = Asked::default().send(again).await;
            assert_eq!(parts.status, status, "{target}");
            assert_eq!(body.is_empty(), status == 304, "{target}");
            assert_eq!(parts.headers[CONTENT_SECURITY_POLICY], POLICY, "{target}");
        }
    }
}

#[test]
fn the_policy_lets_in_nothing_from_elsewhere_and_no_text_become_markup() {
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(POLICY.split("; ").any(|given| given == part), "{part}");
    }
    assert!(!POLICY.contains("unsafe"), "{POLICY}");
}

#[tokio::test]
async fn the_files_are_open_wherever_it_listens_and_what_they_show_is_not() {
    let situations: [(&'static str, Option<&'static str>, &str); 3] = [
        ("0.0.0.0:9090", None, "console.example"),
        ("0.0.0.0:9090", Some("s3cret"), "console.example"),
        ("127.0.0.1:9090", None, "rebound.example"),
    ];
    for (listen, token, host) in situations {
        let ask = async |target: &str, accept: &str| {
            let request = http::Request::builder().method("GET").uri(target);
            let request = request.header("host", host).header("accept", accept);
            let (parts, _) = Asked::at(listen, token).send(request).await;
            parts.status.as_u16()
        };
        for (_, target) in targets() {
            let status = ask(target.as_str(), BROWSER).await;
            assert_eq!(status, 200, "{target} on {listen}");
        }
        for (target, accept) in [("/api/v1/status", BROWSER), ("/", "*/*")] {
            let status = ask(target, accept).await;
            assert!([401, 403].contains(&status), "{target} on {listen}");
        }
    }
}

#[tokio::test]
async fn who_does_not_name_html_gets_the_list_and_a_browser_the_page() {
    for (accept, kind) in [
        (Some("*/*"), "text/plain; charset=utf-8"),
        (Some("application/json"), "text/plain; charset=utf-8"),
        (None, "text/plain; charset=utf-8"),
        (Some(BROWSER), "text/html; charset=utf-8"),
        (Some("TEXT/HTML"), "text/html; charset=utf-8"),
    ] {
        let mut request = request("GET", "/");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let (parts, _) = Asked::default().send(request).await;
        assert_eq!(parts.headers[CONTENT_TYPE], kind, "{accept:?}");
        assert_eq!(parts.headers["vary"], "accept", "{accept:?}");
    }
}

#[tokio::test]
async fn the_first_page_names_every_path_of_the_api() {
    let (parts, body) = Asked::default().send(request("GET", "/")).await;
    assert_eq!(parts.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    let text = String::from_utf8(body).unwrap();
    for (line, sample) in text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1).map(|path| (line, path)))
        .filter(|(_, path)| path.starts_with("/api/"))
    {
        let method = line.split_whitespace().next().unwrap();
        let target = sample
            .replace("{seq}", "1")
            .replace("{id}", "7")
            .replace("{subject}", "incident:664af0");
        let (parts, _) = Asked::default().send(request(method, &target)).await;
        assert!(
            ![404, 405].contains(&parts.status.as_u16()),
            "{line}: {}",
            parts.status
        );
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_problem() {
    for name in ["none.js", "index.html", "..%2Fmod.rs", "%00"] {
        let target = format!("/console/{name}");
        let (parts, _) = Asked::default().send(request("GET", &target)).await;
        assert_eq!(parts.status, 404, "{name}");
        assert_eq!(parts.headers[CONTENT_TYPE], "application/problem+json");
    }
}

#[test]
fn every_file_is_embedded_and_short_enough_to_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/console/assets");
    let there: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let embedded: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, embedded);
    for (name, text) in FILES {
        let lines = text.lines().count();
        assert!(lines <= 400, "{name} has {lines} lines");
    }
}

#[test]
fn every_file_that_a_file_names_is_there() {
    let mut named = BTreeSet::new();
    for (name, text) in scripts() {
        for rest in text.split("from \"./").skip(1) {
            named.insert((*name, rest.split('"').next().unwrap()));
        }
    }
    for rest in text(SHELL).split("\"console/").skip(1) {
        named.insert((SHELL, rest.split('"').next().unwrap()));
    }
    assert!(named.len() > 40, "{named:?}");
    for (by, name) in named {
        assert!(
            FILES.iter().any(|(known, _)| *known == name),
            "{by} names {name}"
        );
    }
}

#[test]
fn nothing_makes_markup_out_of_text_and_nothing_comes_from_elsewhere() {
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "createContextualFragment",
        "DOMParser",
        "setHTMLUnsafe",
        "document.write",
        "srcdoc",
        "eval(",
        "new Function",
        "javascript:",
        "import(",
        "@import",
        "url(",
        "<style",
        "style=",
        "onclick=",
        "onload=",
        "https://",
    ];
    for (name, text) in FILES {
        let text = text.replace(SVG_NAMESPACE, "");
        for word in forbidden.iter().chain(&["http://"]) {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
    let shell = text(SHELL);
    assert_eq!(
        shell.matches("<script").count(),
        shell.matches("<script type=\"module\" src=").count()
    );
}

#[test]
fn a_link_out_of_the_console_is_made_in_one_place_that_takes_http_only() {
    let mut links = 0;
    for (name, text) in scripts() {
        let targets = text
            .split("href: ")
            .skip(1)
            .chain(text.split("href = ").skip(1));
        for target in targets {
            links += 1;
            let inside = target.starts_with("\"#") || target.starts_with("`#");
            let checked = *name == "dom.js" && target.starts_with("target.href");
            assert!(inside || checked, "{name} links to {target:.40}");
        }
    }
    assert!(links > 10, "found {links}");
    let dom = text("dom.js");
    for part in [
        "if (target.protocol !== \"https:\" && target.protocol !== \"http:\") return said(url);",
        "const rel = \"noopener noreferrer\";",
    ] {
        assert!(dom.contains(part), "{part}");
    }
}

/// A link to the console may hold anything behind its `#`, such as a way to another path of the API.
#[test]
fn what_an_address_names_stays_one_segment_of_a_path() {
    for name in ["event.js", "unreadable.js"] {
        let script = text(name);
        let used = script.matches("segments[1]").count();
        let encoded = script.matches("encodeURIComponent(segments[1])").count();
        assert_eq!((used, encoded), (1, 1), "{name}");
    }
}

/// The texts by key and language.
fn words() -> BTreeMap<String, BTreeMap<String, String>> {
    serde_json::from_str(text("words.json")).unwrap()
}

/// The names between `{` and `}` or `|`.
fn placeholders(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1);
    parts
        .map(|rest| rest.split(['}', '|']).next().unwrap())
        .collect()
}

#[test]
fn every_text_is_there_in_both_languages_with_the_same_values() {
    for (key, texts) in words() {
        let languages: Vec<&str> = texts.keys().map(String::as_str).collect();
        assert_eq!(languages, ["en", "zh"], "{key}");
        assert!(texts.values().all(|text| !text.trim().is_empty()), "{key}");
        assert_eq!(
            placeholders(&texts["en"]),
            placeholders(&texts["zh"]),
            "{key}"
        );
    }
}

#[test]
fn every_text_that_a_script_asks_for_is_there() {
    let words = words();
    let mut asked = 0;
    for (name, script) in scripts() {
        // A key with a dot is told from other strings by its look, any other by who asks for it.
        let mut keys: BTreeSet<&str> = script.split('"').filter(|part| is_key(part)).collect();
        for (at, _) in script.match_indices("t(\"") {
            let (before, rest) = script.split_at(at);
            let alone = !before.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '.');
            if alone {
                keys.insert(rest.split('"').nth(1).unwrap());
            }
        }
        asked += keys.len();
        for key in keys {
            assert!(words.contains_key(key), "{name} asks for {key}");
        }
    }
    assert!(asked > 150, "found {asked}");
}

/// Whether a string looks like the key of a text: words with dots between.
fn is_key(part: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    part.contains('.') && part.split('.').all(is_word) && !part.ends_with(".json")
}

#[test]
fn every_word_of_the_api_has_a_text() {
    let words = words();
    let outcomes = crate::metrics::PushOutcome::ALL.map(|word| format!("outcome.{word}"));
    let states = crate::admin::api::STATES.map(|(word, _)| format!("state.{word}"));
    let pauses = [
        PauseReason::Failing,
        PauseReason::Held,
        PauseReason::Rate,
        PauseReason::Blocked,
        PauseReason::Gone,
        PauseReason::Parked,
    ];
    let pauses = pauses.map(|reason| {
        let word = serde_json::to_value(reason).unwrap();
        format!("pause.{}", word.as_str().unwrap())
    });
    let attempts = ["delivered", "retried", "dead", "superseded", "expired"];
    let attempts = attempts.map(|word| format!("attempt.{word}"));
    let results = [
        "replayed",
        "created",
        "dropped",
        "waiting",
        "running",
        "settled",
        "gone",
        "parked",
        "unwanted",
        "readable",
        "accepted",
        "duplicate",
        "stale",
        "unusable",
        "differs",
    ];
    let results = results.map(|word| format!("result.{word}"));
    // What is asked for with a part of the key behind it.
    let begun = [
        "change.replay",
        "change.drop",
        "unreadable.offer",
        "unreadable.drop",
    ];
    let asked = begun.iter().flat_map(|texts| {
        let parts = ["would", "do", "done", "selected"];
        parts.map(|part| format!("{texts}.{part}"))
    });
    let all = outcomes.into_iter().chain(states).chain(pauses);
    for key in all.chain(attempts).chain(results).chain(asked) {
        assert!(words.contains_key(&key), "{key}");
    }
}
