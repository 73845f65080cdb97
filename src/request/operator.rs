//! The question of an operator about the counters of one caller, which the operator describes by
//! its attributes.
//!
//! ```text
//!   GET    /sluicegate/limits?org=acme&plan=        all limits that follow from these values
//!   GET    /sluicegate/limits/standard?org=acme     one of them
//!   DELETE /sluicegate/limits/standard?org=acme     begins its counter anew
//! ```
//!
//! An empty value says that the caller has no such attribute. A limit that depends on a value of
//! which nothing is said has no answer, so that no answer is a guess.

use std::borrow::Cow;

use super::applicable::satisfies;
use super::credential::form_decode;
use super::head::Request;
use super::identify::{Caller, Value};
use crate::base::id::{CounterOwner, PoolId};
use crate::host::metadata;
use crate::host::stream::Dialect;
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::policy::scope::{Absent, KeyPart, Scope};

/// The path of all questions.
pub const PATH: &str = "/sluicegate/limits";

/// The place in the metadata of a route that says whom it is for.
const ROLE: [&str; 2] = ["sluicegate", "role"];

/// Whom a route for operators is for.
const OPERATOR: &[u8] = b"operator";

/// Whether the path of a request may be that of an operator's question.
#[must_use]
pub fn may_ask(request: &Request) -> bool {
    path(request).is_some()
}

/// Whether this metadata is that of a route for operators.
#[must_use]
pub fn is_operators(route_metadata: &[u8]) -> bool {
    metadata::in_metadata(route_metadata, &ROLE) == Some(metadata::Value::Text(OPERATOR))
}

/// The rest of the path after [`PATH`], without the query; `None` if it is another path.
fn path(request: &Request) -> Option<&[u8]> {
    let target = request
        .headers
        .first(":path")?
        .strip_prefix(PATH.as_bytes())?;
    let rest = target.split(|byte| matches!(byte, b'?' | b'#')).next()?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

/// A counter, or the slots of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A limit or a seat limit.
    Counter(CounterOwner),
    /// A concurrency limit.
    Pool(PoolId),
}

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The numbers of one limit, or of all.
    Numbers(Option<Owner>),
    /// A new beginning for one counter.
    Reset(CounterOwner),
}

/// A question that has no answer: a closed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// It has another method, or is a gRPC call.
    Method,
    /// A reset names no limit.
    NoLimit,
    /// The policy has no limit of this name with counters.
    UnknownLimit(String),
    /// Slots belong to requests in flight.
    Pool,
    /// Other proxies hold units of the counter.
    Shared,
    /// The policy has no attribute or key of this name.
    UnknownName(String),
    /// The name occurs twice.
    Repeated(String),
    /// The limit depends on these values, of which the question says nothing.
    Missing(Vec<String>),
    /// The values are not those of a caller to which the limit applies.
    DoesNotApply,
    /// The counter cannot be had.
    Fault,
}

/// The values of a caller, as an operator states them.
#[derive(Debug)]
pub struct Stated<'q> {
    values: Vec<StatedValue<'q>>,
}

/// A name, and its value; `None` if the caller has none.
type StatedValue<'q> = (Cow<'q, [u8]>, Option<Cow<'q, [u8]>>);

/// Reads a question.
///
/// # Errors
/// [`Misuse`] if it has no answer.
pub fn read<'q>(request: &'q Request, policy: &Policy) -> Result<(Wanted, Stated<'q>), Misuse> {
    if request.dialect() != Dialect::Http {
        return Err(Misuse::Method);
    }
    let name = path(request).unwrap_or_default();
    let name = name.strip_prefix(b"/").unwrap_or_default();
    let owner = if name.is_empty() {
        None
    } else {
        let decoded = form_decode(name);
        let unknown = || Misuse::UnknownLimit(String::from_utf8_lossy(&decoded).into_owned());
        let is_it = |scope: &Scope| scope.name.as_bytes() == &*decoded;
        let found = owners(policy).find(|owner| owner.scope(policy).is_some_and(is_it));
        Some(found.ok_or_else(unknown)?)
    };
    let wanted = match request.headers.first(":method").unwrap_or_default() {
        b"GET" | b"HEAD" => Wanted::Numbers(owner),
        b"DELETE" => match owner {
            None => return Err(Misuse::NoLimit),
            Some(Owner::Pool(_)) => return Err(Misuse::Pool),
            Some(Owner::Counter(owner)) => {
                // They would admit these in addition to a full quota.
                if policy
                    .limit(owner)
                    .is_some_and(|limit| limit.shared.is_some())
                {
                    return Err(Misuse::Shared);
                }
                Wanted::Reset(owner)
            }
        },
        _ => return Err(Misuse::Method),
    };
    Ok((wanted, Stated::read(request.query(), policy)?))
}

/// All limits, seat limits and pools.
pub fn owners(policy: &Policy) -> impl Iterator<Item = Owner> + use<> {
    let limits = policy.limits.ids().map(CounterOwner::Limit);
    let seats = policy.seats.ids().map(CounterOwner::Seats);
    let counters = limits.chain(seats).map(Owner::Counter);
    counters.chain(policy.pools.ids().map(Owner::Pool))
}

