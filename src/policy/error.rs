//! What is wrong with a policy: where, which value, and which rule it breaks.
//!
//! All faults are collected, so that an operator mends them in one go. Nothing that stands under
//! `/callers/directory` is repeated: an error there names the entry, never its content.

use std::fmt;

use super::route::RouteError;
use super::template::Placeholder;
use crate::base::time::Span;
use crate::base::units::{UnitError, write_span};
use crate::payload::json::PathError;

/// One fault of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The JSON pointer (RFC 6901) of the value, or of the unknown key.
    pub at: String,
    /// The line of the document, from 1; 0 where it has none.
    pub line: u32,
    /// The value and the rule.
    pub reason: Reason,
}

/// The rule that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A key that nothing reads.
    UnknownKey {
        /// The keys that may stand there.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    Missing,
    /// Another kind of value than this.
    NotA {
        /// What is needed, with its article.
        wanted: &'static str,
        /// What stands there, with its article.
        found: &'static str,
    },
    /// A number outside of its range.
    OutOfRange {
        /// As it was written.
        value: String,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// A word that is none of these.
    NotOneOf {
        /// As it was written.
        value: String,
        /// What is allowed.
        choices: Vec<String>,
        /// What the words are.
        kind: &'static str,
    },
    /// A list or map without an element.
    Empty,
    /// More elements than this.
    TooMany {
        /// The most that are allowed.
        max: usize,
    },
    /// A text longer than this many bytes.
    TooLong {
        /// The most that are allowed.
        max: usize,
    },
    /// Not a name as `[a-z][a-z0-9_-]*`.
    BadName {
        /// As it was written; `None` under the directory.
        value: Option<String>,
    },
    /// A name that means something else already.
    ReservedName {
        /// As it was written; `None` under the directory.
        value: Option<String>,
    },
    /// More attributes than this in one policy.
    TooManyAttributes {
        /// The most that are allowed.
        max: usize,
    },
    /// A name that is taken.
    Duplicate {
        /// The name; `None` under the directory.
        value: Option<String>,
        /// The pointer of its first use.
        first: String,
    },
    /// Something without a name, where its usual one is taken.
    NameNeeded {
        /// The usual name.
        usual: &'static str,
        /// The pointer of who has it.
        first: String,
    },
    /// Not a route.
    BadRoute {
        /// As it was written.
        value: String,
        /// The rule.
        error: RouteError,
    },
    /// Not a quantity with its unit.
    BadUnit {
        /// As it was written.
        value: String,
        /// The rule.
        error: UnitError,
    },
    /// A length of time that is too short or too long here.
    SpanOutOfRange {
        /// As it was written.
        value: String,
        /// The longest that is allowed.
        max: Span,
    },
    /// Not the SHA-256 of a secret in hexadecimal digits.
    BadDigest,
    /// Not the name of a header, a query parameter or an authentication scheme.
    BadToken {
        /// As it was written.
        value: String,
        /// What the token names.
        kind: &'static str,
    },
    /// Not the media type of a body.
    BadMediaType {
        /// As it was written.
        value: String,
    },
    /// Neither a media type nor a range of them.
    BadMediaRange {
        /// As it was written.
        value: String,
    },
    /// A source of which there must be exactly one.
    NotOneSource {
        /// The keys of the sources.
        sources: &'static [&'static str],
    },
    /// A key beside the wrong other one.
    Misplaced {
        /// What it is, or why it has no meaning here.
        why: &'static str,
        /// The key beside which it has one.
        beside: &'static str,
    },
    /// A path into metadata that names no value.
    NamespaceAlone,
    /// A header that a client can invent.
    Untrusted,
    /// An attribute that would be a secret.
    SecretAsAttribute {
        /// The name of the credential that stands there.
        credential: String,
    },
    /// A route that should capture this name.
    NoCapture {
        /// The name in braces.
        name: String,
    },
    /// A key or a value in an entry of the directory, of which nothing is repeated.
    InEntry {
        /// Which of the two, with its article.
        part: &'static str,
        /// The rule that it breaks.
        reason: Box<Reason>,
    },
    /// No credential would ever be let in.
    NobodyKnown,
    /// A place for paths alone.
    MethodInPath,
    /// A capture and an attribute of one name: it would not be clear whose value counts.
    CaptureIsAttribute {
        /// The name.
        name: String,
    },
    /// A tier or override to which no request ever comes.
    NeverReached {
        /// The pointers of what takes all of its requests.
        by: String,
    },
    /// A limit or override of which two conditions never hold together.
    Contradiction {
        /// The pointer of the one.
        one: String,
        /// The pointer of the other.
        other: String,
    },
    /// A bucket that takes longer than 366 days to fill.
    WindowTooLong,
    /// A cost that is more than the limit ever holds.
    CostAboveQuota {
        /// The cost.
        cost: u64,
        /// What the limit holds.
        quota: u64,
    },
    /// An override that changes nothing.
    OverridesNothing {
        /// What it could change.
        keys: &'static [&'static str],
    },
    /// Something that bounds nothing.
    LimitsNothing {
        /// What it could bound.
        keys: &'static [&'static str],
    },
    /// More members of one object than their names can be told apart.
    TooManyNames {
        /// The members.
        members: u64,
        /// The most that are remembered.
        max: u64,
    },
    /// A queue beside a payload limit that holds.
    QueueBesideHold {
        /// The pointer of its `hold`.
        hold: String,
    },
    /// Not a JSON pointer.
    BadPath {
        /// As it was written.
        value: String,
        /// The rule.
        error: PathError,
    },
    /// Not a time zone.
    NoSuchZone {
        /// As it was written.
        value: String,
    },
    /// A placeholder that a template does not know.
    BadPlaceholder {
        /// As it was written.
        value: String,
        /// Those that it knows.
        known: Vec<Placeholder>,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(if self.at.is_empty() { "/" } else { &self.at }), self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { known } => write!(f, "unknown key; known here: {}", known.join(", ")),
            Self::Missing => f.write_str("is required, and missing"),
            Self::NotA { wanted, found } => write!(f, "must be {wanted}, and is {found}"),
            Self::OutOfRange { value, min, max } if min == max => write!(f, "{value} is not {min}"),
            Self::OutOfRange { value, min, max } if value.contains(['.', 'e']) => {
                write!(f, "{value} is not a whole number in {min}..={max}")
            }
            Self::OutOfRange { value, min, max } => write!(f, "{value} is not in {min}..={max}"),
            Self::NotOneOf { value, choices, kind } if choices.is_empty() => {
                write!(f, "{} is not {kind}: there is none", Quoted(value))
            }
            Self::NotOneOf { value, choices, kind } => {
                write!(f, "{} is not {kind}: {}", Quoted(value), Choices(choices))
            }
            Self::Empty => f.write_str("is empty, and must not be"),
            Self::TooMany { max } => write!(f, "has too many elements: at most {max}"),
            Self::TooLong { max } => write!(f, "is too long: at most {max} bytes"),
            Self::BadName { value } => {
                write!(f, "{}is not a name: up to 64 of a-z, 0-9, _ and -, a letter first", Named(value))
            }
            Self::ReservedName { value } => {
                write!(f, "{}is the name of a credential, or a word of the language", Named(value))
            }
            Self::TooManyAttributes { max } => write!(f, "is one attribute too many: at most {max} in a policy"),
            Self::Duplicate { value, first } => write!(f, "{}is used twice, first at {first}", Named(value)),
            Self::NameNeeded { usual, first } => {
                write!(f, "needs a `name`: {}, which it has without one, is used at {first}", Quoted(usual))
            }
            Self::BadRoute { value, error } => write!(f, "{} is not a route: {error}", Quoted(value)),
            Self::BadUnit { value, error } => write!(f, "{} {error}", Quoted(value)),
            Self::SpanOutOfRange { value, max } => {
                write!(f, "{} is not in 1s to {}", Quoted(value), write_span(*max))
            }
            Self::BadDigest => f.write_str("is not a SHA-256: 64 hexadecimal digits (printf %s KEY | sha256sum)"),
            Self::BadToken { value, kind } => write!(f, "{} is not the name of {kind}", Quoted(value)),
            Self::BadMediaType { value } => {
                write!(
                    f,
                    "{} is not a media type, such as application/json, in visible ASCII characters",
                    Quoted(value)
                )
            }
            Self::BadMediaRange { value } => write!(
                f,
                "{} is not a media type or a range of them, without parameters, such as application/json, application/*+json or text/*",
                Quoted(value)
            ),
            Self::NotOneSource { sources } => write!(f, "needs exactly one of {}", sources.join(", ")),
            Self::Misplaced { why, beside } => write!(f, "{why}: only beside {beside}"),
            Self::NamespaceAlone => f.write_str(
                "names a namespace and nothing in it: go on with keys, as in [envoy.filters.http.jwt_authn, session]",
            ),
            Self::Untrusted => f.write_str(
                "a client can invent this header: remove or overwrite it before this filter, then write `trusted: true` beside it",
            ),
            Self::SecretAsAttribute { credential } => write!(
                f,
                "is where the credential {} stands: a secret is no attribute, for attributes are written down",
                Quoted(credential)
            ),
            Self::NoCapture { name } => write!(f, "must capture {{{name}}} in its path"),
            Self::InEntry { part, reason } => write!(f, "{part} of this entry {reason}"),
            Self::NobodyKnown => f.write_str(
                "every secret would be refused: give a `directory`, be it empty for now, or `unknown: anonymous`",
            ),
            Self::MethodInPath => f.write_str("must be a path alone, without methods"),
            Self::CaptureIsAttribute { name } => {
                write!(f, "captures {{{name}}}, which is also an attribute: give one of them another name")
            }
            Self::NeverReached { by } => write!(f, "can never be reached: all of its requests go to {by}"),
            Self::Contradiction { one, other } => {
                write!(f, "can never be reached: no request fits both {} and {}", Shown(one), Shown(other))
            }
            Self::WindowTooLong => {
                f.write_str("takes longer than 366 days to fill: a smaller burst or a faster refill")
            }
            Self::CostAboveQuota { cost, quota } => write!(f, "a cost of {cost} never fits: the limit holds {quota}"),
            Self::OverridesNothing { keys } => write!(f, "changes nothing: give {}", Either(keys)),
            Self::LimitsNothing { keys } => write!(f, "limits nothing: give {}", Either(keys)),
            Self::TooManyNames { members, max } => write!(
                f,
                "{members} names are more than are remembered to find one that is used twice: at most {max}"
            ),
            Self::QueueBesideHold { hold } => write!(
                f,
                "cannot stand in one policy with {hold}: Envoy holds a request's head back either for its body or for its turn. Put them into two filters, each with a policy of its own"
            ),
            Self::BadPath { value, error } => write!(f, "{} is not a JSON pointer: {error}", Quoted(value)),
            Self::NoSuchZone { value } => {
                write!(f, "{} is not a time zone of the IANA database, such as Europe/Rome or UTC", Quoted(value))
            }
            Self::BadPlaceholder { value, known } => {
                let known: Vec<String> = known.iter().map(|known| format!("{{{}}}", known.name())).collect();
                write!(f, "{} is not a placeholder here: {}", Quoted(value), Choices(&known))
            }
        }
    }
}

