//! The standard's fields `RateLimit-Policy` and `RateLimit`, and its problem.
//!
//! ```text
//! RateLimit-Policy: "per-minute";q=100;w=60, "bytes";q=1000000;w=86400;qu="content-bytes"
//! RateLimit: "per-minute";r=97;t=12, "bytes";r=998000;t=40000
//! ```
//!
//! Source: draft-ietf-httpapi-ratelimit-headers-10; both are lists of RFC 9651. The draft still
//! moves, so all names are in one table, and the tests read them with a parser of structured fields.

use std::fmt::Write as _;

use super::fields::{Field, Shown};
use crate::base::time::Span;
use crate::policy::Policy;
use crate::policy::limits::{CONTENT_LENGTH, CostSource, Limit};

/// All words of the draft.
struct Draft {
    policy_field: &'static str,
    limit_field: &'static str,
    quota: &'static str,
    window: &'static str,
    unit: &'static str,
    /// The unit where a cost is the body's size. That of requests is what a missing unit means.
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

/// The names of the fields.
pub const NAMES: [&str; 2] = [DRAFT.policy_field, DRAFT.limit_field];

/// Both fields for the limits that `shown` goes through; none where there are none.
pub fn fields<'s, I: Iterator<Item = &'s Shown>>(
    policy: &Policy,
    shown: impl Fn() -> I,
    pools: &[usize],
) -> Vec<Field> {
    let list = |item: fn(&mut String, &Shown, &Limit)| {
        let mut list = String::new();
        for shown in shown() {
            let Some(limit) = policy.limits.get(shown.limit) else { continue };
            // A name has no character that a string would have to escape (RFC 9651 §3.3.3).
            list.push_str(if list.is_empty() { "\"" } else { ", \"" });
            list.push_str(&limit.name);
            list.push('"');
            item(&mut list, shown, limit);
        }
        list
    };
    let mut policies = list(policy_item);
    for pool in pools.iter().filter_map(|number| policy.pools.get(*number)) {
        let comma = if policies.is_empty() { "" } else { ", " };
        let slots = pool.pool.slots();
        // Writing to a string cannot fail. What of it is left changes from one moment to the next, so it is not told.
        let _ = write!(
            policies,
            "{comma}\"{}\";{}={slots};{}=\"{}\"",
            pool.name, DRAFT.quota, DRAFT.unit, DRAFT.concurrent_requests
        );
    }
    let fields = [(DRAFT.policy_field, policies), (DRAFT.limit_field, list(limit_item))];
    fields.into_iter().filter(|(_, list)| !list.is_empty()).collect()
}

fn policy_item(out: &mut String, shown: &Shown, limit: &Limit) {
    // Writing to a string cannot fail. "The time window MUST be a non-negative, non-zero, Integer".
    let _ = write!(out, ";{}={};{}={}", DRAFT.quota, shown.quota, DRAFT.window, shown.window.seconds_up().max(1));
    let of_bytes = match &limit.cost {
        CostSource::Header(name) => **name == *CONTENT_LENGTH,
        CostSource::Bytes => true,
        CostSource::Fixed(_) | CostSource::ResponseHeader(_) | CostSource::Lines | CostSource::Items(_) => false,
    };
    if of_bytes {
        let _ = write!(out, ";{}=\"{}\"", DRAFT.unit, DRAFT.content_bytes);
    }
}

/// The reset is when a further unit is there, not all of them: "the number of seconds until
/// additional quota … is made available". Where all of it is there, there is none.
fn limit_item(out: &mut String, shown: &Shown, _: &Limit) {
    let _ = write!(out, ";{}={}", DRAFT.remaining, shown.balance.remaining);
    if shown.balance.full_in > Span::ZERO {
        let _ = write!(out, ";{}={}", DRAFT.reset, shown.balance.more_in.seconds_up());
    }
}

/// The problem `quota-exceeded`, which names the limits that refused.
pub fn problem<'n>(status: u32, limits: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = limits.map(|name| format!("\"{name}\"")).collect();
    format!(
        r#"{{"type":"{}","title":"{}","status":{status},"{}":[{}]}}"#,
        DRAFT.problem_type,
        DRAFT.problem_title,
        DRAFT.violated_policies,
        names.join(",")
    )
}
