//! The words that a plan is called by, and the id that a date makes of them.

use std::fmt;
use std::str::FromStr;

use super::{IdFault, PlanId, Timestamp};

/// Words of `a-z` and `0-9` with dashes between them: `parser-fuzzing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug(String);

/// A text that is no slug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no slug: {what}")]
pub struct SlugFault {
    text: String,
    what: &'static str,
}

impl Slug {
    /// The id of a plan of this name that is made at `time`.
    ///
    /// # Errors
    ///
    /// [`IdFault`] if it would be too long.
    pub fn plan_id(&self, time: Timestamp) -> Result<PlanId, IdFault> {
        PlanId::new(format!("{}-{self}", &time.to_string()[..DATE]))
    }
}

/// How many characters a date has.
const DATE: usize = "2025-09-19".len();

/// Whether a text begins with a day of the calendar and a dash, and goes on.
pub(super) fn is_dated(text: &str) -> bool {
    text.split_at_checked(DATE).is_some_and(|(date, rest)| {
        format!("{date}T00:00:00Z").parse::<Timestamp>().is_ok()
            && rest.len() > 1
            && rest.starts_with('-')
    })
}

impl FromStr for Slug {
    type Err = SlugFault;

    fn from_str(text: &str) -> Result<Self, SlugFault> {
        let fault = |what| Err(SlugFault { text: text.to_owned(), what });
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        match text {
            _ if !text.split('-').all(is_word) => {
                fault("write small letters and digits, with dashes between the words")
            }
            _ if is_dated(text) => fault("leave the date out, today's is put before it"),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_words_and_a_date_makes_it_an_id() {
        let noon: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for good in ["queue-001", "a", "7", "parser-fuzzing-2", "2026-03"] {
            let id = good.parse::<Slug>().unwrap().plan_id(noon).unwrap();
            assert!(is_dated(id.as_str()), "{id}");
        }
        for bad in
            ["", "-a", "a-", "a--b", "A", "a b", "a/b", "../a", "é", "a.b", "a\n", "2026-03-01-x"]
        {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(90).parse::<Slug>().unwrap().plan_id(noon).is_err());
        for undated in
            ["2026-03-01", "2026-03-01-", "2026-02-30-x", "20260301-x", "x-2026-03-01", "é"]
        {
            assert!(!is_dated(undated), "{undated}");
        }
    }
}
