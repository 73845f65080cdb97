//! The records of an archive, each read from complete bytes.

use crate::payload::decode::{Breach, number};

const LOCAL: u64 = 0x0403_4b50;
const CENTRAL: u64 = 0x0201_4b50;
const ZIP64_END: u64 = 0x0606_4b50;
const LOCATOR: u64 = 0x0706_4b50;
const END: u64 = 0x0605_4b50;

const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const ZIP64_END_BYTES: u64 = 56;
const LOCATOR_BYTES: usize = 20;
const END_BYTES: usize = 22;

/// The largest extension of a zip64 end record, none of which is defined.
const ZIP64_END_EXTRA_MAX: u64 = 64 * 1024;

/// §4.4.4: encrypted, a patch, strongly encrypted, or with a masked header.
const UNSUPPORTED_FLAGS: u64 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// §4.4.4: sizes and checksum follow the data.
const DESCRIBED_LATER: u64 = 1 << 3;

/// §4.5.3: the extra field with sizes of eight bytes.
const ZIP64_EXTRA: u64 = 1;
/// The value of a field of four bytes if the actual value is in that extra field.
pub(super) const ELSEWHERE: u64 = 0xffff_ffff;
/// The same for a field of two bytes.
pub(super) const NARROW_ELSEWHERE: u64 = 0xffff;

pub(super) enum Record<'r> {
    Local(Local<'r>),
    Central(Central<'r>),
    /// The end of a zip64 archive.
    Zip64End(End),
    /// The offset of the zip64 end record.
    Locator {
        offset: u64,
    },
    End(End),
}

/// The header before an entry's data.
pub(super) struct Local<'r> {
    pub(super) name: &'r [u8],
    pub(super) method: u64,
    /// `None` if a descriptor follows the data.
    pub(super) sizes: Option<Sizes>,
    /// Whether sizes have eight bytes, in the descriptor as well.
    pub(super) is_zip64: bool,
}

/// The checksum and the sizes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) uncompressed: u64,
}

/// The central directory's description of an entry.
pub(super) struct Central<'r> {
    pub(super) name: &'r [u8],
    pub(super) method: u64,
    pub(super) sizes: Sizes,
    pub(super) offset: u64,
}

/// The end record's description of the central directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) offset: u64,
}

/// The length of a record, as far as the bytes held determine it.
///
/// # Errors
/// [`Breach::Malformed`] if no record begins with these bytes.
pub(super) fn bytes(held: &[u8]) -> Result<usize, Breach> {
    if held.len() < 4 {
        return Ok(4);
    }
    let (fixed, lengths): (usize, &[usize]) = match number(held, 0, 4) {
        LOCAL => (LOCAL_BYTES, &[26, 28]),
        CENTRAL => (CENTRAL_BYTES, &[28, 30, 32]),
        LOCATOR => (LOCATOR_BYTES, &[]),
        END => (END_BYTES, &[20]),
        ZIP64_END if held.len() < 12 => (12, &[]),
        ZIP64_END => {
            // §4.3.14.1: "should not include the leading 12 bytes".
            let bytes = number(held, 4, 8).saturating_add(12);
            if bytes
                .checked_sub(ZIP64_END_BYTES)
                .is_none_or(|extra| extra > ZIP64_END_EXTRA_MAX)
            {
                return Err(Breach::Malformed);
            }
            (usize::try_from(bytes).map_err(|_| Breach::Malformed)?, &[])
        }
        _ => return Err(Breach::Malformed),
    };
    if held.len() < fixed {
        return Ok(fixed);
    }
    Ok(lengths
        .iter()
        .fold(fixed, |bytes, at| bytes.saturating_add(length(held, *at))))
}

impl<'r> Record<'r> {
    /// Reads a record of which all [`bytes`] are held.
    ///
    /// # Errors
    /// If it is malformed, or cannot be measured.
    pub(super) fn of(held: &'r [u8]) -> Result<Self, Breach> {
        match number(held, 0, 4) {
            LOCAL => Local::of(held).map(Self::Local),
            CENTRAL => Central::of(held).map(Self::Central),
            ZIP64_END => {
                one_disk(&[number(held, 16, 4), number(held, 20, 4)], ELSEWHERE)?;
                if number(held, 24, 8) != number(held, 32, 8) {
                    return Err(Breach::Malformed);
                }
                let end = End {
                    records: number(held, 32, 8),
                    bytes: number(held, 40, 8),
                    offset: number(held, 48, 8),
                };
                Ok(Self::Zip64End(end))
            }
            LOCATOR => {
                one_disk(
                    &[number(held, 4, 4), number(held, 16, 4).saturating_sub(1)],
                    ELSEWHERE,
                )?;
                Ok(Self::Locator {
                    offset: number(held, 8, 8),
                })
            }
            END => {
                one_disk(&[number(held, 4, 2), number(held, 6, 2)], NARROW_ELSEWHERE)?;
                if number(held, 8, 2) != number(held, 10, 2) {
                    return Err(Breach::Malformed);
                }
                let end = End {
                    records: number(held, 10, 2),
                    bytes: number(held, 12, 4),
                    offset: number(held, 16, 4),
                };
                Ok(Self::End(end))
            }
            _ => Err(Breach::Malformed),
        }
    }
}

