//! Texts that may stand in files of their own: templates and certificates.
//!
//! A file is read when the configuration is, so that a reload takes over what changed in it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer};

use super::super::text;

/// What stands before a template's path.
const REFERENCE: &str = "file:";

/// A text, and where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    place: Place,
    text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In the configuration.
    Inline,
    /// In a file of its own.
    File(PathBuf),
    /// In a preset.
    Preset,
}

impl Document {
    /// The text; that of a file is empty before it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file it stands in, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Inline | Place::Preset => None,
        }
    }

    fn is_of_preset(&self) -> bool {
        self.place == Place::Preset
    }

    /// Takes what was read from its file.
    pub(in crate::config) fn fill(&mut self, text: String) {
        self.text = text.into();
    }

    /// Says that nobody wrote it into the configuration.
    pub(super) fn came_from_preset(&mut self) {
        self.place = Place::Preset;
    }

    fn file(path: &str) -> Self {
        Self {
            place: Place::File(path.into()),
            text: Arc::default(),
        }
    }
}

/// Without the text, which may hold a secret.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.place).finish()
    }
}

/// Whether a template need not be written, because the preset's name says it.
pub(super) fn is_silent(document: &Option<Document>) -> bool {
    document.as_ref().is_none_or(Document::is_of_preset)
}

/// Writes where a template stands; one that stands inline may hold a secret.
pub(super) fn serialize_template<S: Serializer>(
    document: &Option<Document>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match document {
        Some(Document {
            place: Place::File(path),
            ..
        }) => serializer.collect_str(&format_args!("{REFERENCE}{}", path.display())),
        Some(document) => serializer.collect_str(&format_args!("({} bytes)", document.text.len())),
        None => serializer.serialize_none(),
    }
}

/// Reads a template: the text itself, or `file:` and a path.
pub(super) fn deserialize_template<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Document>, D::Error> {
    let written = text::read_string(deserializer)?;
    Ok(Some(match written.strip_prefix(REFERENCE) {
        Some(path) => Document::file(path),
        None => Document {
            place: Place::Inline,
            text: written.into(),
        },
    }))
}

/// Writes the path of a file.
pub(in crate::config) fn serialize_file<S: Serializer>(
    document: &Option<Document>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match document.as_ref().and_then(Document::path) {
        Some(path) => serializer.collect_str(&path.display()),
        None => serializer.serialize_none(),
    }
}

/// Reads the path of a file; an empty one is none.
pub(in crate::config) fn deserialize_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Document>, D::Error> {
    let path = text::read_string(deserializer)?;
    Ok((!path.is_empty()).then(|| Document::file(&path)))
}

/// How a template appears in the schema.
pub(super) struct Template;

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "x-document": true,
            "x-allowed": "a template (minijinja) of JSON, or \"file:/path/to/it\", where a name that ends in neither .json nor .json.j2 stands for text",
        })
    }
}

/// How the path of a file appears in the schema.
pub(in crate::config) struct File;

impl JsonSchema for File {
    fn schema_name() -> Cow<'static, str> {
        "File".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "x-allowed": "the path of a file this user may read",
        })
    }
}
