//! Which of several known texts one is that comes in pieces.

/// The texts that it may still be, and how much of them it was. A text is known by its number, below
/// [`CANDIDATES_MAX`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    alive: u16,
    at: usize,
}

/// Most texts at a time.
pub(super) const CANDIDATES_MAX: usize = 16;

impl Candidates {
    /// Nothing has come yet, and it may be any of `alive`: the first by its lowest bit.
    pub(super) const fn new(alive: u16) -> Self {
        Self { alive, at: 0 }
    }

    /// Whether it is none of them for sure.
    pub(super) const fn is_empty(self) -> bool {
        self.alive == 0
    }

    /// Goes on with `piece`; `text` gives the texts by their numbers.
    pub(super) fn push<'t>(&mut self, piece: &[u8], text: impl Fn(usize) -> Option<&'t [u8]>) {
        let goes_on = |text: &[u8]| text.get(self.at..).is_some_and(|left| left.starts_with(piece));
        self.alive = self.kept(|number| text(number).is_some_and(goes_on));
        self.at = self.at.saturating_add(piece.len());
    }

    /// The texts that it is, now that it has ended.
    pub(super) fn end<'t>(self, text: impl Fn(usize) -> Option<&'t [u8]>) -> u16 {
        self.kept(|number| text(number).is_some_and(|text| text.len() == self.at))
    }

    /// The texts that it is, where `whole` is all of it.
    #[inline]
    pub(super) fn whole<'t>(self, whole: &[u8], text: impl Fn(usize) -> Option<&'t [u8]>) -> u16 {
        // The first bytes spare most a call to compare them.
        self.kept(|number| text(number).is_some_and(|text| text.first() == whole.first() && text == whole))
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
