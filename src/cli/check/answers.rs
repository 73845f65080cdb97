//! Placeholders in answers that never have a value.

use super::warnings::{Warning, items};
use crate::limit::Enforcement;
use crate::policy::Policy;
use crate::policy::document::{Node, Value};
use crate::policy::template::{Placeholder, REFUSED, Template};

/// The numbers of what refuses.
#[derive(Clone, Copy)]
enum Numbers {
    /// A pool has slots.
    Slots,
    /// Seats have none.
    None,
}

/// All warnings about the answers to refused requests.
pub(super) fn answers(document: &Node, policy: &Policy) -> Vec<Warning> {
    let mut found = Vec::new();
    for (kind, numbers, why) in [
        (
            "concurrency",
            Numbers::Slots,
            "a pool has neither times nor an overage",
        ),
        ("seats", Numbers::None, "a seat limit has no numbers"),
    ] {
        let list = document.at(kind).into_iter();
        for (at, limit) in list.flat_map(|list| items(list, format!("/{kind}"))) {
            if let Some(reply) = limit.at("refused") {
                found.extend(of(reply, &format!("{at}/refused"), policy, (numbers, why)));
            }
        }
    }
    found.extend(shared(document, policy));
    found
}

/// Of the answer of all limits, if none of them has such numbers.
fn shared(document: &Node, policy: &Policy) -> Vec<Warning> {
    let enforces = |enforcement: Enforcement| enforcement == Enforcement::Enforce;
    let has_limit = policy
        .limits
        .iter()
        .any(|limit| enforces(limit.enforcement));
    let has_pool = policy.pools.iter().any(|pool| enforces(pool.enforcement));
    let reply = document
        .at("replies")
        .and_then(|replies| replies.at("refused"))
        .filter(|_| !has_limit);
    let why = if has_pool {
        (
            Numbers::Slots,
            "the policy has no limit that refuses, and a pool has no such number",
        )
    } else {
        (
            Numbers::None,
            "the policy has no limit and no pool that refuses",
        )
    };
    let found = reply.map(|reply| of(reply, "/replies/refused", policy, why));
    found.unwrap_or_default()
}

/// The first placeholder without a value in each template of an answer.
fn of(
    reply: &Node,
    at: &str,
    policy: &Policy,
    (numbers, why): (Numbers, &'static str),
) -> Vec<Warning> {
    let mut templates: Vec<(String, &Node)> = Vec::new();
    templates.extend(reply.at("body").map(|body| (format!("{at}/body"), body)));
    if let Some(Value::Map(headers)) = reply.at("headers").map(|headers| &headers.value) {
        let headers = headers.iter().map(|entry| {
            (
                format!("{at}/headers/{}", entry.key.replace('~', "~0")),
                &entry.value,
            )
        });
        templates.extend(headers);
    }
    let attribute = |name: &str| policy.attributes.find(name);
    let without = templates.into_iter().filter_map(|(at, node)| {
        let template = Template::parse(node.text()?, REFUSED, attribute).ok()?;
        let mut placeholders = template.placeholders();
        placeholders.find(|what| is_missing(*what, numbers))?;
        Some(Warning {
            line: node.line,
            at,
            text: format!("a placeholder here never has a value: {why}"),
        })
    });
    without.collect()
}

/// Whether what refuses has no such value.
const fn is_missing(what: Placeholder, numbers: Numbers) -> bool {
    match what {
        Placeholder::Quota | Placeholder::Remaining | Placeholder::Used => {
            matches!(numbers, Numbers::None)
        }
        Placeholder::Overage
        | Placeholder::Window(_)
        | Placeholder::Reset(_)
        | Placeholder::More(_) => true,
        Placeholder::RetryAfter(_)
        | Placeholder::Limit
        | Placeholder::Label
        | Placeholder::Policy
        | Placeholder::Route
        | Placeholder::Now(_)
        | Placeholder::Attribute(_)
        | Placeholder::TraceId
        | Placeholder::Reason
        | Placeholder::Max
        | Placeholder::Status
        | Placeholder::Title
        | Placeholder::Detail => false,
    }
}
