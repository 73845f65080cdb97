//! The field `Content-Encoding`: which encodings were applied to a body, and in which order.

/// The most encodings of one body. Each holds a window, and real clients send no more than one.
pub const ENCODINGS_MAX: usize = 4;

/// An encoding that the filter can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, also called `x-gzip`.
    Gzip,
    /// RFC 1950, and RFC 1951 as some clients send it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with the window of RFC 9659.
    Zstd,
}

/// The encodings of one body, in the order in which they were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encodings {
    list: [Option<Encoding>; ENCODINGS_MAX],
}

/// The field names an unknown encoding, or too many encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

impl Encodings {
    /// Parses every value of the field, in the order of the lines. `identity` and empty elements
    /// are ignored.
    ///
    /// # Errors
    /// [`Unsupported`]: the body cannot be decoded.
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, Unsupported> {
        let mut encodings = Self::default();
        let mut free = encodings.list.iter_mut();
        for element in values
            .into_iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
        {
            // RFC 9110 §8.4.1: "All content codings are case-insensitive".
            let known = match element.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Encoding::Gzip,
                b"deflate" => Encoding::Deflate,
                b"br" => Encoding::Brotli,
                b"zstd" => Encoding::Zstd,
                _ => return Err(Unsupported),
            };
            *free.next().ok_or(Unsupported)? = Some(known);
        }
        Ok(encodings)
    }

    /// Whether the body is not encoded.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// The encodings in the order in which they were applied.
    #[must_use]
    pub fn applied(&self) -> Vec<Encoding> {
        self.list.iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<Vec<Encoding>, Unsupported> {
        Encodings::parse(lines.iter().map(|line| line.as_bytes()))
            .map(|encodings| encodings.applied())
    }

    #[test]
    fn every_line_is_a_list_in_the_order_of_application() {
        use Encoding::{Brotli, Deflate, Gzip, Zstd};
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&["identity"], &[]),
            (&["gzip"], &[Gzip]),
            (&["x-GZip"], &[Gzip]),
            (&[" br\t,, deflate "], &[Brotli, Deflate]),
            (&["zstd, identity", "gzip,"], &[Zstd, Gzip]),
            (&["gzip,gzip", "gzip", "gzip"], &[Gzip; 4]),
        ] {
            assert_eq!(parse(lines).as_deref(), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn unknown_encodings_are_unsupported() {
        for lines in [
            &["compress"][..],
            &["gzip;q=1"],
            &["gzip", "x"],
            &["gz ip"],
            &["gzip,gzip,gzip,gzip,br"],
        ] {
            assert_eq!(parse(lines), Err(Unsupported), "{lines:?}");
        }
        assert_eq!(
            Encodings::parse([&b"\xff"[..]]),
            Err(Unsupported),
            "bytes, not text"
        );
    }
}
