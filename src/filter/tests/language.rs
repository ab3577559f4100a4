//! What an expression means.

use serde_json::json;

use super::{assert_all, compile, evaluate, words};
use crate::filter::{Expression, Scope};

#[test]
fn the_conditions_people_write_mean_what_they_say() {
    assert_all(
        Ok(true),
        &[
            "severity == 'Critical'",
            "severity in ['Critical', 'Warning'] && labels.team == \"db\"",
            "labels['host.name'].startsWith('a') // which host",
            "event_type.startsWith('i_') && !(event_type in ['i_comm', 'i_ack'])",
            "push.incident.title.contains('disk') && push.incident.title.endsWith('full')",
            "push.incident.title.matches('(?i)DISK .*l{2}$')",
            "'team' in labels && size(labels) == 3 && labels.size() == 3",
            "push.incident.responders.exists(r, r.person_id == 2)",
            "push.incident.responders.all(r, r.person_id > 0)",
            "push.incident.responders.exists_one(r, r.person_id == 1)",
            "push.incident.responders.filter(r, has(r.email)).map(r, r.email) == ['li@example.com']",
            "push.incident.responders.map(r, r.person_id > 1, r.person_id)[0] == 2",
            "labels.exists(name, name.endsWith('.name'))",
            "severity.lowerAscii() == 'critical' ? !stale : stale",
            "(event_time - 1777888800000) / 2 + 3 * 4 % 5 == 2",
            "push.half + 1 == 1.5 && -push.half < 0",
            "string(person.id) == '123' && int('123') == person.id && double('0.5') == push.half",
            "int(push.one) == 1 && size('日本') == 2 && 'a' + 'b' == 'ab'",
            "severity == '''Critical''' && r'\\d' != 'd'",
            "push.incident.fields.x == [1, 2.5, 'three']",
        ],
    );
    assert_all(
        Ok(false),
        &[
            "severity == 'critical'",
            "stale || replay",
            "person.name in ['Wang']",
            "push.incident.title.matches('^full')",
            "push.incident.responders == []",
            "7 in labels",
        ],
    );
}

#[test]
fn what_is_missing_is_no_match_also_under_a_negation() {
    assert_all(
        Err(()),
        &[
            "title == 'x'",
            "title != 'x'",
            "title != null",
            "!(title == 'x')",
            "labels.region == 'eu'",
            "labels.region != 'eu'",
            "!(labels.region == 'eu')",
            "labels['region'] in ['eu']",
            "labels.region ? true : true",
            "push.incident.fields.x[3] == 1",
            "push.nothing.x == 1",
            "labels.team.x == 1",
            "push.alert.title.contains('x')",
            "push.incident.responders.all(r, r.email != '')",
            "title == 'x' || labels.region == 'eu'",
            "!(severity == 'Critical' && labels.region == 'eu')",
        ],
    );
}

#[test]
fn what_is_missing_does_not_matter_where_another_side_decides_alone() {
    assert_all(
        Ok(true),
        &[
            "labels.region == 'eu' || severity == 'Critical'",
            "severity == 'Critical' || labels.region == 'eu'",
            "!(labels.region == 'eu' && severity == 'Info')",
            "push.incident.responders.exists(r, r.email == 'li@example.com')",
            "push.incident.responders.exists(r, r.role == 'x' || r.person_id == 2)",
        ],
    );
    assert_all(
        Ok(false),
        &[
            "labels.region == 'eu' && severity == 'Info'",
            "severity == 'Info' && labels.region == 'eu'",
            "push.incident.responders.all(r, r.email == 'wang@example.com')",
        ],
    );
}

#[test]
fn has_asks_whether_a_whole_path_is_there() {
    assert_all(
        Ok(true),
        &[
            "has(labels.team)",
            "has(labels.empty)",
            "has(push.incident.fields.x)",
            "has(push.nothing)",
            "has(severity) && !has(title)",
            "!has(labels.region) || labels.region == 'eu'",
            "!has(push.alert.labels.x)",
            "!has(push.nothing.x)",
            "push.incident.responders.exists(r, !has(r.email))",
        ],
    );
}

#[test]
fn numbers_compare_by_their_value() {
    assert_all(
        Ok(true),
        &[
            "channel_id == 1552048792504",
            "person.id == 123 && person.id == 123u && person.id == 123.0",
            "push.one == 1 && 1 == push.one && push.one == 1u",
            "push.largest == 18446744073709551615u",
            "push.largest > 9223372036854775807 && push.largest > push.one",
            "push.largest != 18446744073709551614u",
            // As floats these two would be equal.
            "push.largest != 18446744073709551616.0",
            "9007199254740993 != 9007199254740992.0",
            "push.half < 1 && 0 < push.half && -1 < push.half",
            "1 in [0.0, 1.0] && [1] == [push.one]",
            "-9223372036854775808 < 0",
        ],
    );
}

