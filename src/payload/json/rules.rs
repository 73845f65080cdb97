//! What a JSON body must keep to. A rule that is `None` bounds nothing.

use super::path::JsonPath;

/// How deeply arrays and objects may nest where a policy does not say.
pub const DEPTH_DEFAULT: u32 = 128;

/// The most that a policy may allow: a meter keeps 16 bytes for each level.
pub const DEPTH_MAX: u32 = 1024;

/// Most conditions of one rule.
pub const CONDITIONS_MAX: usize = 8;

/// Most bytes of a condition's name, and of its text.
pub const CONDITION_BYTES_MAX: usize = 256;

/// The rules of one policy for a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// The most arrays and objects in one another: a scalar has none, `[]` is 1. Above [`DEPTH_MAX`]
    /// counts as that.
    pub depth: u32,
    /// The length of the value at one place.
    pub value: Option<ValueRule>,
    /// The objects of one kind.
    pub objects: Option<ObjectsRule>,
    /// The most items of any array.
    pub array_items: Option<u64>,
    /// The most members of any object, duplicates included.
    pub members: Option<u64>,
    /// The most bytes of any string that is a value: of its text in UTF-8, after its escapes are
    /// undone.
    pub string_bytes: Option<u64>,
    /// The same of the names of members.
    pub name_bytes: Option<u64>,
    /// What becomes of an object with two members of one name.
    pub duplicate_names: DuplicateNames,
    /// Where the array is whose items are counted.
    pub items: Option<JsonPath>,
}

/// How long one value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRule {
    /// Where it is. Where names occur twice there may be several: each is measured on its own.
    pub at: JsonPath,
    /// The most bytes as sent, from its first to its last; white space within it counts.
    pub bytes: u64,
}

/// How many objects of one kind there may be, and how deeply in one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsRule {
    /// Which objects.
    pub conditions: Conditions,
    /// Only those below this value; it is not one of them itself.
    pub below: JsonPath,
    /// The most of them.
    pub count: Option<u64>,
    /// The most of them in one another, whatever else is in between: one that contains none is 1.
    pub depth: Option<u32>,
}

/// What an object must have to be one of a kind: for each condition a member of that name whose value
/// is that string, in whatever escapes. Of members of one name any may be it. No condition: every
/// object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    name: Box<[u8]>,
    text: Box<[u8]>,
}

/// What becomes of an object with two members of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateNames {
    /// It passes.
    Allow,
    /// It is refused. Names are told apart by a keyed hash of 64 bits, so two different ones are taken
    /// for the same once in 2^64. A policy that says this bounds `members` too, by at most
    /// [`NAMES_MAX`](super::NAMES_MAX).
    Refuse,
}

impl JsonRules {
    /// Rules that bound nothing but what can be remembered, and count the items of one array.
    #[must_use]
    pub fn only_items(at: JsonPath) -> Self {
        Self { depth: DEPTH_MAX, items: Some(at), ..Self::default() }
    }
}

impl Default for JsonRules {
    /// Valid, and nested no deeper than [`DEPTH_DEFAULT`].
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

impl Conditions {
    /// Pairs of a name and a text; `None` where there are more than [`CONDITIONS_MAX`], or one is
    /// longer than [`CONDITION_BYTES_MAX`].
    #[must_use]
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let condition = |(name, text): (&str, &str)| Condition {
            name: name.as_bytes().into(), //
            text: text.as_bytes().into(),
        };
        let conditions: Vec<Condition> = pairs.into_iter().map(condition).collect();
        let short = |text: &[u8]| text.len() <= CONDITION_BYTES_MAX;
        let bounded = conditions.iter().all(|condition| short(&condition.name) && short(&condition.text));
        (conditions.len() <= CONDITIONS_MAX && bounded).then_some(Self { conditions })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.conditions.len()
    }

    /// The name that the condition at `index` asks for.
    pub(super) fn name(&self, index: usize) -> Option<&[u8]> {
        self.conditions.get(index).map(|condition| &*condition.name)
    }

    /// The text that the condition at `index` asks for.
    pub(super) fn text(&self, index: usize) -> Option<&[u8]> {
        self.conditions.get(index).map(|condition| &*condition.text)
    }
}
