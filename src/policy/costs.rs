//! The units that a request takes, and when they are known.

use std::collections::BTreeSet;

use super::Context;
use super::error::Reason;
use super::header;
use super::language::{self as lang, Either};
use super::reader::{MapField, UniqueItems};
use super::route::{Matches, Route, RouteId};
use super::select::read_routes;
use crate::payload::json::JsonPath;

/// The source of the cost of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// Always the same.
    Fixed(u64),
    /// A request header that no client can set; one unit if it is missing or not a number.
    Header(Box<str>),
    /// Units are reserved when the request is admitted. Once the body or the response states the
    /// cost, the difference is charged or refunded.
    Settled {
        /// The units to reserve.
        reserve: Reservation,
        /// The source that states the cost.
        by: Settlement,
    },
}

/// The units that a request reserves until its cost is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Always the same.
    Fixed(u64),
    /// Stated by the request.
    Header {
        /// A request header that no client can set.
        name: Box<str>,
        /// The units if the header is missing, or is not a whole number from 1 up.
        otherwise: u64,
        /// The most units: a larger number is cut.
        at_most: u64,
    },
}

/// A source that states a cost after the request was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// A response header. Without a number in it, the reservation is the cost.
    ResponseHeader(Box<str>),
    /// The bytes of the request body as sent.
    Bytes,
    /// The lines of the request body that are neither empty nor a comment.
    Lines,
    /// The items of the array at this place of its JSON; one unit if there is none.
    Items(JsonPath),
}

/// The one request header whose value the proxy itself enforces.
pub(crate) const CONTENT_LENGTH: &str = "content-length";

impl CostSource {
    /// The least that a request without any header costs. If that does not fit, the limit refuses
    /// nearly all requests.
    pub(super) fn least(&self) -> u64 {
        match self {
            Self::Fixed(units)
            | Self::Settled {
                reserve:
                    Reservation::Fixed(units)
                    | Reservation::Header {
                        otherwise: units, ..
                    },
                ..
            } => *units,
            Self::Header(_) => 0,
        }
    }

    /// The source that states the cost after the request was admitted, if there is one.
    #[must_use]
    pub const fn settlement(&self) -> Option<&Settlement> {
        match self {
            Self::Settled { by, .. } => Some(by),
            Self::Fixed(_) | Self::Header(_) => None,
        }
    }
}

/// The costs of a limit's requests.
#[derive(Debug)]
pub struct Costs(Vec<Cost>);

/// One of several costs.
#[derive(Debug)]
struct Cost {
    /// One of these routes matches; `None` is any.
    routes: Option<Vec<RouteId>>,
    units: CostSource,
}

impl Costs {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &CostSource> {
        self.0.iter().map(|cost| &cost.units)
    }

    /// The cost with this number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&CostSource> {
        self.0.get(number).map(|cost| &cost.units)
    }

    /// Whether the cost depends on the route.
    #[must_use]
    pub const fn depends_on_route(&self) -> bool {
        self.0.len() > 1
    }

    /// The number and the cost of a request that these routes match.
    #[must_use]
    pub fn of(&self, matches: &Matches) -> Option<(usize, &CostSource)> {
        let applies = |cost: &Cost| {
            let routes = cost.routes.as_ref();
            routes.is_none_or(|routes| routes.iter().any(|id| matches.contains(*id)))
        };
        let number = self.0.iter().position(applies)?;
        Some((number, self.get(number)?))
    }

    /// The greatest cost of a request without any header, over all routes.
    pub(super) fn least(&self) -> u64 {
        self.all().map(CostSource::least).max().unwrap_or(0)
    }

    /// Whether a cost is measured from the body.
    #[must_use]
    pub fn measure_bodies(&self) -> bool {
        self.all().any(|cost| match cost.settlement() {
            Some(Settlement::Bytes | Settlement::Lines | Settlement::Items(_)) => true,
            Some(Settlement::ResponseHeader(_)) | None => false,
        })
    }

    /// Whether a cost is known only after the request was admitted.
    #[must_use]
    pub fn are_settled(&self) -> bool {
        self.all().any(|cost| cost.settlement().is_some())
    }
}

type Written<'m> = Either<
    Either<u64, MapField<'m, lang::CostSource>>,
    UniqueItems<'m, lang::Map<lang::CostEntry>>,
>;

