//! Sinks of every type as they are configured, and presets below them.

use secrecy::ExposeSecret as _;
use std::time::Duration;

use super::*;

const URL: &str = "https://tickets.example/secret?key=secret";

/// A configured sink of type http with `keys`.
fn http(keys: &str) -> Place {
    Place::with_file(&format!(
        "[source]\ntoken = \"0123456789abcdef\"\n[sink.tickets]\ntype = \"http\"\nurl = \"{URL}\"\n{keys}"
    ))
}

fn http_sink(settings: &Settings) -> &HttpSink {
    match &settings.sinks["tickets"].to {
        Destination::Http(http) => http,
        other => panic!("no http sink: {other:?}"),
    }
}

#[test]
fn a_preset_takes_a_url_and_lies_below_what_is_configured() {
    let place = Place::with_file(
        "[sink.tickets]\npreset = \"feishu\"\nurl = \"https://open.feishu.example/hook/secret\"\nrate = \"1/1s\"\npause = \"5s\"",
    );
    let settings = place.load().unwrap().settings;
    let sink = &settings.sinks["tickets"];
    assert_eq!(sink.type_name(), "http");
    assert_eq!(sink.delivery.order, Order::Latest);
    assert_eq!(sink.delivery.max_age, Some(Duration::from_secs(1800)));
    assert_eq!(sink.delivery.rate.len(), 1, "the user's own rate");
    let http = http_sink(&settings);
    assert_eq!(http.pause, Duration::from_secs(5));
    assert_eq!(http.success.source(), "body.code == 0");
    assert!(http.template.is_some());
    assert_eq!(http.timezone, "Asia/Shanghai");
}

#[test]
fn every_preset_makes_a_sink_in_both_languages() {
    for name in crate::preset::NAMES {
        for lang in ["zh", "en"] {
            let place = Place::with_file(&format!(
                "[sink.tickets]\npreset = \"{name}\"\nlang = \"{lang}\"\nurl = \"{URL}\"\nsigning_secret = \"0123456789abcdef\""
            ));
            let loaded = place
                .load()
                .unwrap_or_else(|error| panic!("{name} {lang}: {error}"));
            let sink = &loaded.settings.sinks["tickets"];
            assert!(http_sink(&loaded.settings).options(&sink.delivery).is_ok());
        }
    }
}

