//! The rules for a JSON body. A rule that is `None` has no bound.

use super::path::JsonPath;

/// How deeply arrays and objects may nest if a policy does not state it.
pub const DEPTH_DEFAULT: u32 = 128;

/// The greatest depth that a policy may allow: a meter keeps 16 bytes for each level.
pub const DEPTH_MAX: u32 = 1024;

/// The most conditions of one rule.
pub const CONDITIONS_MAX: usize = 8;

/// The most bytes of a condition's name, and of its text.
pub const CONDITION_BYTES_MAX: usize = 256;

/// A policy's rules for a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// The most nested arrays and objects: a scalar has 0, `[]` has 1. A number above [`DEPTH_MAX`]
    /// counts as that.
    pub depth: u32,
    /// The length of the value at one path.
    pub value: Option<ValueRule>,
    /// The objects of one kind.
    pub objects: Option<ObjectsRule>,
    /// The most items of any array.
    pub array_items: Option<u64>,
    /// The most members of any object, duplicates included.
    pub members: Option<u64>,
    /// The most bytes of any string value, in UTF-8 and without escapes.
    pub string_bytes: Option<u64>,
    /// The same for the names of members.
    pub name_bytes: Option<u64>,
    /// Whether an object may have two members of the same name.
    pub duplicate_names: DuplicateNames,
    /// The array whose items are counted.
    pub items: Option<JsonPath>,
}

/// The largest size of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRule {
    /// The path of the value. Duplicate names may lead to several values: each is measured on its
    /// own.
    pub at: JsonPath,
    /// The most bytes as sent, from its first to its last, including white space within it.
    pub bytes: u64,
}

/// The most objects of one kind, and how deeply they may nest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsRule {
    /// The kind of object.
    pub conditions: Conditions,
    /// Only objects below this value count, and not the value itself.
    pub below: JsonPath,
    /// The most objects.
    pub count: Option<u64>,
    /// The most nested objects, not counting arrays between them. An object without another is 1.
    pub depth: Option<u32>,
}

/// The conditions for the kind of an object: for each, a member of that name whose value is that
/// string, however escaped. If several members have the name, one is enough. Without a condition,
/// every object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    name: Box<[u8]>,
    text: Box<[u8]>,
}

/// Whether an object may have two members of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateNames {
    /// Such an object is allowed.
    Allow,
    /// Such an object is refused. Names are compared by a keyed hash of 64 bits, so two different
    /// names are mistaken for equal once in 2^64. A policy with this rule also bounds `members`, by
    /// at most [`NAMES_MAX`](super::NAMES_MAX).
    Refuse,
}

impl JsonRules {
    /// Rules that count the items of one array, and bound only the memory of a meter.
    #[must_use]
    pub fn only_items(at: JsonPath) -> Self {
        Self {
            depth: DEPTH_MAX,
            items: Some(at),
            ..Self::default()
        }
    }
}

impl Default for JsonRules {
    /// Valid JSON, nested no deeper than [`DEPTH_DEFAULT`].
    fn default() -> Self {
        Self {
            depth: DEPTH_DEFAULT,
            value: None,
            objects: None,
            array_items: None,
            members: None,
            string_bytes: None,
            name_bytes: None,
            duplicate_names: DuplicateNames::Allow,
            items: None,
        }
    }
}

impl Condition {
    fn is_short(&self) -> bool {
        self.name.len() <= CONDITION_BYTES_MAX && self.text.len() <= CONDITION_BYTES_MAX
    }
}

impl From<(&str, &str)> for Condition {
    fn from((name, text): (&str, &str)) -> Self {
        Self {
            name: name.as_bytes().into(),
            text: text.as_bytes().into(),
        }
    }
}

impl Conditions {
    /// Pairs of a name and a text; `None` if there are more than [`CONDITIONS_MAX`], or one is
    /// longer than [`CONDITION_BYTES_MAX`].
    #[must_use]
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let conditions: Vec<Condition> = pairs.into_iter().map(Condition::from).collect();
        let are_short = conditions.iter().all(Condition::is_short);
        (conditions.len() <= CONDITIONS_MAX && are_short).then_some(Self { conditions })
    }

    pub(super) fn len(&self) -> usize {
        self.conditions.len()
    }

    /// The name of the condition at `index`.
    pub(super) fn name(&self, index: usize) -> Option<&[u8]> {
        self.conditions.get(index).map(|condition| &*condition.name)
    }

    /// The text of the condition at `index`.
    pub(super) fn text(&self, index: usize) -> Option<&[u8]> {
        self.conditions.get(index).map(|condition| &*condition.text)
    }
}
