//! Time zones of the IANA database: the local time at an instant.
//!
//! The table is made when the project is built, of the data that `jiff` bundles (`build.rs`). It
//! says from 2020 to 2100 when each zone's offset from UTC changes; before and after, its first and
//! its last offset hold. Command line and filter have the same one.

use super::invariant::invariant;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its place in the table of names.
    number: u16,
}

/// A span of time during which a zone's offset does not change, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetSpan {
    /// Its first second; `i64::MIN` for the first span.
    pub begin: i64,
    /// The first second after it; `i64::MAX` for the last span.
    pub end: i64,
    /// By how many seconds the local clock is ahead of UTC.
    pub offset: i64,
}

/// The offsets of one or more zones, in quarters of an hour.
struct ZoneRules {
    /// The offset before the first change.
    first: i8,
    /// When it changes, in minutes since the epoch.
    minutes: &'static [u32],
    /// The offset from each change on.
    offsets: &'static [i8],
}

include!(concat!(env!("OUT_DIR"), "/zones.rs"));

const MINUTE_SECONDS: i64 = 60;
const QUARTER_SECONDS: i64 = 900;

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self { number: UTC };

    /// The zone of this name, to the letter: `Europe/Rome`.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let place = NAMES
            .binary_search_by(|(known, _)| (*known).cmp(name))
            .ok()?;
        u16::try_from(place).ok().map(|number| Self { number })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        invariant(NAMES.get(usize::from(self.number)), "a zone has a name")
            .map_or("UTC", |(name, _)| name)
    }

    /// The names of all zones, in alphabetical order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The span that the Unix second `at` is in.
    #[must_use]
    pub fn offset_span(self, at: i64) -> OffsetSpan {
        let rules = NAMES
            .get(usize::from(self.number))
            .and_then(|(_, rules)| RULES.get(usize::from(*rules)));
        let Some(ZoneRules {
            first,
            minutes,
            offsets,
        }) = invariant(rules, "a zone has rules")
        else {
            return OffsetSpan {
                begin: i64::MIN,
                end: i64::MAX,
                offset: 0,
            };
        };
        let instant = |minute: &u32| i64::from(*minute).saturating_mul(MINUTE_SECONDS);
        let after = minutes.partition_point(|minute| instant(minute) <= at);
        let last = after.checked_sub(1);
        OffsetSpan {
            begin: last
                .and_then(|last| minutes.get(last))
                .map_or(i64::MIN, instant),
            end: minutes.get(after).map_or(i64::MAX, instant),
            offset: i64::from(
                last.and_then(|last| offsets.get(last))
                    .copied()
                    .unwrap_or(*first),
            )
            .saturating_mul(QUARTER_SECONDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Offset as _, TimeZone as _};
    use chrono_tz::Tz;

    use super::*;

    /// Zones whose governments decided anew since the other library's data were published: Morocco,
    /// western Canada and Cuba stay with one time from autumn 2026 on; Moldova does as the European
    /// Union.
    const DECIDED_ANEW: [&str; 15] = [
        "Africa/Casablanca",
        "Africa/El_Aaiun",
        "America/Edmonton",
        "America/Havana",
        "America/Inuvik",
        "America/Rainy_River",
        "America/Vancouver",
        "America/Winnipeg",
        "America/Yellowknife",
        "Canada/Central",
        "Canada/Mountain",
        "Canada/Pacific",
        "Cuba",
        "Europe/Chisinau",
        "Europe/Tiraspol",
    ];

    fn offset_minutes(zone: &str, at: &str) -> i64 {
        let at = DateTime::parse_from_rfc3339(at).unwrap().timestamp();
        Zone::find(zone).unwrap().offset_span(at).offset / 60
    }

    #[test]
    fn a_zone_is_found_by_its_name() {
        for name in [
            "UTC",
            "Europe/Rome",
            "Europe/Kyiv",
            "Europe/Kiev",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+12",
        ] {
            assert_eq!(Zone::find(name).map(Zone::name), Some(name));
        }
        assert_eq!(Zone::find("UTC"), Some(Zone::UTC));
        for name in [
            "",
            "Rome",
            "europe/rome",
            "Europe/Romee",
            "CEST",
            "+02:00",
            "UTC ",
            "Europe",
        ] {
            assert_eq!(Zone::find(name), None, "{name}");
        }
        assert!(Zone::names().count() > 500 && Zone::names().is_sorted());
    }

    #[test]
    fn clocks_show_what_they_show() {
        for (zone, at, minutes) in [
            ("UTC", "2026-11-25T10:00:00Z", 0),
            ("Europe/Rome", "2026-01-01T00:00:00Z", 60),
            ("Europe/Rome", "2026-07-01T00:00:00Z", 120),
            ("Europe/Rome", "2026-03-29T00:59:59Z", 60),
            ("Europe/Rome", "2026-03-29T01:00:00Z", 120),
            ("America/New_York", "2099-07-01T00:00:00Z", -240),
            ("Pacific/Kiritimati", "2026-07-01T00:00:00Z", 840),
            ("Pacific/Chatham", "2026-01-01T00:00:00Z", 825),
            ("Asia/Kathmandu", "2026-01-01T00:00:00Z", 345),
            ("Australia/Lord_Howe", "2026-07-01T00:00:00Z", 630),
            ("Australia/Lord_Howe", "2026-01-01T00:00:00Z", 660),
            // Morocco put its clocks back for Ramadan, by the moon, until 2026.
            ("Africa/Casablanca", "2026-02-01T00:00:00Z", 60),
            ("Africa/Casablanca", "2026-03-01T00:00:00Z", 0),
            ("Africa/Casablanca", "2026-04-01T00:00:00Z", 60),
            ("America/Sao_Paulo", "2026-01-01T00:00:00Z", -180),
            ("Europe/Rome", "1970-07-01T00:00:00Z", 60),
            ("Europe/Rome", "2500-07-01T00:00:00Z", 60),
        ] {
            assert_eq!(offset_minutes(zone, at), minutes, "{zone} at {at}");
        }
    }

    #[test]
    fn another_library_says_the_same_of_the_next_ten_years() {
        let (first, last) = (1_767_225_600, 2_082_758_400);
        let mut compared = 0;
        for name in Zone::names() {
            let (zone, Ok(other)) = (Zone::find(name).unwrap(), name.parse::<Tz>()) else {
                continue;
            };
            if DECIDED_ANEW.contains(&name) {
                continue;
            }
            // Days apart, and around each change.
            let changes = std::iter::successors(Some(zone.offset_span(first)), |span| {
                (span.end < last).then(|| zone.offset_span(span.end))
            });
            let around = changes
                .flat_map(|span| [span.end.saturating_sub(1), span.end])
                .filter(|at| *at < last);
            for at in (first..last).step_by(5 * 86_400 + 3_600).chain(around) {
                let theirs = other
                    .timestamp_opt(at, 0)
                    .unwrap()
                    .offset()
                    .fix()
                    .local_minus_utc();
                assert_eq!(
                    zone.offset_span(at).offset,
                    i64::from(theirs),
                    "{name} at {at}"
                );
                compared += 1;
            }
        }
        assert!(compared > 100_000);
    }
}
