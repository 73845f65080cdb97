//! The header fields by which a caller knows where it stands.
//!
//! The `X-RateLimit-*` fields show one limit, the standard's ([`super::ietf`]) all that are shown.
//! All names that a policy uses are the gateway's own: what the upstream sends under them goes.

use super::ietf;
use crate::base::id::{CounterOwner, LimitId, PoolId};
use crate::base::time::{Span, Timestamp};
use crate::limit::calendar::Over;
use crate::limit::{Balance, Enforcement, Reading, Rule};
use crate::policy::Policy;
use crate::policy::limits::{CostSource, Limit, Visibility};
use crate::policy::replies::{Fields, Reset, When, XRateLimit};
use crate::store::LimitCheck;

/// A field's name, and its value.
pub type Field = (&'static str, String);

/// One limit that applied, as the fields show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The limit.
    pub limit: LimitId,
    /// Whether its numbers are seen at all times, or only what is over its quota.
    pub visibility: Visibility,
    /// Units that are granted for a window.
    pub quota: u64,
    /// The window's length.
    pub window: Span,
    /// Its counter; `None` where that could not be had.
    pub reading: Option<Reading>,
    /// Whether it refused the request.
    refuses: bool,
    /// Units that such a request takes; at least one.
    cost: u64,
}

/// Who answers, which decides what is told of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The upstream, or the proxy for it: the request was admitted.
    Upstream,
    /// The limit that makes the caller wait longest.
    Limit {
        /// Its id.
        limit: LimitId,
        /// The seconds of `Retry-After`; `None` where no wait helps.
        retry_after: Option<u64>,
    },
    /// A pool, a seat, a payload limit, or a limit whose counter could not be had: it has no numbers, and
    /// the fields tell of the limits beside it.
    Other {
        /// The seconds of `Retry-After`, where that is sent.
        retry_after: Option<u64>,
    },
}

const LIMIT: &str = "x-ratelimit-limit";
const REMAINING: &str = "x-ratelimit-remaining";
const RESET: &str = "x-ratelimit-reset";
const PERIOD: &str = "x-ratelimit-period";
const NAME: &str = "x-ratelimit-name";
/// Units that were admitted above a quota which counts them. Of ours alone: no page has it.
const OVERAGE: &str = "x-ratelimit-overage";

impl LimitStatus {
    /// What a check says of its limit; `None` if that is not enforced, or a seat limit.
    #[must_use]
    pub fn of(check: &LimitCheck, policy: &Policy) -> Option<Self> {
        let CounterOwner::Limit(id) = check.owner else { return None };
        let limit = policy.limits.get(id)?;
        let reading = check.answer.as_ref().ok().map(|answer| Reading { balance: answer.balance(), at: check.at });
        (check.enforcement == Enforcement::Enforce).then_some(Self {
            limit: id,
            visibility: limit.visibility,
            quota: check.rule.quota(),
            window: check.rule.window(check.at),
            reading,
            refuses: !check.admits(),
            cost: check.cost.needs().max(1),
        })
    }

    /// The same at a later time: what was to wait has become less. The units that came back meanwhile
    /// are not told of; a caller may find more than it was promised.
    #[must_use]
    pub fn told_at(self, now: Timestamp) -> Self {
        let later = |Reading { balance, at }: Reading| {
            let passed = now.since(at);
            let (next_unit_in, reset_in) = (balance.next_unit_in.less(passed), balance.reset_in.less(passed));
            // A clock that stepped back meanwhile makes no reset of a window and its step.
            Reading { balance: Balance { next_unit_in, reset_in, ..balance }, at: now }
        };
        Self { reading: self.reading.map(later), ..self }
    }

    fn balance(&self) -> Balance {
        self.reading.map_or_else(Balance::default, |reading| reading.balance)
    }

    /// Requests such as this one that are left.
    fn requests_left(&self) -> u64 {
        self.balance().remaining.checked_div(self.cost).unwrap_or_default()
    }

    const fn is_visible(&self) -> bool {
        matches!(self.visibility, Visibility::Show)
    }
}

impl By {
    const fn retry_after(self) -> Option<u64> {
        match self {
            Self::Upstream => None,
            Self::Limit { retry_after, .. } | Self::Other { retry_after } => retry_after,
        }
    }

    /// Whether the limit is one of those that are told of: a hidden one speaks where it refuses.
    fn lists(self, shown: &LimitStatus) -> bool {
        shown.is_visible() || (matches!(self, Self::Limit { .. }) && shown.refuses)
    }

