//! The place of a value in bodies: a JSON pointer (RFC 6901), parsed once with the policy.

use std::fmt;
use std::sync::Arc;

/// The most steps of a path.
pub const PATH_STEPS_MAX: usize = 32;

/// The most bytes of a path's text.
pub const PATH_BYTES_MAX: usize = 256;

/// Steps from the root of a body; an empty path is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    steps: Arc<[Step]>,
}

/// One step: its meaning for an object, and for an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The name of the member.
    pub(super) name: Box<[u8]>,
    /// The index of the item, if it is one: digits without a leading zero.
    pub(super) index: Option<u64>,
}

impl fmt::Display for JsonPath {
    /// The text as in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| {
            let name = String::from_utf8_lossy(&step.name);
            write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))
        })
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str(
                "it begins with / (/data/attributes), or is empty for the whole document",
            ),
            Self::BadEscape => f.write_str("~ is written ~0, and / within a name ~1"),
            Self::TooManySteps => write!(f, "at most {PATH_STEPS_MAX} steps"),
            Self::TooLong => write!(f, "at most {PATH_BYTES_MAX} bytes"),
        }
    }
}

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It is neither empty nor begins with `/`.
    NoSlash,
    /// A `~` that is not followed by `0` or `1`.
    BadEscape,
    /// More than [`PATH_STEPS_MAX`] steps.
    TooManySteps,
    /// More than [`PATH_BYTES_MAX`] bytes.
    TooLong,
}

impl JsonPath {
    /// Parses `text`: `""` is the root, `/a/0` the first item or the member `0` of `a`. `~1` is `/`
    /// and `~0` is `~`. A `-`, the item after the last, never exists.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        if text.is_empty() {
            return Ok(Self {
                steps: Arc::default(),
            });
        }
        let tokens = text.strip_prefix('/').ok_or(PathError::NoSlash)?;
        if tokens.split('/').count() > PATH_STEPS_MAX {
            return Err(PathError::TooManySteps);
        }
        Ok(Self {
            steps: tokens
                .split('/')
                .map(Step::parse)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The whole body.
    #[must_use]
    pub fn root() -> Self {
        Self {
            steps: Arc::default(),
        }
    }

    /// The number of steps below the root.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step from `depth` steps below the root to the next.
    pub(super) fn step(&self, depth: usize) -> Option<&Step> {
        self.steps.get(depth)
    }
}

impl Step {
    fn parse(token: &str) -> Result<Self, PathError> {
        let mut name = String::with_capacity(token.len());
        let mut rest = token;
        while let Some((plain, escaped)) = rest.split_once('~') {
            name.push_str(plain);
            rest = match escaped.strip_prefix('0') {
                Some(after) => {
                    name.push('~');
                    after
                }
                None => {
                    name.push('/');
                    escaped.strip_prefix('1').ok_or(PathError::BadEscape)?
                }
            };
        }
        name.push_str(rest);
        // RFC 6901 §4: "%x30 / ( %x31-39 *(%x30-39) )", so no sign and no leading zero.
        let canonical = name == "0" || !name.starts_with(['0', '+']);
        let index = if canonical { name.parse().ok() } else { None };
        Ok(Self {
            name: name.into_bytes().into(),
            index,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_rfc_6901() {
        // The examples of RFC 6901 §5 and similar ones: the text, and the names of its steps.
        for (text, names) in [
            ("", &[][..]),
            ("/", &[""]),
            ("/foo", &["foo"]),
            ("/foo/0", &["foo", "0"]),
            ("/a~1b", &["a/b"]),
            ("/c%d", &["c%d"]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
            ("/~0~1~1", &["~//"]),
            ("/ü//", &["ü", "", ""]),
        ] {
            let path = JsonPath::parse(text).unwrap();
            assert_eq!(path.len(), names.len(), "{text}");
            for (depth, name) in names.iter().enumerate() {
                assert_eq!(*path.step(depth).unwrap().name, *name.as_bytes(), "{text}");
            }
        }
    }

    #[test]
    fn an_index_has_digits_and_no_leading_zero() {
        for (token, index) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("10", Some(10)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("01", None),
            ("00", None),
            ("+1", None),
            ("-1", None),
            ("-", None),
            ("", None),
            (" 1", None),
            ("a", None),
        ] {
            assert_eq!(Step::parse(token).unwrap().index, index, "{token:?}");
        }
    }

    #[test]
    fn every_error_in_a_path_is_distinct() {
        let slashes = |count| "/".repeat(count);
        for (text, error) in [
            ("a", Some(PathError::NoSlash)),
            ("a/b", Some(PathError::NoSlash)),
            ("/~", Some(PathError::BadEscape)),
            ("/~2", Some(PathError::BadEscape)),
            ("/a~/b", Some(PathError::BadEscape)),
            ("/~0~", Some(PathError::BadEscape)),
            (slashes(PATH_STEPS_MAX).as_str(), None),
            (
                slashes(PATH_STEPS_MAX + 1).as_str(),
                Some(PathError::TooManySteps),
            ),
            (
                format!("/{}", "a".repeat(PATH_BYTES_MAX - 1)).as_str(),
                None,
            ),
            (
                format!("/{}", "a".repeat(PATH_BYTES_MAX)).as_str(),
                Some(PathError::TooLong),
            ),
        ] {
            assert_eq!(JsonPath::parse(text).err(), error, "{text}");
        }
    }
}
