//! The one place where an error becomes words and an exit status.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Map, Value};

use super::output::Output;
use crate::Code;
use crate::bus::Error as BusError;
use crate::record::IdFault;
use crate::validate::Error as ValidateError;

/// The system refused.
pub(super) const SYSTEM: u8 = 9;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The bus refused.
    Bus(BusError),
    /// The validator has no verdict.
    Validate(ValidateError),
    /// The command line makes no sense.
    Usage { what: String, hint: String },
    /// An id on the command line is none.
    BadId { what: String, hint: String },
    /// Paths are not the agent's to change.
    Denied { what: String, hint: String, facts: Vec<(&'static str, Value)> },
    /// Whether paths are the agent's to change cannot be told.
    Unsure(BusError),
    /// A promise that `bus demo` checks does not hold.
    PromiseBroken(String),
}

impl From<BusError> for Failure {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

impl From<ValidateError> for Failure {
    fn from(error: ValidateError) -> Self {
        Self::Validate(error)
    }
}

/// What a failure is called, in words, what to do about it, and its facts.
type Story = (Code, String, String, Vec<(&'static str, Value)>);

fn tell(failure: &Failure) -> Story {
    match failure {
        Failure::Bus(error) => (error.code(), story(error), error.hint(), error.facts()),
        Failure::Validate(error) => (error.code(), story(error), error.hint(), Vec::new()),
        Failure::Usage { what, hint } => (Code::Usage, what.clone(), hint.clone(), Vec::new()),
        Failure::BadId { what, hint } => (Code::BadId, what.clone(), hint.clone(), Vec::new()),
        Failure::Denied { what, hint, facts } => {
            (Code::PathDenied, what.clone(), hint.clone(), facts.clone())
        }
        Failure::Unsure(error) => {
            let mut facts = error.facts();
            facts.push(("cause", Value::from(error.code().as_str())));
            (Code::CouldNotCheck, format!("could not check: {}", story(error)), error.hint(), facts)
        }
        Failure::PromiseBroken(what) => (
            Code::PromiseBroken,
            what.clone(),
            "please report this: it must not happen".to_owned(),
            Vec::new(),
        ),
    }
}

/// A failure in one line: what is wrong, and what to do.
pub(super) fn words(failure: &Failure) -> String {
    let (_, message, hint, _) = tell(failure);
    format!("{message}; {hint}")
}

/// Shows a failure, and returns its exit status.
pub(super) fn report(failure: &Failure, output: &mut Output) -> u8 {
    let (code, message, hint, facts) = tell(failure);
    if output.is_json() {
        let mut error = Map::new();
        facts.into_iter().for_each(|(name, fact)| drop(error.insert(name.to_owned(), fact)));
        error.insert("code".to_owned(), Value::from(code.as_str()));
        error.insert("message".to_owned(), Value::from(message));
        error.insert("hint".to_owned(), Value::from(hint));
        output.document(&Value::Object(
            [("error".to_owned(), Value::Object(error))].into_iter().collect(),
        ));
    } else {
        output.flush();
        output.error(&message);
        output.hint(&hint);
    }
    code.status()
}

/// Shows what clap has to say: help, the version, or what is wrong with the command line of
/// `command`, with a hint if there is a better one than its help.
pub(super) fn usage(
    error: &mut clap::Error,
    hint: Option<String>,
    command: &str,
    output: &mut Output,
) -> Result<u8, Failure> {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if output.is_json() && !asked_for {
        let text = error.render().to_string();
        let what = text
            .split("Usage: ")
            .next()
            .unwrap_or(&text)
            .split("\n\nFor more")
            .next()
            .unwrap_or(&text);
        let what = what
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .trim_start_matches("error: ")
            .to_owned();
        let hint = hint.unwrap_or_else(|| format!("see `{command} --help`"));
        let is_id = std::error::Error::source(error).is_some_and(|source| source.is::<IdFault>());
        return Err(if is_id {
            Failure::BadId { what, hint }
        } else {
            Failure::Usage { what, hint }
        });
    }
    if let Some(hint) = hint {
        let tips = vec![StyledStr::from(hint)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    output.help(&error.render(), asked_for);
    Ok(if asked_for { 0 } else { Code::Usage.status() })
}

/// The error and what the system said, in one line.
pub(super) fn story(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_the_order_of_their_statuses() {
        let statuses: Vec<u8> = Code::all().map(Code::status).collect();
        assert!(statuses.is_sorted(), "{statuses:?}");
        let names: std::collections::BTreeSet<&str> = Code::all().map(Code::as_str).collect();
        assert_eq!(names.len(), statuses.len());
    }
}
