//! What the functions and the arithmetic do.

use std::rc::Rc;

use super::evaluate::{Evaluated, Evaluator};
use super::node::{Calculation, Function};
use super::value::{Text, Value};

impl<'s> Evaluator<'s> {
    /// The result of `function`, of which `values` are as many as it takes.
    pub(super) fn call(
        &mut self,
        function: Function,
        values: &[Value<'s>],
    ) -> Evaluated<Value<'s>> {
        for value in values {
            if let Value::Text(text) = value {
                self.spend_on(text)?;
            }
        }
        let result = match values {
            [Value::Text(text), Value::Text(other)] => about_two(function, text, other),
            [Value::Text(text)] => about_text(function, text),
            [value] => about(function, value),
            _ => None,
        };
        result.ok_or_else(|| {
            self.unfit(values, || {
                let kinds: Vec<&str> = values.iter().map(Value::kind).collect();
                format!(
                    "{} cannot be had of {}",
                    function.name(),
                    kinds.join(" and ")
                )
            })
        })
    }
}

fn about_two<'s>(function: Function, text: &str, other: &str) -> Option<Value<'s>> {
    match function {
        Function::Contains => Some(Value::Bool(text.contains(other))),
        Function::StartsWith => Some(Value::Bool(text.starts_with(other))),
        Function::EndsWith => Some(Value::Bool(text.ends_with(other))),
        _ => None,
    }
}

fn about_text<'s>(function: Function, text: &Text<'s>) -> Option<Value<'s>> {
    let made = |text: String| Value::Text(Text::Made(Rc::from(text)));
    match function {
        Function::Size => i128::try_from(text.chars().count())
            .ok()
            .map(Value::Integer),
        Function::LowerAscii => Some(made(text.to_ascii_lowercase())),
        Function::UpperAscii => Some(made(text.to_ascii_uppercase())),
        Function::String => Some(Value::Text(text.clone())),
        Function::Int => text.parse().ok().and_then(in_64_bits),
        Function::Double => {
            let number: Option<f64> = text.parse().ok();
            number.filter(|number| number.is_finite()).map(Value::Float)
        }
        Function::Contains | Function::StartsWith | Function::EndsWith => None,
    }
}

fn about<'s>(function: Function, value: &Value<'s>) -> Option<Value<'s>> {
    let made = |text: String| Some(Value::Text(Text::Made(Rc::from(text))));
    match (function, value) {
        (Function::Size, Value::List(list)) => i128::try_from(list.len()).ok().map(Value::Integer),
        (Function::Size, Value::Map(map)) => i128::try_from(map.len()).ok().map(Value::Integer),
        (Function::Int, Value::Integer(_)) | (Function::Double, Value::Float(_)) => {
            Some(value.clone())
        }
        (Function::Int, Value::Float(number)) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it saturates, and is checked"
            )]
            let whole = number.trunc() as i128;
            Some(whole)
                .filter(|_| number.is_finite())
                .and_then(in_64_bits)
        }
        (Function::Double, Value::Integer(number)) => Some(Value::Float(to_float(*number))),
        (Function::String, Value::Integer(number)) => made(number.to_string()),
        (Function::String, Value::Float(number)) => made(number.to_string()),
        (Function::String, Value::Bool(value)) => made(value.to_string()),
        _ => None,
    }
}

impl Function {
    fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(_, known)| *known == self);
        known.map_or("", |(name, _)| name)
    }
}

impl Calculation {
    /// What it is called in a message.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Add => "the sum",
            Self::Subtract => "the difference",
            Self::Multiply => "the product",
            Self::Divide => "the quotient",
            Self::Remainder => "the remainder",
        }
    }
}

impl<'s> Value<'s> {
    /// Whole numbers stay whole; beside a fraction they count as one. `None` where there is no
    /// result: other kinds, a division by zero, more than 64 bits.
    pub(super) fn calculate(&self, calculation: Calculation, other: &Self) -> Option<Value<'s>> {
        let floats = match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => {
                return whole(calculation, *left, *right).and_then(in_64_bits);
            }
            (Self::Float(left), Self::Float(right)) => (*left, *right),
            (Self::Integer(left), Self::Float(right)) => (to_float(*left), *right),
            (Self::Float(left), Self::Integer(right)) => (*left, to_float(*right)),
            _ => return None,
        };
        let (left, right) = floats;
        let result = match calculation {
            Calculation::Add => left + right,
            Calculation::Subtract => left - right,
            Calculation::Multiply => left * right,
            Calculation::Divide => left / right,
            Calculation::Remainder => return None,
        };
        Some(Self::Float(result)).filter(|_| result.is_finite())
    }
}

fn whole(calculation: Calculation, left: i128, right: i128) -> Option<i128> {
    match calculation {
        Calculation::Add => left.checked_add(right),
        Calculation::Subtract => left.checked_sub(right),
        Calculation::Multiply => left.checked_mul(right),
        Calculation::Divide => left.checked_div(right),
        Calculation::Remainder => left.checked_rem(right),
    }
}

/// The number, when it is one that JSON or an expression could hold exactly.
fn in_64_bits<'s>(number: i128) -> Option<Value<'s>> {
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    range.contains(&number).then_some(Value::Integer(number))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "asked for by whoever calculates with fractions"
)]
fn to_float(number: i128) -> f64 {
    number as f64
}
