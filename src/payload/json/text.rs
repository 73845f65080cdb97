//! The inside of a string, after its opening quote: UTF-8 and escapes, however it is cut.
//!
//! The text of the string is passed on in pieces. A piece of several bytes is as sent, each byte
//! being one of the body; an escaped character is passed on at the last byte of its escape.

use super::breach::{Offsets, Stop};
use super::scan;

/// The position of the next byte in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Between two characters.
    Plain,
    /// Within a character of several bytes.
    Character(Continuation),
    /// After a backslash.
    Escape,
    /// After `\u`.
    Hex {
        /// The digits so far.
        code: u16,
        /// The number of digits so far.
        digits: u8,
        /// The first half, if this is the second of a surrogate pair.
        first: Option<u16>,
    },
    /// After the first half of a surrogate pair: a backslash must follow.
    Half(u16),
    /// After that backslash: a `u` must follow.
    HalfEscape(u16),
}

/// The bytes that may continue a character. The table is in RFC 3629 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Continuation {
    least: u8,
    most: u8,
    /// The number of bytes that follow that one.
    left: u8,
}

/// The result of reading a string in one chunk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read<'c> {
    /// It has ended; this is the input after its closing quote.
    Ended(&'c [u8]),
    /// It continues in the next chunk.
    Open(Text),
}

impl Text {
    /// Continues in `bytes`. `piece` takes the text, and the offset of its last byte.
    #[inline]
    pub(super) fn read<'c>(
        mut self,
        mut bytes: &'c [u8],
        offsets: Offsets,
        mut piece: impl FnMut(&[u8], u64) -> Result<(), Stop>,
    ) -> Result<Read<'c>, Stop> {
        loop {
            if self == Self::Plain {
                let plain = scan::plain(bytes);
                let (run, partial) = if plain.ascii {
                    (plain.run, &[][..])
                } else {
                    whole_characters(plain.run)
                };
                if !run.is_empty() {
                    let after = bytes.get(run.len()..).unwrap_or_default();
                    piece(run, offsets.before(after))?;
                }
                if partial.is_empty() {
                    match plain.rest {
                        [b'"', rest @ ..] => return Ok(Read::Ended(rest)),
                        [b'\\', letter, rest @ ..] if let Some(character) = unescaped(*letter) => {
                            piece(&[character], offsets.before(rest))?;
                            bytes = rest;
                            continue;
                        }
                        [b'\\', rest @ ..] => (self, bytes) = (Self::Escape, rest),
                        [] => return Ok(Read::Open(self)),
                        rest => return Err(Stop::malformed(offsets.of(rest))),
                    }
                } else {
                    bytes = bytes.get(run.len()..).unwrap_or_default();
                }
            }
            let [byte, rest @ ..] = bytes else {
                return Ok(Read::Open(self));
            };
            let (next, output) = self.step(*byte).ok_or(Stop::malformed(offsets.of(bytes)))?;
            for byte in output.bytes() {
                piece(&[*byte], offsets.before(rest))?;
            }
            (self, bytes) = (next, rest);
        }
    }

    /// Reads one byte, if the string may continue with it.
    fn step(self, byte: u8) -> Option<(Self, Output)> {
        let raw = Output::byte(byte);
        match self {
            Self::Plain => {
                Continuation::begin(byte).map(|continuation| (Self::Character(continuation), raw))
            }
            Self::Character(continuation) => (continuation.least..=continuation.most)
                .contains(&byte)
                .then(|| {
                    (
                        continuation.next().map_or(Self::Plain, Self::Character),
                        raw,
                    )
                }),
            Self::Escape => match byte {
                b'u' => Some((
                    Self::Hex {
                        code: 0,
                        digits: 0,
                        first: None,
                    },
                    Output::EMPTY,
                )),
                letter => unescaped(letter).map(|character| (Self::Plain, Output::byte(character))),
            },
            Self::Hex {
                code,
                digits,
                first,
            } => Self::hex(byte, code, digits, first),
            Self::Half(first) => {
                (byte == b'\\').then_some((Self::HalfEscape(first), Output::EMPTY))
            }
            Self::HalfEscape(first) => (byte == b'u').then_some((
                Self::Hex {
                    code: 0,
                    digits: 0,
                    first: Some(first),
                },
                Output::EMPTY,
            )),
        }
    }

    /// Reads one hexadecimal digit of an escape, after `digits` others with the value `code`.
    fn hex(byte: u8, code: u16, digits: u8, first: Option<u16>) -> Option<(Self, Output)> {
        let digit = u16::try_from(char::from(byte).to_digit(16)?).ok()?;
        let code = code << 4 | digit;
        if digits < 3 {
            return Some((
                Self::Hex {
                    code,
                    digits: digits.saturating_add(1),
                    first,
                },
                Output::EMPTY,
            ));
        }
        match first {
            Some(first) => {
                let pair = char::decode_utf16([first, code]).next()?.ok()?;
                Some((Self::Plain, Output::character(pair)))
            }
            None if (0xD800..0xDC00).contains(&code) => Some((Self::Half(code), Output::EMPTY)),
            None => Some((Self::Plain, Output::character(char::from_u32(code.into())?))),
        }
    }
}

impl Continuation {
    /// The character that begins with `first`; `None` if that is ASCII or not a first byte.
    const fn begin(first: u8) -> Option<Self> {
        let (least, most, left) = match first {
            0xC2..=0xDF => (0x80, 0xBF, 0),
            0xE0 => (0xA0, 0xBF, 1),
            0xED => (0x80, 0x9F, 1),
            0xE1..=0xEF => (0x80, 0xBF, 1),
            0xF0 => (0x90, 0xBF, 2),
            0xF1..=0xF3 => (0x80, 0xBF, 2),
            0xF4 => (0x80, 0x8F, 2),
            _ => return None,
        };
        Some(Self { least, most, left })
    }

    /// The next byte; `None` if that was the last.
    fn next(self) -> Option<Self> {
        self.left.checked_sub(1).map(|left| Self {
            least: 0x80,
            most: 0xBF,
            left,
        })
    }
}

/// The text that one byte of the body adds to its string.
#[derive(Clone, Copy, Debug)]
struct Output {
    utf8: [u8; 4],
    length: usize,
}

impl Output {
    const EMPTY: Self = Self {
        utf8: [0; 4],
        length: 0,
    };

    const fn byte(byte: u8) -> Self {
        Self {
            utf8: [byte, 0, 0, 0],
            length: 1,
        }
    }

    fn character(character: char) -> Self {
        let mut utf8 = [0; 4];
        let length = character.encode_utf8(&mut utf8).len();
        Self { utf8, length }
    }

    fn bytes(&self) -> &[u8] {
        self.utf8.get(..self.length).unwrap_or_default()
    }
}

/// The character of a one-letter escape.
const fn unescaped(letter: u8) -> Option<u8> {
    match letter {
        b'"' | b'\\' | b'/' => Some(letter),
        b'b' => Some(0x08),
        b'f' => Some(0x0C),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None,
    }
}

/// Splits `run` before the first byte that is not part of a complete character.
fn whole_characters(run: &[u8]) -> (&[u8], &[u8]) {
    match str::from_utf8(run) {
        Ok(_) => (run, &[]),
        Err(error) => run
            .split_at_checked(error.valid_up_to())
            .unwrap_or((run, &[])),
    }
}
