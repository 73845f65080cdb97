//! Templates of bodies and header values: text with `{placeholders}`, cut into parts when the
//! policy is loaded.
//!
//! ```text
//!   {"limit":"{label}","wait":{retry_after:ms}}
//!             ───┬───          ───────┬───────
//!        in a string: escaped    outside of one: a number, or a string with quotes
//! ```
//!
//! Some values come from clients. No value, however hostile, can end a string of JSON or a header
//! line.

mod escape;
mod form;
mod placeholder;
#[cfg(test)]
mod tests;

pub use escape::{Escape, fits_header};
pub use form::{InstantForm, SpanForm, TimeForm};
pub use placeholder::{
    DENIED, IN_FIELDS, PAYLOAD, Placeholder, REFUSED, Suffix, UNAUTHORIZED, Word,
};

use super::attributes::AttributeId;

/// A text with places to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Fill {
        placeholder: Placeholder,
        /// Whether it is within a string, if the text is JSON.
        in_string: bool,
    },
}

/// A text in braces that is not a placeholder here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// A word that is none, with its braces.
    Word(String),
    /// A word with a form, or without one, that it does not take.
    Form {
        /// As it is written, with its braces.
        value: String,
        /// The word.
        word: Word,
    },
}

/// The usual length of one filled-in place, so that the text need not grow.
const FILL_BYTES_USUAL: usize = 40;

impl Template {
    /// Cuts `text` at its placeholders: a lower-case word in braces, perhaps with a colon and a
    /// form. All other braces are text, so that JSON needs no escapes. `attribute` finds an
    /// attribute by its name, and reports a name that there is none of.
    ///
    /// # Errors
    /// The texts in braces that are none of the `known` placeholders; empty if `attribute` reported
    /// all errors.
    pub fn parse(
        text: &str,
        known: &[Word],
        mut attribute: impl FnMut(&str) -> Option<AttributeId>,
    ) -> Result<Self, Vec<Unknown>> {
        let (mut parts, mut unknown) = (Vec::new(), Vec::new());
        let (mut literal, mut json, mut is_whole) = (String::new(), Json::default(), true);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            let Some((inside, tail)) = after.split_once('}').filter(|(it, _)| is_place(it)) else {
                literal.push('{');
                rest = after;
                continue;
            };
            rest = tail;
            json.read(&literal);
            parts.push(Part::Text(std::mem::take(&mut literal).into()));
            match place(inside, known, &mut attribute) {
                Ok(Some(placeholder)) => parts.push(Part::Fill {
                    placeholder,
                    in_string: json.in_string,
                }),
                Ok(None) => is_whole = false,
                Err(error) => unknown.push(error),
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal.into()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        if is_whole && unknown.is_empty() {
            Ok(Self { parts })
        } else {
            Err(unknown)
        }
    }

    /// Whether it has neither text nor a placeholder.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// All placeholders, in their order.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Fill { placeholder, .. } => Some(*placeholder),
        })
    }

    /// The text around the placeholders.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(&**text),
            Part::Fill { .. } => None,
        })
    }

    /// The body with every place filled in. `fill` appends the value of a placeholder, or returns
    /// false if it has none. A missing value is empty; in JSON outside of a string it is `null`.
    pub fn body(
        &self,
        escape: Escape,
        mut fill: impl FnMut(Placeholder, &mut String) -> bool,
    ) -> String {
        let mut body = String::with_capacity(self.usual_size());
        let mut value = String::new();
        for part in &self.parts {
            let (placeholder, in_string) = match part {
                Part::Text(text) => {
                    body.push_str(text);
                    continue;
                }
                Part::Fill {
                    placeholder,
                    in_string,
                } => (*placeholder, *in_string),
            };
            value.clear();
            let is_bare = escape == Escape::Json && !in_string;
            match (fill(placeholder, &mut value), is_bare) {
                (true, _) if placeholder.is_number() => body.push_str(&value),
                (true, false) => escape.write(&mut body, &value),
                (true, true) => {
                    body.push('"');
                    escape.write(&mut body, &value);
                    body.push('"');
                }
                (false, false) => {}
                (false, true) => body.push_str("null"),
            }
        }
        body
    }

    /// Appends the header value with every place filled in. Returns false if a value is missing:
    /// then the header is not sent, and `out` is as it was.
    pub fn header(
        &self,
        out: &mut String,
        mut fill: impl FnMut(Placeholder, &mut String) -> bool,
    ) -> bool {
        let begin = out.len();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Fill { placeholder, .. } => {
                    let before = out.len();
                    if !fill(*placeholder, out) {
                        out.truncate(begin);
                        return false;
                    }
                    drop_unfit(out, before);
                }
            }
        }
        true
    }

    fn usual_size(&self) -> usize {
        let sizes = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Fill { .. } => FILL_BYTES_USUAL,
        });
        sizes.fold(0, usize::saturating_add)
    }
}

/// Drops from `out`, after its first `before` bytes, characters that a header cannot contain.
fn drop_unfit(out: &mut String, before: usize) {
    let value = out.get(before..).unwrap_or_default();
    if value.chars().all(fits_header) {
        return;
    }
    let fit: String = value.chars().filter(|char| fits_header(*char)).collect();
    out.truncate(before);
    out.push_str(&fit);
}

/// Whether the text in braces is a word, perhaps with a colon and a form.
fn is_place(inside: &str) -> bool {
    let (word, form) = inside.split_once(':').unwrap_or((inside, ""));
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_form = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !word.is_empty() && word.bytes().all(is_word) && form.bytes().all(is_form)
}

/// The placeholder that is in braces; `Ok(None)` if it is an attribute that there is none of.
fn place(
    inside: &str,
    known: &[Word],
    attribute: &mut impl FnMut(&str) -> Option<AttributeId>,
) -> Result<Option<Placeholder>, Unknown> {
    let value = || format!("{{{inside}}}");
    let (name, form) = match inside.split_once(':') {
        Some((name, form)) => (name, Some(form)),
        None => (inside, None),
    };
    let word = known.iter().find(|word| word.name() == name);
    let word = *word.ok_or_else(|| Unknown::Word(value()))?;
    match (word, form) {
        (Word::Attribute, Some(name)) if !name.is_empty() => {
            Ok(attribute(name).map(Placeholder::Attribute))
        }
        _ => word.with(form).map(Some).ok_or_else(|| Unknown::Form {
            value: value(),
            word,
        }),
    }
}

/// Whether a text of JSON that was read so far ends within a string.
#[derive(Clone, Copy, Debug, Default)]
struct Json {
    in_string: bool,
    /// Whether the last character was a backslash that escapes the next.
    is_escaped: bool,
}

impl Json {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }
}
