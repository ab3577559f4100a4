//! Wrong configurations: each message says where, which key, which value, and what is allowed.

use super::*;

/// For each wrong text a test that it is refused with exactly this message.
macro_rules! refused {
    ($($name:ident: $text:literal => $message:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let problems = Place::with_file($text).problems();
                insta::assert_snapshot!(problems, @$message);
                $crate::config::tests::wrong::assert_complete(&problems);
            }
        )*
    };
}

/// Whether every line names the file with a line, and says what is allowed.
pub(super) fn assert_complete(problems: &str) {
    for problem in problems.lines() {
        let place = problem.split(": ").next().unwrap_or_default();
        let line = place.strip_prefix("config.toml:").unwrap_or_default();
        assert!(line.parse::<u32>().is_ok(), "no file and line: {problem}");
        assert!(
            problem.contains("; allowed: "),
            "not what is allowed: {problem}"
        );
    }
}

pub(super) use refused;

refused! {
    a_port_alone_is_no_address:
        "[server]\nlisten = \":8080\""
        => r#"config.toml:2: server.listen = ":8080": is no address with a port; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080""#;

    a_number_is_no_address:
        "[server]\nlisten = 8080"
        => r#"config.toml:2: server.listen = 8080: is of type integer, where a string belongs; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080""#;

    a_host_name_is_no_address:
        "[admin]\nlisten = \"localhost:9090\""
        => r#"config.toml:2: admin.listen = "localhost:9090": is no address with a port; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080""#;

    a_path_begins_with_a_slash:
        "[server]\npath = \"webhook\""
        => r#"config.toml:2: server.path = "webhook": is no path for the webhook; allowed: a path such as "/webhook": a slash and A-Z, a-z, 0-9, '.', '_', '-', in one or more segments, other than /livez and /readyz"#;

    a_path_does_not_take_the_probes_place:
        "[server]\npath = \"/readyz\""
        => r#"config.toml:2: server.path = "/readyz": is no path for the webhook; allowed: a path such as "/webhook": a slash and A-Z, a-z, 0-9, '.', '_', '-', in one or more segments, other than /livez and /readyz"#;

    a_path_is_not_the_root:
        "[server]\npath = \"/\""
        => r#"config.toml:2: server.path = "/": is no path for the webhook; allowed: a path such as "/webhook": a slash and A-Z, a-z, 0-9, '.', '_', '-', in one or more segments, other than /livez and /readyz"#;

    a_size_has_a_unit:
        "[server]\nmax_body = 1048576"
        => r#"config.toml:2: server.max_body = 1048576: has no unit (did you mean "1048576B"?); allowed: a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as "64KiB", from "1KiB" to "1GiB""#;

    a_size_is_no_decimal_fraction:
        "[server]\nmax_body = \"1.5MiB\""
        => r#"config.toml:2: server.max_body = "1.5MiB": is no size; allowed: a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as "64KiB", from "1KiB" to "1GiB""#;

    a_body_fits_the_memory_of_all_bodies:
        "[server]\nmax_body = \"128MiB\""
        => r#"config.toml:2: server.max_body = "128MiB": is more than server.max_inflight = "64MiB" has room for; allowed: at most "64MiB", or a larger server.max_inflight"#;

    a_size_stays_in_its_range:
        "[server]\nmax_inflight = \"1KiB\""
        => r#"config.toml:2: server.max_inflight = "1KiB": is too small; allowed: a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as "64KiB", from "1MiB" to "64GiB""#;

    a_duration_has_a_unit:
        "[server]\nack_deadline = 700"
        => r#"config.toml:2: server.ack_deadline = 700: has no unit (did you mean "700ms" or "700s"?); allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "50ms" to "2s""#;

    a_duration_in_quotes_has_a_unit_too:
        "[server]\nack_deadline = \"700\""
        => r#"config.toml:2: server.ack_deadline = "700": has no unit (did you mean "700ms" or "700s"?); allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "50ms" to "2s""#;

    the_answer_is_not_later_than_the_sender_waits:
        "[server]\nack_deadline = \"3s\""
        => r#"config.toml:2: server.ack_deadline = "3s": is too long; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "50ms" to "2s""#;

    a_timeout_is_not_zero:
        "[server]\nheader_timeout = \"0s\""
        => r#"config.toml:2: server.header_timeout = "0s": is too short; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "100ms" to "5m""#;

    a_duration_does_not_overflow:
        "[server]\nidle_timeout = \"99999999999999999999d\""
        => r#"config.toml:2: server.idle_timeout = "99999999999999999999d": is too long to count in milliseconds; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "1s" to "1d""#;

    a_choice_is_one_of_its_words:
        "[server]\non_late = \"drop\""
        => r#"config.toml:2: server.on_late = "drop": is an unknown word; allowed: "answer" or "close""#;

    a_count_is_a_number:
        "[server]\nmax_connections = \"many\""
        => r#"config.toml:2: server.max_connections = "many": is no whole number; allowed: a whole number from 10 to 1000000"#;

    a_count_stays_in_its_range:
        "[server]\nmax_connections = 0"
        => r#"config.toml:2: server.max_connections = 0: is too small; allowed: a whole number from 10 to 1000000"#;

    a_count_is_not_negative:
        "[admission]\nkeep_unreadable = -1"
        => r#"config.toml:2: admission.keep_unreadable = -1: is too small; allowed: a whole number from 0 to 1000000"#;

    a_count_fits_64_bits:
        "[server]\nmax_connections = 99999999999999999999"
        => r#"config.toml:2: server.max_connections = 99999999999999999999: does not fit 64 bits; allowed: a whole number from 10 to 1000000"#;

    two_listeners_do_not_share_a_port:
        "[admin]\nlisten = \"127.0.0.1:8080\""
        => r#"config.toml:2: admin.listen = "127.0.0.1:8080": is taken by server.listen = "0.0.0.0:8080"; allowed: another port or address"#;

    every_wrong_element_of_a_list_is_named:
        "[source]\nallow = [\n  \"10.0.0.1\",\n  \"10.0.0.256\",\n  \"example.com\",\n  \"10.0.0.2\",\n  7,\n]"
        => r#"
        config.toml:4: source.allow[1] = "10.0.0.256": is no address; allowed: addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32"
        config.toml:5: source.allow[2] = "example.com": is no address; allowed: addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32"
        config.toml:7: source.allow[4] = 7: is of type integer, where a string belongs; allowed: addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32"
        "#;

    a_list_is_no_string:
        "[source]\nallow = \"10.0.0.1\""
        => r#"config.toml:2: source.allow = "10.0.0.1": is no list; allowed: a list of addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32""#;

    a_block_has_no_bits_behind_its_prefix:
        "[source]\ntrusted_proxies = [\"10.0.0.1/8\"]"
        => r#"config.toml:2: source.trusted_proxies[0] = "10.0.0.1/8": names an address inside its block: write "10.0.0.0/8" or "10.0.0.1"; allowed: addresses such as "10.0.0.7", blocks such as "10.0.0.0/8", and "private_ranges""#;

    private_ranges_are_no_senders:
        "[source]\nallow = [\"private_ranges\"]"
        => r#"config.toml:2: source.allow[0] = "private_ranges": is for trusted_proxies only; allowed: addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32""#;

    not_everything_is_trusted:
        "[source]\ntrusted_proxies = [\"0.0.0.0/0\"]"
        => r#"config.toml:2: source.trusted_proxies = ["0.0.0.0/0"]: 0.0.0.0/0 is trusted as a whole: list the addresses of your own proxies only; allowed: a list of addresses such as "10.0.0.7", blocks such as "10.0.0.0/8", and "private_ranges""#;

    a_sender_is_no_proxy:
        "[source]\nallow = [\"10.0.0.7\"]\ntrusted_proxies = [\"private_ranges\"]"
        => r#"config.toml:3: source.trusted_proxies = ["private_ranges"]: 10.0.0.0/8 overlaps 10.0.0.7 in source.allow: an address is either a proxy or the sender, narrow one of them; allowed: a list of addresses such as "10.0.0.7", blocks such as "10.0.0.0/8", and "private_ranges""#;

    nobody_allowed_is_a_mistake:
        "[source]\nallow = []"
        => r#"config.toml:2: source.allow = []: no address is allowed, so every push would be refused: list the sender's addresses; allowed: a list of addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32""#;

    enforcing_the_secret_takes_a_secret:
        "[source]\nenforce = \"secret\""
        => r#"config.toml:2: source.enforce = "secret": enforce = "secret" without a secret would let anybody push: set source.token or source.headers; allowed: "address" or "secret""#;

    the_proxy_protocol_takes_a_proxy:
        "[source]\nproxy_protocol = \"required\""
        => r#"config.toml:2: source.proxy_protocol = "required": proxy_protocol = "required" is accepted from source.trusted_proxies only, and there is none: list the load balancer; allowed: "off" or "required""#;

    a_switch_is_a_word_not_a_flag:
        "[source]\nproxy_protocol = true"
        => r#"config.toml:2: source.proxy_protocol = true: is an unknown word; allowed: "off" or "required""#;

    a_header_is_named_by_a_token:
        "[source]\ntoken_header = \"X Token\""
        => r#"config.toml:2: source.token_header = "X Token": is no name of a header; allowed: the name of a header, such as "X-Flashduty-Token""#;

    a_header_that_proxies_write_carries_no_secret:
        "[source]\ntoken = \"0123456789abcdef\"\ntoken_header = \"X-Forwarded-For\""
        => r#"config.toml:3: source.token_header = "X-Forwarded-For": x-forwarded-for cannot carry a secret: pick a name of your own, such as X-Flashduty-Token; allowed: the name of a header, such as "X-Flashduty-Token""#;

    a_header_is_given_once:
        "[source.headers]\nX-Team = \"0123456789abcdef\"\nx-team = \"0123456789abcdef\""
        => r#"config.toml:1: source.headers = {…}: x-team is given twice, in different spellings; allowed: a table of header names, each with one value or a list of values"#;

    a_secret_is_not_empty:
        "[source]\ntoken = [\"0123456789abcdef\", \"\"]"
        => r#"config.toml:2: source.token[1] = ***: is empty; allowed: the secret itself, "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    a_secret_is_no_number:
        "[admin]\ntoken = 12345"
        => r#"config.toml:2: admin.token = ***: is of type integer, where a string belongs; allowed: the secret itself, "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    a_missing_secret_file_is_named:
        "[admin]\ntoken = \"file:/nonexistent/token\""
        => r#"config.toml:2: admin.token = ***: leads to /nonexistent/token, which cannot be read: No such file or directory (os error 2); allowed: the secret itself, "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    an_unset_variable_is_named:
        "[admin]\ntoken = \"env:ADMIN_TOKEN\""
        => r#"config.toml:2: admin.token = ***: leads to the environment variable "ADMIN_TOKEN", which is not set; allowed: the secret itself, "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    a_database_has_a_host_and_a_user:
        "[store]\nurl = \"postgres://:hunter2@db/inbox\""
        => r#"config.toml:2: store.url = "postgres:***": names no user; allowed: "sqlite:PATH", relative to the working directory or, as in "sqlite:///data/inbox.db", absolute; "sqlite::memory:"; or "postgres://USER@HOST/DATABASE""#;

    a_store_is_a_url:
        "[store]\nurl = \"data/inbox.db\""
        => r#"config.toml:2: store.url = "data/inbox.db": is no store's URL; allowed: "sqlite:PATH", relative to the working directory or, as in "sqlite:///data/inbox.db", absolute; "sqlite::memory:"; or "postgres://USER@HOST/DATABASE""#;

    a_store_is_a_file:
        "[store]\nurl = \"sqlite:data/\""
        => r#"config.toml:2: store.url = "sqlite:data/": names no file; allowed: "sqlite:PATH", relative to the working directory or, as in "sqlite:///data/inbox.db", absolute; "sqlite::memory:"; or "postgres://USER@HOST/DATABASE""#;

    a_store_has_room:
        "[store]\nmax_size = \"1MiB\""
        => r#"config.toml:2: store.max_size = "1MiB": is too small for a store; allowed: "0" for no cap, or at least "128MiB""#;

    retention_outlives_retries:
        "[store]\nretention = \"5m\""
        => r#"config.toml:2: store.retention = "5m": is too short; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "1h" to "3650d""#;

    a_pointer_is_well_formed:
        "[envelope]\nevent_id = [\"/event_id\", \"/a~b\"]"
        => r#"config.toml:2: envelope.event_id = ["/event_id", "/a~b"]: "/a~b" has a ~ that is not followed by 0 or 1; allowed: a JSON pointer (RFC 6901) such as "/incident/incident_id", or one literal value without a leading slash"#;

    an_event_has_a_type:
        "[envelope]\nevent_type = []"
        => r#"config.toml:2: envelope.event_type = []: is an empty list, with which every push would be refused; allowed: at least one JSON pointer (RFC 6901) such as "/event_type", or a literal"#;

    a_log_filter_can_be_read:
        "[log]\nlevel = \"info,flashduty_receiver=loud\""
        => r#"config.toml:2: log.level = "info,flashduty_receiver=loud": is no filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5; allowed: off, error, warn, info, debug, trace, or a filter such as "info,flashduty_receiver::inbox=debug""#;

    a_log_format_is_one_of_its_words:
        "[log]\nformat = \"xml\""
        => r#"config.toml:2: log.format = "xml": is an unknown word; allowed: "json" or "pretty""#;

    a_sink_has_a_known_type:
        "[sink.tickets]\ntype = \"jira\"\nurl = \"https://example.com/hook?key=hunter2\""
        => r#"config.toml:2: sink.tickets.type = "jira": is no type of sink; allowed: log, http, exec, file, nats, redis, kafka"#;

    a_sink_says_its_type:
        "[sink.tickets]\nenabled = true"
        => r#"config.toml:1: sink.tickets.type: is missing; allowed: log, http, exec, file, nats, redis, kafka"#;

    a_sink_has_a_plain_name:
        "[sink.My-Sink]\ntype = \"log\""
        => r#"config.toml:1: sink.My-Sink = {…}: is no name for a sink; allowed: a name of 1 to 64 of a-z, 0-9 and '_'"#;

    a_flag_is_true_or_false:
        "[sink.log]\nenabled = \"yes\""
        => r#"config.toml:2: sink.log.enabled = "yes": is neither true nor false; allowed: true or false"#;

    labels_are_a_word_or_a_list:
        "[sink.log]\nlabels = \"flat\""
        => r#"config.toml:2: sink.log.labels = "flat": is an unknown word; allowed: "object", "string", or a list of label keys"#;

    labels_are_named_once:
        "[sink.log]\nlabels = [\"team\", \"team\"]"
        => r#"config.toml:2: sink.log.labels = ["team", "team"]: names a key twice; allowed: "object", "string", or a list of label keys"#;

    an_age_has_a_unit:
        "[sink.log]\nmax_age = 3600"
        => r#"config.toml:2: sink.log.max_age = 3600: has no unit (did you mean "3600ms" or "3600s"?); allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "1s" to "3650d""#;

    a_misspelt_key_is_recognised:
        "[server]\nlisen = \"0.0.0.0:8080\""
        => r#"config.toml:2: server.lisen = ***: is an unknown key (did you mean listen?); allowed: ack_deadline, drain_delay, drain_timeout, header_timeout, idle_timeout, listen, max_body, max_connections, max_inflight, on_late, path, tls"#;

    a_key_of_another_world_is_refused:
        "[sink.log]\ncolour = \"red\""
        => r#"config.toml:2: sink.log.colour = ***: is an unknown key; allowed: enabled, filter, include_stale, labels, max_age, on_interrupt, order, rate, retry, type"#;

    a_share_of_traces_is_no_percentage:
        "[otlp]\nsample_ratio = 10"
        => r#"config.toml:2: otlp.sample_ratio = 10: is no number from 0 to 1; allowed: a number from 0 to 1, such as 0.1"#;

    a_collector_is_named_by_a_url:
        "[otlp]\nendpoint = \"collector:4318\""
        => r#"config.toml:2: otlp.endpoint = ***: does not begin with http:// or https://; allowed: a URL that begins with http:// or https://, such as "http://127.0.0.1:4318", "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    a_collector_is_told_no_user_in_its_url:
        "[otlp]\nendpoint = \"https://me@collector.example\""
        => r#"config.toml:2: otlp.endpoint = ***: has a user in it: send a header instead; allowed: a URL that begins with http:// or https://, such as "http://127.0.0.1:4318", "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    a_collector_is_trusted_by_certificates:
        "[otlp]\nca_file = \"/dev/null\""
        => r#"config.toml:2: otlp.ca_file = "/dev/null": holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----; allowed: the path of a file with certificates in PEM, or "" for none"#;

    a_misspelt_section_is_recognised:
        "[sever]\nlisten = \"0.0.0.0:8080\""
        => r#"config.toml:1: sever = ***: is an unknown section (did you mean server?); allowed: admin, admission, envelope, flashduty, log, otlp, recover, server, sink, source, store"#;

    a_section_is_no_path_in_quotes:
        "\"server.listen\" = \"0.0.0.0:8080\""
        => r#"config.toml:1: "server.listen" = ***: is an unknown section; allowed: admin, admission, envelope, flashduty, log, otlp, recover, server, sink, source, store"#;

    a_section_is_a_table:
        "server = \"0.0.0.0:8080\""
        => r#"config.toml:1: server = "0.0.0.0:8080": is no table; allowed: a table"#;

    a_value_is_no_table:
        "[server.listen]\nport = 8080"
        => r#"config.toml:1: server.listen = {…}: is of type table, where a string belongs; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080""#;

    text_that_is_no_toml_is_refused:
        "[server]\nlisten = \"0.0.0.0:8080\"\npath = /webhook"
        => r#"config.toml:3: server.path = /webhook: is not TOML: string values must be quoted, expected literal string; allowed: a path such as "/webhook": a slash and A-Z, a-z, 0-9, '.', '_', '-', in one or more segments, other than /livez and /readyz"#;

    a_key_is_given_once_in_a_file:
        "[server]\npath = \"/a\"\npath = \"/b\""
        => r#"config.toml:3: server.path = "/b": is not TOML: duplicate key; allowed: a path such as "/webhook": a slash and A-Z, a-z, 0-9, '.', '_', '-', in one or more segments, other than /livez and /readyz"#;
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut place = Place::with_file(
        "[server]\nlisten = \"nowhere\"\nmax_body = \"big\"\nlisen = 1\n[log]\nformat = \"xml\"\n",
    );
    place.write(
        "config/default.toml",
        "\n\n[admission]\nmax_clock_skew = \"2d\"\n",
    );
    place.set(&[
        ("FLASHDUTY__SERVER__MAX_CONNECTIONS", "lots"),
        ("FLASHDUTY__SOURCE__ALLOW", "10.0.0.1,nobody"),
        ("FLASHDUTY__SERVR__PATH", "/x"),
        ("FLASHDUTY__SINK__LOG__LABEL", "object"),
        ("FLASHDUTY__SOURCE__TOKEN", ""),
    ]);
    insta::assert_snapshot!(place.problems(), @r#"
    config/default.toml:4: admission.max_clock_skew = "2d": is too long; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "0s" to "1d"
    config.toml:2: server.listen = "nowhere": is no address with a port; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080"
    config.toml:3: server.max_body = "big": is no size; allowed: a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as "64KiB", from "1KiB" to "1GiB"
    config.toml:4: server.lisen = ***: is an unknown key (did you mean listen?); allowed: ack_deadline, drain_delay, drain_timeout, header_timeout, idle_timeout, listen, max_body, max_connections, max_inflight, on_late, path, tls
    config.toml:6: log.format = "xml": is an unknown word; allowed: "json" or "pretty"
    environment variable FLASHDUTY__SERVER__MAX_CONNECTIONS: server.max_connections = "lots": is no whole number; allowed: a whole number from 10 to 1000000
    environment variable FLASHDUTY__SERVR__PATH: servr = ***: is an unknown section (did you mean server?); allowed: admin, admission, envelope, flashduty, log, otlp, recover, server, sink, source, store
    environment variable FLASHDUTY__SINK__LOG__LABEL: sink.log.label = ***: is an unknown key (did you mean labels?); allowed: enabled, filter, include_stale, labels, max_age, on_interrupt, order, rate, retry, type
    environment variable FLASHDUTY__SOURCE__ALLOW: source.allow[1] = "nobody": is no address; allowed: addresses such as "203.0.113.7" and blocks such as "203.0.113.0/24" or "2001:db8::/32"
    environment variable FLASHDUTY__SOURCE__TOKEN: source.token[0] = ***: is empty; allowed: the secret itself, "file:/path/to/it" or "env:NAME_OF_VARIABLE"
    "#);
}

#[test]
fn a_problem_is_one_line_whatever_is_quoted_in_it() {
    let place = Place::with_file("[server]\n\"lis\\nten\\u001Bx\" = 1\n");
    let problems = place.problems();
    assert!(!problems.contains(char::is_control), "{problems:?}");
    assert!(
        problems.contains(r"config.toml:2: server.lis\nten\u{1b}x = ***"),
        "{problems}"
    );
}

#[test]
fn the_layer_that_set_the_value_is_blamed() {
    let mut place = Place::with_file("[server]\nmax_body = \"big\"\n");
    place.write("config/default.toml", "[server]\nmax_body = \"huge\"\n");
    insta::assert_snapshot!(place.problems(), @r#"config.toml:2: server.max_body = "big": is no size; allowed: a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as "64KiB", from "1KiB" to "1GiB""#);
    place.set(&[("FLASHDUTY__SERVER__MAX_BODY", "vast")]);
    insta::assert_snapshot!(place.problems(), @r#"environment variable FLASHDUTY__SERVER__MAX_BODY: server.max_body = "vast": is no size; allowed: a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as "64KiB", from "1KiB" to "1GiB""#);
}

#[test]
fn problems_found_by_others_get_their_place() {
    let place = Place::with_file("[server]\n\nlisten = \"192.0.2.1:8080\"\n");
    let loaded = place.load().unwrap();
    let error = loaded.problem("server.listen", "cannot be bound: no such address here");
    let text = error
        .to_string()
        .replace(&format!("{}/", place.path().display()), "");
    insta::assert_snapshot!(text, @r#"config.toml:3: server.listen = "192.0.2.1:8080": cannot be bound: no such address here; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080""#);
    let error = loaded.problem("admin.listen", "cannot be bound: address in use");
    insta::assert_snapshot!(error.to_string(), @r#"built-in default: admin.listen = "127.0.0.1:9090": cannot be bound: address in use; allowed: an address and a port, such as "0.0.0.0:8080" or "[::]:8080""#);
}
