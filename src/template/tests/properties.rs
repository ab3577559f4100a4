//! What holds for any value in any template of a few parts.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::words;
use crate::template::{Context, Template, text};

fn render(name: &str, source: &str, title: &str) -> Option<String> {
    let (words, nothing) = (words(json!({ "title": title })), Map::new());
    let template = Template::compile(name, source).ok()?;
    template.render(&Context::new(&words, &nothing)).ok()
}

proptest! {
    #[test]
    fn any_title_comes_through_json_unchanged(title in any::<String>()) {
        let source = r#"{"a":{{ title }},"b":"x {{ title }} y","c":["{{ title }}",{{ title | tojson }}]}"#;
        let tree: Value = serde_json::from_str(&render("t.json", source, &title).unwrap()).unwrap();
        prop_assert_eq!(&tree["a"], &title);
        prop_assert_eq!(&tree["b"], &format!("x {title} y"));
        prop_assert_eq!(&tree["c"], &json!([title, title]));
    }

    #[test]
    fn any_template_of_these_parts_gives_json_with_the_same_shape_for_any_title(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{{ title }}", "\"", ",", "[", "]", "{", "}", ":", "\\", "1", " ", "{{ [title] }}",
            "{% set x %}\"{{ title }}\"{% endset %}", "{{ x }}", "{{ title | tojson }}",
        ]), 0..12),
        titles in prop::collection::vec("[\",\\[\\]{}:\\\\1 ]{0,6}", 2),
    ) {
        fn shape(value: &Value) -> Value {
            match value {
                Value::Array(items) => Value::Array(items.iter().map(shape).collect()),
                Value::Object(members) => Value::from(members.len()),
                Value::String(_) => Value::from("text"),
                other => other.clone(),
            }
        }
        let source = format!("[{}]", parts.concat());
        let shapes: Vec<_> = titles
            .iter()
            .filter_map(|title| render("t.json", &source, title))
            .map(|out| shape(&serde_json::from_str(&out).unwrap()))
            .collect();
        prop_assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{}: {:?}", source, shapes);
    }

    #[test]
    fn any_source_is_compiled_or_refused_without_a_panic(source in "([{}%\"| a-z.()']|\\{\\{|\\}\\}|\\{%|%\\}){0,40}") {
        let _rendered = render("t.json", &source, "x");
        let _rendered = render("t.txt", &source, "x");
    }

    #[test]
    fn a_cut_text_is_a_beginning_within_its_limit(title in "\\PC{0,40}", limit in 0_usize..200) {
        let cut = text::truncated(&title, limit);
        prop_assert!(cut.len() <= limit);
        let begin = cut.strip_suffix('…').unwrap_or(&cut);
        prop_assert!(title.starts_with(begin));
    }

    #[test]
    fn one_line_and_urls_hold_nothing_that_ends_them(title in any::<String>()) {
        prop_assert!(!text::on_one_line(&title).contains(char::is_control));
        if let Some(url) = text::web_url(&format!("https://{title}"), 5000) {
            prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!url.contains(['(', ')', '<', '>', '"', '\'', '[', ']', '|', '\\', '`']));
        }
    }
}
