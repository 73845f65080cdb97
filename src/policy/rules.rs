//! The numbers of a rule: of a bucket, a rolling or a calendar window, and of their overrides.

use super::Context;
use super::attributes::AttributeId;
use super::error::Reason;
use super::language::{self as lang, Either};
use super::overrides::{self, Base, Override};
use super::reader::{Field, MapField};
use super::select::Condition;
use crate::base::units::Refill;
use crate::limit::calendar::{Calendar, Over};
use crate::limit::gcra::{BURST_MAX, Bucket};
use crate::limit::lock::Lock;
use crate::limit::rolling::Rolling;
use crate::limit::{QUOTA_MAX, Rule};

/// The rule of a limit for some callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerRule {
    /// The rule of a caller without a number of its own.
    pub rule: Rule,
    /// The source of the quota or the burst of each caller, if it is the caller's own.
    pub own: Option<OwnNumber>,
}

/// A caller's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnNumber {
    /// The attribute that has it, which clients cannot choose.
    pub attribute: AttributeId,
    /// A larger number is cut to this.
    pub at_most: u64,
}

impl CallerRule {
    /// The rule of a caller with this number of its own. 0 counts as no number.
    #[must_use]
    pub fn with(&self, number: Option<u64>) -> Rule {
        let own = number.filter(|number| *number > 0).zip(self.own);
        let rule = own.and_then(|(number, own)| with_quota(&self.rule, number.min(own.at_most)));
        rule.unwrap_or(self.rule)
    }

    /// The rule of the caller with the largest number.
    #[must_use]
    pub fn largest(&self) -> Rule {
        self.with(Some(u64::MAX))
    }
}

/// The same rule with another quota or burst, if it can have that.
fn with_quota(rule: &Rule, quota: u64) -> Option<Rule> {
    match rule {
        Rule::Bucket(bucket) => {
            let burst = u32::try_from(quota).ok()?;
            Bucket::new(burst, bucket.refill()).map(Rule::Bucket)
        }
        Rule::Rolling(rolling) => Rolling::new(quota, rolling.window()).map(Rule::Rolling),
        Rule::Calendar(it) => {
            Calendar::new(quota, it.over(), it.period(), it.zone()).map(Rule::Calendar)
        }
        Rule::Seats(_) | Rule::Lock(_) | Rule::Lease(_) => None,
    }
}

/// A quota or a burst: the number for callers without their own, and the source of their own.
type Amount = (u64, Option<OwnNumber>);

/// Reads a number of at most `max`, or the source of each caller's own.
fn read_amount(
    amount: Either<u64, MapField<'_, lang::OwnNumber>>,
    max: u64,
    context: &mut Context,
) -> Option<Amount> {
    let map = match amount {
        Either::One(number) => return Some((number, None)),
        Either::Other(map) => map,
    };
    let attribute = map.read_with(lang::OwnNumber::ATTRIBUTE, |field, name| {
        let attribute = context.attributes.resolve(&field, name)?;
        if context.attributes.is_chosen(attribute) {
            return field.refuse(Reason::ChosenNumber(name.to_owned()));
        }
        Some(attribute)
    });
    let otherwise = map.read(lang::OwnNumber::ELSE);
    let at_most = map.read_with(lang::OwnNumber::AT_MOST, |field, _| field.count(1, max));
    map.finish();
    let (attribute, otherwise, at_most) = (attribute?, otherwise?, at_most?);
    if let Some(field) = map.value(lang::OwnNumber::ELSE)
        && otherwise > at_most
    {
        return field.refuse(Reason::OutOfRange {
            value: otherwise.to_string(),
            min: 1,
            max: at_most,
        });
    }
    let own = OwnNumber { attribute, at_most };
    Some((otherwise, Some(own)))
}

/// Reads a burst, or the source of each caller's own.
fn read_burst(
    burst: Either<u32, MapField<'_, lang::OwnNumber>>,
    context: &mut Context,
) -> Option<Amount> {
    let burst = match burst {
        Either::One(burst) => Either::One(u64::from(burst)),
        Either::Other(map) => Either::Other(map),
    };
    read_amount(burst, BURST_MAX.into(), context)
}

