//! URLs with values in them.

use serde_json::{Map, json};

use super::{HOSTILE, words};
use crate::template::{Context, UrlPath, UrlTemplate};

fn url(url: &str, title: &str) -> Result<String, String> {
    let (words, nothing) = (words(json!({ "title": title })), Map::new());
    let url = UrlTemplate::compile("sink.x.url", url).map_err(|error| error.to_string())?;
    url.render(&Context::new(&words, &nothing))
        .map_err(|error| error.to_string())
}

#[test]
fn a_value_in_a_url_stays_in_its_segment() {
    for title in HOSTILE {
        let made = url(
            "https://h.example:8443/api/{{ title }}/comments?q={{ title }}",
            title,
        )
        .unwrap();
        let behind = made.strip_prefix("https://h.example:8443/api/").unwrap();
        let (segment, query) = behind.split_once("/comments?q=").unwrap();
        assert_eq!(segment, query);
        assert!(!segment.is_empty());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        assert!(segment.bytes().all(is_plain), "{segment}");
    }
}

#[test]
fn a_value_that_would_change_the_path_is_refused() {
    for title in [".", "..", ""] {
        let made = url("https://h/api/{{ title }}", title);
        assert!(made.is_err(), "{title:?} gave {made:?}");
    }
    assert_eq!(
        url("https://h/v{{ title }}", ".").as_deref(),
        Ok("https://h/v.")
    );
    let made = url("https://h/{{ [title] }}", "x").unwrap_err();
    assert_eq!(
        made,
        "sink.x.url, line 1: a value of type sequence cannot be part of a URL"
    );
    assert!(
        url(
            "https://h/{% autoescape false %}{{ title }}{% endautoescape %}",
            "x"
        )
        .is_err()
    );
    assert!(
        url("https://h/{% if false %}a{% endif %}/{{ title }}", "x")
            .unwrap_err()
            .contains("another host")
    );
}

#[test]
fn the_host_is_fixed_and_alone_is_shown() {
    for bad in [
        "https://{{ title }}/x",
        "https://h{% if x %}.evil{% endif %}/",
        "ftp://h/",
        "https:///x",
        "//h/x",
        "https://a b/",
    ] {
        let error = url(bad, "t").unwrap_err();
        assert!(error.starts_with("sink.x.url: "), "{bad}: {error}");
        assert!(!error.contains("evil"), "{error}");
    }
    let whole = UrlTemplate::compile("u", "https://me:secret@h/robot?key=secret").unwrap();
    assert_eq!(whole.origin(), "https://h");
    assert!(!format!("{whole:?}").contains("secret"));
    assert_eq!(url("https://h", "t").as_deref(), Ok("https://h"));
    assert_eq!(url("http://h?k=v", "t").as_deref(), Ok("http://h?k=v"));
}

#[test]
fn a_path_goes_behind_the_fixed_one_and_before_the_query() {
    let source = "{% if remembered.ticket is defined %}/{{ remembered.ticket }}{% endif %}";
    let path = || UrlPath::compile("path", source).unwrap();
    assert!(path().template().references("remembered"));
    let url = UrlTemplate::compile("url", "https://h/api/?key=k").unwrap();
    let url = url.with_path(path());
    assert!(url.references("remembered") && !url.references("title"));
    let (words, nothing) = (words(json!({})), Map::new());
    let mut context = Context::new(&words, &nothing);
    assert_eq!(url.render(&context).unwrap(), "https://h/api/?key=k");
    let remembered = super::words(json!({"ticket": "T/1"}));
    context.remembered = &remembered;
    assert_eq!(url.render(&context).unwrap(), "https://h/api/T%2F1?key=k");
    for bad in ["x", "//h", "/a?b", "/a b", "/%2E%2e/a", "\\h"] {
        let path = UrlPath::compile("path", bad).unwrap();
        assert!(path.render(&context).is_err(), "{bad}");
    }
}
