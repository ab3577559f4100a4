//! The examples of configurations: taken by the receiver without a complaint, and explained line by line.

use crate::promises::checked;
use crate::tidy::{assert_none, files, read};

#[test]
fn examples_are_taken_without_a_warning_and_explain_each_of_their_lines() {
    let paths = files("config/examples", ".toml");
    assert!(paths.len() > 2, "{paths:?}");
    let mut offenders = Vec::new();
    for path in paths {
        let text = read(&path);
        if !text.starts_with("#:schema ./flashduty-receiver.schema.json\n") {
            offenders.push(format!("{path} does not say its schema to editors"));
        }
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let [before, line] = pair else { continue };
            let says_something = !line.is_empty() && !line.starts_with('#');
            if says_something && !before.starts_with("# ") {
                offenders.push(format!("{path} does not explain {line}"));
            }
        }
        let output = checked(&text);
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || said.contains("warning") {
            offenders.push(format!("{path}: {said}"));
        }
    }
    assert_none(&offenders, "an example can be used and understood");
}
