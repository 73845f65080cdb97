//! Times, and lengths of time, as people write and read them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::time::{Span, Timestamp};

/// Reads a time of RFC 3339, with its offset: `2026-11-25T10:00:00Z`.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| "not a time with its offset, such as 2026-11-25T10:00:00Z".to_owned())?;
    let nanos = u64::try_from(time.as_nanosecond())
        .map_err(|_| "not a time from 1970 to 2554".to_owned())?;
    Ok(Timestamp::from_nanos(nanos))
}

pub(in crate::cli) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(at.nanos().into())
        .unwrap_or_default()
        .to_string()
}

/// The time of this machine, to the second.
pub(in crate::cli) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one clock of the command line: a request without --at arrives now"
    )]
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(0).after(Span::from_seconds(since.as_secs()))
}

/// A length of time for a person, rounded up to a second: `1 min 40 s`.
pub(in crate::cli) fn spoken(span: Span) -> String {
    let mut rest = Span::from_seconds(span.seconds_up());
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
        let one = Span::from_seconds(seconds);
        let count = rest.whole(one);
        rest = rest.less(one.times(count));
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_it_is_written() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-25T10:00:00.5Z",
            "2554-07-21T23:34:33.709551615Z",
        ] {
            assert_eq!(rfc3339(parse(text).unwrap()), text);
        }
        assert_eq!(
            parse("2026-11-25T11:30:00+01:30"),
            parse("2026-11-25T10:00:00Z")
        );
        for text in [
            "",
            "now",
            "2026-11-25",
            "2026-11-25T10:00:00",
            "1969-12-31T23:59:59Z",
            "2600-01-01T00:00:00Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(now() > parse("2026-01-01T00:00:00Z").unwrap());
    }

    #[test]
    fn a_length_of_time_is_spoken() {
        for (nanos, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (59_000_000_001, "1 min"),
            (100_000_000_000, "1 min 40 s"),
        ] {
            assert_eq!(spoken(Span::from_nanos(nanos)), text);
        }
        assert_eq!(spoken(Span::from_seconds(90_061)), "1 d 1 h 1 min 1 s");
    }
}
