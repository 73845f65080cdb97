//! What one callback may spend on bodies.

/// Work that is left to one callback, which all bodies that go on within it share.
#[derive(Debug)]
pub struct Slice {
    left: usize,
}

impl Slice {
    /// The units of one callback.
    pub const UNITS: usize = 256 << 10;

    /// A slice of so many units.
    #[must_use]
    pub const fn new(units: usize) -> Self {
        Self { left: units }
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Takes up to `most` units, of which this many were left.
    pub(super) fn take(&mut self, most: usize) -> usize {
        let taken = most.min(self.left);
        self.left = self.left.saturating_sub(taken);
        taken
    }

    /// Cuts off up to `most` units.
    #[must_use]
    pub fn split(&mut self, most: usize) -> Self {
        Self { left: self.take(most) }
    }

    /// Puts back what was cut off and is left.
    pub const fn join(&mut self, part: Self) {
        self.left = self.left.saturating_add(part.left);
    }

    /// Takes all of it, and says how much it was.
    #[cfg(test)]
    pub fn spend(&mut self) -> usize {
        self.take(usize::MAX)
    }
}