#[test]
fn an_id_written_as_text_is_no_number_and_no_trouble() {
    assert_all(
        Ok(false),
        &[
            "channel_id == '1552048792504'",
            "push.beyond == 18446744073709551615u",
            "push.beyond == 1.8446744073709552e19",
            "person.id in ['123']",
        ],
    );
    assert_all(Ok(true), &["push.beyond == '18446744073709551616'"]);
    assert_all(Err(()), &["channel_id > '1'", "push.beyond > 1"]);
}

#[test]
fn what_has_no_result_is_an_error_and_no_panic() {
    assert_all(
        Err(()),
        &[
            "1 / 0 == 1",
            "1 % 0 == 1",
            "1.0 / 0 == 1.0",
            "1.5 % 2 == 1.0",
            "push.largest * push.largest == 0",
            "push.largest + 1 == 0",
            "-9223372036854775808 - 1 == 0",
            "-(push.largest) == 0",
            "severity < 1",
            "labels < labels",
            "labels + labels == 1",
            "-severity == 1",
            "size(channel_id) == 1",
            "int('x') == 1 || double('inf') == 1.0",
            "int(1e300) == 1",
            "severity",
            "labels.team && true",
            "!severity",
            "severity ? true : false",
            "severity.exists(c, true)",
            "labels[1] == 'x'",
            "'x' in severity",
            "channel_id.startsWith('1')",
            "channel_id.matches('1')",
            "push.incident.responders.exists_one(r, r.email != '')",
        ],
    );
}

#[test]
fn an_error_says_what_was_missing_or_did_not_fit() {
    let said = |source| evaluate(source).unwrap_err().to_string();
    assert_eq!(said("title == 'x'"), "title is absent");
    assert_eq!(said("labels.region == 'x'"), "labels has no \"region\"");
    assert_eq!(
        said("push.incident.responders[1].email == 'x'"),
        "push.incident.responders[1] has no \"email\""
    );
    assert_eq!(
        said("labels.team.lead == 'x'"),
        "labels.team is a text and has no \"lead\""
    );
    assert_eq!(
        said("push.incident.responders[2] == 1"),
        "push.incident.responders has 2 elements and none at 2"
    );
    assert_eq!(said("severity"), "severity is a text, not true or false");
    assert_eq!(said("severity > 1"), "a text and a number have no order");
    assert_eq!(
        said("channel_id.contains('1')"),
        "contains cannot be had of a number and a text"
    );
    assert_eq!(
        said("1 / 0 == 1"),
        "the quotient of a number and a number has no result"
    );
}

#[test]
fn what_is_missing_is_no_fault_and_what_does_not_fit_is_one() {
    for (source, is_fault) in [
        ("title == 'x'", false),
        ("labels.region == 'x'", false),
        ("labels['region'] == 'x'", false),
        ("push.alert.title == 'x'", false),
        ("push.nothing.x == 1", false),
        ("push.nothing['x'] == 1", false),
        ("push.nothing[0] == 1", false),
        ("push.incident.responders[2] == 1", false),
        ("push.nothing.exists(one, one == 1)", false),
        ("push.nothing > 5", false),
        ("push.nothing + 5 == 6", false),
        ("'x' in push.nothing", false),
        ("push.nothing.contains('x')", false),
        ("push.nothing.matches('x')", false),
        ("push.nothing", false),
        ("labels.region == 'x' || severity > 1", true),
        ("severity > 1 || labels.region == 'x'", true),
        (
            "push.incident.responders.all(one, one.nothing == 1 || severity > 1)",
            true,
        ),
        ("labels.team.lead == 'x'", true),
        ("severity", true),
        ("severity > 1", true),
        ("1 / 0 == 1", true),
    ] {
        assert_eq!(
            evaluate(source).unwrap_err().is_fault(),
            is_fault,
            "{source}"
        );
    }
}

#[test]
fn a_scope_takes_further_variables_and_the_later_one_counts() {
    let words = words();
    let (on, remembered) = (json!(true), json!({"ticket": "7"}));
    let scope = Scope::new(&words)
        .with("stale", &on)
        .with("remembered", &remembered);
    let skip = Expression::compile(
        "stale && has(remembered.ticket) && !has(remembered.closed)",
        &["stale", "remembered"],
    );
    assert_eq!(skip.unwrap().evaluate(&scope), Ok(true));
    assert_eq!(compile("stale").evaluate(&Scope::new(&words)), Ok(false));
}

#[test]
fn answers_of_a_server_are_judged_by_the_same_language() {
    let success = Expression::compile(
        "status in [200, 202] && headers['content-type'].startsWith('application/json') && \
         (body == null || body.ok == true)",
        &["status", "headers", "body"],
    )
    .unwrap();
    let (status, headers) = (json!(202), json!({"content-type": "application/json"}));
    for (body, expected) in [
        (json!(null), Some(true)),
        (json!({"ok": true}), Some(true)),
        (json!({"ok": "yes"}), Some(false)),
        (json!({}), None),
        (json!([1]), None),
    ] {
        let scope = Scope::default()
            .with("status", &status)
            .with("headers", &headers)
            .with("body", &body);
        assert_eq!(success.evaluate(&scope).ok(), expected, "{body}");
    }
}
