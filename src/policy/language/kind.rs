//! Kinds of values: how each is read, and how it is described.

use std::marker::PhantomData;

use super::{Field, MapField, Mapping, Words};
#[cfg(not(target_arch = "wasm32"))]
use super::{Shape, WordDescription};
use crate::policy::document::Value;
use crate::policy::reader::{Items, UniqueItems, Values};

/// A kind of value.
pub(crate) trait Kind {
    /// The type that a value is read as.
    type Value<'a>;

    /// Reads a value; `None` if it has an error, which is noted.
    fn read(field: Field<'_>) -> Option<Self::Value<'_>>;

    /// Its description in the schema and the reference.
    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape;
}

/// A whole number of 32 bits.
pub(crate) struct Count32<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> Kind for Count32<MIN, MAX> {
    type Value<'a> = u32;

    fn read(field: Field<'_>) -> Option<u32> {
        field.count(MIN, MAX)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Count {
            min: MIN.into(),
            max: MAX.into(),
        }
    }
}

/// A whole number of 64 bits.
pub(crate) struct Count64<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Kind for Count64<MIN, MAX> {
    type Value<'a> = u64;

    fn read(field: Field<'_>) -> Option<u64> {
        field.count(MIN, MAX)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Count { min: MIN, max: MAX }
    }
}

/// `true` or `false`.
pub(crate) struct Boolean;

impl Kind for Boolean {
    type Value<'a> = bool;

    fn read(field: Field<'_>) -> Option<bool> {
        field.boolean()
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Boolean
    }
}

/// `true`. The reader of the key states the error about anything else.
pub(crate) struct True;

impl Kind for True {
    type Value<'a> = Field<'a>;

    fn read(field: Field<'_>) -> Option<Field<'_>> {
        Some(field)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::True
    }
}

/// `true`, or a value of the kind `K`. The reader of the key states the error about `false`.
pub(crate) struct TrueOr<K>(PhantomData<K>);

impl<K: Kind> Kind for TrueOr<K> {
    type Value<'a> = Either<bool, K::Value<'a>>;

    fn read(field: Field<'_>) -> Option<Self::Value<'_>> {
        match &field.node.value {
            Value::Bool(is_true) => Some(Either::One(*is_true)),
            Value::Null | Value::Number(_) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                K::read(field).map(Either::Other)
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![Shape::True, K::shape()])
    }
}

/// One of the words of `T`.
pub(crate) struct Choice<T>(PhantomData<T>);

impl<T: Words> Kind for Choice<T> {
    type Value<'a> = T;

    fn read(field: Field<'_>) -> Option<T> {
        field.choice()
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Choice(WordDescription::all::<T>())
    }
}

/// A map with the keys of `M`.
pub(crate) struct Map<M>(PhantomData<M>);

impl<M: Mapping> Kind for Map<M> {
    type Value<'a> = MapField<'a, M>;

    fn read(field: Field<'_>) -> Option<MapField<'_, M>> {
        field.map()
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Map(M::description)
    }
}

/// A list.
pub(crate) struct List<K, const MIN: usize, const MAX: usize>(PhantomData<K>);

impl<K: Kind, const MIN: usize, const MAX: usize> Kind for List<K, MIN, MAX> {
    type Value<'a> = Items<'a, K>;

    fn read(field: Field<'_>) -> Option<Items<'_, K>> {
        Items::of(field, MIN, MAX)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::List {
            min: MIN,
            max: MAX,
            unique: false,
            of: Box::new(K::shape()),
        }
    }
}

/// A list without duplicates.
pub(crate) struct Set<K, const MIN: usize, const MAX: usize>(PhantomData<K>);

impl<K: Kind, const MIN: usize, const MAX: usize> Kind for Set<K, MIN, MAX> {
    type Value<'a> = UniqueItems<'a, K>;

    fn read(field: Field<'_>) -> Option<UniqueItems<'_, K>> {
        Items::of(field, MIN, MAX).map(UniqueItems)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::List {
            min: MIN,
            max: MAX,
            unique: true,
            of: Box::new(K::shape()),
        }
    }
}

/// One value, or a list of up to `MAX` without duplicates.
pub(crate) struct OneOrMany<K, const MAX: usize>(PhantomData<K>);

impl<K: Kind, const MAX: usize> Kind for OneOrMany<K, MAX> {
    type Value<'a> = Values<'a, K>;

    fn read(field: Field<'_>) -> Option<Values<'_, K>> {
        match &field.node.value {
            Value::List(_) => Set::<K, 1, MAX>::read(field).map(Values::Many),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
                Some(Values::One(field))
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![K::shape(), Set::<K, 1, MAX>::shape()])
    }
}

/// A value of one of two kinds.
pub(crate) enum Either<A, B> {
    /// Of the first.
    One(A),
    /// Of the second.
    Other(B),
}

/// One of the words of `W`, or a value of the kind `K`, whose reader states the error about any
/// other word.
pub(crate) struct WordOr<W, K>(PhantomData<(W, K)>);

impl<W: Words, K: Kind> Kind for WordOr<W, K> {
    type Value<'a> = Either<W, K::Value<'a>>;

    fn read(field: Field<'_>) -> Option<Self::Value<'_>> {
        match &field.node.value {
            Value::String(text) if W::WORDS.contains(&&**text) => field.choice().map(Either::One),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => K::read(field).map(Either::Other),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![K::shape(), Choice::<W>::shape()])
    }
}

/// A value of the kind `K`, or a map with the keys of `M`.
pub(crate) struct OrMap<K, M>(PhantomData<(K, M)>);

impl<K: Kind, M: Mapping> Kind for OrMap<K, M> {
    type Value<'a> = Either<K::Value<'a>, MapField<'a, M>>;

    fn read(field: Field<'_>) -> Option<Self::Value<'_>> {
        match &field.node.value {
            Value::Map(_) => field.map().map(Either::Other),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {
                K::read(field).map(Either::One)
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![K::shape(), Shape::Map(M::description)])
    }
}

/// A value of the kind `K`, or a list of values of the kind `L` without duplicates.
pub(crate) struct OrList<K, L, const MAX: usize>(PhantomData<(K, L)>);

impl<K: Kind, L: Kind, const MAX: usize> Kind for OrList<K, L, MAX> {
    type Value<'a> = Either<K::Value<'a>, UniqueItems<'a, L>>;

    fn read(field: Field<'_>) -> Option<Self::Value<'_>> {
        match &field.node.value {
            Value::List(_) => Set::<L, 1, MAX>::read(field).map(Either::Other),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
                K::read(field).map(Either::One)
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![K::shape(), Set::<L, 1, MAX>::shape()])
    }
}
