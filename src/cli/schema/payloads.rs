//! Payload limits: the size of a body, as sent and decoded, and the shape of its JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::select::{CallerSelector, Selector};
use super::shape::{at_least_one, if_then, requires};
use super::words::{MediaRange, Name, Pointer, Size};
use crate::payload::json::{
    CONDITION_BYTES_MAX, CONDITIONS_MAX, DEPTH_DEFAULT, DEPTH_MAX, NAMES_MAX,
};
use crate::policy::overrides::OVERRIDES_MAX;
use crate::policy::payloads::{CONTENT_TYPES_MAX, COUNTS_MAX, KINDS, OBJECT_KINDS};
use crate::policy::scope::PAYLOAD_NAME_DEFAULT;

/// Bounds on a body: at least one of `bytes`, `decoded_bytes` and `json`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(KINDS))]
pub(super) struct Payload {
    /// The unique name of the limit, in metrics, in the access log and in replies.
    #[schemars(extend("default" = PAYLOAD_NAME_DEFAULT))]
    name: Option<Name>,
    /// The requests that it applies to. If omitted, all of them.
    r#for: Option<Selector>,
    /// The most bytes of a body as sent.
    bytes: Option<Size>,
    /// The most bytes of a body after its content encodings are decoded and its archive entries are
    /// unpacked.
    decoded_bytes: Option<Size>,
    /// The shape of its JSON. A body that is not JSON is refused.
    json: Option<Shape>,
    /// Whether the upstream receives nothing of a request until its body has passed.
    #[schemars(extend("default" = false))]
    hold: Option<bool>,
    /// Other bounds for some callers; the first that matches is used. Omitted keys are as in the
    /// limit.
    #[schemars(length(max = OVERRIDES_MAX))]
    overrides: Option<Vec<PayloadOverride>>,
}

/// Other bounds for some callers: `bytes`, `decoded_bytes`, `json`, or several of them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(KINDS))]
struct PayloadOverride {
    /// The callers that it is for.
    r#for: CallerSelector,
    /// The most bytes of a body as sent.
    bytes: Option<Size>,
    /// The most bytes of a body after its content encodings are decoded and its archive entries are
    /// unpacked.
    decoded_bytes: Option<Size>,
    /// The shape of JSON.
    json: Option<ShapeOverride>,
}

/// The shape of JSON.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("minProperties" = 1),
    transform = requires("duplicate_names", "members"),
    transform = if_then(compares_names(), bounds_members())
)]
struct Shape {
    /// The media types that are read as JSON. A body without a media type is read, too. If omitted,
    /// all bodies are.
    #[schemars(length(min = 1, max = CONTENT_TYPES_MAX), extend("uniqueItems" = true))]
    content_types: Option<Vec<MediaRange>>,
    /// The most nested arrays and objects.
    #[schemars(range(max = DEPTH_MAX), extend("default" = DEPTH_DEFAULT))]
    depth: Option<u32>,
    /// The size of the value at one pointer.
    value: Option<SizeAt>,
    /// The number of objects of one kind, and how deeply they nest.
    objects: Option<Objects>,
    /// The most items of any array.
    #[schemars(range(max = COUNTS_MAX))]
    array_items: Option<u64>,
    /// The most members of any object.
    #[schemars(range(max = COUNTS_MAX))]
    members: Option<u64>,
    /// The most bytes of any string, without its quotes and escapes.
    string_bytes: Option<Size>,
    /// The most bytes of any member's name.
    name_bytes: Option<Size>,
    /// Whether an object may use a name twice. Requires `members`, which bounds the number of names
    /// to compare.
    #[schemars(extend("default" = "allow"))]
    duplicate_names: Option<DuplicateNames>,
}

/// The shape of JSON for some callers. Omitted keys are as in the limit.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("minProperties" = 1),
    transform = if_then(compares_names(), bounds_members())
)]
struct ShapeOverride {
    /// The most nested arrays and objects.
    #[schemars(range(max = DEPTH_MAX))]
    depth: Option<u32>,
    /// The size of the value at one pointer.
    value: Option<SizeAtOverride>,
    /// The number of objects of one kind, and how deeply they nest.
    objects: Option<ObjectsOverride>,
    /// The most items of any array.
    #[schemars(range(max = COUNTS_MAX))]
    array_items: Option<u64>,
    /// The most members of any object.
    #[schemars(range(max = COUNTS_MAX))]
    members: Option<u64>,
    /// The most bytes of any string, without its quotes and escapes.
    string_bytes: Option<Size>,
    /// The most bytes of any member's name.
    name_bytes: Option<Size>,
    /// Whether an object may use a name twice. Requires `members`, here or in the limit.
    duplicate_names: Option<DuplicateNames>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum DuplicateNames {
    /// Such an object is allowed.
    Allow,
    /// Such an object is refused.
    Refuse,
}

/// The size of the value at one pointer.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SizeAt {
    /// The pointer to the value.
    at: Pointer,
    /// The most bytes from its first to its last, including white space within it.
    bytes: Size,
}

/// The size of the value at one pointer, for some callers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SizeAtOverride {
    /// The pointer to the value. If omitted, as in the limit.
    at: Option<Pointer>,
    /// The most bytes from its first to its last, including white space within it.
    bytes: Size,
}

/// The number of objects of one kind, and how deeply they nest: `count`, `depth`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(OBJECT_KINDS))]
struct Objects {
    /// The members that make an object one of this kind.
    r#where: Members,
    /// Only objects below this value count, and not the value itself.
    #[schemars(extend("default" = ""))]
    below: Option<Pointer>,
    /// The most objects.
    #[schemars(range(max = COUNTS_MAX))]
    count: Option<u64>,
    /// The most nested objects; one that contains no other is 1 deep.
    #[schemars(range(max = DEPTH_MAX))]
    depth: Option<u32>,
}

/// The number of objects of one kind, and how deeply they nest, for some callers: `count`, `depth`,
/// or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(OBJECT_KINDS))]
struct ObjectsOverride {
    /// The members that make an object one of this kind. If omitted, as in the limit.
    r#where: Option<Members>,
    /// Only objects below this value count. If omitted, as in the limit.
    below: Option<Pointer>,
    /// The most objects.
    #[schemars(range(max = COUNTS_MAX))]
    count: Option<u64>,
    /// The most nested objects; one that contains no other is 1 deep.
    #[schemars(range(max = DEPTH_MAX))]
    depth: Option<u32>,
}

/// The members that an object must have, each with its text, as in `type: group`.
#[derive(JsonSchema)]
#[schemars(extend(
    "minProperties" = 1,
    "maxProperties" = CONDITIONS_MAX,
    "propertyNames" = json!({ "maxLength": CONDITION_BYTES_MAX })
))]
struct Members(BTreeMap<String, Text>);

/// The text of this member.
#[derive(JsonSchema)]
#[schemars(inline)]
struct Text(#[schemars(length(min = 1, max = CONDITION_BYTES_MAX))] String);

/// Whether names are compared to find duplicates.
fn compares_names() -> Value {
    json!({
        "required": ["duplicate_names"],
        "properties": { "duplicate_names": { "const": "refuse" } },
    })
}

fn bounds_members() -> Value {
    json!({ "properties": { "members": { "maximum": NAMES_MAX } } })
}
