//! The rule that the engine applies to a shared counter.

use crate::base::time::Timestamp;
use crate::fleet::take::Numbers;
use crate::limit::Rule;
use crate::limit::calendar::Calendar;
use crate::limit::gcra::Bucket;
use crate::limit::rolling::Rolling;

/// The rule that the engine applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A token bucket.
    Bucket(Bucket),
    /// A window that moves along with the time.
    Rolling(Rolling),
    /// A window of the calendar.
    Calendar(Calendar),
}

impl Counted {
    /// The rule as one that can be shared; `None` for seats and locks.
    #[must_use]
    pub const fn of(rule: &Rule) -> Option<Self> {
        match rule {
            Rule::Bucket(bucket) => Some(Self::Bucket(*bucket)),
            Rule::Rolling(rolling) => Some(Self::Rolling(*rolling)),
            Rule::Calendar(calendar) => Some(Self::Calendar(*calendar)),
            Rule::Seats(_) | Rule::Lock(_) => None,
            Rule::Lease(lease) => Some(lease.counted),
        }
    }

    /// The same as the rule of one proxy.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Bucket(bucket) => Rule::Bucket(*bucket),
            Self::Rolling(rolling) => Rule::Rolling(*rolling),
            Self::Calendar(calendar) => Rule::Calendar(*calendar),
        }
    }

    /// The most units at one instant.
    #[must_use]
    pub fn quota(&self) -> u64 {
        self.rule().quota()
    }

    pub(super) fn share(&self, proxies: u32) -> Rule {
        let one = |quota: u64| quota.checked_div(proxies.into()).unwrap_or(quota).max(1);
        let whole = self.rule();
        let share = match self {
            Self::Bucket(bucket) => bucket.share(proxies).map(Rule::Bucket),
            Self::Rolling(rolling) => {
                Rolling::new(one(rolling.quota()), rolling.window()).map(Rule::Rolling)
            }
            Self::Calendar(calendar) => Calendar::new(
                one(calendar.quota()),
                calendar.over(),
                calendar.period(),
                calendar.zone(),
            )
            .map(Rule::Calendar),
        };
        share.unwrap_or(whole)
    }

    /// The numbers that travel with a take at `now`.
    pub(super) fn numbers(&self, now: Timestamp) -> Numbers {
        match self {
            Self::Bucket(bucket) => Numbers::Bucket {
                burst: u64::from(bucket.burst()),
                fill: bucket.window(),
            },
            Self::Rolling(rolling) => Numbers::Rolling {
                quota: rolling.quota(),
                window: rolling.window(),
            },
            Self::Calendar(calendar) => {
                let window = calendar.window(now);
                Numbers::Calendar {
                    quota: calendar.quota(),
                    start: window.start,
                    end: window.end,
                }
            }
        }
    }
}
