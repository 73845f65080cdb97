//! Names and texts, byte by byte: escapes, and UTF-8 to the letter (RFC 3629), across any cut.

use super::stack::Stack;
use super::{Bound, Breach};

/// A name or text that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    part: Part,
    role: Role,
    /// Bytes so far, without escapes.
    bytes: u64,
    /// Whether the stack is told them.
    collect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Name,
    Value,
}

/// Where in a text the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Between characters.
    Plain,
    /// Within a character: this many bytes follow, the next of them in this range.
    Character { left: u8, low: u8, high: u8 },
    /// Behind a backslash.
    Escape,
    /// Behind `\u`: this many digits follow. The first half of a pair comes before it, or not.
    Unicode { left: u8, code: u16, first: Option<u16> },
    /// Behind the first half of a pair: a backslash must follow.
    Pair { first: u16 },
    /// Behind that backslash: a `u` must follow.
    PairEscape { first: u16 },
    /// Behind the closing quote.
    Whole,
}

impl Text {
    /// A name, behind its opening quote.
    pub(super) const fn name(collect: bool) -> Self {
        Self { part: Part::Plain, role: Role::Name, bytes: 0, collect }
    }

    /// A text, behind its opening quote.
    pub(super) const fn value(collect: bool) -> Self {
        Self { part: Part::Plain, role: Role::Value, bytes: 0, collect }
    }

    pub(super) fn is_name(&self) -> bool {
        self.role == Role::Name
    }

    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.part, Part::Whole)
    }

    /// Reads as far as the text goes; how many bytes. An error counts from the beginning of `rest`.
    pub(super) fn read(&mut self, rest: &[u8], stack: &mut Stack) -> Result<usize, Breach> {
        let mut index = 0;
        while let Some((byte, behind)) = rest.get(index..).and_then(<[u8]>::split_first) {
            let malformed = || Breach::Malformed { at: u64::try_from(index).unwrap_or(u64::MAX) };
            let mut read = 1;
            self.part = match (self.part, *byte) {
                (Part::Plain, b'"') => Part::Whole,
                (Part::Plain, b'\\') => Part::Escape,
                (Part::Plain, 0x20..=0x7f) => {
                    read = plain(behind).saturating_add(1);
                    self.add(rest.get(index..index.saturating_add(read)).unwrap_or_default(), stack)?;
                    Part::Plain
                }
                (Part::Plain, lead) => {
                    self.add(&[lead], stack)?;
                    character(lead).ok_or_else(malformed)?
                }
                (Part::Character { left, low, high }, byte) if (low..=high).contains(&byte) => {
                    self.add(&[byte], stack)?;
                    match left.saturating_sub(1) {
                        0 => Part::Plain,
                        left => Part::Character { left, low: 0x80, high: 0xbf },
                    }
                }
                (Part::Escape, b'u') => Part::Unicode { left: 4, code: 0, first: None },
                (Part::Escape, byte) => {
                    self.add(&[escaped(byte).ok_or_else(malformed)?], stack)?;
                    Part::Plain
                }
                (Part::Unicode { left, code, first }, byte) => {
                    let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                    let code = code.wrapping_shl(4) | digit.ok_or_else(malformed)?;
                    match left.saturating_sub(1) {
                        0 => self.end_escape(code, first, stack)?.ok_or_else(malformed)?,
                        left => Part::Unicode { left, code, first },
                    }
                }
                (Part::Pair { first }, b'\\') => Part::PairEscape { first },
                (Part::PairEscape { first }, b'u') => Part::Unicode { left: 4, code: 0, first: Some(first) },
                (Part::Character { .. } | Part::Pair { .. } | Part::PairEscape { .. } | Part::Whole, _) => {
                    return Err(malformed());
                }
            };
            index = index.saturating_add(read);
            if self.is_whole() {
                break;
            }
        }
        Ok(index)
    }

    /// Ends `\uXXXX`; `None` where it is half of a pair without the other half.
    fn end_escape(&mut self, code: u16, first: Option<u16>, stack: &mut Stack) -> Result<Option<Part>, Breach> {
        let character = match (first, code) {
            (None, 0xd800..=0xdbff) => return Ok(Some(Part::Pair { first: code })),
            (None, code) => char::from_u32(code.into()),
            (Some(first), 0xdc00..=0xdfff) => char::decode_utf16([first, code]).next().and_then(Result::ok),
            (Some(_), _) => None,
        };
        let Some(character) = character else { return Ok(None) };
        self.add(character.encode_utf8(&mut [0; 4]).as_bytes(), stack)?;
        Ok(Some(Part::Plain))
    }

    fn add(&mut self, bytes: &[u8], stack: &mut Stack) -> Result<(), Breach> {
        self.bytes = self.bytes.saturating_add(super::count(bytes));
        let rules = stack.rules();
        let (max, bound) = match self.role {
            Role::Name => (rules.name_bytes, Bound::NameBytes),
            Role::Value => (rules.string_bytes, Bound::StringBytes),
        };
        if max.is_some_and(|max| self.bytes > max) {
            return Err(Breach::Over(bound));
        }
        if self.collect {
            stack.collect(bytes);
        }
        Ok(())
    }
}

/// What follows the first byte of a character that is not ASCII (RFC 3629 §4); `None` where it is none.
const fn character(lead: u8) -> Option<Part> {
    let (left, low, high) = match lead {
        0xc2..=0xdf => (1, 0x80, 0xbf),
        0xe0 => (2, 0xa0, 0xbf),
        0xe1..=0xec | 0xee..=0xef => (2, 0x80, 0xbf),
        0xed => (2, 0x80, 0x9f),
        0xf0 => (3, 0x90, 0xbf),
        0xf1..=0xf3 => (3, 0x80, 0xbf),
        0xf4 => (3, 0x80, 0x8f),
        _ => return None,
    };
    Some(Part::Character { left, low, high })
}

/// What stands for the byte behind a backslash; `None` where nothing does.
const fn escaped(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// How many bytes there are before one that is a quote, a backslash, a control character or not ASCII.
fn plain(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let hit = special(u64::from_le_bytes(*word));
        if hit != 0 {
            let within = usize::try_from(hit.trailing_zeros() >> 3).unwrap_or_default();
            return number.saturating_mul(8).saturating_add(within);
        }
    }
    let ends = |byte: &u8| !matches!(byte, 0x20..=0x7f) || matches!(byte, b'"' | b'\\');
    let within = tail.iter().position(ends).unwrap_or(tail.len());
    words.len().saturating_mul(8).saturating_add(within)
}

/// The highest bit of each byte of `word` that ends a run, the lowest one to the letter: a borrow can
/// only mark bytes above one that ends it.
const fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word;
    let quote = zeros(word ^ ONES.wrapping_mul(b'"' as u64));
    let backslash = zeros(word ^ ONES.wrapping_mul(b'\\' as u64));
    (word | control | quote | backslash) & HIGH
}