/// A value from the document, short and on one line.
struct Quoted<'a>(&'a str);

const QUOTED_CHARS_MAX: usize = 60;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.0.chars().take(QUOTED_CHARS_MAX).collect();
        let more = if short.len() < self.0.len() { "…" } else { "" };
        write!(f, "\"{}{more}\"", short.escape_debug())
    }
}

/// A pointer on one line: its keys are the document's own, and may be anything.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

const SHOWN_CHARS_MAX: usize = 240;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(SHOWN_CHARS_MAX) {
            match character {
                '"' | '\'' | '\\' => write!(f, "{character}")?,
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        f.write_str(if self.0.chars().nth(SHOWN_CHARS_MAX).is_some() { "…" } else { "" })
    }
}

struct Named<'a>(&'a Option<String>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{} ", Quoted(value)),
            None => Ok(()),
        }
    }
}

/// Keys of which one is enough.
struct Either<'a>(&'a [&'static str]);

impl fmt::Display for Either<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_last() {
            Some((last, rest @ [_, ..])) => write!(f, "{} or {last}", rest.join(", ")),
            Some((only, [])) => f.write_str(only),
            None => Ok(()),
        }
    }
}

struct Choices<'a>(&'a [String]);

const CHOICES_MAX: usize = 12;

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&str> = self.0.iter().take(CHOICES_MAX).map(String::as_str).collect();
        let more = if shown.len() < self.0.len() { ", …" } else { "" };
        write!(f, "{}{more}", shown.join(", "))
    }
}
