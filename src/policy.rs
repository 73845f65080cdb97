//! The policy: how callers are identified, which limits apply to them, and which replies they get.
//!
//! ```text
//!   YAML, JSON, Struct ─▶ document::Node ─▶ reader: every value checked ─▶ Policy
//!                                             └─▶ all errors, each with its pointer and line
//! ```
//!
//! After [`Policy::compile`] nothing needs a check: names are resolved to numbers, routes are one
//! compiled table, the directory is sorted, and the limits are indexed by what selects them.

pub mod attributes;
pub mod callers;
pub mod directory;
pub mod document;
pub mod error;
pub mod exempt;
pub(crate) mod header;
pub mod limits;
pub mod media;
pub mod overrides;
pub mod payloads;
pub mod pools;
pub(crate) mod reader;
pub mod replies;
pub mod route;
pub(crate) mod rules;
pub mod scope;
pub mod seats;
pub mod select;
pub mod selector_index;
pub mod template;
pub mod tiers;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use attributes::{AttributeId, Attributes, Known};
use callers::Callers;
use document::Node;
use error::{PolicyError, Reason};
use exempt::ReadExemptions;
use limits::Limit;
use payloads::Payload;
use pools::PoolLimit;
use reader::{Errors, Field, MapField};
use replies::Replies;
use route::{Matches, RouteTable, RouteTableBuilder};
use scope::Siblings;
use seats::SeatLimit;
use select::Selector;
use selector_index::{SelectorId, SelectorIndex};
use tiers::{ReadTiers, Tier};

use crate::base::id::{
    CounterOwner, ExemptionId, IdVec, LimitId, PayloadId, PerOwner, PoolId, SeatId, TierId,
};
use crate::base::invariant::invariant;
use crate::base::pointer::Pointer;

/// A policy, checked whole.
#[derive(Debug)]
pub struct Policy {
    /// Names it in metrics and in the store: the counters of another name are others.
    pub name: Box<str>,
    /// How callers are identified.
    pub callers: Callers,
    /// Classes of requests, first match wins.
    pub tiers: IdVec<TierId, Tier>,
    /// Requests to which no limit applies: those that one of these selects.
    pub exempt: IdVec<ExemptionId, Selector>,
    /// All limits, in the order of the document.
    pub limits: IdVec<LimitId, Limit>,
    /// All concurrency limits, in the order of the document.
    pub pools: IdVec<PoolId, PoolLimit>,
    /// All seat limits, in the order of the document.
    pub seats: IdVec<SeatId, SeatLimit>,
    /// All payload limits; of those that match the first applies.
    pub payloads: IdVec<PayloadId, Payload>,
    /// All selectors of exemptions and limits.
    pub index: SelectorIndex,
    /// Fields and bodies of replies.
    pub replies: Replies,
    /// Live keys over all limits.
    pub keys_max: u32,
    /// The caller's attributes for the access log; `None` if it is not wanted.
    pub access_log: Option<Vec<AttributeId>>,
    /// All attributes that a caller can have.
    pub attributes: Attributes,
    /// All routes of the policy.
    pub routes: RouteTable,
    /// By route, the first tier that it leads to.
    tier_by_route: Vec<Option<TierId>>,
}

/// The state that the readers of a policy share.
struct Context {
    attributes: Attributes,
    routes: RouteTableBuilder,
    /// The names of limits of all kinds, each with the pointer of its first use.
    names: HashMap<String, String>,
    /// Combinations of values in overrides of all limits, less the values that are written.
    multiplied: usize,
}

impl Context {
    /// Gives a limit its name; the pointer of its first use if it is taken.
    fn take_name(&mut self, name: &str, at: &Pointer<'_>) -> Option<String> {
        match self.names.entry(name.to_owned()) {
            Entry::Occupied(first) => Some(first.get().clone()),
            Entry::Vacant(place) => {
                place.insert(at.to_string());
                None
            }
        }
    }
}

/// The keys of which a policy has at least one.
pub(crate) const KINDS: &[&str] = &["limits", "concurrency", "seats", "payloads"];
/// The version of the language.
pub(crate) const VERSION: u32 = 1;
pub(crate) const KEYS_MAX_DEFAULT: u32 = 100_000;
pub(crate) const KEYS_MAX_LIMIT: u32 = 50_000_000;

