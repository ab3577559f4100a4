//! URLs with values of the event in their path.
//!
//! Scheme and host are fixed: a template can stand only behind them. A value is percent-encoded, so
//! that it adds no `/`, `?` or `#`; it is not empty and makes no `.` or `..` of its segment, so that
//! what is meant for one ticket never reaches all of them.

use std::fmt;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};

use super::{Context, Kind, RenderError, Template, TemplateError, is_captured, text};

/// Writes `value` as part of a path segment.
pub(super) fn write(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if is_captured(value) {
        return Ok(out.write_str(value.as_str().unwrap_or_default())?);
    }
    let plain = match value.kind() {
        ValueKind::String | ValueKind::Number => value.to_string(),
        ValueKind::Bool => value.is_true().to_string(),
        // The missing else of an inline if.
        ValueKind::Undefined => return Ok(()),
        other => {
            let what = format!("a value of type {other} cannot be part of a URL");
            return Err(Error::new(ErrorKind::InvalidOperation, what));
        }
    };
    if plain.is_empty() {
        let what = "an empty value cannot be part of a URL";
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    Ok(out.write_str(&text::percent_encoded(&plain))?)
}

/// A path, to go behind a fixed URL: empty, or beginning with a slash.
#[derive(Debug)]
pub struct UrlPath(Template);

impl UrlPath {
    /// Compiles `source`. Errors call it `name`.
    pub fn compile(name: &str, source: &str) -> Result<Self, TemplateError> {
        Template::compile_as(Kind::Url, name, source).map(Self)
    }

    /// The template itself, to ask what it uses.
    pub fn template(&self) -> &Template {
        &self.0
    }

    /// The path for one event; without query and fragment.
    pub fn render(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let path = self.0.render(context)?;
        match checked(&path) {
            Some(what) => Err(no_url(&self.0, what)),
            None if path.contains(['?', '#']) => Err(no_url(&self.0, "a path has no query")),
            None => Ok(path),
        }
    }
}

/// A URL whose path and query may be a template, and whose scheme and host may not.
pub struct UrlTemplate {
    origin: Box<str>,
    rest: Template,
    path: Option<UrlPath>,
}

impl UrlTemplate {
    /// Splits `url`, which is `http://` or `https://`, behind its host. Errors call it `name` and
    /// never quote it.
    pub fn compile(name: &str, url: &str) -> Result<Self, TemplateError> {
        let fault = |what| TemplateError::new(name, None, what);
        let (scheme, behind) = url
            .split_once("://")
            .filter(|(scheme, _)| {
                scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
            })
            .ok_or_else(|| fault("begins with neither http:// nor https://"))?;
        let end = behind.find(['/', '?', '#', '\\']).unwrap_or(behind.len());
        let (host, rest) = behind.split_at(end);
        if host.is_empty() {
            return Err(fault("has no host"));
        }
        if host.contains(['{', '}', '%']) {
            return Err(fault("has a template in its host, which must be fixed"));
        }
        if host.chars().any(|at| at.is_whitespace() || at.is_control()) {
            return Err(fault("has white space in its host"));
        }
        Ok(Self {
            origin: format!("{scheme}://{host}").into(),
            rest: Template::compile_as(Kind::Url, name, rest)?,
            path: None,
        })
    }

    /// Puts a path behind its own, before its query.
    #[must_use]
    pub fn with_path(mut self, path: UrlPath) -> Self {
        self.path = Some(path);
        self
    }

    /// Scheme and host: all of it that may be shown. Without user and password.
    pub fn origin(&self) -> String {
        match (self.origin.split_once("://"), self.origin.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            _ => self.origin.to_string(),
        }
    }

    /// Whether `name` may be looked at.
    pub fn references(&self, name: &str) -> bool {
        let path = self.path.as_ref();
        self.rest.references(name) || path.is_some_and(|path| path.0.references(name))
    }

    /// The URL for one event.
    pub fn render(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let rest = self.rest.render(context)?;
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (path, behind) = rest.split_at(end);
        if let Some(what) = checked(path) {
            return Err(no_url(&self.rest, what));
        }
        let more = match &self.path {
            Some(more) => more.render(context)?,
            None => String::new(),
        };
        let path = if more.is_empty() {
            path
        } else {
            path.strip_suffix('/').unwrap_or(path)
        };
        Ok(format!("{}{path}{more}{behind}", self.origin))
    }
}

impl fmt::Debug for UrlTemplate {
    /// Scheme and host only: the rest is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UrlTemplate").field(&self.origin()).finish()
    }
}

fn no_url(template: &Template, what: &'static str) -> RenderError {
    RenderError::NoUrl {
        name: template.name.to_string(),
        what,
    }
}

/// What is wrong with `path`. Dots are also those that URL parsers take for dots: `%2e`.
fn checked(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return None;
    }
    if !path.starts_with('/') {
        return Some("its path does not begin with a slash");
    }
    if path.starts_with("//") {
        return Some("its path begins with two slashes, which is another host");
    }
    if path.contains(|at: char| at.is_whitespace() || at.is_control() || at == '\\') {
        return Some("its path has white space or a backslash");
    }
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    };
    path.split('/')
        .any(is_dots)
        .then_some("a segment of its path is only dots")
}
