//! Routes: which requests something is for, by method and path.
//!
//! ```text
//! POST,PUT /v2/*/items/{item}/data*/**
//! ───┬──── ─┬─ ┬ ──┬── ──┬─── ──┬── ─┬
//!    │      │  │   │     │      │    any number of segments, also none
//!    │      │  │   │     │      one segment, `*` any characters
//!    │      │  │   │     one segment, captured
//!    │      │  │   one segment, to the letter
//!    │      │  one segment
//!    these methods, to the letter; none written: any
//! ```
//!
//! A path is matched as [`PathBuffer`] reads it: decoded, without dots, empty segments and query.
//! All of a policy's routes are compiled into one [`RouteTable`], so that the cost of a request
//! depends on its path, and not on the length of the policy.

mod error;
mod parse;
mod table;
#[cfg(test)]
mod tests;
mod wildcard;

use std::fmt;

use crate::base::path::PathBuffer;

pub use self::error::RouteError;
pub use self::table::{Matches, RouteId, RouteTable, RouteTableBuilder};
use self::wildcard::{glob_fits, globs_meet, wildcard};

/// The longest route, in bytes of its text.
pub const ROUTE_BYTES_MAX: usize = 1024;
/// The most segments that a route's path has.
pub const ROUTE_SEGMENTS_MAX: usize = 64;
/// The longest name of a capture, in bytes.
pub const CAPTURE_NAME_BYTES_MAX: usize = 32;

/// One route, checked. `Display` writes it as it would be parsed, its methods in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    methods: Methods,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Methods {
    Any,
    /// Sorted, each once, at least one.
    Only(Vec<Box<str>>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(Box<str>),
    /// At least one `*` and one other character; never two `*` in a row.
    Glob(Box<str>),
    Any,
    Capture(Box<str>),
    /// `**`.
    Rest,
}

impl Route {
    /// Reads `METHODS /path` or `/path`.
    ///
    /// # Errors
    /// The first [`RouteError`] found in `text`.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        parse::route(text)
    }

    /// Reads `/path` without methods, wildcards and captures.
    ///
    /// # Errors
    /// The first [`RouteError`] found in `text`.
    pub fn parse_plain(text: &str) -> Result<Self, RouteError> {
        let route = Self::parse(text)?;
        let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        if route.methods == Methods::Any && route.segments.iter().all(is_literal) {
            Ok(route)
        } else {
            Err(RouteError::NotPlain)
        }
    }

    /// `/**`, which matches every request.
    #[must_use]
    pub fn any() -> Self {
        Self {
            methods: Methods::Any,
            segments: vec![Segment::Rest],
        }
    }

    /// The methods that are matched, sorted; none if all are.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        let only: &[Box<str>] = match &self.methods {
            Methods::Any => &[],
            Methods::Only(methods) => methods,
        };
        only.iter().map(AsRef::as_ref)
    }

    /// The names that the path captures, in its order; each once.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// The segment of `path` that `{name}` captures; methods are not looked at.
    ///
    /// `None` if there is no such name or the path does not match. If a name could mean more than
    /// one segment, every `**` takes as few segments as possible, the first `**` first:
    /// `/**/{id}/**` captures the first segment, `/**/{id}` the last. Tries at most (segments of
    /// the route) × (segments of the path + 1) times.
    #[must_use]
    pub fn capture<'path>(&self, name: &str, path: &'path PathBuffer) -> Option<&'path [u8]> {
        let wanted = self
            .segments
            .iter()
            .position(|segment| segment.name() == Some(name))?;
        let mut captured = None;
        let star = |place| self.segments.get(place) == Some(&Segment::Rest);
        let matched = wildcard(
            self.segments.len(),
            path.segment_count(),
            star,
            |place, item| {
                let found = path.segment(item);
                if place == wanted {
                    captured = found;
                }
                self.segments
                    .get(place)
                    .zip(found)
                    .is_some_and(|(segment, found)| segment.fits(found))
            },
        );
        captured.filter(|_| matched)
    }

    /// Whether every request that `other` matches is matched by this route too.
    ///
    /// `true` is always right. `false` may be wrong if the proof takes more than one look at a `**`
    /// of `other`: `/**/*` and `/*/**` match the same paths, and neither is found to cover the
    /// other.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let star = |place| self.segments.get(place) == Some(&Segment::Rest);
        self.methods.covers(&other.methods)
            && wildcard(
                self.segments.len(),
                other.segments.len(),
                star,
                |place, item| {
                    let pair = self.segments.get(place).zip(other.segments.get(item));
                    pair.is_some_and(|(ours, theirs)| ours.covers(theirs))
                },
            )
    }

    /// Whether some request may be matched by both routes; `false` is always right.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let star = |segments: &[Segment], place: usize| segments.get(place) == Some(&Segment::Rest);
        let (ours, theirs) = (&self.segments, &other.segments);
        let segments_meet = match (
            ours.contains(&Segment::Rest),
            theirs.contains(&Segment::Rest),
        ) {
            // The segments between them find room, one after the other, if both have a `**`.
            (true, true) => {
                agree(ours.iter(), theirs.iter()) && agree(ours.iter().rev(), theirs.iter().rev())
            }
            (true, false) => wildcard(
                ours.len(),
                theirs.len(),
                |place| star(ours, place),
                |place, item| {
                    ours.get(place)
                        .zip(theirs.get(item))
                        .is_some_and(|(one, other)| one.meets(other))
                },
            ),
            (false, _) => wildcard(
                theirs.len(),
                ours.len(),
                |place| star(theirs, place),
                |place, item| {
                    theirs
                        .get(place)
                        .zip(ours.get(item))
                        .is_some_and(|(one, other)| one.meets(other))
                },
            ),
        };
        segments_meet && self.methods.meet(&other.methods)
    }
}

