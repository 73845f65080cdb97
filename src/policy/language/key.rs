//! The parts of a declaration: a mapping, its keys, the words of a choice, and the constraints
//! between keys.

use std::marker::PhantomData;

#[cfg(not(target_arch = "wasm32"))]
use super::Description;

/// A mapping of the language. [`mapping!`] implements it.
pub(crate) trait Mapping: 'static {
    /// An example, for the error about another kind of value.
    const FORM: &'static str;
    /// All keys, in the order in which errors list them.
    const KEYS: &'static [&'static str];
    /// Whether it has keys that the operator chooses, such as names of attributes.
    const OPEN: bool;
    /// The constraints between its keys.
    const CONSTRAINTS: &'static [Constraint];

    /// Its description in the schema and the reference.
    #[cfg(not(target_arch = "wasm32"))]
    fn description() -> Description;
}

/// A key of the mapping `M`, whose value is of the kind `K`.
pub(crate) struct Key<M, K, P> {
    /// As it is written.
    pub(crate) name: &'static str,
    /// Its default.
    pub(crate) presence: P,
    types: PhantomData<fn() -> (M, K)>,
}

impl<M, K, P> Key<M, K, P> {
    /// Used by [`mapping!`], so that every key belongs to a mapping.
    pub(super) const fn new(name: &'static str, presence: P) -> Self {
        Self {
            name,
            presence,
            types: PhantomData,
        }
    }
}

/// The key must be present.
pub(crate) struct Required;

/// The key may be absent.
pub(crate) struct Optional;

/// This value applies if the key is absent.
pub(crate) struct Or<T>(pub(crate) T);

/// Whether a key must be present.
pub(crate) trait Presence {
    /// Whether its absence is an error.
    const REQUIRED: bool = false;
}

impl Presence for Required {
    const REQUIRED: bool = true;
}

impl Presence for Optional {}

impl<T> Presence for Or<T> {}

/// The result of the reader of a key whose value is read as a `T`.
pub(crate) trait Fills<T>: Presence {
    /// `Option<T>` if the key may be absent, otherwise `T`.
    type Out;

    /// For a value that is present.
    fn present(value: T) -> Self::Out;

    /// For a key that is absent; `None` if that is an error.
    fn absent(self) -> Option<Self::Out>;
}

impl<T> Fills<T> for Required {
    type Out = T;

    fn present(value: T) -> T {
        value
    }

    fn absent(self) -> Option<T> {
        None
    }
}

impl<T> Fills<T> for Optional {
    type Out = Option<T>;

    fn present(value: T) -> Option<T> {
        Some(value)
    }

    fn absent(self) -> Option<Option<T>> {
        Some(None)
    }
}

impl<T> Fills<T> for Or<T> {
    type Out = T;

    fn present(value: T) -> T {
        value
    }

    fn absent(self) -> Option<T> {
        Some(self.0)
    }
}

/// A choice between words. [`words!`] implements it.
pub(crate) trait Words: Copy + PartialEq + 'static {
    /// The noun for the words, with an article, for the error about another word.
    const NOUN: &'static str;
    /// All words, as they are written.
    const WORDS: &'static [&'static str];
    /// The value of each word.
    const VALUES: &'static [Self];
    /// The meaning of each, line by line.
    #[cfg(not(target_arch = "wasm32"))]
    const DOCS: &'static [&'static [&'static str]];
}

/// A constraint between the keys of a mapping. `because` is the error's name for the missing key.
pub(crate) enum Constraint {
    /// Exactly one of these keys is present.
    ExactlyOne(&'static [&'static str]),
    /// At least one of these keys is present; otherwise the mapping limits nothing.
    LimitsOne(&'static [&'static str]),
    /// At least one of these keys is present; otherwise the override changes nothing.
    ChangesOne(&'static [&'static str]),
    /// At least one entry is present.
    NotEmpty,
    /// `key` requires `other`.
    Requires {
        key: &'static str,
        other: &'static str,
        because: &'static str,
    },
    /// `key` and `other` exclude each other.
    Excludes {
        key: &'static str,
        other: &'static str,
        because: &'static str,
    },
    /// `keys` do not apply if `key` is one of `words`.
    Without {
        key: &'static str,
        words: &'static [&'static str],
        keys: &'static [&'static str],
        because: &'static str,
    },
}

