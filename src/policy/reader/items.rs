//! Lists, element by element.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::Field;
use crate::policy::document::Node;
use crate::policy::error::Reason;
use crate::policy::language::Kind;

/// A list whose length fits, with elements of the kind `K`.
pub(crate) struct Items<'a, K> {
    field: Field<'a>,
    nodes: &'a [Node],
    kind: PhantomData<fn() -> K>,
}

impl<'a, K: Kind> Items<'a, K> {
    /// The list of this field, of `min` to `max` elements.
    pub(crate) fn of(field: Field<'a>, min: usize, max: usize) -> Option<Self> {
        Some(Self {
            field,
            nodes: field.list(min, max)?,
            kind: PhantomData,
        })
    }

    /// How many elements it has.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The pointer of the element at `index`.
    pub(crate) fn at(&self, index: usize) -> String {
        self.field.at.index(index).to_string()
    }

    /// All elements, not yet read.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.nodes.iter().enumerate().map(|(index, node)| Field {
            node,
            at: self.field.at.index(index),
            errors: self.field.errors,
        })
    }

    /// The results of `read` for each element; `None` if one has an error. All are read.
    pub(crate) fn each<T>(
        &self,
        mut read: impl for<'s> FnMut(Field<'s>, K::Value<'s>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.each_field(|field| read(field, K::read(field)?))
    }

    /// As [`Items::each`], for elements whose errors concern `read`, too.
    pub(crate) fn each_field<T>(
        &self,
        mut read: impl FnMut(Field<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut all = Vec::with_capacity(self.nodes.len());
        for field in self.fields() {
            all.extend(read(field));
        }
        (all.len() == self.nodes.len()).then_some(all)
    }
}

/// A list of which no two elements may be equal.
pub(crate) struct UniqueItems<'a, K>(pub(crate) Items<'a, K>);

impl<K: Kind> UniqueItems<'_, K> {
    /// As [`Items::each`]. An element that is read as an earlier one is an error.
    pub(crate) fn each<T: Clone + Ord>(
        &self,
        mut read: impl for<'s> FnMut(Field<'s>, K::Value<'s>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut seen = BTreeMap::new();
        self.0.each(|field, value| {
            let value = read(field, value)?;
            match seen.insert(value.clone(), field.at.to_string()) {
                Some(first) => field.refuse(Reason::Duplicate { value: None, first }),
                None => Some(value),
            }
        })
    }
}

/// One value, or a list of values.
pub(crate) enum Values<'a, K> {
    /// One value, not yet read.
    One(Field<'a>),
    /// A list.
    Many(UniqueItems<'a, K>),
}

impl<K: Kind> Values<'_, K> {
    /// As [`UniqueItems::each`].
    pub(crate) fn each<T: Clone + Ord>(
        &self,
        mut read: impl for<'s> FnMut(Field<'s>, K::Value<'s>) -> Option<T>,
    ) -> Option<Vec<T>> {
        match self {
            Self::One(field) => Some(vec![read(*field, K::read(*field)?)?]),
            Self::Many(items) => items.each(read),
        }
    }
}
