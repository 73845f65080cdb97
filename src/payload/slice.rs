//! What one callback may spend on bodies.

/// Work that is left to one callback, which all bodies that go on within it share.
#[derive(Debug)]
pub struct Slice {
    left: u64,
}

impl Slice {
    /// The units of one callback, about a nanosecond each.
    pub const UNITS: u64 = 3_000_000;

    /// A slice of so many units. If that is any, a body does one step at least, of about 50,000 units.
    #[must_use]
    pub const fn new(units: u64) -> Self {
        Self { left: units }
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Takes `units` off, or what is left.
    pub(super) const fn charge(&mut self, units: u64) {
        self.left = self.left.saturating_sub(units);
    }

    /// Cuts off up to `most` units.
    #[must_use]
    pub fn split(&mut self, most: u64) -> Self {
        let part = Self { left: most.min(self.left) };
        self.charge(part.left);
        part
    }

    /// Puts back what was cut off and is left.
    pub const fn join(&mut self, part: Self) {
        self.left = self.left.saturating_add(part.left);
    }

    /// Takes all of it, and says how much it was.
    #[cfg(test)]
    pub fn spend(&mut self) -> u64 {
        std::mem::take(&mut self.left)
    }
}
