//! Configuration files: any file is loaded, or refused with the place of everything that is wrong; and
//! what is printed of a configuration is that configuration.

use flashduty_receiver::config::{
    ConfigError, ConfigSource, Loaded, NamedFile, Place, describe, load,
};
use tempfile::TempDir;

use super::filters::spare_the_parser;

const FILE: &str = "config.toml";
/// What is printed in place of a secret, which no print can give back.
const HIDDEN: &str = "***";

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().expect("a folder can be made");
}

/// Loads a file.
pub fn check(text: &[u8]) {
    // Filters of sinks are compiled on the way.
    spare_the_parser();
    match load_file(text) {
        Ok(loaded) => what_is_printed_is_what_was_read(&loaded),
        Err(error) => each_problem_has_a_place_and_a_line(&error, text),
    }
}

fn load_file(text: &[u8]) -> Result<Loaded, ConfigError> {
    FOLDER.with(|folder| {
        let folder = folder.path();
        std::fs::write(folder.join(FILE), text).expect("a file can be written");
        load(&ConfigSource {
            directory: folder.to_owned(),
            file: Some(NamedFile {
                path: FILE.into(),
                required: true,
            }),
            ..ConfigSource::default()
        })
    })
}

fn each_problem_has_a_place_and_a_line(error: &ConfigError, text: &[u8]) {
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    assert!(!error.problems().is_empty());
    for problem in error.problems() {
        let has_place = match &problem.place {
            Place::Line(_, line) => (1..=lines).contains(line),
            // The file as a whole: it is no text, or its fault has no place in it.
            Place::File(_) => problem.key.is_none(),
            // What is wrong with it is that it does not go with what the file says.
            Place::Default | Place::Preset(_) => problem.key.is_some(),
            Place::Variable(_) => false,
        };
        assert!(has_place, "{problem:?}");
        assert!(
            !problem.to_string().contains(char::is_control),
            "{problem:?}"
        );
    }
}

fn what_is_printed_is_what_was_read(loaded: &Loaded) {
    let printed = describe(&loaded.settings);
    let parsed = printed.parse::<toml::Table>();
    assert!(parsed.is_ok(), "{parsed:?}\n{printed}");
    if printed.contains(HIDDEN) {
        return;
    }
    let again = match load_file(printed.as_bytes()) {
        Ok(again) => again.settings,
        Err(error) => unreachable!("what was printed is refused: {error}\n{printed}"),
    };
    assert_eq!(describe(&again), printed);
    let read = &loaded.settings;
    assert_eq!(again.store, read.store);
    assert_eq!(again.admission, read.admission);
    assert_eq!(again.envelope, read.envelope);
    assert_eq!(again.log, read.log);
    assert_eq!(again.recover, read.recover);
}
