//! Wrong sinks: each message says where, which key, which value, and what is allowed.

use super::wrong::refused;
use super::*;

refused! {
    a_type_is_one_of_its_words:
        "[sink.a]\ntype = \"htpp\"\nurl = \"https://h/x\""
        => "";

    a_sink_has_a_type:
        "[sink.a]\nurl = \"https://h/x\""
        => "";

    a_sink_is_a_table:
        "[sink]\na = \"http\""
        => "";

    a_key_of_another_type_is_refused:
        "[sink.a]\ntype = \"file\"\npath = \"a\"\nsuccess = \"true\""
        => "";

    a_misspelt_key_of_a_sink_is_named:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntimeuot = \"1s\""
        => "";

    a_misspelt_key_inside_retry_is_named:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nretry = { intial = \"1s\" }"
        => "";

    the_log_has_no_concurrency:
        "[sink.log]\nconcurrency = 4"
        => "";

    a_file_has_no_timeout:
        "[sink.a]\ntype = \"file\"\npath = \"a\"\ntimeout = \"1s\""
        => "";

    http_takes_a_url:
        "[sink.a]\ntype = \"http\""
        => "";

    a_url_has_a_scheme:
        "[sink.a]\ntype = \"http\"\nurl = \"tickets.example/x\""
        => "";

    a_url_has_a_fixed_host:
        "[sink.a]\ntype = \"http\"\nurl = \"https://{{ labels.host }}/x\""
        => "";

    a_url_has_no_user:
        "[sink.a]\ntype = \"http\"\nurl = \"https://u:p@h/x\""
        => "";

    a_url_has_a_port_that_exists:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h:99999/x\""
        => "";

    a_url_uses_words_that_exist:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/{{ tikcet }}\""
        => "";

    a_filter_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nfilter = \"severity == 'Critical' && sevrity\""
        => "";

    a_filter_is_an_expression:
        "[sink.log]\nfilter = \"severity ==\""
        => "";

    a_filter_is_no_flag:
        "[sink.log]\nfilter = true"
        => "";

    success_knows_nothing_of_the_event:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nsuccess = \"title == 'x'\""
        => "";

    retry_on_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nretry_on = \"status in [500\""
        => "";

    skip_when_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nskip_when = \"rembered.ticket == 1\""
        => "";

    a_rate_has_a_time:
        "[sink.log]\nrate = \"20\""
        => "";

    a_rate_has_a_time_with_a_number:
        "[sink.log]\nrate = [\"90/1m\", \"5/s\"]"
        => "";

    a_rate_allows_something:
        "[sink.log]\nrate = \"0/1m\""
        => "";

    an_order_is_one_of_its_words:
        "[sink.log]\norder = \"newest\""
        => "";

    an_interrupted_attempt_is_retried_or_dead:
        "[sink.log]\non_interrupt = \"ignore\""
        => "";

    the_first_wait_is_no_longer_than_the_longest:
        "[sink.log]\nretry = { initial = \"10m\", max = \"5m\" }"
        => "";

    a_timeout_stays_in_its_range:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntimeout = \"2h\""
        => "";

    a_concurrency_stays_in_its_range:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nconcurrency = 0"
        => "";

    a_method_is_one_that_is_used:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nmethod = \"POTS\""
        => "";

    a_template_says_where_it_is_wrong:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = '{\"a\": \"{{ title\"}'"
        => "";

    a_template_uses_words_that_exist:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = '{\"a\": \"{{ titel }}\"}'"
        => "";

    a_missing_template_is_named:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = \"file:/nonexistent/t.json.j2\""
        => "";

    a_template_and_a_format_exclude_each_other:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntemplate = \"{}\"\nformat = \"cloudevents\""
        => "";

    a_format_is_one_of_its_words:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nformat = \"xml\""
        => "";

    a_time_zone_is_known:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\ntimezone = \"Asia/Peking\""
        => "";

    a_preset_is_one_of_its_words:
        "[sink.a]\npreset = \"feshu\"\nurl = \"https://h/x\""
        => "";

    a_preset_is_for_http:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\npreset = \"feishu\""
        => "";

    a_language_takes_a_preset:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nlang = \"en\""
        => "";

    a_signature_takes_a_secret:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nsignature = \"feishu\""
        => "";

    a_robot_knows_one_secret:
        "[sink.a]\npreset = \"dingtalk\"\nurl = \"https://h/x\"\nsigning_secret = [\"one-secret\", \"another-secret\"]"
        => "";

    a_signing_secret_is_base64_where_it_says_so:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nsigning_secret = \"whsec_*\""
        => "";

    a_pointer_into_the_answer_begins_with_a_slash:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nremember = { ticket = \"key\" }"
        => "";

    what_is_remembered_has_a_plain_name:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nremember = { \"the-key\" = \"/key\" }"
        => "";

    a_header_that_the_sink_sets_is_refused:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nheaders = { Idempotency-Key = \"x\" }"
        => "";

    a_proxy_speaks_http:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nproxy = \"socks5://p:1080\""
        => "";

    certificates_are_there:
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/x\"\nca_file = \"/dev/null\""
        => "";

    exec_takes_a_command:
        "[sink.a]\ntype = \"exec\""
        => "";

    a_command_is_a_list_and_no_shells_line:
        "[sink.a]\ntype = \"exec\"\ncommand = \"rm -rf /\""
        => "";

    a_variable_of_the_receiver_is_not_passed_on:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\nenv = [\"HTTP_PROXY\", \"FLASHDUTY__ADMIN__TOKEN\"]"
        => "";

    an_exit_code_fits_a_byte:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\nretry_exit_codes = [75, 256]"
        => "";

    a_comment_takes_a_key:
        "[sink.a]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\ncomment = true"
        => "";

    a_file_sink_names_a_file:
        "[sink.a]\ntype = \"file\"\npath = \"events/\""
        => "";

    two_sinks_do_not_share_a_file:
        "[sink.a]\ntype = \"file\"\npath = \"e.jsonl\"\n[sink.b]\ntype = \"file\"\npath = \"e.jsonl\""
        => "";

    an_api_has_a_url:
        "[flashduty]\nbase_url = \"api.flashcat.cloud\""
        => "";
}

#[cfg(not(feature = "kafka"))]
refused! {
    this_build_has_no_kafka:
        "[sink.a]\ntype = \"kafka\"\nbrokers = [\"k:9092\"]"
        => "";
}
