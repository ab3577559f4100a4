//! Strings that have broken other pages, as titles, labels and whatever else a push says.

use serde_json::{Value, json};

use crate::driver::play;
use crate::receiver::Receiver;
use crate::stage;

/// What would run a script, if anything made markup or an address of it.
const SCRIPTS: &[&str] = &[
    "<script>window.__ran = 1</script>",
    "<img src=x onerror=\"window.__ran = 1\">",
    "\"><svg onload=window.__ran=1>",
    "'><iframe srcdoc=\"<script>parent.__ran=1</script>\">",
    "</pre></bdi><a href=\"javascript:window.__ran=1\">x</a>",
    "javascript:window.__ran=1",
    "data:text/html,<script>opener.__ran=1</script>",
    "<style>* { display: none }</style>",
    "{{constructor.constructor('window.__ran=1')()}}",
    "${window.__ran=1}",
    "__proto__",
    "constructor",
    "&lt;b&gt;&amp;&#x41;",
    "</script><script>window.__ran = 1</script>",
    "<svg><animate onbegin=window.__ran=1 attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--><img src=x onerror=window.__ran=1>\">",
    "<meta http-equiv=refresh content=\"0;url=javascript:window.__ran=1\">",
    "<base href=//example.invalid/>",
];

const PLAIN: &str = "disk almost full";

fn event(number: usize, text: &str) -> String {
    let mut labels = serde_json::Map::new();
    labels.insert("name".to_owned(), json!(text));
    labels.insert(text.to_owned(), json!("value"));
    let event = json!({
        "event_id": format!("n{number}"),
        "event_type": "i_new",
        "incident": {
            "incident_id": format!("n{number}"),
            "title": text,
            "description": text,
            "channel_name": text,
            "detail_url": text,
            "labels": labels,
            "responders": [{"person_name": text}],
            "incident_severity": "Critical",
            "incident_status": "Critical",
            "progress": "Triggered",
        },
    });
    event.to_string()
}

#[test]
fn five_hundred_naughty_strings_are_shown_as_text_and_leave_the_page_as_it_is() {
    let mut texts: Vec<String> = serde_json::from_str(include_str!("../naughty.json")).unwrap();
    assert!(texts.len() >= 500);
    texts.extend(SCRIPTS.iter().map(|text| (*text).to_owned()));
    assert!(texts.len() >= 515);
    // What the others are compared with.
    texts.extend([PLAIN.to_owned(), " ".to_owned()]);
    let receiver = Receiver::start("");
    let strings: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let body = event(number, text);
            let answer = stage::pushed(&receiver, &body);
            json!({
                "seq": answer.json()["seq"], "text": text, "body": body,
                "subject": format!("incident:n{number}"), "type": "i_new",
            })
        })
        .collect();
    let [plain, blank] = &strings[strings.len() - 2..] else {
        panic!("there are two to compare with");
    };
    receiver.wait_for_delivery(&blank["seq"], "delivered");
    let with = json!({
        "base": stage::base(&receiver), "strings": strings,
        "plain": plain["seq"], "blank": blank["seq"],
    });
    play("naughty", &with, |_, _| Value::Null);
}
