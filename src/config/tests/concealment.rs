//! No secret ever gets into a text.

use proptest::prelude::*;

use super::*;

/// Everything a person could get to see of a configuration that can be used.
fn everything_shown(loaded: &Loaded) -> String {
    let about = loaded.problem("admin.token", "is mentioned");
    let other = loaded.problem("source.token[0]", "is mentioned");
    let header = loaded.problem("source.headers.X-Team", "is mentioned");
    let warnings = loaded.warnings.join("\n");
    let described = describe(&loaded.settings);
    format!("{described}\n{about}\n{other}\n{header}\n{loaded:?}\n{warnings}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_shown_never_contains_a_secret(tail in "[!-~]{8,40}") {
        // The mark keeps the secret from being a word that stands in the text anyway.
        let secret = format!("S3cret~{tail}");
        let quoted = toml::Value::String(secret.clone());
        let text = format!(
            "[admin]\ntoken = {quoted}\n[source]\ntoken = [{quoted}, {quoted}]\nheaders = {{ X-Team = {quoted} }}\n"
        );
        let place = Place::with_file(&text);
        let shown = everything_shown(&place.load().unwrap());
        prop_assert!(!shown.contains(&secret) && !shown.contains("S3cret~"), "{shown}");

        // The same in configurations that are wrong in every way that is near a secret.
        for wrong in [
            format!("[admin]\ntokn = {quoted}"),
            format!("[admin]\ntoken = [{quoted}]"),
            format!("[admin]\ntoken = {{ value = {quoted} }}"),
            format!("[adnim]\ntoken = {quoted}"),
            format!("token = {quoted}"),
            format!("[source]\nheaders = [{quoted}]"),
            format!("[source]\nheaders.\"no header\" = {quoted}"),
            format!("[source]\ntoken = [{quoted}, 7, \" {}\"]", "S3cret~"),
            format!("[source]\ntoken = {quoted}, {quoted}"),
            format!("[source]\ntoken = S3cret~{}", tail.replace(['\'', '"'], "")),
            "[store]\nurl = \"postgres://u:S3cret~@h/d\"".to_owned(),
            "[store]\nurl = \"mysql:u:S3cret~@h/d\"".to_owned(),
        ] {
            place.write("config.toml", &wrong);
            let error = place.load().unwrap_err();
            let shown = format!("{error}\n{error:?}");
            prop_assert!(!shown.contains("S3cret~"), "{wrong}\ngave {shown}");
        }
    }
}

#[test]
fn the_environment_shows_its_names_only() {
    let environment = Environment::from_pairs([("PUSH_TOKEN", "hunter2hunter2")]);
    assert_eq!(format!("{environment:?}"), "{\"PUSH_TOKEN\"}");
}
