//! Limits: which requests each counts, under which key, and how many it admits.

use super::Context;
use super::error::Reason;
use super::header;
use super::language::{self as lang, Either};
use super::overrides::{self, Overrides};
use super::reader::{Field, Items, MapField};
use super::rules;
use super::scope::{self, Scope, Siblings};
use crate::limit::{Enforcement, Rule};
use crate::payload::json::JsonPath;

/// One limit.
#[derive(Debug)]
pub struct Limit {
    /// The requests that it counts, and under which keys.
    pub scope: Scope,
    /// The rule.
    pub rule: Rule,
    /// The rule for some callers.
    pub overrides: Overrides<Rule>,
    /// Units that one request takes.
    pub cost: CostSource,
    /// Which requests pay.
    pub charge: ChargeWhen,
    /// Whether it refuses.
    pub enforcement: Enforcement,
    /// When callers see its numbers.
    pub visibility: Visibility,
}

/// When callers see a limit's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Whenever it applies.
    #[default]
    Show,
    /// When it refuses. The overage, if it counts that, is shown at all times.
    Hide,
}

/// The source of a request's cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// Always the same.
    Fixed(u64),
    /// A request header that no client can set; one unit if it is missing or not a number.
    Header(Box<str>),
    /// A response header; the same holds. The request is admitted while one unit is left.
    ResponseHeader(Box<str>),
    /// The bytes of its body as sent.
    Bytes,
    /// The lines of its body that are neither empty nor a comment.
    Lines,
    /// The items of the array at this place of its JSON; one unit if there is none.
    Items(JsonPath),
}

/// When an admitted request is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargeWhen {
    /// Always.
    #[default]
    Admitted,
    /// It is given back if the answer's status is 400 or above.
    Success,
}

/// The one request header whose value the proxy itself holds the client to.
pub(crate) const CONTENT_LENGTH: &str = "content-length";

/// Reads all limits; `None` if one of them has an error.
pub(super) fn read(
    list: &Items<'_, lang::Map<lang::Limit>>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<Limit>> {
    list.each(|_, map| read_limit(&map, siblings, context))
}

fn read_limit(
    map: &MapField<'_, lang::Limit>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Limit> {
    let keys = scope::Keys {
        name: map.open(lang::Limit::NAME),
        label: map.read(lang::Limit::LABEL),
        selector: map.read(lang::Limit::FOR),
        per: map.read(lang::Limit::PER),
    };
    let scope = scope::read(map.field(), keys, siblings, context);
    let absent = map.read(lang::Limit::ABSENT);
    let cost = map.read(lang::Limit::COST).and_then(read_cost);
    let least = cost.as_ref().map_or(0, CostSource::least);
    let rule = rules::read(map).filter(|rule| fits(&rule_field(map), rule, least));
    let overrides = map.read_with(lang::Limit::OVERRIDES, |_, list| {
        let base = overrides::Base {
            conditions: scope.conditions(),
            selector: map.field().at.key(lang::Limit::FOR.name).to_string(),
        };
        overrides::read(&list, context, |field, context| {
            let (callers, other) =
                rules::read_override(field, (map.only_one(), rule), &base, context);
            let other = other.filter(|other| fits(&field, other, least));
            callers.zip(other)
        })
    });
    let charge = map.read(lang::Limit::CHARGE);
    let enforcement = map.read(lang::Limit::ENFORCEMENT);
    let visibility = map.read(lang::Limit::FIELDS);
    let failure = map.read(lang::Limit::FAILURE);
    map.finish();
    let rule = rule?;
    let identity = rules::identity(&rule);
    let rest = (absent, failure);
    Some(Limit {
        scope: scope.build(&identity, rest, siblings, &context.attributes)?,
        rule,
        overrides: overrides?.unwrap_or_default(),
        cost: cost?,
        charge: charge?,
        enforcement: enforcement?,
        visibility: visibility?,
    })
}

/// Reports a rule that a request never fits because of its cost.
fn fits(field: &Field<'_>, rule: &Rule, cost: u64) -> bool {
    let fits = cost <= rule.quota();
    if !fits {
        field.error(Reason::CostAboveQuota {
            cost,
            quota: rule.quota(),
        });
    }
    fits
}

/// The place of the rule, for an error of the rule as a whole.
fn rule_field<'m>(map: &'m MapField<'_, lang::Limit>) -> Field<'m> {
    let found = map
        .value(lang::Limit::BUCKET)
        .or_else(|| map.value(lang::Limit::ROLLING))
        .or_else(|| map.value(lang::Limit::CALENDAR));
    found.unwrap_or(*map.field())
}

/// A number, or the source of one.
fn read_cost(cost: Either<u64, MapField<'_, lang::CostSource>>) -> Option<CostSource> {
    match cost {
        Either::One(units) => Some(CostSource::Fixed(units)),
        Either::Other(map) => {
            let source = map.only_one().and_then(|_| read_cost_source(&map));
            map.finish();
            source
        }
    }
}

/// Reads the one source that there is.
fn read_cost_source(map: &MapField<'_, lang::CostSource>) -> Option<CostSource> {
    let header = map.read_with(lang::CostSource::HEADER, |field, name| {
        let trusted = map.value(lang::CostSource::TRUSTED);
        if *name != *CONTENT_LENGTH || trusted.is_some() {
            header::read_trusted(&field, trusted.as_ref())?;
        }
        Some(name)
    });
    let response_header = map.read(lang::CostSource::RESPONSE_HEADER);
    let bytes = map.read(lang::CostSource::BYTES);
    let lines = map.read(lang::CostSource::LINES);
    let items = map.read(lang::CostSource::ITEMS);
    let of_request = |source: CostSource| {
        move |body| match body {
            lang::MeasuredBody::Request => source,
        }
    };
    header?
        .map(CostSource::Header)
        .or(response_header?.map(CostSource::ResponseHeader))
        .or(bytes?.map(of_request(CostSource::Bytes)))
        .or(lines?.map(of_request(CostSource::Lines)))
        .or(items?.map(CostSource::Items))
}

impl CostSource {
    /// The least that a request costs. If that does not fit, the limit refuses all requests.
    fn least(&self) -> u64 {
        match self {
            Self::Fixed(units) => *units,
            Self::Header(_)
            | Self::ResponseHeader(_)
            | Self::Bytes
            | Self::Lines
            | Self::Items(_) => 0,
        }
    }
}
