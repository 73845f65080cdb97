//! The limits of all kinds that apply to one request, or its exemption.
//!
//! ```text
//!   caller ────┐                                       ┌─▶ checks ──────────▶ store
//!              ├─▶ SelectorIndex ─▶ matches ─▶ Applicable ─▶ pools ──────────▶ queue
//!   readings ──┘     once per reading │                └─▶ MatchedPayload ──▶ body
//!                                     └─▶ Trace: why the other limits do not apply
//! ```
//!
//! All of it follows from the caller's attributes and from the routes and tiers of the readings.
//! Keys, rules and costs follow, in [`super::checks`].

mod own;
#[cfg(test)]
mod tests;

pub use own::is_shown;

use super::address::addresses;
use super::checks::part_value;
use super::head::{Reading, Request};
use super::identify::Caller;
use crate::base::id::{DenialId, ExemptionId, LimitId, PayloadId, PoolId, SeatId};
use crate::base::path::Ambiguity;
use crate::base::property::Property;
use crate::policy::Policy;
use crate::policy::limits::Limit;
use crate::policy::overrides::{Override, Overrides};
use crate::policy::pools::PoolLimit;
use crate::policy::route::RouteId;
use crate::policy::scope::{Absent, KeyPart, Scope};
use crate::policy::seats::SeatLimit;
use crate::policy::select::{Condition, Selector};
use crate::policy::selector_index::{SelectorId, SelectorIndex};

/// All that applies to one request, each kind in the order of the policy. Its buffers are used
/// again for the next request.
#[derive(Debug, Default)]
pub struct Applicable {
    /// The exemption, of which one must match in each reading of the path: the first of the first
    /// reading.
    pub exemption: Option<ExemptionId>,
    /// The denial, if no exemption applies; one reading in which it matches is enough.
    pub denial: Option<DenialId>,
    /// The limits; one reading in which a limit matches is enough.
    pub limits: Vec<LimitId>,
    /// The seat limits, likewise.
    pub seats: Vec<SeatId>,
    /// The concurrency limits, likewise.
    pub pools: Vec<PoolId>,
    /// The payload limit: the first that matches. All readings must have the same.
    pub payload: Option<PayloadId>,
    /// Why no reading of the path is safe. Then nothing else is known.
    pub ambiguity: Option<Ambiguity>,
    /// The selectors that the index found in one reading.
    candidates: Vec<SelectorId>,
}

/// Hears why limits do not apply. The filter does not listen.
pub trait Trace<'p> {
    /// Whether anything listens.
    const LISTENS: bool;

    /// The limit does not apply in one reading of the path.
    fn reject(&mut self, limit: LimitId, why: Mismatch<'p>);
}

