//! Shared data: one map for all workers of the proxy, changed only by compare-and-swap.

use super::fault::Fault;

pub mod cell;
pub mod predictor;

/// The number that the host gives to each write of a value. A swap must state the one that it has
/// seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u32);

impl Version {
    /// The version of a key without a value: the swap creates the value, and conflicts if another
    /// worker has created it meanwhile.
    ///
    /// Envoy overwrites without a check if no version is given, and creates under *any* version
    /// if there is no value. It counts versions up from 1 for the whole process, so the greatest
    /// number is in use once in four billion writes.
    pub const ABSENT: Self = Self(u32::MAX);

    /// The version of a value that exists, by the host's number.
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

/// The outcome of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The value is stored.
    Done,
    /// Another worker wrote first: read again and evaluate again.
    Conflict,
}

/// A map from short keys to values, shared by all workers.
pub trait SharedData {
    /// The value, empty if there is none, and its version.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault>;

    /// Stores `value` if no worker has written since `seen`.
    ///
    /// # Errors
    /// [`Fault`] if the host fails; a conflict is not an error.
    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault>;

    /// The version of the value that this worker stored last, unless another worker wrote anything
    /// at that moment; a swap that states it saves a read. If another worker did, no value under
    /// that key has this version, now or later. `None` if it cannot be predicted.
    fn predicted(&self) -> Option<Version> {
        None
    }
}
