//! What is wrong with a policy: where, which value, and which rule it breaks.
//!
//! All errors are collected, so that an operator can mend them in one go. Nothing under
//! `/callers/directory` is repeated: an error there names the entry, never its content.

mod words;

use std::fmt;

use words::{Digits, Either, Meant, Named};

use super::attributes::RESERVED;
use super::route::RouteError;
use super::template::Placeholder;
use crate::base::time::Span;
use crate::base::units::{UnitError, write_span};
use crate::base::zone::Zone;
use crate::payload::json::PathError;

pub(crate) use words::{Choices, Quoted, Shown, nearest};

/// A hint at the word that was meant follows more words than these.
const AT_A_GLANCE: usize = 3;

/// One error of a policy.
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
        /// As it was written.
        key: String,
        /// The keys that are allowed there.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    Missing,
    /// Another kind of value than this.
    NotA {
        /// What is needed, with its article.
        wanted: &'static str,
        /// What was found, with its article.
        found: &'static str,
    },
    /// Another kind of value than a map.
    NotAMap {
        /// How such a map is written.
        form: &'static str,
        /// What was found, with its article.
        found: &'static str,
    },
    /// A text instead of a number.
    NotANumber {
        /// As it was written.
        value: String,
    },
    /// Something else instead of one of these words.
    NotAWord {
        /// What is allowed.
        choices: Vec<String>,
        /// What was found, with its article.
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
    /// A name that no attribute of the callers has.
    NoSuchAttribute {
        /// As it was written.
        value: String,
        /// Those that there are, in words.
        choices: Vec<String>,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// Whether entries of a directory may have attributes that are declared.
        directory: bool,
    },
    /// A list or map without an element.
    Empty,
    /// More elements than this.
    TooMany {
        /// How many there are.
        count: usize,
        /// The most that are allowed.
        max: usize,
    },
    /// Lists of values with more combinations than this.
    TooManyCombinations(usize),
    /// Overrides that bring the combinations of all lists of values above this.
    TooManyCombinationsInAll(usize),
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
    /// A word of the language for a name.
    ReservedName {
        /// The word.
        value: String,
    },
    /// The name of a credential for another attribute.
    CredentialsName {
        /// The name.
        value: String,
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
    /// Something without a name whose default one is taken.
    NameNeeded {
        /// The default name.
        default: &'static str,
        /// The pointer of the one that has it.
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
        /// Those that are there.
        given: Vec<&'static str>,
    },
    /// A key without another key that gives it a meaning.
    RequiresSibling {
        /// The other key.
        sibling: &'static str,
    },
    /// A path into metadata that names no value.
    NamespaceAlone,
    /// A header that a client can set.
    Untrusted,
    /// The host, taken for a header.
    HostHeader,
    /// A header that no filter sees as it was sent.
    ConnectionHeader {
        /// Its name, in lower case.
        name: String,
    },
    /// False, where there is nothing but true.
    NotTrue,
    /// An attribute that would be a secret.
    SecretAsAttribute {
        /// The name of the credential that is there.
        credential: String,
    },
    /// A route that should capture this name.
    NoCapture {
        /// The name in braces.
        name: String,
    },
    /// A key or a value in an entry of the directory, of which nothing is repeated but what is
    /// elsewhere, too.
    InEntry {
        /// Which of the two.
        part: InEntry,
        /// The rule that it breaks.
        reason: Box<Reason>,
    },
    /// No credential would ever be accepted.
    NoAcceptedCredential,
    /// A route with methods where only a path is allowed.
    MethodInPath,
    /// A capture and an attribute of one name: it would not be clear whose value counts.
    CaptureIsAttribute {
        /// The name.
        name: String,
    },
    /// A tier, limit or override that no request ever reaches.
    NeverReached {
        /// The pointers of those that take all of its requests.
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
    EmptyLimit {
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

/// A part of an entry of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InEntry {
    /// A key.
    Key,
    /// The value of an attribute; its name, where that is declared elsewhere.
    Value(Option<String>),
}

impl Reason {
    /// A word that is none of `choices`, which are what `kind` says.
    pub(super) fn not_one_of(value: &str, choices: Vec<String>, kind: &'static str) -> Self {
        Self::NotOneOf { value: value.to_owned(), choices, kind }
    }
}

impl fmt::Display for InEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("a key of this entry"),
            Self::Value(None) => f.write_str("a value of this entry"),
            Self::Value(Some(name)) => write!(f, "the {name} of this entry"),
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(if self.at.is_empty() { "/" } else { &self.at }), self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, known: _ } if key.starts_with(|first: char| first.is_ascii_digit()) => f.write_str(
                "unknown key: a comma ends the value before it, so write numbers without separators (5000000, not 5,000,000)",
            ),
            Self::UnknownKey { key, known } => {
                let meant = Meant(nearest(key, known.iter().copied()));
                write!(f, "unknown key; known keys: {}{meant}", known.join(", "))
            }
            Self::Missing => f.write_str("missing required key"),
            Self::NotA { wanted: wanted @ "a string", found: found @ ("a number" | "a boolean") } => {
                write!(f, "expected {wanted}, found {found}: put it in quotes")
            }
            Self::NotA { wanted: wanted @ "a list", found } => {
                write!(f, "expected {wanted}, found {found}: put it in [ ], or begin each line with -")
            }
            Self::NotA { wanted, found } => write!(f, "expected {wanted}, found {found}"),
            Self::NotAMap { form, found } => write!(f, "expected a map such as {form}, found {found}"),
            Self::NotANumber { value } if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                write!(f, "expected a number, found a string: write {value} without quotes")
            }
            Self::NotANumber { value } => {
                let (digits, string) = (Digits(value).to_string(), Quoted(value));
                let begins = value.starts_with(|first: char| first.is_ascii_digit());
                let hint = if begins && digits.is_empty() { "; a count has digits only, and no unit" } else { &digits };
                write!(f, "expected a number, found the string {string}{hint}")
            }
            Self::NotAWord { choices, found } if choices.len() == 1 => {
                write!(f, "expected {}, found {found}", Choices(choices))
            }
            Self::NotAWord { choices, found } => write!(f, "expected one of {}; found {found}", Choices(choices)),
            Self::OutOfRange { value, min, max } if min == max => write!(f, "expected {min}, found {value}"),
            Self::OutOfRange { value, min, max } if value.contains(['.', 'e']) => {
                write!(f, "{value} is not a whole number in {min}..={max}")
            }
            Self::OutOfRange { value, min, max } => write!(f, "{value} is not in {min}..={max}"),
            Self::NotOneOf { value, choices, kind } if choices.is_empty() => {
                write!(f, "{} is not {kind}; the policy has none", Quoted(value))
            }
            Self::NotOneOf { value, choices, kind } => {
                let meant = nearest(value, choices.iter().map(String::as_str)).filter(|_| choices.len() > AT_A_GLANCE);
                let one_of = if choices.len() > 1 { "one of " } else { "" };
                write!(f, "{} is not {kind}; expected {one_of}{}{}", Quoted(value), Choices(choices), Meant(meant))
            }
            Self::NoSuchAttribute { value, choices, nearest, directory } => {
                write!(f, "{} is not an attribute of the callers; known attributes: {}", Quoted(value), Choices(choices))?;
                match nearest {
                    _ if RESERVED.contains(&&**value) => {
                        write!(f, "; `{value}` is allowed only in the `for` of a limit")
                    }
                    Some(_) => write!(f, "{}", Meant(nearest.as_deref())),
                    None if choices.len() == 1 => f.write_str("; a policy without `callers` has no other"),
                    None if *directory => {
                        f.write_str("; list it in `directory_attributes` if entries of the directory will have it")
                    }
                    None => Ok(()),
                }
            }
            Self::Empty => f.write_str("must not be empty"),
            Self::TooMany { count, max } => write!(f, "too many elements: {count}, at most {max} are allowed"),
            Self::TooManyCombinations(max) => write!(
                f,
                "its lists of values have more than {max} combinations: split it into several overrides"
            ),
            Self::TooManyCombinationsInAll(max) => {
                write!(
                f,
                "the overrides of this policy have more than {max} combinations: select these callers by a shared attribute"
            )
            }
            Self::TooLong { max } => write!(f, "too long: at most {max} bytes"),
            Self::BadName { value } => {
                write!(f, "{}is not a name: at most 64 of a-z, 0-9, _ and -, beginning with a letter", Named(value))
            }
            Self::ReservedName { value } => {
                write!(f, "{} is a reserved word, and cannot name an attribute", Quoted(value))
            }
            Self::CredentialsName { value } => {
                write!(f, "{} is the name of a credential, and cannot name another attribute", Quoted(value))
            }
            Self::TooManyAttributes { max } => write!(f, "too many attributes: at most {max} in a policy"),
            Self::Duplicate { value, first } => write!(f, "{}is a duplicate of {first}", Named(value)),
            Self::NameNeeded { default, first } => {
                write!(f, "missing `name`: the default, {}, is used at {first}", Quoted(default))
            }
            Self::BadRoute { value, error } => write!(f, "{} is not a route: {error}", Quoted(value)),
            Self::BadUnit { value, error } => write!(f, "{} {error}{}", Quoted(value), Digits(value)),
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
            Self::NotOneSource { sources, given } if given.is_empty() => {
                write!(f, "expected exactly one of {}; found none", sources.join(", "))
            }
            Self::NotOneSource { sources, given } => {
                write!(f, "expected exactly one of {}; found {}", sources.join(", "), given.join(" and "))
            }
            Self::RequiresSibling { sibling } => write!(f, "applies only with {sibling}"),
            Self::NamespaceAlone => f.write_str(
                "names only a namespace: add keys, as in [envoy.filters.http.jwt_authn, session]",
            ),
            Self::Untrusted => f.write_str(
                "a client can set this header: remove or overwrite it before this filter, then add `trusted: true`",
            ),
            Self::HostHeader => f.write_str(
                "the host is not read as a header: use the source `{ host: true }`",
            ),
            Self::ConnectionHeader { name } => {
                write!(f, "{} belongs to one connection, and no filter sees it as it was sent", Quoted(name))
            }
            Self::NotTrue => f.write_str("must be true, or absent"),
            Self::SecretAsAttribute { credential } => write!(
                f,
                "holds the credential {}: a secret cannot be an attribute, because attributes are logged",
                Quoted(credential)
            ),
            Self::NoCapture { name } => write!(f, "must capture {{{name}}} in its path"),
            Self::InEntry { part, reason } => write!(f, "{part}: {reason}"),
            Self::NoAcceptedCredential => f.write_str(
                "no credential would be accepted: add a `directory`, which may be empty, or `unknown: anonymous`",
            ),
            Self::MethodInPath => f.write_str("must be a path without methods"),
            Self::CaptureIsAttribute { name } => {
                write!(f, "captures {{{name}}}, which is also an attribute: rename one of them")
            }
            Self::NeverReached { by } => write!(f, "can never be reached: all of its requests go to {by}"),
            Self::Contradiction { one, other } => {
                write!(f, "can never be reached: no request matches both {} and {}", Shown(one), Shown(other))
            }
            Self::WindowTooLong => {
                f.write_str("takes longer than 366 days to fill: use a smaller burst or a faster refill")
            }
            Self::CostAboveQuota { cost, quota } => write!(f, "a cost of {cost} never fits: the limit holds {quota}"),
            Self::OverridesNothing { keys } => write!(f, "changes nothing: add {}", Either(keys)),
            Self::EmptyLimit { keys } => write!(f, "limits nothing: add {}", Either(keys)),
            Self::TooManyNames { members, max } => write!(
                f,
                "duplicate names are found among at most {max} members, not {members}"
            ),
            Self::BadPath { value, error } => write!(f, "{} is not a JSON pointer: {error}", Quoted(value)),
            Self::NoSuchZone { value } => {
                let meant = Meant(nearest(value, Zone::names()));
                write!(f, "{} is not a time zone of the IANA database, such as Europe/Rome or UTC{meant}", Quoted(value))
            }
            Self::BadPlaceholder { value, known } => {
                let known: Vec<String> = known.iter().map(|known| format!("{{{}}}", known.name())).collect();
                write!(f, "{} is not a placeholder here; known placeholders: {}", Quoted(value), Choices(&known))
            }
        }
    }
}
