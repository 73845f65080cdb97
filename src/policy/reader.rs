//! Reads a policy's tree: each read of a value either returns it, or notes an error and continues,
//! so that one pass finds all errors.

mod items;
mod map;

use std::borrow::Cow;
use std::cell::RefCell;
use std::str::FromStr;

use super::document::{Node, Value, from_decimal};
use super::error::{PolicyError, Reason};
use super::language::{Mapping, Words};
use crate::base::pointer::Pointer;
use crate::base::time::Span;
use crate::base::units::{UnitError, parse_span, ungrouped};

pub(crate) use items::{Items, UniqueItems, Values};
pub(crate) use map::MapField;

/// The errors found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(RefCell<Vec<PolicyError>>);

/// The most errors that are kept.
const ERRORS_MAX: usize = 1_000;

impl Errors {
    pub(crate) fn note(&self, at: String, line: u32, reason: Reason) {
        let mut errors = self.0.borrow_mut();
        if errors.len() < ERRORS_MAX {
            errors.push(PolicyError { at, line, reason });
        }
    }

    /// How many there are. A part has an error if the number grew.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn into_list(self) -> Vec<PolicyError> {
        let mut errors = self.0.into_inner();
        errors.sort_by_key(|error| error.line);
        errors
    }
}

/// A value of the document, and its place.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) node: &'a Node,
    pub(crate) at: Pointer<'a>,
    pub(crate) errors: &'a Errors,
}

impl<'a> Field<'a> {
    #[inline(never)]
    pub(crate) fn error(&self, reason: Reason) {
        self.errors
            .note(self.at.to_string(), self.node.line, reason);
    }

    /// Notes the error and has no value: for the end of a chain.
    pub(crate) fn refuse<T>(&self, reason: Reason) -> Option<T> {
        self.error(reason);
        None
    }

    fn not_a<T>(&self, wanted: &'static str) -> Option<T> {
        self.refuse(Reason::NotA {
            wanted,
            found: self.node.value.kind(),
        })
    }

