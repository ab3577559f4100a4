//! The macros over a list or the keys of a map.

use super::error::EvaluationError;
use super::evaluate::{Evaluated, Evaluator};
use super::node::{Comprehension, Gathering};
use super::value::{List, Text, Value};

impl<'s> Evaluator<'s> {
    /// What `comprehension` gathers from its elements.
    pub(super) fn comprehend(
        &mut self,
        comprehension: &'s Comprehension,
        element: Option<&Value<'s>>,
    ) -> Evaluated<Value<'s>> {
        let elements = match self.value(&comprehension.range, element)? {
            Value::List(list) => list,
            Value::Map(map) => {
                self.spend(map.len())?;
                let names = map.keys().map(|name| Value::Text(Text::Lent(name)));
                List::Made(names.collect())
            }
            other => {
                return Err(self.unfit([&other], || {
                    let of = comprehension.range.path();
                    let of = of.unwrap_or_else(|| "this".to_owned());
                    format!("{of} is {}, which has no elements", other.kind())
                }));
            }
        };
        let mut found = Found::new(comprehension.kind);
        for element in elements.items() {
            let counts = match &comprehension.condition {
                Some(condition) => self.bool(condition, Some(&element)),
                None => Ok(true),
            };
            let result = match (&comprehension.result, &counts) {
                (Some(result), Ok(true)) => self.value(result, Some(&element))?,
                _ => element,
            };
            if found.decided_by(counts, result)? {
                break;
            }
        }
        found.finish()
    }
}

/// What a comprehension has gathered so far.
struct Found<'s> {
    kind: Gathering,
    matches: Vec<Value<'s>>,
    count: usize,
    misses: usize,
    undecided: Option<EvaluationError>,
}

impl<'s> Found<'s> {
    fn new(kind: Gathering) -> Self {
        Self {
            kind,
            matches: Vec::new(),
            count: 0,
            misses: 0,
            undecided: None,
        }
    }

    /// Takes one element in; true when the rest does not matter.
    fn decided_by(&mut self, counts: Evaluated<bool>, result: Value<'s>) -> Evaluated<bool> {
        let gathers = matches!(self.kind, Gathering::Filter | Gathering::Map);
        match counts {
            Ok(true) if gathers => self.matches.push(result),
            Ok(true) => self.count += 1,
            Ok(false) => self.misses += 1,
            Err(EvaluationError::Exhausted) => return Err(EvaluationError::Exhausted),
            // Another element may still decide these two, as in a chain of && or ||.
            Err(error) if matches!(self.kind, Gathering::All | Gathering::Exists) => {
                if error.outdoes(self.undecided.as_ref()) {
                    self.undecided = Some(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(match self.kind {
            Gathering::All => self.misses > 0,
            Gathering::Exists => self.count > 0,
            // Elements behind a second match are still looked at: one of them may be an error.
            Gathering::ExistsOne | Gathering::Filter | Gathering::Map => false,
        })
    }

    fn finish(self) -> Evaluated<Value<'s>> {
        match (self.kind, self.undecided) {
            (Gathering::All, _) if self.misses > 0 => Ok(Value::Bool(false)),
            (Gathering::Exists, _) if self.count > 0 => Ok(Value::Bool(true)),
            (_, Some(error)) => Err(error),
            (Gathering::All, None) => Ok(Value::Bool(true)),
            (Gathering::Exists, None) => Ok(Value::Bool(false)),
            (Gathering::ExistsOne, None) => Ok(Value::Bool(self.count == 1)),
            (Gathering::Filter | Gathering::Map, None) => {
                Ok(Value::List(List::Made(self.matches.into())))
            }
        }
    }
}
