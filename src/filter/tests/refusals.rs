//! What is refused when it is loaded, and in which words.

use super::{compile, refusal};
use crate::filter::Expression;

#[test]
fn a_refusal_says_what_is_wrong_and_where() {
    let refusals = [
        "",
        "  // nothing",
        "serverity == 'Critical'",
        "severity = 'Critical'",
        "severity == 'Critical' and stale",
        "severity == 'Critical' or stale",
        "severity == 'Critical' & stale",
        "severity == 'Critical' | stale",
        "severity ==",
        "severity == 'Critical",
        "severity == \"a\nb\"",
        "(severity == 'Critical'",
        "severity == 'Critical')",
        "severity == ['Critical')",
        "severity == 'Critical' stale",
        "severity.lowercase() == 'x'",
        "severity.startswith('x')",
        "severity.toLower() == 'x'",
        "startsWith(severity, 'x')",
        "severity.startsWith()",
        "severity.int() == 1",
        "foo(1) == 1",
        "has(labels['team'])",
        "has('x')",
        "has(1 + 1)",
        "severity.matches(labels.pattern)",
        "severity.matches('(')",
        "severity.matches('(a{500}){500}')",
        "channel_id == 18446744073709551615",
        "severity == '\\q'",
        "severity == b'x'",
        "labels == {'team': 'db'}",
        "push.Message{a: 1} == 1",
        "push.x.exists(severity, true)",
        "push.x.exists(1, true)",
        "push.x.exists(a, push.y.all(b, a == b))",
        "push.x.exists(a, a.serverity == b)",
        "push.x.exists(a)",
        "labels.?team == 'db'",
        "labels[?'team'] == 'db'",
        "labels.`team` == 'db'",
        "while == 1",
        "severity == 'ü' && \n  titel == 'x'",
        "severity == 'x' ? 1 : stale || 2",
        "seve\u{131}rity == 'x'",
        "$x",
        ".severity == 'x'",
    ];
    let told: Vec<String> = refusals
        .iter()
        .map(|source| {
            format!(
                "{:<46} {}",
                source.escape_debug().to_string(),
                refusal(source)
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_can_be_neither_true_nor_false_is_refused() {
    for source in [
        "'x'",
        "1",
        "-1",
        "1.5",
        "null",
        "[true]",
        "size(labels)",
        "'a' + 'b'",
        "1 + 1",
        "!'x'",
        "stale && 'x'",
        "1 || stale",
        "'x' ? stale : replay",
        "push.x.exists(a, 'x')",
        "push.x.filter(a, a.y)",
        "string(1)",
    ] {
        let refusal = refusal(source);
        assert!(
            refusal.ends_with("not true or false"),
            "{source}: {refusal}"
        );
    }
    for source in ["true", "stale", "labels.x", "stale ? true : labels.x"] {
        compile(source);
    }
}

#[test]
fn without_variables_only_constants_are_known() {
    assert!(Expression::compile("1 == 1", &[]).is_ok());
    assert!(Expression::compile("stale", &[]).is_err());
}

#[test]
fn lines_and_columns_count_characters() {
    let error = Expression::compile("'日本' == 'x' &&\n  '日本' == titel", &["title"]).unwrap_err();
    assert_eq!((error.line, error.column), (2, 11));
    let error = Expression::compile("'日本' == 'x' && ]", &["title"]).unwrap_err();
    assert_eq!((error.line, error.column), (1, 16));
    let error = Expression::compile("'日本' == 'x' && 1 1", &["title"]).unwrap_err();
    assert_eq!((error.line, error.column), (1, 18));
}
