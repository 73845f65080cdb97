//! The parser's errors in our words.

use super::{Rule, SyntaxError};
use saphyr_parser::ScanError;

/// The beginning or end of a message of the parser, and its meaning for the author of the document.
///
/// The parser names its kinds of error only by their texts. All are constant but one, which has the
/// character that broke the document; none goes further than this table, and one that is not in
/// it loses its words, never its place.
const RULES: [(&str, Rule); 35] = [
    ("':' must be followed by", Rule::Tab),
    ("'-' must be followed by", Rule::Tab),
    ("tabs disallowed", Rule::Tab),
    ("tab cannot be used as indentation", Rule::Tab),
    ("while scanning a plain scalar, found a tab", Rule::Tab),
    ("a block scalar content cannot start with a tab", Rule::Tab),
    ("mapping values are not allowed", Rule::NestedMapping),
    ("mapping keys are not allowed", Rule::NestedMapping),
    (
        "block sequence entries are not allowed",
        Rule::NestedMapping,
    ),
    ("illegal placement of ':'", Rule::UnclosedBracket),
    (
        "while parsing a flow mapping, did not find",
        Rule::UnclosedBracket,
    ),
    (
        "while parsing a flow sequence, expected",
        Rule::UnclosedBracket,
    ),
    (
        "invalid indentation in flow construct",
        Rule::UnclosedBracket,
    ),
    ("unexpected eof", Rule::UnclosedBracket),
    ("misplaced bracket", Rule::StrayBracket),
    ("invalid indentation in quoted scalar", Rule::UnclosedQuote),
    (
        "while scanning a quoted scalar, found unexpected",
        Rule::UnclosedQuote,
    ),
    (
        "invalid trailing content after double-quoted",
        Rule::TextAfterQuote,
    ),
    (
        "while parsing a quoted scalar, found unknown escape",
        Rule::UnknownEscape,
    ),
    (
        "while parsing a quoted scalar, found invalid Unicode",
        Rule::UnknownEscape,
    ),
    (
        "while parsing a quoted scalar, did not find",
        Rule::UnknownEscape,
    ),
    ("simple key expect", Rule::MissingKey),
    (
        "while parsing a block mapping, did not find",
        Rule::WrongIndentation,
    ),
    (
        "while parsing a block collection, did not find",
        Rule::WrongIndentation,
    ),
    ("invalid indentation", Rule::WrongIndentation),
    (
        "wrongly indented line in block scalar",
        Rule::WrongIndentation,
    ),
    ("unexpected character", Rule::ReservedCharacter),
    (
        "while parsing node, found unknown anchor",
        Rule::UnknownAlias,
    ),
    ("the handle wasn't declared", Rule::UnknownTag),
    ("while scanning a tag", Rule::UnknownTag),
    ("while parsing a tag", Rule::UnknownTag),
    ("while scanning a verbatim tag", Rule::UnknownTag),
    ("recursion limit exceeded", Rule::TooDeep),
    ("did not find expected <document", Rule::SeveralDocuments),
    ("", Rule::NotYaml),
];

/// The parser's error without its text.
pub(super) fn syntax_error(error: &ScanError) -> SyntaxError {
    let info = error.info();
    let rule = RULES
        .iter()
        .find(|(start, _)| info.starts_with(start))
        .map_or(Rule::NotYaml, |(_, rule)| *rule);
    let position = error.marker();
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    rule.at_position(
        small(position.line()),
        small(position.col().saturating_add(1)),
    )
}