/// Why a limit does not apply, in the order in which this is decided.
#[derive(Clone, Copy, Debug)]
pub enum Mismatch<'p> {
    /// The request is of another tier.
    Tier,
    /// None of the limit's routes matches.
    Routes,
    /// This route, which the limit excludes, matches.
    Except(RouteId),
    /// The client's address is in none of the limit's networks.
    Address,
    /// The caller has none of the values of this condition.
    Attribute(&'p Condition),
    /// The caller lacks this part of the key.
    Key(&'p KeyPart),
    /// The override of this number says that it does not apply.
    Unlimited(usize),
    /// It counts requests that receive a 401.
    Identified,
    /// The reading is exempt.
    Exempt,
}

/// Does not listen.
#[derive(Clone, Copy, Debug)]
pub struct NoTrace;

impl Trace<'_> for NoTrace {
    const LISTENS: bool = false;

    fn reject(&mut self, _: LimitId, _: Mismatch<'_>) {}
}

impl Applicable {
    /// Finds the limits that apply to a request of `caller`. Replaces earlier results.
    pub fn find<'p, T: Trace<'p>>(
        &mut self,
        request: &Request,
        caller: &Caller<'_>,
        policy: &'p Policy,
        trace: &mut T,
    ) {
        self.clear();
        self.ambiguity = request.ambiguity;
        if self.ambiguity.is_some() {
            return;
        }
        let matcher = Matcher {
            request,
            caller,
            policy,
        };
        for (place, reading) in request.readings().enumerate() {
            let (exemption, payload) = self.add(&policy.index, &matcher, reading);
            if place == 0 {
                (self.exemption, self.payload) = (exemption, payload);
            } else {
                self.exemption = self.exemption.filter(|_| exemption.is_some());
                if payload != self.payload {
                    self.ambiguity = Some(Ambiguity::Payload);
                }
            }
            if T::LISTENS {
                matcher.explain(reading, exemption, trace);
            }
        }
        if self.exemption.is_some() {
            self.denial = None;
        }
        if !request.others.is_empty() {
            self.merge();
        }
    }

    /// Finds the limits on refused credentials that apply to a request that is about to receive a
    /// 401, and replaces earlier results. `caller` has the attributes that are known without a
    /// credential.
    pub fn find_refused(&mut self, request: &Request, caller: &Caller<'_>, policy: &Policy) {
        self.clear();
        let Some(refused) = &policy.refused else {
            return;
        };
        let matcher = Matcher {
            request,
            caller,
            policy,
        };
        for reading in request.readings() {
            self.add(&refused.index, &matcher, reading);
        }
        if !request.others.is_empty() {
            self.merge();
        }
    }

    fn clear(&mut self) {
        (self.exemption, self.denial) = (None, None);
        (self.payload, self.ambiguity) = (None, None);
        self.limits.clear();
        self.seats.clear();
        self.pools.clear();
    }

    /// Adds those of the index's candidates that apply in one reading. Returns its exemption, or
    /// else its payload limit.
    fn add(
        &mut self,
        index: &SelectorIndex,
        matcher: &Matcher<'_, '_>,
        reading: Reading<'_>,
    ) -> (Option<ExemptionId>, Option<PayloadId>) {
        let Matcher { caller, policy, .. } = *matcher;
        let value = |attribute| caller.selected(attribute);
        let routes = reading.matches.ids();
        index.find(reading.tier, routes, value, &mut self.candidates);
        let selects = |selector: Option<&Selector>| {
            selector.is_some_and(|selector| matcher.selects(selector, reading))
        };
        let applies =
            |scope: Option<&Scope>| scope.is_some_and(|scope| matcher.applies(scope, reading));
        for id in &self.candidates {
            match *id {
                SelectorId::Exemption(id) if selects(policy.exempt.get(id)) => {
                    return (Some(id), None);
                }
                SelectorId::Denial(id) if selects(policy.deny.get(id)) => {
                    self.denial = self.denial.or(Some(id));
                    return (None, None);
                }
                SelectorId::Limit(id) => {
                    let limit = policy.limits.get(id);
                    if limit.is_some_and(|limit| matcher.counts(limit, reading)) {
                        self.limits.push(id);
                    }
                }
                SelectorId::Seats(id) => {
                    let limit = policy.seats.get(id);
                    if limit.is_some_and(|limit| matcher.seats(limit, reading)) {
                        self.seats.push(id);
                    }
                }
                SelectorId::Pool(id) => {
                    let pool = policy.pools.get(id);
                    if pool.is_some_and(|pool| matcher.pools(pool, reading)) {
                        self.pools.push(id);
                    }
                }
                // It is the first, and no other kind follows.
                SelectorId::Payload(id)
                    if applies(policy.payloads.get(id).map(|payload| &payload.scope)) =>
                {
                    return (None, Some(id));
                }
                SelectorId::Exemption(_) | SelectorId::Denial(_) | SelectorId::Payload(_) => {}
            }
        }
        (None, None)
    }

    /// Makes one list of those of several readings.
    fn merge(&mut self) {
        self.limits.sort_unstable();
        self.limits.dedup();
        self.seats.sort_unstable();
        self.seats.dedup();
        self.pools.sort_unstable();
        self.pools.dedup();
    }
}

/// Compares a request and its caller with the selectors of a policy.
#[derive(Clone, Copy)]
struct Matcher<'r, 'p> {
    request: &'r Request,
    caller: &'r Caller<'r>,
    policy: &'p Policy,
}

impl<'p> Matcher<'_, 'p> {
    /// Whether a selector that the index found matches.
    fn selects(&self, selector: &'p Selector, reading: Reading<'_>) -> bool {
        tier(selector, reading).is_ok()
            && except(selector, reading).is_ok()
            && self.attributes(selector).is_ok()
            && self.address(selector).is_ok()
    }

    /// Whether a limit whose selector the index found applies.
    fn applies(&self, scope: &'p Scope, reading: Reading<'_>) -> bool {
        self.selects(&scope.selector, reading) && self.key(scope).is_ok()
    }

    /// Whether a limit on units whose selector the index found applies.
    fn counts(&self, limit: &'p Limit, reading: Reading<'_>) -> bool {
        self.applies(&limit.scope, reading) && self.unlimited(limit).is_ok()
    }

    /// Whether no override says that the limit does not apply to the caller.
    fn unlimited(&self, limit: &Limit) -> Result<(), Mismatch<'p>> {
        if !limit.has_unlimited {
            return Ok(());
        }
        self.overridden(&limit.overrides)
    }

    fn overridden<T>(&self, overrides: &Overrides<Override<T>>) -> Result<(), Mismatch<'p>> {
        let unlimited = overrides.unlimited(|attribute| self.caller.selected(attribute));
        unlimited.map_or(Ok(()), |number| Err(Mismatch::Unlimited(number)))
    }

    /// Whether a pool whose selector the index found applies.
    fn pools(&self, pool: &'p PoolLimit, reading: Reading<'_>) -> bool {
        self.applies(&pool.scope, reading) && self.overridden(&pool.overrides).is_ok()
    }

    /// Whether a seat limit whose selector the index found applies. Without a holder there is
    /// nothing to keep a seat for.
    fn seats(&self, seats: &'p SeatLimit, reading: Reading<'_>) -> bool {
        self.caller.value(seats.holder).is_some()
            && self.applies(&seats.scope, reading)
            && self.overridden(&seats.overrides).is_ok()
    }

    /// Why a limit does not apply, whether or not the index found it.
    fn mismatch(&self, limit: &'p Limit, reading: Reading<'_>) -> Result<(), Mismatch<'p>> {
        let scope = &limit.scope;
        if scope.selector.refused {
            return Err(Mismatch::Identified);
        }
        selects_reading(&scope.selector, reading)?;
        self.address(&scope.selector)?;
        self.attributes(&scope.selector)?;
        self.key(scope)?;
        self.unlimited(limit)
    }

    fn explain(
        &self,
        reading: Reading<'_>,
        exemption: Option<ExemptionId>,
        trace: &mut impl Trace<'p>,
    ) {
        let exempt = if exemption.is_some() {
            Err(Mismatch::Exempt)
        } else {
            Ok(())
        };
        for (id, limit) in self.policy.limits.entries() {
            if let Err(why) = self.mismatch(limit, reading).and(exempt) {
                trace.reject(id, why);
            }
        }
    }

    fn address(&self, selector: &Selector) -> Result<(), Mismatch<'p>> {
        let Some(networks) = &selector.networks else {
            return Ok(());
        };
        let client = addresses(self.request.properties.of(Property::SourceAddress));
        let client = client.iter().flatten();
        let mut found =
            client.flat_map(|address| networks.iter().filter(|network| network.contains(*address)));
        found.next().map(|_| ()).ok_or(Mismatch::Address)
    }

    fn attributes(&self, selector: &'p Selector) -> Result<(), Mismatch<'p>> {
        let other = selector
            .attributes
            .iter()
            .find(|condition| !satisfies(self.caller, condition));
        other.map_or(Ok(()), |condition| Err(Mismatch::Attribute(condition)))
    }

    fn key(&self, scope: &'p Scope) -> Result<(), Mismatch<'p>> {
        if scope.absent == Absent::Count {
            return Ok(());
        }
        scope
            .per
            .iter()
            .find(|part| part_value(scope, part, self.request, self.caller, self.policy).is_none())
            .map_or(Ok(()), |part| Err(Mismatch::Key(part)))
    }
}

/// Whether a selector selects a reading of the path, for any caller.
pub(super) fn selects_reading<'p>(
    selector: &Selector,
    reading: Reading<'_>,
) -> Result<(), Mismatch<'p>> {
    tier(selector, reading)?;
    routes(selector, reading)?;
    except(selector, reading)
}

