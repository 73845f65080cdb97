//! The export of usage: which limits are counted by caller, under which names, and where that goes.

use std::collections::BTreeMap;

use super::Context;
use super::attributes::{AttributeId, PRESENTED};
use super::error::{Reason, UsageRule};
use super::language as lang;
use super::limits::Limit;
use super::reader::{Field, MapField};
use super::scoped::Scoped;
use crate::base::id::{Id as _, LimitId};
use crate::base::time::Span;

/// The export of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The time between two exports.
    pub every: Span,
    /// The most series at a time.
    pub series_max: u32,
    /// Its receiver.
    pub to: Target,
    /// The metrics; `None` for the usual one of all limits, of which what would be refused is a
    /// status of its own.
    pub metrics: Option<Vec<Metric>>,
    /// The tags and their attributes, in the order of their names.
    pub tags: Vec<(Box<str>, AttributeId)>,
}

/// The receiver of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an OpenTelemetry collector.
    Otlp {
        /// Envoy's cluster.
        cluster: Box<str>,
        /// How it is spoken to.
        protocol: Protocol,
    },
    /// Into Envoy's own counters.
    Stats,
    /// To a receiver of CloudEvents.
    CloudEvents {
        /// Envoy's cluster.
        cluster: Box<str>,
    },
}

/// A protocol of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/HTTP with protobuf.
    #[default]
    Http,
    /// OTLP/gRPC.
    Grpc,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: Box<str>,
    /// The limits that it counts.
    pub limits: Vec<LimitId>,
}

/// The metric of a policy that names none.
pub const METRIC_USUAL: &str = "sluicegate.usage.requests";

/// The cluster of a policy that names none.
pub const CLUSTER_USUAL: &str = "otel-collector";

/// The suffix of the name of a metric's gauge.
pub const RATIO: &str = "_ratio";

/// The longest time between two exports.
pub(super) const EVERY_MAX: Span = Span::from_seconds(300);

const EVERY_USUAL: Span = Span::from_seconds(10);

/// The largest `series_max`.
pub(super) const SERIES_MAX: u32 = 10_000;

pub(super) const SERIES_MAX_USUAL: u32 = 2_000;

/// The most tags of a policy.
pub(crate) const TAGS_MAX: usize = 16;

/// The most bytes of a metric's name.
pub(super) const METRIC_BYTES_MAX: usize = 128;

/// The most bytes of a tag's name.
pub(super) const TAG_BYTES_MAX: usize = 64;

/// The tags of every series, and the one of Envoy's counters.
pub(crate) const TAGS_OWN: [&str; 7] = [
    "policy",
    "limit_name",
    "limit_count",
    "limit_period",
    "rate_limit_status",
    "otel.metric.overflow",
    "otel_metric_overflow",
];

impl Usage {
    /// The names of the metrics of this limit.
    pub fn metrics_of(&self, limit: LimitId) -> impl Iterator<Item = &str> {
        let own = self.metrics.iter().flatten();
        let own = own.filter(move |metric| metric.limits.contains(&limit));
        let usual = self.metrics.is_none().then_some(METRIC_USUAL);
        own.map(|metric| &*metric.name).chain(usual)
    }
}

/// Whether `text` may name a metric.
pub(super) fn is_metric(text: &str) -> bool {
    text.len() <= METRIC_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte))
}

