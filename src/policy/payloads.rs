//! Payload limits: how large a body may be, as sent and decoded, and what shape its JSON may have.

use std::collections::HashMap;
use std::sync::Arc;

use super::Context;
use super::error::Reason;
use super::exempt::ReadExemptions;
use super::limits::Limit;
use super::media::MediaRange;
use super::overrides::{self, Overrides};
use super::reader::{Field, MapField};
use super::route::Route;
use super::select::{Selector, read_selector};
use super::tiers::ReadTier;
use crate::base::units::parse_size;
use crate::payload::body::Reason as RefusalReason;
use crate::payload::json::{
    CONDITION_BYTES_MAX, CONDITIONS_MAX, Conditions, DEPTH_MAX, DuplicateNames, JsonPath, JsonRules, ObjectsRule,
    ValueRule,
};

/// One payload limit. Of all that select a request the first holds, and no other.
#[derive(Debug)]
pub struct Payload {
    /// Its name: in metrics, in the access log and in what callers are told.
    pub name: Box<str>,
    /// The requests that it holds for.
    pub selector: Selector,
    /// What it allows.
    pub bounds: Bounds,
    /// What it allows some callers.
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
        let decodes = all.iter().any(|bounds| bounds.decoded_bytes.is_some() || bounds.json.is_some());
        let json = || all.iter().filter_map(|bounds| bounds.json.as_deref());
        let objects = || json().filter_map(|rules| rules.objects.as_ref());
        let can = |reason: &RefusalReason| match reason {
            RefusalReason::Bytes => all.iter().any(|bounds| bounds.bytes.is_some()),
            RefusalReason::DecodedBytes
            | RefusalReason::UnsupportedEncoding
            | RefusalReason::MalformedEncoding
            | RefusalReason::Busy => decodes,
            RefusalReason::MalformedJson => json().next().is_some(),
            RefusalReason::JsonDepth => json().next().is_some(),
            RefusalReason::ValueBytes => json().any(|rules| rules.value.is_some()),
            RefusalReason::ObjectsCount => objects().any(|rule| rule.count.is_some()),
            RefusalReason::ObjectsDepth => objects().any(|rule| rule.depth.is_some()),
            RefusalReason::ArrayItems => json().any(|rules| rules.array_items.is_some()),
            RefusalReason::Members => json().any(|rules| rules.members.is_some()),
            RefusalReason::StringBytes => json().any(|rules| rules.string_bytes.is_some()),
            RefusalReason::NameBytes => json().any(|rules| rules.name_bytes.is_some()),
            RefusalReason::DuplicateName => json().any(|rules| rules.duplicate_names == DuplicateNames::Refuse),
        };
        RefusalReason::ALL.into_iter().filter(can).collect()
    }

    /// Whether a body that says it is this is read as JSON; one that says nothing is.
    #[must_use]
    pub fn reads_as_json(&self, content_type: Option<&[u8]>) -> bool {
        let listed = |content_type| self.content_types.iter().any(|range| range.contains(content_type));
        self.content_types.is_empty() || content_type.is_none_or(listed)
    }
}

/// What one body may be.
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
/// The name of a payload limit that has none of its own.
pub(crate) const NAME_USUAL: &str = "payload";
/// The keys of which a payload limit has at least one.
pub(crate) const KINDS: &[&str] = &["bytes", "decoded_bytes", "json"];
/// What `json` bounds, but for the members of one object.
pub(crate) const COUNTS_MAX: u64 = 1_000_000_000;

/// What the payload limits are read beside.
pub(super) struct Beside<'a> {
    pub(super) tiers: &'a [Option<ReadTier>],
    pub(super) exempt: &'a ReadExemptions,
    /// `None` where one of them has a fault.
    pub(super) limits: Option<&'a [Limit]>,
}

/// Reads all payload limits; `None` where one of them has a fault.
pub(super) fn read(field: Field<'_>, beside: &Beside<'_>, context: &mut Context) -> Option<Vec<Payload>> {
    let nodes = field.full_list(PAYLOADS_MAX)?;
    let limits = beside.limits.into_iter().flatten().enumerate();
    let mut names: HashMap<String, String> =
        limits.map(|(number, limit)| (limit.name.to_string(), format!("/limits/{number}/name"))).collect();
    let mut earlier = Earlier::default();
    let read = field.each(nodes, |field| read_payload(field, beside, &mut names, &mut earlier, context));
    (read.len() == nodes.len()).then_some(read)
}

