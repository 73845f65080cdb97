//! Which requests count, and under which key.

use super::Export;
use crate::base::id::{CounterOwner, Id as _};
use crate::base::time::Timestamp;
use crate::engine::Verdict;
use crate::filter::settle::StreamCx;
use crate::filter::stream::StreamState;
use crate::host::stream::Host;
use crate::limit::Rule;
use crate::observe::DecisionLabel;
use crate::policy::usage::Usage;
use crate::request::identify::Caller;
use crate::store::LimitCheck;
use crate::usage::{LocalKey, Status, push_tags};

/// When a request counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::filter) enum When {
    /// Once its limits have decided.
    Decided,
    /// Once nothing else can refuse it.
    Admitted,
}

impl<D, H: Host> StreamCx<'_, D, H> {
    /// Counts a request for the limits that refuse it, or would.
    pub(in crate::filter) fn count_decided(
        &self,
        verdict: Verdict,
        checks: &[LimitCheck],
        (caller, now): (&Caller<'_>, Timestamp),
    ) {
        self.each_usage(When::Decided, (verdict, checks), caller, |export| {
            let Export { local, key, .. } = export;
            local.count(key, now.unix_seconds());
        });
    }

    /// Counts a request that nothing else can refuse.
    pub(in crate::filter) fn count_admitted(
        &self,
        verdict: Verdict,
        checks: &[LimitCheck],
        (caller, now): (&Caller<'_>, Timestamp),
    ) {
        self.each_usage(When::Admitted, (verdict, checks), caller, |export| {
            let Export { local, key, .. } = export;
            local.count(key, now.unix_seconds());
        });
    }

    /// Keeps what is to be counted once nothing else can refuse the request.
    pub(in crate::filter) fn keep_usage(
        &self,
        stream: &mut StreamState,
        verdict: Verdict,
        checks: &[LimitCheck],
        caller: &Caller<'_>,
    ) {
        self.each_usage(When::Admitted, (verdict, checks), caller, |export| {
            stream.usage.push(export.key.as_slice().into());
        });
    }

    /// Counts what was kept.
    pub(in crate::filter) fn count_kept(&self, stream: &mut StreamState) {
        if stream.usage.is_empty() {
            return;
        }
        if let Some(export) = &self.runtime.usage {
            let (mut export, now) = (export.borrow_mut(), self.host.now().unix_seconds());
            for key in stream.usage.drain(..) {
                export.local.count(&key, now);
            }
        }
    }

    /// Makes the key of each limit that counts the request then.
    fn each_usage(
        &self,
        when: When,
        (verdict, checks): (Verdict, &[LimitCheck]),
        caller: &Caller<'_>,
        mut count: impl FnMut(&mut Export),
    ) {
        let (Some(usage), Some(export)) = (&self.runtime.policy.usage, &self.runtime.usage) else {
            return;
        };
        let mut export = export.borrow_mut();
        for check in checks {
            let CounterOwner::Limit(limit) = check.owner else {
                continue;
            };
            let status = status(check, verdict, usage);
            let Some((status, _)) = status.filter(|(_, at)| *at == when) else {
                continue;
            };
            if usage.metrics_of(limit).next().is_none() {
                continue;
            }
            let Ok(limit) = u16::try_from(limit.index()) else {
                continue;
            };
            let period = period(&check.rule);
            let with = |tags: &[u8], key: &mut Vec<u8>| {
                let count = check.rule.quota();
                let parts = LocalKey {
                    limit,
                    status,
                    count,
                    period,
                    tags,
                };
                parts.write(key);
            };
            match caller.cached() {
                Some(cached) => {
                    let tags = cached.usage_tags(|| tags(usage, caller).into());
                    with(tags, &mut export.key);
                }
                None => with(&tags(usage, caller), &mut export.key),
            }
            count(&mut export);
        }
    }
}

/// The seconds for which a quota is granted; zero if the calendar says so.
fn period(rule: &Rule) -> u64 {
    match rule {
        Rule::Calendar(_) => 0,
        Rule::Lease(lease) if matches!(lease.counted().rule(), Rule::Calendar(_)) => 0,
        // The window of these is the same at all times.
        Rule::Bucket(_) | Rule::Rolling(_) | Rule::Seats(_) | Rule::Lock(_) | Rule::Lease(_) => {
            rule.window(Timestamp::from_nanos(0)).seconds_up()
        }
    }
}

fn tags(usage: &Usage, caller: &Caller<'_>) -> Vec<u8> {
    let mut tags = Vec::new();
    let values = usage.tags.iter().map(|(_, id)| caller.value(*id));
    push_tags(values, &mut tags);
    tags
}

/// The outcome that a limit counts for a request, and the time; `None` if it does not.
fn status(check: &LimitCheck, verdict: Verdict, usage: &Usage) -> Option<(Status, When)> {
    match DecisionLabel::of(check, verdict)? {
        DecisionLabel::Refused => Some((Status::Blocked, When::Decided)),
        DecisionLabel::WouldRefuse if usage.metrics.is_none() => {
            Some((Status::WouldRefuse, When::Decided))
        }
        // A limit in shadow lets the request pass, unless another one refuses it.
        DecisionLabel::WouldRefuse if matches!(verdict, Verdict::Refuse(_)) => None,
        DecisionLabel::WouldRefuse | DecisionLabel::Admitted => {
            Some((Status::Passed, When::Admitted))
        }
        DecisionLabel::Denied | DecisionLabel::Answered | DecisionLabel::Reset => None,
    }
}
