//! The sentences of a policy's errors.

use std::fmt;

use super::super::attributes::{PRESENTED, RESERVED};
use super::super::reader::{LABEL_CHARS_MAX, REVISION_BYTES_MAX};
use super::words::{Choices, Digits, Either, Meant, Named, Quoted, Shown, nearest};
use super::{Reason, templates};
use crate::base::units::write_span;
use crate::base::zone::Zone;

/// A hint at the word that was meant follows more words than these.
const AT_A_GLANCE: usize = 3;

impl fmt::Display for Reason {
    #[expect(
        clippy::too_many_lines,
        reason = "one table: a sentence for each reason"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, known: _ }
                if key.starts_with(|first: char| first.is_ascii_digit()) =>
            {
                f.write_str(
                    "unknown key: a comma ends the value before it, so write numbers without \
                     separators (5000000, not 5,000,000)",
                )
            }
            Self::UnknownKey { key, known } => {
                let meant = Meant(nearest(key, known.iter().copied()));
                write!(f, "unknown key; known keys: {}{meant}", known.join(", "))
            }
            Self::Missing => f.write_str("missing required key"),
            Self::NotA {
                wanted: wanted @ "a string",
                found: found @ ("a number" | "a boolean"),
            } => {
                write!(f, "expected {wanted}, found {found}: put it in quotes")
            }
            Self::NotA {
                wanted: wanted @ "a list",
                found,
            } => {
                write!(
                    f,
                    "expected {wanted}, found {found}: put it in [ ], or begin each line with -"
                )
            }
            Self::NotA { wanted, found } => write!(f, "expected {wanted}, found {found}"),
            Self::NotAMap { form, found } => {
                write!(f, "expected a map such as {form}, found {found}")
            }
            Self::NotANumber { value }
                if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                write!(
                    f,
                    "expected a number, found a string: write {value} without quotes"
                )
            }
            Self::NotANumber { value } => {
                let (digits, string) = (Digits(value).to_string(), Quoted(value));
                let begins = value.starts_with(|first: char| first.is_ascii_digit());
                let hint = if begins && digits.is_empty() {
                    "; a count has digits only, and no unit"
                } else {
                    &digits
                };
                write!(f, "expected a number, found the string {string}{hint}")
            }
            Self::NotAWord { choices, found } if choices.len() == 1 => {
                write!(f, "expected {}, found {found}", Choices(choices))
            }
            Self::NotAWord { choices, found } => {
                write!(f, "expected one of {}; found {found}", Choices(choices))
            }
            Self::OutOfRange { value, min, max } if min == max => {
                write!(f, "expected {min}, found {value}")
            }
            Self::OutOfRange { value, min, max } if value.contains(['.', 'e']) => {
                write!(f, "{value} is not a whole number in {min}..={max}")
            }
            Self::OutOfRange { value, min, max } => write!(f, "{value} is not in {min}..={max}"),
            Self::NotOneOf {
                value,
                choices,
                kind,
            } if choices.is_empty() => {
                write!(f, "{} is not {kind}; the policy has none", Quoted(value))
            }
            Self::NotOneOf {
                value,
                choices,
                kind,
            } => {
                let meant = nearest(value, choices.iter().map(String::as_str))
                    .filter(|_| choices.len() > AT_A_GLANCE);
                let one_of = if choices.len() > 1 { "one of " } else { "" };
                write!(
                    f,
                    "{} is not {kind}; expected {one_of}{}{}",
                    Quoted(value),
                    Choices(choices),
                    Meant(meant)
                )
            }
            Self::NoSuchAttribute {
                value,
                choices,
                nearest,
                directory,
            } => {
                write!(
                    f,
                    "{} is not an attribute of the callers; known attributes: {}",
                    Quoted(value),
                    Choices(choices)
                )?;
                match nearest {
                    _ if value == PRESENTED => f.write_str(
                        "; `presented` is allowed only in `access_log`, and in the `per` of a \
                         limit on `credential: refused`",
                    ),
                    _ if RESERVED.contains(&&**value) => {
                        let place = match &**value {
                            "tier" => "`for` and `per`",
                            "route" | "method" | "host" => "`per`",
                            _ => "`for`",
                        };
                        write!(f, "; `{value}` is allowed only in the {place} of a limit")
                    }
                    Some(_) => write!(f, "{}", Meant(nearest.as_deref())),
                    None if choices.len() == 1 => {
                        f.write_str("; a policy without `callers` has no other")
                    }
                    None if *directory => f.write_str(
                        "; list it in `directory_attributes` if entries of the directory will \
                         have it",
                    ),
                    None => Ok(()),
                }
            }
            Self::Empty => f.write_str("must not be empty"),
            Self::TooMany { count, max } => {
                write!(f, "too many elements: {count}, at most {max} are allowed")
            }
            Self::TooManyCombinations(max) => write!(
                f,
                "its lists of values have more than {max} combinations: split it into several \
                 overrides"
            ),
            Self::TooManyCombinationsInAll(max) => {
                write!(
                    f,
                    "the overrides of this policy have more than {max} combinations: select these \
                     callers by a shared attribute"
                )
            }
            Self::TooLong { max } => write!(f, "too long: at most {max} bytes"),
            Self::BadName { value } => {
                write!(
                    f,
                    "{}is not a name: at most 64 of a-z, 0-9, _ and -, beginning with a letter",
                    Named(value)
                )
            }
            Self::BadLabel { value } => {
                write!(
                    f,
                    "{} is not a label: 1 to {LABEL_CHARS_MAX} printable characters",
                    Quoted(value)
                )
            }
            Self::BadRevision(value) => write!(
                f,
                "{} is not a revision: 1 to {REVISION_BYTES_MAX} of a-z, A-Z, 0-9 and ._:/@+-",
                Quoted(value)
            ),
            Self::ReservedName { value } => {
                write!(
                    f,
                    "{} is a reserved word, and cannot name an attribute",
                    Quoted(value)
                )
            }
            Self::ReservedCredential { value } => {
                write!(
                    f,
                    "{} is a reserved word, and cannot name a credential",
                    Quoted(value)
                )
            }
            Self::Refused(rule) => write!(f, "{rule}"),
            Self::CredentialsName { value } => {
                write!(
                    f,
                    "{} is the name of a credential, and cannot name another attribute",
                    Quoted(value)
                )
            }
            Self::TooManyAttributes { max } => {
                write!(f, "too many attributes: at most {max} in a policy")
            }
            Self::Duplicate { value, first } => {
                write!(f, "{}is a duplicate of {first}", Named(value))
            }
            Self::NameNeeded { default, first } => {
                write!(
                    f,
                    "missing `name`: the default, {}, is used at {first}",
                    Quoted(default)
                )
            }
            Self::BadRoute { value, error } => {
                write!(f, "{} is not a route: {error}", Quoted(value))
            }
            Self::BadUnit { value, error } => {
                write!(f, "{} {error}{}", Quoted(value), Digits(value))
            }
            Self::SpanOutOfRange { value, max } => {
                write!(f, "{} is not in 1s to {}", Quoted(value), write_span(*max))
            }
            Self::BadDigest => {
                f.write_str("is not a SHA-256: 64 hexadecimal digits (printf %s KEY | sha256sum)")
            }
            Self::BadToken { value, kind } => {
                write!(f, "{} is not the name of {kind}", Quoted(value))
            }
            Self::BadMediaType { value } => {
                write!(
                    f,
                    "{} is not a media type, such as application/json, in visible ASCII characters",
                    Quoted(value)
                )
            }
            Self::BadMediaRange { value } => write!(
                f,
                "{} is not a media type or a range of them, without parameters, such as \
                 application/json, application/*+json or text/*",
                Quoted(value)
            ),
            Self::NotOneSource { sources, given } if given.is_empty() => {
                write!(
                    f,
                    "expected exactly one of {}; found none",
                    sources.join(", ")
                )
            }
            Self::NotOneSource { sources, given } => {
                write!(
                    f,
                    "expected exactly one of {}; found {}",
                    sources.join(", "),
                    given.join(" and ")
                )
            }
            Self::RequiresSibling { sibling } => write!(f, "applies only with {sibling}"),
            Self::NamespaceAlone => f.write_str(
                "names only a namespace: add keys, as in [envoy.filters.http.jwt_authn, session]",
            ),
            Self::Untrusted => f.write_str(
                "a client can set this header: remove or overwrite it before this filter, then \
                 add `trusted: true`",
            ),
            Self::HostHeader => {
                f.write_str("the host is not read as a header: use the source `{ host: true }`")
            }
            Self::PseudoHeader(name) => {
                let instead = match &**name {
                    ":path" => "use `routes`, or the source `{ path: … }` or `{ query: … }`",
                    ":method" => "use `routes`, as in \"POST /**\"",
                    _ => "use a header that is sent by its name",
                };
                write!(f, "{} is a pseudo-header: {instead}", Quoted(name))
            }
            Self::BadHost { value, error } => {
                write!(f, "{} is not a pattern of hosts: {error}", Quoted(value))
            }
            Self::BadNetwork { value, error } => write!(f, "{} {error}", Quoted(value)),
            Self::NoLabel(name) => {
                write!(
                    f,
                    "must capture {{{name}}} as one label of the host, as in \
                     \"{{{name}}}.example.com\"; `host: true` is the whole host"
                )
            }
            Self::ConnectionHeader { name } => {
                write!(
                    f,
                    "{} belongs to one connection, and no filter sees it as it was sent: use a \
                     header of another name",
                    Quoted(name)
                )
            }
            Self::NotTrue => f.write_str("must be true, or absent"),
            Self::SecretAsAttribute { credential } => write!(
                f,
                "holds the credential {}: a secret cannot be an attribute, because attributes are \
                 logged",
                Quoted(credential)
            ),
            Self::AfterConstant(first) => write!(
                f,
                "never has an effect: {} always has a value, so it must be the last source",
                Shown(first)
            ),
            Self::NoCapture { name } => write!(f, "must capture {{{name}}} in its path"),
            Self::InEntry { part, reason } => write!(f, "{part}: {reason}"),
            Self::NoAcceptedCredential => f.write_str(
                "no credential would be accepted: add a `directory`, which may be empty, or \
                 `unknown: anonymous`",
            ),
            Self::MethodInPath => f.write_str("must be a path without methods"),
            Self::CaptureIsAttribute { name } => {
                write!(
                    f,
                    "captures {{{name}}}, which is also {}",
                    if RESERVED.contains(&&**name) {
                        "a reserved word of `per`: rename the capture"
                    } else {
                        "an attribute: rename one of them"
                    }
                )
            }
            Self::NeverReached { by } => {
                write!(f, "can never be reached: all of its requests go to {by}")
            }
            Self::Contradiction { one, other } => {
                write!(
                    f,
                    "can never be reached: no request matches both {} and {}",
                    Shown(one),
                    Shown(other)
                )
            }
            Self::AllExcluded => f.write_str("excludes every request that is selected"),
            Self::NothingToKeyBy(word) => {
                let needs = match *word {
                    "tier" => "the policy has no `tiers`",
                    _ => "give it `for: { routes: […] }`, or the policy `tiers`",
                };
                let fault = "has no value for the requests of this limit";
                write!(f, "`{word}` {fault}: {needs}")
            }
            Self::ChosenNumber(attribute) => write!(
                f,
                "{} is a credential, or clients can choose it, as it comes from the path, the \
                 query, a cookie or the host: use an attribute of the directory, of metadata or of \
                 a trusted header",
                Quoted(attribute)
            ),
            Self::WindowTooLong => f.write_str(
                "takes longer than 366 days to fill: use a smaller burst or a faster refill",
            ),
            Self::CostAboveQuota { cost, quota } => {
                write!(f, "a cost of {cost} never fits: the limit holds {quota}")
            }
            Self::OverridesNothing { keys } => write!(f, "changes nothing: add {}", Either(keys)),
            Self::EmptyLimit { keys } => write!(f, "limits nothing: add {}", Either(keys)),
            Self::TooManyNames { members, max } => write!(
                f,
                "duplicate names are found among at most {max} members, not {members}"
            ),
            Self::BadPath { value, error } => {
                write!(f, "{} is not a JSON pointer: {error}", Quoted(value))
            }
            Self::BadStatus { value } => write!(
                f,
                "{} is not a status: write a number from 100 to 599, or a class such as 4xx",
                Quoted(value)
            ),
            Self::NoSuchZone { value } => {
                let meant = Meant(nearest(value, Zone::names()));
                write!(
                    f,
                    "{} is not a time zone of the IANA database, such as Europe/Rome or UTC{meant}",
                    Quoted(value)
                )
            }
            Self::BadPlaceholder { value, known } => templates::placeholder(f, value, known),
            Self::BadForm { value, word } => templates::form(f, value, *word),
            Self::Usage(rule) => write!(f, "{rule}"),
            Self::BadRefusalStatus { value } => {
                write!(
                    f,
                    "{value} is not a status of a refusal: 400 to 599, or 200"
                )
            }
            Self::NotSettable { name, why } => write!(f, "{} {why}", Quoted(name)),
            Self::BadHeaderValue => {
                f.write_str("contains a control character, which no header can contain")
            }
            Self::BodyWithoutType { shared } => {
                write!(f, "applies only with `content_type`, here or in `{shared}`")
            }
        }
    }
}
