//! Body templates: text with `{placeholders}`, cut into parts when the policy is loaded.

/// What a template can say of one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The trace id of the request: of `traceparent`, else `x-request-id`.
    TraceId,
    /// Seconds to wait, as in `Retry-After`.
    RetryAfter,
    /// The name of the limit that refused.
    Limit,
    /// The HTTP status.
    Status,
    /// The status in words.
    Title,
    /// Why a payload is refused, in one word.
    Reason,
    /// The number that it breaks; 0 where it breaks none.
    Max,
    /// Why it is refused, in a sentence.
    Detail,
}

impl Placeholder {
    /// What can be said of a request over a limit.
    pub const REFUSED: [Self; 3] = [Self::TraceId, Self::RetryAfter, Self::Limit];
    /// What can be said of a payload that is refused.
    pub const PAYLOAD: [Self; 7] = [
        Self::TraceId,
        Self::Limit,
        Self::Status,
        Self::Title,
        Self::Reason,
        Self::Max,
        Self::Detail,
    ];

    /// The word between the braces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::RetryAfter => "retry_after",
            Self::Limit => "limit",
            Self::Status => "status",
            Self::Title => "title",
            Self::Reason => "reason",
            Self::Max => "max",
            Self::Detail => "detail",
        }
    }
}

/// A text with places to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Fill(Placeholder),
}

/// What one place takes when it is filled in, so that the text need not grow.
const FILL_BYTES_USUAL: usize = 40;

impl Template {
    /// Cuts `text` at its placeholders: a lower-case word in braces. All other braces are text, so
    /// that JSON needs no escapes.
    ///
    /// # Errors
    /// The words in braces that are no placeholders, or none of the `known` ones.
    pub fn parse(text: &str, known: &[Placeholder]) -> Result<Self, Vec<String>> {
        let (mut parts, mut unknown) = (Vec::new(), Vec::new());
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            let word = after.split_once('}').filter(|(word, _)| is_word(word));
            match word.map(|(word, tail)| (word, find(word, known), tail)) {
                Some((_, Some(placeholder), tail)) => {
                    parts.push(Part::Text(std::mem::take(&mut literal).into()));
                    parts.push(Part::Fill(placeholder));
                    rest = tail;
                }
                Some((word, None, tail)) => {
                    unknown.push(format!("{{{word}}}"));
                    rest = tail;
                }
                None => {
                    literal.push('{');
                    rest = after;
                }
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal.into()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        if unknown.is_empty() {
            Ok(Self { parts })
        } else {
            Err(unknown)
        }
    }

    /// The text with every place filled in by `fill`.
    pub fn render(&self, mut fill: impl FnMut(Placeholder, &mut String)) -> String {
        let mut size = 0_usize;
        for part in &self.parts {
            size = size.saturating_add(match part {
                Part::Text(literal) => literal.len(),
                Part::Fill(_) => FILL_BYTES_USUAL,
            });
        }
        let mut text = String::with_capacity(size);
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Fill(placeholder) => fill(*placeholder, &mut text),
            }
        }
        text
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn find(word: &str, known: &[Placeholder]) -> Option<Placeholder> {
    known
        .iter()
        .find(|placeholder| placeholder.name() == word)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> String {
        let template = Template::parse(text, &Placeholder::REFUSED).unwrap();
        template.render(|placeholder, text| text.push_str(&format!("<{placeholder:?}>")))
    }

    #[test]
    fn json_needs_no_escapes() {
        assert_eq!(
            rendered(r#"{"error":{"traceId":"{trace_id}","wait":{retry_after},"of":"{limit}"}}"#),
            r#"{"error":{"traceId":"<TraceId>","wait":<RetryAfter>,"of":"<Limit>"}}"#
        );
        for text in ["", "{", "}", "{}", "{{", "a{b", "{A}", "{ limit }"] {
            assert_eq!(rendered(text), text);
        }
        assert_eq!(rendered("{{limit}}"), "{<Limit>}");
    }

    #[test]
    fn every_unknown_placeholder_is_named() {
        let unknown = |text, known: &[Placeholder]| Template::parse(text, known).unwrap_err();
        assert_eq!(
            unknown("{trace} {limit} {name}", &Placeholder::REFUSED),
            ["{trace}", "{name}"]
        );
        assert_eq!(
            unknown("{trace_id} {limit}", &[Placeholder::TraceId]),
            ["{limit}"]
        );
    }
}
