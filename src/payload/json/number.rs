//! A number (RFC 8259 §6) of any length.

/// The part of a number that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// The sign: a digit must follow.
    Minus,
    /// A zero, which no digit may follow.
    Zero,
    /// Digits before the point.
    Integer,
    /// The point: a digit must follow.
    Point,
    /// Digits after the point.
    Fraction,
    /// The letter: a sign or a digit must follow.
    Exponent,
    /// The exponent's sign: a digit must follow.
    Sign,
    /// The exponent's digits.
    Power,
}

impl Number {
    /// The number that begins with `first`.
    pub(super) const fn begin(first: u8) -> Option<Self> {
        match first {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Integer),
            _ => None,
        }
    }

    /// Whether the number may end here.
    pub(super) const fn is_whole(self) -> bool {
        match self {
            Self::Zero | Self::Integer | Self::Fraction | Self::Power => true,
            Self::Minus | Self::Point | Self::Exponent | Self::Sign => false,
        }
    }

    /// Reads until another byte follows; returns the state and that byte with all that follow.
    #[inline]
    pub(super) fn read(mut self, mut bytes: &[u8]) -> (Self, &[u8]) {
        loop {
            if matches!(self, Self::Integer | Self::Fraction | Self::Power) {
                while let [b'0'..=b'9', rest @ ..] = bytes {
                    bytes = rest;
                }
            }
            let [byte, rest @ ..] = bytes else {
                return (self, bytes);
            };
            let Some(next) = self.next(*byte) else {
                return (self, bytes);
            };
            (self, bytes) = (next, rest);
        }
    }

    /// The state after one more byte, not counting a digit after a digit.
    const fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') => Some(Self::Integer),
            (Self::Point, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Exponent | Self::Sign, b'0'..=b'9') => Some(Self::Power),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::Sign),
            _ => None,
        }
    }
}
