//! Wrong sinks: each message says where, which key, which value, and what is allowed.

use super::wrong::refused;
use super::*;

refused! {
    a_type_is_one_of_its_words:
        "[sink.a]\ntype = \"htpp\"\nurl = \"https://h/x\""
        => r#"config.toml:2: sink.a.type = "htpp": is no type of sink (did you mean http?); allowed: log, http, exec, file, nats, redis, kafka"#;

    a_sink_has_a_type:
        "[sink.a]\nurl = \"https://h/x\""
        => r#"config.toml:1: sink.a.type: is missing; allowed: log, http, exec, file, nats, redis, kafka"#;

    a_sink_is_a_table:
        "[sink]\na = \"http\""
        => r#"config.toml:2: sink.a = "http": is no table; allowed: a table"#;

    a_key_of_another_type_is_refused:
        "[sink.a]\ntype = \"file\"\npath = \"a\"\nsuccess = \"true\""
        => r#"config.toml:4: sink.a.success = ***: is no key of a sink of type file, only of http; allowed: enabled, filter, include_stale, keep, labels, max_age, on_interrupt, order, path, rate, retry, rotate_every, rotate_size, type"#;

    a_misspelt_key_of_a_sink_is_named:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntimeuot = \"1s\""
        => r#"config.toml:4: sink.a.timeuot = ***: is an unknown key (did you mean timeout?); allowed: allow_private, ca_file, concurrency, enabled, filter, format, headers, include_stale, lang, max_age, max_bytes, method, on_interrupt, order, path, pause, preset, proxy, rate, remember, retry, retry_on, signature, signing_secret, skip_when, success, template, timeout, timezone, type, url"#;

    a_misspelt_key_inside_retry_is_named:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nretry = { intial = \"1s\" }"
        => r#"config.toml:4: sink.a.retry.intial = ***: is an unknown key (did you mean initial?); allowed: initial, max, max_elapsed"#;

    the_log_has_no_concurrency:
        "[sink.log]\nconcurrency = 4"
        => r#"config.toml:2: sink.log.concurrency = ***: is no key of a sink of type log, only of http, exec; allowed: enabled, filter, include_stale, labels, max_age, on_interrupt, order, rate, retry, type"#;

    a_file_has_no_timeout:
        "[sink.a]\ntype = \"file\"\npath = \"a\"\ntimeout = \"1s\""
        => r#"config.toml:4: sink.a.timeout = ***: is no key of a sink of type file, only of http, exec, nats, redis, kafka; allowed: enabled, filter, include_stale, keep, labels, max_age, on_interrupt, order, path, rate, retry, rotate_every, rotate_size, type"#;

    http_takes_a_url:
        "[sink.a]\ntype = \"http\""
        => r#"config.toml:1: sink.a.url: is missing; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}""#;

    a_url_has_a_scheme:
        "[sink.a]\ntype = \"http\"\nurl = \"tickets.example/x\""
        => r#"config.toml:3: sink.a.url = ***: begins with neither http:// nor https://; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}""#;

    a_url_has_a_fixed_host:
        "[sink.a]\ntype = \"http\"\nurl = \"https://{{ labels.host }}/x\""
        => r#"config.toml:3: sink.a.url = ***: has a template in its host, which must be fixed; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}""#;

    a_url_has_no_user:
        "[sink.a]\ntype = \"http\"\nurl = \"https://u:p@h/x\""
        => r#"config.toml:3: sink.a.url = ***: has a user in it: send a header instead; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}""#;

    a_url_has_a_port_that_exists:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h:99999/x\""
        => r#"config.toml:3: sink.a.url = ***: has no usable port; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}""#;

    a_url_uses_words_that_exist:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/{{ tikcet }}\""
        => r#"config.toml:3: sink.a.url = ***: uses what no event has: tikcet; allowed: a URL that begins with http:// or https://, "file:/path/to/it" or "env:NAME_OF_VARIABLE"; values may stand behind its host, as in "https://host/issues/{{ labels.issue }}""#;

    a_filter_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nfilter = \"severity == 'Critical' && sevrity\""
        => r#"config.toml:4: sink.a.filter = "severity == 'Critical' && sevrity": at column 27: unknown name sevrity; did you mean severity?; allowed: a condition in CEL over event_id, event_type, event_time, subject, title, severity, status, progress, labels, channel_id, channel_name, person, detail_url, tag, query, stale, replay, push"#;

    a_filter_is_an_expression:
        "[sink.log]\nfilter = \"severity ==\""
        => r#"config.toml:2: sink.log.filter = "severity ==": at column 12: the expression ends too early; allowed: a condition in CEL over event_id, event_type, event_time, subject, title, severity, status, progress, labels, channel_id, channel_name, person, detail_url, tag, query, stale, replay, push"#;

    a_filter_is_no_flag:
        "[sink.log]\nfilter = true"
        => r#"config.toml:2: sink.log.filter = true: is of type boolean, where a string belongs; allowed: a condition in CEL over event_id, event_type, event_time, subject, title, severity, status, progress, labels, channel_id, channel_name, person, detail_url, tag, query, stale, replay, push"#;

    success_knows_nothing_of_the_event:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nsuccess = \"title == 'x'\""
        => r#"config.toml:4: sink.a.success = "title == 'x'": at column 1: unknown name title; there are: status, headers, body, text; allowed: a condition in CEL over status, headers, body, text"#;

    retry_on_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nretry_on = \"status in [500\""
        => r#"config.toml:4: sink.a.retry_on = "status in [500": at column 11: this bracket is never closed; a ] is missing; allowed: a condition in CEL over status, headers, body, text"#;

    skip_when_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nskip_when = \"rembered.ticket == 1\""
        => r#"config.toml:4: sink.a.skip_when = "rembered.ticket == 1": at column 1: unknown name rembered; did you mean remembered?; allowed: a condition in CEL over event_id, event_type, event_time, subject, title, severity, status, progress, labels, channel_id, channel_name, person, detail_url, tag, query, stale, replay, push, remembered"#;

    a_rate_has_a_time:
        "[sink.log]\nrate = \"20\""
        => r#"config.toml:2: sink.log.rate = "20": "20" is no rate: a slash and a length of time are missing; allowed: attempts and a length of time such as "20/1m", from 1 to 100000 attempts in "100ms" to "1d", or a list of such"#;

    a_rate_has_a_time_with_a_number:
        "[sink.log]\nrate = [\"90/1m\", \"5/s\"]"
        => r#"config.toml:2: sink.log.rate = ["90/1m", "5/s"]: "5/s" is no rate: what stands behind the slash is no length of time; allowed: attempts and a length of time such as "20/1m", from 1 to 100000 attempts in "100ms" to "1d", or a list of such"#;

    a_rate_allows_something:
        "[sink.log]\nrate = \"0/1m\""
        => r#"config.toml:2: sink.log.rate = "0/1m": "0/1m" allows no attempt, or more than can be counted; allowed: attempts and a length of time such as "20/1m", from 1 to 100000 attempts in "100ms" to "1d", or a list of such"#;

    an_order_is_one_of_its_words:
        "[sink.log]\norder = \"newest\""
        => r#"config.toml:2: sink.log.order = "newest": is an unknown word; allowed: "subject" or "latest" or "none""#;

    an_interrupted_attempt_is_retried_or_dead:
        "[sink.log]\non_interrupt = \"ignore\""
        => r#"config.toml:2: sink.log.on_interrupt = "ignore": is an unknown word; allowed: "retry" or "dead""#;

    the_first_wait_is_no_longer_than_the_longest:
        "[sink.log]\nretry = { initial = \"10m\", max = \"5m\" }"
        => r#"config.toml:2: sink.log.retry.initial = "10m": is longer than the longest wait; allowed: at most sink.log.retry.max, or a larger sink.log.retry.max"#;

    a_timeout_stays_in_its_range:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntimeout = \"2h\""
        => r#"config.toml:4: sink.a.timeout = "2h": is too long; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "100ms" to "1h""#;

    a_concurrency_stays_in_its_range:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nconcurrency = 0"
        => r#"config.toml:4: sink.a.concurrency = 0: is too small; allowed: a whole number from 1 to 1000"#;

    a_method_is_one_that_is_used:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nmethod = \"POTS\""
        => r#"config.toml:4: sink.a.method = "POTS": is no method that is used here; allowed: "POST", "PUT", "PATCH", "DELETE" or "GET", or a template that gives one of them"#;

    a_template_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = '{\"a\": \"{{ title\"}'"
        => r#"config.toml:4: sink.a.template = ***: the template, line 1: syntax error: unexpected end of string; allowed: a template (minijinja) of JSON, or "file:/path/to/it", where a name that ends in neither .json nor .json.j2 stands for text"#;

    a_template_uses_words_that_exist:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = '{\"a\": \"{{ titel }}\"}'"
        => r#"config.toml:4: sink.a.template = ***: uses what no event has: titel; allowed: a template (minijinja) of JSON, or "file:/path/to/it", where a name that ends in neither .json nor .json.j2 stands for text"#;

    a_missing_template_is_named:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = \"file:/nonexistent/t.json.j2\""
        => r#"config.toml:4: sink.a.template = "file:/nonexistent/t.json.j2": leads to /nonexistent/t.json.j2, which cannot be read: No such file or directory (os error 2); allowed: a template (minijinja) of JSON, or "file:/path/to/it", where a name that ends in neither .json nor .json.j2 stands for text"#;

    a_template_and_a_format_exclude_each_other:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = \"{}\"\nformat = \"cloudevents\""
        => r#"config.toml:4: sink.a.template = ***: cannot be had together with a format: one of them goes; allowed: a template (minijinja) of JSON, or "file:/path/to/it", where a name that ends in neither .json nor .json.j2 stands for text"#;

    a_format_is_one_of_its_words:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nformat = \"xml\""
        => r#"config.toml:4: sink.a.format = "xml": is an unknown word; allowed: "push" or "cloudevents" or "cloudevents-structured""#;

    a_time_zone_is_known:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntimezone = \"Asia/Peking\""
        => r#"config.toml:4: sink.a.timezone = "Asia/Peking": is no time zone that is known here; allowed: a time zone, such as "Asia/Shanghai", "Europe/Berlin" or "UTC""#;

    a_preset_is_one_of_its_words:
        "[sink.a]\npreset = \"feshu\"\nurl = \"https://h/x\""
        => r#"config.toml:2: sink.a.preset = "feshu": is an unknown word; allowed: "feishu" or "lark" or "dingtalk" or "wecom" or "slack" or "teams" or "ticket""#;

    a_preset_is_for_http:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\npreset = \"feishu\""
        => r#"config.toml:4: sink.a.preset = ***: is no key of a sink of type exec, only of http; allowed: capture, command, comment, concurrency, directory, enabled, env, filter, home, include_stale, kill_after, max_age, on_interrupt, order, rate, retry, retry_exit_codes, timeout, type"#;

    a_misspelt_preset_is_the_one_mistake:
        "[sink.a]\npreset = \"slak\"\nurl = \"https://h/x\"\nlang = \"en\""
        => r#"config.toml:2: sink.a.preset = "slak": is an unknown word; allowed: "feishu" or "lark" or "dingtalk" or "wecom" or "slack" or "teams" or "ticket""#;
    a_language_takes_a_preset:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nlang = \"en\""
        => r#"config.toml:4: sink.a.lang = "en": does nothing without a preset; allowed: no lang, or a preset beside it"#;

    a_signature_takes_a_secret:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nsignature = \"feishu\""
        => r#"config.toml:4: sink.a.signature = "feishu": signs nothing without a secret; allowed: no signature, or a signing_secret beside it"#;

    a_robot_knows_one_secret:
        "[sink.a]\npreset = \"dingtalk\"\nurl = \"https://h/x\"\nsigning_secret = [\"one-secret\", \"another-secret\"]"
        => r#"config.toml:4: sink.a.signing_secret = ***: holds several secrets, but a chat robot knows one; allowed: one secret or a list of them, each as it is, as "file:/path/to/it" or as "env:NAME_OF_VARIABLE""#;

    a_signing_secret_is_base64_where_it_says_so:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nsigning_secret = \"whsec_*\""
        => r#"config.toml:4: sink.a.signing_secret = ***: begins with whsec_, but what follows is no base64; allowed: one secret or a list of them, each as it is, as "file:/path/to/it" or as "env:NAME_OF_VARIABLE""#;

    a_pointer_into_the_answer_begins_with_a_slash:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nremember = { ticket = \"key\" }"
        => r#"config.toml:4: sink.a.remember.ticket = "key": does not begin with a slash; allowed: a JSON pointer, such as "/data/key""#;

    what_is_remembered_has_a_plain_name:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nremember = { \"the-key\" = \"/key\" }"
        => r#"config.toml:4: sink.a.remember.the-key = "/key": is no name for what is remembered; allowed: 1 to 64 of A-Z, a-z, 0-9 and '_'"#;

    a_header_that_the_sink_sets_is_refused:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nheaders = { Idempotency-Key = \"x\" }"
        => r#"config.toml:4: sink.a.headers.idempotency-key: is a header that the sink sets itself; allowed: the secret itself, "file:/path/to/it" or "env:NAME_OF_VARIABLE""#;

    a_proxy_speaks_http:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nproxy = \"socks5://p:1080\""
        => r#"config.toml:4: sink.a.proxy = ***: begins with neither http:// nor https://; allowed: "http://host:port" or "https://host:port", also as "file:/path/to/it" or "env:NAME_OF_VARIABLE"; or "" for none"#;

    certificates_are_there:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nca_file = \"/dev/null\""
        => r#"config.toml:4: sink.a.ca_file = "/dev/null": holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----; allowed: the path of a file with certificates in PEM, or "" for none"#;

    exec_takes_a_command:
        "[sink.a]\ntype = \"exec\""
        => r#"config.toml:1: sink.a.command: is missing or empty; allowed: a list of the program and its arguments, such as ["/usr/local/bin/restart", "--now"]"#;

    a_command_is_a_list_and_no_shells_line:
        "[sink.a]\ntype = \"exec\"\ncommand = \"rm -rf /\""
        => r#"config.toml:3: sink.a.command = "rm -rf /": is no list; allowed: a list of the program and its arguments, such as ["/usr/local/bin/restart", "--now"]"#;

    a_variable_of_the_receiver_is_not_passed_on:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\nenv = [\"HTTP_PROXY\", \"FLASHDUTY__ADMIN__TOKEN\"]"
        => r#"config.toml:4: sink.a.env[1] = "FLASHDUTY__ADMIN__TOKEN": is a name that the sink itself gives a value, or a setting; allowed: a variable whose name does not begin with FLASHDUTY_"#;

    an_exit_code_fits_a_byte:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\nretry_exit_codes = [75, 256]"
        => r#"config.toml:4: sink.a.retry_exit_codes[1] = 256: is no exit code of a failure; allowed: a whole number from 0 to 255"#;

    a_comment_takes_a_key:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\ncomment = true"
        => r#"config.toml:4: sink.a.comment = true: cannot be had without a key for the sender's API; allowed: false, or flashduty.app_key beside it"#;

    a_file_sink_names_a_file:
        "[sink.a]\ntype = \"file\"\npath = \"events/\""
        => r#"config.toml:3: sink.a.path = "events/": names no file; allowed: the path of a file in a folder this user may write to"#;

    two_sinks_do_not_share_a_file:
        "[sink.a]\ntype = \"file\"\npath = \"e.jsonl\"\n[sink.b]\ntype = \"file\"\npath = \"e.jsonl\""
        => r#"config.toml:6: sink.b.path = "e.jsonl": is the file of sink.a, too: each would rotate it away from the other; allowed: the path of a file in a folder this user may write to"#;

    an_api_has_a_url:
        "[flashduty]\nbase_url = \"api.flashcat.cloud\""
        => r#"config.toml:2: flashduty.base_url = "api.flashcat.cloud": is no URL of an API; allowed: a URL that begins with http:// or https://"#;
}

refused! {
    a_key_alone_does_not_fetch_the_whole_accounts_history:
        "[flashduty]\napp_key = \"0123456789\""
        => r#"config.toml:2: flashduty.app_key = ***: opens the history of the whole account, and nothing says which part of it is ours; allowed: recover.integrations or recover.endpoint beside it, or recover.interval = "0s" to recover nothing"#;

    an_integration_is_a_number:
        "[recover]\nintegrations = [4021, 0]"
        => r#"config.toml:2: recover.integrations[1] = 0: is no integration's number; allowed: a whole number from 1"#;

    an_endpoint_is_a_url_without_a_query:
        "[recover]\nendpoint = \"https://hooks.example.com/webhook?team=a\""
        => r#"config.toml:2: recover.endpoint = "https://hooks.example.com/webhook?team=a": is no URL that pushes go to; allowed: the webhook's public URL without tag and query, such as "https://hooks.example.com/webhook""#;

    requests_to_the_api_have_one_rate:
        "[recover]\nrate = \"5 a second\""
        => r#"config.toml:2: recover.rate = "5 a second": "5 a second" is no rate: a slash and a length of time are missing; allowed: requests and a length of time such as "5/1s", from 1 to 100000 requests in "100ms" to "1d""#;

    no_history_reaches_back_further_than_a_week:
        "[recover]\nlookback = \"8d\""
        => r#"config.toml:2: recover.lookback = "8d": is too long; allowed: numbers with a unit of ms, s, m, h or d, such as "90s" or "1h30m", from "1m" to "7d""#;
}

#[cfg(not(feature = "kafka"))]
refused! {
    this_build_has_no_kafka:
        "[sink.a]\ntype = \"kafka\"\nbrokers = [\"k:9092\"]"
        => r#"config.toml:2: sink.a.type = "kafka": is a type that this build does not have; allowed: log, http, exec or file; the container image has all types"#;
}
