//! Which layer wins, and how tables and lists of several layers come together.

use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::sink::line::LabelStyle;

fn labels(sink: &Sink) -> &LabelStyle {
    match &sink.to {
        Destination::Log(log) => &log.labels,
        other => panic!("no log: {other:?}"),
    }
}

#[test]
fn later_layers_win() {
    let mut place = Place::with_file("[server]\npath = \"/named\"\nmax_body = \"2MiB\"");
    place.write(
        "config/default.toml",
        "[server]\npath = \"/default\"\nmax_body = \"1MiB\"\nmax_connections = 77",
    );
    place.set(&[("FLASHDUTY__SERVER__PATH", "/environment")]);
    let loaded = place.load().unwrap();
    let server = loaded.settings.server;
    assert_eq!(server.path, "/environment");
    assert_eq!(server.max_body, 2 << 20);
    assert_eq!(server.max_connections, 77);
    assert_eq!(server.ack_deadline, Duration::from_millis(700));
    let files = ["config/default.toml", "config.toml"].map(|file| place.path().join(file));
    assert_eq!(loaded.files, files);
}

#[test]
fn tables_merge_and_lists_replace() {
    let mut place = Place::with_file(
        "[source]\nallow = [\"10.0.0.1\"]\n[source.headers]\nX-B = \"bbbbbbbbbbbbbbbbbb\"\n[sink.log]\nlabels = [\"team\"]",
    );
    place.write(
        "config/default.toml",
        "[source]\nallow = [\"10.0.0.2\", \"10.0.0.3\"]\nheaders.X-A = \"aaaaaaaaaaaaaaaaaa\"\n[sink.log]\ninclude_stale = true",
    );
    place.set(&[]);
    let settings = place.load().unwrap().settings;
    assert_eq!(settings.source.allow, ["10.0.0.1/32".parse().unwrap()]);
    let names: Vec<&str> = settings
        .source
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["x-a", "x-b"]);
    let sink = &settings.sinks[LOG_SINK];
    assert!(sink.includes_stale());
    assert_eq!(labels(sink), &LabelStyle::Lift(vec!["team".to_owned()]));
}

#[test]
fn variables_are_read_as_the_type_of_their_key() {
    let mut place = Place::new();
    place.set(&[
        ("FLASHDUTY__SERVER__MAX_CONNECTIONS", "0100"),
        ("FLASHDUTY__SOURCE__ALLOW", "10.0.0.1, 10.1.0.0/16"),
        ("FLASHDUTY__SOURCE__TRUSTED_PROXIES", ""),
        ("FLASHDUTY__SOURCE__TOKEN", "0000000000000000007,true"),
        ("FLASHDUTY__ADMIN__TOKEN", "007"),
        ("FLASHDUTY__SINK__LOG__LABELS", "team,service"),
        ("FLASHDUTY__SINK__SECOND_LOG__TYPE", "log"),
        ("FLASHDUTY__SINK__SECOND_LOG__ENABLED", "false"),
        ("FLASHDUTY__SINK__SECOND_LOG__LABELS", "string"),
        ("FLASHDUTY__OTLP__SAMPLE_RATIO", "0.25"),
        ("FLASHDUTY_UNRELATED", "x"),
        ("PATH", "/bin"),
    ]);
    let settings = place.load().unwrap().settings;
    assert_eq!(settings.server.max_connections, 100);
    assert_eq!(settings.source.allow.len(), 2);
    assert!(settings.source.trusted_proxies.is_empty());
    let tokens: Vec<&str> = settings
        .source
        .token
        .iter()
        .map(|token| token.expose_secret())
        .collect();
    assert_eq!(tokens, ["0000000000000000007", "true"]);
    assert_eq!(settings.admin.token.unwrap().expose_secret(), "007");
    let lifted = LabelStyle::Lift(vec!["team".to_owned(), "service".to_owned()]);
    assert_eq!(labels(&settings.sinks[LOG_SINK]), &lifted);
    assert_eq!(settings.otlp.sample_ratio.to_string(), "0.25");
    let second = &settings.sinks["second_log"];
    assert!(!second.is_enabled());
    assert_eq!(labels(second), &LabelStyle::String);
}

#[test]
fn every_way_to_write_a_value_in_toml_is_read() {
    let place = Place::with_file(
        "server = { max_connections = 1_000, path = '/literal' }\nstore.url = \"\"\"sqlite::memory:\"\"\"\n\
         [\"admission\"]\nkeep_unreadable = 0xff\nmax_clock_skew = \"1\\u006d\"",
    );
    let settings = place.load().unwrap().settings;
    assert_eq!(settings.server.max_connections, 1000);
    assert_eq!(settings.server.path, "/literal");
    assert_eq!(settings.store.url, StoreUrl::Memory);
    assert_eq!(settings.admission.keep_unreadable, 255);
    assert_eq!(settings.admission.max_clock_skew, Duration::from_secs(60));
}

