//! Numbers by a seed.

#![allow(clippy::arithmetic_side_effects, reason = "bounded by the generator")]

/// A generator: the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which is below 2^31.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    /// A number of 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        // xorshift64*: any full-period generator serves.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
