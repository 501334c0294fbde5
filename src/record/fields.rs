//! Takes the known fields out of a JSON object, and leaves the unknown ones to be kept.

use std::str::FromStr;

use serde_json::Value;

use super::json::Object;
use super::{Fault, Id, IdFault, IdKind, Timestamp};

/// A JSON object whose known fields are taken out one by one, and every fault that was met on the
/// way.
///
/// A record takes all its fields first and looks at the results afterwards, so that all its faults
/// are known at once.
pub(super) struct Fields {
    pub(super) rest: Object,
    pub(super) faults: Vec<Fault>,
}

/// A field, or the sign that it has a fault, which is noted.
pub(super) type Taken<T> = Option<T>;

impl Fields {
    pub(super) const fn new(object: Object) -> Self {
        Self { rest: object, faults: Vec::new() }
    }

    /// A text that must be there and say something.
    pub(super) fn text(&mut self, field: &'static str) -> Taken<String> {
        let text = self.read_text(field).and_then(|text| given(text).ok_or(Fault::Missing(field)));
        self.note(text)
    }

    /// A text, or nothing where the field is missing or null.
    pub(super) fn optional_text(&mut self, field: &'static str) -> Taken<Option<String>> {
        let text = self.read_text(field);
        self.note(text)
    }

    /// An id that must be there.
    pub(super) fn id<K: IdKind>(&mut self, field: &'static str) -> Taken<Id<K>> {
        let id = self.text(field).map(Id::new)?;
        self.note(id.map_err(|fault| Fault::Id { field, fault }))
    }

    /// An id; an empty text counts as none.
    pub(super) fn optional_id<K: IdKind>(&mut self, field: &'static str) -> Taken<Option<Id<K>>> {
        let id = self.optional_text(field).map(|text| given(text).map(Id::new).transpose())?;
        self.note(id.map_err(|fault: IdFault| Fault::Id { field, fault }))
    }

    /// A time that must be there.
    pub(super) fn time(&mut self, field: &'static str) -> Taken<Timestamp> {
        let time = self.optional_time(field)?;
        self.note(time.ok_or(Fault::Missing(field)))
    }

    /// A time, or nothing where the field is missing or null.
    pub(super) fn optional_time(&mut self, field: &'static str) -> Taken<Option<Timestamp>> {
        let time = self
            .optional_text(field)
            .map(|text| text.map(|text| Timestamp::from_str(&text)).transpose())?;
        self.note(time.map_err(|fault| Fault::Time { field, fault }))
    }

    /// A list of texts; empty where the field is missing or null.
    pub(super) fn texts(&mut self, field: &'static str) -> Taken<Vec<String>> {
        let fault = || Fault::Mistyped { field, expected: "a list of texts" };
        let texts = match self.rest.remove(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(fault))
                .collect(),
            Some(_) => Err(fault()),
        };
        self.note(texts)
    }

    /// A list of objects, each read by `read`; empty where the field is missing or null.
    pub(super) fn objects<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Taken<Vec<(T, Object)>> {
        let mistyped = || Fault::Mistyped { field, expected: "a list of objects" };
        let items = match self.rest.remove(field) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => return self.note(Err(mistyped())),
        };
        let mut list = Vec::new();
        let total = items.len();
        for (index, item) in items.into_iter().enumerate() {
            let Value::Object(item) = item else { return self.note(Err(mistyped())) };
            let mut fields = Self::new(item);
            let read = read(&mut fields);
            let inside =
                |fault| Fault::Inside { list: field, number: index + 1, fault: Box::new(fault) };
            self.faults.extend(fields.faults.into_iter().map(inside));
            list.extend(read.map(|read| (read, fields.rest)));
        }
        (list.len() == total).then_some(list)
    }

    /// An object, read by `read`, with its unknown fields, or `None` if the field is missing or
    /// null.
    pub(super) fn optional_object<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Taken<Option<(T, Object)>> {
        let object = match self.rest.remove(field) {
            None | Some(Value::Null) => return Some(None),
            Some(Value::Object(object)) => object,
            Some(_) => return self.note(Err(Fault::Mistyped { field, expected: "an object" })),
        };
        let mut fields = Self::new(object);
        let read = read(&mut fields);
        let inside = |fault| Fault::Within { object: field, fault: Box::new(fault) };
        self.faults.extend(fields.faults.into_iter().map(inside));
        Some(Some((read?, fields.rest)))
    }

    /// A whole number that is not negative, or nothing where the field is missing or null.
    pub(super) fn optional_number(&mut self, field: &'static str) -> Taken<Option<u64>> {
        let fault = || Fault::Mistyped { field, expected: "a whole number that is not negative" };
        let number = match self.rest.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().ok_or_else(fault).map(Some),
        };
        self.note(number)
    }

    /// A word of a fixed set.
    pub(super) fn word<T>(
        &mut self,
        field: &'static str,
        allowed: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Taken<T> {
        let word = self.text(field)?;
        let known = read(&word).ok_or(Fault::UnknownWord { field, word, allowed });
        self.note(known)
    }

    /// Passes a value on, and notes a fault.
    pub(super) fn note<T>(&mut self, read: Result<T, Fault>) -> Taken<T> {
        read.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// The record that was made of all fields, or the faults.
    pub(super) fn finish<T>(self, record: Option<T>) -> Result<T, Vec<Fault>> {
        match record {
            Some(record) if self.faults.is_empty() => Ok(record),
            _ => Err(self.faults),
        }
    }

    fn read_text(&mut self, field: &'static str) -> Result<Option<String>, Fault> {
        match self.rest.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::Mistyped { field, expected: "a text" }),
        }
    }
}

/// A text that says something.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The first of a record's faults, for who needs one.
pub(super) fn first(mut faults: Vec<Fault>) -> Fault {
    if faults.is_empty() { Fault::NotAnObject } else { faults.swap_remove(0) }
}

/// Puts `value` into `object` if there is one.
pub(super) fn put(object: &mut Object, field: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        object.insert(field.to_owned(), Value::String(value.to_string()));
    }
}
