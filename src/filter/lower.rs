//! From the parser's tree to [`Node`]s: here names are looked up and limits are kept.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use regex::{Regex, RegexBuilder};

use super::error::{FilterError, nearest};
use super::node::{Calculation, Comparison, Comprehension, Function, Gathering, Node};
use super::parse::Parsed;

/// Steps an expression may be made of.
const MOST_NODES: usize = 500;
/// The longest pattern, and what it may become when compiled, in bytes.
const LONGEST_PATTERN: usize = 512;
const LARGEST_REGEX: usize = 256 * 1024;
/// What is written like a function and is none.
const MACROS: [&str; 8] = [
    "has",
    "matches",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
];

type Lowered = Result<Node, FilterError>;

/// Compiles one tree.
pub(super) fn lower(parsed: &Parsed, source: &str, variables: &[&str]) -> Lowered {
    let mut lowering = Lowering {
        source,
        info: &parsed.info,
        variables,
        element: None,
        nodes: 0,
    };
    lowering.bool(&parsed.tree)
}

struct Lowering<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    variables: &'s [&'s str],
    /// The variable of the comprehension around, if any.
    element: Option<String>,
    nodes: usize,
}

impl Lowering<'_> {
    fn error(&self, at: &IdedExpr, message: impl Into<String>) -> FilterError {
        let offset = self.info.offset_for(at.id).map_or(0, |(start, _)| start);
        let offset = usize::try_from(offset).unwrap_or_default();
        FilterError::at(self.source, offset, message)
    }

    /// For a call, whose own place is its bracket: the function's name stands before it.
    fn error_of_call(&self, call: &IdedExpr, name: &str, message: String) -> FilterError {
        let bracket = self.info.offset_for(call.id).map_or(0, |(start, _)| start);
        let bracket = usize::try_from(bracket).unwrap_or_default();
        let before = self.source.get(..bracket).unwrap_or_default();
        FilterError::at(self.source, before.rfind(name).unwrap_or(bracket), message)
    }

    /// A node that may give true or false.
    fn bool(&mut self, tree: &IdedExpr) -> Lowered {
        let node = self.node(tree)?;
        match node.surely_no_bool() {
            Some(kind) => Err(self.error(tree, format!("this is {kind}, not true or false"))),
            None => Ok(node),
        }
    }

    fn boxed(&mut self, tree: &IdedExpr) -> Result<Box<Node>, FilterError> {
        self.node(tree).map(Box::new)
    }

    fn node(&mut self, tree: &IdedExpr) -> Lowered {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            let message = format!("the expression has more than {MOST_NODES} parts");
            return Err(self.error(tree, message));
        }
        match &tree.expr {
            Expr::Literal(literal) => self.literal(tree, literal),
            Expr::Ident(name) => self.name(tree, name),
            Expr::Select(select) => Ok(Node::Field(
                self.boxed(&select.operand)?,
                select.field.as_str().into(),
            )),
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| self.node(item));
                items.collect::<Result<_, _>>().map(Node::List)
            }
            Expr::Call(call) => self.call(tree, call),
            Expr::Map(_) | Expr::Struct(_) => {
                Err(self.error(tree, "maps and messages cannot be written here"))
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                Err(self.error(tree, "this cannot be understood"))
            }
        }
    }

    fn literal(&self, tree: &IdedExpr, literal: &LiteralValue) -> Lowered {
        Ok(match literal {
            LiteralValue::Null => Node::Null,
            LiteralValue::Boolean(value) => Node::Bool(*value.inner()),
            LiteralValue::Int(value) => Node::Integer(i128::from(*value.inner())),
            LiteralValue::UInt(value) => Node::Integer(i128::from(*value.inner())),
            LiteralValue::Double(value) => Node::Float(*value.inner()),
            LiteralValue::String(value) => Node::Text(value.inner().into()),
            LiteralValue::Bytes(_) => {
                return Err(self.error(tree, "bytes cannot be written here; leave out the b"));
            }
        })
    }

    fn name(&self, tree: &IdedExpr, name: &str) -> Lowered {
        if self.element.as_deref() == Some(name) {
            return Ok(Node::Element(name.into()));
        }
        if self.variables.contains(&name) {
            return Ok(Node::Variable(name.into()));
        }
        let known = self
            .variables
            .iter()
            .copied()
            .chain(self.element.as_deref());
        let message = match nearest(name, known.clone()) {
            Some(near) => format!("unknown name {name}; did you mean {near}?"),
            None => format!(
                "unknown name {name}; there are: {}",
                known.collect::<Vec<_>>().join(", ")
            ),
        };
        Err(self.error(tree, message))
    }

    fn call(&mut self, tree: &IdedExpr, call: &CallExpr) -> Lowered {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [argument]) if name == "has" => self.has(argument),
            (None, arguments) => match self.operator(name, arguments)? {
                Some(node) => Ok(node),
                None => self.function(tree, name, call),
            },
            (Some(target), [pattern]) if name == "matches" => self.matches(target, pattern),
            (Some(target), [element, bodies @ ..]) => match (gathering(name), bodies.len()) {
                (Some(kind), 1) => self.comprehend(kind, (target, element), bodies),
                (Some(Gathering::Map), 2) => {
                    self.comprehend(Gathering::Map, (target, element), bodies)
                }
                _ => self.function(tree, name, call),
            },
            _ => self.function(tree, name, call),
        }
    }

    fn has(&mut self, argument: &IdedExpr) -> Lowered {
        let node = self.node(argument)?;
        match node {
            Node::Variable(_) | Node::Field(..) => Ok(Node::Has(Box::new(node))),
            _ => Err(self.error(
                argument,
                "has() asks for a name or a field, such as has(labels.team); for a key in quotes \
                 write 'team' in labels",
            )),
        }
    }

    /// `None` when `name` is no operator.
    fn operator(
        &mut self,
        name: &str,
        arguments: &[IdedExpr],
    ) -> Result<Option<Node>, FilterError> {
        let node = match (name, arguments) {
            (operators::LOGICAL_NOT, [of]) => Node::Not(Box::new(self.bool(of)?)),
            (operators::NEGATE, [of]) => Node::Negate(self.boxed(of)?),
            (operators::LOGICAL_AND, [left, right]) => {
                Node::All(vec![self.bool(left)?, self.bool(right)?])
            }
            (operators::LOGICAL_OR, [left, right]) => {
                Node::Any(vec![self.bool(left)?, self.bool(right)?])
            }
            (operators::CONDITIONAL, [condition, yes, no]) => Node::Choice(Box::new([
                self.bool(condition)?,
                self.node(yes)?,
                self.node(no)?,
            ])),
            (operators::INDEX, [of, index]) => Node::Index(self.boxed(of)?, self.boxed(index)?),
            (_, [left, right]) => {
                let comparison = comparison(name);
                let calculation = calculation(name);
                if comparison.is_none() && calculation.is_none() && name != operators::IN {
                    return Ok(None);
                }
                let sides = Box::new([self.node(left)?, self.node(right)?]);
                match (comparison, calculation) {
                    (Some(comparison), _) => Node::Compare(comparison, sides),
                    (_, Some(calculation)) => Node::Calculate(calculation, sides),
                    _ => Node::In(sides),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(node))
    }

    fn function(&mut self, tree: &IdedExpr, name: &str, call: &CallExpr) -> Lowered {
        let known = Function::ALL.into_iter().find(|(known, _)| *known == name);
        let Some((_, function)) = known else {
            return Err(self.error_of_call(tree, name, no_such_function(name)));
        };
        let is_method = call.target.is_some();
        let fits = if is_method {
            function.is_method()
        } else {
            function.is_global()
        };
        let given = call.args.len() + usize::from(is_method);
        if !fits || given != function.takes() {
            let shape = match (function.is_method(), function.takes()) {
                (false, _) => format!("{name}(x)"),
                (true, 1) => format!("x.{name}()"),
                (true, _) => format!("x.{name}(y)"),
            };
            return Err(self.error_of_call(tree, name, format!("{name} is written {shape}")));
        }
        let values = call.target.as_deref().into_iter().chain(&call.args);
        let values = values.map(|value| self.node(value));
        Ok(Node::Call(function, values.collect::<Result<_, _>>()?))
    }

    fn matches(&mut self, target: &IdedExpr, pattern: &IdedExpr) -> Lowered {
        let of = self.boxed(target)?;
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            return Err(self.error(pattern, "the pattern of matches is written out, in quotes"));
        };
        let regex = compiled(text.inner()).map_err(|message| self.error(pattern, message))?;
        Ok(Node::Matches(of, regex))
    }

    fn comprehend(
        &mut self,
        kind: Gathering,
        (range, element): (&IdedExpr, &IdedExpr),
        bodies: &[IdedExpr],
    ) -> Lowered {
        if self.element.is_some() {
            let message = "all, exists, exists_one, map and filter do not nest";
            return Err(self.error(element, message));
        }
        let range = self.boxed(range)?;
        let Expr::Ident(name) = &element.expr else {
            return Err(self.error(element, "here stands a name of your own for each element"));
        };
        if self.variables.contains(&name.as_str()) {
            let message = format!("{name} is taken; choose another name for the element");
            return Err(self.error(element, message));
        }
        self.element = Some(name.clone());
        let lowered = match (kind, bodies) {
            (Gathering::Map, [condition, result]) => self
                .bool(condition)
                .and_then(|condition| Ok((Some(condition), Some(self.node(result)?)))),
            (Gathering::Map, [result]) => self.node(result).map(|result| (None, Some(result))),
            (_, [condition, ..]) => self
                .bool(condition)
                .map(|condition| (Some(condition), None)),
            (_, []) => Ok((None, None)),
        };
        self.element = None;
        let (condition, result) = lowered?;
        Ok(Node::Comprehend(Comprehension {
            kind,
            range,
            condition: condition.map(Box::new),
            result: result.map(Box::new),
        }))
    }
}

