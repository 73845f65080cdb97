//! Payload limits: the size of a body, as sent and decoded, and the shape of its JSON.

#[cfg(not(target_arch = "wasm32"))]
use serde_json::{Value as Json, json};

use super::formats::{JsonPointer, Label, MediaRange, Name, Size};
use super::key::{mapping, words};
use super::kind::{Boolean, Choice, Count32, Count64, List, Map, Set};
use super::{CallerSelector, Constraint, OwnPayloadRefusal, Selector};
#[cfg(not(target_arch = "wasm32"))]
use super::{Kind, Names, Rest, Text};
use crate::limit::Enforcement;
#[cfg(not(target_arch = "wasm32"))]
use crate::payload::json::{CONDITION_BYTES_MAX, CONDITIONS_MAX, NAMES_MAX};
use crate::payload::json::{DEPTH_DEFAULT, DEPTH_MAX, DuplicateNames};

/// The most of something in a body.
type Most = Count64<0, 1_000_000_000>;

/// The most arrays or objects within one another.
type Depth = Count32<0, DEPTH_MAX>;

mapping! {
    /// Bounds on a body.
    Payload "{ name: body, bytes: 1MB }"
    constraints [Constraint::LimitsOne(&[
        Self::BYTES.name,
        Self::DECODED_BYTES.name,
        Self::JSON.name,
    ])]
    {
        /// The name in metrics, in the access log, and in `{limit}`. Payload limits without a name
        /// share the default. No other limit may have the same name.
        NAME "name": Name, default "payload";
        /// The name for people, as of a [limit](#limits).
        LABEL "label": Label, optional "the name";
        /// The requests that it applies to: the [selector](#limits).
        FOR "for": Map<Selector>, optional "every request";
        /// The most bytes as sent. The head decides if `Content-Length` states them, otherwise the
        /// first byte too many.
        BYTES "bytes": Size, optional "no bound";
        /// The most bytes after decoding: after `Content-Encoding` (`gzip`, `deflate`, `br`,
        /// `zstd`, up to four of them), and of the ZIP archive (the sum of its entries) or gzip
        /// file that the body is. No single step may produce more.
        DECODED_BYTES "decoded_bytes": Size, optional "no bound";
        /// The shape of the JSON. A body that is not JSON is refused.
        JSON "json": Map<JsonShape>, optional "not read as JSON";
        /// Keeps the request from the upstream until its body has passed.
        HOLD "hold": Boolean, default false;
        /// The answer when this limit refuses: [replies](#replies).
        REFUSED "refused": Map<OwnPayloadRefusal>, optional "that of `replies.payload`";
        /// Whether the limit refuses requests. One in shadow never holds a body.
        ENFORCEMENT "enforcement": Choice<Enforcement>, default Enforcement::Enforce;
        /// Other bounds for some callers. The first override that matches applies.
        OVERRIDES "overrides": List<Map<PayloadOverride>, 0, 100_000>, optional "none";
    }
}

impl Payload {
    /// The name of a payload limit without a `name`.
    pub(crate) const NAME_DEFAULT: &'static str = Self::NAME.presence.0;
}

mapping! {
    /// Other bounds for some callers.
    PayloadOverride "{ for: { org: acme }, … }"
    constraints [Constraint::ChangesOne(&[
        Self::BYTES.name,
        Self::DECODED_BYTES.name,
        Self::JSON.name,
    ])]
    {
        /// The most bytes as sent.
        BYTES "bytes": Size, optional "the limit's";
        /// The most bytes after decoding.
        DECODED_BYTES "decoded_bytes": Size, optional "the limit's";
        /// Other bounds of the shape. A key that is left out, in `value` and `objects` too, is the
        /// limit's.
        JSON "json": Map<JsonShapeOverride>, optional "the limit's";
        /// The callers, as in an override of a [limit](#limits).
        FOR "for": Map<CallerSelector>, required;
    }
}

mapping! {
    /// The shape of JSON.
    JsonShape "{ depth: 32 }"
    constraints [
        Constraint::NotEmpty,
        Constraint::Requires {
            key: Self::DUPLICATE_NAMES.name,
            other: Self::MEMBERS.name,
            because: NAMES_TO_REMEMBER,
        },
    ]
    {
        /// Only bodies of these types are read as JSON, and bodies without a type: those whose
        /// `Content-Type` is missing, empty, repeated, or not exactly one media type of RFC 9110
        /// §8.3.1. List types only if the upstream itself refuses the others.
        CONTENT_TYPES "content_types": Set<MediaRange, 1, 32>, optional "all bodies";
        /// Arrays and objects within one another.
        DEPTH "depth": Depth, default DEPTH_DEFAULT;
        /// The size of the value at one place.
        VALUE "value": Map<JsonValue>, optional "no bound";
        /// The number and the nesting of objects of one kind.
        OBJECTS "objects": Map<JsonObjects>, optional "no bound";
        /// Items of any array.
        ARRAY_ITEMS "array_items": Most, optional "no bound";
        /// Members of any object.
        MEMBERS "members": Most, optional "no bound";
        /// Bytes of any string, in UTF-8 and without escapes.
        STRING_BYTES "string_bytes": Size, optional "no bound";
        /// Bytes of any name, in UTF-8 and without escapes.
        NAME_BYTES "name_bytes": Size, optional "no bound";
        /// An object that uses a name more than once. Requires `members`, of at most 16,384 with
        /// `refuse`.
        DUPLICATE_NAMES "duplicate_names": Choice<DuplicateNames>, default DuplicateNames::Allow;
    }
    schema vec![bounded_names()];
}

