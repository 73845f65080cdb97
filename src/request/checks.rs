//! From the limits that apply to a request to the checks for the store: each with its counter's
//! key, its rule for this caller, and its cost.

use std::cmp::Reverse;

use super::applicable::{Applicable, selects_reading};
use super::head::{Reading, Request};
use super::identify::Caller;
use super::operator::Stated;
use crate::base::id::{CounterOwner, LimitId, SeatId};
use crate::base::invariant::invariant;
use crate::fleet::name::CounterNameMaker;
use crate::fleet::take::CounterName;
use crate::limit::lease::{Counted, Lease};
use crate::limit::seats::Seats;
use crate::limit::{Cost, QUOTA_MAX, Rule};
use crate::policy::Policy;
use crate::policy::costs::{CostSource, Reservation, Settlement};
use crate::policy::limits::Limit;
use crate::policy::route::RouteId;
use crate::policy::scope::{KeyPart, KeyWord, Scope};
use crate::policy::seats::SeatLimit;
use crate::store::LimitCheck;
use crate::store::key::{Key, LimitKeys, PartialKey};

/// Fills `checks` with one check for each limit and seat limit that applies to the request, in the
/// order of their owners.
pub fn fill(
    checks: &mut Vec<LimitCheck>,
    applicable: &Applicable,
    request: &Request,
    caller: &Caller<'_>,
    policy: &Policy,
    keys: &LimitKeys,
) {
    let maker = Maker {
        request,
        caller,
        policy,
        keys,
    };
    checks.clear();
    checks.extend(applicable.limits.iter().filter_map(|id| maker.limit(*id)));
    checks.extend(applicable.seats.iter().filter_map(|id| maker.seats(*id)));
}

/// Makes the checks of one request.
struct Maker<'a> {
    request: &'a Request,
    caller: &'a Caller<'a>,
    policy: &'a Policy,
    keys: &'a LimitKeys,
}

impl<'a> Maker<'a> {
    fn limit(&self, id: LimitId) -> Option<LimitCheck> {
        let limit = invariant(
            self.policy.limits.get(id),
            "a limit that applies is in the policy",
        )?;
        let find = || limit_counter(id, limit, self.caller, self.keys, self.parts(&limit.scope));
        let (key, rule) = match self.caller.cached() {
            Some(cached) if limit.scope.is_keyed_by_caller() => cached.counter(id, find),
            Some(_) | None => find(),
        }?;
        let (cost_number, cost) = chosen_cost(limit, self.request)?;
        let owner = CounterOwner::Limit(id);
        let mut check = LimitCheck::new(owner, key, rule, cost, limit.scope.failure);
        check.cost_number = cost_number;
        check.enforcement = limit.enforcement;
        check.lock = limit.lock;
        Some(check)
    }

    fn seats(&self, id: SeatId) -> Option<LimitCheck> {
        let owner = CounterOwner::Seats(id);
        let limit = invariant(
            self.policy.seats.get(id),
            "a seat limit that applies is in the policy",
        )?;
        let holder = invariant(
            self.caller.value(limit.holder),
            "a seat limit applies to callers with a holder",
        )?;
        let mut key = counter_key(owner, &limit.scope, self.keys, self.parts(&limit.scope))?;
        let page = key.finish();
        key.push(Some(holder));
        let seats = seats_for(limit, self.caller)?;
        let rule = Rule::Seats(seats.for_holder(key.finish().fingerprint));
        let mut check = LimitCheck::new(owner, page, rule, Cost::Now(1), limit.scope.failure);
        check.enforcement = limit.enforcement;
        Some(check)
    }

    /// The values of the parts of a scope's key.
    fn parts<'s>(&self, scope: &'s Scope) -> impl Fn(&KeyPart) -> Option<&'a [u8]> + use<'a, 's> {
        let Self {
            request,
            caller,
            policy,
            ..
        } = *self;
        move |part| part_value(scope, part, request, caller, policy)
    }
}