proptest! {
    #[test]
    fn the_loader_answers_whatever_stands_in_a_file(
        section in prop::sample::select(vec!["server", "source.headers", "sink", "sink.log", "a", "\"a[0].b\""]),
        key in prop::sample::select(vec!["listen", "labels", "type", "x-y", "\"\"", "'a.b[1]'", "token"]),
        value in "-?[0-9]{1,3}(\\.[0-9])?(e400)?|\"[a-z{:/]{0,9}\"|\\[(\\[\\]|1|\"x\")?\\]|\\{( a = 1 )?\\}|true|nan|1979-05-27",
        header in any::<bool>(),
    ) {
        let text = if header {
            format!("[{section}]\n{key} = {value}")
        } else {
            format!("{section}.{key} = {value}\n[{section}.log]")
        };
        let _either_way = Place::with_file(&text).load();
    }
}

#[test]
fn a_missing_file_is_an_error_only_when_it_was_asked_for() {
    let mut place = Place::new();
    place.name("absent.toml", true);
    insta::assert_snapshot!(place.problems(), @"absent.toml: cannot be read: No such file or directory (os error 2); allowed: a TOML file this user may read");

    place.name("absent.toml", false);
    let loaded = place.load().unwrap();
    let absent = place.path().join("absent.toml");
    let warning = format!("{} is not there: going on without it", absent.display());
    assert!(loaded.warnings.contains(&warning), "{:?}", loaded.warnings);
    assert!(
        loaded.watched.paths().any(|path| path == absent),
        "{:?}",
        loaded.watched
    );
}

#[test]
fn files_with_secrets_are_watched() {
    let place = Place::with_file("[source]\ntoken = [\"file:token\", \"file:next\"]");
    place.write("token", "a-long-enough-secret\n");
    place.write("next", "another-long-enough-secret");
    let loaded = place.load().unwrap();
    let named = ["config/default.toml", "config.toml", "token", "next"];
    let named = named.map(|file| place.path().join(file));
    assert!(loaded.watched.paths().eq(named), "{:?}", loaded.watched);
    let tokens = loaded.settings.source.token;
    assert_eq!(tokens[0].expose_secret(), "a-long-enough-secret");
}

#[test]
fn what_was_bound_at_the_start_is_kept_over_a_reload() {
    let running = Settings::default();
    let new = Place::with_file(
        "[server]\nlisten = \"127.0.0.1:1\"\npath = \"/x\"\nack_deadline = \"500ms\"\n[admin]\nlisten = \"127.0.0.1:2\"\n\
         [source]\nallow = [\"10.9.9.9\"]\nproxy_protocol = \"required\"\ntrusted_proxies = [\"10.0.0.1\"]\n\
         [store]\nurl = \"sqlite::memory:\"\nretention = \"1d\"\nlock_wait = \"1s\"",
    );
    let reload = merge_reload(&running, new.load().unwrap().settings);
    let kept = [
        "server.listen",
        "server.path",
        "admin.listen",
        "source.proxy_protocol",
        "store.url",
        "store.retention",
        "store.lock_wait",
    ];
    assert_eq!(reload.kept, kept);
    let settings = reload.settings;
    assert_eq!(settings.server.listen, running.server.listen);
    assert_eq!(settings.store, running.store);
    assert_eq!(settings.server.ack_deadline, Duration::from_millis(500));
    assert_eq!(settings.source.allow, ["10.9.9.9/32".parse().unwrap()]);
    assert!(merge_reload(&running, Settings::default()).kept.is_empty());
}

#[test]
fn risky_settings_that_can_work_are_warned_of() {
    let place = Place::with_file(
        "[server]\nack_deadline = \"1s\"\nidle_timeout = \"60s\"\ndrain_delay = \"25s\"\n[source]\ntoken = \"0123456789abcdef\"\n[sink.log]\nenabled = false",
    );
    insta::assert_snapshot!(place.load().unwrap().warnings.join("\n"), @r#"
    server.ack_deadline = "1s" is no less than the second the sender waits: late answers are lost pushes
    server.idle_timeout = "1m" is no longer than what nginx and ALB keep (60s): they will reuse connections that are being closed, and lose pushes
    stopping may take 35s (server.drain_delay and server.drain_timeout): grant the container more than that, Kubernetes' default is 30s
    no sink is enabled: events are stored, but delivered nowhere
    "#);
    let place = Place::with_file("[source]\ntoken = \"0123456789abcdef\"");
    assert_eq!(place.load().unwrap().warnings, Vec::<String>::new());
}

#[test]
fn an_admin_port_beyond_loopback_without_a_token_is_warned_of() {
    let warnings = |admin: &str| {
        let source = "[source]\ntoken = \"0123456789abcdef\"";
        let place = Place::with_file(&format!("[admin]\n{admin}\n{source}"));
        place.load().unwrap().warnings.join("\n")
    };
    insta::assert_snapshot!(warnings("listen = \"0.0.0.0:9090\""), @r#"admin.listen = "0.0.0.0:9090" is beyond loopback and there is no admin.token: metrics and health answer, the API and the commands that use it do not"#);
    for good in [
        "listen = \"0.0.0.0:9090\"\ntoken = \"0123456789abcdef\"",
        "listen = \"[::1]:9090\"",
        "listen = \"[::ffff:127.0.0.1]:9090\"",
    ] {
        assert_eq!(warnings(good), "", "{good}");
    }
}
