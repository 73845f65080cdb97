//! Numbers, byte by byte (RFC 8259 §6): `-12.5e+3`.

/// How far a number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// `-`
    Minus,
    /// `0`, behind which no further digit may stand.
    Zero,
    /// `12`
    Digits,
    /// `12.`
    Point,
    /// `12.5`
    Fraction,
    /// `12e`
    Exponent,
    /// `12e+`
    Sign,
    /// `12e3`
    Power,
}

impl Number {
    /// The number that begins with this byte; `None` where none does.
    pub(super) const fn begin(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Digits),
            _ => None,
        }
    }

    /// Goes on with `byte` if it belongs to the number.
    pub(super) const fn accepts(&mut self, byte: u8) -> bool {
        let next = match (*self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return false,
        };
        *self = next;
        true
    }

    /// Whether it may end here.
    pub(super) const fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Digits | Self::Fraction | Self::Power)
    }
}