/// The key and the rule of a limit's counter for a caller; `None` if the limit does not apply to
/// it. `part` has the values of the key.
fn limit_counter<'v>(
    id: LimitId,
    limit: &Limit,
    caller: &Caller<'_>,
    keys: &LimitKeys,
    part: impl Fn(&KeyPart) -> Option<&'v [u8]>,
) -> Option<(Key, Rule)> {
    let rule = rule_for(limit, caller)?;
    let rule = match (limit.shared, Counted::of(&rule)) {
        (Some(_), Some(counted)) => {
            Rule::Lease(Lease::new(counted, counter_name(&limit.scope, &part)))
        }
        (None, _) | (_, None) => rule,
    };
    let key = counter_key(CounterOwner::Limit(id), &limit.scope, keys, part)?;
    Some((key.finish(), rule))
}

/// The name of a counter that all proxies share. It shows no value of the caller.
fn counter_name<'v>(scope: &Scope, part: impl Fn(&KeyPart) -> Option<&'v [u8]>) -> CounterName {
    let mut name = CounterNameMaker::new(&scope.identity);
    for value in scope.per.iter().map(part) {
        name.push(value);
    }
    name.finish()
}

fn counter_key<'v>(
    owner: CounterOwner,
    scope: &Scope,
    keys: &LimitKeys,
    part: impl Fn(&KeyPart) -> Option<&'v [u8]>,
) -> Option<PartialKey> {
    let mut key = keys.partition(owner)?;
    for value in scope.per.iter().map(part) {
        key.push(value);
    }
    Some(key)
}

/// The seats for a caller; `None` if the limit does not apply to it.
fn seats_for<'p>(limit: &'p SeatLimit, caller: &Caller<'_>) -> Option<&'p Seats> {
    let value = |attribute| caller.selected(attribute);
    limit.overrides.applied(&limit.seats, value)
}

/// A check that only looks at a counter, with the values that an operator states; `None` if the
/// limit does not apply to such a caller on any path.
#[must_use]
pub fn look_at(
    owner: CounterOwner,
    stated: &Stated<'_>,
    caller: &Caller<'_>,
    policy: &Policy,
    keys: &LimitKeys,
) -> Option<LimitCheck> {
    let part = |part: &KeyPart| stated.part(part, policy);
    match owner {
        CounterOwner::Limit(id) => {
            let limit = policy.limits.get(id)?;
            stated
                .may_apply(&limit.scope, caller, policy)
                .then_some(())?;
            let (key, rule) = limit_counter(id, limit, caller, keys, part)?;
            let mut check = LimitCheck::new(owner, key, rule, Cost::Now(0), limit.scope.failure);
            check.lock = limit.lock;
            Some(check)
        }
        CounterOwner::Seats(id) => {
            let limit = policy.seats.get(id)?;
            stated
                .may_apply(&limit.scope, caller, policy)
                .then_some(())?;
            let key = counter_key(owner, &limit.scope, keys, part)?.finish();
            let rule = Rule::Seats(*seats_for(limit, caller)?);
            Some(LimitCheck::new(
                owner,
                key,
                rule,
                Cost::Now(0),
                limit.scope.failure,
            ))
        }
    }
}

/// The rule of the limit for a caller; `None` if the limit does not apply to it.
#[must_use]
pub fn rule_for(limit: &Limit, caller: &Caller<'_>) -> Option<Rule> {
    let value = |attribute| caller.selected(attribute);
    let rule = limit.overrides.applied(&limit.rule, value)?;
    let own = rule.own.and_then(|own| caller.value(own.attribute));
    Some(rule.with(own.and_then(number)))
}

/// The value of one part of a scope's key.
pub fn part_value<'v>(
    scope: &Scope,
    part: &KeyPart,
    request: &'v Request,
    caller: &'v Caller<'_>,
    policy: &'v Policy,
) -> Option<&'v [u8]> {
    match part {
        KeyPart::Attribute(attribute) => caller.value(*attribute),
        KeyPart::Capture(name) => captured(scope, name, request, policy),
        KeyPart::Word(KeyWord::Route) => {
            matched_route(scope, request, policy).map(|id| policy.routes.written(id).as_bytes())
        }
        KeyPart::Word(KeyWord::Method) => request.headers.first(":method"),
        KeyPart::Word(KeyWord::Tier) => {
            let of_reading = |reading: Reading<'_>| policy.tiers.get(reading.tier?);
            let mut readings = selected_readings(scope, request);
            readings
                .find_map(of_reading)
                .map(|tier| tier.name.as_bytes())
        }
        KeyPart::Word(KeyWord::Host) => request.authority(),
    }
}

