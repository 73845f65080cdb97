//! From a caller and a tier to the limits that hold, each with its counter's key and its cost.

#[cfg(test)]
mod tests;

use super::head::{Reading, Request};
use super::identify::Caller;
use crate::base::id::{CounterOwner, ExemptionId, Id as _, LimitId, PoolId, SeatId, TierId};
use crate::limit::{Cost, QUOTA_MAX, Rule};
use crate::policy::Policy;
use crate::policy::limits::{CostSource, Limit};
use crate::policy::scope::{Absent, KeyPart};
use crate::policy::select::{Condition, Selector};
use crate::policy::selector_index::SelectorIndex;
use crate::store::LimitCheck;
use crate::store::key::LimitKeys;

/// Fills `checks` with what the request asks of each limit that holds for it, in the order of the
/// policy. `numbers` is memory to work in.
///
/// A limit holds if it does in one reading of the path; an exemption must in all of them.
pub fn select(
    request: &Request,
    caller: &Caller<'_>,
    policy: &Policy,
    keys: &LimitKeys,
    numbers: &mut Vec<u16>,
    checks: &mut Vec<LimitCheck>,
) {
    checks.clear();
    for reading in request.readings() {
        if exempt(reading, caller, policy, numbers).is_some() {
            continue;
        }
        let before = checks.len();
        look(&policy.candidates, reading, caller, numbers);
        for id in numbers.iter().map(|number| LimitId::new(*number)) {
            if checks.iter().take(before).any(|check| check.owner == CounterOwner::Limit(id)) {
                continue;
            }
            let limit = policy.limits.get(id).filter(|limit| holds(&limit.scope.selector, reading, caller));
            checks.extend(limit.and_then(|limit| check(id, limit, request, caller, policy, keys)));
        }
        seats(reading, request, caller, policy, keys, numbers, checks);
    }
    if !request.others.is_empty() {
        checks.sort_by_key(|check| check.owner);
    }
}

/// The pools that hold for a request that is not exempt: with the values of their keys.
pub fn pools<'v>(
    request: &'v Request,
    caller: &'v Caller<'_>,
    policy: &Policy,
    numbers: &mut Vec<u16>,
) -> Vec<(PoolId, Vec<Option<&'v [u8]>>)> {
    let mut keyed: Vec<(PoolId, Vec<Option<&[u8]>>)> = Vec::new();
    if policy.pools.is_empty() {
        return keyed;
    }
    for reading in request.readings() {
        if exempt(reading, caller, policy, numbers).is_some() {
            continue;
        }
        look(&policy.pool_candidates, reading, caller, numbers);
        let before = keyed.len();
        for id in numbers.iter().map(|number| PoolId::new(*number)) {
            let pool = policy.pools.get(id).filter(|pool| holds(&pool.scope.selector, reading, caller));
            let Some(pool) = pool.filter(|_| !keyed.iter().take(before).any(|(known, _)| *known == id)) else {
                continue;
            };
            let value = |part: &KeyPart| value(&pool.scope.selector, part, request, caller, policy);
            let values: Vec<Option<&[u8]>> = pool.scope.per.iter().map(value).collect();
            if pool.scope.absent == Absent::Count || values.iter().all(Option::is_some) {
                keyed.push((id, values));
            }
        }
    }
    keyed.sort_by_key(|(id, _)| *id);
    keyed
}

/// Adds what the request asks of each seat limit that holds for it.
fn seats(
    reading: Reading<'_>,
    request: &Request,
    caller: &Caller<'_>,
    policy: &Policy,
    keys: &LimitKeys,
    numbers: &mut Vec<u16>,
    checks: &mut Vec<LimitCheck>,
) {
    if policy.seats.is_empty() {
        return;
    }
    look(&policy.seat_candidates, reading, caller, numbers);
    let before = checks.len();
    for id in numbers.iter().map(|number| SeatId::new(*number)) {
        let limit = policy.seats.get(id).filter(|limit| holds(&limit.scope.selector, reading, caller));
        let Some((limit, holder)) = limit.and_then(|limit| Some((limit, caller.value(limit.holder)?))) else {
            continue;
        };
        let owner = CounterOwner::Seats(id);
        if checks.iter().take(before).any(|check| check.owner == owner) {
            continue;
        }
        let Some(mut key) = keys.partition(owner) else { continue };
        limit.scope.per.iter().for_each(|part| key.push(value(&limit.scope.selector, part, request, caller, policy)));
        let at = key.finish();
        key.push(Some(holder));
        let rule = Rule::Seats(limit.seats.asked_by(key.finish().fingerprint));
        checks.push(LimitCheck::new(owner, at, rule, Cost::Now(1), limit.scope.failure));
    }
}

/// The exemption that holds, the first of the path's first reading; one must hold in
/// each. Then no limit applies to the request at all.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn exemption(
    request: &Request,
    caller: &Caller<'_>,
    policy: &Policy,
    numbers: &mut Vec<u16>,
) -> Option<ExemptionId> {
    let mut first = None;
    for reading in request.readings() {
        let id = exempt(reading, caller, policy, numbers)?;
        first = first.or(Some(id));
    }
    first
}

