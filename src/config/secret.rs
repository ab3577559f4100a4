//! Secrets: given literally, as `"file:/path"`, or as `"env:NAME"`.
//!
//! References are resolved in the merged tree, before it is read into types, so that no message
//! about a wrong value can quote what a reference stood for. From then on a secret is a
//! [`SecretString`], which no `Debug` shows, and which is written as `"***"`.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize as _, Deserializer, Serializer};
use toml::Value;

use super::environment::Environment;
use super::problem::Report;
use super::shape::Shape;
use super::text;
use super::watch::Seen;

/// What is shown in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// No secret is longer; a reference that leads to a log file or a device is a mistake.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Where references lead to.
pub(super) struct Resolver<'a> {
    /// Relative paths start here.
    pub(super) directory: &'a Path,
    /// Holds what `env:` names.
    pub(super) environment: &'a Environment,
    /// Where the files that were read are noted.
    pub(super) seen: &'a mut Seen,
    /// The files that secrets, and the keys of certificates, were read from.
    pub(super) secrets: Vec<PathBuf>,
}

impl Resolver<'_> {
    /// The secret that `value` is or leads to. The error names the reference, never the secret.
    pub(super) fn resolve(&mut self, value: &Value) -> Result<String, String> {
        let Value::String(text) = value else {
            return Err(text::is_no_string(value));
        };
        let secret = if let Some(path) = text.strip_prefix("file:") {
            self.read_secret(path)?
        } else if let Some(name) = text.strip_prefix("env:") {
            self.environment.get(name).map_err(|fault| {
                format!("leads to the environment variable {name:?}, which {fault}")
            })?
        } else {
            text.clone()
        };
        check(&secret)?;
        Ok(secret)
    }

    fn read_secret(&mut self, path: &str) -> Result<String, String> {
        let mut secret = self.read_text(Path::new(path), MAX_FILE_BYTES)?;
        self.note_secret(Path::new(path));
        if secret.ends_with('\n') {
            secret.pop();
            if secret.ends_with('\r') {
                secret.pop();
            }
        }
        Ok(secret)
    }

    /// The file at `path` holds a secret, which is nobody else's to read.
    pub(super) fn note_secret(&mut self, path: &Path) {
        self.secrets.push(self.directory.join(path));
    }

    /// What stands in the file at `path`, which is watched from then on.
    pub(super) fn read_text(&mut self, path: &Path, max: u64) -> Result<String, String> {
        if path.as_os_str().is_empty() {
            return Err("names no file".to_owned());
        }
        let path = self.directory.join(path);
        let shown = path.display();
        let mut secret = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(max + 1).read_to_string(&mut secret))
            .map_err(|error| format!("leads to {shown}, which cannot be read: {error}"));
        let read = match read {
            Ok(read) => read,
            Err(what) => {
                // So that it is noticed when it is there.
                self.seen.note(path, None);
                return Err(what);
            }
        };
        if u64::try_from(read).is_ok_and(|read| read > max) {
            let max = max / 1024;
            return Err(format!("leads to {shown}, which is larger than {max} KiB"));
        }
        self.seen.note(path, Some(secret.as_bytes()));
        Ok(secret)
    }
}

/// Puts what they lead to in place of all references in `value`, which has the given shape.
///
/// A secret that cannot be had is reported, and something harmless takes its place: the settings
/// will not be used, but the other keys can be checked.
pub(super) fn resolve_all(
    value: &mut Value,
    shape: Option<Shape<'_>>,
    key: &str,
    resolver: &mut Resolver<'_>,
    report: &mut Report<'_>,
) {
    let Some(shape) = shape.map(|shape| shape.of(value)) else {
        return;
    };
    match value {
        Value::String(text) if shape.is_literal() || text.is_empty() && shape.may_be_empty() => {}
        Value::Table(table) => {
            for (name, value) in table.iter_mut() {
                let key = format!("{key}.{name}");
                resolve_all(value, shape.key(name), &key, resolver, report);
            }
        }
        Value::Array(list) if shape.is_secret() => {
            for (index, item) in list.iter_mut().enumerate() {
                resolve_all(
                    item,
                    shape.item(),
                    &format!("{key}[{index}]"),
                    resolver,
                    report,
                );
            }
        }
        secret if shape.is_secret() => {
            let resolved = resolver.resolve(secret).unwrap_or_else(|what| {
                report.add(key, what);
                HIDDEN.to_owned()
            });
            *secret = Value::String(resolved);
        }
        _ => {}
    }
}

