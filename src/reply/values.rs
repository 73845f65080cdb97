//! The values of the placeholders of an answer.

use super::addressee::ReplyTo;
use super::fields::{LimitStatus, PoolStatus};
use super::refusal::{Refusal, wait_seconds};
use super::status::title;
use crate::base::time::{Span, Timestamp};
use crate::payload::body::Rejection;
use crate::policy::Policy;
use crate::policy::route::RouteId;
use crate::policy::scope::Scope;
use crate::policy::template::{Placeholder, SpanForm, TimeForm};

/// The numbers of one limit or pool, with its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a> {
    scope: &'a Scope,
    route: Option<RouteId>,
    quota: Option<u64>,
    remaining: Option<u64>,
    overage: Option<u64>,
    window: Option<Span>,
    reset: Option<Span>,
    more: Option<Span>,
    /// The time that the spans begin at.
    at: Timestamp,
}

impl<'a> Numbers<'a> {
    /// Of a limit. `never_fits` is whether no wait helps, so that none is stated.
    pub(super) fn of_limit(
        policy: &'a Policy,
        status: &LimitStatus,
        never_fits: bool,
    ) -> Option<Self> {
        let balance = status.reading.map(|reading| reading.balance);
        let span = |span: Option<Span>| span.filter(|_| !never_fits);
        Some(Self {
            scope: &policy.limits.get(status.limit)?.scope,
            route: status.route,
            quota: Some(status.quota),
            remaining: balance.map(|balance| balance.remaining),
            overage: balance.map(|balance| balance.overage),
            window: Some(status.window),
            reset: span(balance.map(|balance| balance.reset_in)),
            more: span(balance.map(|balance| balance.next_unit_in)),
            at: status
                .reading
                .map_or(Timestamp::from_nanos(0), |reading| reading.at),
        })
    }

    /// Of a pool, which has no window.
    pub(super) fn of_pool(policy: &'a Policy, status: &PoolStatus, now: Timestamp) -> Option<Self> {
        let pool = policy.pools.get(status.pool)?;
        Some(Self {
            quota: Some(status.slots.into()),
            remaining: status.free.map(u64::from),
            ..Self::of_scope(&pool.scope, status.route, now)
        })
    }

    /// Of something that has a name, and no numbers.
    pub(super) const fn of_scope(scope: &'a Scope, route: Option<RouteId>, at: Timestamp) -> Self {
        Self {
            scope,
            route,
            quota: None,
            remaining: None,
            overage: None,
            window: None,
            reset: None,
            more: None,
            at,
        }
    }
}

/// The values of the placeholders of one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) policy: &'a Policy,
    /// The numbers that the answer shows.
    pub(super) numbers: Option<Numbers<'a>>,
    /// The wait that `Retry-After` states.
    pub(super) retry_after: Option<Span>,
    pub(super) to: ReplyTo<'a>,
    /// Why the request is refused, and the status, if that is so.
    pub(super) refusal: Option<(Refusal<'a>, u32)>,
}

impl Values<'_> {
    /// Appends the value of a placeholder; false if it has none.
    pub(super) fn fill(&self, placeholder: Placeholder, out: &mut String) -> bool {
        let numbers = self.numbers.as_ref();
        match placeholder {
            Placeholder::Limit => text(out, numbers.map(|it| &*it.scope.name)),
            Placeholder::Label => text(out, numbers.map(|it| &*it.scope.label)),
            Placeholder::Policy => text(out, Some(&self.policy.name)),
            Placeholder::Route => self.route(out),
            Placeholder::Quota => number(out, numbers.and_then(|it| it.quota)),
            Placeholder::Remaining => number(out, numbers.and_then(|it| it.remaining)),
            Placeholder::Used => number(
                out,
                numbers.and_then(|it| Some(it.quota?.saturating_sub(it.remaining?))),
            ),
            Placeholder::Overage => number(out, numbers.and_then(|it| it.overage)),
            Placeholder::Window(form) => {
                let window = numbers.and_then(|it| it.window);
                window.map(|window| form.write(out, window)).is_some()
            }
            Placeholder::Reset(form) => {
                time(out, form, numbers.and_then(|it| Some((it.reset?, it.at))))
            }
            Placeholder::More(form) => {
                time(out, form, numbers.and_then(|it| Some((it.more?, it.at))))
            }
            Placeholder::RetryAfter(form) => self.retry_after(out, form),
            Placeholder::Now(form) => {
                form.write(out, self.to.now);
                true
            }
            Placeholder::Attribute(attribute) => self.to.push_attribute(out, attribute),
            Placeholder::TraceId => self.to.push_trace_id(out),
            Placeholder::Reason => text(out, self.rejection().map(|it| it.reason.name())),
            // A reason without a bound has 0.
            Placeholder::Max => number(out, self.rejection().map(|it| it.max.unwrap_or(0))),
            Placeholder::Status => number(out, self.refusal.map(|(_, status)| status.into())),
            Placeholder::Title => text(out, self.refusal.map(|(_, status)| title(status))),
            Placeholder::Detail => {
                let detail = self.refusal.map(|(refusal, _)| refusal.detail(self.policy));
                text(out, detail.as_deref())
            }
        }
    }

    fn route(&self, out: &mut String) -> bool {
        let id = self.numbers.and_then(|numbers| numbers.route);
        let route = id.map(|id| self.policy.routes.written(id));
        text(out, route)
    }

    /// In whole seconds it is the value of the header, which is never 0.
    fn retry_after(&self, out: &mut String, form: TimeForm) -> bool {
        match form {
            TimeForm::Span(SpanForm::Seconds) => number(out, self.retry_after.map(wait_seconds)),
            TimeForm::Span(_) | TimeForm::Instant(_) => {
                time(out, form, self.retry_after.map(|wait| (wait, self.to.now)))
            }
        }
    }

    const fn rejection(&self) -> Option<Rejection> {
        match self.refusal {
            Some((Refusal::Payload { rejection, .. }, _)) => Some(rejection),
            Some((
                Refusal::Unauthorized(_)
                | Refusal::Denied(_)
                | Refusal::Path(_)
                | Refusal::Limit { .. }
                | Refusal::Pool { .. }
                | Refusal::Fault,
                _,
            ))
            | None => None,
        }
    }
}

fn text(out: &mut String, value: Option<&str>) -> bool {
    out.extend(value);
    value.is_some()
}

fn number(out: &mut String, value: Option<u64>) -> bool {
    if let Some(value) = value {
        out.push_str(itoa::Buffer::new().format(value));
    }
    value.is_some()
}

fn time(out: &mut String, form: TimeForm, value: Option<(Span, Timestamp)>) -> bool {
    if let Some((span, at)) = value {
        form.write(out, span, at);
    }
    value.is_some()
}
