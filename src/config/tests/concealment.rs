//! No secret ever gets into a text.

use proptest::prelude::*;

use super::*;

/// Everything a person could get to see of a configuration that can be used.
fn everything_shown(loaded: &Loaded) -> String {
    let about = loaded.problem("admin.token", "is mentioned");
    let other = loaded.problem("source.token[0]", "is mentioned");
    let header = loaded.problem("source.headers.X-Team", "is mentioned");
    let collector = ["otlp.endpoint", "otlp.headers.Authorization"]
        .map(|key| loaded.problem(key, "is mentioned").to_string());
    let keys = [
        "url",
        "path",
        "proxy",
        "template",
        "signing_secret[0]",
        "headers.Authorization",
    ];
    let sink = keys.map(|key| {
        loaded
            .problem(&format!("sink.a.{key}"), "is mentioned")
            .to_string()
    });
    let sink = sink.join("\n");
    let warnings = loaded.warnings.join("\n");
    let described = describe(&loaded.settings);
    format!(
        "{described}\n{about}\n{other}\n{header}\n{collector:?}\n{sink}\n{loaded:?}\n{warnings}"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_shown_never_contains_a_secret(tail in "[!-~]{8,40}") {
        // The mark keeps the secret from being a word that stands in the text anyway.
        let secret = format!("S3cret~{tail}");
        let quoted = toml::Value::String(secret.clone());
        // As far as a URL can hold it.
        let plain = tail.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let url = format!("\"https://tickets.example/S3cret~{plain}?key=S3cret~{plain}\"");
        let path = format!("\"/S3cret~{plain}\"");
        let template = format!("\"S3cret~{plain}\"");
        let proxy = format!("\"http://u:S3cret~{plain}@proxy.example:3128\"");
        let text = format!(
            "[admin]\ntoken = {quoted}\n[source]\ntoken = [{quoted}, {quoted}]\nheaders = {{ X-Team = {quoted} }}\n\
             [otlp]\nendpoint = {url}\nheaders = {{ Authorization = {quoted} }}\n\
             [flashduty]\napp_key = {quoted}\n[recover]\nintegrations = [7]\n[sink.a]\ntype = \"http\"\nurl = {url}\npath = {path}\nproxy = {proxy}\n\
             template = {template}\nsigning_secret = [{quoted}, {quoted}]\nheaders = {{ Authorization = {quoted} }}\n"
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
            format!("[flashduty]\nappkey = {quoted}"),
            format!("[otlp]\nendpoint = {quoted}"),
            format!("[otlp]\nendpoint = \"https://u:S3cret~{plain}@h\""),
            format!("[otlp]\nendpoint = {url}\nheaders.Host = {quoted}"),
            format!("[sink.a]\ntype = \"http\"\nurl = {quoted}"),
            format!("[sink.a]\ntype = \"http\"\nurl = [{quoted}]"),
            format!("[sink.a]\ntype = \"http\"\nurl = \"ftp://S3cret~{plain}\""),
            format!("[sink.a]\ntype = \"http\"\nurl = \"https://h/{{{{ S3cret~{plain} }}}}\""),
            format!("[sink.a]\ntype = \"https\"\nurl = {url}\nheaders.a = {quoted}"),
            format!("[sink.a]\nurl = {url}\nsigning_secret = {quoted}"),
            format!("[sink.a]\ntype = \"http\"\nurl = {url}\nheaders.Host = {quoted}"),
            format!("[sink.a]\ntype = \"http\"\nurl = {url}\nheaders.X = [{quoted}, {quoted}]"),
            format!("[sink.a]\ntype = \"http\"\nurl = {url}\nproxy = \"socks5://S3cret~{plain}\""),
            format!("[sink.a]\ntype = \"http\"\nurl = {url}\npath = \"S3cret~{plain}\""),
            format!("[sink.a]\ntype = \"http\"\nurl = {url}\ntemplate = \"S3cret~{plain} {{{{\""),
            format!("[sink.a]\ntype = \"redis\"\nurl = \"http://u:S3cret~{plain}@h\""),
            "[store]\nurl = \"postgres://u:S3cret~@h:port/d\"".to_owned(),
            "[store]\nurl = \"postgres://u:p@h/d?sslmode=S3cret~\"".to_owned(),
            format!("[store]\nurl = \"postgres://h/d\"\npassword = {quoted}"),
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
