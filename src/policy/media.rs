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
            Some(suffix) => {
                Subtype::Suffix(suffix.strip_prefix('+').filter(|rest| is_word(rest)).map(|_| suffix)?.into())
            }
            None => Subtype::One(Some(subtype).filter(|subtype| is_word(subtype))?.into()),
        };
        Some(Self { kind: kind.into(), subtype })
    }

    /// Whether a `Content-Type` is in this range; its parameters do not count.
    #[must_use]
    pub fn contains(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let mut parts = essence.splitn(2, |byte| *byte == b'/');
        let (kind, subtype) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        kind.eq_ignore_ascii_case(self.kind.as_bytes())
            && match &self.subtype {
                Subtype::Any => !subtype.is_empty(),
                Subtype::Suffix(suffix) => {
                    let tail = subtype.len().checked_sub(suffix.len()).and_then(|start| subtype.get(start..));
                    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix.as_bytes()))
                }
                Subtype::One(one) => subtype.eq_ignore_ascii_case(one.as_bytes()),
            }
    }
}

/// Whether `text` is a media type: `type/subtype` and, after a `;`, anything visible (RFC 9110 §8.3.1).
pub(super) fn is_media_type(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && text.trim() == text;
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    visible && essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_types_that_it_says() {
        for (range, inside, outside) in [
            ("application/json", "Application/JSON; charset=utf-8", "application/json-seq"),
            ("application/*+json", "application/vnd.api+json", "application/json"),
            ("Application/*", "application/octet-stream", "text/json"),
        ] {
            let range = MediaRange::parse(range).unwrap();
            assert!(range.contains(inside.as_bytes()) && !range.contains(outside.as_bytes()), "{range:?}");
            assert!(!range.contains(b"") && !range.contains(b"application"), "{range:?}");
        }
        for text in
            ["", "json", "*/*", "application/", "application/*json", "application/*+", "a/*+b*", "a/b;c=d", "a b/c"]
        {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
    }
}
