//! How else a path may be read, and when it may not be read at all.

use super::{PathBuffer, Reader, next_byte, path_of};

/// Why a path is refused: its readers go different ways, and no set of readings covers them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// A segment `.` or `..`, in any spelling, which the proxy left in place.
    DotSegment,
    /// A NUL, at which some readers end.
    Nul,
    /// An ASCII character in more bytes than UTF-8 has for it, which some readers decode.
    Overlong,
    /// A fragment, which no request has (RFC 9112 §3.2.1).
    Fragment,
    /// It can be read in more than one way, and is too long to try them all.
    Long,
    /// Its readings are under different payload limits.
    Payload,
}

impl Ambiguity {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DotSegment,
        Self::Nul,
        Self::Overlong,
        Self::Fragment,
        Self::Long,
        Self::Payload,
    ];

    /// The name in metrics, the access log and explanations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DotSegment => "dot_segment",
            Self::Nul => "nul",
            Self::Overlong => "overlong",
            Self::Fragment => "fragment",
            Self::Long => "long",
            Self::Payload => "payload",
        }
    }

    /// A sentence for the client.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::DotSegment => "The path has a dot segment.",
            Self::Nul => "The path has a NUL.",
            Self::Overlong => "The path has an overlong UTF-8 sequence.",
            Self::Fragment => "The path has a fragment.",
            Self::Long => "The path can be read in more than one way, and is too long.",
            Self::Payload => "The path can be read in more than one way.",
        }
    }
}

/// The longest path of which all readings are tried, in bytes.
const LONG: usize = 8 * 1024;

/// The reason to refuse a `:path` under every policy; `first` is its coarsest reading.
///
/// A dot segment in any reading is one in the coarsest: others split at fewer places.
#[must_use]
pub fn ambiguity(raw: &[u8], first: &PathBuffer) -> Option<Ambiguity> {
    if first.is_plain() {
        return None;
    }
    if first.dots {
        return Some(Ambiguity::DotSegment);
    }
    let path = path_of(raw);
    if raw.get(path.len()) == Some(&b'#') {
        return Some(Ambiguity::Fragment);
    }
    if path.contains(&b'%') {
        let decoded = decoded(path);
        if decoded.contains(&0) {
            return Some(Ambiguity::Nul);
        }
        if has_overlong(&decoded) {
            return Some(Ambiguity::Overlong);
        }
        if decodes_twice(&decoded) {
            let mut again = PathBuffer::new();
            again.read_as(&decoded, Reader::COARSEST);
            if again.dots {
                return Some(Ambiguity::DotSegment);
            }
        }
    }
    (path.len() > LONG && Readings::of(raw).is_some()).then_some(Ambiguity::Long)
}

/// All readings of a path but the coarsest; none of a path that has no second one.
///
/// | a reader may | and may |
/// |---|---|
/// | split at a percent-encoded separator | keep it in its segment |
/// | take a `\` for a `/` | keep it in its segment |
/// | cut a segment at a `;` | keep the rest |
/// | drop empty segments | keep them |
/// | decode once | decode twice, if that yields dots or separators |
///
/// Two that always do the same for a path are one.
#[derive(Debug)]
pub struct Readings<'p> {
    path: &'p [u8],
    decoded: Option<Vec<u8>>,
    /// The remaining steps, last first.
    left: Vec<(Text, Reader)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Raw,
    Decoded,
}

impl<'p> Readings<'p> {
    /// The other readings of a `:path`; `None` if there are none, as of each path that
    /// [is plain](PathBuffer::is_plain).
    #[must_use]
    pub fn of(raw: &'p [u8]) -> Option<Self> {
        let path = path_of(raw);
        let once = decoded(path);
        let twice = decodes_twice(&once);
        // Readers may differ in the result of the last decoding.
        let last = if twice { decoded(&once) } else { once.clone() };
        let escapes_separators = separators(path) != separators(&once);
        let texts = [&once, &last];
        let has_backslash = texts.iter().any(|text| text.contains(&b'\\'));
        let has_parameter = texts.iter().any(|text| text.contains(&b';'));
        let has_empty_segment = texts.iter().any(|text| has_empty_segment(text));
        let mut left = Vec::new();
        for &encoded in both(twice || escapes_separators) {
            for &backslash in both(has_backslash) {
                for &cut in both(has_parameter) {
                    for &dropped in both(has_empty_segment) {
                        let reader = Reader {
                            encoded,
                            backslash,
                            cut,
                            empty: !dropped,
                        };
                        left.push((Text::Raw, reader));
                        if twice {
                            left.push((Text::Decoded, reader));
                        }
                    }
                }
            }
        }
        left.retain(|one| *one != (Text::Raw, Reader::COARSEST));
        (!left.is_empty()).then_some(Self {
            path,
            decoded: twice.then_some(once),
            left,
        })
    }

    /// Reads the path in the next way; false if there is none.
    pub fn next(&mut self, into: &mut PathBuffer) -> bool {
        let Some((text, reader)) = self.left.pop() else {
            return false;
        };
        into.read_as(
            match text {
                Text::Raw => self.path,
                Text::Decoded => self.decoded.as_deref().unwrap_or_default(),
            },
            reader,
        );
        true
    }
}

/// Both values if readers may differ in something, else that of the coarsest reader.
const fn both(differ: bool) -> &'static [bool] {
    if differ { &[true, false] } else { &[true] }
}

fn separates(byte: u8) -> bool {
    Reader::COARSEST.separates(byte)
}

fn separators(text: &[u8]) -> usize {
    text.iter().filter(|byte| separates(**byte)).count()
}

fn has_empty_segment(text: &[u8]) -> bool {
    text.array_windows()
        .any(|[one, next]| separates(*one) && (separates(*next) || *next == b';'))
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, _, after)) = next_byte(rest) {
        decoded.push(byte);
        rest = after;
    }
    decoded
}

/// Whether decoding once more gives a dot or a separator.
fn decodes_twice(decoded: &[u8]) -> bool {
    let mut rest = decoded;
    while let Some((byte, encoded, after)) = next_byte(rest) {
        if encoded && matches!(byte, b'.' | b'/' | b'\\') {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether the bytes encode some ASCII character in two to four bytes (RFC 3629 §10).
fn has_overlong(text: &[u8]) -> bool {
    text.windows(2)
        .any(|two| matches!(two, [0xc0 | 0xc1, 0x80..=0xbf]))
        || text
            .windows(3)
            .any(|three| matches!(three, [0xe0, 0x80 | 0x81, 0x80..=0xbf]))
        || text
            .windows(4)
            .any(|four| matches!(four, [0xf0, 0x80, 0x80 | 0x81, 0x80..=0xbf]))
}

#[cfg(test)]
mod tests;
