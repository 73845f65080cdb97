//! The header fields by which a caller knows where it stands.
//!
//! The `X-RateLimit-*` fields show one limit, the standard's ([`super::ietf`]) all that are shown.
//! All names that a policy uses are the gateway's own: what the upstream sends under them goes.

use super::ietf;
use crate::base::time::{Span, Timestamp};
use crate::limit::calendar::Over;
use crate::limit::{Balance, Decision, Enforcement, Rule};
use crate::policy::Policy;
use crate::policy::limits::{CostSource, Limit, Visibility};
use crate::policy::replies::{Reset, When, XRateLimit};
use crate::store::Claim;

/// A field's name, and its value.
pub type Field = (&'static str, String);

/// The numbers of one limit, as its fields show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The limit's number in its policy.
    pub limit: usize,
    /// Whether its numbers are seen at all times, or only what is over its quota.
    pub visibility: Visibility,
    /// Units that are granted for a window.
    pub quota: u64,
    /// The window's length.
    pub window: Span,
    /// Where the caller stands.
    pub balance: Balance,
    /// Units that such a request takes; at least one.
    cost: u64,
    at: Timestamp,
}

const LIMIT: &str = "x-ratelimit-limit";
const REMAINING: &str = "x-ratelimit-remaining";
const RESET: &str = "x-ratelimit-reset";
const PERIOD: &str = "x-ratelimit-period";
const NAME: &str = "x-ratelimit-name";
/// Units that were admitted above a quota which counts them. Of ours alone: no page has it.
const OVERAGE: &str = "x-ratelimit-overage";

impl Shown {
    /// The numbers of a claim; `None` where it could not be answered, or is not enforced.
    #[must_use]
    pub fn of(claim: &Claim, limit: &Limit, at: Timestamp) -> Option<Self> {
        let window = claim.rule.window(at);
        let balance = match claim.answer {
            Ok(Decision::Admit(balance) | Decision::Deny { balance, .. }) => balance,
            Ok(Decision::NeverFits) => Balance { full_in: window, ..Balance::default() },
            Err(_) => return None,
        };
        (claim.enforcement == Enforcement::Enforce).then_some(Self {
            limit: claim.limit,
            visibility: limit.visibility,
            quota: claim.rule.quota(),
            window,
            balance,
            cost: claim.cost.needs().max(1),
            at,
        })
    }

    /// The same at a later time: what was to wait has become less. The units that came back meanwhile
    /// are not told of; a caller may find more than it was promised.
    #[must_use]
    pub fn told_at(self, now: Timestamp) -> Self {
        let passed = now.since(self.at);
        let Balance { more_in, full_in, .. } = self.balance;
        let balance = Balance { more_in: more_in.less(passed), full_in: full_in.less(passed), ..self.balance };
        Self { balance, at: self.at.after(passed), ..self }
    }

    /// The same with another balance, which holds at `now`.
    #[must_use]
    pub fn with(self, balance: Balance, now: Timestamp) -> Self {
        Self { balance, at: now, ..self }
    }

    /// Requests such as this one that are left.
    fn requests_left(&self) -> u64 {
        self.balance.remaining.checked_div(self.cost).unwrap_or_default()
    }
}

/// The place of the visible one with the fewest requests left; of equal ones the first.
#[must_use]
pub fn fewest(shown: &[Shown]) -> Option<usize> {
    let visible = shown.iter().enumerate().filter(|(_, shown)| shown.visibility == Visibility::Show);
    visible.min_by_key(|(_, shown)| shown.requests_left()).map(|(place, _)| place)
}

/// The fields of a request that was admitted, by these pools too; none where they stand on refusals
/// alone.
#[must_use]
pub fn admitted(policy: &Policy, shown: &[Shown], pools: &[usize]) -> Vec<Field> {
    let mut fields = Vec::new();
    each_admitted(policy, shown, pools, |name, value| fields.push((name, value.to_owned())));
    fields
}

/// As [`admitted`], one after the other, in the order of [`names`].
pub fn each_admitted(policy: &Policy, shown: &[Shown], pools: &[usize], mut put: impl FnMut(&'static str, &str)) {
    let Some(form) = policy.replies.fields.filter(|form| form.when == When::Always) else { return };
    if let Some((form, one)) = form.x_ratelimit.zip(fewest(shown).and_then(|place| shown.get(place))) {
        x_ratelimit(policy, form, one, None, &mut put);
    }
    if form.ietf {
        let visible = || shown.iter().filter(|shown| shown.visibility == Visibility::Show);
        ietf::each_field(policy, visible, pools, &mut put);
    }
    let over = shown.iter().map(|shown| shown.balance.over).max().filter(|over| *over > 0);
    over.into_iter().for_each(|over| put(OVERAGE, itoa::Buffer::new().format(over)));
}

/// The fields of a request that was refused, one after the other: of the limit that makes the caller
/// wait longest, and in the standard's of all that refused, `shown`. `retry_after` is in seconds.
pub fn each_refused(
    policy: &Policy,
    longest: Option<&Shown>,
    shown: impl FnOnce() -> Vec<Shown>,
    retry_after: Option<u64>,
    mut put: impl FnMut(&'static str, &str),
) {
    let Some(form) = policy.replies.fields else { return };
    if let Some((form, longest)) = form.x_ratelimit.zip(longest) {
        x_ratelimit(policy, form, longest, retry_after, &mut put);
    }
    if form.ietf {
        let shown = shown();
        ietf::each_field(policy, || shown.iter(), &[], &mut put);
    }
}

fn x_ratelimit(
    policy: &Policy,
    form: XRateLimit,
    shown: &Shown,
    retry_after: Option<u64>,
    put: &mut impl FnMut(&'static str, &str),
) {
    let reset = match form.reset {
        Reset::Seconds => Some(shown.balance.full_in.seconds_up()),
        Reset::UnixSeconds => Some(shown.at.after(shown.balance.full_in).unix_seconds_up()),
        Reset::RetryAfter => retry_after,
    };
    let numbers = [
        (LIMIT, Some(shown.quota)),
        (REMAINING, Some(shown.balance.remaining)),
        (RESET, reset),
        (PERIOD, form.period.then(|| shown.window.seconds_up())),
    ];
    for (name, number) in numbers {
        number.into_iter().for_each(|number| put(name, itoa::Buffer::new().format(number)));
    }
    if let Some(limit) = policy.limits.get(shown.limit).filter(|_| form.name) {
        put(NAME, &limit.name);
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
    names.extend(policy.limits.iter().any(can_be_over).then_some(OVERAGE));
    names
}

/// Whether a caller can have taken more than the limit's quota and go on.
fn can_be_over(limit: &Limit) -> bool {
    let counts = |rule: &Rule| matches!(rule, Rule::Calendar(calendar) if calendar.over() == Over::Count);
    let overdrawn = !matches!(limit.cost, CostSource::Fixed(_) | CostSource::Header(_));
    overdrawn || counts(&limit.rule) || limit.overrides.all().iter().any(counts)
}
