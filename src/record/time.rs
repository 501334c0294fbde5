//! Points in time as records spell them, and lengths of time as people type them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

/// A second of UTC time, written `YYYY-MM-DDTHH:MM:SSZ` (docs/design.md, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is no timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no time: write it as `2025-09-19T17:45:00Z`, in UTC")]
pub struct TimestampFault {
    text: String,
}

impl Timestamp {
    /// The time that is `seconds` after 1970-01-01T00:00:00Z, held to the years 0000 to 9999, which
    /// the format can spell.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(-62_167_219_200, 253_402_300_799))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time and `span` more, in whole seconds, a part of one rounded up.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
        Self::from_unix(self.0.saturating_add_unsigned(seconds))
    }

    /// This time less `span`, in whole seconds.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self::from_unix(self.0.saturating_sub_unsigned(span.as_secs()))
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampFault;

    fn from_str(text: &str) -> Result<Self, TimestampFault> {
        parse(text.as_bytes()).ok_or_else(|| TimestampFault { text: text.to_owned() })
    }
}

/// Reads the one spelling that records use; chrono's parsers also take others.
fn parse(text: &[u8]) -> Option<Timestamp> {
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits =
        |(byte, form): (&u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form };
    if text.len() != shape.len() || !text.iter().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    };
    let date =
        NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)).ok()?, number(5, 7), number(8, 10))?;
    let time = date.and_hms_opt(number(11, 13), number(14, 16), number(17, 19))?;
    Some(Timestamp(time.and_utc().timestamp()))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time: DateTime<Utc> = DateTime::from_timestamp(self.0, 0).unwrap_or_default();
        write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// A length of time as people type it: `500ms`, `30s`, `10m`, `4h`, `2d` (docs/design.md, section
/// 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no length of time: write `500ms`, `30s`, `10m`, `4h` or `2d`")]
pub struct SpanFault {
    text: String,
}

impl Span {
    /// The length as a [`Duration`].
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// A length of `duration`.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = SpanFault;

    fn from_str(text: &str) -> Result<Self, SpanFault> {
        let fault = || SpanFault { text: text.to_owned() };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| fault())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(fault()),
        };
        number
            .checked_mul(milliseconds)
            .map(|length| Self(Duration::from_millis(length)))
            .ok_or_else(fault)
    }
}

/// Shows the length in its largest unit, cut: `3 h`, `4 min`, `12 s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0 if self.0.subsec_millis() > 0 => format!("{} ms", self.0.subsec_millis()),
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min", seconds / 60),
            3600..172_800 => format!("{} h", seconds / 3600),
            _ => format!("{} d", seconds / 86_400),
        };
        f.pad(&text)
    }
}

/// A time as people read it: `3 h ago`, `in 5 min`.
#[must_use]
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", Span::new(time.since(now)))
    } else {
        format!("{} ago", Span::new(now.since(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_spelling_of_a_real_time_is_taken() {
        for good in [
            "2025-09-19T17:45:00Z",
            "2024-02-29T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(good.parse::<Timestamp>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2025-09-19",
            "2025-09-19T17:45:00",
            "2025-09-19T17:45:00+00:00",
            "2025-09-19t17:45:00z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-09-19T24:00:00Z",
            "2025-09-19T17:45:60Z",
            "2025-09-19T17:45:00.5Z",
            "+025-09-19T17:45:00Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_have_a_number_and_a_unit() {
        assert_eq!("90s".parse::<Span>().unwrap().get(), Duration::from_secs(90));
        assert_eq!("2d".parse::<Span>().unwrap().to_string(), "2 d");
        assert_eq!("47h".parse::<Span>().unwrap().to_string(), "47 h");
        for bad in [
            "",
            "5",
            "h",
            "-1h",
            "1.5h",
            "1 h",
            "1w",
            "99999999999999999999s",
            "99999999999999999d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_timestamp_reads_back_what_it_shows(seconds in -62_167_219_200i64..=253_402_300_799) {
            let time = Timestamp::from_unix(seconds);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}
