//! The numbers of a rule: of a bucket, a rolling or a calendar window, and of what overrides them.

use super::Context;
use super::error::Reason;
use super::language::{self as lang, Either};
use super::overrides::{self, Base};
use super::reader::{Field, MapField};
use super::select::Condition;
use crate::base::units::Refill;
use crate::limit::Rule;
use crate::limit::calendar::{Calendar, Over};
use crate::limit::gcra::Bucket;
use crate::limit::lock::Lock;
use crate::limit::rolling::Rolling;

/// Reads the one rule of a limit, and its `over`: the rule, and the lock.
pub(super) fn read(map: &MapField<'_, lang::Limit>) -> (Option<Rule>, Option<Option<Lock>>) {
    match map.read(lang::Limit::OVER) {
        Some(Either::One(over)) => {
            if over == Over::Count
                && map.value(lang::Limit::CALENDAR).is_none()
                && let Some(field) = map.value(lang::Limit::OVER)
            {
                field.error(Reason::RequiresSibling {
                    sibling: "`calendar`",
                });
            }
            (read_rule(map, over), Some(None))
        }
        Some(Either::Other(lock)) => {
            let span = lock.read(lang::Lock::LOCK);
            lock.finish();
            let rule = read_rule(map, Over::Refuse);
            (rule, span.map(|span| Some(Lock::new(span))))
        }
        None => {
            read_rule(map, Over::Refuse);
            (None, None)
        }
    }
}

fn read_rule(map: &MapField<'_, lang::Limit>, over: Over) -> Option<Rule> {
    let bucket = map.read_with(lang::Limit::BUCKET, |_, map| read_bucket(&map));
    let rolling = map.read_with(lang::Limit::ROLLING, |_, map| read_rolling(&map));
    let calendar = map.read_with(lang::Limit::CALENDAR, |_, map| read_calendar(&map, over));
    map.only_one()?;
    bucket?
        .map(Rule::Bucket)
        .or(rolling?.map(Rule::Rolling))
        .or(calendar?.map(Rule::Calendar))
}

fn read_bucket(map: &MapField<'_, lang::Bucket>) -> Option<Bucket> {
    let burst = map.read(lang::Bucket::BURST);
    let refill = map.read(lang::Bucket::REFILL);
    map.finish();
    checked_bucket(map.field(), burst?, refill?)
}

fn read_rolling(map: &MapField<'_, lang::Rolling>) -> Option<Rolling> {
    let quota = map.read(lang::Rolling::QUOTA);
    let window = map.read(lang::Rolling::WINDOW);
    map.finish();
    Rolling::new(quota?, window?)
}

fn read_calendar(map: &MapField<'_, lang::Calendar>, over: Over) -> Option<Calendar> {
    let quota = map.read(lang::Calendar::QUOTA);
    let period = map.read(lang::Calendar::WINDOW);
    let zone = map.read(lang::Calendar::ZONE);
    map.finish();
    Calendar::new(quota?, over, period?, zone?)
}

/// The callers of an override and its numbers, each `None` if it has an error.
pub(super) type ReadOverride = (Option<Vec<Condition>>, Option<Rule>);

/// Reads an override of the limit whose one rule is under the key `kind`. `base` is that rule,
/// `None` if it has an error itself.
///
/// A window is not among the keys of an override, because the counters belong to it.
pub(super) fn read_override(
    field: Field<'_>,
    (kind, base): (Option<&'static str>, Option<Rule>),
    limit: &Base<'_>,
    context: &mut Context,
) -> ReadOverride {
    let [bucket, rolling] = [lang::Limit::BUCKET.name, lang::Limit::ROLLING.name];
    let read = match kind {
        Some(kind) if kind == bucket => override_of_bucket(field, base, limit, context),
        Some(kind) if kind == rolling => override_of_rolling(field, base, limit, context),
        Some(_) => override_of_calendar(field, base, limit, context),
        // The keys that it may have depend on the rule; a key of any rule is no further error.
        None => field.map().map(|map| {
            let callers =
                overrides::read_callers(map.read(lang::BucketOverride::FOR), limit, context);
            map.deny_unknown_but(lang::OVERRIDE_KEYS);
            (callers, None)
        }),
    };
    read.unwrap_or_default()
}

fn override_of_bucket(
    field: Field<'_>,
    base: Option<Rule>,
    limit: &Base<'_>,
    context: &mut Context,
) -> Option<ReadOverride> {
    let map = field.map()?;
    let burst = map.read(lang::BucketOverride::BURST);
    let refill = map.read(lang::BucketOverride::REFILL);
    let callers = overrides::read_callers(map.read(lang::BucketOverride::FOR), limit, context);
    map.finish();
    let rule = match (base, burst, refill) {
        (Some(Rule::Bucket(base)), Some(burst), Some(refill)) => checked_bucket(
            &field,
            burst.unwrap_or(base.burst()),
            refill.unwrap_or(base.refill()),
        ),
        _ => None,
    };
    Some((callers, rule.map(Rule::Bucket)))
}

fn override_of_rolling(
    field: Field<'_>,
    base: Option<Rule>,
    limit: &Base<'_>,
    context: &mut Context,
) -> Option<ReadOverride> {
    let map = field.map()?;
    let quota = map.read(lang::RollingOverride::QUOTA);
    let callers = overrides::read_callers(map.read(lang::RollingOverride::FOR), limit, context);
    map.finish();
    let rule = match (base, quota) {
        (Some(Rule::Rolling(base)), Some(quota)) => {
            Rolling::new(quota.unwrap_or(base.quota()), base.window())
        }
        _ => None,
    };
    Some((callers, rule.map(Rule::Rolling)))
}

fn override_of_calendar(
    field: Field<'_>,
    base: Option<Rule>,
    limit: &Base<'_>,
    context: &mut Context,
) -> Option<ReadOverride> {
    let map = field.map()?;
    let quota = map.read(lang::CalendarOverride::QUOTA);
    let over = map.read(lang::CalendarOverride::OVER);
    let callers = overrides::read_callers(map.read(lang::CalendarOverride::FOR), limit, context);
    map.finish();
    let rule = match (base, quota, over) {
        (Some(Rule::Calendar(base)), Some(quota), Some(over)) => Calendar::new(
            quota.unwrap_or(base.quota()),
            over.unwrap_or(base.over()),
            base.period(),
            base.zone(),
        ),
        _ => None,
    };
    Some((callers, rule.map(Rule::Calendar)))
}

/// The bucket of checked numbers, if they fit together.
fn checked_bucket(field: &Field<'_>, burst: u32, refill: Refill) -> Option<Bucket> {
    Bucket::new(burst, refill).or_else(|| field.refuse(Reason::WindowTooLong))
}

/// Kind and window, which a counter belongs to: numbers that change keep it, these do not.
pub(super) fn identity(rule: &Rule) -> String {
    match rule {
        Rule::Bucket(_) => "bucket".to_owned(),
        Rule::Rolling(rolling) => format!("rolling {}", rolling.window().seconds_up()),
        Rule::Calendar(calendar) => format!("calendar {}", calendar.period()),
        // Each holder's seat says itself when it lapses.
        Rule::Seats(_) => "seats".to_owned(),
        Rule::Lock(_) => "lock".to_owned(),
    }
}