/// Whether the segments meet, pair by pair, as far as neither is a `**`.
fn agree<'a>(
    ours: impl Iterator<Item = &'a Segment>,
    theirs: impl Iterator<Item = &'a Segment>,
) -> bool {
    let mut fixed = ours
        .zip(theirs)
        .take_while(|(one, other)| **one != Segment::Rest && **other != Segment::Rest);
    fixed.all(|(one, other)| one.meets(other))
}

impl Methods {
    fn admit(&self, method: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.iter().any(|it| it.as_bytes() == method),
        }
    }

    fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Only(ours), Self::Only(theirs)) => ours.iter().any(|it| theirs.contains(it)),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Only(_), Self::Any) => false,
            (Self::Only(ours), Self::Only(theirs)) => theirs.iter().all(|it| ours.contains(it)),
        }
    }
}

impl Segment {
    /// Whether some segment fits both.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any | Self::Capture(_) | Self::Rest, _)
            | (_, Self::Any | Self::Capture(_) | Self::Rest) => true,
            (Self::Literal(ours), Self::Literal(theirs)) => ours == theirs,
            (Self::Glob(glob), Self::Literal(text)) | (Self::Literal(text), Self::Glob(glob)) => {
                glob_fits(glob.as_bytes(), text.as_bytes())
            }
            (Self::Glob(ours), Self::Glob(theirs)) => globs_meet(ours, theirs),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Capture(name) => Some(name),
            Self::Literal(_) | Self::Glob(_) | Self::Any | Self::Rest => None,
        }
    }

    /// Whether this fits one segment of a path.
    fn fits(&self, found: &[u8]) -> bool {
        match self {
            Self::Literal(text) => text.as_bytes() == found,
            Self::Glob(glob) => glob_fits(glob.as_bytes(), found),
            Self::Any | Self::Capture(_) | Self::Rest => true,
        }
    }

    /// Whether every segment that `other` fits is one that this fits.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rest, _) => true,
            (_, Self::Rest) => false,
            (Self::Any | Self::Capture(_), _) => true,
            (_, Self::Any | Self::Capture(_)) => false,
            (Self::Literal(ours), Self::Literal(theirs)) => ours == theirs,
            (Self::Literal(_), Self::Glob(_)) => false,
            (Self::Glob(glob), Self::Literal(text) | Self::Glob(text)) => {
                glob_fits(glob.as_bytes(), text.as_bytes())
            }
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(method)?;
        }
        if let Methods::Only(_) = self.methods {
            f.write_str(" ")?;
        }
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments
            .iter()
            .try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) | Self::Glob(text) => f.write_str(text),
            Self::Any => f.write_str("*"),
            Self::Capture(name) => write!(f, "{{{name}}}"),
            Self::Rest => f.write_str("**"),
        }
    }
}
