//! Media types of bodies, and ranges of them such as `application/*+json`.

use super::reader::is_token;

/// One media type, or a range of them. Letters of either case are the same (RFC 9110 §8.3.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaRange {
    kind: Box<str>,
    subtype: Subtype,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subtype {
    /// `*`
    Any,
    /// `*+json`: all that end so.
    Suffix(Box<str>),
    /// This one.
    One(Box<str>),
}

impl MediaRange {
    /// Reads `type/subtype`, `type/*` or `type/*+suffix`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_word = |text: &str| is_token(text) && !text.contains('*');
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/').filter(|(kind, _)| is_word(kind))?;
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) => Subtype::Suffix(
                suffix
                    .strip_prefix('+')
                    .filter(|rest| is_word(rest))
                    .map(|_| suffix)?
                    .into(),
            ),
            None => Subtype::One(Some(subtype).filter(|subtype| is_word(subtype))?.into()),
        };
        Some(Self {
            kind: kind.into(),
            subtype,
        })
    }

    /// Whether a media type is in this range; its parameters do not count.
    #[must_use]
    pub fn contains(&self, media: MediaType<'_>) -> bool {
        media.kind.eq_ignore_ascii_case(&self.kind)
            && match &self.subtype {
                Subtype::Any => true,
                Subtype::Suffix(suffix) => {
                    let tail = media
                        .subtype
                        .len()
                        .checked_sub(suffix.len())
                        .and_then(|start| media.subtype.get(start..));
                    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
                }
                Subtype::One(one) => media.subtype.eq_ignore_ascii_case(one),
            }
    }
}

/// The media type of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'v> {
    kind: &'v str,
    subtype: &'v str,
}

impl<'v> MediaType<'v> {
    /// Reads the value of a `Content-Type` by the grammar of RFC 9110 §8.3.1, to the letter; `None`
    /// for anything else, as an empty one, two types, or a parameter without a value.
    #[must_use]
    pub fn parse(value: &'v [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let end = value
            .iter()
            .position(|byte| matches!(byte, b';' | b' ' | b'\t'))
            .unwrap_or(value.len());
        let (essence, mut rest) = value.split_at_checked(end)?;
        let (kind, subtype) = str::from_utf8(essence).ok()?.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        while !rest.is_empty() {
            rest = parameter(rest)?;
        }
        Some(Self { kind, subtype })
    }
}

/// The text after one `;` and its parameter, which may be missing: `OWS ";" OWS [ token "=" value
/// ]`.
fn parameter(text: &[u8]) -> Option<&[u8]> {
    let text = text
        .trim_ascii_start()
        .strip_prefix(b";")?
        .trim_ascii_start();
    if matches!(text.first(), None | Some(b';')) {
        return Some(text);
    }
    let (_, value) = token(text)?;
    let value = value.strip_prefix(b"=")?;
    let Some(mut quoted) = value.strip_prefix(b"\"") else {
        return token(value).map(|(_, rest)| rest);
    };
    loop {
        let (byte, rest) = quoted.split_first()?;
        quoted = match byte {
            b'"' => return Some(rest),
            b'\\' => {
                rest.split_first()
                    .filter(|(escaped, _)| is_text(**escaped))?
                    .1
            }
            byte if is_text(*byte) => rest,
            _ => return None,
        };
    }
}

/// Whether a quoted text may hold this byte: no control character.
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The token that `text` begins with, and the rest.
fn token(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text
        .iter()
        .position(|byte| matches!(byte, b'=' | b';' | b' ' | b'\t'))
        .unwrap_or(text.len());
    let (token, rest) = text.split_at_checked(end)?;
    let token = str::from_utf8(token).ok().filter(|token| is_token(token))?;
    Some((token, rest))
}

/// Whether `text` is a media type: `type/subtype` and, after a `;`, anything visible (RFC 9110
/// §8.3.1).
pub(super) fn is_media_type(text: &str) -> bool {
    let visible = text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim() == text;
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    visible
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_types_that_it_says() {
        for (range, inside, outside) in [
            (
                "application/json",
                "Application/JSON; charset=utf-8",
                "application/json-seq",
            ),
            (
                "application/*+json",
                "application/vnd.api+json",
                "application/json",
            ),
            ("Application/*", "application/octet-stream", "text/json"),
        ] {
            let range = MediaRange::parse(range).unwrap();
            let media = |text: &'static str| MediaType::parse(text.as_bytes()).unwrap();
            assert!(
                range.contains(media(inside)) && !range.contains(media(outside)),
                "{range:?}"
            );
        }
        for text in [
            "",
            "json",
            "*/*",
            "application/",
            "application/*json",
            "application/*+",
            "a/*+b*",
            "a/b;c=d",
            "a b/c",
        ] {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_media_type_is_exactly_one() {
        for text in [
            "text/plain",
            " text/plain ",
            "Text/Plain;charset=utf-8",
            "text/plain; charset=\"utf-8\"; a=b",
            "text/plain ; a=\"\\\"; , b\"",
            "text/plain;",
            "text/plain;;a=b; ",
            "text/plain; a=\"\"",
        ] {
            let named = MediaType::parse(text.as_bytes());
            assert!(
                named.is_some_and(|named| named.subtype.eq_ignore_ascii_case("plain")),
                "{text}"
            );
        }
        for text in [
            "",
            " ",
            ";",
            "text",
            "text/",
            "/plain",
            "text/plain, application/json",
            "text/plain,application/json",
            "text/plain;a=b,application/json",
            "text/plain;a=b, application/json;c=d",
            "text/plain application/json",
            "\"text/plain\"",
            "text/plain/x",
            "text /plain",
            "text/ plain",
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; =utf-8",
            "text/plain; charset = utf-8",
            "text/plain; charset=\"utf-8",
            "text/plain; charset=\"utf-8\"x",
            "text/plain; a=b c=d",
            "text/pl\u{e4}in",
            "text/plain; a=\"\u{1}\"",
            "text/plain; a=\"\\",
            "text/pl(ai)n",
            "*,/*",
        ] {
            assert_eq!(MediaType::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(MediaType::parse(b"text/\xffplain"), None);
    }
}
