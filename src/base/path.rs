//! The path of a request as routes see it, in every reading that an upstream may have of it.
//!
//! An upstream takes many spellings for one resource, so a limit must too, or it is dodged by
//! spelling. The first reading, [`PathBuffer::read`], is the coarsest. All of these have the
//! segments `v2`, `a`:
//!
//! ```text
//! /v2/a   /v2//a   /v2/a/   /v2/%61   /v2/a?x=1   /v2\a   /v2%2fa   /v2%5Ca   /v2;x=1/a
//! ```
//!
//! It splits at `/` and `\`, written or percent-encoded, decodes once, drops empty segments, and
//! cuts each segment at a `;`. Upstreams differ in each of these, so [`Readings`] has the others.
//! If the meanings differ so much that no set of readings is safe, as with dot segments, the path
//! is an [`Ambiguity`] and is refused (decision 0023).

mod readings;

use std::ops::Range;

pub use self::readings::{Ambiguity, Readings, ambiguity};

/// One path at a time, in memory that is used again: nothing is allocated once it is large enough.
///
/// A new buffer holds the root, which is also how a request without a path reads.
/// No segment is `.` or `..`. The decoded bytes need not be UTF-8; a malformed `%` is a
/// literal `%`.
#[derive(Debug, Default)]
pub struct PathBuffer {
    /// The decoded segments in their order. Separators may be between them.
    bytes: Vec<u8>,
    /// The range of each segment in `bytes`.
    ranges: Vec<Range<usize>>,
    /// Whether there was a segment `.` or `..`.
    dots: bool,
    /// Whether all readers take the path for these segments.
    plain: bool,
}

/// The rules of one reading of a path. Every reading decodes each segment once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reader {
    /// It takes a separator that is percent-encoded for a separator.
    encoded: bool,
    /// It takes a `\` for a `/`.
    backslash: bool,
    /// It cuts a segment at a `;`.
    cut: bool,
    /// It keeps empty segments within the path. (One at the end never counts.)
    empty: bool,
}

impl Reader {
    /// The reading with the most segments.
    const COARSEST: Self = Self {
        encoded: true,
        backslash: true,
        cut: true,
        empty: false,
    };

    fn separates(self, byte: u8) -> bool {
        byte == b'/' || self.backslash && byte == b'\\'
    }
}

impl PathBuffer {
    /// The root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the content of the buffer by the coarsest reading of the raw bytes of a `:path`.
    /// Accepts any bytes.
    ///
    /// Takes time in proportion to `raw`, and keeps at most as many bytes and segments as `raw` has
    /// bytes. Dot segments are resolved, not above the root (RFC 3986 §5.2.4).
    pub fn read(&mut self, raw: &[u8]) {
        if !self.read_plain(raw) {
            self.read_as(path_of(raw), Reader::COARSEST);
        }
    }

    /// Whether all readers of the path agree, so that [`Readings`] has no other one, and it is not
    /// an [`Ambiguity`]. False for an empty buffer and for some paths on which readers do agree.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }

    /// Reads a path on which all readers agree, as nearly all do, in one pass; false for others.
    fn read_plain(&mut self, raw: &[u8]) -> bool {
        self.clear();
        let path = raw.strip_prefix(b"/").unwrap_or(raw);
        let (mut start, mut end) = (0, path.len());
        for (at, byte) in path.iter().enumerate() {
            match byte {
                b'/' => {
                    if !self.keep(path, start..at) {
                        return false;
                    }
                    start = at.saturating_add(1);
                }
                b'?' => {
                    end = at;
                    break;
                }
                b'%' | b';' | b'\\' | b'#' => return false,
                _ => {}
            }
        }
        // A slash at the end never matters.
        self.plain = start == end || self.keep(path, start..end);
        if self.plain {
            self.bytes.extend(path.get(..end).unwrap_or_default());
        }
        self.plain
    }

    /// Adds a segment that all readers keep as it is; false for others.
    fn keep(&mut self, path: &[u8], range: Range<usize>) -> bool {
        let kept = !matches!(path.get(range.clone()), None | Some(b"" | b"." | b".."));
        self.ranges.push(range);
        kept
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ranges.clear();
        (self.dots, self.plain) = (false, false);
    }

    /// The same for one reader, of a path without its query.
    fn read_as(&mut self, path: &[u8], reader: Reader) {
        self.clear();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        for piece in path.split(|byte| reader.separates(*byte)) {
            if piece.iter().any(|byte| matches!(byte, b'%' | b';')) {
                self.decode(piece, reader);
            } else {
                self.bytes.extend_from_slice(piece);
            }
            self.close(reader);
        }
        // A slash at the end never matters.
        while reader.empty && self.ranges.last().is_some_and(Range::is_empty) {
            self.ranges.pop();
        }
    }

    /// Adds the text between two separators.
    fn decode(&mut self, piece: &[u8], reader: Reader) {
        let mut parameters = false;
        let mut rest = piece;
        while let Some((byte, encoded, after)) = next_byte(rest) {
            rest = after;
            if encoded && reader.encoded && reader.separates(byte) {
                self.close(reader);
                parameters = false;
            } else if !encoded && reader.cut && byte == b';' {
                parameters = true;
            } else if !parameters {
                self.bytes.push(byte);
            }
        }
    }

    /// The segments, first to last; none for the root.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ranges.iter().map(|range| self.slice(range))
    }

    /// The segment at `index`, counted from 0.
    #[must_use]
    pub fn segment(&self, index: usize) -> Option<&[u8]> {
        self.ranges.get(index).map(|range| self.slice(range))
    }

    /// How many segments there are; 0 for the root.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.ranges.len()
    }

    /// Ends the segment that is being written, and decides whether it stays.
    fn close(&mut self, reader: Reader) {
        let start = self.ranges.last().map_or(0, |last| last.end);
        match self.bytes.get(start..).unwrap_or_default() {
            b"" if !reader.empty => {}
            b"." => {
                self.dots = true;
                self.bytes.truncate(start);
            }
            b".." => {
                self.dots = true;
                let parent = self.ranges.pop().map_or(0, |last| last.start);
                self.bytes.truncate(parent);
            }
            _ => self.ranges.push(start..self.bytes.len()),
        }
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

/// A `:path` without its query and fragment.
fn path_of(raw: &[u8]) -> &[u8] {
    raw.split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .unwrap_or_default()
}

/// The first byte of `text`, decoded; whether it was percent-encoded; the bytes after it.
fn next_byte(text: &[u8]) -> Option<(u8, bool, &[u8])> {
    let (first, rest) = text.split_first()?;
    if *first == b'%'
        && let Some(([high, low], after)) = rest.split_first_chunk::<2>()
        && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
    {
        return Some((high << 4 | low, true, after));
    }
    Some((*first, false, rest))
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
