//! The policy: how callers are identified, which limits apply to them, and which replies they get.
//!
//! ```text
//!   YAML, JSON, Struct ─▶ document::Node ─▶ reader: every value checked ─▶ Policy
//!                                             └─▶ all errors, each with its pointer and line
//! ```
//!
//! After [`Policy::compile`] nothing needs a check: names are resolved to numbers, routes are one
//! compiled table, the directory is sorted, and the limits are indexed by their selectors.

pub mod access_log;
pub mod attributes;
pub mod callers;
pub mod charges;
pub mod costs;
mod derived;
pub mod directory;
pub mod document;
pub mod engine;
pub mod error;
pub mod exempt;
pub(crate) mod header;
pub(crate) mod language;
pub mod limits;
pub mod media;
pub mod overrides;
pub mod packed;
pub mod payloads;
pub mod pools;
pub(crate) mod reader;
pub mod replies;
mod revision;
pub mod route;
pub mod rules;
pub mod scope;
mod scoped;
pub mod seats;
pub mod select;
pub mod selector_index;
mod selectors;
pub mod template;
pub mod tiers;
pub mod usage;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use attributes::{AttributeId, Attributes, Known};
use callers::Callers;
use directory::Table;
use document::Node;
use engine::Engine;
use error::PolicyError;
use exempt::ReadExemptions;
use language as lang;
use limits::Limit;
use payloads::Payload;
use pools::PoolLimit;
use reader::{Errors, Field, MapField};
use replies::{Replies, SharedTypes, Shown};
use route::{Matches, RouteTable, RouteTableBuilder};
use scope::Siblings;
use scoped::Scoped;
use seats::SeatLimit;
use select::Selector;
use selector_index::SelectorIndex;
pub use selectors::RefusedLimits;
use tiers::{ReadTiers, Tier};
use usage::Usage;

use crate::base::id::{
    CounterOwner, DenialId, ExemptionId, IdVec, LimitId, PayloadId, PerOwner, PoolId, SeatId,
    TierId,
};
use crate::base::invariant::invariant;
use crate::base::pointer::Pointer;
use crate::base::property::PropertySet;
use crate::limit::Enforcement;

/// A policy, checked whole.
#[derive(Debug)]
pub struct Policy {
    /// Names it in metrics and in the store: the counters of another name are others.
    pub name: Box<str>,
    /// Identifies the content of the policy.
    pub revision: Box<str>,
    /// All limits by name, each with a digest of what the document says of it.
    pub digests: Vec<(Box<str>, Box<str>)>,
    /// How callers are identified.
    pub callers: Callers,
    /// Classes of requests, first match wins.
    pub tiers: IdVec<TierId, Tier>,
    /// Requests to which no limit applies: those that one of these selects.
    pub exempt: IdVec<ExemptionId, Selector>,
    /// Requests that receive a 403: those that one of these selects.
    pub deny: IdVec<DenialId, Selector>,
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
    /// The limits on requests that are about to receive a 401; `None` without such a limit.
    pub refused: Option<RefusedLimits>,
    /// Whether anything of the policy refuses.
    pub enforcement: Enforcement,
    /// Fields and bodies of replies.
    pub replies: Replies,
    /// Live keys over all limits.
    pub keys_max: u32,
    /// The engine of the counters that all proxies share; `None` if no limit has such counters.
    pub engine: Option<Engine>,
    /// The caller's attributes for the access log; `None` if it is not wanted.
    pub access_log: Option<Vec<AttributeId>>,
    /// Which lines of it are also written in parts.
    pub log_parts: access_log::Parts,
    /// The export of usage; `None` if it is not wanted.
    pub usage: Option<Usage>,
    /// All attributes that a caller can have.
    pub attributes: Attributes,
    /// The properties to read for each request.
    pub properties: PropertySet,
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
    /// The directory, if the document does not list its entries.
    packed: Option<Table>,
}

impl Context {
    fn new(packed: Option<Table>) -> Self {
        Self {
            attributes: Attributes::default(),
            routes: RouteTable::builder(),
            names: HashMap::new(),
            multiplied: 0,
            packed,
        }
    }

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

impl Policy {
    /// Checks a document and compiles it.
    ///
    /// # Errors
    /// All errors, in the order of their lines; at least one.
    pub fn compile(document: &Node) -> Result<Self, Vec<PolicyError>> {
        Self::compile_packed(document, None)
    }