    /// A map with the keys of `M`.
    pub(crate) fn map<M: Mapping>(self) -> Option<MapField<'a, M>> {
        match &self.node.value {
            Value::Map(entries) => Some(MapField::of(self, entries)),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::List(_)) => self.refuse(Reason::NotAMap {
                form: M::FORM,
                found: other.kind(),
            }),
        }
    }

    /// The elements of a list of `min` to `max`.
    #[inline(never)]
    fn list(self, min: usize, max: usize) -> Option<&'a [Node]> {
        match &self.node.value {
            Value::List(nodes) if nodes.len() > max => self.refuse(Reason::TooMany {
                count: nodes.len(),
                max,
            }),
            Value::List(nodes) if nodes.is_empty() && min > 0 => self.refuse(Reason::Empty),
            Value::List(nodes) => Some(nodes),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
                self.not_a("a list")
            }
        }
    }

    #[inline(never)]
    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(truth) => Some(*truth),
            Value::Null | Value::Number(_) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                self.not_a("true or false")
            }
        }
    }

    #[inline(never)]
    pub(crate) fn string(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                self.not_a("a string")
            }
        }
    }

    /// A string of 1 to `max` bytes.
    #[inline(never)]
    pub(crate) fn text(&self, max: usize) -> Option<&'a str> {
        match self.string()? {
            "" => self.refuse(Reason::Empty),
            text if text.len() > max => self.refuse(Reason::TooLong { max }),
            text => Some(text),
        }
    }

    /// A `token` of up to `max` bytes; `kind` is the noun for it.
    #[inline(never)]
    pub(crate) fn token(&self, max: usize, kind: &'static str) -> Option<&'a str> {
        let text = self.text(max)?;
        if is_token(text) {
            Some(text)
        } else {
            self.refuse(Reason::BadToken {
                value: text.to_owned(),
                kind,
            })
        }
    }

    /// A bare whole number.
    #[inline(never)]
    pub(crate) fn count<N: Copy + FromStr + Into<u64> + PartialOrd>(
        &self,
        min: N,
        max: N,
    ) -> Option<N> {
        let (text, number) = match &self.node.value {
            Value::Number(text) => (text, Some(Cow::Borrowed(&**text))),
            Value::String(text) if self.node.was_number => {
                (text, from_decimal(text).map(|it| Cow::Owned(it.into())))
            }
            Value::String(text) if text.contains('_') && ungrouped(text).is_some() => {
                (text, ungrouped(text))
            }
            Value::String(text) => {
                return self.refuse(Reason::NotANumber {
                    value: text.to_string(),
                });
            }
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
                return self.not_a("a number");
            }
        };
        let count = number
            .and_then(|number| number.parse().ok())
            .filter(|count| (min..=max).contains(count));
        count.or_else(|| {
            self.refuse(Reason::OutOfRange {
                value: text.to_string(),
                min: min.into(),
                max: max.into(),
            })
        })
    }

    /// A string read by `parse`, whose own error becomes the reason.
    pub(crate) fn parsed<T, E>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
        reason: impl FnOnce(String, E) -> Reason,
    ) -> Option<T> {
        let text = self.string()?;
        parse(text)
            .map_err(|error| self.error(reason(text.to_owned(), error)))
            .ok()
    }

    /// A quantity with its unit; a bare number lacks one.
    pub(crate) fn quantity<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let text = match &self.node.value {
            Value::Number(text) | Value::String(text) => text,
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
                return self.not_a("a string");
            }
        };
        parse(text)
            .map_err(|error| {
                self.error(Reason::BadUnit {
                    value: text.to_string(),
                    error,
                })
            })
            .ok()
    }

    /// A length of time, of a second to `max`.
    #[inline(never)]
    pub(crate) fn span(&self, max: Span) -> Option<Span> {
        let (Value::Number(text) | Value::String(text)) = &self.node.value else {
            return self.not_a("a string");
        };
        match parse_span(text) {
            Ok(span) if span <= max => Some(span),
            Ok(_) | Err(UnitError::SpanOutOfRange) => self.refuse(Reason::SpanOutOfRange {
                value: text.to_string(),
                max,
            }),
            Err(error) => self.refuse(Reason::BadUnit {
                value: text.to_string(),
                error,
            }),
        }
    }

    /// One of the words of `T`.
    pub(crate) fn choice<T: Words>(&self) -> Option<T> {
        T::VALUES.get(self.word(T::WORDS, T::NOUN)?).copied()
    }

    /// The number of the word among `words`; `kind` is the noun for them.
    #[inline(never)]
    fn word(&self, words: &[&str], kind: &'static str) -> Option<usize> {
        let found = match &self.node.value {
            Value::String(text) => words.iter().position(|word| *word == &**text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                None
            }
        };
        if found.is_none() {
            let choices = words.iter().map(|word| (*word).to_owned()).collect();
            self.not_a_word(choices, kind);
        }
        found
    }

    /// Notes that the value is none of the words of a choice; `kind` is the noun for them.
    fn not_a_word(&self, choices: Vec<String>, kind: &'static str) {
        self.error(match &self.node.value {
            Value::String(text) => Reason::not_one_of(text, choices, kind),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::List(_)
            | Value::Map(_)) => Reason::NotAWord {
                choices,
                found: other.kind(),
            },
        });
    }

    /// A name: `[a-z][a-z0-9_-]*`, up to 64 bytes.
    #[inline(never)]
    pub(crate) fn name(&self) -> Option<&'a str> {
        let text = self.string()?;
        if is_name(text) {
            Some(text)
        } else {
            self.refuse(Reason::BadName {
                value: Some(text.to_owned()),
            })
        }
    }
}

/// Whether `text` may name a limit, a tier, an attribute or a policy.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

pub(crate) const NAME_BYTES_MAX: usize = 64;

/// Whether `text` may be the label of a limit: it is not empty, short, and printable.
pub(crate) fn is_label(text: &str) -> bool {
    let is_hidden = |char| {
        LABEL_HIDDEN
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&char))
    };
    !text.is_empty() && text.chars().nth(LABEL_CHARS_MAX).is_none() && !text.chars().any(is_hidden)
}

/// Whether `text` may be a revision. It has no character that ends a label of a metric, or a value
/// in the access log.
pub(crate) fn is_revision(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    (1..=REVISION_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

pub(crate) const REVISION_BYTES_MAX: usize = 64;

pub(crate) const LABEL_CHARS_MAX: usize = 128;

/// Characters that no label contains, from the first to the last: controls, line separators, and
/// the marks that change the direction of the text around them.
pub(crate) const LABEL_HIDDEN: [(char, char); 5] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2066}', '\u{2069}'),
];

/// Whether `text` is a `token` of RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}