/// HTTP drops white space around a header's value and allows no control character in it, so that
/// such a secret could never match; and an empty one would match what is not there.
fn check(secret: &str) -> Result<(), String> {
    let fault = if secret.trim().is_empty() {
        "is empty"
    } else if secret.trim() != secret {
        "begins or ends with white space, which HTTP removes"
    } else if secret.chars().any(char::is_control) {
        "holds a control character, such as a line break"
    } else {
        return Ok(());
    };
    Err(fault.to_owned())
}

/// Writes a secret that may be left out.
pub(super) fn serialize<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_str(HIDDEN),
        None => serializer.serialize_none(),
    }
}

/// Reads a secret that may be left out; when it is there it has a value.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let text = text::read_string(deserializer)?;
    Ok(Some(text.into()))
}

/// Writes secrets any of which will do.
pub(super) fn serialize_list<S: Serializer>(
    secrets: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| HIDDEN))
}

/// Reads secrets any of which will do. A single string stands for a list of one.
pub(super) fn deserialize_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SecretString>, D::Error> {
    read_list(Value::deserialize(deserializer)?)
}

/// Reads one string or a list of them.
pub(super) fn read_list<E: serde::de::Error>(value: Value) -> Result<Vec<SecretString>, E> {
    let list = match value {
        Value::Array(list) => list,
        single => vec![single],
    };
    list.into_iter()
        .map(|item| match item {
            Value::String(text) => Ok(text.into()),
            other => Err(E::custom(text::is_no_string(&other))),
        })
        .collect()
}

/// How one secret appears in the schema.
pub(super) struct Text;

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "writeOnly": true,
            "x-allowed": "the secret itself, \"file:/path/to/it\" or \"env:NAME_OF_VARIABLE\"",
        })
    }
}

/// How a list of secrets appears in the schema.
pub(super) struct TextList;

impl JsonSchema for TextList {
    fn schema_name() -> Cow<'static, str> {
        "Secrets".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Text>();
        json_schema!({
            "anyOf": [one.clone(), { "type": "array", "items": one }],
            "x-allowed": "one secret or a list of them, each as it is, as \"file:/path/to/it\" or as \"env:NAME_OF_VARIABLE\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(reference: &str, directory: &Path) -> Result<String, String> {
        let environment = Environment::from_pairs([("PUSH_TOKEN", "from the environment")]);
        let mut resolver = Resolver {
            directory,
            environment: &environment,
            seen: &mut Seen::default(),
            secrets: Vec::new(),
        };
        resolver.resolve(&Value::String(reference.to_owned()))
    }

    #[test]
    fn a_file_loses_exactly_one_newline_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let given = |content: &str| {
            std::fs::write(directory.path().join("token"), content).unwrap();
            resolve("file:token", directory.path())
        };
        assert_eq!(given("007"), Ok("007".to_owned()));
        assert_eq!(given("007\n"), Ok("007".to_owned()));
        assert_eq!(given("007\r\n"), Ok("007".to_owned()));
        assert!(given("007\n\n").unwrap_err().contains("white space"));
        assert!(given("\n").unwrap_err().contains("is empty"));
    }

    #[test]
    fn what_a_reference_leads_to_is_named_when_it_is_not_there() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!(
            resolve("env:PUSH_TOKEN", nowhere),
            Ok("from the environment".to_owned())
        );
        let missing = resolve("env:OTHER", nowhere).unwrap_err();
        assert_eq!(
            missing,
            "leads to the environment variable \"OTHER\", which is not set"
        );
        let missing = resolve("file:token", nowhere).unwrap_err();
        assert!(missing.starts_with("leads to /nonexistent/token, which cannot be read: No such"));
        assert!(resolve("file:", nowhere).is_err());
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        let endless = resolve("file:/dev/zero", Path::new("/")).unwrap_err();
        assert_eq!(endless, "leads to /dev/zero, which is larger than 64 KiB");
    }
}
