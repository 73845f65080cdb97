//! Errors in the text of a route.

use std::fmt;

use super::{CAPTURE_NAME_BYTES_MAX, ROUTE_BYTES_MAX, ROUTE_SEGMENTS_MAX};

/// The rule that the text of a route breaks; `Display` states the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// More than [`ROUTE_BYTES_MAX`] bytes.
    TooLong,
    /// More than [`ROUTE_SEGMENTS_MAX`] segments.
    TooManySegments,
    /// No path, or one that does not begin with `/`.
    NoPath,
    /// A method that is empty or has a letter that methods do not have.
    Method,
    /// A method named twice.
    MethodTwice,
    /// A blank or a control character in the path.
    Blank,
    /// `?` or `#`.
    Query,
    /// `%`.
    Percent,
    /// `\`.
    Backslash,
    /// A `/` at the end.
    TrailingSlash,
    /// `//`.
    EmptySegment,
    /// `.` or `..` as a segment.
    DotSegment,
    /// `**` next to other characters.
    Rest,
    /// `{` or `}` other than around a whole segment.
    Brace,
    /// A capture's name with a character that names do not have, or too long.
    CaptureName,
    /// Two captures of one name.
    CaptureTwice,
    /// Methods, a wildcard or a capture in a path that must be without them.
    NotPlain,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a route has at most {ROUTE_BYTES_MAX} bytes"),
            Self::TooManySegments => write!(f, "a route has at most {ROUTE_SEGMENTS_MAX} segments"),
            Self::NoPath => f.write_str("a route is `METHODS /path` or `/path`"),
            Self::Method => f.write_str(
                "methods are capital letters, digits and `-`, joined by `,` without blanks",
            ),
            Self::MethodTwice => f.write_str("a method is named once"),
            Self::Blank => f.write_str("a path has no blanks or control characters"),
            Self::Query => {
                f.write_str("a path has no `?` or `#`: query and fragment are never matched")
            }
            Self::Percent => f.write_str("a path is written in decoded form, without `%`"),
            Self::Backslash => f.write_str("segments are separated by `/`, not `\\`"),
            Self::TrailingSlash => f.write_str(
                "a path does not end with `/`: slashes at the end of a request never matter",
            ),
            Self::EmptySegment => {
                f.write_str("a path has no `//`: repeated slashes in a request count as one")
            }
            Self::DotSegment => f.write_str(
                "`.` and `..` are not segments: requests are matched after resolving them",
            ),
            Self::Rest => f.write_str("`**` must be a whole segment"),
            Self::Brace => {
                f.write_str("`{name}` must be a whole segment, and braces mean nothing else")
            }
            Self::CaptureName => write!(
                f,
                "a capture's name is a lower-case letter, then at most {} lower-case letters, \
                 digits and `_`",
                CAPTURE_NAME_BYTES_MAX.saturating_sub(1)
            ),
            Self::CaptureTwice => f.write_str("a capture's name is used once in a route"),
            Self::NotPlain => f.write_str(
                "this is one path: write `/path`, without methods, `*`, `**` and `{name}`",
            ),
        }
    }
}

impl std::error::Error for RouteError {}
