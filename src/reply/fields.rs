//! The header fields that state a caller's limits.
//!
//! The `X-RateLimit-*` fields show one limit, the standard's ([`super::ietf`]) all limits that are
//! shown, and the policy's own fields the value of each. The gateway owns all field names that a
//! policy uses: it removes the upstream's fields of those names.

use std::borrow::Cow;
use std::num::NonZeroU64;

use super::addressee::ReplyTo;
use super::ietf;
use super::refusal::wait_seconds;
use crate::base::id::{CounterOwner, LimitId, PoolId};
use crate::base::invariant::invariant;
use crate::base::time::{Span, Timestamp};
use crate::limit::calendar::Over;
use crate::limit::{Enforcement, Reading, Rule};
use crate::policy::Policy;
use crate::policy::limits::{Limit, Visibility};
use crate::policy::replies::{Fields, Reset, XRateLimit};
use crate::policy::route::RouteId;
use crate::store::LimitCheck;

#[cfg(test)]
mod tests;
mod written;

/// A field's name and its value.
pub type Field = (String, String);

/// The status of one limit that applied to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The limit.
    pub limit: LimitId,
    /// Whether callers see the limit at all times, or only its overage.
    pub visibility: Visibility,
    /// Units granted for a window.
    pub quota: u64,
    /// The window's length.
    pub window: Span,
    /// The counter; `None` if it could not be read.
    pub reading: Option<Reading>,
    /// Whether the limit refused the request.
    refuses: bool,
    /// Units that such a request takes.
    cost: NonZeroU64,
    /// The route by which it applies, if a template shows that.
    pub route: Option<RouteId>,
}

/// The status of one pool of which a request needs a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The pool.
    pub pool: PoolId,
    /// The slots of the caller.
    pub slots: u32,
    /// The slots that were free once the request had its own; `None` if that is not known.
    pub free: Option<u32>,
    /// The route by which it applies, if a template shows that.
    pub route: Option<RouteId>,
}

/// The limits and pools that applied to a request, as the fields show them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Applied<'a> {
    /// The limits.
    pub limits: &'a [LimitStatus],
    /// The pools.
    pub pools: &'a [PoolStatus],
}

/// The source of the answer, on which the content of the fields depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responder {
    /// The upstream, or the proxy in its place: the request was admitted.
    Upstream,
    /// The limit with the longest wait.
    Limit {
        /// Its id.
        limit: LimitId,
        /// The wait, as `Retry-After` states it; `None` if no wait helps.
        retry_after: Option<Span>,
    },
    /// The same, if it is a limit that callers never see: the fields state the other limits.
    Unseen {
        /// The wait; `None` if no wait helps.
        retry_after: Option<Span>,
    },
    /// A pool, a seat limit, a payload limit, or a limit whose counter could not be read. It has no
    /// numbers, and the fields state the other limits.
    Other {
        /// The wait, as `Retry-After` states it, if that is sent.
        retry_after: Option<Span>,
    },
}

const LIMIT: &str = "x-ratelimit-limit";
const REMAINING: &str = "x-ratelimit-remaining";
const RESET: &str = "x-ratelimit-reset";
const PERIOD: &str = "x-ratelimit-period";
const NAME: &str = "x-ratelimit-name";
/// Units admitted above a quota that counts them. No published API has such a field.
const OVERAGE: &str = "x-ratelimit-overage";

impl LimitStatus {
    /// The status that a check found; `None` if the limit is not enforced, or is a seat limit.
    #[must_use]
    pub fn of(check: &LimitCheck, policy: &Policy) -> Option<Self> {
        let CounterOwner::Limit(id) = check.owner else {
            return None;
        };
        if check.enforcement == Enforcement::Shadow {
            return None;
        }
        let limit = invariant(policy.limits.get(id), "a check is of a limit of its policy")?;
        Some(Self {
            limit: id,
            visibility: limit.visibility,
            quota: check.rule.quota(),
            window: check.rule.window(check.at),
            reading: check.answer.as_ref().ok().map(|answer| Reading {
                balance: answer.balance(),
                at: check.at,
            }),
            refuses: !check.admits(),
            // A request that only reads the counter is counted as one.
            cost: NonZeroU64::new(check.cost.units()).unwrap_or(NonZeroU64::MIN),
            route: None,
        })
    }

