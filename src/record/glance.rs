//! Tells at a glance, without building anything, that a line is a sound event: for the validator
//! and the report, which read millions.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::id::is_id;
use super::json::{MAX_LINE, NUMBER_KEY};
use super::{Agent, CORE_FIELDS, Kind, Plan, Severity, Task, Timestamp};

/// How many fields beside the known ones a line may have and still be read at a glance.
const OTHERS: usize = 8;

/// What a sound line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance<'a> {
    /// The event's own name.
    pub id: Option<Cow<'a, str>>,
    /// Who logged it.
    pub agent_id: Cow<'a, str>,
    /// When.
    pub ts: Timestamp,
    /// What type of event.
    pub event: Cow<'a, str>,
    /// The task.
    pub task_id: Option<Cow<'a, str>>,
}

impl<'a> Glance<'a> {
    /// Reads a line. Nothing where it is no sound event, or where only a closer look can tell: an
    /// object inside, a number.
    #[must_use]
    pub fn at(line: &'a [u8]) -> Option<Self> {
        let text = Some(line)
            .filter(|line| line.len() <= MAX_LINE)
            .and_then(|line| std::str::from_utf8(line).ok())?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let glance = reader.deserialize_map(Look).ok()?;
        reader.end().ok().map(|()| glance)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Glance<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Glance<'de>, A::Error> {
        let unsure = || A::Error::custom("a closer look is needed");
        let mut seen = 0_u16;
        let mut others: [&str; OTHERS] = [""; OTHERS];
        let mut count = 0;
        let (mut id, mut agent_id, mut event, mut task_id, mut ts) = (None, None, None, None, None);
        while let Some(key) = entries.next_key::<&'de str>()? {
            let Some(field) = CORE_FIELDS.iter().position(|field| *field == key) else {
                if count == OTHERS || others.contains(&key) || key.is_empty() || key == NUMBER_KEY {
                    return Err(unsure());
                }
                others[count] = key;
                count += 1;
                entries.next_value_seed(Check(|_: &str| true))?;
                continue;
            };
            if seen & (1 << field) != 0 {
                return Err(unsure());
            }
            seen |= 1 << field;
            match key {
                "agent_id" => agent_id = Some(text(&mut entries, is_id::<Agent>)?),
                "id" => id = Some(text(&mut entries, |text| !text.is_empty())?),
                "event" => event = Some(text(&mut entries, is_id::<Kind>)?),
                "task_id" => task_id = Some(text(&mut entries, is_id::<Task>)?),
                "plan_id" => entries.next_value_seed(Check(is_id::<Plan>))?,
                "summary" => entries.next_value_seed(Check(|text: &str| !text.is_empty()))?,
                "ts" => {
                    ts = Some(
                        entries
                            .next_value_seed(Text)?
                            .parse::<Timestamp>()
                            .map_err(|_| unsure())?,
                    )
                }
                "severity" => {
                    entries.next_value_seed(Check(|text: &str| text.parse::<Severity>().is_ok()))?
                }
                "receipts" => entries.next_value_seed(Texts)?,
                _ => entries.next_value_seed(Check(|_: &str| true))?,
            }
        }
        let has = |field: &str| {
            CORE_FIELDS
                .iter()
                .position(|core| *core == field)
                .is_some_and(|bit| seen & (1 << bit) != 0)
        };
        match (agent_id, event, ts) {
            (Some(agent_id), Some(event), Some(ts)) if has("summary") => {
                Ok(Glance { id, agent_id, ts, event, task_id })
            }
            _ => Err(unsure()),
        }
    }
}

/// The next value, which must be a text for which `is_sound` holds.
fn text<'de, A: MapAccess<'de>>(
    entries: &mut A,
    is_sound: impl Fn(&str) -> bool,
) -> Result<Cow<'de, str>, A::Error> {
    let text = entries.next_value_seed(Text)?;
    if is_sound(&text) { Ok(text) } else { Err(A::Error::custom("a closer look is needed")) }
}

/// Takes a text.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Looks at a text, and takes nothing.
struct Check<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for Check<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: Fn(&str) -> bool> Visitor<'_> for Check<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if (self.0)(text) { Ok(()) } else { Err(E::custom("a closer look is needed")) }
    }
}

/// Looks at a list of texts, and takes nothing.
struct Texts;

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Check(|_: &str| true))?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Event;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_our_own_needs_no_closer_look() {
        let line = r#"{"agent_id":"codex-1","branch":"agent/codex-1/x","event":"note","id":"1","mine":"x","plan_id":"P","pr":"7","receipts":["a","\n"],"session_id":"s","severity":"low","summary":"a\"b","task_id":"Q-1","ts":"2025-09-17T23:17:52Z"}"#;
        let ts = "2025-09-17T23:17:52Z".parse().unwrap();
        let (event, task_id) = ("note".into(), Some("Q-1".into()));
        let glance =
            Glance { id: Some("1".into()), agent_id: "codex-1".into(), ts, event, task_id };
        assert_eq!(Glance::at(line.as_bytes()), Some(glance));
        assert!(
            Glance::at(line.replace("\"mine\":\"x\"", "\"mine\":{\"a\":1,\"a\":1}").as_bytes())
                .is_none()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn a_line_that_passes_at_a_glance_passes_the_close_look(
            fields in prop::collection::vec((
                prop_oneof![
                    prop::sample::select(&CORE_FIELDS[..]).prop_map(str::to_owned), "[a-c]{0,2}", Just("i\\u0064".to_owned()),
                    Just(NUMBER_KEY.to_owned()),
                ],
                prop_oneof![
                    4 => prop::sample::select(vec!["\"codex-1\"", "\"low\"", "\"2025-09-17T23:17:52Z\"", "[\"a\"]"]).prop_map(str::to_owned),
                    1 => prop::sample::select(vec!["\"\"", "\"agent-1\"", "\"..\"", "1", "null", "{}", "[1]", "\"\\u0061\"", "\"\u{0}\"", "tru"]).prop_map(str::to_owned),
                ],
            ), 0..9),
            tail in prop::sample::select(vec!["", " ", "x", "{}", "\n"]),
        ) {
            let base = [
                ("agent_id", "\"codex-1\""), ("event", "\"note\""), ("summary", "\"x\""), ("ts", "\"2025-09-17T23:17:52Z\""),
            ];
            let base = base.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let body: Vec<String> =
                fields.into_iter().chain(base).map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let line = format!("{{{}}}{tail}", body.join(","));
            for line in [line.clone(), line.replacen("\"agent_id\":\"codex-1\",", "", 1)] {
                if let Some(glance) = Glance::at(line.as_bytes()) {
                    let event = Event::parse(line.as_bytes());
                    prop_assert!(event.is_ok(), "{line}: {event:?}");
                    let event = event.unwrap();
                    prop_assert_eq!(event.id.as_deref(), glance.id.as_deref());
                    prop_assert_eq!(event.agent_id.as_str(), &*glance.agent_id);
                    prop_assert_eq!((event.ts, event.event.as_str()), (glance.ts, &*glance.event));
                    prop_assert_eq!(event.task_id.as_ref().map(|task| task.as_str()), glance.task_id.as_deref());
                }
            }
        }
    }
}
