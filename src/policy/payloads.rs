//! Payload limits: bounds of the size of a body, as sent and decoded, and of the shape of its JSON.

mod earlier;
mod shape;

use std::sync::Arc;

use super::Context;
use super::language as lang;
use super::media::{MediaRange, MediaType};
use super::overrides::{self, Overrides};
use super::reader::{Field, Items, MapField};
use super::replies::{Reply, read_own_payload};
use super::scope::{self, Absent, Scope, Siblings};
use super::select::Condition;
use crate::limit::{Enforcement, FailureMode};
use crate::payload::body::Reason as RefusalReason;
use crate::payload::json::{DuplicateNames, JsonRules};

use self::earlier::Earlier;

/// One payload limit. Of all that select a request the first holds, and no other.
#[derive(Debug)]
pub struct Payload {
    /// The requests that it applies to.
    pub scope: Scope,
    /// The bounds of a body.
    pub bounds: Bounds,
    /// The bounds for some callers.
    pub overrides: Overrides<Bounds>,
    /// The media types that are read as JSON; empty for all bodies, of every stated type.
    pub content_types: Vec<MediaRange>,
    /// Whether the upstream sees nothing of a request until its body has passed.
    pub hold: bool,
    /// Whether it refuses.
    pub enforcement: Enforcement,
    /// Its answer to a request that it refuses, as far as that is its own.
    pub refused: Option<Box<Reply>>,
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
        let mut reasons = RefusalReason::ALL.to_vec();
        reasons.retain(|reason| match reason {
            // A body beyond its own `Content-Length` too, without regard to the bounds.
            RefusalReason::Bytes => true,
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
        });
        reasons
    }

    /// Whether a body with these lines of `Content-Type` is read as JSON: of a type that is listed,
    /// or of none. The upstream may read a value that is not exactly one media type as any, so it
    /// is none here.
    #[must_use]
    pub fn reads_as_json<'v>(&self, mut lines: impl Iterator<Item = &'v [u8]>) -> bool {
        let (line, further) = (lines.next(), lines.next());
        let named = line
            .filter(|_| further.is_none())
            .and_then(MediaType::parse);
        self.content_types.is_empty()
            || named
                .is_none_or(|named| self.content_types.iter().any(|range| range.contains(named)))
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

/// Reads all payload limits; `None` if one of them has an error.
pub(super) fn read(
    list: &Items<'_, lang::Map<lang::Payload>>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<Payload>> {
    let mut earlier = Earlier::default();
    list.each(|_, map| read_payload(&map, siblings, &mut earlier, context))
}

fn read_payload(
    map: &MapField<'_, lang::Payload>,
    siblings: &Siblings<'_>,
    earlier: &mut Earlier,
    context: &mut Context,
) -> Option<Payload> {
    let name = scope::read_payload_name(map, context);
    let label = map.read(lang::Payload::LABEL);
    let selected = scope::read_for(map.read(lang::Payload::FOR), siblings, context, false);
    if let Some(selected) = &selected {
        earlier.take(selected, map.field(), siblings);
    }
    let bytes = map.read(lang::Payload::BYTES);
    let decoded_bytes = map.read(lang::Payload::DECODED_BYTES);
    let json = map.read_with(lang::Payload::JSON, |_, map| shape::read(&map));
    let hold = map.read(lang::Payload::HOLD);
    let (json, content_types) = match json {
        Some(Some((rules, content_types))) => (Some(Some(Arc::new(rules))), content_types),
        Some(None) => (Some(None), Vec::new()),
        None => (None, Vec::new()),
    };
    let bounds = bytes.zip(decoded_bytes).zip(json);
    let bounds = bounds.map(|((bytes, decoded_bytes), json)| Bounds {
        bytes,
        decoded_bytes,
        json,
    });
    let overrides = map.read_with(lang::Payload::OVERRIDES, |_, list| {
        let base = overrides::Base {
            conditions: selected
                .as_ref()
                .map_or(&[], |selected| &selected.selector.attributes),
            selector: map.field().at.key(lang::Payload::FOR.name).to_string(),
        };
        overrides::read(&list, context, |field, context| {
            read_override(field, bounds.as_ref(), &base, context)
        })
    });
    let refused = map.read_with(lang::Payload::REFUSED, |_, map| {
        read_own_payload(&map, siblings.types, &mut context.attributes)
    });
    let enforcement = map.read(lang::Payload::ENFORCEMENT);
    map.finish();
    let name = name?;
    Some(Payload {
        scope: Scope {
            label: label?.map_or_else(|| name.clone(), Box::from),
            name,
            identity: Box::default(),
            selector: selected?.selector,
            per: Vec::new(),
            absent: Absent::default(),
            failure: FailureMode::default(),
        },
        bounds: bounds?,
        overrides: overrides?.unwrap_or_default(),
        content_types,
        hold: hold? && enforcement? == Enforcement::Enforce,
        enforcement: enforcement?,
        refused: refused?,
    })
}

/// Reads an override. The bounds that it leaves out are those of `base`, which is `None` if it has
/// an error itself.
fn read_override(
    field: Field<'_>,
    base: Option<&Bounds>,
    limit: &overrides::Base<'_>,
    context: &mut Context,
) -> Option<(Vec<Condition>, Bounds)> {
    let map = field.map()?;
    let bytes = map.read(lang::PayloadOverride::BYTES);
    let decoded_bytes = map.read(lang::PayloadOverride::DECODED_BYTES);
    let json = base.and_then(|base| {
        map.read_with(lang::PayloadOverride::JSON, |_, map| {
            shape::read_override(&map, base.json.as_deref())
        })
    });
    let callers = overrides::read_callers(map.read(lang::PayloadOverride::FOR), limit, context);
    map.finish();
    let (base, json) = (base?, json?);
    let bounds = Bounds {
        bytes: bytes?.or(base.bytes),
        decoded_bytes: decoded_bytes?.or(base.decoded_bytes),
        json: json.map(Arc::new).or_else(|| base.json.clone()),
    };
    callers.map(|callers| (callers, bounds))
}
