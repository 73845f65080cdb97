//! The work that one callback may spend on bodies.

/// The work that one callback has left. All bodies that continue in the callback share it.
#[derive(Debug)]
pub struct Slice {
    left: u64,
}

impl Slice {
    /// The units of one callback, about a nanosecond each.
    pub const UNITS: u64 = 3_000_000;

    /// A slice of this many units. Unless that is 0, a body does at least one step, of about 50,000
    /// units.
    #[must_use]
    pub const fn new(units: u64) -> Self {
        Self { left: units }
    }

    /// Whether no work is left.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Subtracts `units`, or all that is left.
    pub(super) const fn charge(&mut self, units: u64) {
        self.left = self.left.saturating_sub(units);
    }

    /// Splits off at most `most` units.
    #[must_use]
    pub fn split(&mut self, most: u64) -> Self {
        let part = Self {
            left: most.min(self.left),
        };
        self.charge(part.left);
        part
    }

    /// Returns the unused rest of a part.
    pub const fn join(&mut self, part: Self) {
        self.left = self.left.saturating_add(part.left);
    }

    /// Uses up the slice, and returns how much was left.
    #[cfg(test)]
    pub fn spend(&mut self) -> u64 {
        std::mem::take(&mut self.left)
    }
}