/// The readings of the path that a scope selects.
fn selected_readings<'r>(scope: &Scope, request: &'r Request) -> impl Iterator<Item = Reading<'r>> {
    request
        .readings()
        .filter(|reading| selects_reading(&scope.selector, *reading).is_ok())
}

/// The route by which a scope applies, in the first reading of the path that it selects: the first
/// of its own that matches, or else of the tier's.
#[must_use]
pub fn matched_route(scope: &Scope, request: &Request, policy: &Policy) -> Option<RouteId> {
    selected_readings(scope, request).find_map(|reading| {
        let of_tier = || Some(&*policy.tiers.get(reading.tier?)?.routes);
        let routes = scope.selector.routes.as_deref().or_else(of_tier)?;
        let mut matching = routes.iter().filter(|id| reading.matches.contains(**id));
        matching.next().copied()
    })
}

/// The capture of the first of the scope's routes that matches, in the first reading that it
/// matches.
fn captured<'r>(
    scope: &Scope,
    name: &str,
    request: &'r Request,
    policy: &Policy,
) -> Option<&'r [u8]> {
    request.readings().find_map(|reading| {
        scope
            .selector
            .routes
            .iter()
            .flatten()
            .filter(|id| reading.matches.contains(**id))
            .find_map(|id| policy.routes.capture(*id, name, reading.path))
    })
}

/// The number of the cost that applies, and the units. Of several readings of the path the one with
/// the greatest cost counts; of equal costs one that is settled later, since it may grow.
fn chosen_cost(limit: &Limit, request: &Request) -> Option<(usize, Cost)> {
    if !limit.costs.depends_on_route() {
        return Some((0, cost(limit.costs.get(0)?, request)));
    }
    let costs = selected_readings(&limit.scope, request).filter_map(|reading| {
        let (number, source) = limit.costs.of(reading.matches)?;
        Some((number, cost(source, request)))
    });
    costs.max_by_key(|(number, cost)| {
        let is_settled = matches!(cost, Cost::Reserved(_));
        (cost.units(), is_settled, Reverse(*number))
    })
}

fn cost(source: &CostSource, request: &Request) -> Cost {
    match source {
        CostSource::Fixed(units) => Cost::Now(*units),
        CostSource::Header(name) => Cost::Now(units(request.headers.all(name), 1)),
        CostSource::Settled { reserve, by } => match by {
            // No body has no bytes and no lines. It has no such array either, and that counts as
            // one.
            Settlement::Bytes | Settlement::Lines if request.ends => Cost::Now(0),
            Settlement::Items(_) if request.ends => Cost::Now(1),
            Settlement::Bytes => request
                .content_length()
                .map_or_else(|| reservation(reserve, request), Cost::Now),
            Settlement::Lines | Settlement::Items(_) | Settlement::ResponseHeader(_) => {
                reservation(reserve, request)
            }
        },
    }
}

fn reservation(reserve: &Reservation, request: &Request) -> Cost {
    Cost::Reserved(match reserve {
        Reservation::Fixed(units) => *units,
        Reservation::Header {
            name,
            otherwise,
            at_most,
        } => match units(request.headers.all(name), *otherwise) {
            0 => *otherwise,
            stated => stated.min(*at_most),
        },
    })
}

/// The units that a header states with all of its lines, each of which may be a list: the greatest
/// counts, so that no client pays less by adding one. A value that is not a whole number counts as
/// `otherwise`, as does a missing header.
pub fn units<'v>(lines: impl Iterator<Item = &'v [u8]>, otherwise: u64) -> u64 {
    let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
    // RFC 9110 §5.6.1.2: an empty member of a list is ignored.
    let said = members
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty());
    said.map(|member| number(member).unwrap_or(otherwise))
        .max()
        .unwrap_or(otherwise)
}

/// A whole number; one that is too large is the greatest cost.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u64, digit: &u8| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit & 15))
    };
    Some(digits.iter().fold(0_u64, add).min(COST_MAX))
}

/// The most that a header can say a request costs: more than any limit ever holds.
const COST_MAX: u64 = QUOTA_MAX + 1;
