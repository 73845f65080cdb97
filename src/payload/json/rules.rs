//! What a JSON document may be.

use super::Bound;
use super::path::JsonPath;

/// Bounds of one document. What is `None` is not bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// Most arrays and objects within one another; a document without any has none.
    pub depth: u32,
    /// The size of one value.
    pub value: Option<ValueRule>,
    /// Objects of one kind.
    pub objects: Option<ObjectsRule>,
    /// Most items of any array.
    pub array_items: Option<u64>,
    /// Most members of any object.
    pub members: Option<u64>,
    /// Most bytes of any text, without its quotes and escapes, in UTF-8.
    pub string_bytes: Option<u64>,
    /// Most bytes of the name of any member, counted like a text.
    pub name_bytes: Option<u64>,
    /// Whether an object may not use a name twice. At most [`NAMES_MAX`] names are remembered.
    pub refuse_duplicate_names: bool,
    /// The array of which the items are counted.
    pub items: Option<JsonPath>,
}

/// The size of the value at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRule {
    /// Its place.
    pub at: JsonPath,
    /// Most bytes from its first to its last, as they are in the document: white space within counts.
    pub bytes: u64,
}

/// How many objects of one kind there are below one place, and how deeply they nest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsRule {
    /// What makes an object one of them: each of these members, with this text.
    pub conditions: Vec<(Box<str>, Box<str>)>,
    /// They lie below this value; the value itself is none of them.
    pub below: JsonPath,
    /// Most of them.
    pub count: Option<u64>,
    /// Most of them within one another; one that has none within it is 1 deep.
    pub depth: Option<u32>,
}

/// The depth of a document where a policy names none.
pub const DEPTH_USUAL: u32 = 128;
/// The greatest depth that a policy may allow: what is remembered of an open document grows with it.
pub const DEPTH_MAX: u32 = 1_024;
/// The most names of all objects that are open at one time, where none may be used twice.
pub const NAMES_MAX: usize = 16_384;

impl JsonRules {
    /// Rules that bound nothing but what can be remembered, and count the items of one array.
    #[must_use]
    pub fn only_items(at: JsonPath) -> Self {
        Self { depth: DEPTH_MAX, items: Some(at), ..Self::default() }
    }

    /// The number of a bound; `None` where it has none.
    #[must_use]
    pub fn max(&self, bound: Bound) -> Option<u64> {
        match bound {
            Bound::Depth => Some(self.depth.into()),
            Bound::ValueBytes => self.value.as_ref().map(|rule| rule.bytes),
            Bound::ObjectCount => self.objects.as_ref()?.count,
            Bound::ObjectDepth => self.objects.as_ref()?.depth.map(u64::from),
            Bound::ArrayItems => self.array_items,
            Bound::Members => self.members,
            Bound::StringBytes => self.string_bytes,
            Bound::NameBytes => self.name_bytes,
            Bound::DuplicateNames => None,
        }
    }
}

impl Default for JsonRules {
    fn default() -> Self {
        Self {
            depth: DEPTH_USUAL,
            value: None,
            objects: None,
            array_items: None,
            members: None,
            string_bytes: None,
            name_bytes: None,
            refuse_duplicate_names: false,
            items: None,
        }
    }
}