/// Requests that payload limits before this one take from whoever calls.
#[derive(Default)]
struct Earlier {
    /// All of them, by the limit with this pointer.
    everything: Option<String>,
    routes: Vec<(Route, String)>,
}

impl Earlier {
    /// The pointers of those that take all requests of `routes`, or all requests where there are none.
    fn takes(&self, routes: &[Route]) -> Option<String> {
        let by = |route: &Route| self.routes.iter().find(|(first, _)| first.covers(route)).map(|(_, at)| at.as_str());
        let covered = || routes.iter().map(by).collect::<Option<Vec<_>>>().filter(|by| !by.is_empty());
        self.everything.clone().or_else(|| {
            let mut by = covered()?;
            by.dedup();
            Some(by.join(", "))
        })
    }

    fn add(&mut self, selector: &Selector, routes: &[Route], at: &str) {
        if !selector.attributes.is_empty() || selector.tiers.is_some() {
            return;
        }
        if selector.routes.is_none() {
            self.everything.get_or_insert_with(|| at.to_owned());
        }
        self.routes.extend(routes.iter().map(|route| (route.clone(), at.to_owned())));
    }
}

fn read_payload(
    field: Field<'_>,
    beside: &Beside<'_>,
    names: &mut HashMap<String, String>,
    earlier: &mut Earlier,
    context: &mut Context,
) -> Option<Payload> {
    let map = field.map()?;
    let name = map.optional("name", NAME_USUAL.to_owned(), |field| {
        let name = field.name()?;
        if let Some(first) = names.insert(name.to_owned(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate { value: Some(name.to_owned()), first });
        }
        Some(name.to_owned())
    });
    let selected = map
        .optional("for", (Selector::default(), Vec::new()), |field| read_selector(field, beside.tiers, context))
        .inspect(|(selector, routes)| {
            let exempt = selector.routes.as_ref().and_then(|_| beside.exempt.takes(routes.iter()));
            if let Some(by) = earlier.takes(routes).or(exempt) {
                field.fault(Reason::NeverReached { by });
            }
            earlier.add(selector, routes, &field.at.to_string());
        });
    let mut content_types = Some(Vec::new());
    if let Some(json) = map.get("json").and_then(Field::map) {
        content_types = json.optional("content_types", Vec::new(), read_content_types);
    }
    let bounds = read_bounds(&map, &Bounds::default());
    if bounds.is_some() && KINDS.iter().all(|key| map.get(key).is_none()) {
        field.fault(Reason::LimitsNothing { keys: KINDS });
    }
    let overrides = map.optional("overrides", Overrides::default(), |field| {
        let base = overrides::Base {
            conditions: selected.as_ref().map_or(&[], |(selector, _)| &selector.attributes),
            selector: map.field().at.key("for").to_string(),
        };
        overrides::read(field, &base, context, |map| read_override(map, bounds.as_ref()))
    });
    let hold = map.optional("hold", false, |field| field.truth());
    map.end();
    Some(Payload {
        name: name?.into(),
        selector: selected?.0,
        bounds: bounds?,
        overrides: overrides?,
        content_types: content_types?,
        hold: hold?,
    })
}

/// What an override says; what it leaves out is as in `base`, which is `None` where it has a fault itself.
fn read_override(map: &MapField<'_>, base: Option<&Bounds>) -> Option<Bounds> {
    let Some(base) = base else {
        KINDS.iter().for_each(|key| _ = map.get(key));
        return None;
    };
    let is_there = |key: &&&'static str| map.get(key).is_some();
    if !KINDS.iter().any(|key| is_there(&key)) {
        map.field().fault(Reason::OverridesNothing { keys: KINDS });
    }
    read_bounds(map, base)
}

/// Reads `bytes`, `decoded_bytes` and `json`; what is left out is as in `base`.
fn read_bounds(map: &MapField<'_>, base: &Bounds) -> Option<Bounds> {
    let bytes = map.optional("bytes", base.bytes, read_size);
    let decoded_bytes = map.optional("decoded_bytes", base.decoded_bytes, read_size);
    let json = map.optional("json", base.json.clone(), |field| {
        read_json(field, base.json.as_deref()).map(|rules| Some(Arc::new(rules)))
    });
    Some(Bounds { bytes: bytes?, decoded_bytes: decoded_bytes?, json: json? })
}

fn read_size(field: Field<'_>) -> Option<Option<u64>> {
    field.quantity(parse_size).map(Some)
}

fn read_content_types(field: Field<'_>) -> Option<Vec<MediaRange>> {
    let nodes = field.full_list(CONTENT_TYPES_MAX)?;
    let read = field.each_once(nodes, |field| {
        let text = field.string()?;
        MediaRange::parse(text).or_else(|| field.refuse(Reason::BadMediaType { value: text.to_owned() }))
    });
    (read.len() == nodes.len()).then_some(read)
}

