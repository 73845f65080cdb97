//! Shared data: one map for all workers of the proxy, changed only by compare-and-swap.

use super::fault::Fault;

pub mod cell;
pub mod predictor;

/// What a value was when it was read. It must be given back to change that value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u32);

impl Version {
    /// There was no value: the swap creates it, and conflicts if another worker did meanwhile.
    ///
    /// Envoy overwrites without a check where no version is given, and creates under *any* version
    /// where there is no value. It counts versions up from 1 for the whole process, so the greatest
    /// comes up once in four billion writes.
    pub const ABSENT: Self = Self(u32::MAX);

    /// The host's own number for a value that is there.
    #[must_use]
    pub const fn of(cas: u32) -> Self {
        Self(cas)
    }

    /// The number for the host.
    #[must_use]
    pub const fn cas(self) -> u32 {
        self.0
    }
}

/// How a swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The value is stored.
    Done,
    /// Another worker wrote first: read again and evaluate again.
    Conflict,
}

/// A map from short keys to values, shared by all workers.
pub trait SharedData {
    /// The value, empty where there is none, and its version.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault>;

    /// Stores `value` if nobody wrote since `seen`.
    ///
    /// # Errors
    /// [`Fault`] if the host fails; a conflict is no error.
    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault>;

    /// The version of what this worker stored last, where no other worker wrote anything at that
    /// moment; then a swap that has seen it saves a read. Where another did, it is the version of
    /// nothing that is stored under that key, now or later. `None` where the host does not say.
    fn predicted(&self) -> Option<Version> {
        None
    }
}
