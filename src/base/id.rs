//! Numbers of the parts of a policy: one type for each kind, so that they cannot be confused.

use std::marker::PhantomData;
use std::ops::Deref;

/// A number, from 0 without gaps, of one kind of part.
pub trait Id: Copy {
    /// The id with this number.
    fn new(number: u16) -> Self;
    /// Its place in an [`IdVec`].
    fn index(self) -> usize;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// The first of its kind.
            pub const FIRST: Self = Self(0);
        }

        impl Id for $name {
            fn new(number: u16) -> Self {
                Self(number)
            }

            fn index(self) -> usize {
                self.0.into()
            }
        }
    )* };
}

ids! {
    /// Identifies a limit.
    LimitId
    /// Identifies a concurrency limit.
    PoolId
    /// Identifies a seat limit.
    SeatId
    /// Identifies a payload limit.
    PayloadId
    /// Identifies an exemption.
    ExemptionId
    /// Identifies a denial.
    DenialId
    /// Identifies a tier.
    TierId
    /// Identifies a way to present a credential.
    CredentialId
}

/// The owner of a counter. Limits are before seat limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CounterOwner {
    /// A limit.
    Limit(LimitId),
    /// A seat limit.
    Seats(SeatId),
}

/// A vector that is indexed by one kind of id.
#[derive(Clone, Debug)]
pub struct IdVec<I, T> {
    items: Vec<T>,
    id: PhantomData<I>,
}

impl<I: Id, T> IdVec<I, T> {
    /// The item with this id.
    #[must_use]
    pub fn get(&self, id: I) -> Option<&T> {
        self.items.get(id.index())
    }

    /// The ids of all items, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = I> + use<I, T> {
        // The readers accept fewer items of one kind than an id can number.
        (0..=u16::MAX).take(self.items.len()).map(I::new)
    }

    /// All items, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut()
    }

    /// All items with their ids, in order.
    pub fn entries(&self) -> impl Iterator<Item = (I, &T)> {
        self.ids().zip(&self.items)
    }
}

impl<I, T> Default for IdVec<I, T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<I, T> Deref for IdVec<I, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<I, T> From<Vec<T>> for IdVec<I, T> {
    fn from(items: Vec<T>) -> Self {
        Self {
            items,
            id: PhantomData,
        }
    }
}

impl<I, T> From<IdVec<I, T>> for Vec<T> {
    fn from(items: IdVec<I, T>) -> Self {
        items.items
    }
}

impl<I, T> FromIterator<T> for IdVec<I, T> {
    fn from_iter<A: IntoIterator<Item = T>>(items: A) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<'a, I, T> IntoIterator for &'a IdVec<I, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// One item for each limit and for each seat limit.
#[derive(Clone, Debug)]
pub struct PerOwner<T> {
    /// By limit.
    pub limits: IdVec<LimitId, T>,
    /// By seat limit.
    pub seats: IdVec<SeatId, T>,
}

impl<T> PerOwner<T> {
    /// The item of this limit or seat limit.
    #[must_use]
    pub fn get(&self, owner: CounterOwner) -> Option<&T> {
        match owner {
            CounterOwner::Limit(id) => self.limits.get(id),
            CounterOwner::Seats(id) => self.seats.get(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_finds_its_item() {
        let names: IdVec<LimitId, &str> = ["a", "b"].into_iter().collect();
        let entries: Vec<(LimitId, &&str)> = names.entries().collect();
        assert_eq!(entries, [(LimitId::new(0), &"a"), (LimitId::new(1), &"b")]);
        assert!(
            entries
                .iter()
                .all(|(id, name)| names.get(*id) == Some(*name))
        );
        assert_eq!(names.get(LimitId::new(2)), None);
    }

    #[test]
    fn limits_come_before_seat_limits() {
        assert!(CounterOwner::Limit(LimitId::new(9)) < CounterOwner::Seats(SeatId::new(0)));
        let per = PerOwner {
            limits: IdVec::from(vec!["a"]),
            seats: IdVec::from(vec!["b"]),
        };
        assert_eq!(per.get(CounterOwner::Limit(LimitId::new(0))), Some(&"a"));
        assert_eq!(per.get(CounterOwner::Seats(SeatId::new(0))), Some(&"b"));
    }
}
