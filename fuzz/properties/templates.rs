//! Templates: any source is compiled or refused, any data is placed within bounds; what should be JSON
//! is JSON, what should be a path stays one, and no message repeats the source.
//!
//! The source stands above a line of three dashes, the body of a push below it.

use std::fmt::Display;

use flashduty_receiver::template::{
    Context, Kind, MAX_BYTES, RenderError, Template, TemplateError, UrlPath, UrlTemplate,
};
use flashduty_receiver::words::Words;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::push;

/// Stands in a source for whatever its author wants nobody to see.
const SECRET: &str = "S3cret~9f3a";

/// What a URL begins with, whatever the template and the data say.
const HOST: &str = "https://tools.example/";

/// Compiles a source as each kind of template and renders it.
pub fn check(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else {
        return;
    };
    let (source, body) = push::parts(input);
    let event = push::event(body);
    let words = Words::new(&event);
    let remembered = Map::from_iter([("ticket".to_owned(), Value::from("T-1"))]);
    let context = Context::new(words.tree(), &remembered);

    if let Some(text) = rendered(Kind::Text, source, &context) {
        assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
    }
    if let Some(json) = rendered(Kind::Json, source, &context) {
        // Between quotes, quotes and backslashes of a value get a backslash more.
        assert!(json.len() <= 2 * MAX_BYTES, "{} bytes", json.len());
        let read = serde_json::from_str::<&RawValue>(&json);
        assert!(read.is_ok(), "{read:?}: {json}");
    }
    a_path_stays_a_path(source, &context);
    a_url_keeps_its_host(source, &context);
    for kind in [Kind::Json, Kind::Text, Kind::Url] {
        nothing_is_said_of_the_source(kind, source, &context);
    }
}

/// What a template gives, the same each time.
fn rendered(kind: Kind, source: &str, context: &Context<'_>) -> Option<String> {
    let template = Template::compile_as(kind, "fuzzed", source).ok()?;
    let unknown = template.unknown_names();
    assert!(unknown.is_sorted() && unknown.iter().all(|name| template.references(name)));
    let text = template.render(context);
    assert_eq!(text, template.render(context));
    text.ok()
}

fn a_path_stays_a_path(source: &str, context: &Context<'_>) {
    let Ok(template) = UrlPath::compile("fuzzed", source) else {
        return;
    };
    let Ok(path) = template.render(context) else {
        return;
    };
    assert!(path.is_empty() || path.starts_with('/'), "{path:?}");
    assert!(
        !path.starts_with("//") && !path.contains(['?', '#', '\\']),
        "{path:?}"
    );
    let is_odd = |at: char| at.is_whitespace() || at.is_control();
    assert!(!path.contains(is_odd), "{path:?}");
    let mut segments = path.split('/');
    assert!(
        segments.all(|segment| segment != "." && segment != ".."),
        "{path:?}"
    );
}

fn a_url_keeps_its_host(source: &str, context: &Context<'_>) {
    let Ok(template) = UrlTemplate::compile("fuzzed", &format!("{HOST}{source}")) else {
        return;
    };
    if let Ok(url) = template.render(context) {
        assert!(url.starts_with(HOST), "{url:?}");
    }
}

/// Neither what is wrong with it nor what is shown of it.
fn nothing_is_said_of_the_source(kind: Kind, source: &str, context: &Context<'_>) {
    match Template::compile_as(kind, "fuzzed", &format!("{SECRET}{source}")) {
        Ok(template) => {
            hides_it::<RenderError>(template.render(context).err());
            let shown = format!("{template:?}");
            assert!(!shown.contains(SECRET), "{shown}");
        }
        Err(error) => hides_it::<TemplateError>(Some(error)),
    }
}

fn hides_it<E: Display>(error: Option<E>) {
    let said = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(!said.contains(SECRET), "{said}");
}
