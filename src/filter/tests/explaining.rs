//! Why an expression is true or not.

use super::{compile, words};
use crate::filter::{Explanation, Scope};

fn explain(source: &str) -> (bool, Option<String>, Option<String>) {
    let Explanation {
        matched,
        clause,
        error,
    } = compile(source).explain(&Scope::new(&words()));
    (matched, clause, error)
}

#[test]
fn the_clause_that_decided_is_named_as_it_is_written() {
    let decided = |source| explain(source).1;
    let named = |clause: &str| Some(clause.to_owned());
    for (source, clause) in [
        (
            "severity == 'Critical' && labels.team == 'web' && stale",
            named("labels.team == 'web'"),
        ),
        (
            "stale || labels.team  ==  'db' || true",
            named("labels.team  ==  'db'"),
        ),
        ("stale == false && replay == false", None),
        ("stale || replay", None),
        ("stale", named("stale")),
        (" !stale ", named("!stale")),
        (
            "stale || severity == 'Critical' && labels.team == 'db'",
            named("severity == 'Critical' && labels.team == 'db'"),
        ),
        ("(stale || replay) && true", named("(stale || replay)")),
        ("((stale && true))", named("stale")),
        ("(stale) && (true)", named("(stale)")),
        ("'a || b' == 'c' && true", named("'a || b' == 'c'")),
        (
            "stale /* no comment */".split(" /").next().unwrap(),
            named("stale"),
        ),
        ("true && // a || b\n stale", named("stale")),
        (
            "stale ? true || true : replay",
            named("stale ? true || true : replay"),
        ),
        (
            "[stale, true][0] || false || severity == 'Critical'",
            named("severity == 'Critical'"),
        ),
    ] {
        assert_eq!(decided(source), clause, "{source}");
    }
}

#[test]
fn an_error_names_the_clause_that_could_not_be_evaluated_and_why() {
    let (matched, clause, error) = explain("severity == 'Critical' && labels.region == 'eu'");
    assert!(!matched);
    assert_eq!(clause.as_deref(), Some("labels.region == 'eu'"));
    assert_eq!(error.as_deref(), Some("labels has no \"region\""));
    let (matched, clause, error) = explain("labels.region == 'eu' || severity == 'Critical'");
    assert!(matched && error.is_none());
    assert_eq!(clause.as_deref(), Some("severity == 'Critical'"));
}

#[test]
fn an_expression_tells_which_variables_it_looks_at() {
    let filter = compile("severity == 'x' || push.a.exists(e, e.stale && has(labels.y))");
    for (word, used) in [
        ("severity", true),
        ("push", true),
        ("labels", true),
        ("stale", false),
        ("e", false),
    ] {
        assert_eq!(filter.references(word), used, "{word}");
    }
    assert!(compile("!stale").references("stale"));
    assert!(compile("has(stale)").references("stale"));
}

#[test]
fn an_expression_tells_whether_it_asks_for_a_text() {
    for (source, asks) in [
        ("event_type == 'i_new'", true),
        ("'i_new' == event_type && stale", true),
        (
            "severity == 'x' || (event_type in ['i_ack', 'i_new'])",
            true,
        ),
        ("event_type != 'i_new'", false),
        ("!(event_type == 'i_new')", false),
        ("event_type == 'i_ack'", false),
        ("push.event_type == 'i_new'", false),
        ("severity == 'i_new'", false),
    ] {
        assert_eq!(
            compile(source).compares("event_type", "i_new"),
            asks,
            "{source}"
        );
    }
}