/// The first exemption that holds in one reading of the path.
pub(super) fn exempt(
    reading: Reading<'_>,
    caller: &Caller<'_>,
    policy: &Policy,
    numbers: &mut Vec<u16>,
) -> Option<ExemptionId> {
    look(&policy.exempt.candidates, reading, caller, numbers);
    let mut ids = numbers.iter().map(|number| ExemptionId::new(*number));
    ids.find(|id| policy.exempt.selectors.get(*id).is_some_and(|it| holds(it, reading, caller)))
}

/// Fills `numbers` with those of the selectors that may hold: [`holds`] says which of them do.
pub(super) fn look(candidates: &SelectorIndex, reading: Reading<'_>, caller: &Caller<'_>, numbers: &mut Vec<u16>) {
    candidates.find(reading.tier, reading.matches.ids(), |attribute| caller.value(attribute), numbers);
}

/// Whether all that a selector asks for beside its routes is there; of those one matches already.
pub(crate) fn holds(selector: &Selector, reading: Reading<'_>, caller: &Caller<'_>) -> bool {
    of_its_tiers(selector, reading) && selector.attributes.iter().all(|condition| has(caller, condition))
}

/// Whether the reading is of a tier that the selector asks for.
pub(crate) fn of_its_tiers(selector: &Selector, reading: Reading<'_>) -> bool {
    let of_tier = |tiers: &Vec<TierId>| reading.tier.is_some_and(|tier| tiers.contains(&tier));
    selector.tiers.as_ref().is_none_or(of_tier)
}

/// Whether the caller has one of the values that a condition asks for.
pub(crate) fn has(caller: &Caller<'_>, (attribute, values): &Condition) -> bool {
    let value = caller.value(*attribute);
    value.is_some_and(|value| values.iter().any(|wanted| wanted.as_bytes() == value))
}

/// What the request asks of one limit; `None` where a part of the key is missing that must be there.
fn check(
    id: LimitId,
    limit: &Limit,
    request: &Request,
    caller: &Caller<'_>,
    policy: &Policy,
    keys: &LimitKeys,
) -> Option<LimitCheck> {
    let value = |part: &KeyPart| value(&limit.scope.selector, part, request, caller, policy);
    if limit.scope.absent == Absent::Skip && !limit.scope.per.iter().all(|part| value(part).is_some()) {
        return None;
    }
    let owner = CounterOwner::Limit(id);
    let find = || {
        let mut key = keys.partition(owner)?;
        limit.scope.per.iter().for_each(|part| key.push(value(part)));
        Some((key.finish(), *limit.overrides.find(|attribute| caller.value(attribute)).unwrap_or(&limit.rule)))
    };
    let of_the_caller_alone = || limit.scope.per.iter().all(|part| matches!(part, KeyPart::Attribute(_)));
    let (key, rule) = match caller.cached() {
        Some(regular) if of_the_caller_alone() => regular.counter(id, find),
        Some(_) | None => find(),
    }?;
    let mut check = LimitCheck::new(owner, key, rule, cost(&limit.cost, request), limit.scope.failure);
    check.enforcement = limit.enforcement;
    Some(check)
}

/// The value that one part of a limit's key has.
pub(crate) fn value<'v>(
    selector: &Selector,
    part: &KeyPart,
    request: &'v Request,
    caller: &'v Caller<'_>,
    policy: &Policy,
) -> Option<&'v [u8]> {
    match part {
        KeyPart::Attribute(attribute) => caller.value(*attribute),
        KeyPart::Capture(name) => captured(selector, name, request, policy),
    }
}

/// What the first of the selector's routes that matches captured, in the first reading that it matches.
fn captured<'r>(selector: &Selector, name: &str, request: &'r Request, policy: &Policy) -> Option<&'r [u8]> {
    let in_reading = |reading: Reading<'r>| {
        let matching = selector.routes.iter().flatten().filter(|id| reading.matches.contains(**id));
        matching.filter_map(|id| policy.routes.capture(*id, name, reading.path)).next()
    };
    request.readings().find_map(in_reading)
}

fn cost(source: &CostSource, request: &Request) -> Cost {
    match source {
        CostSource::Fixed(units) => Cost::Now(*units),
        CostSource::Header(name) => Cost::Now(units(request.headers.all(name))),
        CostSource::ResponseHeader(_) => Cost::Later,
        // No body has no bytes and no lines. It has no such array either, and that counts as one.
        CostSource::Bytes | CostSource::Lines if request.ends => Cost::Now(0),
        CostSource::Items(_) if request.ends => Cost::Now(1),
        CostSource::Bytes => request.content_length().map_or(Cost::Later, Cost::Now),
        CostSource::Lines | CostSource::Items(_) => Cost::Later,
    }
}

/// The units that a header says with all of its lines, each of which may be a list: the greatest
/// counts, so that nobody pays less by adding one. Where there is none it is one.
pub fn units<'v>(lines: impl Iterator<Item = &'v [u8]>) -> u64 {
    let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
    // RFC 9110 §5.6.1.2: an empty member of a list is ignored.
    let said = members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    said.map(number).max().unwrap_or(1)
}

/// One where it is no whole number. One that is too large is as large as a cost can be.
fn number(digits: &[u8]) -> u64 {
    if !digits.iter().all(u8::is_ascii_digit) {
        return 1;
    }
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit & 15));
    digits.iter().fold(0_u64, add).min(COST_MAX)
}

/// The most that a header can say a request costs: more than any limit ever holds.
const COST_MAX: u64 = QUOTA_MAX + 1;