/// Reads the one rule of a limit, and its `over`: the rule, and the lock.
pub(super) fn read(
    map: &MapField<'_, lang::Limit>,
    context: &mut Context,
) -> (Option<CallerRule>, Option<Option<Lock>>) {
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
            (read_rule(map, over, context), Some(None))
        }
        Some(Either::Other(lock)) => {
            let span = lock.read(lang::Lock::LOCK);
            lock.finish();
            let rule = read_rule(map, Over::Refuse, context);
            (rule, span.map(|span| Some(Lock::new(span))))
        }
        None => {
            read_rule(map, Over::Refuse, context);
            (None, None)
        }
    }
}

fn read_rule(
    map: &MapField<'_, lang::Limit>,
    over: Over,
    context: &mut Context,
) -> Option<CallerRule> {
    let bucket = map.read_with(lang::Limit::BUCKET, |_, map| read_bucket(&map, context));
    let rolling = map.read_with(lang::Limit::ROLLING, |_, map| read_rolling(&map, context));
    let calendar = map.read_with(lang::Limit::CALENDAR, |_, map| {
        read_calendar(&map, over, context)
    });
    map.only_one()?;
    bucket?.or(rolling?).or(calendar?)
}

fn read_bucket(map: &MapField<'_, lang::Bucket>, context: &mut Context) -> Option<CallerRule> {
    let burst = map.read_with(lang::Bucket::BURST, |_, burst| read_burst(burst, context));
    let refill = map.read(lang::Bucket::REFILL);
    map.finish();
    checked_bucket(map.field(), burst?, refill?)
}

fn read_rolling(map: &MapField<'_, lang::Rolling>, context: &mut Context) -> Option<CallerRule> {
    let quota = map.read_with(lang::Rolling::QUOTA, |_, quota| {
        read_amount(quota, QUOTA_MAX, context)
    });
    let window = map.read(lang::Rolling::WINDOW);
    map.finish();
    let (quota, own) = quota?;
    let rule = Rule::Rolling(Rolling::new(quota, window?)?);
    Some(CallerRule { rule, own })
}

fn read_calendar(
    map: &MapField<'_, lang::Calendar>,
    over: Over,
    context: &mut Context,
) -> Option<CallerRule> {
    let quota = map.read_with(lang::Calendar::QUOTA, |_, quota| {
        read_amount(quota, QUOTA_MAX, context)
    });
    let period = map.read(lang::Calendar::WINDOW);
    let zone = map.read(lang::Calendar::ZONE);
    map.finish();
    let (quota, own) = quota?;
    let rule = Rule::Calendar(Calendar::new(quota, over, period?, zone?)?);
    Some(CallerRule { rule, own })
}

/// The callers of an override and its content, each `None` if it has an error.
pub(super) type ReadOverride = (Option<Vec<Condition>>, Option<Override<CallerRule>>);

