//! The evaluation: total, bounded in steps, and borrowing all it can.

use std::cmp::Ordering;
use std::rc::Rc;

use super::error::EvaluationError;
use super::node::{Calculation, Comparison, Node};
use super::scope::Scope;
use super::value::{List, Text, Value};

/// Steps of one evaluation. One is about a node evaluated, an element compared or 32 bytes of text
/// looked at, so the data of any push fits many times over, but nothing that grows with its square.
pub(super) const MOST_STEPS: usize = 1_000_000;
/// Bytes of text that are looked at in one step.
const BYTES_A_STEP: usize = 32;
/// Steps for each byte a pattern is held against.
const STEPS_A_MATCHED_BYTE: usize = 8;
/// Steps of putting a failure into words.
const STEPS_A_FAILURE: usize = 16;
/// The most of a key out of the data that is repeated in a message, in characters.
const SHOWN: usize = 40;

pub(super) type Evaluated<T> = Result<T, EvaluationError>;

/// One evaluation.
pub(super) struct Evaluator<'s> {
    scope: &'s Scope<'s>,
    steps: usize,
}

impl<'s> Evaluator<'s> {
    pub(super) fn new(scope: &'s Scope<'s>) -> Self {
        Self { scope, steps: 0 }
    }

    /// The truth of `node`.
    pub(super) fn bool(&mut self, node: &'s Node, element: Option<&Value<'s>>) -> Evaluated<bool> {
        match self.value(node, element)? {
            Value::Bool(value) => Ok(value),
            other => Err(self.unfit([&other], || {
                let what = node.path().unwrap_or_else(|| "this".to_owned());
                format!("{what} is {}, not true or false", other.kind())
            })),
        }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Evaluated<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MOST_STEPS {
            return Err(EvaluationError::Exhausted);
        }
        Ok(())
    }

    pub(super) fn spend_on(&mut self, text: &str) -> Evaluated<()> {
        self.spend(text.len() / BYTES_A_STEP)
    }

