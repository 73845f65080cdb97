//! From a caller and a tier to the limits that hold, each with its counter's key.

use super::head::Request;
use super::identify::Caller;
use crate::policy::Policy;
use crate::policy::limits::{Limit, Part, Selector};
use crate::store::Claim;
use crate::store::key::KeyMaker;

/// Fills `claims` with what the request asks of each limit that holds for it, and `limits` with
/// those limits' numbers, side by side, in the order of the policy.
pub fn select(
    request: &Request,
    caller: &Caller<'_>,
    policy: &Policy,
    keys: &KeyMaker,
    limits: &mut Vec<usize>,
    claims: &mut Vec<Claim>,
) {
    claims.clear();
    policy.candidates.find(request.tier, request.matches.ids(), limits);
    limits.retain(|number| {
        let limit = policy.limits.get(*number).filter(|limit| holds(&limit.selector, request, caller));
        claims.extend(limit.map(|limit| claim(limit, request, caller, policy, keys)));
        limit.is_some()
    });
}

fn holds(selector: &Selector, request: &Request, caller: &Caller<'_>) -> bool {
    let of_tier = |tiers: &Vec<usize>| request.tier.is_some_and(|tier| tiers.contains(&tier));
    selector.tiers.as_ref().is_none_or(of_tier)
        && selector.attributes.iter().all(|(attribute, values)| {
            let value = caller.value(*attribute);
            value.is_some_and(|value| values.iter().any(|wanted| wanted.as_bytes() == value))
        })
}

fn claim(limit: &Limit, request: &Request, caller: &Caller<'_>, policy: &Policy, keys: &KeyMaker) -> Claim {
    let mut key = keys.partition(&limit.identity);
    for part in &limit.per {
        key.push(match part {
            Part::Attribute(attribute) => caller.value(*attribute),
            Part::Capture(name) => captured(limit, name, request, policy),
        });
    }
    let bucket = limit.overrides.find(|attribute| caller.value(attribute)).unwrap_or(&limit.bucket);
    Claim::new(key.finish(), *bucket, limit.cost, limit.failure)
}

/// What the first of the limit's routes that matches captured.
fn captured<'r>(limit: &Limit, name: &str, request: &'r Request, policy: &Policy) -> Option<&'r [u8]> {
    let routes = limit.selector.routes.iter().flatten();
    let matching = routes.filter(|id| request.matches.contains(**id));
    matching.filter_map(|id| policy.routes.capture(*id, name, &request.path)).next()
}