impl Policy {
    /// Checks a document and compiles it.
    ///
    /// # Errors
    /// All errors, in the order of their lines; at least one.
    pub fn compile(document: &Node) -> Result<Self, Vec<PolicyError>> {
        let errors = Errors::default();
        let policy = read(Field {
            node: document,
            at: Pointer::ROOT,
            errors: &errors,
        });
        let errors = errors.into_list();
        match policy {
            Some(policy) if errors.is_empty() => Ok(policy),
            Some(_) | None => Err(errors),
        }
    }

    /// The identities of all limits and seat limits.
    #[must_use]
    pub fn identities(&self) -> PerOwner<&[u8]> {
        PerOwner {
            limits: self
                .limits
                .iter()
                .map(|limit| &*limit.scope.identity)
                .collect(),
            seats: self
                .seats
                .iter()
                .map(|seats| &*seats.scope.identity)
                .collect(),
        }
    }

    /// What `make` returns for each limit and seat limit, and its name; limits first.
    pub fn for_each_owner<T>(&self, mut make: impl FnMut(CounterOwner, &str) -> T) -> PerOwner<T> {
        let limits = self
            .limits
            .entries()
            .map(|(id, limit)| make(CounterOwner::Limit(id), &limit.scope.name))
            .collect();
        let seats = self
            .seats
            .entries()
            .map(|(id, seats)| make(CounterOwner::Seats(id), &seats.scope.name))
            .collect();
        PerOwner { limits, seats }
    }

    /// All selectors of exemptions and limits, in the order of their ids.
    fn selectors(&self) -> impl Iterator<Item = (SelectorId, &Selector)> {
        let exempt = self
            .exempt
            .entries()
            .map(|(id, selector)| (SelectorId::Exemption(id), selector));
        let limits = self
            .limits
            .entries()
            .map(|(id, limit)| (SelectorId::Limit(id), &limit.scope.selector));
        let seats = self
            .seats
            .entries()
            .map(|(id, limit)| (SelectorId::Seats(id), &limit.scope.selector));
        let pools = self
            .pools
            .entries()
            .map(|(id, limit)| (SelectorId::Pool(id), &limit.scope.selector));
        let payloads = self
            .payloads
            .entries()
            .map(|(id, limit)| (SelectorId::Payload(id), &limit.scope.selector));
        exempt
            .chain(limits)
            .chain(seats)
            .chain(pools)
            .chain(payloads)
    }

    /// The limit that owns a counter; `None` if a seat limit does.
    #[must_use]
    pub fn limit(&self, owner: CounterOwner) -> Option<&Limit> {
        match owner {
            CounterOwner::Limit(id) => self.limits.get(id),
            CounterOwner::Seats(_) => None,
        }
    }

    /// The seat limit that owns a counter; `None` if a limit does.
    #[must_use]
    pub fn seat_limit(&self, owner: CounterOwner) -> Option<&SeatLimit> {
        match owner {
            CounterOwner::Limit(_) => None,
            CounterOwner::Seats(id) => self.seats.get(id),
        }
    }

    /// The name of the limit or seat limit that owns a counter.
    #[must_use]
    pub fn owner_name(&self, owner: CounterOwner) -> Option<&str> {
        let name = match owner {
            CounterOwner::Limit(id) => self.limits.get(id).map(|limit| &*limit.scope.name),
            CounterOwner::Seats(id) => self.seats.get(id).map(|seats| &*seats.scope.name),
        };
        invariant(name, "the owner of a counter is in the policy")
    }

    /// The tier of a request that these routes match.
    #[must_use]
    pub fn tier_of(&self, matches: &Matches) -> Option<TierId> {
        matches
            .ids()
            .iter()
            .filter_map(|id| *self.tier_by_route.get(id.index())?)
            .min()
    }
}

