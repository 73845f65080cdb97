//! Limits: which requests each counts, under which key, and how many it admits.

use super::Context;
use super::attributes::AttributeId;
use super::charges::{ChargeWhen, StatusSet};
use super::costs::{self, Costs};
use super::engine::{self, Shared};
use super::error::{Reason, RefusedRule};
use super::language::{self as lang, Either};
use super::overrides::{self, Override, Overrides};
use super::reader::{Field, Items, MapField, UniqueItems};
use super::replies::{Reply, read_own};
use super::rules::{self, CallerRule};
use super::scope::{self, Scope, Siblings};
use crate::limit::lock::Lock;
use crate::limit::{Enforcement, Rule};

/// One limit.
#[derive(Debug)]
pub struct Limit {
    /// The requests that it counts, and under which keys.
    pub scope: Scope,
    /// Set if all proxies share its counters.
    pub shared: Option<Shared>,
    /// The rule.
    pub rule: CallerRule,
    /// The rules that apply to some callers instead.
    pub overrides: Overrides<Override<CallerRule>>,
    /// Whether it does not apply to some callers, by an override.
    pub has_unlimited: bool,
    /// The lock that a refusal begins.
    pub lock: Option<Lock>,
    /// Units that one request takes.
    pub costs: Costs,
    /// The requests that are charged.
    pub charge: ChargeWhen,
    /// Whether it refuses.
    pub enforcement: Enforcement,
    /// When callers see its numbers.
    pub visibility: Visibility,
    /// Its answer to a request that it refuses, as far as that is its own.
    pub refused: Option<Box<Reply>>,
}

impl Limit {
    /// All rules of the limit, those of callers with the largest number of their own.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        let others = self.overrides.all().iter().filter_map(Override::other);
        std::iter::once(&self.rule)
            .chain(others)
            .map(CallerRule::largest)
    }

    /// The attributes that have callers' own numbers.
    pub fn number_attributes(&self) -> impl Iterator<Item = AttributeId> {
        let others = self.overrides.all().iter().filter_map(Override::other);
        let rules = std::iter::once(&self.rule).chain(others);
        rules.filter_map(|rule| Some(rule.own?.attribute))
    }
}

/// When callers see a limit's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Whenever it applies.
    #[default]
    Show,
    /// When it refuses. The overage, if it counts that, is shown at all times.
    Hide,
    /// Never, and no answer names it.
    Never,
}

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
        allows_refused: true,
        per: map.read(lang::Limit::PER),
    };
    let scope = scope::read(map.field(), keys, siblings, context);
    if scope.is_for_refused() {
        let others = [map.value(lang::Limit::COST), map.value(lang::Limit::CHARGE)];
        for field in others.into_iter().flatten() {
            field.error(Reason::Refused(RefusedRule::Key));
        }
    }
    let absent = map.read(lang::Limit::ABSENT);
    let costs = map
        .read(lang::Limit::COST)
        .and_then(|cost| costs::read(cost, context));
    let least = costs.as_ref().map_or(0, Costs::least);
    let (rule, lock) = rules::read(map, context);
    let rule = rule.filter(|rule| fits(&rule_field(map), &rule.rule, least));
    let overrides = map.read_with(lang::Limit::OVERRIDES, |_, list| {
        let base = overrides::Base {
            conditions: scope.conditions(),
            selector: map.field().at.key(lang::Limit::FOR.name).to_string(),
        };
        overrides::read(&list, context, |field, context| {
            let (callers, other) =
                rules::read_override(field, (map.only_one(), rule), &base, context);
            let fits = |rule: &CallerRule| fits(&field, &rule.rule, least);
            let other = other.filter(|other| other.other().is_none_or(fits));
            callers.zip(other)
        })
    });
    let charge = map.read(lang::Limit::CHARGE).and_then(read_charge);
    let enforcement = map.read(lang::Limit::ENFORCEMENT);
    let visibility = map.read(lang::Limit::FIELDS);
    let refused = map.read_with(lang::Limit::REFUSED, |_, map| {
        read_own(&map, siblings.types, &mut context.attributes)
    });
    let sharing = engine::read_shared(map, siblings.has_engine);
    map.finish();
    let rule = rule?;
    let identity = rules::identity(&rule.rule);
    let overrides = overrides?.unwrap_or_default();
    let rest = (absent, sharing.map(|(_, failure)| failure));
    Some(Limit {
        scope: scope.build(&identity, rest, siblings, &context.attributes)?,
        shared: sharing?.0,
        rule,
        has_unlimited: overrides.all().contains(&Override::Unlimited),
        overrides,
        lock: lock?,
        costs: costs?,
        charge: charge?,
        enforcement: enforcement?,
        visibility: visibility?,
        refused: refused?,
    })
}

fn read_charge(
    charge: Either<lang::Charge, UniqueItems<'_, lang::Statuses>>,
) -> Option<ChargeWhen> {
    Some(match charge {
        Either::One(lang::Charge::Admitted) => ChargeWhen::Admitted,
        Either::One(lang::Charge::Success) => ChargeWhen::Success,
        Either::One(lang::Charge::Failure) => ChargeWhen::Failure,
        Either::Other(statuses) => {
            let ranges = statuses.each(|_, range| Some(range))?;
            ChargeWhen::Statuses(StatusSet::new(ranges))
        }
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
fn rule_field<'m>(map: &'m MapField<'_, lang::Limit>) -> Field<'m> {
    let found = map
        .value(lang::Limit::BUCKET)
        .or_else(|| map.value(lang::Limit::ROLLING))
        .or_else(|| map.value(lang::Limit::CALENDAR));
    found.unwrap_or(*map.field())
}
