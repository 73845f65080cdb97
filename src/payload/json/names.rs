//! The names in the open objects: a hash of each, distinct for each object.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

use super::breach::Breach;

/// The most names kept at one time, for the members of all open objects: at most 430 KB, and none
/// if duplicates are allowed.
pub const NAMES_MAX: u64 = 16_384;

#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Keyed, so that no client can make two names collide.
    key: SipHasher13,
    /// The hash of the current name.
    hasher: SipHasher13,
    seen: HashSet<u64, BuildHasherDefault<IdentityHasher>>,
    /// All names, the innermost object's last.
    open: Vec<u64>,
}

impl Names {
    /// Begins without an open object.
    pub(super) fn new(seed: u64) -> Self {
        let key = SipHasher13::new_with_keys(seed, 0);
        Self {
            key,
            hasher: key,
            seen: HashSet::default(),
            open: Vec::new(),
        }
    }

    /// Begins the name of a member of the object at `depth`, the only open object at that depth.
    pub(super) fn begin(&mut self, depth: usize) {
        self.hasher = self.key;
        self.hasher.write_u64(depth as u64);
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.hasher.write(piece);
    }

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

    /// Forgets the innermost object, which has this many members.
    pub(super) fn close(&mut self, members: u64) {
        let kept = (self.open.len() as u64).saturating_sub(members);
        for hash in self.open.drain(usize::try_from(kept).unwrap_or_default()..) {
            self.seen.remove(&hash);
        }
    }
}

/// Uses a hash as it is.
#[derive(Clone, Copy, Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `u64` is looked up; another key would still be found, but slowly.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

impl Names {
    /// The bytes kept. Per entry, the set has one byte more, and eight entries for seven names.
    pub(super) fn memory(&self) -> usize {
        let cursors = self.seen.capacity().saturating_mul(8) / 7;
        self.open
            .capacity()
            .saturating_mul(8)
            .saturating_add(cursors.saturating_mul(9))
    }
}
