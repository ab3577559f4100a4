//! The evaluation agrees with the reference implementation wherever both have an answer.

use std::sync::Arc;

use cel::{Context, Env, Program};
use serde_json::{Map, Value};

use super::{compile, words};
use crate::filter::{Expression, Scope};
use crate::words::WORDS;

/// The reference, with the words for variables.
fn reference(words: &Map<String, Value>) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::new(Env::stdlib()));
    for (name, value) in words {
        context.add_variable(name.as_str(), value).unwrap();
    }
    context
}

/// What it makes of `source`; `None` is an error.
fn answer(source: &str, context: &Context<'_, '_>) -> Option<bool> {
    match Program::compile(source).ok()?.execute(context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

#[test]
fn operators_in_all_pairs_of_operands_give_what_the_reference_gives() {
    let operands = [
        "1",
        "0",
        "-3",
        "1u",
        "1.5",
        "0.5",
        "'x'",
        "''",
        "'db'",
        "true",
        "false",
        "null",
        "[]",
        "[1]",
        "['db', 1]",
        "labels",
        "labels.team",
        "labels.none",
        "push.one",
        "push.largest",
        "push.nothing",
        "push.incident.fields.x",
        "person.id",
        "channel_id",
        "title",
        "stale",
    ];
    let operators = [
        "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in", "+", "-", "*", "/", "%",
    ];
    let words = words();
    let context = reference(&words);
    let mut compared = 0;
    for left in operands {
        for right in operands {
            for operator in operators {
                let source = match operator {
                    "+" | "-" | "*" | "/" | "%" => format!("({left} {operator} {right}) == {left}"),
                    _ => format!("{left} {operator} {right}"),
                };
                let Ok(filter) = Expression::compile(&source, &WORDS) else {
                    continue;
                };
                let ours = filter.evaluate(&Scope::new(&words)).ok();
                let theirs = answer(&source, &context);
                // The reference adds the keys of a map to a list.
                if operator == "+" && right == "labels" {
                    continue;
                }
                // Calculating with whole numbers and fractions together is ours alone.
                if theirs.is_some() || !"+-*/%".contains(operator) {
                    assert_eq!(ours, theirs, "{source}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 5000, "{compared}");
}

#[test]
fn macros_and_functions_give_what_the_reference_gives() {
    let words = words();
    let context = reference(&words);
    for source in [
        "push.incident.responders.all(r, r.person_id > 0)",
        "push.incident.responders.all(r, r.email == 'x')",
        "push.incident.responders.all(r, r.email != 'x')",
        "push.incident.responders.exists(r, r.email == 'x')",
        "push.incident.responders.exists(r, r.email == 'li@example.com')",
        "push.incident.responders.exists_one(r, r.person_id == 1)",
        "push.incident.responders.exists_one(r, has(r.email))",
        "push.incident.responders.filter(r, r.person_id > 1).size() == 1",
        "push.incident.responders.map(r, r.person_id) == [1, 2]",
        "push.incident.responders.map(r, r.person_id > 1, r.person_id) == [2]",
        "[].all(x, false) && ![].exists(x, true)",
        "labels.exists(name, name == 'team')",
        "labels.all(name, labels[name] != 'x')",
        "size('日本') == 2 && 'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')",
        "int('7') == 7 && int(7.9) == 7 && int(-7.9) == -7 && double('1.5') == 1.5",
        "string(7) == '7' && string(1.5) == '1.5' && string(true) == 'true' && string('x') == 'x'",
        "'a' < 'b' && 'B' < 'a' && !(1 < 1.0) && 1 <= 1.0",
        "7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1 && 7.0 / 2.0 == 3.5",
        "true ? false : title == 'x'",
        "title == 'x' ? true : true",
        "has(labels.team) && !has(labels.none)",
        "'team' in labels && !('none' in labels)",
        "1 in [1.0, 2.0] && !(1 in ['1'])",
    ] {
        let ours = compile(source).evaluate(&Scope::new(&words)).ok();
        assert_eq!(ours, answer(source, &context), "{source}");
    }
}
