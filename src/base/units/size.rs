//! Sizes and percentages.

use super::{UnitError, split_number, ungrouped};
use crate::base::time::Span;

/// The units of a size, in bytes.
pub(crate) const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The largest size that [`parse_size`] reads, in bytes.
pub const SIZE_MAX: u64 = 1_000_000_000_000;

/// Reads a size, in bytes: `300KB` is 300,000, `100MiB` is 104,857,600.
///
/// # Errors
/// [`UnitError`] with the rule that the text breaks.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (digits, unit) = split_number(text);
    let unit = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, bytes)| *bytes);
    let (Some(digits), Some(unit)) = (ungrouped(digits), unit) else {
        return Err(UnitError::NotASize);
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit));
    bytes
        .filter(|bytes| (1..=SIZE_MAX).contains(bytes))
        .ok_or(UnitError::SizeOutOfRange)
}

/// A share of 0 to 100 in the hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads a whole number with its sign: `20%`.
    ///
    /// # Errors
    /// [`UnitError::NotAPercentage`] for anything else, and above `100%`.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        text.strip_suffix('%')
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|percent| *percent <= 100)
            .map(Self)
            .ok_or(UnitError::NotAPercentage)
    }

    /// This share of `span`.
    #[must_use]
    pub const fn of(self, span: Span) -> Span {
        Span::from_nanos(span.nanos() / 100).times(self.0 as u64)
    }
}
