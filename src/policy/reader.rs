//! Reads a policy's tree: each read of a value either returns it, or notes an error and continues,
//! so that one pass finds all errors.

mod map;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;

use super::document::{Entry, Node, Value, from_decimal};
use super::error::{PolicyError, Reason};
use crate::base::pointer::Pointer;
use crate::base::time::Span;
use crate::base::units::{UnitError, parse_span};

/// The errors found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(RefCell<Vec<PolicyError>>);

/// The most errors that are kept.
const ERRORS_MAX: usize = 1_000;

impl Errors {
    pub(super) fn note(&self, at: String, line: u32, reason: Reason) {
        let mut errors = self.0.borrow_mut();
        if errors.len() < ERRORS_MAX {
            errors.push(PolicyError { at, line, reason });
        }
    }

    /// How many there are. A part has an error if the number grew.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn into_list(self) -> Vec<PolicyError> {
        let mut errors = self.0.into_inner();
        errors.sort_by_key(|error| error.line);
        errors
    }
}

/// A value of the document, and its place.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) at: Pointer<'a>,
    pub(super) errors: &'a Errors,
}

/// A map whose keys are read one after the other; [`MapField::deny_unknown`] reports the others.
pub(super) struct MapField<'a> {
    field: Field<'a>,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Field<'a> {
    pub(super) fn error(&self, reason: Reason) {
        self.errors
            .note(self.at.to_string(), self.node.line, reason);
    }

    /// Notes the error and has no value: for the end of a chain.
    pub(super) fn refuse<T>(&self, reason: Reason) -> Option<T> {
        self.error(reason);
        None
    }

    fn not_a<T>(&self, wanted: &'static str) -> Option<T> {
        self.refuse(Reason::NotA {
            wanted,
            found: self.node.value.kind(),
        })
    }

    /// A map, of which `form` is an example.
    pub(super) fn map(self, form: &'static str) -> Option<MapField<'a>> {
        match &self.node.value {
            Value::Map(entries) => Some(MapField {
                field: self,
                entries,
                asked: RefCell::default(),
            }),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::List(_)) => self.refuse(Reason::NotAMap {
                form,
                found: other.kind(),
            }),
        }
    }

    /// The elements of a list of at most `max`.
    pub(super) fn list(self, max: usize) -> Option<&'a [Node]> {
        match &self.node.value {
            Value::List(nodes) if nodes.len() > max => self.refuse(Reason::TooMany {
                count: nodes.len(),
                max,
            }),
            Value::List(nodes) => Some(nodes),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
                self.not_a("a list")
            }
        }
    }

    /// As [`Field::list`], of at least one element.
    pub(super) fn non_empty_list(self, max: usize) -> Option<&'a [Node]> {
        let nodes = self.list(max)?;
        if nodes.is_empty() {
            self.refuse(Reason::Empty)
        } else {
            Some(nodes)
        }
    }

    /// The elements of a list of one to `max`, read by `read`; `None` if one of them has an error.
    pub(super) fn every<T>(
        &self,
        max: usize,
        read: impl FnMut(Field<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let nodes = self.non_empty_list(max)?;
        let read = self.each(nodes, read);
        (read.len() == nodes.len()).then_some(read)
    }

    /// Each element of `nodes`, which is this field's list, read by `read`.
    pub(super) fn each<T>(
        &self,
        nodes: &[Node],
        mut read: impl FnMut(Field<'_>) -> Option<T>,
    ) -> Vec<T> {
        let elements = nodes.iter().enumerate();
        elements
            .filter_map(|(index, node)| {
                read(Field {
                    node,
                    at: self.at.index(index),
                    errors: self.errors,
                })
            })
            .collect()
    }

    /// As [`Field::each`], and none may be the same as one before it.
    pub(super) fn each_unique<T: Clone + Ord>(
        &self,
        nodes: &[Node],
        mut read: impl FnMut(Field<'_>) -> Option<T>,
    ) -> Vec<T> {
        let mut seen = BTreeMap::new();
        self.each(nodes, |field| {
            let value = read(field)?;
            match seen.insert(value.clone(), field.at.to_string()) {
                Some(first) => field.refuse(Reason::Duplicate { value: None, first }),
                None => Some(value),
            }
        })
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(truth) => Some(*truth),
            Value::Null | Value::Number(_) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                self.not_a("true or false")
            }
        }
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                self.not_a("a string")
            }
        }
    }

    /// A string of 1 to `max` bytes.
    pub(super) fn text(&self, max: usize) -> Option<&'a str> {
        match self.string()? {
            "" => self.refuse(Reason::Empty),
            text if text.len() > max => self.refuse(Reason::TooLong { max }),
            text => Some(text),
        }
    }

    /// A `token` of up to `max` bytes, which names what `kind` says.
    pub(super) fn token(&self, max: usize, kind: &'static str) -> Option<&'a str> {
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
    pub(super) fn count<N: Copy + FromStr + Into<u64> + PartialOrd>(
        &self,
        min: N,
        max: N,
    ) -> Option<N> {
        let (text, number) = match &self.node.value {
            Value::Number(text) => (text, Some(Cow::Borrowed(&**text))),
            Value::String(text) if self.node.was_number => {
                (text, from_decimal(text).map(|it| Cow::Owned(it.into())))
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
        let out_of_range = || Reason::OutOfRange {
            value: text.to_string(),
            min: min.into(),
            max: max.into(),
        };
        count.or_else(|| self.refuse(out_of_range()))
    }

    /// A string read by `parse`, whose own error becomes the reason.
    pub(super) fn parsed<T, E>(
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
    pub(super) fn quantity<T>(
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
    pub(super) fn span(&self, max: Span) -> Option<Span> {
        let (Value::Number(text) | Value::String(text)) = &self.node.value else {
            return self.not_a("a string");
        };
        let out_of_range = || Reason::SpanOutOfRange {
            value: text.to_string(),
            max,
        };
        match parse_span(text) {
            Ok(span) if span <= max => Some(span),
            Ok(_) | Err(UnitError::SpanOutOfRange) => self.refuse(out_of_range()),
            Err(error) => self.refuse(Reason::BadUnit {
                value: text.to_string(),
                error,
            }),
        }
    }

    /// One of the words of `choices`.
    pub(super) fn choice<T: Copy>(&self, kind: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(name, _)| (*name).to_owned()).collect();
        match &self.node.value {
            Value::String(text) => {
                let found = choices
                    .iter()
                    .find(|(name, _)| *name == &**text)
                    .map(|(_, value)| *value);
                found.or_else(|| self.refuse(Reason::not_one_of(text, words(), kind)))
            }
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::List(_)
            | Value::Map(_)) => self.refuse(Reason::NotAWord {
                choices: words(),
                found: other.kind(),
            }),
        }
    }

    /// A name: `[a-z][a-z0-9_-]*`, up to 64 bytes.
    pub(super) fn name(&self) -> Option<&'a str> {
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
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

pub(crate) const NAME_BYTES_MAX: usize = 64;

/// Whether `text` is a `token` of RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}