/// Reads the whole document. Each part is read even if another has errors, and `?` comes last.
fn read(document: Field<'_>) -> Option<Policy> {
    let map = document.map("{ version: 1, name: shop, limits: […] }")?;
    let mut context = Context {
        attributes: Attributes::default(),
        routes: RouteTable::builder(),
        names: HashMap::new(),
        multiplied: 0,
    };
    if let Some(version) = map.require("version") {
        version.count(VERSION, VERSION);
    }
    let name = map
        .require("name")
        .and_then(|field| field.name().map(Box::from));
    let callers = read_callers(&map, &mut context);
    let tiers = map
        .get("tiers")
        .map_or_else(ReadTiers::default, |field| tiers::read(field, &mut context));
    let exempt = map.optional("exempt", ReadExemptions::default(), |field| {
        exempt::read(field, &tiers, &mut context)
    });
    let none = ReadExemptions::default();
    let siblings = Siblings {
        policy: name.as_deref(),
        tiers: &tiers,
        exempt: exempt.as_ref().unwrap_or(&none),
    };
    let kinds = read_kinds(&map, &siblings, &mut context);
    if KINDS.iter().all(|key| map.get(key).is_none()) {
        document.error(Reason::EmptyLimit { keys: KINDS });
    }
    let replies = map.optional("replies", Replies::default(), replies::read);
    let keys_max = map.optional("store", KEYS_MAX_DEFAULT, read_store);
    let access_log = map
        .get("access_log")
        .and_then(|field| read_access_log(field, &mut context));
    map.deny_unknown();

    let tiers = all_tiers(tiers)?;
    let kinds = kinds?;
    let exempt = exempt?.selectors;
    let routes = context.routes.build();
    let mut policy = Policy {
        name: name?,
        callers: callers?,
        exempt: exempt.into(),
        limits: kinds.limits,
        pools: kinds.pools,
        seats: kinds.seats,
        payloads: kinds.payloads,
        index: SelectorIndex::default(),
        replies: replies?,
        keys_max: keys_max?,
        access_log,
        attributes: context.attributes,
        tier_by_route: tier_by_route(&tiers, routes.route_count()),
        tiers,
        routes,
    };
    policy.index = SelectorIndex::of(policy.selectors());
    Some(policy)
}

fn read_callers(map: &MapField<'_>, context: &mut Context) -> Option<Callers> {
    if let Some(field) = map.get("callers") {
        return callers::read(field, context);
    }
    context.attributes.close(Known::All { directory: false });
    Some(Callers::default())
}

/// The tiers, unless one of them has an error.
fn all_tiers(read: ReadTiers) -> Option<IdVec<TierId, Tier>> {
    let tiers: Option<Vec<Tier>> = Vec::from(read)
        .into_iter()
        .map(|read| Some(read?.tier))
        .collect();
    tiers.map(IdVec::from)
}

/// The limits of every kind.
struct Kinds {
    limits: IdVec<LimitId, Limit>,
    pools: IdVec<PoolId, PoolLimit>,
    seats: IdVec<SeatId, SeatLimit>,
    payloads: IdVec<PayloadId, Payload>,
}

fn read_kinds(map: &MapField<'_>, siblings: &Siblings<'_>, context: &mut Context) -> Option<Kinds> {
    let limits = map.optional("limits", Vec::new(), |field| {
        limits::read(field, siblings, context)
    });
    let pools = map.optional("concurrency", Vec::new(), |field| {
        pools::read(field, siblings, context)
    });
    let seats = map.optional("seats", Vec::new(), |field| {
        seats::read(field, siblings, context)
    });
    let payloads = map.optional("payloads", Vec::new(), |field| {
        payloads::read(field, siblings, context)
    });
    Some(Kinds {
        limits: limits?.into(),
        pools: pools?.into(),
        seats: seats?.into(),
        payloads: payloads?.into(),
    })
}

fn tier_by_route(tiers: &IdVec<TierId, Tier>, routes: usize) -> Vec<Option<TierId>> {
    let mut first = vec![None; routes];
    for (id, tier) in tiers.entries() {
        for route in &tier.routes {
            if let Some(place @ None) = first.get_mut(route.index()) {
                *place = Some(id);
            }
        }
    }
    first
}

fn read_store(field: Field<'_>) -> Option<u32> {
    let map = field.map("{ keys_max: 100000 }")?;
    let keys_max = map.optional("keys_max", KEYS_MAX_DEFAULT, |field| {
        field.count(1, KEYS_MAX_LIMIT)
    });
    map.deny_unknown();
    keys_max
}

fn read_access_log(field: Field<'_>, context: &mut Context) -> Option<Vec<AttributeId>> {
    let map = field.map("{ attributes: [org] }")?;
    let names = map.require("attributes").and_then(|field| {
        let nodes = field.list(attributes::ATTRIBUTES_MAX)?;
        Some(field.each_unique(nodes, |name| {
            context.attributes.resolve(&name, name.string()?)
        }))
    });
    map.deny_unknown();
    names
}
