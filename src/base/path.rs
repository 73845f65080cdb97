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
    /// The decoded segments, one after the other without separators.
    bytes: Vec<u8>,
    /// The range of each segment in `bytes`.
    ranges: Vec<Range<usize>>,
    /// Whether there was a segment `.` or `..`.
    dots: bool,
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
        self.read_as(path_of(raw), Reader::COARSEST);
    }

    /// The same for one reader, of a path without its query.
    fn read_as(&mut self, path: &[u8], reader: Reader) {
        self.bytes.clear();
        self.ranges.clear();
        self.dots = false;
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
mod tests {
    use proptest::prelude::*;

    use super::PathBuffer;

    fn read(raw: &[u8]) -> Vec<Vec<u8>> {
        let mut path = PathBuffer::new();
        path.read(raw);
        assert_eq!(path.segments().len(), path.segment_count());
        path.segments().map(<[u8]>::to_vec).collect()
    }

    /// Each line is `raw => segments`, the segments separated by blanks.
    fn check(table: &str) {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (raw, segments) = line.split_once("=>").unwrap();
            let expected: Vec<_> = segments
                .split_whitespace()
                .map(|it| it.as_bytes().to_vec())
                .collect();
            assert_eq!(read(raw.trim().as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn every_spelling_of_a_path_reads_the_same() {
        check(
            r"
            /v2/a                => v2 a
            /v2//a               => v2 a
            ///v2/a//            => v2 a
            /v2/a/               => v2 a
            /v2/./a              => v2 a
            /v2/a/.              => v2 a
            /v2/b/../a           => v2 a
            /v2/a/b/..           => v2 a
            /v2/b//../a          => v2 a
            /v2/%61              => v2 a
            /%76%32/a            => v2 a
            /v2/a?x=1            => v2 a
            /v2/a?x=/../b        => v2 a
            /v2/a#/../b          => v2 a
            /v2/a#b?c            => v2 a
            /v2/%2e%2e/v2/a      => v2 a
            /v2/%2E/a            => v2 a
            /v2/.%2e/v2/a        => v2 a
            /v2/b%2F..%2Fa       => v2 a
            /v2%5ca              => v2 a
            /v2/b%5C..%5Ca       => v2 a
            /v2;x=1/a;y          => v2 a
            /v2/;x/a             => v2 a
            /v2;x%2fa            => v2 a
            /v2/b/..;/a          => v2 a
            /v2%2fa              => v2 a
            /v2%2f%2fa%2f        => v2 a
            /v2\a                => v2 a
            /v2/b\..\a           => v2 a
            /../../v2/a          => v2 a
            v2/a                 => v2 a
            ",
        );
    }

    #[test]
    fn nothing_is_decoded_twice_or_by_half() {
        check(
            r"
            /a/%252e%252e/b      => a %2e%2e b
            /a%252fb             => a%2fb
            /a/%255Cb            => a %5Cb
            /a/b%3Bc             => a b;c
            /a/%                 => a %
            /a/%2                => a %2
            /a/%zz/%2/F          => a %zz %2 F
            /a%3Fb/c%23d         => a?b c#d
            /a/.../b             => a ... b
            /a/..b/.c            => a ..b .c
            /a+b                 => a+b
            /A/a                 => A a
            ",
        );
        assert_eq!(
            read(b"/a%00b/%ff\xfe"),
            [b"a\0b".to_vec(), b"\xff\xfe".to_vec()]
        );
    }

    #[test]
    fn the_root_has_no_segments() {
        check(
            r"
            /                    =>
            //                   =>
            /..                  =>
            /a/..                =>
            /a/../../..          =>
            /./.                 =>
            /?a=/b               =>
            ?                    =>
            *                    => *
            ",
        );
        assert!(read(b"").is_empty());
        assert_eq!(
            PathBuffer::new().segment_count(),
            0,
            "no path at all is the root"
        );
    }

    #[test]
    fn a_buffer_forgets_the_path_before() {
        let mut path = PathBuffer::new();
        path.read(b"/a/long/path/of/many/segments");
        path.read(b"/b");
        assert_eq!(path.segments().collect::<Vec<_>>(), [b"b"]);
        assert_eq!((path.segment(0), path.segment(1)), (Some(&b"b"[..]), None));
        path.read(b"");
        assert_eq!(path.segment(0), None);
    }

    /// One way to write a segment that must not matter, chosen by `style`.
    fn disguise(segment: &str, style: u8, raw: &mut String) {
        let encode = |it: &str| {
            it.bytes()
                .map(|byte| format!("%{byte:02x}"))
                .collect::<String>()
        };
        raw.push_str(&match style {
            0 => format!("/{segment}"),
            1 => format!("//{segment}"),
            2 => format!("/.\\{segment}/."),
            3 => format!("/%2e/{segment}"),
            4 => format!("/x/../{segment}"),
            5 => format!("/x%2f%2E.%2F{segment}"),
            6 => format!("/{}", encode(segment)),
            7 => format!("%2F{segment}/"),
            8 => format!("\\{segment}/y/z/../%2e%2e"),
            _ => format!("/{segment}/./"),
        });
    }

    proptest! {
        #[test]
        fn a_disguise_never_changes_the_segments(
            parts in prop::collection::vec(("[a-c~%é*]{1,3}", 0u8..10), 0..6),
            above_root in any::<bool>(),
            tail in prop::sample::select(vec!["", "/", "?a=/b", "#/c", "/?", "/."]),
        ) {
            let mut raw = String::from(if above_root { "/%2e%2E/.." } else { "" });
            for (segment, style) in &parts {
                // A literal `%` is written `%25`; the styles from 6 on would encode that once more.
                let style = if segment.contains('%') {
                    style % 6
                } else {
                    *style
                };
                disguise(&segment.replace('%', "%25"), style, &mut raw);
            }
            raw.push_str(tail);
            let expected: Vec<_> = parts
                .iter()
                .map(|(segment, _)| segment.clone().into_bytes())
                .collect();
            prop_assert_eq!(read(raw.as_bytes()), expected, "{}", raw);
        }

        #[test]
        fn any_bytes_read_to_clean_segments(
            raw in prop::collection::vec(
                prop_oneof![
                    4 => prop::sample::select(b"/.%2eEfF5cC?#\\;a".to_vec()),
                    1 => any::<u8>(),
                ],
                0..40,
            ),
        ) {
            let segments = read(&raw);
            prop_assert!(segments.len() <= raw.len());
            for segment in &segments {
                prop_assert!(!matches!(&segment[..], b"" | b"." | b".."));
                prop_assert!(!segment.contains(&b'/') && !segment.contains(&b'\\'));
            }
            let mut joined = Vec::new();
            for segment in &segments {
                joined.extend([&b"/"[..], segment].concat());
            }
            if !joined.iter().any(|byte| b"%?#;".contains(byte)) {
                prop_assert_eq!(read(&joined), segments, "reading is idempotent");
            }
        }
    }
}
