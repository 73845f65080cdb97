//! One value of shared data, read and changed by compare-and-swap.
//!
//! ```text
//!   read ─▶ change ─┬▶ Keep ─────────▶ done
//!    ▲              ├▶ Store ─▶ swap ─┬▶ done
//!    │              │                 └▶ conflict: another worker wrote first ─┐
//!    └──────────────┴▶ Reread ◀────────────────────────────────────────────────┘
//! ```

use super::{SharedData, Swap, Version};
use crate::host::fault::Fault;

/// How often one update is tried before it is a fault. With two workers a first retry is rare (one
/// in ten thousand, measured), and a second one rarer by as much.
pub const SWAP_ATTEMPTS_MAX: u32 = 16;

/// One value of shared data.
#[derive(Debug)]
pub struct SharedCell<'a, D> {
    data: &'a D,
    key: &'a [u8],
    conflicts: u64,
}

/// A value and its version.
#[derive(Debug)]
pub struct Seen {
    /// The value, empty if there is none.
    pub bytes: Vec<u8>,
    /// Its version.
    pub version: Version,
    /// This worker wrote the value, and only a swap can show whether it is still there.
    pub is_speculative: bool,
}

/// The result of an update for the current value.
#[derive(Debug)]
pub enum Update<T> {
    /// Replaces the value by these bytes.
    Store(Vec<u8>, T),
    /// Leaves the value as it is.
    Keep(T),
    /// Asks for the value once more: a speculative one answers nothing without a swap.
    Reread,
}

/// A successful update.
#[derive(Debug)]
pub struct Updated<T> {
    /// The result of the change that was carried out last.
    pub result: T,
    /// The value, if it was stored anew.
    pub stored: Option<Stored>,
}

/// A value that was stored.
#[derive(Debug)]
pub struct Stored {
    /// The value.
    pub bytes: Vec<u8>,
    /// Its version, if the host's numbers let one predict it ([`SharedData::predicted`]).
    pub version: Option<Version>,
}

impl<'a, D: SharedData> SharedCell<'a, D> {
    /// The value under `key`.
    #[must_use]
    pub const fn new(data: &'a D, key: &'a [u8]) -> Self {
        Self {
            data,
            key,
            conflicts: 0,
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    pub fn load(&self) -> Result<Seen, Fault> {
        let (bytes, version) = self.data.read(self.key)?;
        Ok(Seen {
            bytes,
            version,
            is_speculative: false,
        })
    }

    /// Reads the value and lets `change` replace it, again for as long as other workers write
    /// first. The last call of `change` is the one that counts.
    ///
    /// # Errors
    /// [`Fault`] if the host or `change` fails; [`Fault::Contended`] after [`SWAP_ATTEMPTS_MAX`]
    /// conflicts.
    pub fn update<T>(
        &mut self,
        change: impl FnMut(Vec<u8>) -> Result<Update<T>, Fault>,
    ) -> Result<Updated<T>, Fault> {
        self.update_from(None, change)
    }

    /// As [`Self::update`], beginning with a value that was seen before.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn update_from<T>(
        &mut self,
        mut seen: Option<Seen>,
        mut change: impl FnMut(Vec<u8>) -> Result<Update<T>, Fault>,
    ) -> Result<Updated<T>, Fault> {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            let Seen {
                bytes,
                version,
                is_speculative,
            } = match seen.take() {
                Some(seen) => seen,
                None => self.load()?,
            };
            match change(bytes)? {
                Update::Keep(result) => {
                    return Ok(Updated {
                        result,
                        stored: None,
                    });
                }
                Update::Reread => {}
                Update::Store(bytes, result) => match self.data.swap(self.key, &bytes, version)? {
                    Swap::Done => {
                        let stored = Some(Stored {
                            bytes,
                            version: self.data.predicted(),
                        });
                        return Ok(Updated { result, stored });
                    }
                    // A speculative value may have been outdated for long.
                    Swap::Conflict if is_speculative => {}
                    Swap::Conflict => self.conflicts = self.conflicts.saturating_add(1),
                },
            }
        }
        Err(Fault::Contended)
    }

