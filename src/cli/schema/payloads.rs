//! Payload limits: how large a body may be, as sent and decoded, and what shape its JSON may have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::select::{CallerSelector, Selector};
use super::shape::{at_least_one, only_beside, where_then};
use super::words::{MediaRange, Name, Pointer, Size};
use crate::payload::json::{CONDITION_BYTES_MAX, CONDITIONS_MAX, DEPTH_DEFAULT, DEPTH_MAX, NAMES_MAX};
use crate::policy::overrides::OVERRIDES_MAX;
use crate::policy::payloads::{CONTENT_TYPES_MAX, COUNTS_MAX, KINDS, OBJECT_KINDS};
use crate::policy::scope::PAYLOAD_NAME_DEFAULT;

/// What a body may be: at least one of `bytes`, `decoded_bytes` and `json`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(KINDS))]
pub(super) struct Payload {
    /// Its name, which no other limit has: in metrics, in the access log and in what callers are told.
    #[schemars(extend("default" = PAYLOAD_NAME_DEFAULT))]
    name: Option<Name>,
    /// Which requests it holds for. Without it all of them.
    r#for: Option<Selector>,
    /// Most bytes of a body as sent.
    bytes: Option<Size>,
    /// Most bytes of a body after all decoding: of its content encodings, and of an archive's entries.
    decoded_bytes: Option<Size>,
    /// The shape of JSON. What is not JSON is refused.
    json: Option<Shape>,
    /// Whether the upstream sees nothing of a request until its body has passed.
    #[schemars(extend("default" = false))]
    hold: Option<bool>,
    /// Other bounds for some callers; the first that matches counts. What one leaves out is as the limit says.
    #[schemars(length(max = OVERRIDES_MAX))]
    overrides: Option<Vec<PayloadOverride>>,
}

/// Other bounds for some callers: `bytes`, `decoded_bytes`, `json`, or several of them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(KINDS))]
struct PayloadOverride {
    /// Whose bounds these are.
    r#for: CallerSelector,
    /// Most bytes of a body as sent.
    bytes: Option<Size>,
    /// Most bytes of a body after all decoding: of its content encodings, and of an archive's entries.
    decoded_bytes: Option<Size>,
    /// The shape of JSON.
    json: Option<ShapeOverride>,
}

/// The shape of JSON.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("minProperties" = 1),
    transform = only_beside("duplicate_names", "members"),
    transform = where_then(names_are_remembered(), as_many_as_can_be())
)]
struct Shape {
    /// The media types that are read as JSON, and a body that names none. Without it all bodies.
    #[schemars(length(min = 1, max = CONTENT_TYPES_MAX), extend("uniqueItems" = true))]
    content_types: Option<Vec<MediaRange>>,
    /// Most arrays and objects within one another.
    #[schemars(range(max = DEPTH_MAX), extend("default" = DEPTH_DEFAULT))]
    depth: Option<u32>,
    /// The size of the value at one place.
    value: Option<SizeAt>,
    /// How many objects of one kind there may be, and how deeply they may nest.
    objects: Option<Objects>,
    /// Most items of any array.
    #[schemars(range(max = COUNTS_MAX))]
    array_items: Option<u64>,
    /// Most members of any object.
    #[schemars(range(max = COUNTS_MAX))]
    members: Option<u64>,
    /// Most bytes of any text, without its quotes and escapes.
    string_bytes: Option<Size>,
    /// Most bytes of the name of any member.
    name_bytes: Option<Size>,
    /// An object that uses a name twice. Only beside `members`, which bounds how many names are remembered.
    #[schemars(extend("default" = "allow"))]
    duplicate_names: Option<DuplicateNames>,
}

/// The shape of JSON for some callers. What it leaves out is as the limit says.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("minProperties" = 1),
    transform = where_then(names_are_remembered(), as_many_as_can_be())
)]
struct ShapeOverride {
    /// Most arrays and objects within one another.
    #[schemars(range(max = DEPTH_MAX))]
    depth: Option<u32>,
    /// The size of the value at one place.
    value: Option<SizeAtOverride>,
    /// How many objects of one kind there may be, and how deeply they may nest.
    objects: Option<ObjectsOverride>,
    /// Most items of any array.
    #[schemars(range(max = COUNTS_MAX))]
    array_items: Option<u64>,
    /// Most members of any object.
    #[schemars(range(max = COUNTS_MAX))]
    members: Option<u64>,
    /// Most bytes of any text, without its quotes and escapes.
    string_bytes: Option<Size>,
    /// Most bytes of the name of any member.
    name_bytes: Option<Size>,
    /// An object that uses a name twice. It needs `members`, here or in the limit.
    duplicate_names: Option<DuplicateNames>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum DuplicateNames {
    /// Nothing is said of it.
    Allow,
    /// It is refused.
    Refuse,
}

/// The size of the value at one place.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SizeAt {
    /// Its place.
    at: Pointer,
    /// Most bytes from its first to its last, white space within it too.
    bytes: Size,
}

/// The size of the value at one place, for some callers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SizeAtOverride {
    /// Its place; that of the limit where it is left out.
    at: Option<Pointer>,
    /// Most bytes from its first to its last, white space within it too.
    bytes: Size,
}

/// How many objects of one kind there may be, and how deeply they may nest: `count`, `depth`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(OBJECT_KINDS))]
struct Objects {
    /// What makes an object one of them.
    r#where: Members,
    /// They lie below this value, which is none of them itself.
    #[schemars(extend("default" = ""))]
    below: Option<Pointer>,
    /// Most of them.
    #[schemars(range(max = COUNTS_MAX))]
    count: Option<u64>,
    /// Most of them within one another; one that has none within it is 1 deep.
    #[schemars(range(max = DEPTH_MAX))]
    depth: Option<u32>,
}

/// How many objects of one kind there may be, and how deeply they may nest, for some callers: `count`, `depth`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(OBJECT_KINDS))]
struct ObjectsOverride {
    /// What makes an object one of them; as the limit says where it is left out.
    r#where: Option<Members>,
    /// They lie below this value; as the limit says where it is left out.
    below: Option<Pointer>,
    /// Most of them.
    #[schemars(range(max = COUNTS_MAX))]
    count: Option<u64>,
    /// Most of them within one another; one that has none within it is 1 deep.
    #[schemars(range(max = DEPTH_MAX))]
    depth: Option<u32>,
}

/// Members that an object has, each with its text, as in `type: group`.
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

/// A name that is used twice is refused.
fn names_are_remembered() -> Value {
    json!({ "required": ["duplicate_names"], "properties": { "duplicate_names": { "const": "refuse" } } })
}

fn as_many_as_can_be() -> Value {
    json!({ "properties": { "members": { "maximum": NAMES_MAX } } })
}
