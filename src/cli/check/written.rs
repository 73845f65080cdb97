//! Fields of the policy's own that are never sent.

use super::warnings::{Warning, items};
use crate::limit::Enforcement;
use crate::policy::Policy;
use crate::policy::document::Node;
use crate::policy::error::Quoted;
use crate::policy::limits::{Limit, Visibility};
use crate::policy::pools::PoolLimit;
use crate::policy::replies::When;
use crate::policy::template::{IN_FIELDS, Placeholder, Template};

/// All warnings about fields that a checked policy writes itself.
pub(super) fn written(document: &Node, policy: &Policy) -> Vec<Warning> {
    let list = document
        .at("replies")
        .and_then(|replies| replies.at("fields"))
        .and_then(|fields| fields.at("write"));
    let entries = list
        .into_iter()
        .flat_map(|list| items(list, "/replies/fields/write".to_owned()));
    let mut found = Vec::new();
    for (at, entry) in entries {
        found.extend(of(&at, entry, policy));
        found.extend(value(&at, entry, policy));
    }
    found
}

/// Limits in `of` that are never shown.
fn of(at: &str, entry: &Node, policy: &Policy) -> Vec<Warning> {
    let is_admitted = is_admitted(entry, policy);
    let names = entry
        .at("of")
        .into_iter()
        .flat_map(|list| items(list, format!("{at}/of")));
    let never = names.filter_map(|(at, node)| {
        let name = node.text()?;
        let limit = policy.limits.iter().find(|it| *it.scope.name == *name);
        let pool = policy.pools.iter().find(|it| *it.scope.name == *name);
        let why = limit
            .and_then(|limit| unseen(limit, is_admitted))
            .or_else(|| pool.and_then(unseen_pool))?;
        Some(Warning {
            line: node.line,
            at,
            text: format!("this field never shows {}: {why}", Quoted(name)),
        })
    });
    never.collect()
}

/// Why callers never see a pool.
fn unseen_pool(pool: &PoolLimit) -> Option<&'static str> {
    (pool.enforcement == Enforcement::Shadow).then_some("a pool in shadow is not shown")
}

/// Why callers never see a limit, on responses to requests that were admitted or on all.
fn unseen(limit: &Limit, is_admitted: bool) -> Option<&'static str> {
    if limit.enforcement == Enforcement::Shadow {
        Some("a limit in shadow is not shown")
    } else if limit.visibility == Visibility::Never {
        Some("it has `fields: never`")
    } else if is_admitted && limit.visibility == Visibility::Hide {
        Some("it has `fields: hide`, and this field is not on refusals")
    } else if is_admitted && limit.scope.selector.refused {
        Some("no request that it counts is admitted")
    } else {
        None
    }
}

/// A placeholder that never has a value.
fn value(at: &str, entry: &Node, policy: &Policy) -> Option<Warning> {
    let node = entry.at("value")?;
    let attribute = |name: &str| policy.attributes.find(name);
    let template = Template::parse(node.text()?, IN_FIELDS, attribute).ok()?;
    let names: Vec<&str> = match entry.at("of") {
        Some(list) => list.texts().into_iter().collect(),
        None => Vec::new(),
    };
    let is_of = |limit: &&Limit| names.is_empty() || names.contains(&&*limit.scope.name);
    let is_admitted = is_admitted(entry, policy);
    let has_limit = policy
        .limits
        .iter()
        .filter(is_of)
        .any(|limit| unseen(limit, is_admitted).is_none());
    let shows = Shows {
        limit: has_limit,
        named: !names.is_empty(),
        refusals: !is_admitted,
    };
    let mut placeholders = template.placeholders();
    let why = placeholders.find_map(|placeholder| shows.no_value(placeholder))?;
    Some(Warning {
        line: node.line,
        at: format!("{at}/value"),
        text: format!("this field is never sent: {why}"),
    })
}

/// The numbers and the responses that a field is for.
#[derive(Clone, Copy)]
struct Shows {
    /// Some limit that callers see.
    limit: bool,
    /// The limits and pools of a list, and no others.
    named: bool,
    /// Refusals, besides responses to admitted requests.
    refusals: bool,
}

impl Shows {
    /// Why a placeholder never has a value.
    fn no_value(self, placeholder: Placeholder) -> Option<&'static str> {
        match placeholder {
            Placeholder::RetryAfter(_) if !self.refusals => {
                Some("an admitted request has no `{retry_after}`")
            }
            Placeholder::Window(_)
            | Placeholder::Reset(_)
            | Placeholder::More(_)
            | Placeholder::Overage
                if !self.limit =>
            {
                Some("it shows no limit, and a pool has neither times nor an overage")
            }
            Placeholder::Quota
            | Placeholder::Remaining
            | Placeholder::Used
            | Placeholder::Limit
            | Placeholder::Label
            | Placeholder::Route
                if !self.limit && !self.named =>
            {
                Some("the policy has no limit that callers see")
            }
            Placeholder::RetryAfter(_)
            | Placeholder::Window(_)
            | Placeholder::Reset(_)
            | Placeholder::More(_)
            | Placeholder::Overage
            | Placeholder::Quota
            | Placeholder::Remaining
            | Placeholder::Used
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
            | Placeholder::Detail => None,
        }
    }
}

/// Whether a field is sent only on responses to requests that were admitted.
fn is_admitted(entry: &Node, policy: &Policy) -> bool {
    let usual = policy.replies.fields.as_ref().map(|fields| fields.when);
    match entry.at("when").and_then(Node::text) {
        Some(when) => when == "admitted",
        None => usual == Some(When::Admitted),
    }
}