    /// Nothing can be had of `values`. What is null counts as not there.
    pub(super) fn unfit<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v Value<'s>>,
        message: impl FnOnce() -> String,
    ) -> EvaluationError
    where
        's: 'v,
    {
        let mut values = values.into_iter();
        if values.any(|value| matches!(value, Value::Null)) {
            return self.missing(message);
        }
        match self.spend(STEPS_A_FAILURE) {
            Ok(()) => EvaluationError::Unfit(message()),
            Err(exhausted) => exhausted,
        }
    }

    fn missing(&mut self, message: impl FnOnce() -> String) -> EvaluationError {
        match self.spend(STEPS_A_FAILURE) {
            Ok(()) => EvaluationError::Missing(message()),
            Err(exhausted) => exhausted,
        }
    }

    pub(super) fn value(
        &mut self,
        node: &'s Node,
        element: Option<&Value<'s>>,
    ) -> Evaluated<Value<'s>> {
        self.spend(1)?;
        match node {
            Node::Null => Ok(Value::Null),
            Node::Bool(value) => Ok(Value::Bool(*value)),
            Node::Integer(value) => Ok(Value::Integer(*value)),
            Node::Float(value) => Ok(Value::Float(*value)),
            Node::Text(text) => Ok(Value::Text(Text::Lent(text))),
            Node::List(items) => {
                let items = items.iter().map(|item| self.value(item, element));
                items
                    .collect::<Evaluated<Rc<[_]>>>()
                    .map(List::Made)
                    .map(Value::List)
            }
            Node::Variable(name) => match self.scope.get(name) {
                Some(value) => Ok(Value::from(value)),
                None => Err(self.missing(|| format!("{name} is absent"))),
            },
            Node::Element(_) => Ok(element.cloned().unwrap_or(Value::Null)),
            Node::Field(of, name) => {
                let value = self.value(of, element)?;
                self.field(value, name, of)
            }
            Node::Index(of, index) => {
                let value = self.value(of, element)?;
                let index = self.value(index, element)?;
                self.index(value, &index, of)
            }
            Node::Has(path) => match self.value(path, element) {
                Ok(_) => Ok(Value::Bool(true)),
                Err(EvaluationError::Exhausted) => Err(EvaluationError::Exhausted),
                Err(_) => Ok(Value::Bool(false)),
            },
            _ => self.operation(node, element),
        }
    }

    /// What comes of operators and calls.
    fn operation(&mut self, node: &'s Node, element: Option<&Value<'s>>) -> Evaluated<Value<'s>> {
        match node {
            Node::Not(of) => self.bool(of, element).map(|value| Value::Bool(!value)),
            Node::Negate(of) => {
                let value = self.value(of, element)?;
                self.calculate(Calculation::Subtract, Value::Integer(0), value)
            }
            Node::All(parts) => self.chain(parts, element, false),
            Node::Any(parts) => self.chain(parts, element, true),
            Node::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if self.bool(condition, element)? {
                    yes
                } else {
                    no
                };
                self.value(chosen, element)
            }
            Node::Compare(comparison, sides) => {
                let [left, right] = self.both(sides, element)?;
                self.compare(*comparison, &left, &right).map(Value::Bool)
            }
            Node::In(sides) => {
                let [item, container] = self.both(sides, element)?;
                self.is_in(&item, &container).map(Value::Bool)
            }
            Node::Calculate(calculation, sides) => {
                let [left, right] = self.both(sides, element)?;
                self.calculate(*calculation, left, right)
            }
            Node::Call(function, values) => {
                let values = values.iter().map(|value| self.value(value, element));
                let values = values.collect::<Evaluated<Vec<_>>>()?;
                self.call(*function, &values)
            }
            Node::Matches(of, regex) => match self.value(of, element)? {
                Value::Text(text) => {
                    self.spend(text.len().saturating_mul(STEPS_A_MATCHED_BYTE))?;
                    Ok(Value::Bool(regex.is_match(&text)))
                }
                other => {
                    Err(self.unfit([&other], || format!("{} matches no pattern", other.kind())))
                }
            },
            Node::Comprehend(comprehension) => self.comprehend(comprehension, element),
            // The rest is no operation.
            _ => Ok(Value::Null),
        }
    }

    fn both(
        &mut self,
        sides: &'s [Node; 2],
        element: Option<&Value<'s>>,
    ) -> Evaluated<[Value<'s>; 2]> {
        let [left, right] = sides;
        Ok([self.value(left, element)?, self.value(right, element)?])
    }

    /// A part that is `decisive` decides, also beside parts that cannot be evaluated.
    fn chain(
        &mut self,
        parts: &'s [Node],
        element: Option<&Value<'s>>,
        decisive: bool,
    ) -> Evaluated<Value<'s>> {
        let mut undecided = None;
        for part in parts {
            match self.bool(part, element) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(EvaluationError::Exhausted) => return Err(EvaluationError::Exhausted),
                Err(error) if error.outdoes(undecided.as_ref()) => undecided = Some(error),
                Err(_) => {}
            }
        }
        undecided.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn field(&mut self, value: Value<'s>, name: &str, of: &Node) -> Evaluated<Value<'s>> {
        let path = || of.path().unwrap_or_else(|| "this".to_owned());
        match value {
            Value::Map(map) => match map.get(name) {
                Some(found) => Ok(Value::from(found)),
                None => Err(self.missing(|| format!("{} has no {}", path(), shown(name)))),
            },
            other => {
                let message =
                    || format!("{} is {} and has no {}", path(), other.kind(), shown(name));
                Err(self.unfit([&other], message))
            }
        }
    }

    fn index(&mut self, value: Value<'s>, index: &Value<'s>, of: &Node) -> Evaluated<Value<'s>> {
        match (value, index) {
            (value @ Value::Map(_), Value::Text(name)) => self.field(value, name, of),
            (Value::List(list), Value::Integer(at)) => {
                let found = usize::try_from(*at).ok().and_then(|at| list.get(at));
                found.ok_or_else(|| {
                    self.missing(|| {
                        let path = of.path().unwrap_or_else(|| "the list".to_owned());
                        format!("{path} has {} elements and none at {at}", list.len())
                    })
                })
            }
            (value, index) => Err(self.unfit([&value, index], || {
                let path = of.path().unwrap_or_else(|| "this".to_owned());
                format!(
                    "{path} is {} and has nothing at {}",
                    value.kind(),
                    index.kind()
                )
            })),
        }
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        left: &Value<'s>,
        right: &Value<'s>,
    ) -> Evaluated<bool> {
        match comparison {
            Comparison::Equal => return self.equal(left, right),
            Comparison::Unequal => return self.equal(left, right).map(|equal| !equal),
            _ => {}
        }
        if let (Value::Text(left), Value::Text(right)) = (left, right) {
            self.spend(left.len().min(right.len()) / BYTES_A_STEP)?;
        }
        let Some(order) = left.order(right) else {
            return Err(self.unfit([left, right], || {
                format!("{} and {} have no order", left.kind(), right.kind())
            }));
        };
        Ok(match comparison {
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }

    /// Values of different kinds are never equal; numbers are by their value, of whichever kind.
    fn equal(&mut self, left: &Value<'s>, right: &Value<'s>) -> Evaluated<bool> {
        self.spend(1)?;
        match (left, right) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Text(left), Value::Text(right)) if left.len() == right.len() => {
                self.spend_on(left)?;
                Ok(**left == **right)
            }
            (Value::Text(_), Value::Text(_)) => Ok(false),
            (Value::List(left), Value::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.items().zip(right.items()) {
                    if !self.equal(&left, &right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Map(left), Value::Map(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (name, value) in *left {
                    self.spend_on(name)?;
                    let Some(other) = right.get(name) else {
                        return Ok(false);
                    };
                    if !self.equal(&Value::from(value), &Value::from(other))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(left.order(right) == Some(Ordering::Equal)),
        }
    }

    fn is_in(&mut self, item: &Value<'s>, container: &Value<'s>) -> Evaluated<bool> {
        match container {
            Value::List(list) => {
                for other in list.items() {
                    if self.equal(item, &other)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Map(map) => match item {
                Value::Text(name) => Ok(map.contains_key(&**name)),
                Value::Bool(_) | Value::Integer(_) | Value::Float(_) => Ok(false),
                other => Err(self.unfit([other], || {
                    format!("a map has no {} for a key", other.kind())
                })),
            },
            other => Err(self.unfit([other], || match other {
                Value::Text(_) => "in looks into a list or a map; a text has contains()".to_owned(),
                other => format!("in looks into a list or a map, not into {}", other.kind()),
            })),
        }
    }

    fn calculate(
        &mut self,
        calculation: Calculation,
        left: Value<'s>,
        right: Value<'s>,
    ) -> Evaluated<Value<'s>> {
        let result = match (calculation, &left, &right) {
            (Calculation::Add, Value::Text(left), Value::Text(right)) => {
                self.spend_on(left)?;
                self.spend_on(right)?;
                Some(Value::Text(Text::Made(Rc::from(
                    [&**left, &**right].concat(),
                ))))
            }
            (Calculation::Add, Value::List(left), Value::List(right)) => {
                self.spend(left.len().saturating_add(right.len()))?;
                let items = [left, right].into_iter().flat_map(List::items);
                Some(Value::List(List::Made(items.collect())))
            }
            _ => left.calculate(calculation, &right),
        };
        result.ok_or_else(|| {
            self.unfit([&left, &right], || {
                let (left, right) = (left.kind(), right.kind());
                format!("{} of {left} and {right} has no result", calculation.word())
            })
        })
    }
}

/// A name out of the expression or the data, short enough for a message.
fn shown(name: &str) -> String {
    let start: String = name.chars().take(SHOWN).collect();
    let more = if start.len() < name.len() { "…" } else { "" };
    format!("\"{}{more}\"", start.escape_debug())
}
