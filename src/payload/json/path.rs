//! The place of a value in JSON: a pointer as in RFC 6901.

use std::fmt;

/// A JSON pointer, cut into its tokens; none of them is the whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonPath {
    tokens: Vec<Box<str>>,
}

/// The most steps of a pointer.
pub const PATH_TOKENS_MAX: usize = 32;
/// The most bytes of a pointer, as it is written.
pub const PATH_BYTES_MAX: usize = 256;

/// Why a text is not a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with a slash.
    NoSlash,
    /// A `~` that is not `~0` or `~1`.
    BadEscape,
    /// More than [`PATH_TOKENS_MAX`] steps, or [`PATH_BYTES_MAX`] bytes.
    TooLong,
}

impl JsonPath {
    /// Reads `/data/attributes`; the empty text is the whole document.
    ///
    /// # Errors
    /// [`PathError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let rest = text.strip_prefix('/').ok_or(PathError::NoSlash)?;
        let tokens = rest.split('/').map(unescaped).collect::<Option<Vec<_>>>().ok_or(PathError::BadEscape)?;
        let fits = tokens.len() <= PATH_TOKENS_MAX && text.len() <= PATH_BYTES_MAX;
        if fits { Ok(Self { tokens }) } else { Err(PathError::TooLong) }
    }

    /// Its steps, without escapes.
    #[must_use]
    pub fn tokens(&self) -> &[Box<str>] {
        &self.tokens
    }
}

/// RFC 6901 §4: `~1` is read first, so that `~01` is `~1`.
fn unescaped(token: &str) -> Option<Box<str>> {
    let escapes_well = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    escapes_well.then(|| token.replace("~1", "/").replace("~0", "~").into())
}

impl fmt::Display for JsonPath {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("it begins with / (/data/attributes), or is empty for the whole document"),
            Self::BadEscape => f.write_str("~ is written ~0, and / within a name ~1"),
            Self::TooLong => write!(f, "at most {PATH_TOKENS_MAX} steps and {PATH_BYTES_MAX} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_back_as_it_is_written() {
        for text in ["", "/", "/data/attributes", "/a~1b/m~0n/~01", "/0/x", "//"] {
            assert_eq!(JsonPath::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(JsonPath::parse("/~01").unwrap().tokens(), [Box::from("~1")]);
        for (text, error) in [
            ("data", PathError::NoSlash),
            ("/a~", PathError::BadEscape),
            ("/a~2", PathError::BadEscape),
            (&"/a".repeat(33), PathError::TooLong),
            (&format!("/{}", "a".repeat(256)), PathError::TooLong),
        ] {
            assert_eq!(JsonPath::parse(text), Err(error), "{text}");
        }
    }
}
