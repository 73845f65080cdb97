//! Templates, and the other parts of an answer of the gateway.

use std::marker::PhantomData;

use super::Field;
#[cfg(not(target_arch = "wasm32"))]
use super::description::TextFormat;
use super::kind::Kind;
use super::parse;
#[cfg(not(target_arch = "wasm32"))]
use super::{Shape, patterns};
use crate::policy::error::Reason;
use crate::policy::header::{self, Settable, TOKEN_BYTES_MAX};
use crate::policy::template::Word;

const BODY_BYTES_MAX: usize = 16_384;
const HEADER_VALUE_BYTES_MAX: usize = 1_024;

/// The placeholders of a body or a header value.
pub(crate) trait Placeholders {
    /// All of them.
    const KNOWN: &'static [Word];
}

/// A template as it is written: the reader of its key compiles it.
#[derive(Clone, Copy)]
pub(crate) struct TemplateText<'a> {
    field: Field<'a>,
    text: &'a str,
    known: &'static [Word],
}

impl<'a> TemplateText<'a> {
    pub(super) const fn new(field: Field<'a>, text: &'a str, known: &'static [Word]) -> Self {
        Self { field, text, known }
    }

    /// Its place.
    pub(crate) const fn field(&self) -> &Field<'a> {
        &self.field
    }

    /// The text.
    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    /// The placeholders that it may contain.
    pub(crate) const fn known(&self) -> &'static [Word] {
        self.known
    }
}

/// A body with the placeholders of `R`.
pub(crate) struct Body<R>(PhantomData<R>);

impl<R: Placeholders> Kind for Body<R> {
    type Value<'a> = TemplateText<'a>;

    fn read(field: Field<'_>) -> Option<TemplateText<'_>> {
        parse::template(field, R::KNOWN, BODY_BYTES_MAX)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Text(TextFormat {
            values: "string",
            pattern: Some(patterns::template(R::KNOWN, patterns::ANY_TEXT)),
            bytes: (None, Some(BODY_BYTES_MAX)),
            ..TextFormat::default()
        })
    }
}

/// The value of a header, with the placeholders of `R`.
pub(crate) struct HeaderValue<R>(PhantomData<R>);

impl<R: Placeholders> Kind for HeaderValue<R> {
    type Value<'a> = TemplateText<'a>;

    fn read(field: Field<'_>) -> Option<TemplateText<'_>> {
        let template = parse::template(field, R::KNOWN, HEADER_VALUE_BYTES_MAX)?;
        if template.text.chars().any(char::is_control) {
            return field.refuse(Reason::BadHeaderValue);
        }
        Some(template)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Text(TextFormat {
            values: "string",
            plural: "strings",
            pattern: Some(patterns::template(R::KNOWN, patterns::HEADER_TEXT)),
            bytes: (None, Some(HEADER_VALUE_BYTES_MAX)),
            ..TextFormat::default()
        })
    }
}

/// The status of a refusal.
pub(crate) struct RefusalStatus;

impl Kind for RefusalStatus {
    type Value<'a> = u32;

    fn read(field: Field<'_>) -> Option<u32> {
        parse::status(field)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::Count { min: 400, max: 599 },
            Shape::Count { min: 200, max: 200 },
        ])
    }
}

/// The name of a header field of responses, case-insensitive. It cannot be a pseudo-header, a field
/// of a connection or of a body, or one that has a key of its own.
pub(crate) struct FieldName;

impl Kind for FieldName {
    type Value<'a> = Box<str>;

    fn read(field: Field<'_>) -> Option<Box<str>> {
        header::read_settable(
            &field,
            field.text(TOKEN_BYTES_MAX)?,
            Settable::OnAnyResponse,
        )
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Text(TextFormat {
            name: "FieldName",
            values: "name of a response field",
            doc: "The name of a header field of responses, case-insensitive. It cannot be a \
                  pseudo-header, or a field of a connection or of a body.",
            pattern: Some(patterns::settable_header()),
            bytes: (None, Some(TOKEN_BYTES_MAX)),
            ..TextFormat::default()
        })
    }
}
