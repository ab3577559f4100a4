//! What templates promise: strict, bounded, and no way for data to become anything else.

mod properties;
mod urls;

use serde_json::{Map, Value, json};

use super::*;

/// Titles that try to be something else.
pub(super) const HOSTILE: [&str; 12] = [
    "\"},{\"admin\":true,\"x\":\"",
    "a\nb\r\nc\td\u{0}e\u{1}f\u{2}g\u{1b}[31m\u{7f}",
    "**bold** _it_ `code` [link](http://evil.example) ![i](x) # h\n> quote",
    "{{ push }} {% include \"x\" %} {# c #} {{ 7*7 }}",
    "<at id=all></at> <@all> @all <!channel> <font color=\"red\">",
    "\\",
    "\\\"",
    "\u{2028}\u{2029}\u{85}\u{202e}txt.exe",
    "]]}}\"\"",
    "\u{fdd0}\u{ffff}\u{10ffff}",
    "'; DROP TABLE x; --",
    "../../admin?x=1#y//evil.example\\..",
];

pub(super) fn words(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(words) => words,
        other => panic!("{other} is no object"),
    }
}

fn render_with(name: &str, source: &str, all: Value) -> Result<String, RenderError> {
    let (words, nothing) = (words(all), Map::new());
    Template::compile(name, source)
        .unwrap()
        .render(&Context::new(&words, &nothing))
}

fn text(source: &str, all: Value) -> Result<String, RenderError> {
    render_with("t.txt.j2", source, all)
}

fn body(source: &str, all: Value) -> Result<String, RenderError> {
    render_with("t.json.j2", source, all)
}

fn why(source: &str, all: Value) -> String {
    text(source, all).unwrap_err().to_string()
}

#[test]
fn a_value_between_quotes_and_one_without_are_the_same_value() {
    let source = r#"{"a": {{ title }}, "b": "{{ title }}", "c": "<{{ title | upper }}>{{ title }}",
        "d": {{ {"t": title | tojson} }}, "e": {{ title | tojson }}, "n": {{ n }}, "m": "{{ n }}", "z": "{{ none }}{{ true }}"}"#;
    for title in HOSTILE {
        let out = body(
            source,
            json!({"title": title, "n": 9_007_199_254_740_993_i64}),
        )
        .unwrap();
        let tree: Value = serde_json::from_str(&out).unwrap();
        let upper = title.to_uppercase();
        assert_eq!(
            tree,
            json!({"a": title, "b": title, "c": format!("<{upper}>{title}"), "d": {"t": title},
                "e": title, "n": 9_007_199_254_740_993_i64, "m": "9007199254740993", "z": "true"})
        );
    }
}

#[test]
fn captured_text_and_macros_carry_data_as_data() {
    let source = r#"{%- macro line(name, value) %}{{ name }}: {{ value }}\n{% endmacro -%}
        {%- set all %}{{ line("t", title) }}{{ line("n", 5) }}{% endset -%}
        {"text": "{{ all }}", "again": {{ [title, title] }}, "inner": "{{ [title] }}",
         "cut": "{{ all | truncate_bytes(1000) }}", "list": "{{ [title, "x"] | join(", ") }}"}"#;
    for title in HOSTILE {
        let out = body(source, json!({ "title": title })).unwrap();
        let tree: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(tree["text"], format!("t: {title}\nn: 5\n"));
        assert_eq!(tree["again"], json!([title, title]));
        assert_eq!(tree["inner"], json!([title]).to_string());
        assert_eq!(tree["list"], format!("{title}, x"));
        assert!(tree["cut"].as_str().unwrap().contains(title));
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let out = body("{\n \"a\": {{ title }} x}", json!({"title": "t"})).unwrap_err();
    assert_eq!(
        out.to_string(),
        "t.json.j2: renders no JSON: expected `,` or `}` at line 2, column 11 of what it rendered"
    );
    for (source, what) in [
        ("[\"\\{{ title }}\"]", "a value stands behind a backslash"),
        (
            "{% set x %}{{ title }}{% endset %}[\"{{ x | reverse }}\"]",
            "text with values in it was cut apart",
        ),
        ("", "EOF while parsing a value"),
    ] {
        let error = body(source, json!({"title": "\",\"x"})).unwrap_err();
        assert!(error.to_string().contains(what), "{source}: {error}");
    }
}

#[test]
fn escaping_cannot_be_turned_off() {
    for source in [
        "{% autoescape false %}[{{ title }}]{% endautoescape %}",
        "{% autoescape 'html' %}[{{ title }}]{% endautoescape %}",
        "[{{ title | safe }}]",
        "[{{ title | e }}]",
    ] {
        let error = body(source, json!({"title": "1,2"})).unwrap_err();
        assert!(
            matches!(error, RenderError::Failed { line: Some(1), .. }),
            "{error}"
        );
    }
}

#[test]
fn a_name_that_is_not_there_is_an_error_that_names_it_and_its_line() {
    let none = || json!({"labels": {}, "person": {"id": 1}});
    assert_eq!(
        why("a\n{{ title }}", none()),
        "t.txt.j2, line 2: `title` is undefined"
    );
    assert_eq!(
        why("{{ labels.team }}", none()),
        "t.txt.j2, line 1: `labels.team` is undefined"
    );
    assert_eq!(
        why("{{ title.x }}", none()),
        "t.txt.j2, line 1: `title` is undefined"
    );
    assert_eq!(
        why("{% if title %}{% endif %}", none()),
        "t.txt.j2, line 1: `title` is undefined"
    );
    for filter in [
        "upper",
        "tojson",
        "one_line",
        "truncate_bytes(9)",
        "md_escape",
        "datetime",
        "people",
        "urlencode",
        "http_url",
    ] {
        let error = why(&format!("\n\n{{{{ title | {filter} }}}}"), none());
        assert!(error.starts_with("t.txt.j2, line 3: "), "{filter}: {error}");
        assert!(error.contains("`title` is undefined"), "{filter}: {error}");
    }
    let error = body("{\"a\": {{ title }}}", none())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "t.json.j2, line 1: `title` is undefined");
    let there = "{{ title is defined }} {{ title | default('-') }} {{ labels.x is defined }} \
        {{ person.name | default(person.email) | default('?') }}";
    assert_eq!(text(there, none()).unwrap(), "false - false ?");
}

