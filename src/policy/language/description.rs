//! Declarations as data, for the schema and the reference. The filter does not contain this.

use serde_json::Value as Json;

use super::key::{Optional, Required};
use super::kind::{Boolean, Choice, Count32, Count64, OrList, OrMap};
use super::{Constraint, Either, Key, Kind, MapField, Or, Words};
use crate::policy::reader::UniqueItems;

/// A mapping.
pub(crate) struct Description {
    /// Its name in the schema.
    pub(crate) name: &'static str,
    /// Its text, line by line.
    pub(crate) doc: &'static [&'static str],
    /// All keys.
    pub(crate) keys: Vec<KeyDescription>,
    /// Other keys, which the operator chooses.
    pub(crate) rest: Option<Rest>,
    /// The constraints between the keys.
    pub(crate) constraints: &'static [Constraint],
    /// The same, for constraints that readers verify in code: members of `allOf`.
    pub(crate) schema: Vec<Json>,
}

/// A key.
pub(crate) struct KeyDescription {
    /// As it is written.
    pub(crate) name: &'static str,
    /// Its meaning, line by line.
    pub(crate) doc: &'static [&'static str],
    /// Its values.
    pub(crate) shape: Shape,
    /// Its default.
    pub(crate) stated: Stated,
}

/// The default of a key.
pub(crate) enum Stated {
    /// An error.
    Required,
    /// This, in words.
    Optional(&'static str),
    /// This value.
    Default(Json),
}

/// Keys that the operator chooses.
pub(crate) struct Rest {
    /// The noun for them, in the reference.
    pub(crate) key: &'static str,
    /// The meaning of each.
    pub(crate) doc: &'static str,
    /// The allowed keys.
    pub(crate) names: Names,
    /// The values.
    pub(crate) shape: Shape,
    /// The fewest and the most entries, if a bound applies.
    pub(crate) count: (Option<usize>, Option<usize>),
    /// The effect of an absent one, for the reference.
    pub(crate) absent: &'static str,
    /// Keys among these with a special meaning.
    pub(crate) words: Vec<KeyDescription>,
}

/// The allowed keys that the operator chooses.
pub(crate) enum Names {
    /// A name, except for these words.
    But(&'static [&'static str]),
    /// Any text of up to this many bytes.
    Text(usize),
    /// The name of a header of an answer.
    Settable,
    /// The name of a tag, except for these words.
    Tag(&'static [&'static str]),
}

/// [`super::Mapping::description`] of a mapping: not yet called, because mappings contain others.
pub(crate) type Describe = fn() -> Description;

/// The values of a key.
pub(crate) enum Shape {
    /// A whole number in this range.
    Count { min: u64, max: u64 },
    /// `true` or `false`.
    Boolean,
    /// `true`.
    True,
    /// One of these words.
    Choice(Vec<WordDescription>),
    /// A string.
    Text(TextFormat),
    /// A list.
    List {
        min: usize,
        max: usize,
        unique: bool,
        of: Box<Shape>,
    },
    /// A map.
    Map(Describe),
    /// One of these.
    Either(Vec<Shape>),
    /// A map whose form follows from the key that is present next to the list that it is in.
    BySibling(Vec<(&'static str, Describe)>),
}

/// A word of a choice.
pub(crate) struct WordDescription {
    /// As it is written.
    pub(crate) text: &'static str,
    /// Its meaning, line by line.
    pub(crate) doc: &'static [&'static str],
}

impl WordDescription {
    /// All words of a choice.
    pub(super) fn all<T: Words>() -> Vec<Self> {
        let words = T::WORDS.iter().zip(T::DOCS);
        words.map(|(text, doc)| Self { text, doc }).collect()
    }
}

/// The form of a string.
#[derive(Default)]
pub(crate) struct TextFormat {
    /// Its name in the schema; empty if it is written inline.
    pub(crate) name: &'static str,
    /// Its description, for the schema.
    pub(crate) doc: &'static str,
    /// Its description, for the reference.
    pub(crate) values: &'static str,
    /// Several of them, for the reference.
    pub(crate) plural: &'static str,
    /// A regular expression.
    pub(crate) pattern: Option<String>,
    /// All values, if they can be listed.
    pub(crate) words: Vec<&'static str>,
    /// Values that the pattern allows and the language does not.
    pub(crate) but: Vec<&'static str>,
    /// The fewest and the most bytes, if no pattern says so.
    pub(crate) bytes: (Option<usize>, Option<usize>),
    /// Examples.
    pub(crate) examples: &'static [&'static str],
}

/// How a default is written.
pub(crate) trait Show<T> {
    /// The value in a document.
    fn show(value: &T) -> Json;
}

impl<const MIN: u32, const MAX: u32> Show<u32> for Count32<MIN, MAX> {
    fn show(value: &u32) -> Json {
        (*value).into()
    }
}

impl<const MIN: u64, const MAX: u64> Show<u64> for Count64<MIN, MAX> {
    fn show(value: &u64) -> Json {
        (*value).into()
    }
}

impl Show<bool> for Boolean {
    fn show(value: &bool) -> Json {
        (*value).into()
    }
}

impl<T: Words> Show<T> for Choice<T> {
    fn show(value: &T) -> Json {
        let number = T::VALUES.iter().position(|known| known == value);
        number
            .and_then(|number| T::WORDS.get(number).copied())
            .into()
    }
}

impl<K: Show<V>, V, M> Show<Either<V, MapField<'static, M>>> for OrMap<K, M> {
    fn show(value: &Either<V, MapField<'static, M>>) -> Json {
        match value {
            Either::One(value) => K::show(value),
            Either::Other(_) => Json::Null,
        }
    }
}

impl<K: Show<V>, V, L: Kind, const MAX: usize> Show<Either<V, UniqueItems<'static, L>>>
    for OrList<K, L, MAX>
{
    fn show(value: &Either<V, UniqueItems<'static, L>>) -> Json {
        match value {
            Either::One(value) => K::show(value),
            Either::Other(_) => Json::Null,
        }
    }
}

/// The description of a key's presence, for the kind `K`.
pub(crate) trait State<K> {
    /// `absent` is the effect of an absent optional key.
    fn stated(&self, absent: &'static str) -> Stated;
}

impl<K> State<K> for Required {
    fn stated(&self, _: &'static str) -> Stated {
        Stated::Required
    }
}

impl<K> State<K> for Optional {
    fn stated(&self, absent: &'static str) -> Stated {
        Stated::Optional(absent)
    }
}

impl<K: Show<T>, T> State<K> for Or<T> {
    fn stated(&self, _: &'static str) -> Stated {
        Stated::Default(K::show(&self.0))
    }
}

impl<M, K: Kind, P: State<K>> Key<M, K, P> {
    /// The key as data.
    pub(super) fn describe(
        &self,
        doc: &'static [&'static str],
        absent: &'static str,
    ) -> KeyDescription {
        KeyDescription {
            name: self.name,
            doc,
            shape: K::shape(),
            stated: self.presence.stated(absent),
        }
    }
}