/// Reads the shape of JSON; of an override, on top of the rules that it overrides.
fn read_json(field: Field<'_>, base: Option<&JsonRules>) -> Option<JsonRules> {
    let map = field.map()?;
    if map.is_empty() {
        field.fault(Reason::Empty);
    }
    let mut rules = base.cloned().unwrap_or_default();
    if base.is_none() {
        // Read with the limit itself: it is not of the numbers.
        map.get("content_types");
    }
    let count = |key| map.get(key).map(|field: Field<'_>| field.count(0, COUNTS_MAX));
    let size = |key| map.get(key).map(|field: Field<'_>| field.quantity(parse_size));
    let depth = map.optional("depth", rules.depth, |field| field.count(0, DEPTH_MAX));
    let value = map.get("value").map(|field| read_value(field, rules.value.as_ref()));
    let objects = map.get("objects").map(|field| read_objects(field, rules.objects.as_ref()));
    let (array_items, members) = (count("array_items"), count("members"));
    let (string_bytes, name_bytes) = (size("string_bytes"), size("name_bytes"));
    let duplicates = map.get("duplicate_names");
    if let (Some(field), None, None) = (&duplicates, &members, rules.members) {
        field.fault(Reason::Misplaced {
            why: "names are remembered to find one that is used twice",
            beside: "`members`, which bounds how many",
        });
    }
    let duplicate_names = duplicates.map(|field| {
        let choices = [("allow", DuplicateNames::Allow), ("refuse", DuplicateNames::Refuse)];
        field.choice("a treatment of names that are used twice", &choices)
    });
    map.end();
    rules.depth = depth?;
    // A value that was given and has a fault ends it; one that was not leaves what there was.
    macro_rules! set {
        ($($key:ident),*) => { $(if let Some(given) = $key { rules.$key = Some(given?); })* };
    }
    set!(value, objects, array_items, members, string_bytes, name_bytes);
    if let Some(given) = duplicate_names {
        rules.duplicate_names = given?;
    }
    Some(rules)
}

pub(super) fn read_path(field: Field<'_>) -> Option<JsonPath> {
    field.parsed(JsonPath::parse, |value, error| Reason::BadPath { value, error })
}

fn read_value(field: Field<'_>, base: Option<&ValueRule>) -> Option<ValueRule> {
    let map = field.map()?;
    let at = match (map.get("at"), base) {
        (None, Some(base)) => Some(base.at.clone()),
        _ => map.require("at").and_then(read_path),
    };
    let bytes = map.require("bytes").and_then(|field| field.quantity(parse_size));
    map.end();
    Some(ValueRule { at: at?, bytes: bytes? })
}

fn read_objects(field: Field<'_>, base: Option<&ObjectsRule>) -> Option<ObjectsRule> {
    let map = field.map()?;
    let conditions = match (map.get("where"), base) {
        (None, Some(base)) => Some(base.conditions.clone()),
        _ => map.require("where").and_then(read_where),
    };
    let below = map.optional("below", base.map_or_else(JsonPath::root, |base| base.below.clone()), read_path);
    let count = map.optional("count", base.and_then(|base| base.count), |field| field.count(0, COUNTS_MAX).map(Some));
    let depth = map.optional("depth", base.and_then(|base| base.depth), |field| field.count(0, DEPTH_MAX).map(Some));
    if map.get("count").is_none() && map.get("depth").is_none() {
        field.fault(Reason::LimitsNothing { keys: &["count", "depth"] });
    }
    map.end();
    Some(ObjectsRule { conditions: conditions?, below: below?, count: count?, depth: depth? })
}

/// Members that an object must have, each with a text for its value.
fn read_where(field: Field<'_>) -> Option<Conditions> {
    let map = field.map()?;
    if map.is_empty() {
        return field.refuse(Reason::Empty);
    }
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (entry, value) in map.others() {
        if entry.key.len() > CONDITION_BYTES_MAX {
            value.fault(Reason::TooLong { max: CONDITION_BYTES_MAX });
        }
        pairs.extend(value.text(CONDITION_BYTES_MAX).map(|text| (&*entry.key, text)));
    }
    if pairs.len() > CONDITIONS_MAX {
        return field.refuse(Reason::TooMany { max: CONDITIONS_MAX });
    }
    let all = pairs.len() == map.others().count();
    Conditions::new(pairs).filter(|_| all)
}