#[test]
fn what_cannot_be_compiled_is_refused_with_its_line() {
    let compile = |source| Template::compile("t", source).unwrap_err();
    let error = compile("a\n{{ title");
    assert_eq!(error.line(), Some(2));
    assert!(
        error.to_string().starts_with("t, line 2: syntax error: "),
        "{error}"
    );
    for source in [
        "{% include 't' %}",
        "{% import 't' as t %}",
        "{% from 't' import x %}",
        "{% extends 't' %}",
        "{% block b %}{% endblock %}",
    ] {
        assert!(
            compile(source).to_string().contains("unknown statement"),
            "{source}"
        );
    }
    assert_eq!(
        compile("a\nb\u{1}").to_string(),
        "t, line 2: has a control character"
    );
    let filter = why("\n{{ 1 | nosuch }}", json!({}));
    assert!(
        filter.starts_with("t.txt.j2, line 2: unknown filter: "),
        "{filter}"
    );
}

#[test]
fn work_and_size_are_bounded() {
    let long = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    assert!(matches!(
        text(long, json!({})),
        Err(RenderError::OutOfFuel { line: Some(1), .. })
    ));
    let large = "{% for a in range(1100) %}{{ title }}{% endfor %}";
    let kib = "x".repeat(1024);
    assert!(matches!(
        text(large, json!({"title": kib})),
        Err(RenderError::TooLarge { .. })
    ));
    let endless = "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}";
    assert!(text(endless, json!({})).is_err());
    let doubled = format!(
        "{{% set x = 'x' * 1000 %}}{}",
        "{% set x = x ~ x %}".repeat(60)
    );
    assert!(text(&doubled, json!({})).is_err());
}

#[test]
fn values_nested_without_end_are_refused() {
    // Without a namespace no loop can nest what it made the last time.
    let endless =
        "{% set x = namespace(v=1) %}{% for i in range(40000) %}{% set x.v = [x.v] %}{% endfor %}";
    assert!(why(endless, json!({})).contains("unknown function"));
    let long = format!("{{% set x = 1 %}}{}", "{% set x=[x] %}".repeat(200));
    let error = body(&format!("{long}[{{{{ x }}}}]"), json!({})).unwrap_err();
    assert!(error.to_string().contains("nested too deeply"), "{error}");
    let error = why(&format!("{long}{{{{ x | tojson }}}}"), json!({}));
    assert!(error.contains("nested too deeply"), "{error}");
    let huge = Template::compile("t", &" ".repeat(MAX_SOURCE_BYTES + 1)).unwrap_err();
    assert_eq!(huge.to_string(), "t: is longer than 64 KiB");
}

#[test]
fn a_template_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Template>();
    shared::<UrlTemplate>();
}

#[test]
fn what_a_template_uses_is_known_before_it_runs() {
    let source = "{% if remembered.ticket is defined %}{{ titel }}{% endif %}{% for x in labels %}{{ loop.index }}{{ x }}{% endfor %}{{ range(3) }}";
    let template = Template::compile("t", source).unwrap();
    assert!(template.references("remembered") && template.references("labels"));
    assert!(!template.references("push"));
    assert_eq!(template.unknown_names(), ["titel"]);
    let shown = format!("{template:?}");
    assert!(!shown.contains("ticket"), "{shown}");
}

