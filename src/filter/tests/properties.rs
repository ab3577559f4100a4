//! Whatever is written and whatever comes in, nothing panics.

use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::words;
use crate::filter::{Expression, Scope};
use crate::words::WORDS;

/// Pieces that expressions are made of, and some that they are not.
const TOKENS: [&str; 72] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    "?",
    ":",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    " in ",
    "=",
    "&",
    "|",
    "'",
    "\"",
    "'''",
    "\"\"\"",
    "r'",
    "b'",
    "\\",
    "\n",
    "//",
    "`",
    "true",
    "false",
    "null",
    "0",
    "1",
    "1u",
    "1.5",
    "1e",
    "0x",
    "0xfu",
    ".5",
    "99999999999999999999",
    "'x'",
    "'i_new'",
    "severity",
    "labels",
    "push",
    "stale",
    ".team",
    "has(",
    "size(",
    ".size()",
    ".exists(e,",
    ".all(e,",
    ".map(e,",
    ".filter(e,",
    ".exists_one(e,",
    "e",
    ".matches('",
    ".contains(",
    "int(",
    "ü",
    "\u{0}",
    "while",
];

fn nonsense() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..40)
        .prop_map(|tokens| tokens.concat())
}

/// Expressions that make sense, more often than not.
fn sense() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "true",
        "stale",
        "severity",
        "labels",
        "labels.team",
        "labels['a']",
        "push",
        "push.a",
        "push.a.b",
        "push[0]",
        "title",
        "person.id",
        "1",
        "-1",
        "0.5",
        "18446744073709551615u",
        "'x'",
        "''",
        "null",
        "[]",
        "['x', 1]",
        "has(push.a)",
        "has(title)",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 3, |inner| {
            let operators = vec![
                "==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "in",
            ];
            prop_oneof![
                (
                    inner.clone(),
                    prop::sample::select(operators),
                    inner.clone()
                )
                    .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
                (inner.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
                (prop::sample::select(vec!["!", "-"]), inner.clone())
                    .prop_map(|(operator, of)| format!("{operator}({of})")),
                (
                    prop::sample::select(vec!["size", "int", "double", "string"]),
                    inner.clone()
                )
                    .prop_map(|(function, of)| format!("{function}({of})")),
                (
                    inner.clone(),
                    prop::sample::select(vec!["contains", "startsWith", "endsWith"]),
                    inner.clone()
                )
                    .prop_map(|(of, function, with)| format!("({of}).{function}({with})")),
                (
                    inner.clone(),
                    prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]),
                    inner.clone()
                )
                    .prop_map(|(of, function, with)| format!(
                        "({of}).{function}(e, ({with}) == e)"
                    )),
                (inner.clone(), inner).prop_map(|(of, index)| format!("({of})[{index}]")),
            ]
        })
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        "[ab.x]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[abx]|team", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn scope() -> impl Strategy<Value = Map<String, Value>> {
    let names = prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
    prop::collection::btree_map(names, json(), 0..18).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_compiled_or_refused_with_a_place_in_it(source in nonsense()) {
        match Expression::compile(&source, &WORDS) {
            Ok(filter) => {
                let _any = filter.explain(&Scope::new(&words()));
            }
            Err(error) => {
                let lines = source.lines().count().max(1) + usize::from(source.ends_with('\n'));
                prop_assert!((1..=lines).contains(&error.line), "{source:?}: {error:?}");
                prop_assert!(error.column >= 1);
                prop_assert!(!error.message.is_empty());
            }
        }
    }

    #[test]
    fn any_data_is_evaluated_without_a_panic(source in sense(), words in scope()) {
        if let Ok(filter) = Expression::compile(&source, &WORDS) {
            let scope = Scope::new(&words);
            let explained = filter.explain(&scope);
            prop_assert_eq!(explained.matched, filter.evaluate(&scope) == Ok(true));
            prop_assert_eq!(explained.error.is_some(), filter.evaluate(&scope).is_err());
        }
    }

    #[test]
    fn the_clauses_together_say_what_the_whole_says(parts in prop::collection::vec(sense(), 1..4), words in scope()) {
        for joint in [" && ", " || "] {
            let brackets: Vec<String> = parts.iter().map(|part| format!("({part})")).collect();
            let chain = brackets.join(joint);
            let Ok(chain_filter) = Expression::compile(&chain, &WORDS) else {
                continue;
            };
            // As the condition of a choice the chain is one part, evaluated as a whole.
            let whole = format!("({chain}) ? true : false");
            if let Ok(whole_filter) = Expression::compile(&whole, &WORDS) {
                let scope = Scope::new(&words);
                prop_assert_eq!(
                    chain_filter.evaluate(&scope).ok(),
                    whole_filter.evaluate(&scope).ok(),
                    "{}", chain
                );
            }
        }
    }
}
