//! YAML 1.2 to a tree that knows its lines. Native only: the filter is handed JSON.
//!
//! The core schema (YAML 1.2.2 §10.3), so that `no`, `on`, `1h` and `60/min` are strings. Beyond
//! it: keys are strings, aliases are resolved within the bounds of every document, `<<` is a key
//! like any other, and of the tags only `!!str` is known. JSON is YAML, with its few exceptions
//! accepted.

mod anchors;
mod grammar;
mod scalar;

use super::bounds::{Budget, check_depth, repeated};
use super::{Entry, Node, Rule, SyntaxError, Value, from_json};
use crate::base::pointer::Pointer;
use anchors::Anchors;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};
use std::borrow::Cow;

/// Reads exactly one YAML document, or a JSON text.
///
/// A JSON text of a kind that YAML does not accept (surrogate pairs in escapes) is read as JSON:
/// its tree has no lines.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn from_yaml(text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let budget = Budget::of(text.len()).map_err(|rule| rule.at_position(0, 0))?;
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: Anchors::default(),
        budget,
    };
    let read = reader.document();
    match read {
        // An error without a pointer is one of the grammar: in JSON's the text may be right.
        Err(error) if error.pointer.is_none() && text.trim_ascii_start().starts_with('{') => {
            from_json(text.as_bytes()).map_err(|_| error)
        }
        Ok(_) | Err(_) => read,
    }
}

/// Builds the tree out of the parser's events, which are in the order of the text.
struct Reader<'text> {
    events: Parser<'text, StrInput<'text>>,
    anchors: Anchors,
    budget: Budget,
}

impl<'text> Reader<'text> {
    fn document(&mut self) -> Result<Node, SyntaxError> {
        let (mut event, mut start) = self.next()?;
        while matches!(event, Event::StreamStart | Event::DocumentStart(_)) {
            (event, start) = self.next()?;
        }
        if event == Event::StreamEnd {
            return Err(Rule::EmptyDocument.at_position(0, 0));
        }
        let root = self.node(event, start, &Pointer::ROOT)?;
        loop {
            let (event, start) = self.next()?;
            if event == Event::StreamEnd {
                return Ok(root);
            }
            if matches!(event, Event::DocumentStart(_)) {
                return Err(Rule::SeveralDocuments.at_position(line(start), 0));
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'text>, Marker), SyntaxError> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(grammar::syntax_error(&error)),
            None => Err(Rule::NotYaml.at_position(0, 0)),
        }
    }

    /// The value that begins with `event`. Calls itself at most `DEPTH_MAX` deep.
    fn node(
        &mut self,
        event: Event<'text>,
        start: Marker,
        at: &Pointer<'_>,
    ) -> Result<Node, SyntaxError> {
        let line = line(start);
        let refuse = |rule: Rule| rule.at(at, line);
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                // Across that border the pointer may contain a secret: a misindented one is a key.
                return self
                    .anchors
                    .copy(anchor, at, &mut self.budget)
                    .map_err(|rule| {
                        if rule == Rule::AliasAcrossDirectory {
                            rule.at_position(line, column(start))
                        } else {
                            refuse(rule)
                        }
                    });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.take(1, text.len()).map_err(refuse)?;
                (
                    scalar::value(text, style, tag.as_deref()).map_err(refuse)?,
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.enter(at, tag.as_deref()).map_err(refuse)?;
                (self.list(at)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.enter(at, tag.as_deref()).map_err(refuse)?;
                (self.map(at)?, anchor)
            }
            // No value begins with these; the parser's grammar sees to that.
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Rule::NotYaml.at_position(line, 0)),
        };
        let node = Node::new(value, line);
        // 0 is the parser's "no anchor".
        if anchor != 0 {
            self.anchors
                .keep(anchor, &node, at, &mut self.budget)
                .map_err(refuse)?;
        }
        Ok(node)
    }

    fn enter(&mut self, at: &Pointer<'_>, tag: Option<&Tag>) -> Result<(), Rule> {
        if tag.is_some() {
            return Err(Rule::UnknownTag);
        }
        check_depth(at, 1)?;
        self.budget.take(1, 0)
    }

    fn list(&mut self, at: &Pointer<'_>) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, start) = self.next()?;
            if event == Event::SequenceEnd {
                items.shrink_to_fit();
                return Ok(Value::List(items));
            }
            let item = self.node(event, start, &at.index(items.len()))?;
            items.push(item);
        }
    }

    fn map(&mut self, at: &Pointer<'_>) -> Result<Value, SyntaxError> {
        let mut entries = Vec::new();
        loop {
            let (event, start) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            if let Some(number) = entries.last().filter(|entry| goes_on(entry, &event)) {
                return Err(Rule::ThousandsSeparator.at(&at.key(&number.key), line(start)));
            }
            let key = self.key(event).map_err(|rule| rule.at(at, line(start)))?;
            let (event, value_start) = self.next()?;
            let value = self.node(event, value_start, &at.key(&key))?;
            entries.push(Entry {
                key,
                line: line(start),
                value,
            });
        }
        if let Some(entry) = repeated(&entries) {
            return Err(Rule::RepeatedKey.at(&at.key(&entry.key), entry.line));
        }
        entries.shrink_to_fit();
        Ok(Value::Map(entries))
    }

    fn key(&mut self, event: Event<'text>) -> Result<Box<str>, Rule> {
        let Event::Scalar(text, style, 0, tag) = event else {
            return Err(Rule::KeyNotString);
        };
        self.budget.take(0, text.len())?;
        match scalar::value(text, style, tag.as_deref())? {
            Value::String(key) => Ok(key),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                Err(Rule::KeyNotString)
            }
        }
    }
}

/// Whether the next key is really three digits after a number: `{ quota: 5,000 }`.
fn goes_on(entry: &Entry, event: &Event<'_>) -> bool {
    let digits = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(entry.value.value, Value::Number(_))
        && matches!(event, Event::Scalar(text, ScalarStyle::Plain, 0, None) if digits(text))
}

fn line(start: Marker) -> u32 {
    u32::try_from(start.line()).unwrap_or(u32::MAX)
}

fn column(start: Marker) -> u32 {
    u32::try_from(start.col().saturating_add(1)).unwrap_or(u32::MAX)
}