#[test]
fn a_template_may_speak_of_the_attempt_and_of_what_is_remembered() {
    let template = Template::compile("method", "{% if remembered.ticket is defined %}PUT{% else %}POST{% endif %} {{ attempt }} {{ redelivered }} {{ timezone }}").unwrap();
    let (words, nothing) = (Map::new(), Map::new());
    let remembered = self::words(json!({"ticket": "T-1"}));
    let mut context = Context::new(&words, &nothing);
    assert_eq!(
        template.render(&context).unwrap(),
        "POST 1 false Asia/Shanghai"
    );
    (context.remembered, context.attempt, context.redelivered) = (&remembered, 3, true);
    context.timezone = "UTC";
    assert_eq!(template.render(&context).unwrap(), "PUT 3 true UTC");
}

#[test]
fn times_are_shown_in_the_sinks_zone_also_where_the_template_does_not_name_it() {
    let template = Template::compile("at", "{{ event_time | datetime }}").unwrap();
    let words = self::words(json!({"event_time": 1_775_980_800_137_i64}));
    let nothing = Map::new();
    let mut context = Context::new(&words, &nothing);
    assert_eq!(template.render(&context).unwrap(), "2026-04-12 16:00:00");
    context.timezone = "Europe/Berlin";
    assert_eq!(template.render(&context).unwrap(), "2026-04-12 10:00:00");
}

#[test]
fn filters_do_what_they_say() {
    let all = || {
        json!({"t": 1_775_980_800, "ms": 1_775_980_800_137_i64, "url": "https://h/a?b=(c)&d=\"é\"",
            "push": {"incident": {"responders": [{"person_name": "Ana"}, 7, {"email": "bo@x"}], "a/b": 1}}})
    };
    for (source, expected) in [
        ("{{ t | datetime }}", "2026-04-12 16:00:00"),
        ("{{ ms | local }}", "2026-04-12 16:00:00"),
        (
            "{{ ms | datetime('Europe/Berlin', '%H:%M %Z') }}",
            "10:00 CEST",
        ),
        (
            "{{ 0 | datetime }}{{ 'soon' | datetime }}{{ 1.5 | datetime }}",
            "",
        ),
        ("{{ '磁盘满了' | truncate_bytes(9) }}", "磁盘…"),
        ("{{ '磁盘满了' | truncate_bytes(8) }}", "磁…"),
        (
            "{{ 'e\u{301}e\u{301}e\u{301}' | truncate_bytes(7) }}",
            "e\u{301}…",
        ),
        ("{{ 'abc' | truncate_bytes(2) }}", ""),
        ("{{ ' a\\n\\t b\\u202ec ' | one_line }}", "a b c"),
        (
            "{{ 'a_b _c_ *d* [e]<f>' | md_escape('wecom') }}",
            "a_b \u{ff3f}c\u{ff3f} \u{ff0a}d\u{ff0a} \u{ff3b}e\u{ff3d}\u{ff1c}f>",
        ),
        (
            "{{ '<!all> & *d*' | md_escape('slack') }}",
            "&lt;!all&gt; &amp; \u{ff0a}d\u{ff0a}",
        ),
        (
            "{{ '<at> *d*' | md_escape('lark') }}",
            "&#60;at&#62; &#42;d&#42;",
        ),
        ("{{ '# [x](y)' | md_escape }}", "\\# \\[x\\]\\(y\\)"),
        ("{{ 'a b/ü?' | urlencode }}", "a%20b%2F%C3%BC%3F"),
        (
            "{{ url | http_url }}",
            "https://h/a?b=%28c%29&d=%22%C3%A9%22",
        ),
        ("{{ 'javascript:alert(1)' | http_url is none }}", "true"),
        ("{{ 'https://h/long' | http_url(9) is none }}", "true"),
        (
            "{{ push | at('/incident/responders') | people | join(' + ') }}",
            "Ana + bo@x",
        ),
        (
            "{{ push | at('/no', '/incident/a~1b') }} {{ push | at('/no') | default('-') }}",
            "1 -",
        ),
        ("{{ push | at('/incident/responders/2/email') }}", "bo@x"),
        ("{{ {'a': \"<'\\\"\"} | tojson }}", "{\"a\":\"<'\\\"\"}"),
    ] {
        assert_eq!(text(source, all()).as_deref(), Ok(expected), "{source}");
    }
    for source in [
        "{{ t | datetime('Nowhere/X') }}",
        "{{ 'x' | md_escape('irc') }}",
        "{{ push | at }}",
        "{{ t | datetime('UTC', '%') }}",
    ] {
        assert!(text(source, all()).is_err(), "{source}");
    }
}
