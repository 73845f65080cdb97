//! Payload limits: how large a body may be, as sent and decoded, and what shape its JSON may have.

mod json;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) use json::read_path;

use super::Context;
use super::error::Reason;
use super::media::{MediaRange, MediaType};
use super::overrides::{self, Overrides};
use super::reader::{Field, MapField};
use super::route::Route;
use super::scope::{self, Kind, Scope, Siblings};
use super::select::{Condition, Selected, Selector};
use crate::base::id::TierId;
use crate::base::units::parse_size;
use crate::payload::body::Reason as RefusalReason;
use crate::payload::json::{DuplicateNames, JsonRules};

/// One payload limit. Of all that select a request the first holds, and no other.
#[derive(Debug)]
pub struct Payload {
    /// The requests that it applies to.
    pub scope: Scope,
    /// The bounds of a body.
    pub bounds: Bounds,
    /// The bounds for some callers.
    pub overrides: Overrides<Bounds>,
    /// The media types that are read as JSON; empty for all bodies, whatever they say they are.
    pub content_types: Vec<MediaRange>,
    /// Whether the upstream sees nothing of a request until its body has passed.
    pub hold: bool,
}

impl Payload {
    /// All reasons for which it can refuse a payload.
    #[must_use]
    pub fn reasons(&self) -> Vec<RefusalReason> {
        let all: Vec<&Bounds> = self.overrides.all().iter().chain([&self.bounds]).collect();
        let decodes = all
            .iter()
            .any(|bounds| bounds.decoded_bytes.is_some() || bounds.json.is_some());
        let json = || all.iter().filter_map(|bounds| bounds.json.as_deref());
        let objects = || json().filter_map(|rules| rules.objects.as_ref());
        let can = |reason: &RefusalReason| match reason {
            RefusalReason::Bytes => all.iter().any(|bounds| bounds.bytes.is_some()),
            RefusalReason::DecodedBytes
            | RefusalReason::UnsupportedEncoding
            | RefusalReason::MalformedEncoding
            | RefusalReason::Busy
            | RefusalReason::Unavailable => decodes,
            RefusalReason::StopIteration => self.hold,
            RefusalReason::MalformedJson => json().next().is_some(),
            RefusalReason::JsonDepth => json().next().is_some(),
            RefusalReason::ValueBytes => json().any(|rules| rules.value.is_some()),
            RefusalReason::ObjectsCount => objects().any(|rule| rule.count.is_some()),
            RefusalReason::ObjectsDepth => objects().any(|rule| rule.depth.is_some()),
            RefusalReason::ArrayItems => json().any(|rules| rules.array_items.is_some()),
            RefusalReason::Members => json().any(|rules| rules.members.is_some()),
            RefusalReason::StringBytes => json().any(|rules| rules.string_bytes.is_some()),
            RefusalReason::NameBytes => json().any(|rules| rules.name_bytes.is_some()),
            RefusalReason::DuplicateName => {
                json().any(|rules| rules.duplicate_names == DuplicateNames::Refuse)
            }
        };
        RefusalReason::ALL.into_iter().filter(can).collect()
    }

    /// Whether a body with these lines of `Content-Type` is read as JSON: of a type that is listed,
    /// or of none. What is not exactly one media type may be any to the upstream, so it is none
    /// here.
    #[must_use]
    pub fn reads_as_json<'v>(&self, mut lines: impl Iterator<Item = &'v [u8]>) -> bool {
        let (line, further) = (lines.next(), lines.next());
        let named = line
            .filter(|_| further.is_none())
            .and_then(MediaType::parse);
        let listed =
            |named: MediaType<'_>| self.content_types.iter().any(|range| range.contains(named));
        self.content_types.is_empty() || named.is_none_or(listed)
    }
}

/// The bounds of one body.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Most bytes as sent.
    pub bytes: Option<u64>,
    /// Most bytes after all decoding: of the content, and of an archive's entries.
    pub decoded_bytes: Option<u64>,
    /// The shape of its JSON.
    pub json: Option<Arc<JsonRules>>,
}

pub(crate) const PAYLOADS_MAX: usize = 1_000;
pub(crate) const CONTENT_TYPES_MAX: usize = 32;
/// The keys of which a payload limit has at least one.
pub(crate) const KINDS: &[&str] = &["bytes", "decoded_bytes", "json"];
/// The keys of which objects of one kind have at least one.
pub(crate) const OBJECT_KINDS: &[&str] = &["count", "depth"];
/// The most that a count in `json` can be.
pub(crate) const COUNTS_MAX: u64 = 1_000_000_000;