/// Declares a mapping of the language: a type, a constant for each key, and a [`Mapping`].
///
/// ```text
/// mapping! {
///     /// Its description, for the schema.
///     Queue "{ length: 10, timeout: 5s }"          an example, for an error
///     constraints [Constraint::NotEmpty]                       optional
///     {
///         /// The meaning of the key, for the schema and the reference. Markdown.
///         LENGTH "length": Count32<0, 1_000>, required;
///         ORDER "order": Choice<Order>, default Order::First;
///         FOR "for": Map<Selector>, optional "every request";
///     }
///     rest Rest { … };                             other keys, which the operator chooses
///     schema vec![json!({ … })];                   constraints verified in code
/// }
/// ```
///
/// The text after `optional` states the default.
macro_rules! mapping {
    (
        $(#[doc = $doc:literal])+
        $name:ident $form:literal
        $(constraints [$($constraint:expr),+ $(,)?])?
        {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident $text:literal: $kind:ty, $presence:ident $($argument:expr)?;
            )*
        }
        $(rest $rest:expr;)?
        $(schema $schema:expr;)?
    ) => {
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl $name {
            $(
                $(#[doc = $key_doc])+
                pub(crate) const $key: $crate::policy::language::Key<
                    Self,
                    $kind,
                    mapping!(@type $presence $kind),
                > = $crate::policy::language::Key::new(
                    $text,
                    mapping!(@value $presence $($argument)?),
                );
            )*
        }

        impl $crate::policy::language::Mapping for $name {
            const FORM: &'static str = $form;
            const KEYS: &'static [&'static str] = &[$($text),*];
            const OPEN: bool = mapping!(@open $($rest)?);
            const CONSTRAINTS: &'static [$crate::policy::language::Constraint] =
                &[$($($constraint),+)?];

            #[cfg(not(target_arch = "wasm32"))]
            fn description() -> $crate::policy::language::Description {
                $crate::policy::language::Description {
                    name: stringify!($name),
                    doc: &[$($doc),+],
                    keys: vec![
                        $(Self::$key.describe(
                            &[$($key_doc),+],
                            mapping!(@absent $presence $($argument)?),
                        )),*
                    ],
                    rest: mapping!(@some $($rest)?),
                    constraints: Self::CONSTRAINTS,
                    schema: mapping!(@list $($schema)?),
                }
            }
        }
    };
    (@type required $kind:ty) => { $crate::policy::language::key::Required };
    (@type optional $kind:ty) => { $crate::policy::language::key::Optional };
    (@type default $kind:ty) => {
        $crate::policy::language::Or<<$kind as $crate::policy::language::Kind>::Value<'static>>
    };
    (@value required) => { $crate::policy::language::key::Required };
    (@value optional $absent:expr) => { $crate::policy::language::key::Optional };
    (@value default $value:expr) => { $crate::policy::language::Or($value) };
    (@absent optional $absent:expr) => { $absent };
    (@absent $presence:ident $($value:expr)?) => { "" };
    (@open) => { false };
    (@open $rest:expr) => { true };
    (@some) => { None };
    (@some $rest:expr) => { Some($rest) };
    (@list) => { Vec::new() };
    (@list $schema:expr) => { $schema };
}

/// Declares the words of a choice, with the meaning of each.
macro_rules! words {
    (
        $kind:ty, $noun:literal {
            $($(#[doc = $doc:literal])+ $text:literal => $value:expr),+ $(,)?
        }
    ) => {
        impl $crate::policy::language::Words for $kind {
            const NOUN: &'static str = $noun;
            const WORDS: &'static [&'static str] = &[$($text),+];
            const VALUES: &'static [Self] = &[$($value),+];
            #[cfg(not(target_arch = "wasm32"))]
            const DOCS: &'static [&'static [&'static str]] = &[$(&[$($doc),+]),+];
        }
    };
}

pub(super) use {mapping, words};