/// One cost, or several with their routes.
pub(super) fn read(cost: Written<'_>, context: &mut Context) -> Option<Costs> {
    let list = match cost {
        Either::One(cost) => {
            let units = read_units(cost)?;
            return Some(Costs(vec![Cost {
                routes: None,
                units,
            }]));
        }
        Either::Other(list) => list.0,
    };
    let mut earlier: Vec<(Route, String)> = Vec::new();
    let mut all: Option<String> = None;
    let mut costs = list.each(|field, map| {
        let routes = map.read_with(lang::CostEntry::ROUTES, |_, list| {
            read_routes(&list, &mut context.routes)
        });
        let units = map.read(lang::CostEntry::UNITS).and_then(read_units);
        map.finish();
        let at = field.at.to_string();
        if let Some(by) = &all {
            field.error(Reason::NeverReached { by: by.clone() });
        }
        let Some(routes) = routes? else {
            all.get_or_insert(at);
            return Some(Cost {
                routes: None,
                units: units?,
            });
        };
        let (routes, ids): (Vec<Route>, Vec<RouteId>) = routes.into_iter().unzip();
        let taken = |route: &Route| {
            let by = earlier.iter().find(|(first, _)| first.covers(route));
            by.map(|(_, at)| at.clone())
        };
        let by: Option<BTreeSet<String>> = routes.iter().map(taken).collect();
        if let Some(by) = by {
            let by = by.into_iter().collect::<Vec<_>>().join(", ");
            field.error(Reason::NeverReached { by });
        }
        earlier.extend(routes.into_iter().map(|route| (route, at.clone())));
        Some(Cost {
            routes: Some(ids),
            units: units?,
        })
    })?;
    if all.is_none() {
        costs.push(Cost {
            routes: None,
            units: CostSource::Fixed(1),
        });
    }
    Some(Costs(costs))
}

/// A number, or the source of one.
fn read_units(cost: Either<u64, MapField<'_, lang::CostSource>>) -> Option<CostSource> {
    match cost {
        Either::One(units) => Some(CostSource::Fixed(units)),
        Either::Other(map) => {
            let source = map.only_one().and_then(|_| read_source(&map));
            map.finish();
            source
        }
    }
}

/// Reads the one source that there is.
fn read_source(map: &MapField<'_, lang::CostSource>) -> Option<CostSource> {
    let header = map.read_with(lang::CostSource::HEADER, |field, name| {
        let trusted = map.value(lang::CostSource::TRUSTED);
        if *name != *CONTENT_LENGTH || trusted.is_some() {
            header::read_trusted(&field, trusted.as_ref())?;
        }
        Some(name)
    });
    let reserve = map.read_with(lang::CostSource::RESERVE, |_, units| read_reserve(units));
    let settle = map.read_with(lang::CostSource::SETTLE, |_, map| read_settlement(&map));
    let response_header = map.read(lang::CostSource::RESPONSE_HEADER);
    let bytes = map.read(lang::CostSource::BYTES);
    let lines = map.read(lang::CostSource::LINES);
    let items = map.read(lang::CostSource::ITEMS);
    let alone = settlement(response_header?, bytes?, lines?, items?);
    let by = alone.or(settle?);
    let reserve = reserve?.unwrap_or(Reservation::Fixed(1));
    header?
        .map(CostSource::Header)
        .or(by.map(|by| CostSource::Settled { reserve, by }))
}

fn read_reserve(units: Either<u64, MapField<'_, lang::ReserveSource>>) -> Option<Reservation> {
    match units {
        Either::One(units) => Some(Reservation::Fixed(units)),
        Either::Other(map) => {
            let name = map.read_with(lang::ReserveSource::HEADER, |field, name| {
                header::read_trusted(&field, map.value(lang::ReserveSource::TRUSTED).as_ref())?;
                Some(name)
            });
            map.read(lang::ReserveSource::TRUSTED);
            let otherwise = map.read(lang::ReserveSource::ELSE);
            let at_most = map.read(lang::ReserveSource::AT_MOST);
            map.finish();
            let (otherwise, at_most) = (otherwise?, at_most?);
            if let Some(field) = map.value(lang::ReserveSource::ELSE)
                && otherwise > at_most
            {
                return field.refuse(Reason::OutOfRange {
                    value: otherwise.to_string(),
                    min: 1,
                    max: at_most,
                });
            }
            Some(Reservation::Header {
                name: name?,
                otherwise,
                at_most,
            })
        }
    }
}

fn read_settlement(map: &MapField<'_, lang::Settle>) -> Option<Settlement> {
    let response_header = map.read(lang::Settle::RESPONSE_HEADER);
    let bytes = map.read(lang::Settle::BYTES);
    let lines = map.read(lang::Settle::LINES);
    let items = map.read(lang::Settle::ITEMS);
    map.finish();
    map.only_one()?;
    settlement(response_header?, bytes?, lines?, items?)
}

/// The one of these that there is.
fn settlement(
    response_header: Option<Box<str>>,
    bytes: Option<lang::MeasuredBody>,
    lines: Option<lang::MeasuredBody>,
    items: Option<JsonPath>,
) -> Option<Settlement> {
    let response_header = response_header.map(Settlement::ResponseHeader);
    let bytes = bytes.map(|lang::MeasuredBody::Request| Settlement::Bytes);
    let lines = lines.map(|lang::MeasuredBody::Request| Settlement::Lines);
    response_header
        .or(bytes)
        .or(lines)
        .or(items.map(Settlement::Items))
}
