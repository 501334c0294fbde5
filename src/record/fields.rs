//! Takes the known fields out of a JSON object, and leaves the unknown ones to be kept.

use std::str::FromStr;

use serde_json::Value;

use super::json::Object;
use super::{Fault, Id, IdFault, IdKind, Timestamp};

/// A JSON object whose known fields are taken out one by one.
pub(super) struct Fields(pub(super) Object);

impl Fields {
    /// A text that must be there and say something.
    pub(super) fn text(&mut self, field: &'static str) -> Result<String, Fault> {
        self.optional_text(field)?.filter(|text| !text.is_empty()).ok_or(Fault::Missing(field))
    }

    /// A text, or nothing where the field is missing or null.
    pub(super) fn optional_text(&mut self, field: &'static str) -> Result<Option<String>, Fault> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::Mistyped { field, expected: "a text" }),
        }
    }

    /// An id that must be there.
    pub(super) fn id<K: IdKind>(&mut self, field: &'static str) -> Result<Id<K>, Fault> {
        let text = self.text(field)?;
        Id::new(text).map_err(|fault| Fault::Id { field, fault })
    }

    /// An id; an empty text counts as none.
    pub(super) fn optional_id<K: IdKind>(&mut self, field: &'static str) -> Result<Option<Id<K>>, Fault> {
        let given = self.optional_text(field)?.filter(|text| !text.is_empty());
        given.map(Id::new).transpose().map_err(|fault: IdFault| Fault::Id { field, fault })
    }

    /// A time that must be there.
    pub(super) fn time(&mut self, field: &'static str) -> Result<Timestamp, Fault> {
        self.optional_time(field)?.ok_or(Fault::Missing(field))
    }

    /// A time, or nothing where the field is missing or null.
    pub(super) fn optional_time(&mut self, field: &'static str) -> Result<Option<Timestamp>, Fault> {
        let given = self.optional_text(field)?;
        given.map(|text| Timestamp::from_str(&text)).transpose().map_err(|fault| Fault::Time { field, fault })
    }

    /// A list of texts; empty where the field is missing or null.
    pub(super) fn texts(&mut self, field: &'static str) -> Result<Vec<String>, Fault> {
        let fault = || Fault::Mistyped { field, expected: "a list of texts" };
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.into_iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(fault)).collect()
            }
            Some(_) => Err(fault()),
        }
    }
}

/// Puts `value` into `object` where there is one.
pub(super) fn put(object: &mut Object, field: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        object.insert(field.to_owned(), Value::String(value.to_string()));
    }
}