fn tier<'p>(selector: &Selector, reading: Reading<'_>) -> Result<(), Mismatch<'p>> {
    match (&selector.tiers, reading.tier) {
        (None, _) => Ok(()),
        (Some(tiers), Some(tier)) if tiers.contains(&tier) => Ok(()),
        (Some(_), _) => Err(Mismatch::Tier),
    }
}

fn routes<'p>(selector: &Selector, reading: Reading<'_>) -> Result<(), Mismatch<'p>> {
    match &selector.routes {
        None => Ok(()),
        Some(routes) if routes.iter().any(|id| reading.matches.contains(*id)) => Ok(()),
        Some(_) => Err(Mismatch::Routes),
    }
}

fn except<'p>(selector: &Selector, reading: Reading<'_>) -> Result<(), Mismatch<'p>> {
    let mut excluded = selector.except.iter();
    excluded
        .find(|id| reading.matches.contains(**id))
        .map_or(Ok(()), |id| Err(Mismatch::Except(*id)))
}

/// Whether the caller has one of the values that a condition asks for.
pub(super) fn satisfies(caller: &Caller<'_>, (attribute, values): &Condition) -> bool {
    let value = caller.selected(*attribute);
    value.is_some_and(|value| values.iter().any(|wanted| wanted.as_bytes() == value))
}