impl<'r> Local<'r> {
    fn of(held: &'r [u8]) -> Result<Self, Breach> {
        let flags = supported(number(held, 6, 2))?;
        let (name, extra) = after(held, LOCAL_BYTES, length(held, 26), length(held, 28));
        let mut wide = Zip64Extra::of(extra);
        let is_zip64 = wide.0.is_some();
        let uncompressed = wide.resolve(number(held, 22, 4))?;
        let compressed = wide.resolve(number(held, 18, 4))?;
        let sizes = Sizes {
            crc: crc(held, 14),
            compressed,
            uncompressed,
        };
        let sizes = (flags & DESCRIBED_LATER == 0).then_some(sizes);
        Ok(Self {
            name,
            method: number(held, 8, 2),
            sizes,
            is_zip64,
        })
    }
}

impl<'r> Central<'r> {
    fn of(held: &'r [u8]) -> Result<Self, Breach> {
        supported(number(held, 8, 2))?;
        one_disk(&[number(held, 34, 2)], NARROW_ELSEWHERE)?;
        let (name, extra) = after(held, CENTRAL_BYTES, length(held, 28), length(held, 30));
        let mut wide = Zip64Extra::of(extra);
        // §4.5.3: the fields "MUST appear in the order shown", and only those whose value is
        // elsewhere.
        let uncompressed = wide.resolve(number(held, 24, 4))?;
        let compressed = wide.resolve(number(held, 20, 4))?;
        let offset = wide.resolve(number(held, 42, 4))?;
        let sizes = Sizes {
            crc: crc(held, 16),
            compressed,
            uncompressed,
        };
        Ok(Self {
            name,
            method: number(held, 10, 2),
            sizes,
            offset,
        })
    }
}

/// The rest of the zip64 extra field, if there is one.
struct Zip64Extra<'r>(Option<&'r [u8]>);

impl<'r> Zip64Extra<'r> {
    fn of(mut extra: &'r [u8]) -> Self {
        while let Some((header, rest)) = extra.split_at_checked(4) {
            let Some((field, behind)) = rest.split_at_checked(length(header, 2)) else {
                break;
            };
            if number(header, 0, 2) == ZIP64_EXTRA {
                return Self(Some(field));
            }
            extra = behind;
        }
        Self(None)
    }

    /// The value of a field of four bytes.
    fn resolve(&mut self, narrow: u64) -> Result<u64, Breach> {
        match &mut self.0 {
            Some(field) if narrow == ELSEWHERE => {
                let (value, rest) = field.split_at_checked(8).ok_or(Breach::Malformed)?;
                *field = rest;
                Ok(number(value, 0, 8))
            }
            Some(_) | None => Ok(narrow),
        }
    }
}

fn length(held: &[u8], at: usize) -> usize {
    usize::try_from(number(held, at, 2)).unwrap_or_default()
}

fn crc(held: &[u8], at: usize) -> u32 {
    u32::try_from(number(held, at, 4)).unwrap_or_default()
}

/// Two consecutive fields of these lengths, from `at` on.
fn after(held: &[u8], at: usize, first: usize, second: usize) -> (&[u8], &[u8]) {
    let rest = held.get(at..).unwrap_or_default();
    let (first, rest) = rest.split_at_checked(first).unwrap_or((rest, &[]));
    (first, rest.get(..second).unwrap_or(rest))
}

fn supported(flags: u64) -> Result<u64, Breach> {
    if flags & UNSUPPORTED_FLAGS == 0 {
        Ok(flags)
    } else {
        Err(Breach::Unsupported)
    }
}

/// Disk numbers must be zero, or state that the value is elsewhere.
fn one_disk(disks: &[u64], elsewhere: u64) -> Result<(), Breach> {
    if disks.iter().all(|disk| [0, elsewhere].contains(disk)) {
        Ok(())
    } else {
        Err(Breach::Unsupported)
    }
}
