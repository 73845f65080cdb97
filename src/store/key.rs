//! The place of a counter: a page, and a fingerprint within it, from a keyed hash.
//!
//! The secret is drawn once per proxy, so that no client can aim its keys at another's page.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::base::id::{CounterOwner, PerOwner};
use crate::base::invariant::invariant;

/// The place of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The page's number in its table.
    pub page: u32,
    /// Distinguishes the records of one page, and those of one limit from those of others
    /// ([`class`]).
    pub fingerprint: u64,
}

impl Key {
    /// The place of the lock of this counter: another record of the same limit on the same page.
    #[must_use]
    pub const fn lock(self) -> Self {
        Self {
            fingerprint: self.fingerprint ^ LOCK_BITS,
            ..self
        }
    }
}

impl Key {
    /// The place of the counter by which this proxy counts on its own while the engine of this
    /// counter is unavailable.
    #[must_use]
    pub const fn share(self) -> Self {
        Self {
            fingerprint: self.fingerprint ^ SHARE_BITS,
            ..self
        }
    }
}

impl Key {
    /// The places of all records of this counter, which are on one page.
    #[must_use]
    pub const fn records(self) -> [Self; 3] {
        [self, self.lock(), self.share()]
    }
}

/// Distinguishes the fingerprint of a proxy's own share from that of its counter.
const SHARE_BITS: u64 = 0x3333_3333_3333;

/// Distinguishes the fingerprint of a lock from that of its counter.
const LOCK_BITS: u64 = 0x5555_5555_5555;

/// The bits of a fingerprint that all records of one limit have in common.
const CLASS_BITS: u64 = 0xffff << 48;

/// Distinguishes the records of one limit from those of others. Two limits have the same class by
/// chance once in 65,536.
#[must_use]
pub const fn class(fingerprint: u64) -> u64 {
    fingerprint & CLASS_BITS
}

/// Sixteen random bytes that all workers of one proxy share.
pub type Secret = [u8; 16];

/// Makes keys for one table.
#[derive(Clone, Copy, Debug)]
pub struct KeyMaker {
    hasher: SipHasher13,
    pages: u32,
}

/// The hash of one partition, fed part by part.
#[derive(Clone, Debug)]
pub struct PartialKey {
    hasher: SipHasher13,
    pages: u32,
    class: u64,
}

/// The beginnings of the keys of all limits of a policy.
#[derive(Debug)]
pub struct LimitKeys(PerOwner<PartialKey>);

impl LimitKeys {
    /// Of limits and seat limits with these identities.
    #[must_use]
    pub fn new(maker: &KeyMaker, identities: &PerOwner<&[u8]>) -> Self {
        Self(PerOwner {
            limits: identities
                .limits
                .iter()
                .map(|identity| maker.partition(identity))
                .collect(),
            seats: identities
                .seats
                .iter()
                .map(|identity| maker.partition(identity))
                .collect(),
        })
    }

    /// Begins the key of one partition of this limit or seat limit.
    #[must_use]
    pub fn partition(&self, owner: CounterOwner) -> Option<PartialKey> {
        invariant(self.0.get(owner), "each limit and seat limit has a key").cloned()
    }
}

impl KeyMaker {
    /// Keys for a table of `pages` pages, at least one.
    #[must_use]
    pub fn new(secret: &Secret, pages: u32) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(secret),
            pages: pages.max(1),
        }
    }

    /// Begins the key of one partition of the limit that `identity` names.
    #[must_use]
    pub fn partition(&self, identity: &[u8]) -> PartialKey {
        let mut key = PartialKey {
            hasher: self.hasher,
            pages: self.pages,
            class: 0,
        };
        key.push(Some(identity));
        key.class = class(key.hasher.finish128().h2);
        key
    }
}

impl PartialKey {
    /// Adds one value; `None`, if a caller has none, differs from every value.
    pub fn push(&mut self, value: Option<&[u8]>) {
        // The length keeps ("ab", "c") apart from ("a", "bc"), and absent apart from empty.
        let length = value.map_or(u64::MAX, |value| {
            u64::try_from(value.len()).unwrap_or(u64::MAX)
        });
        self.hasher.write_u64(length);
        self.hasher.write(value.unwrap_or_default());
    }

    /// The finished key.
    #[must_use]
    pub fn finish(&self) -> Key {
        let hash = self.hasher.finish128();
        // The upper half of a product maps the hash onto the pages without a division.
        let page = u128::from(hash.h1).saturating_mul(u128::from(self.pages)) >> 64;
        let page = invariant(
            u32::try_from(page).ok(),
            "a page's number is below the number of pages",
        );
        Key {
            page: page.unwrap_or_default(),
            fingerprint: self.class | (hash.h2 & !CLASS_BITS),
        }
    }
}
