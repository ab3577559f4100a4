//! Says what is wrong with a text, in the words and with the positions of `serde_json`.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Checks that `raw` is exactly one valid JSON value.
pub(crate) fn check(raw: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<&RawValue>(raw).map(drop)
}

/// What makes `raw` something else than exactly one valid JSON object.
pub(crate) fn fault_of_object(raw: &str) -> serde_json::Error {
    let mut json = serde_json::Deserializer::from_str(raw);
    match json.deserialize_map(Members).and_then(|()| json.end()) {
        Err(error) => error,
        // The walk and `serde_json` accept the same texts; were they ever to differ, the text
        // would be refused rather than handed on half understood.
        Ok(()) => serde_json::Error::custom("it cannot be walked"),
    }
}

struct Members;

impl<'a> Visitor<'a> for Members {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<&'a RawValue, &'a RawValue>()?.is_some() {}
        Ok(())
    }
}