/// Reads an override of the limit whose one rule is under the key `kind`. `base` is that rule,
/// `None` if it has an error itself.
///
/// A window is not among the keys of an override, because the counters belong to it.
pub(super) fn read_override(
    field: Field<'_>,
    (kind, base): (Option<&'static str>, Option<CallerRule>),
    limit: &Base<'_>,
    context: &mut Context,
) -> ReadOverride {
    let [bucket, rolling] = [lang::Limit::BUCKET.name, lang::Limit::ROLLING.name];
    let read = match kind {
        Some(kind) if kind == bucket => override_of_bucket(field, base, limit, context),
        Some(kind) if kind == rolling => override_of_rolling(field, base, limit, context),
        Some(_) => override_of_calendar(field, base, limit, context),
        // The allowed keys depend on the rule; a key of any rule is not another error.
        None => field.map().map(|map| {
            let callers =
                overrides::read_callers(map.read(lang::BucketOverride::FOR), limit, context);
            map.deny_unknown_but(lang::OVERRIDE_KEYS);
            (callers, None)
        }),
    };
    read.unwrap_or_default()
}

/// The number of an override, that of the limit if it has none; `None` if it says `unlimited`.
fn amount_or(amount: Option<Option<Amount>>, base: &CallerRule) -> Option<Amount> {
    amount.unwrap_or_else(|| Some((base.rule.quota(), base.own)))
}

/// Reads a number of an override; `None` within is `unlimited`.
fn or_unlimited<A>(
    amount: Either<lang::Unlimited, A>,
    read: impl FnOnce(A) -> Option<Amount>,
) -> Option<Option<Amount>> {
    match amount {
        Either::One(lang::Unlimited::Unlimited) => Some(None),
        Either::Other(amount) => read(amount).map(Some),
    }
}

fn override_of_bucket(
    field: Field<'_>,
    base: Option<CallerRule>,
    limit: &Base<'_>,
    context: &mut Context,
) -> Option<ReadOverride> {
    let map = field.map()?;
    let burst = map.read_with(lang::BucketOverride::BURST, |_, burst| {
        or_unlimited(burst, |burst| read_burst(burst, context))
    });
    let refill = map.read(lang::BucketOverride::REFILL);
    let callers = overrides::read_callers(map.read(lang::BucketOverride::FOR), limit, context);
    map.finish();
    let read = match (base, burst, refill) {
        (Some(base), Some(burst), Some(refill)) => match (amount_or(burst, &base), base.rule) {
            (None, _) => Some(Override::Unlimited),
            (Some(burst), Rule::Bucket(bucket)) => {
                let refill = refill.unwrap_or(bucket.refill());
                checked_bucket(&field, burst, refill).map(Override::Other)
            }
            (Some(_), _) => None,
        },
        _ => None,
    };
    Some((callers, read))
}

fn override_of_rolling(
    field: Field<'_>,
    base: Option<CallerRule>,
    limit: &Base<'_>,
    context: &mut Context,
) -> Option<ReadOverride> {
    let map = field.map()?;
    let quota = map.read_with(lang::RollingOverride::QUOTA, |_, quota| {
        or_unlimited(quota, |quota| read_amount(quota, QUOTA_MAX, context))
    });
    let callers = overrides::read_callers(map.read(lang::RollingOverride::FOR), limit, context);
    map.finish();
    let read = base.zip(quota).and_then(|(base, quota)| {
        let Some((quota, own)) = amount_or(quota, &base) else {
            return Some(Override::Unlimited);
        };
        let rule = with_quota(&base.rule, quota)?;
        Some(Override::Other(CallerRule { rule, own }))
    });
    Some((callers, read))
}

fn override_of_calendar(
    field: Field<'_>,
    base: Option<CallerRule>,
    limit: &Base<'_>,
    context: &mut Context,
) -> Option<ReadOverride> {
    let map = field.map()?;
    let quota = map.read_with(lang::CalendarOverride::QUOTA, |_, quota| {
        or_unlimited(quota, |quota| read_amount(quota, QUOTA_MAX, context))
    });
    let over = map.read(lang::CalendarOverride::OVER);
    let callers = overrides::read_callers(map.read(lang::CalendarOverride::FOR), limit, context);
    map.finish();
    let read = match (base, quota, over) {
        (Some(base), Some(quota), Some(over)) => match (amount_or(quota, &base), base.rule) {
            (None, _) => Some(Override::Unlimited),
            (Some((quota, own)), Rule::Calendar(it)) => {
                let over = over.unwrap_or(it.over());
                let rule = Calendar::new(quota, over, it.period(), it.zone());
                rule.map(|rule| {
                    let rule = Rule::Calendar(rule);
                    Override::Other(CallerRule { rule, own })
                })
            }
            (Some(_), _) => None,
        },
        _ => None,
    };
    Some((callers, read))
}

/// The bucket of checked numbers, if they fit together, that of the largest number too.
fn checked_bucket(field: &Field<'_>, (burst, own): Amount, refill: Refill) -> Option<CallerRule> {
    let bucket = |burst: u64| Bucket::new(u32::try_from(burst).ok()?, refill).map(Rule::Bucket);
    let largest = bucket(own.map_or(burst, |own| own.at_most));
    match (bucket(burst), largest) {
        (Some(rule), Some(_)) => Some(CallerRule { rule, own }),
        (Some(_), None) | (None, _) => field.refuse(Reason::WindowTooLong),
    }
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
        Rule::Lease(lease) => identity(&lease.counted().rule()),
    }
}