    /// Whether its counter is told. A limit's refusal tells of those that refused: no other is to have a
    /// reset that is later than `Retry-After`.
    fn tells(self, shown: &LimitStatus) -> bool {
        self.lists(shown) && shown.reading.is_some() && (shown.refuses || !matches!(self, Self::Limit { .. }))
    }
}

/// The place of the visible one with the fewest requests left; of equal ones the first.
#[must_use]
pub fn most_constrained(shown: &[LimitStatus]) -> Option<usize> {
    let visible = shown.iter().enumerate().filter(|(_, shown)| shown.is_visible() && shown.reading.is_some());
    visible.min_by_key(|(_, shown)| shown.requests_left()).map(|(place, _)| place)
}

/// The fields of a response to a request under these limits and pools.
#[must_use]
pub fn all(policy: &Policy, shown: &[LimitStatus], pools: &[PoolId], by: By) -> Vec<Field> {
    let mut fields = Vec::new();
    each(policy, shown, pools, by, |name, value| fields.push((name, value.to_owned())));
    fields
}

/// As [`all`], one after the other, in the order of [`names`].
pub fn each(policy: &Policy, shown: &[LimitStatus], pools: &[PoolId], by: By, mut put: impl FnMut(&'static str, &str)) {
    let wanted = |form: &Fields| form.when == When::Always || by != By::Upstream;
    let Some(form) = policy.replies.fields.filter(wanted) else { return };
    let one = match by {
        By::Limit { limit, .. } => shown.iter().find(|shown| shown.limit == limit),
        By::Upstream | By::Other { .. } => most_constrained(shown).and_then(|place| shown.get(place)),
    };
    if let Some((form, (shown, reading))) = form.x_ratelimit.zip(one.and_then(|one| Some((one, one.reading?)))) {
        x_ratelimit(policy, form, shown, reading, by, &mut put);
    }
    if form.ietf {
        let listed = || shown.iter().filter(|shown| by.lists(shown));
        ietf::policies(policy, listed(), pools, &mut put);
        ietf::counters(policy, shown.iter().filter(|shown| by.tells(shown)), &mut put);
    }
    // What is over is told of hidden limits, too. One that did not refuse stands here with what the
    // request would have taken.
    let counted = shown.iter().filter(|shown| shown.refuses || !matches!(by, By::Limit { .. }));
    let over = counted.map(|shown| shown.balance().over).max().filter(|over| *over > 0);
    over.filter(|_| form.x_ratelimit.is_some())
        .into_iter()
        .for_each(|over| put(OVERAGE, itoa::Buffer::new().format(over)));
}

fn x_ratelimit(
    policy: &Policy,
    form: XRateLimit,
    shown: &LimitStatus,
    Reading { balance, at }: Reading,
    by: By,
    put: &mut impl FnMut(&'static str, &str),
) {
    let reset = match form.reset {
        Reset::Seconds => Some(balance.reset_in.seconds_up()),
        Reset::UnixSeconds => Some(at.after(balance.reset_in).unix_seconds_up()),
        Reset::RetryAfter => by.retry_after(),
    };
    let numbers = [
        (LIMIT, Some(shown.quota)),
        (REMAINING, Some(balance.remaining)),
        (RESET, reset),
        (PERIOD, form.period.then(|| shown.window.seconds_up())),
    ];
    for (name, number) in numbers {
        number.into_iter().for_each(|number| put(name, itoa::Buffer::new().format(number)));
    }
    // Where something else refused, a name would be taken for its name.
    let named = form.name && !matches!(by, By::Other { .. });
    if let Some(limit) = policy.limits.get(shown.limit).filter(|_| named) {
        put(NAME, &limit.scope.name);
    }
}

/// The names of all fields that a policy's responses may carry.
#[must_use]
pub fn names(policy: &Policy) -> Vec<&'static str> {
    let Some(form) = policy.replies.fields else { return Vec::new() };
    let mut names = Vec::new();
    if let Some(form) = form.x_ratelimit {
        names.extend([LIMIT, REMAINING, RESET]);
        names.extend(form.period.then_some(PERIOD));
        names.extend(form.name.then_some(NAME));
    }
    if form.ietf {
        names.extend(ietf::NAMES);
    }
    let is_told = form.x_ratelimit.is_some() && policy.limits.iter().any(can_be_over);
    names.extend(is_told.then_some(OVERAGE));
    names
}

/// Whether a caller can have taken more than the limit's quota and go on.
fn can_be_over(limit: &Limit) -> bool {
    let counts = |rule: &Rule| matches!(rule, Rule::Calendar(calendar) if calendar.over() == Over::Count);
    let overdrawn = !matches!(limit.cost, CostSource::Fixed(_) | CostSource::Header(_));
    overdrawn || counts(&limit.rule) || limit.overrides.all().iter().any(counts)
}