    /// The status at a later time: the waits have become shorter. Units that were regained
    /// meanwhile are not added; a caller may find more than was stated.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        if let Some(Reading { balance, at }) = &mut self.reading {
            let passed = now.since(*at);
            balance.next_unit_in = balance.next_unit_in.less(passed);
            balance.reset_in = balance.reset_in.less(passed);
            // Even if the clock stepped back: otherwise a reset would be stated that is later by
            // the step.
            *at = now;
        }
        self
    }

    /// Requests of this cost that are left, if the counter could be read.
    fn requests_left(&self) -> Option<u64> {
        Some(self.reading?.balance.remaining / self.cost)
    }

    /// Whether the limit refused the request.
    #[must_use]
    pub const fn refuses(&self) -> bool {
        self.refuses
    }

    const fn is_visible(&self) -> bool {
        matches!(self.visibility, Visibility::Show)
    }
}

impl Responder {
    const fn retry_after(self) -> Option<Span> {
        match self {
            Self::Upstream => None,
            Self::Limit { retry_after, .. }
            | Self::Unseen { retry_after }
            | Self::Other { retry_after } => retry_after,
        }
    }

    /// Whether the fields state the limit. A hidden one is stated if it refuses.
    const fn states(self, status: &LimitStatus) -> bool {
        match status.visibility {
            Visibility::Show => true,
            Visibility::Hide => matches!(self, Self::Limit { .. }) && status.refuses,
            Visibility::Never => false,
        }
    }

    /// Whether the request can never fit, so that nothing states a time to come back.
    const fn never_fits(self) -> bool {
        match self {
            Self::Limit { retry_after, .. } | Self::Unseen { retry_after } => retry_after.is_none(),
            Self::Upstream | Self::Other { .. } => false,
        }
    }

    fn is_refusal(self) -> bool {
        self != Self::Upstream
    }
}

/// The visible limit with the fewest requests left; the first of equal ones.
#[must_use]
pub fn most_constrained(limits: &[LimitStatus]) -> Option<&LimitStatus> {
    let visible = limits.iter().filter(|status| status.is_visible());
    let counted = visible.filter_map(|status| Some((status.requests_left()?, status)));
    counted
        .min_by_key(|(left, _)| *left)
        .map(|(_, status)| status)
}

/// The fields of a response.
#[must_use]
pub fn all(
    policy: &Policy,
    applied: Applied<'_>,
    responder: Responder,
    to: ReplyTo<'_>,
) -> Vec<Field> {
    let mut fields = Vec::new();
    each(policy, applied, responder, to, |name, value| {
        fields.push((name.to_owned(), value.to_owned()))
    });
    fields
}

/// Calls `put` with each field of a response, in the order of [`names`].
pub fn each(
    policy: &Policy,
    applied: Applied<'_>,
    responder: Responder,
    to: ReplyTo<'_>,
    mut put: impl FnMut(&str, &str),
) {
    let Some(form) = &policy.replies.fields else {
        return;
    };
    let limits = applied.limits;
    let one = match responder {
        Responder::Limit { limit, .. } => limits.iter().find(|status| status.limit == limit),
        Responder::Upstream | Responder::Unseen { .. } | Responder::Other { .. } => {
            most_constrained(limits)
        }
    };
    if form.when.applies(responder.is_refusal()) {
        family(policy, form, applied, one, responder, |name, value| {
            if !is_written(form, name) {
                put(name, value);
            }
        });
    }
    if form.write.is_empty() {
        return;
    }
    let shown = written::Shown {
        policy,
        applied,
        one,
        responder,
        to,
    };
    let mut value = String::new();
    for field in &form.write {
        value.clear();
        if shown.write(field, &mut value) {
            put(&field.name, &value);
        }
    }
}

/// Whether the policy writes a field itself.
fn is_written(form: &Fields, name: &str) -> bool {
    form.write.iter().any(|field| *field.name == *name)
}

