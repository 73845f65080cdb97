//! Limits: which requests each counts, under which key, and how many it admits.

use super::Context;
use super::document::Value;
use super::error::Reason;
use super::header;
use super::overrides::{self, Overrides};
use super::payloads;
use super::reader::{Field, MapField};
use super::rules;
use super::scope::{self, Kind, Scope, Siblings};
use crate::limit::{Enforcement, QUOTA_MAX, Rule};
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
    /// Who pays.
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

/// Where the cost of a request comes from.
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

pub(crate) const LIMITS_MAX: usize = 10_000;

/// The one request header whose value the proxy itself holds the client to.
pub(crate) const CONTENT_LENGTH: &str = "content-length";

/// Reads all limits; `None` if one of them has an error.
pub(super) fn read(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<Limit>> {
    field.every(LIMITS_MAX, |field| read_limit(field, siblings, context))
}

fn read_limit(field: Field<'_>, siblings: &Siblings<'_>, context: &mut Context) -> Option<Limit> {
    let map = field.map("{ name: all, per: [], bucket: { burst: 100, refill: 60/min } }")?;
    let mut scope = scope::read(&map, Kind::Limit, siblings, context);
    let cost = map.optional("cost", CostSource::Fixed(1), read_cost);
    let least = cost.as_ref().map_or(0, CostSource::least);
    let rule = rules::read(&map).filter(|rule| fits(&rule_field(&map), rule, least));
    let overrides = map.optional("overrides", Overrides::default(), |field| {
        let base = overrides::Base {
            conditions: scope.conditions(),
            selector: map.field().at.key("for").to_string(),
        };
        overrides::read(field, &base, context, |map| {
            rules::read_override(map, rule).filter(|rule| fits(map.field(), rule, least))
        })
    });
    let charge = map.optional("charge", ChargeWhen::default(), |field| {
        field.choice(
            "a way to charge",
            &[
                ("admitted", ChargeWhen::Admitted),
                ("success", ChargeWhen::Success),
            ],
        )
    });
    let enforcement = map.optional("enforcement", Enforcement::default(), |field| {
        field.choice(
            "an enforcement",
            &[
                ("enforce", Enforcement::Enforce),
                ("shadow", Enforcement::Shadow),
            ],
        )
    });
    let visibility = map.optional("fields", Visibility::default(), |field| {
        field.choice(
            "a visibility",
            &[("show", Visibility::Show), ("hide", Visibility::Hide)],
        )
    });
    scope.finish(&map);
    let rule = rule?;
    Some(Limit {
        scope: scope.build(&rules::identity(&rule), siblings, &context.attributes)?,
        rule,
        overrides: overrides?,
        cost: cost?,
        charge: charge?,
        enforcement: enforcement?,
        visibility: visibility?,
    })
}

/// Reports a rule that a request never fits because of its own cost.
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
fn rule_field<'m>(map: &'m MapField<'_>) -> Field<'m> {
    let found = ["bucket", "rolling", "calendar"]
        .into_iter()
        .find_map(|key| map.get(key));
    found.unwrap_or(*map.field())
}

/// The keys of a cost, of which there is exactly one.
pub(crate) const COST_SOURCES: &[&str] = &["header", "response_header", "bytes", "lines", "items"];

/// Reads a number, or the source of one.
fn read_cost(field: Field<'_>) -> Option<CostSource> {
    let Value::Map(_) = field.node.value else {
        return field.count(0, QUOTA_MAX).map(CostSource::Fixed);
    };
    let map = field.map("{ header: x-cost, trusted: true }")?;
    let given: Vec<_> = COST_SOURCES
        .iter()
        .filter_map(|key| Some((*key, map.get(key)?)))
        .collect();
    let trusted = map.get("trusted");
    let header = given
        .iter()
        .find(|(key, _)| *key == "header")
        .map(|(_, field)| field);
    header::only_beside_header(header, trusted.as_ref());
    let of_the_request = |field: &Field<'_>, source| {
        field
            .choice("a body that can be measured", &[("request", ())])
            .map(|()| source)
    };
    let cost = match given.as_slice() {
        [("header", field)] => read_cost_header(field, trusted.as_ref()).map(CostSource::Header),
        [("response_header", field)] => header::read_name(field).map(CostSource::ResponseHeader),
        [("bytes", field)] => of_the_request(field, CostSource::Bytes),
        [("lines", field)] => of_the_request(field, CostSource::Lines),
        [(_, field)] => payloads::read_path(*field).map(CostSource::Items),
        _ => {
            let given = given.iter().map(|(key, _)| *key).collect();
            map.field().refuse(Reason::NotOneSource {
                sources: COST_SOURCES,
                given,
            })
        }
    };
    map.deny_unknown();
    cost
}

fn read_cost_header(field: &Field<'_>, trusted: Option<&Field<'_>>) -> Option<Box<str>> {
    let name = header::read_name(field)?;
    if *name != *CONTENT_LENGTH || trusted.is_some() {
        header::read_trusted(field, trusted)?;
    }
    Some(name)
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
