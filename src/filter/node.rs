//! A compiled expression: names are resolved, patterns compiled, and nothing is left that could
//! fail but for the data.

use regex::Regex;

/// One step of the evaluation.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Box<str>),
    List(Vec<Node>),
    /// A word, by its name.
    Variable(Box<str>),
    /// The element a comprehension looks at; the name is for messages.
    Element(Box<str>),
    Field(Box<Node>, Box<str>),
    Index(Box<Node>, Box<Node>),
    /// Whether the variable, element or field is there.
    Has(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Choice(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    Calculate(Calculation, Box<[Node; 2]>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Regex),
    Comprehend(Comprehension),
}

/// A macro over a list, or over the keys of a map.
#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) kind: Gathering,
    pub(super) range: Box<Node>,
    /// Which elements count; `map` may do without.
    pub(super) condition: Option<Box<Node>>,
    /// What `map` makes of them.
    pub(super) result: Option<Box<Node>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathering {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Int,
    Double,
    String,
}

impl Function {
    /// Every function, by name.
    pub(super) const ALL: [(&str, Self); 9] = [
        ("size", Self::Size),
        ("contains", Self::Contains),
        ("startsWith", Self::StartsWith),
        ("endsWith", Self::EndsWith),
        ("lowerAscii", Self::LowerAscii),
        ("upperAscii", Self::UpperAscii),
        ("int", Self::Int),
        ("double", Self::Double),
        ("string", Self::String),
    ];

    /// Whether it may be written `x.f()`.
    pub(super) fn is_method(self) -> bool {
        !matches!(self, Self::Int | Self::Double | Self::String)
    }

    /// Whether it may be written `f(x)`.
    pub(super) fn is_global(self) -> bool {
        matches!(self, Self::Size | Self::Int | Self::Double | Self::String)
    }

    /// How many values it takes, the one before the dot included.
    pub(super) fn takes(self) -> usize {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => 2,
            _ => 1,
        }
    }
}

impl Node {
    /// Where it looks, as it would be written: `push.incident.fields`.
    pub(super) fn path(&self) -> Option<String> {
        match self {
            Self::Variable(name) | Self::Element(name) => Some(name.to_string()),
            Self::Field(of, name) => Some(format!("{}.{name}", of.path()?)),
            Self::Index(of, index) => match &**index {
                Self::Text(name) => Some(format!("{}['{name}']", of.path()?)),
                Self::Integer(number) => Some(format!("{}[{number}]", of.path()?)),
                _ => Some(format!("{}[…]", of.path()?)),
            },
            _ => None,
        }
    }

    /// What it gives, when that is known before any data is, and is neither true nor false.
    pub(super) fn surely_no_bool(&self) -> Option<&'static str> {
        match self {
            Self::Null => Some("null"),
            Self::Integer(_) | Self::Float(_) | Self::Negate(_) => Some("a number"),
            Self::Text(_) => Some("a text"),
            Self::List(_) => Some("a list"),
            Self::Calculate(Calculation::Add, _) => Some("a sum"),
            Self::Calculate(..) => Some("a number"),
            Self::Comprehend(loops) => match loops.kind {
                Gathering::Filter | Gathering::Map => Some("a list"),
                Gathering::All | Gathering::Exists | Gathering::ExistsOne => None,
            },
            Self::Call(function, _) => match function {
                Function::Size | Function::Int | Function::Double => Some("a number"),
                Function::LowerAscii | Function::UpperAscii | Function::String => Some("a text"),
                Function::Contains | Function::StartsWith | Function::EndsWith => None,
            },
            _ => None,
        }
    }

    /// The nodes right below.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Field(of, _) | Self::Has(of) | Self::Not(of) | Self::Negate(of) => vec![of],
            Self::Matches(of, _) => vec![of],
            Self::Index(of, index) => vec![of, index],
            Self::List(nodes) | Self::All(nodes) | Self::Any(nodes) | Self::Call(_, nodes) => {
                nodes.iter().collect()
            }
            Self::Choice(nodes) => nodes.iter().collect(),
            Self::Compare(_, nodes) | Self::In(nodes) | Self::Calculate(_, nodes) => {
                nodes.iter().collect()
            }
            Self::Comprehend(loops) => {
                let rest = [&loops.condition, &loops.result];
                let rest = rest.into_iter().flatten().map(|node| &**node);
                [&*loops.range].into_iter().chain(rest).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it looks at `variable`.
    pub(super) fn references(&self, variable: &str) -> bool {
        matches!(self, Self::Variable(name) if **name == *variable)
            || self
                .children()
                .into_iter()
                .any(|node| node.references(variable))
    }

    /// Whether it is true of `variable` being `text`, as far as one comparison goes.
    pub(super) fn compares(&self, variable: &str, text: &str) -> bool {
        let is_variable = |node: &Node| matches!(node, Self::Variable(name) if **name == *variable);
        let is_text = |node: &Node| matches!(node, Self::Text(found) if **found == *text);
        let here = match self {
            Self::Compare(Comparison::Equal, sides) => {
                let [left, right] = &**sides;
                (is_variable(left) && is_text(right)) || (is_text(left) && is_variable(right))
            }
            Self::In(sides) => match &**sides {
                [left, Self::List(items)] => is_variable(left) && items.iter().any(is_text),
                _ => false,
            },
            // What is excluded is not asked for.
            Self::Not(_) => return false,
            _ => false,
        };
        here || self
            .children()
            .into_iter()
            .any(|node| node.compares(variable, text))
    }
}