/// The requirement of `duplicate_names`.
pub(crate) const NAMES_TO_REMEMBER: &str = "`members`, which bounds the names to remember";

mapping! {
    /// The shape of JSON for some callers.
    JsonShapeOverride "{ depth: 32 }" constraints [Constraint::NotEmpty] {
        /// Arrays and objects within one another.
        DEPTH "depth": Depth, optional "the limit's";
        /// The size of the value at one place.
        VALUE "value": Map<JsonValueOverride>, optional "the limit's";
        /// The number and the nesting of objects of one kind.
        OBJECTS "objects": Map<JsonObjectsOverride>, optional "the limit's";
        /// Items of any array.
        ARRAY_ITEMS "array_items": Most, optional "the limit's";
        /// Members of any object.
        MEMBERS "members": Most, optional "the limit's";
        /// Bytes of any string, in UTF-8 and without escapes.
        STRING_BYTES "string_bytes": Size, optional "the limit's";
        /// Bytes of any name, in UTF-8 and without escapes.
        NAME_BYTES "name_bytes": Size, optional "the limit's";
        /// An object that uses a name more than once. Requires `members`, here or in the limit.
        DUPLICATE_NAMES "duplicate_names": Choice<DuplicateNames>, optional "the limit's";
    }
    schema vec![bounded_names()];
}

words! {
    DuplicateNames, "a treatment of duplicate names" {
        /// It is allowed.
        "allow" => Self::Allow,
        /// It is refused.
        "refuse" => Self::Refuse,
    }
}

mapping! {
    /// The size of the value at one place.
    JsonValue "{ at: /data, bytes: 300KB }" {
        /// The place of the value; the empty string is the whole document.
        AT "at": JsonPointer, required;
        /// The bytes of the value from its first to its last, as they are in the decoded body.
        /// White space inside counts.
        BYTES "bytes": Size, required;
    }
}

mapping! {
    /// The size of the value at one place, for some callers.
    JsonValueOverride "{ at: /data, bytes: 300KB }" {
        /// The place of the value.
        AT "at": JsonPointer, optional "the limit's";
        /// The bytes of the value from its first to its last.
        BYTES "bytes": Size, required;
    }
}

mapping! {
    /// The number and the nesting of objects of one kind.
    JsonObjects "{ where: { type: item }, count: 600 }"
    constraints [Constraint::LimitsOne(&[Self::COUNT.name, Self::DEPTH.name])]
    {
        /// An object counts if it has all of these members, in any order and in any spelling
        /// (`"ty\u0070e"`).
        WHERE "where": Map<Members>, required;
        /// Only objects strictly below this value count.
        BELOW "below": JsonPointer, optional "the whole document";
        /// The number of such objects.
        COUNT "count": Most, optional "no bound";
        /// The number of such objects within one another; one that contains no other is 1 deep.
        DEPTH "depth": Depth, optional "no bound";
    }
}

mapping! {
    /// The number and the nesting of objects of one kind, for some callers.
    JsonObjectsOverride "{ where: { type: item }, count: 600 }"
    constraints [Constraint::LimitsOne(&[Self::COUNT.name, Self::DEPTH.name])]
    {
        /// The members that make an object one of this kind.
        WHERE "where": Map<Members>, optional "the limit's";
        /// Only objects strictly below this value count.
        BELOW "below": JsonPointer, optional "the limit's";
        /// The number of such objects.
        COUNT "count": Most, optional "the limit's";
        /// The number of such objects within one another.
        DEPTH "depth": Depth, optional "the limit's";
    }
}

mapping! {
    /// The members that an object must have, each with its text, as in `type: group`.
    Members "{ type: item }" {}
    rest Rest {
        key: "name of the member, up to 256 bytes",
        doc: "The text of this member. A map has 1 to 8 of them.",
        names: Names::Text(CONDITION_BYTES_MAX),
        shape: Text::<CONDITION_BYTES_MAX>::shape(),
        count: (Some(1), Some(CONDITIONS_MAX)),
        absent: "none",
        words: Vec::new(),
    };
}

/// The most members of an object whose names are compared.
#[cfg(not(target_arch = "wasm32"))]
fn bounded_names() -> Json {
    json!({
        "if": {
            "required": ["duplicate_names"],
            "properties": { "duplicate_names": { "const": "refuse" } },
        },
        "then": { "properties": { "members": { "maximum": NAMES_MAX } } },
    })
}
