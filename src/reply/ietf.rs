//! The standard's fields `RateLimit-Policy` and `RateLimit`, and its problem.
//!
//! ```text
//! RateLimit-Policy: "per-minute";q=100;w=60, "bytes";q=1000000;w=86400;qu="content-bytes"
//! RateLimit: "per-minute";r=97;t=12, "bytes";r=998000;t=40000
//! ```
//!
//! Source: draft-ietf-httpapi-ratelimit-headers-10; both fields are lists of RFC 9651. The draft
//! still changes, so all its names are in one table, and the tests read the fields with a parser of
//! structured fields.

use super::fields::{LimitStatus, PoolStatus};
use crate::base::time::Span;
use crate::limit::Balance;
use crate::policy::Policy;
use crate::policy::costs::{CONTENT_LENGTH, CostSource, Settlement};
use crate::policy::limits::Limit;

/// All names of the draft.
struct Draft {
    policy_field: &'static str,
    limit_field: &'static str,
    quota: &'static str,
    window: &'static str,
    unit: &'static str,
    /// The unit of a limit whose cost is the body's size. A limit without a unit counts requests.
    content_bytes: &'static str,
    /// The unit of a pool.
    concurrent_requests: &'static str,
    remaining: &'static str,
    reset: &'static str,
    problem_type: &'static str,
    problem_title: &'static str,
    violated_policies: &'static str,
}

const DRAFT: Draft = Draft {
    policy_field: "ratelimit-policy",
    limit_field: "ratelimit",
    quota: "q",
    window: "w",
    unit: "qu",
    content_bytes: "content-bytes",
    concurrent_requests: "concurrent-requests",
    remaining: "r",
    reset: "t",
    problem_type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    problem_title: "Request cannot be satisfied as assigned quota has been exceeded",
    violated_policies: "violated-policies",
};

/// The usual size of a list, reserved so that it rarely grows.
const LIST_BYTES_USUAL: usize = 128;

/// The usual size of a problem.
const PROBLEM_BYTES_USUAL: usize = 256;

/// The names of the fields.
pub const NAMES: [&str; 2] = [DRAFT.policy_field, DRAFT.limit_field];

/// Adds the field that lists the quotas of limits and pools, unless there are none.
pub fn policies<'s>(
    policy: &Policy,
    limits: impl Iterator<Item = &'s LimitStatus>,
    pools: &[PoolStatus],
    put: &mut impl FnMut(&'static str, &str),
) {
    let mut list = String::with_capacity(LIST_BYTES_USUAL);
    for status in limits {
        let Some(limit) = policy.limits.get(status.limit) else {
            continue;
        };
        item(&mut list, &limit.scope.name);
        quota(&mut list, status, limit);
    }
    for status in pools {
        let Some(pool) = policy.pools.get(status.pool) else {
            continue;
        };
        item(&mut list, &pool.scope.name);
        // The slots that are left change from one moment to the next, so they are not stated.
        number(&mut list, DRAFT.quota, u64::from(status.slots));
        unit(&mut list, DRAFT.concurrent_requests);
    }
    if !list.is_empty() {
        put(DRAFT.policy_field, &list);
    }
}

/// Puts the field that states the remaining units of limits, unless there are none. `never_fits` is
/// whether no wait helps, so that none is stated.
pub fn counters<'s>(
    policy: &Policy,
    limits: impl Iterator<Item = &'s LimitStatus>,
    never_fits: bool,
    put: &mut impl FnMut(&'static str, &str),
) {
    let mut list = String::with_capacity(LIST_BYTES_USUAL);
    for status in limits {
        let (Some(reading), Some(limit)) = (status.reading, policy.limits.get(status.limit)) else {
            continue;
        };
        item(&mut list, &limit.scope.name);
        let mut stated = reading.balance;
        if never_fits {
            stated.reset_in = Span::ZERO;
        }
        balance(&mut list, stated);
    }
    if !list.is_empty() {
        put(DRAFT.limit_field, &list);
    }
}

/// Begins an item of a list.
fn item(list: &mut String, name: &str) {
    // Names contain no character that a string must escape (RFC 9651 §3.3.3).
    list.push_str(if list.is_empty() { "\"" } else { ", \"" });
    list.push_str(name);
    list.push('"');
}

/// The parameters of the quota of a limit. "The time window MUST be a non-negative, non-zero,
/// Integer".
fn quota(list: &mut String, status: &LimitStatus, limit: &Limit) {
    number(list, DRAFT.quota, status.quota);
    number(list, DRAFT.window, status.window.seconds_up().max(1));
    let counts_bytes = |cost: &CostSource| match cost {
        CostSource::Header(name) => **name == *CONTENT_LENGTH,
        CostSource::Settled { by, .. } => *by == Settlement::Bytes,
        CostSource::Fixed(_) => false,
    };
    if limit.costs.all().all(counts_bytes) {
        unit(list, DRAFT.content_bytes);
    }
}

/// The parameters of the remaining units. The reset is the time until one more unit is available,
/// not all units: "the number of seconds until additional quota … is made available". A full quota
/// has no reset.
fn balance(list: &mut String, balance: Balance) {
    number(list, DRAFT.remaining, balance.remaining);
    if balance.reset_in > Span::ZERO {
        number(list, DRAFT.reset, balance.next_unit_in.seconds_up());
    }
}

/// Adds a parameter to the last item.
fn number(list: &mut String, key: &str, number: u64) {
    for part in [";", key, "=", itoa::Buffer::new().format(number)] {
        list.push_str(part);
    }
}

fn unit(list: &mut String, unit: &str) {
    for part in [";", DRAFT.unit, "=\"", unit, "\""] {
        list.push_str(part);
    }
}

/// The problem `quota-exceeded`, which names the limits that refuse.
pub fn problem<'n>(status: u32, limits: impl Iterator<Item = &'n str>) -> String {
    let (title, field) = (DRAFT.problem_title, DRAFT.violated_policies);
    let mut problem = String::with_capacity(PROBLEM_BYTES_USUAL);
    for part in [
        r#"{"type":""#,
        DRAFT.problem_type,
        r#"","title":""#,
        title,
        r#"","status":"#,
    ] {
        problem.push_str(part);
    }
    for part in [itoa::Buffer::new().format(status), r#",""#, field, r#"":["#] {
        problem.push_str(part);
    }
    for (index, name) in limits.enumerate() {
        for part in [if index == 0 { "\"" } else { ",\"" }, name, "\""] {
            problem.push_str(part);
        }
    }
    problem.push_str("]}");
    problem
}
