//! The numbers of a limit: for all callers, each caller's own, and those of overrides.

use super::formats::{Rate, Reference};
use super::key::{mapping, words};
use super::kind::{Choice, Count32, Count64, Map, OrMap, WordOr};
use super::{CallerSelector, Constraint, Field, Kind, Words};
#[cfg(not(target_arch = "wasm32"))]
use super::{Limit, Mapping, Shape};
use crate::limit::QUOTA_MAX;
use crate::limit::calendar::Over;
use crate::limit::gcra::BURST_MAX;

/// The most units at one instant.
pub(super) type Burst = OrMap<Count32<1, BURST_MAX>, OwnNumber>;

/// The units granted for each window.
pub(super) type Quota = OrMap<Count64<1, QUOTA_MAX>, OwnNumber>;

mapping! {
    /// A number of each caller's own, from an attribute.
    OwnNumber "{ attribute: points, else: 65000, at_most: 500000 }" {
        /// The attribute, which clients must not be able to choose: not one with a source in the
        /// path, the query, a cookie or the host.
        ATTRIBUTE "attribute": Reference, required;
        /// The number if the attribute has none: no whole number from 1 up.
        ELSE "else": Count64<1, QUOTA_MAX>, required;
        /// The largest number: a larger one is cut. A bucket holds at most 1,000,000,000.
        AT_MOST "at_most": Count64<1, QUOTA_MAX>, required;
    }
}

/// In an override, in place of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unlimited {
    /// No number.
    Unlimited,
}

words! {
    Unlimited, "a number, or `unlimited`" {
        /// The limit does not apply to these callers: no counter, no field.
        "unlimited" => Self::Unlimited,
    }
}

/// An override of a limit, whose form follows from the rule of the limit.
pub(crate) struct RuleOverride;

impl Kind for RuleOverride {
    type Value<'a> = Field<'a>;

    fn read(field: Field<'_>) -> Option<Field<'_>> {
        Some(field)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::BySibling(vec![
            (Limit::BUCKET.name, BucketOverride::description),
            (Limit::ROLLING.name, RollingOverride::description),
            (Limit::CALENDAR.name, CalendarOverride::description),
        ])
    }
}

/// The keys of an override of any rule.
pub(crate) const OVERRIDE_KEYS: &[&str] = &[
    BucketOverride::BURST.name,
    BucketOverride::REFILL.name,
    CalendarOverride::QUOTA.name,
    CalendarOverride::OVER.name,
    BucketOverride::FOR.name,
];

mapping! {
    /// Other numbers of a bucket.
    BucketOverride "{ for: { org: acme }, … }"
    constraints [
        Constraint::ChangesOne(&[Self::BURST.name, Self::REFILL.name]),
        Constraint::Without {
            key: Self::BURST.name,
            words: Unlimited::WORDS,
            keys: &[Self::REFILL.name],
            because: "a number as `burst`",
        },
    ]
    {
        /// The most units at one instant, or `unlimited`.
        BURST "burst": WordOr<Unlimited, Burst>, optional "the limit's";
        /// The rate at which units come back.
        REFILL "refill": Rate, optional "the limit's";
        /// The callers: a value or a list for each attribute. Lists multiply: at most 10,000
        /// combinations in one override, and 200,000 per policy beyond the values that are written.
        FOR "for": Map<CallerSelector>, required;
    }
}

mapping! {
    /// Another number of a rolling window.
    RollingOverride "{ for: { org: acme }, … }"
    constraints [Constraint::ChangesOne(&[Self::QUOTA.name])]
    {
        /// The units per window, or `unlimited`.
        QUOTA "quota": WordOr<Unlimited, Quota>, optional "required";
        /// The callers, as in the override of a bucket.
        FOR "for": Map<CallerSelector>, required;
    }
}

mapping! {
    /// Other numbers of a calendar window.
    CalendarOverride "{ for: { org: acme }, … }"
    constraints [
        Constraint::ChangesOne(&[Self::QUOTA.name, Self::OVER.name]),
        Constraint::Without {
            key: Self::QUOTA.name,
            words: Unlimited::WORDS,
            keys: &[Self::OVER.name],
            because: "a number as `quota`",
        },
    ]
    {
        /// The units per window, or `unlimited`.
        QUOTA "quota": WordOr<Unlimited, Quota>, optional "the limit's";
        /// The treatment of requests above the quota.
        OVER "over": Choice<Over>, optional "the limit's";
        /// The callers, as in the override of a bucket.
        FOR "for": Map<CallerSelector>, required;
    }
}
