//! Warnings about limits that all proxies share.

use super::warnings::Warning;
use crate::base::id::Id as _;
use crate::limit::lease::IN_ADVANCE_SHARE;
use crate::policy::Policy;
use crate::policy::document::Node;
use crate::policy::limits::Limit;

/// The warnings about limits with `scope: global`.
pub(super) fn shared(document: &Node, policy: &Policy) -> Vec<Warning> {
    let Some(engine) = &policy.engine else {
        return unused(document).into_iter().collect();
    };
    let mut found = Vec::new();
    for (id, limit) in policy.limits.entries() {
        let Some(shared) = limit.shared else { continue };
        let at = format!("/limits/{}", id.index());
        let least = least_quota(limit);
        let mut warn = |key: &str, text: String| {
            found.push(Warning::at(document, &format!("{at}/{key}"), text));
        };
        if least < IN_ADVANCE_SHARE {
            warn(
                "scope",
                format!(
                    "each request asks the engine, since a quota of {least} is too small to take \
                     units in advance ({IN_ADVANCE_SHARE} or more is not)"
                ),
            );
        }
        let proxies = u64::from(engine.proxies);
        if shared.falls_back && proxies == 1 {
            warn(
                "failure",
                "without the engine each proxy admits the whole quota: set \
                 store.engine.proxies to the number of proxies"
                    .to_owned(),
            );
        } else if shared.falls_back && least < proxies {
            warn(
                "failure",
                format!(
                    "without the engine each of {proxies} proxies admits at least 1, more in all \
                     than the quota of {least}"
                ),
            );
        }
    }
    found
}

/// An engine that no limit uses.
fn unused(document: &Node) -> Option<Warning> {
    document.at("store")?.at("engine")?;
    let text = "no limit has `scope: global`, so nothing uses the engine".to_owned();
    Some(Warning::at(document, "/store/engine", text))
}

/// The smallest quota of any caller that the policy states.
fn least_quota(limit: &Limit) -> u64 {
    limit
        .rules()
        .map(|rule| rule.quota())
        .min()
        .unwrap_or_default()
}
