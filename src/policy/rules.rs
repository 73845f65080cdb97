//! The numbers of a rule: of a bucket, a rolling or a calendar window, and of what overrides them.

use super::error::Reason;
use super::reader::{Field, MapField};
use crate::base::time::Span;
use crate::base::units::{Refill, parse_span};
use crate::base::zone::Zone;
use crate::limit::calendar::{Calendar, Over};
use crate::limit::gcra::{BURST_MAX, Bucket};
use crate::limit::period::Period;
use crate::limit::rolling::Rolling;
use crate::limit::{QUOTA_MAX, Rule};

/// The keys of which a limit has exactly one.
pub(crate) const KINDS: &[&str] = &["bucket", "rolling", "calendar"];
const OVERS: [(&str, Over); 2] = [("refuse", Over::Refuse), ("count", Over::Count)];

/// Reads the one rule of a limit, and its `over`.
pub(super) fn read(map: &MapField<'_>) -> Option<Rule> {
    let (bucket, rolling, calendar) = (map.get("bucket"), map.get("rolling"), map.get("calendar"));
    let over = map.get("over");
    if let (Some(over), None) = (&over, &calendar) {
        over.error(Reason::RequiresSibling {
            sibling: "`calendar`",
        });
    }
    let over = over.map_or(Some(Over::default()), |field| read_over(&field));
    let given: Vec<&str> = KINDS
        .iter()
        .copied()
        .filter(|kind| map.get(kind).is_some())
        .collect();
    let bucket = bucket.and_then(read_bucket).map(Rule::Bucket);
    let rolling = rolling.and_then(read_rolling).map(Rule::Rolling);
    let calendar = calendar
        .and_then(|field| read_calendar(field, over.unwrap_or_default()))
        .map(Rule::Calendar);
    if given.len() != 1 {
        return map.field().refuse(Reason::NotOneSource {
            sources: KINDS,
            given,
        });
    }
    over.and(bucket.or(rolling).or(calendar))
}

fn read_bucket(field: Field<'_>) -> Option<Bucket> {
    let map = field.map("{ burst: 100, refill: 60/min }")?;
    let burst = map.require("burst").and_then(|field| read_burst(&field));
    let refill = map.require("refill").and_then(|field| read_refill(&field));
    map.deny_unknown();
    checked_bucket(&field, burst?, refill?)
}

fn read_rolling(field: Field<'_>) -> Option<Rolling> {
    let map = field.map("{ quota: 100, window: 10s }")?;
    let quota = map.require("quota").and_then(|field| read_quota(&field));
    let window = map
        .require("window")
        .and_then(|field| field.quantity(parse_span));
    map.deny_unknown();
    Rolling::new(quota?, window?)
}

fn read_calendar(field: Field<'_>, over: Over) -> Option<Calendar> {
    let map = field.map("{ quota: 10000, window: 1mo }")?;
    let quota = map.require("quota").and_then(|field| read_quota(&field));
    let period = map
        .require("window")
        .and_then(|field| field.quantity(Period::parse));
    let zone = map.optional("zone", Zone::UTC, |field| {
        let name = field.string()?;
        Zone::find(name).or_else(|| {
            field.refuse(Reason::NoSuchZone {
                value: name.to_owned(),
            })
        })
    });
    map.deny_unknown();
    Calendar::new(quota?, over, period?, zone?)
}

/// Reads the numbers of an override of `base`, which is `None` if it has an error itself.
pub(super) fn read_override(map: &MapField<'_>, base: Option<Rule>) -> Option<Rule> {
    let Some(base) = base else {
        // None of the keys of an override is a further error.
        for key in ["burst", "refill", "quota", "over"] {
            map.get(key);
        }
        return None;
    };
    let keys = overridable(&base);
    let given: Vec<_> = keys.iter().map(|key| map.get(key)).collect();
    if given.iter().all(Option::is_none) {
        map.field().error(Reason::OverridesNothing { keys });
    }
    let [first, second] = [0, 1].map(|index| given.get(index).and_then(Option::as_ref));
    match base {
        Rule::Bucket(base) => {
            let burst = first.map_or(Some(base.burst()), read_burst);
            let refill = second.map_or(Some(base.refill()), read_refill);
            checked_bucket(map.field(), burst?, refill?).map(Rule::Bucket)
        }
        Rule::Rolling(base) => {
            let quota = first.map_or(Some(base.quota()), read_quota);
            Rolling::new(quota?, base.window()).map(Rule::Rolling)
        }
        Rule::Calendar(base) => {
            let quota = first.map_or(Some(base.quota()), read_quota);
            let over = second.map_or(Some(base.over()), read_over);
            Calendar::new(quota?, over?, base.period(), base.zone()).map(Rule::Calendar)
        }
        // Nothing of them is overridden.
        Rule::Seats(_) => None,
    }
}

/// The keys of an override: a window is none of them, because the counters belong to it.
const fn overridable(rule: &Rule) -> &'static [&'static str] {
    match rule {
        Rule::Bucket(_) => &["burst", "refill"],
        Rule::Rolling(_) => &["quota"],
        Rule::Calendar(_) => &["quota", "over"],
        Rule::Seats(_) => &[],
    }
}

fn read_burst(field: &Field<'_>) -> Option<u32> {
    field.count(1, BURST_MAX)
}

fn read_refill(field: &Field<'_>) -> Option<Refill> {
    field.quantity(Refill::parse)
}

fn read_quota(field: &Field<'_>) -> Option<u64> {
    field.count(1, QUOTA_MAX)
}

fn read_over(field: &Field<'_>) -> Option<Over> {
    field.choice("a treatment of overage", &OVERS)
}

/// The bucket of checked numbers, if they fit together.
fn checked_bucket(field: &Field<'_>, burst: u32, refill: Refill) -> Option<Bucket> {
    Bucket::new(burst, refill).or_else(|| field.refuse(Reason::WindowTooLong))
}

/// Kind and window, which a counter belongs to: numbers that change keep it, these do not.
pub(super) fn identity(rule: &Rule) -> String {
    let seconds = |window: Span| window.seconds_up();
    match rule {
        Rule::Bucket(_) => "bucket".to_owned(),
        Rule::Rolling(rolling) => format!("rolling {}", seconds(rolling.window())),
        Rule::Calendar(calendar) => format!("calendar {}", calendar.period()),
        // Each holder's seat says itself when it lapses.
        Rule::Seats(_) => "seats".to_owned(),
    }
}