/// The scopes of all of them.
pub fn scopes(policy: &Policy) -> impl Iterator<Item = &Scope> {
    owners(policy).filter_map(|owner| owner.scope(policy))
}

impl Owner {
    /// Its scope, in its policy.
    #[must_use]
    pub fn scope(self, policy: &Policy) -> Option<&Scope> {
        match self {
            Self::Counter(CounterOwner::Limit(id)) => Some(&policy.limits.get(id)?.scope),
            Self::Counter(CounterOwner::Seats(id)) => Some(&policy.seats.get(id)?.scope),
            Self::Pool(id) => Some(&policy.pools.get(id)?.scope),
        }
    }

    /// The attributes on which its numbers depend, besides those of its scope.
    fn numbers_by(self, policy: &Policy) -> Option<Vec<AttributeId>> {
        Some(match self {
            Self::Counter(CounterOwner::Limit(id)) => {
                let limit = policy.limits.get(id)?;
                let selecting = limit.overrides.attributes();
                selecting.chain(limit.number_attributes()).collect()
            }
            Self::Counter(CounterOwner::Seats(id)) => {
                policy.seats.get(id)?.overrides.attributes().collect()
            }
            Self::Pool(id) => policy.pools.get(id)?.overrides.attributes().collect(),
        })
    }
}

impl<'q> Stated<'q> {
    fn read(query: &'q [u8], policy: &Policy) -> Result<Self, Misuse> {
        let mut values: Vec<StatedValue<'q>> = Vec::new();
        for pair in query
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = form_decode(parts.next().unwrap_or_default());
            let value = form_decode(parts.next().unwrap_or_default());
            let text = || String::from_utf8_lossy(&name).into_owned();
            if !names(policy).any(|known| known.as_bytes() == &*name) {
                return Err(Misuse::UnknownName(text()));
            }
            if values.iter().any(|(known, _)| *known == name) {
                return Err(Misuse::Repeated(text()));
            }
            values.push((name, Some(value).filter(|value| !value.is_empty())));
        }
        Ok(Self { values })
    }

    /// What is said of this name; `None` if nothing is.
    fn said(&self, name: &str) -> Option<Option<&[u8]>> {
        let mut values = self.values.iter();
        let found = values.find(|(known, _)| &**known == name.as_bytes());
        found.map(|(_, value)| value.as_deref())
    }

    /// The value of a part of a key; `None` if the caller has none.
    #[must_use]
    pub fn part(&self, part: &KeyPart, policy: &Policy) -> Option<&[u8]> {
        self.said(part.name(&policy.attributes)).flatten()
    }

    /// The caller with these values.
    #[must_use]
    pub fn caller(&self, policy: &Policy) -> Caller<'_> {
        let mut caller = Caller::unknown(policy);
        for attribute in policy.attributes.iter() {
            let value = self.said(policy.attributes.name(attribute)).flatten();
            caller.set(
                attribute,
                value.map(|value| Value::Text(Cow::Borrowed(value))),
            );
        }
        caller
    }

    /// All that is said: the names, each with its value.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let values = self.values.iter();
        values.map(|(name, value)| (&**name, value.as_deref()))
    }

    /// The names that a limit depends on and of which nothing is said.
    #[must_use]
    pub fn missing<'p>(&self, owner: Owner, policy: &'p Policy) -> Vec<&'p str> {
        let Some((scope, more)) = owner.scope(policy).zip(owner.numbers_by(policy)) else {
            return Vec::new();
        };
        let parts = scope.per.iter().map(|part| part.name(&policy.attributes));
        let conditions = scope
            .selector
            .attributes
            .iter()
            .map(|(attribute, _)| *attribute);
        let attributes = conditions.chain(more);
        let attributes = attributes.map(|attribute| policy.attributes.name(attribute));
        let mut missing = Vec::new();
        for name in parts.chain(attributes) {
            if self.said(name).is_none() && !missing.contains(&name) {
                missing.push(name);
            }
        }
        missing
    }

    /// Whether a limit applies to the caller on some path.
    #[must_use]
    pub fn may_apply(&self, scope: &Scope, caller: &Caller<'_>, policy: &Policy) -> bool {
        let mut conditions = scope.selector.attributes.iter();
        let mut parts = scope.per.iter();
        conditions.all(|condition| satisfies(caller, condition))
            && (scope.absent == Absent::Count
                || parts.all(|part| self.part(part, policy).is_some()))
    }
}

/// All names of which a question may say something: of attributes, and of parts of keys.
pub fn names(policy: &Policy) -> impl Iterator<Item = &str> {
    let attributes = policy.attributes.iter();
    let attributes = attributes.map(|attribute| policy.attributes.name(attribute));
    let parts = scopes(policy).flat_map(|scope| &scope.per);
    attributes.chain(parts.map(|part| part.name(&policy.attributes)))
}
