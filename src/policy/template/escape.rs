//! Escapes of values in a body or a header, so that no value can break it.

use std::fmt::Write as _;

/// How values are escaped in a body, by its media type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Not at all.
    #[default]
    Plain,
    /// As strings of JSON (RFC 8259 §7).
    Json,
    /// As text and attribute values of XML and HTML.
    Markup,
}

/// Media types of JSON whose names do not end in `+json`.
const JSON: [&str; 8] = [
    "application/json",
    "application/json-seq",
    "application/jsonl",
    "application/jsonlines",
    "application/ndjson",
    "application/x-ndjson",
    "application/x-json",
    "text/json",
];

/// Media types of XML and HTML whose names do not end in `+xml`.
const MARKUP: [&str; 3] = ["text/html", "text/xml", "application/xml"];

impl Escape {
    /// Of a body with this `Content-Type`.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        if JSON.contains(&&*essence) || essence.ends_with("+json") {
            Self::Json
        } else if MARKUP.contains(&&*essence) || essence.ends_with("+xml") {
            Self::Markup
        } else {
            Self::Plain
        }
    }

    /// Appends `value`, escaped.
    pub fn write(self, out: &mut String, value: &str) {
        let escape = match self {
            Self::Plain => return out.push_str(value),
            Self::Json => json,
            Self::Markup => markup,
        };
        let mut rest = value;
        while !rest.is_empty() {
            // Nearly all of a value is copied in one piece.
            let kept = rest.bytes().take_while(is_kept).count();
            let (kept, others) = rest.split_at_checked(kept).unwrap_or_default();
            out.push_str(kept);
            let mut others = others.chars();
            if let Some(char) = others.next() {
                escape(out, char);
            }
            rest = others.as_str();
        }
    }
}

/// Whether a byte is an ASCII character that no body escapes.
const fn is_kept(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'&' | b'<' | b'>' | b'\'')
}

fn json(out: &mut String, char: char) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\x1f' => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(char));
        }
        _ => out.push(char),
    }
}

/// XML has no way to write most control characters, so they are dropped.
fn markup(out: &mut String, char: char) {
    match char {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\t' | '\n' | '\r' => out.push(char),
        '\u{fffe}' | '\u{ffff}' => {}
        _ if char.is_control() => {}
        _ => out.push(char),
    }
}

/// Whether a header may contain `char` (RFC 9110 §5.5): neither a control character nor a
/// replacement for bytes that are not text.
#[must_use]
pub fn fits_header(char: char) -> bool {
    !char.is_control() && char != char::REPLACEMENT_CHARACTER
}