/// Whether `text` may name a tag.
fn is_tag(text: &str) -> bool {
    text.len() <= TAG_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Reads `usage`; `scoped` is `None` if a limit has an error.
pub(super) fn read(
    map: &MapField<'_, lang::Policy>,
    scoped: Option<&Scoped>,
    context: &mut Context,
) -> Option<Option<Usage>> {
    let limits = scoped.map(|scoped| &*scoped.limits);
    map.read_with(lang::Policy::USAGE, |_, map| {
        read_map(&map, limits, context)
    })
}

fn read_map(
    map: &MapField<'_, lang::Usage>,
    limits: Option<&[Limit]>,
    context: &mut Context,
) -> Option<Usage> {
    let every = map.read(lang::Usage::EVERY);
    let series_max = map.read(lang::Usage::SERIES_MAX);
    let to = map.read_with(lang::Usage::TO, |_, map| read_target(&map));
    let metrics = map.read_with(lang::Usage::METRICS, |_, list| {
        let mut names = BTreeMap::new();
        list.each(|_, map| read_metric(&map, limits, &mut names))
    });
    let tags = map.read_with(lang::Usage::TAGS, |_, map| read_tags(&map, context));
    map.finish();
    Some(Usage {
        every: every?.unwrap_or(EVERY_USUAL),
        series_max: series_max?,
        to: to?.unwrap_or_else(|| Target::Otlp {
            cluster: CLUSTER_USUAL.into(),
            protocol: Protocol::Http,
        }),
        metrics: metrics?,
        tags: tags?.unwrap_or_default(),
    })
}

fn read_target(map: &MapField<'_, lang::UsageTarget>) -> Option<Target> {
    let otlp = map.read(lang::UsageTarget::OTLP);
    let protocol = map.read(lang::UsageTarget::PROTOCOL);
    let stats = map.read_with(lang::UsageTarget::STATS, |field, _| {
        field.boolean().filter(|is_true| {
            if !is_true {
                field.error(Reason::NotTrue);
            }
            *is_true
        })
    });
    let cloudevents = map.read(lang::UsageTarget::CLOUDEVENTS);
    map.finish();
    let (otlp, protocol, stats) = (otlp?, protocol?, stats?);
    match (otlp, stats, cloudevents?) {
        (Some(cluster), None, None) => Some(Target::Otlp {
            cluster: cluster.into(),
            protocol,
        }),
        (None, Some(_), None) => Some(Target::Stats),
        (None, None, Some(cluster)) => Some(Target::CloudEvents {
            cluster: cluster.into(),
        }),
        // The constraint of the mapping reports it.
        _ => None,
    }
}

/// Reads a metric; `names` has those before it, and the names of their ratios.
fn read_metric(
    map: &MapField<'_, lang::UsageMetric>,
    limits: Option<&[Limit]>,
    names: &mut BTreeMap<String, String>,
) -> Option<Metric> {
    let name = map.read_with(lang::UsageMetric::NAME, |field, name| {
        take_name(&field, name, names)
    });
    let limits = map.read_with(lang::UsageMetric::LIMITS, |_, list| {
        list.each(|field, name| find(&field, name, limits))
    });
    map.finish();
    Some(Metric {
        name: name?.into(),
        limits: limits?,
    })
}

fn take_name<'n>(
    field: &Field<'_>,
    name: &'n str,
    names: &mut BTreeMap<String, String>,
) -> Option<&'n str> {
    if let Some(first) = names.get(name).cloned() {
        let value = Some(name.to_owned());
        return field.refuse(Reason::Duplicate { value, first });
    }
    let ratio = format!("{name}{RATIO}");
    let of_another = name
        .strip_suffix(RATIO)
        .is_some_and(|name| names.contains_key(name));
    if of_another || names.contains_key(&ratio) {
        return field.refuse(Reason::Usage(UsageRule::Ratio(name.to_owned())));
    }
    names.insert(name.to_owned(), field.at.to_string());
    Some(name)
}

/// The limit of this name. If some limits have errors, an unknown name may be that of one of them.
fn find(field: &Field<'_>, name: &str, limits: Option<&[Limit]>) -> Option<LimitId> {
    let names = limits?.iter().map(|limit| &*limit.scope.name);
    let Some(index) = names.clone().position(|known| known == name) else {
        let choices = names.map(str::to_owned).collect();
        return field.refuse(Reason::not_one_of(name, choices, "a limit"));
    };
    u16::try_from(index).ok().map(LimitId::new)
}

fn read_tags(
    map: &MapField<'_, lang::UsageTags>,
    context: &mut Context,
) -> Option<Vec<(Box<str>, AttributeId)>> {
    // A Struct has no order of keys: the same error has the same words in every form.
    let mut entries: Vec<_> = map.rest().collect();
    entries.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    let count = entries.len();
    let mut tags = Vec::with_capacity(count);
    for (entry, field) in entries {
        let attribute = field.string().and_then(|name| {
            if name == PRESENTED {
                return context.attributes.resolve_presented(&field);
            }
            context.attributes.resolve(&field, name)
        });
        let name = tag_name(&field, &entry.key);
        tags.extend(name.zip(attribute));
    }
    if count > TAGS_MAX {
        let max = TAGS_MAX;
        map.field().error(Reason::TooMany { count, max });
    }
    map.finish();
    (tags.len() == count && count <= TAGS_MAX).then_some(tags)
}

fn tag_name(field: &Field<'_>, name: &str) -> Option<Box<str>> {
    if TAGS_OWN.contains(&name) {
        return field.refuse(Reason::Usage(UsageRule::OwnTag(name.to_owned())));
    }
    if !is_tag(name) {
        return field.refuse(Reason::Usage(UsageRule::Tag(name.to_owned())));
    }
    Some(name.into())
}