    /// As [`Policy::compile`], for a document with an empty directory whose entries are `packed`.
    pub fn compile_packed(
        document: &Node,
        packed: Option<Table>,
    ) -> Result<Self, Vec<PolicyError>> {
        let errors = Errors::default();
        let field = Field {
            node: document,
            at: Pointer::ROOT,
            errors: &errors,
        };
        let policy = read(field, packed);
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

    /// The results of `make` for each limit and seat limit, and its name; limits first.
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

    /// Whether bodies of requests may be inspected, for payload limits or for costs.
    #[must_use]
    pub fn inspects_bodies(&self) -> bool {
        let mut limits = self.limits.iter();
        !self.payloads.is_empty() || limits.any(|limit| limit.costs.measure_bodies())
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

/// Reads the whole document. Each part is read even if another has errors, and `?` is applied last.
fn read(document: Field<'_>, packed: Option<Table>) -> Option<Policy> {
    let map = document.map::<lang::Policy>()?;
    let mut context = Context::new(packed);
    map.read(lang::Policy::VERSION);
    let name = map.read(lang::Policy::NAME).map(Box::from);
    let revision = map.read(lang::Policy::REVISION);
    let callers = read_callers(&map, &mut context);
    let tiers = read_tiers(&map, &mut context);
    let exempt = read_exemptions(&map, &tiers, &mut context);
    let none = ReadExemptions::default();
    let siblings = Siblings {
        policy: name.as_deref(),
        tiers: &tiers,
        exempt: exempt.as_ref().unwrap_or(&none),
        has_engine: engine::is_stated(&map),
        types: SharedTypes::of(&map),
    };
    let deny = read_denials(&map, &siblings, &mut context);
    let scoped = scoped::read(&map, &siblings, &mut context);
    let enforcement = map.read(lang::Policy::ENFORCEMENT);
    let replies = read_replies(&map, scoped.as_ref(), &mut context);
    let store = map.read_with(lang::Policy::STORE, |_, map| engine::read_store(&map));
    let access_log = access_log::read(&map, &mut context);
    let usage = usage::read(&map, scoped.as_ref(), &mut context);
    map.finish();

    let tiers = tiers::complete(tiers)?;
    let scoped = scoped?;
    let (access_log, log_parts) = access_log?.unzip();
    let (keys_max, engine) = engine::used(store?, &scoped.limits);
    let routes = context.routes.build();
    let mut policy = Policy {
        digests: scoped.digests(&map),
        callers: callers?,
        exempt: exempt?.selectors.into(),
        deny: deny?.into(),
        properties: PropertySet::default(),
        limits: scoped.limits.into(),
        pools: scoped.pools.into(),
        seats: scoped.seats.into(),
        payloads: scoped.payloads.into(),
        index: SelectorIndex::default(),
        refused: None,
        enforcement: enforcement?,
        replies: replies?.unwrap_or_default(),
        keys_max,
        engine,
        access_log,
        log_parts: log_parts.unwrap_or_default(),
        usage: usage?,
        attributes: context.attributes,
        tier_by_route: tiers::by_route(&tiers, routes.route_count()),
        name: name?,
        revision: revision?.map_or_else(|| revision::of(document.node), Box::from),
        tiers,
        routes,
    };
    policy.derive();
    Some(policy)
}

fn read_tiers(map: &MapField<'_, lang::Policy>, context: &mut Context) -> ReadTiers {
    let tiers = map.read_with(lang::Policy::TIERS, |_, list| {
        Some(tiers::read(&list, context))
    });
    tiers.flatten().unwrap_or_default()
}

fn read_exemptions(
    map: &MapField<'_, lang::Policy>,
    tiers: &ReadTiers,
    context: &mut Context,
) -> Option<ReadExemptions> {
    let read = map.read_with(lang::Policy::EXEMPT, |_, list| {
        exempt::read(&list, tiers, context)
    });
    read.map(Option::unwrap_or_default)
}

/// Reads the replies; `scoped` is `None` if a limit has an error.
fn read_replies(
    map: &MapField<'_, lang::Policy>,
    scoped: Option<&Scoped>,
    context: &mut Context,
) -> Option<Option<Replies>> {
    let shown = Shown {
        limits: scoped.map(|scoped| &*scoped.limits),
        pools: scoped.map(|scoped| &*scoped.pools),
    };
    map.read_with(lang::Policy::REPLIES, |_, map| {
        replies::read(&map, &shown, context)
    })
}

/// Without `callers` every caller is anonymous, and has no attributes.
fn read_callers(map: &MapField<'_, lang::Policy>, context: &mut Context) -> Option<Callers> {
    let callers = map.read_with(lang::Policy::CALLERS, |_, map| callers::read(&map, context))?;
    Some(callers.unwrap_or_else(|| {
        context.attributes.close(Known::All { directory: false });
        Callers::default()
    }))
}

/// The denials; `None` if one has an error.
fn read_denials(
    map: &MapField<'_, lang::Policy>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<Selector>> {
    let read = map.read_with(lang::Policy::DENY, |_, list| {
        exempt::read_denials(&list, siblings.tiers, siblings.exempt, context)
    });
    read.map(Option::unwrap_or_default)
}