/// Reads all payload limits; `None` if one of them has an error.
pub(super) fn read(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<Payload>> {
    let mut earlier = Earlier::default();
    field.every(PAYLOADS_MAX, |field| {
        read_payload(field, siblings, &mut earlier, context)
    })
}

/// The requests that earlier payload limits take.
#[derive(Default)]
struct Earlier(Vec<Taken>);

struct Taken {
    selector: Selector,
    /// The selector's own.
    routes: Vec<Route>,
    at: String,
}

impl Earlier {
    /// Reports a payload limit that no request reaches, and notes what one takes that some reach.
    fn take(&mut self, selected: &Selected, field: &Field<'_>, siblings: &Siblings<'_>) {
        let routes = selected.routes_or_those_of(siblings.tiers);
        let taken = self.takes(&selected.selector, &routes);
        if let Some(by) = taken.or_else(|| siblings.exempt.takes(routes.into_iter())) {
            field.error(Reason::NeverReached { by });
        } else if selected.is_sound {
            let (selector, routes) = (selected.selector.clone(), selected.routes.clone());
            self.0.push(Taken {
                selector,
                routes,
                at: field.at.to_string(),
            });
        }
    }

    /// The pointers of those that take all requests of `selector`, each of which matches one of
    /// `routes` if there are any; `None` if some may be left.
    fn takes(&self, selector: &Selector, routes: &[&Route]) -> Option<String> {
        let wider: Vec<&Taken> = self
            .0
            .iter()
            .filter(|taken| taken.includes(selector))
            .collect();
        if let Some(all) = wider.iter().find(|taken| taken.selector.routes.is_none()) {
            return Some(all.at.clone());
        }
        let by = |route: &&Route| {
            wider
                .iter()
                .position(|taken| taken.routes.iter().any(|first| first.covers(route)))
        };
        let by: BTreeSet<usize> = routes.iter().map(by).collect::<Option<_>>()?;
        let by: Vec<&str> = by
            .into_iter()
            .filter_map(|number| Some(&*wider.get(number)?.at))
            .collect();
        (!by.is_empty()).then(|| by.join(", "))
    }
}

impl Taken {
    /// Whether all callers and tiers of `other` are among its own.
    fn includes(&self, other: &Selector) -> bool {
        let in_tiers = |tiers: &Vec<TierId>| {
            other
                .tiers
                .as_ref()
                .is_some_and(|others| others.iter().all(|tier| tiers.contains(tier)))
        };
        let asked_too = |(id, values): &Condition| {
            let narrower = |(other, with): &Condition| {
                other == id && with.iter().all(|value| values.contains(value))
            };
            other.attributes.iter().any(narrower)
        };
        self.selector.tiers.as_ref().is_none_or(in_tiers)
            && self.selector.attributes.iter().all(asked_too)
    }
}

fn read_payload(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    earlier: &mut Earlier,
    context: &mut Context,
) -> Option<Payload> {
    let map = field.map("{ name: body, bytes: 1MB }")?;
    let mut scope = scope::read(&map, Kind::Payload, siblings, context);
    if let Some(selected) = scope.selected() {
        earlier.take(selected, map.field(), siblings);
    }
    let mut content_types = Some(Vec::new());
    let bounds = read_bounds(&map, &Bounds::default(), |json| {
        content_types = json.optional("content_types", Vec::new(), read_content_types);
    });
    if KINDS.iter().all(|key| map.get(key).is_none()) {
        field.error(Reason::EmptyLimit { keys: KINDS });
    }
    let hold = map.optional("hold", false, |field| field.boolean());
    let overrides = map.optional("overrides", Overrides::default(), |field| {
        let base = overrides::Base {
            conditions: scope.conditions(),
            selector: map.field().at.key("for").to_string(),
        };
        overrides::read(field, &base, context, |map| {
            read_override(map, bounds.as_ref())
        })
    });
    scope.finish(&map);
    Some(Payload {
        scope: scope.build("", siblings, &context.attributes)?,
        bounds: bounds?,
        overrides: overrides?,
        content_types: content_types?,
        hold: hold?,
    })
}

/// The bounds of an override. Those that it leaves out are those of `base`, which is `None` if it
/// has an error itself.
fn read_override(map: &MapField<'_>, base: Option<&Bounds>) -> Option<Bounds> {
    let Some(base) = base else {
        for key in KINDS {
            // Asking for a key makes it a known one.
            map.get(key);
        }
        return None;
    };
    if KINDS.iter().all(|key| map.get(key).is_none()) {
        map.field().error(Reason::OverridesNothing { keys: KINDS });
    }
    read_bounds(map, base, |_| ())
}

/// Reads `bytes`, `decoded_bytes` and `json`; what is left out is as in `base`. `own` reads what
/// `json` has beside bounds.
fn read_bounds(
    map: &MapField<'_>,
    base: &Bounds,
    own: impl FnOnce(&MapField<'_>),
) -> Option<Bounds> {
    let bytes = map.optional("bytes", base.bytes, read_size);
    let decoded_bytes = map.optional("decoded_bytes", base.decoded_bytes, read_size);
    let json = map.optional("json", base.json.clone(), |field| {
        json::read_json(field, base.json.as_deref(), own).map(|rules| Some(Arc::new(rules)))
    });
    Some(Bounds {
        bytes: bytes?,
        decoded_bytes: decoded_bytes?,
        json: json?,
    })
}

fn read_size(field: Field<'_>) -> Option<Option<u64>> {
    field.quantity(parse_size).map(Some)
}

fn read_content_types(field: Field<'_>) -> Option<Vec<MediaRange>> {
    let nodes = field.non_empty_list(CONTENT_TYPES_MAX)?;
    let read = field.each_unique(nodes, |field| {
        let text = field.string()?;
        MediaRange::parse(text).or_else(|| {
            field.refuse(Reason::BadMediaRange {
                value: text.to_owned(),
            })
        })
    });
    (read.len() == nodes.len()).then_some(read)
}