#[test]
fn what_preset_prints_is_a_configuration() {
    for name in crate::preset::NAMES {
        let printed = crate::preset::print(name, crate::preset::Lang::En).unwrap();
        let place = Place::with_file(&printed);
        let key = format!("FLASHDUTY__SINK__{}__URL", name.to_uppercase());
        let mut place = place;
        place.set(&[(&key, URL), ("UNUSED", "")]);
        // A robot's way to sign takes a secret, which is left out of what is printed.
        let secret = format!("FLASHDUTY__SINK__{}__SIGNING_SECRET", name.to_uppercase());
        place.set(&[(&key, URL), (&secret, "0123456789abcdef")]);
        place
            .load()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn problems_blame_the_line_of_the_user_or_else_the_preset() {
    let place = Place::with_file("[sink.chat]\npreset = \"wecom\"\npause = \"soon\"\n");
    insta::assert_snapshot!(place.problems(), @r#"
    config.toml:1: sink.chat.url: is missing; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}"
    config.toml:3: sink.chat.pause = "soon": is no length of time; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "0s" to "1d"
    "#);
    let error = place.load().unwrap_err();
    assert!(error.to_string().contains("sink.chat.url"));
    let place = Place::with_file(&format!("[sink.chat]\npreset = \"wecom\"\nurl = \"{URL}\""));
    let told = place
        .load()
        .unwrap()
        .problem("sink.chat.success", "is mentioned")
        .to_string();
    assert!(
        told.starts_with(
            "from preset wecom: sink.chat.success = \"body.errcode == 0\": is mentioned; "
        ),
        "{told}"
    );
}

#[test]
fn variables_reach_every_key_of_a_sink() {
    let mut place = Place::new();
    place.set(&[
        ("FLASHDUTY__SINK__TICKETS__TYPE", "http"),
        ("FLASHDUTY__SINK__TICKETS__URL", "env:TICKETS_URL"),
        ("TICKETS_URL", URL),
        (
            "FLASHDUTY__SINK__TICKETS__HEADERS__AUTHORIZATION",
            "Bearer 007",
        ),
        ("FLASHDUTY__SINK__TICKETS__RATE", "90/1m,5/1s"),
        ("FLASHDUTY__SINK__TICKETS__RETRY__MAX", "1m"),
        ("FLASHDUTY__SINK__TICKETS__REMEMBER__TICKET", "/key"),
        ("FLASHDUTY__SINK__TICKETS__CONCURRENCY", "3"),
        (
            "FLASHDUTY__SINK__TICKETS__FILTER",
            "severity in ['Critical','Warning']",
        ),
        ("FLASHDUTY__SINK__TICKETS__ALLOW_PRIVATE", "false"),
        ("FLASHDUTY__SINK__RESTART__TYPE", "exec"),
        ("FLASHDUTY__SINK__RESTART__COMMAND", "/bin/true,--now"),
        ("FLASHDUTY__SINK__RESTART__RETRY_EXIT_CODES", "75,111"),
    ]);
    let settings = place.load().unwrap().settings;
    let http = http_sink(&settings);
    assert_eq!(http.url.as_ref().unwrap().expose_secret(), URL);
    assert_eq!(http.headers[0].1.expose_secret(), "Bearer 007");
    assert_eq!(http.remember["ticket"], "/key");
    assert!(!http.allow_private);
    let delivery = &settings.sinks["tickets"].delivery;
    assert_eq!((delivery.rate.len(), delivery.concurrency), (2, Some(3)));
    assert_eq!(delivery.retry.max, Duration::from_secs(60));
    assert!(delivery.filter.is_some());
    let Destination::Exec(exec) = &settings.sinks["restart"].to else {
        panic!("no exec sink");
    };
    assert_eq!(exec.command, ["/bin/true", "--now"]);
    assert_eq!(exec.retry_exit_codes, [75, 111]);
}

#[test]
fn defaults_depend_on_the_type() {
    let place = http(
        "[sink.restart]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\n[sink.archive]\ntype = \"file\"\npath = \"a.jsonl\"",
    );
    let settings = place.load().unwrap().settings;
    let of = |name: &str| {
        let delivery = &settings.sinks[name].delivery;
        (delivery.concurrency, delivery.timeout, delivery.once())
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(of("tickets"), (Some(8), seconds(10), false));
    assert_eq!(of("restart"), (Some(4), seconds(30), true));
    assert_eq!(of("archive"), (None, None, false));
    assert_eq!(of(LOG_SINK), (None, None, false));
}

#[test]
fn a_changed_template_or_secret_changes_the_sink_and_nothing_else_does() {
    let place =
        http("template = \"file:ticket.json.j2\"\nheaders = { Authorization = \"file:token\" }");
    place.write("ticket.json.j2", "{\"title\": \"{{ title }}\"}");
    place.write("token", "0123456789abcdef");
    let identity = || place.load().unwrap().settings.sinks["tickets"].identity;
    let first = identity();
    assert_eq!(first, identity());
    place.write("ticket.json.j2", "{\"t\": \"{{ title }}\"}");
    let second = identity();
    assert_ne!(first, second);
    place.write("token", "fedcba9876543210");
    assert_ne!(second, identity());
    let loaded = place.load().unwrap();
    let template = place.path().join("ticket.json.j2");
    assert!(loaded.watched.paths().any(|path| path == template));
}

#[test]
fn a_template_that_is_not_there_yet_is_watched_for_and_named() {
    let place = http("template = \"file:ticket.json.j2\"");
    insta::assert_snapshot!(place.problems(), @r#"config.toml:6: sink.tickets.template = "file:ticket.json.j2": leads to ticket.json.j2, which cannot be read: No such file or directory (os error 2); allowed: a template (minijinja) of JSON, or "file:/path/to/it", where a name that ends in neither .json nor .json.j2 stands for text"#);
}

#[test]
fn a_wrong_template_in_a_file_names_its_line() {
    let place = http("template = \"file:ticket.json.j2\"");
    place.write("ticket.json.j2", "{\n\"a\": \"{{ titel }}\"}");
    assert!(place.problems().contains("uses what no event has: titel"));
    place.write("ticket.json.j2", "{\n\"a\": \"{{ title }\"}");
    assert!(place.problems().contains("ticket.json.j2, line 2: "));
}

#[test]
fn a_filter_for_new_incidents_without_stale_ones_is_warned_about() {
    let place = http("filter = \"event_type == 'i_new'\"");
    insta::assert_snapshot!(place.load().unwrap().warnings.join("\n").replace(&format!("{}/", place.path().display()), ""), @r#"config.toml:6: sink.tickets.filter asks for "i_new" without include_stale: a new incident whose event arrives after a later one of it is missed"#);
    let place = http("filter = \"event_type == 'i_new'\"\ninclude_stale = true");
    assert_eq!(place.load().unwrap().warnings, Vec::<String>::new());
}

#[test]
fn a_sink_is_printed_with_its_host_and_without_its_secrets() {
    let place = http(
        "filter = \"severity == 'Critical'\"\nrate = \"20/1m\"\nheaders = { Authorization = \"secret\" }\ntemplate = '{\"a\": 1}'",
    );
    let settings = place.load().unwrap().settings;
    let described = describe(&settings);
    let (_, sink) = described.split_once("[sink.tickets]").unwrap();
    insta::assert_snapshot!(sink, @r#"

    type = "http"
    method = "POST"
    url = "https://tickets.example/***"
    template = "(8 bytes)"
    format = "push"
    success = "status >= 200 && status < 300"
    retry_on = "status in [408, 425, 429] || status >= 500"
    pause = "0s"
    allow_private = true
    timezone = "Asia/Shanghai"
    enabled = true
    filter = "severity == 'Critical'"
    order = "subject"
    include_stale = false
    concurrency = 8
    timeout = "10s"
    rate = ["20/1m"]
    on_interrupt = "retry"

    [sink.tickets.headers]
    authorization = "***"

    [sink.tickets.retry]
    initial = "1s"
    max = "5m"
    max_elapsed = "1d"
    "#);
}

#[test]
fn the_built_in_sink_may_become_another_type() {
    let place = Place::with_file("[sink.log]\ntype = \"file\"\npath = \"events.jsonl\"");
    let settings = place.load().unwrap().settings;
    assert_eq!(settings.sinks[LOG_SINK].type_name(), "file");
}
