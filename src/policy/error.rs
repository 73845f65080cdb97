//! Errors in a policy: the place, the value, and the rule that it breaks.
//!
//! All errors are collected, so that an operator can mend them in one go. Nothing under
//! `/callers/directory` is repeated: an error there names the entry, never its content.

mod display;
mod entry;
mod refused;
mod templates;
mod usage;
mod words;

use std::fmt;

use super::callers::host::HostError;
use super::route::RouteError;
use super::template::Word;
use crate::base::network::NetworkError;
use crate::base::time::Span;
use crate::base::units::UnitError;
use crate::payload::json::PathError;

pub use entry::InEntry;
pub use refused::RefusedRule;
pub use usage::UsageRule;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use words::{Choices, Quoted};
pub(crate) use words::{Shown, nearest};

/// One error of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The JSON pointer (RFC 6901) of the value, or of the unknown key.
    pub at: String,
    /// The line of the document, from 1; 0 if it has none.
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
        known: &'static [&'static str],
    },
    /// A key that must be there.
    Missing,
    /// Another kind of value than this.
    NotA {
        /// The needed kind, with its article.
        wanted: &'static str,
        /// The kind that was found, with its article.
        found: &'static str,
    },
    /// Another kind of value than a map.
    NotAMap {
        /// How such a map is written.
        form: &'static str,
        /// The kind that was found, with its article.
        found: &'static str,
    },
    /// A text instead of a number.
    NotANumber {
        /// As it was written.
        value: String,
    },
    /// Something else instead of one of these words.
    NotAWord {
        /// The allowed words.
        choices: Vec<String>,
        /// The kind that was found, with its article.
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
        /// The allowed words.
        choices: Vec<String>,
        /// The noun for the words.
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
    /// Not a name for people.
    BadLabel {
        /// As it was written.
        value: String,
    },
    /// Not a revision.
    BadRevision(String),
    /// A word of the language for a name.
    ReservedName {
        /// The word.
        value: String,
    },
    /// A word of selectors for the name of a credential.
    ReservedCredential {
        /// The word.
        value: String,
    },
    /// A rule of limits on refused credentials.
    Refused(RefusedRule),
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
        /// The noun for the token.
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
    /// A pseudo-header.
    PseudoHeader(String),
    /// Not a pattern of hosts.
    BadHost {
        /// As it was written.
        value: String,
        /// The rule.
        error: HostError,
    },
    /// Not a network.
    BadNetwork {
        /// As it was written.
        value: String,
        /// The rule.
        error: NetworkError,
    },
    /// A pattern of hosts that should capture this name.
    NoLabel(String),
    /// False, although only true is allowed.
    NotTrue,
    /// An attribute that would be a secret.
    SecretAsAttribute {
        /// The name of the credential that is there.
        credential: String,
    },
    /// A source after a constant, which always has a value.
    AfterConstant(String),
    /// A route that should capture this name.
    NoCapture {
        /// The name in braces.
        name: String,
    },
    /// A key or a value in an entry of the directory, whose message repeats only words that also
    /// occur elsewhere.
    InEntry {
        /// Which of the two.
        part: InEntry,
        /// The rule that it breaks.
        reason: Box<Reason>,
    },
    /// No credential would ever be accepted.
    NoAcceptedCredential,
    /// A route with methods, although only a path is allowed.
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
    /// A selector that excludes all of its requests.
    AllExcluded,
    /// A word of `per` that no request of the limit has a value for.
    NothingToKeyBy(&'static str),
    /// A caller's own number from an attribute that clients choose, or that is not a number.
    ChosenNumber(String),
    /// A bucket that takes longer than 366 days to fill.
    WindowTooLong,
    /// A cost that is more than the limit ever holds.
    CostAboveQuota {
        /// The cost.
        cost: u64,
        /// The quota of the limit.
        quota: u64,
    },
    /// An override that changes nothing.
    OverridesNothing {
        /// The keys that it could change.
        keys: &'static [&'static str],
    },
    /// Something that bounds nothing.
    EmptyLimit {
        /// The keys that it could bound.
        keys: &'static [&'static str],
    },
    /// Duplicate names cannot be detected among this number of members of one object.
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
    /// Neither a status nor a class of statuses.
    BadStatus {
        /// The text.
        value: String,
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
        known: &'static [Word],
    },
    /// A placeholder with a form that it does not take.
    BadForm {
        /// As it was written.
        value: String,
        /// The word before the form.
        word: Word,
    },
    /// A rule of the export of usage.
    Usage(UsageRule),
    /// A status that no refusal can have.
    BadRefusalStatus {
        /// As it was written.
        value: String,
    },
    /// A header that a reply cannot have, or that something else sets.
    NotSettable {
        /// Its name, in lower case.
        name: String,
        /// The reason, and advice.
        why: &'static str,
    },
    /// A header value with a character that cannot occur there.
    BadHeaderValue,
    /// A body without a stated type.
    BodyWithoutType {
        /// The key of a type for all such bodies.
        shared: &'static str,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            Shown(if self.at.is_empty() { "/" } else { &self.at }),
            self.reason
        )
    }
}