/// Puts the fields of the families.
fn family(
    policy: &Policy,
    form: &Fields,
    Applied { limits, pools }: Applied<'_>,
    one: Option<&LimitStatus>,
    responder: Responder,
    mut put: impl FnMut(&'static str, &str),
) {
    if let Some(form) = form.x_ratelimit
        && let Some(status) = one
        && let Some(reading) = status.reading
    {
        x_ratelimit(policy, form, status, reading, responder, &mut put);
    }
    if form.ietf {
        let stated = || limits.iter().filter(|status| responder.states(status));
        ietf::policies(policy, stated(), pools, &mut put);
        ietf::counters(policy, stated(), responder.never_fits(), &mut put);
    }
    if form.x_ratelimit.is_some() {
        overage(limits, &mut put);
    }
}

fn x_ratelimit(
    policy: &Policy,
    form: XRateLimit,
    status: &LimitStatus,
    Reading { balance, at }: Reading,
    responder: Responder,
    put: &mut impl FnMut(&'static str, &str),
) {
    let reset = match form.reset {
        Reset::RetryAfter => responder.retry_after().map(wait_seconds),
        Reset::Seconds | Reset::UnixSeconds if responder.never_fits() => None,
        Reset::Seconds => Some(balance.reset_in.seconds_up()),
        Reset::UnixSeconds => Some(at.after(balance.reset_in).unix_seconds_up()),
    };
    let numbers = [
        (LIMIT, Some(status.quota)),
        (REMAINING, Some(balance.remaining)),
        (RESET, reset),
        (PERIOD, form.period.then(|| status.window.seconds_up())),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            put(name, itoa::Buffer::new().format(number));
        }
    }
    // If something else refused, callers would take the name for the name of that.
    let is_named = match responder {
        Responder::Upstream | Responder::Limit { .. } => form.name,
        Responder::Unseen { .. } | Responder::Other { .. } => false,
    };
    if let Some(limit) = policy.limits.get(status.limit)
        && is_named
    {
        put(NAME, &limit.scope.name);
    }
}

/// The overage of hidden limits is stated, too.
fn overage(limits: &[LimitStatus], put: &mut impl FnMut(&'static str, &str)) {
    let seen = limits
        .iter()
        .filter(|status| status.visibility != Visibility::Never);
    let most = seen
        .filter_map(|status| Some(status.reading?.balance.overage))
        .max();
    if let Some(over) = most
        && over > 0
    {
        put(OVERAGE, itoa::Buffer::new().format(over));
    }
}

/// The name of a field, which is copied only if the policy chose it.
#[must_use]
pub fn known_name(name: &str) -> Cow<'static, str> {
    let family = [LIMIT, REMAINING, RESET, PERIOD, NAME, OVERAGE];
    let known = family
        .into_iter()
        .chain(ietf::NAMES)
        .find(|known| *known == name);
    known.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)
}

/// The names of all fields that a policy's responses may carry.
#[must_use]
pub fn names(policy: &Policy) -> Vec<Box<str>> {
    let Some(form) = &policy.replies.fields else {
        return Vec::new();
    };
    let mut names = Vec::new();
    if let Some(form) = form.x_ratelimit {
        names.extend([LIMIT, REMAINING, RESET]);
        names.extend(form.period.then_some(PERIOD));
        names.extend(form.name.then_some(NAME));
    }
    if form.ietf {
        names.extend(ietf::NAMES);
    }
    if form.x_ratelimit.is_some() && policy.limits.iter().any(can_have_overage) {
        names.push(OVERAGE);
    }
    names.retain(|name| !is_written(form, name));
    let written = form.write.iter().map(|field| field.name.clone());
    names.into_iter().map(Box::from).chain(written).collect()
}

/// Whether the fields of a refusal state limits that did not refuse.
#[must_use]
pub fn state_others(policy: &Policy) -> bool {
    let Some(form) = &policy.replies.fields else {
        return false;
    };
    let has_overage = || policy.limits.iter().any(can_have_overage);
    form.ietf || !form.write.is_empty() || has_overage()
}

/// Whether a request can take more than the limit's quota and go on.
fn can_have_overage(limit: &Limit) -> bool {
    limit.costs.are_settled() || limit.rules().any(counts_overage)
}

fn counts_overage(rule: Rule) -> bool {
    matches!(rule, Rule::Calendar(calendar) if calendar.over() == Over::Count)
}