/// The pattern, if it is short and cheap enough. Matching takes time in proportion to the text
/// whatever the pattern, but also to the size of what the pattern becomes.
fn compiled(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(format!(
            "the pattern is longer than {LONGEST_PATTERN} bytes"
        ));
    }
    RegexBuilder::new(pattern)
        .size_limit(LARGEST_REGEX)
        .dfa_size_limit(LARGEST_REGEX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern repeats too much".to_owned(),
            other => {
                // The last line says what, the ones before show where, in the pattern.
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                let what = last.strip_prefix("error: ").unwrap_or(last);
                format!("the pattern cannot be used: {what}")
            }
        })
}

fn no_such_function(name: &str) -> String {
    let known = Function::ALL.iter().map(|(name, _)| *name).chain(MACROS);
    if MACROS.contains(&name) {
        return match name {
            "has" => "has is written has(labels.team)".to_owned(),
            "matches" => "matches is written x.matches('pattern')".to_owned(),
            _ => format!("{name} is written x.{name}(e, …), with e a name for each element"),
        };
    }
    match nearest(name, known.clone()) {
        Some(near) => format!("unknown function {name}; did you mean {near}?"),
        None => {
            let all: Vec<&str> = known.filter(|name| *name != "existsOne").collect();
            format!("unknown function {name}; there are: {}", all.join(", "))
        }
    }
}

fn gathering(name: &str) -> Option<Gathering> {
    Some(match name {
        "all" => Gathering::All,
        "exists" => Gathering::Exists,
        "exists_one" | "existsOne" => Gathering::ExistsOne,
        "filter" => Gathering::Filter,
        "map" => Gathering::Map,
        _ => return None,
    })
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::Unequal,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn calculation(name: &str) -> Option<Calculation> {
    Some(match name {
        operators::ADD => Calculation::Add,
        operators::SUBSTRACT => Calculation::Subtract,
        operators::MULTIPLY => Calculation::Multiply,
        operators::DIVIDE => Calculation::Divide,
        operators::MODULO => Calculation::Remainder,
        _ => return None,
    })
}