    /// Returns the value, and stores `candidate` first if there is none: all workers get the value
    /// of the first.
    ///
    /// # Errors
    /// [`Fault`] if the host fails; [`Fault::BadRecord`] if the value has another length.
    pub fn get_or_init<const N: usize>(&mut self, candidate: &[u8; N]) -> Result<[u8; N], Fault> {
        let updated = self.update(|bytes| {
            if bytes.is_empty() {
                return Ok(Update::Store(candidate.to_vec(), *candidate));
            }
            bytes
                .try_into()
                .map(Update::Keep)
                .map_err(|_| Fault::BadRecord)
        });
        Ok(updated?.result)
    }

    /// Returns how often another worker changed the value between a read and a swap of this cell.
    #[must_use]
    pub const fn conflicts(&self) -> u64 {
        self.conflicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeData;

    const KEY: &[u8] = b"key";

    /// Lets another worker write.
    fn write(data: &FakeData, value: &[u8]) {
        let (_, version) = data.read(KEY).unwrap();
        assert_eq!(data.swap(KEY, value, version), Ok(Swap::Done));
    }

    #[test]
    fn an_update_that_was_overtaken_sees_what_the_other_wrote() {
        let data = FakeData::default();
        let mut seen = Vec::new();
        let mut cell = SharedCell::new(&data, KEY);
        let updated = cell.update(|bytes| {
            if seen.len() < 2 {
                write(&data, &[b'a', u8::try_from(seen.len()).unwrap()]);
            }
            let value = [&bytes[..], b"+"].concat();
            seen.push(bytes);
            Ok(Update::Store(value, seen.len()))
        });
        let updated = updated.unwrap();
        assert_eq!(
            (updated.result, updated.stored.unwrap().bytes),
            (3, b"a\x01+".to_vec())
        );
        assert_eq!(
            (cell.conflicts(), cell.load().unwrap().bytes),
            (2, b"a\x01+".to_vec())
        );
        assert_eq!(seen, [&b""[..], b"a\x00", b"a\x01"]);
    }

    #[test]
    fn an_outdated_speculative_value_is_no_conflict() {
        let data = FakeData::default();
        write(&data, b"old");
        let mut seen = SharedCell::new(&data, KEY).load().unwrap();
        seen.is_speculative = true;
        write(&data, b"new");
        let mut cell = SharedCell::new(&data, KEY);
        let updated = cell.update_from(Some(seen), |bytes| {
            Ok(Update::Store(b"mine".to_vec(), bytes))
        });
        assert_eq!(
            (updated.unwrap().result, cell.conflicts()),
            (b"new".to_vec(), 0)
        );
    }

    #[test]
    fn what_is_kept_or_fails_writes_nothing() {
        let data = FakeData::default();
        write(&data, b"value");
        let (_, version) = data.read(KEY).unwrap();
        let mut calls = 0;
        let updated = SharedCell::new(&data, KEY).update(|bytes| {
            calls += 1;
            Ok(if calls == 1 {
                Update::Reread
            } else {
                Update::Keep(bytes)
            })
        });
        assert!(matches!(updated, Ok(Updated { result, stored: None }) if result == b"value"));
        let failed = SharedCell::new(&data, KEY).update(|_| Err::<Update<()>, _>(Fault::BadRecord));
        assert_eq!(failed.err(), Some(Fault::BadRecord));
        assert_eq!((calls, data.read(KEY).unwrap().1), (2, version));
    }

    #[test]
    fn an_update_gives_up_in_the_end() {
        let data = FakeData::default();
        let mut cell = SharedCell::new(&data, KEY);
        let updated = cell.update(|_| {
            write(&data, b"first");
            Ok(Update::Store(Vec::new(), ()))
        });
        assert_eq!(updated.err(), Some(Fault::Contended));
        assert_eq!(cell.conflicts(), u64::from(SWAP_ATTEMPTS_MAX));
    }

    #[test]
    fn all_get_the_first_value() {
        let data = FakeData::default();
        assert_eq!(
            SharedCell::new(&data, KEY).get_or_init(b"first"),
            Ok(*b"first")
        );
        assert_eq!(
            SharedCell::new(&data, KEY).get_or_init(b"other"),
            Ok(*b"first")
        );
        assert_eq!(
            SharedCell::new(&data, KEY).get_or_init(b"longer"),
            Err(Fault::BadRecord)
        );
    }
}
