//! A whole number in one byte: its three highest bits, and how many follow them.

/// A number from 1 up, at most a fifth below the one that it was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rough(u8);

/// For each pair of bits behind the highest one, 2^16 divided by the number of quarters that they
/// make with it: 4 to 7 of them. Rounded up.
const SHARES: [u64; 4] = [16_384, 13_108, 10_923, 9_363];

impl Rough {
    /// The number; nothing counts as one.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let number = number.max(1);
        let zeros = number.leading_zeros();
        let behind_the_highest = (number << zeros) >> 61 & 3;
        let exponent = u64::from(u64::BITS.saturating_sub(1).saturating_sub(zeros));
        let code = exponent << 2 | behind_the_highest;
        Self(u8::try_from(code).unwrap_or(u8::MAX))
    }

    /// The byte.
    #[must_use]
    pub const fn encode(self) -> u8 {
        self.0
    }

    /// The number that [`Rough::encode`] wrote: every byte is one.
    #[must_use]
    pub const fn decode(code: u8) -> Self {
        Self(code)
    }

    /// `amount` divided by the number, times 2^14; as much as can be if that is too much.
    #[must_use]
    pub fn share(self, amount: u128) -> u128 {
        let [four, five, six, seven] = SHARES;
        let share = match self.0 & 3 {
            0 => four,
            1 => five,
            2 => six,
            3.. => seven,
        };
        amount.saturating_mul(u128::from(share)) >> (self.0 >> 2)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number that a byte encodes.
    fn value(rough: Rough) -> u128 {
        let code = u32::from(rough.encode());
        (u128::from(4 + (code & 3)) << (code >> 2)) / 4
    }

    #[test]
    fn small_numbers_are_exact() {
        for number in [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 1 << 40] {
            assert_eq!(value(Rough::of(number)), u128::from(number));
        }
        assert_eq!(Rough::of(0), Rough::of(1));
        assert_eq!(
            Rough::decode(Rough::of(u64::MAX).encode()),
            Rough::of(u64::MAX)
        );
    }

    proptest! {
        #[test]
        fn a_number_is_a_fifth_off_at_most(
            number in 1..=u64::MAX,
            shift in 0..64_u32,
            amount in any::<u64>(),
        ) {
            let number = (number >> shift).max(1);
            let rough = value(Rough::of(number));
            let number = u128::from(number);
            prop_assert!(
                rough <= number && number * 4 < rough * 5,
                "{} for {}",
                rough,
                number
            );
            let (share, exact) = (
                Rough::of(u64::try_from(number).unwrap()).share(amount.into()),
                u128::from(amount) << 14,
            );
            prop_assert!(share + 1 >= exact / number && share <= exact / rough * 1_001 / 1_000 + 1);
        }
    }
}
