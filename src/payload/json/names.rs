//! Which names the open objects have: a hash of each, told apart by object.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

use super::breach::Breach;

/// Most names that are remembered at a time: of the members of all objects that are open. Some 430 KB
/// at the most, and none where duplicates are allowed.
pub const NAMES_MAX: u64 = 16_384;

/// The names of the objects that are open.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Keyed, so that no client can make two names look the same.
    key: SipHasher13,
    /// Of the name that is read.
    hasher: SipHasher13,
    seen: HashSet<u64, BuildHasherDefault<Hashed>>,
    /// All that are seen, the innermost object's last.
    open: Vec<u64>,
}

impl Names {
    /// No object is open.
    pub(super) fn new(seed: u64) -> Self {
        let key = SipHasher13::new_with_keys(seed, 0);
        Self { key, hasher: key, seen: HashSet::default(), open: Vec::new() }
    }

    /// Begins the name of a member of the object at `depth`, which has no other open at that depth.
    pub(super) fn begin(&mut self, depth: usize) {
        self.hasher = self.key;
        self.hasher.write_u64(depth as u64);
    }

    /// Goes on with the name.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.hasher.write(piece);
    }

    /// Ends the name.
    pub(super) fn end(&mut self) -> Result<(), Breach> {
        let hash = self.hasher.finish();
        if !self.seen.insert(hash) {
            return Err(Breach::DuplicateName);
        }
        if self.open.len() as u64 == NAMES_MAX {
            return Err(Breach::Names { limit: NAMES_MAX });
        }
        self.open.push(hash);
        Ok(())
    }

    /// Forgets the innermost object, which has so many members.
    pub(super) fn close(&mut self, members: u64) {
        let kept = (self.open.len() as u64).saturating_sub(members);
        for hash in self.open.drain(usize::try_from(kept).unwrap_or_default()..) {
            self.seen.remove(&hash);
        }
    }
}

/// Takes a hash as it is.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Nothing but a `u64` is looked up; any other key would still be found, if slowly.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

impl Names {
    /// How many bytes are kept; the set has a byte beside each of its places, and eight for seven names.
    pub(super) fn memory(&self) -> usize {
        let places = self.seen.capacity().saturating_mul(8) / 7;
        self.open.capacity().saturating_mul(8).saturating_add(places.saturating_mul(9))
    }
}
