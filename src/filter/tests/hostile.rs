//! Expressions and payloads that mean harm.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{compile, map, refusal};
use crate::filter::{EvaluationError, Expression, Scope};
use crate::words::WORDS;

/// Far above what anything here takes, and far below what would be noticed.
const SOON: Duration = Duration::from_secs(5);

/// A stack as small as any that expressions are compiled on, half over.
const STACK: usize = 1 << 20;

fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run);
    thread.unwrap().join().unwrap();
}

#[test]
fn expressions_that_are_too_long_too_deep_or_too_large_are_refused_at_once() {
    on_a_small_stack(|| {
        let start = Instant::now();
        let chains = [
            ("(".repeat(2000), "nested too deep"),
            ("[".repeat(4000), "nested too deep"),
            ("{".repeat(4000), "nested too deep"),
            ("push.a{".repeat(500), "nested too deep"),
            ("!".repeat(4000), "nested too deep"),
            (format!("{}stale", "!".repeat(4000)), "nested too deep"),
            (format!("1 == {}1", "-".repeat(4000)), "nested too deep"),
            (format!("push{} == 1", ".a".repeat(2000)), "nested too deep"),
            (
                format!("push{} == 1", "[0]".repeat(1300)),
                "nested too deep",
            ),
            (
                format!("push{} == 1", ".f()".repeat(1000)),
                "nested too deep",
            ),
            (format!("1{} == 1", "+1".repeat(2000)), "nested too deep"),
            (format!("1{}", "==1".repeat(1300)), "nested too deep"),
            (
                format!("{}stale", "stale?stale:".repeat(300)),
                "nested too deep",
            ),
            (format!("{}stale", "stale?".repeat(600)), "nested too deep"),
            (
                format!("stale{}", " in stale".repeat(400)),
                "nested too deep",
            ),
            (
                format!("stale{}", "&&stale".repeat(560)),
                "more than 500 parts",
            ),
            (
                format!("[1{}] == []", ",1".repeat(1500)),
                "more than 500 parts",
            ),
            ("x".repeat(4097), "4097 bytes"),
            (" ".repeat(5_000_000), "5000000 bytes"),
            (format!("'{}' == ''", "a".repeat(5000)), "bytes"),
        ];
        for (source, complaint) in chains {
            let refusal = refusal(&source);
            let short: String = source.chars().take(20).collect();
            assert!(refusal.contains(complaint), "{short}: {refusal}");
        }
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    });
}

#[test]
fn the_deepest_and_the_largest_expressions_that_are_allowed_fit_a_small_stack() {
    on_a_small_stack(|| {
        let start = Instant::now();
        let tree = map(json!({"push": deep(120), "stale": true}));
        let scope = Scope::new(&tree);
        let brackets = format!("{}stale{}", "(".repeat(15), ")".repeat(15));
        let negations = format!("{}stale{}", "!(".repeat(14), ")".repeat(14));
        let lists = format!("{}1{} == 1", "[".repeat(15), "][0]".repeat(15));
        let choices = format!("{}stale", "stale?stale:".repeat(31));
        let fields = format!("has(push{})", ".a".repeat(60));
        let sums = format!("1{} == 60", "+1".repeat(59));
        let clauses = format!("stale{}", "&&stale".repeat(200));
        let likes = format!("'x' in ['x'{}]", ",'y'".repeat(450));
        for source in [
            brackets, negations, lists, choices, fields, sums, clauses, likes,
        ] {
            match Expression::compile(&source, &WORDS) {
                Ok(filter) => assert_eq!(filter.evaluate(&scope), Ok(true), "{source}"),
                Err(error) => assert!(
                    error.message.contains("nested too deep"),
                    "{source}: {error}"
                ),
            }
        }
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    });
}

/// Objects in objects.
fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[test]
fn deep_and_huge_payloads_are_evaluated_or_given_up_on_soon() {
    let text = "ab".repeat(2 << 20);
    let numbers: Vec<i64> = (0..300_000).collect();
    let tree = map(json!({
        "title": text,
        "push": {
            "deep": deep(110),
            "deeper": deep(110),
            "numbers": numbers,
            "texts": vec!["abababab"; 100_000],
            "text": text,
        },
    }));
    let scope = Scope::new(&tree);
    let start = Instant::now();
    for (source, expected) in [
        ("push.deep == push.deeper", Some(true)),
        ("push == push", Some(true)),
        ("title.contains('abb')", Some(false)),
        ("title == push.text", Some(true)),
        ("size(title) == 4194304", Some(true)),
        (
            "size(push.numbers) == 300000 && 299999 in push.numbers",
            Some(true),
        ),
        ("push.texts.exists(t, t == 'x')", Some(false)),
        // Whatever would grow with the square of the data.
        ("push.numbers.all(n, n in push.numbers)", None),
        ("push.numbers.exists(n, push.numbers == [n])", None),
        ("push.numbers.all(n, push.numbers == push.numbers)", None),
        ("push.texts.exists(t, title.contains(t + 'b'))", None),
        ("push.texts.exists(t, (title + t) == t)", None),
        ("push.texts.exists(t, title.lowerAscii() == t)", None),
        ("push.texts.exists(t, size(title) == 1)", None),
        ("push.texts.exists(t, title > title + t)", None),
        ("push.numbers.exists(n, n.missing == 1)", None),
        ("title.matches('(a|b|ab)*x')", None),
        ("push.texts.all(t, !t.matches('(a|ab)(b|ba){3,40}x'))", None),
    ] {
        let evaluated = compile(source).evaluate(&scope);
        match expected {
            Some(expected) => assert_eq!(evaluated, Ok(expected), "{source}"),
            None => assert_eq!(evaluated, Err(EvaluationError::Exhausted), "{source}"),
        }
    }
    assert!(start.elapsed() < SOON * 4, "{:?}", start.elapsed());
}

#[test]
fn a_message_repeats_little_of_the_data() {
    let tree = map(json!({"title": "x\u{1b}".repeat(1 << 20), "labels": {}}));
    let error = compile("labels[title] == 'x'").evaluate(&Scope::new(&tree));
    let message = error.unwrap_err().to_string();
    assert!(
        message.len() < 400 && !message.contains('\u{1b}'),
        "{message}"
    );
}
