//! Finds which of several known strings a string in pieces equals.

/// The candidates that still match, and the number of bytes compared. A candidate is known by its
/// number, below [`CANDIDATES_MAX`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    alive: u16,
    at: usize,
}

/// The most candidates at one time.
pub(super) const CANDIDATES_MAX: usize = 16;

impl Candidates {
    /// Begins with the candidates `alive`, the first in the lowest bit.
    pub(super) const fn new(alive: u16) -> Self {
        Self { alive, at: 0 }
    }

    /// Whether no candidate matches any longer.
    pub(super) const fn is_empty(self) -> bool {
        self.alive == 0
    }

    /// Compares the next `piece`; `text` returns the candidates by their numbers.
    pub(super) fn push<'t>(&mut self, piece: &[u8], text: impl Fn(usize) -> Option<&'t [u8]>) {
        self.alive = self.kept(|number| {
            text(number)
                .and_then(|text| text.get(self.at..))
                .is_some_and(|rest| rest.starts_with(piece))
        });
        self.at = self.at.saturating_add(piece.len());
    }

    /// The candidates that equal the string, which has ended.
    pub(super) fn end<'t>(self, text: impl Fn(usize) -> Option<&'t [u8]>) -> u16 {
        self.kept(|number| text(number).is_some_and(|text| text.len() == self.at))
    }

    /// The candidates that equal `whole`, the complete string.
    #[inline]
    pub(super) fn whole<'t>(self, whole: &[u8], text: impl Fn(usize) -> Option<&'t [u8]>) -> u16 {
        // The first bytes rule out most candidates without a call to compare them.
        self.kept(|number| {
            text(number).is_some_and(|text| text.first() == whole.first() && text == whole)
        })
    }

    #[inline]
    fn kept(self, keep: impl Fn(usize) -> bool) -> u16 {
        let mut kept = self.alive;
        let mut left = self.alive;
        while left != 0 {
            let lowest = left & left.wrapping_neg();
            if !keep(lowest.trailing_zeros() as usize) {
                kept ^= lowest;
            }
            left ^= lowest;
        }
        kept
    }
}
