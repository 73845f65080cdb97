//! Why a document is not read: a place and a rule, never the text that broke it.

use super::bounds::{COPIES_MAX, DEPTH_MAX, DOCUMENT_BYTES_MAX, NODES_MAX};
use crate::base::pointer::{Pointer, Token};
use crate::policy::error::Shown;
use std::fmt;

const _: () = assert!(
    DEPTH_MAX == 32
        && NODES_MAX == 8_000_000
        && COPIES_MAX == 1_000_000
        && DOCUMENT_BYTES_MAX == 64 << 20,
    "the texts of the rules name these bounds"
);

/// A document that cannot be read as a tree. Its text may be logged: it holds no value of the
/// document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1; 0 if unknown.
    pub line: u32,
    /// In characters (JSON: bytes), from 1; 0 if unknown.
    pub column: u32,
    /// The place in the tree, as far as [`mentionable`] allows; `None` if the text is not a tree.
    pub pointer: Option<String>,
    /// The rule that is broken.
    pub rule: Rule,
}

/// The rules for a document. The text of each is a message of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The filter was given nothing.
    EmptyConfiguration,
    /// A document with nothing but white space and comments.
    EmptyDocument,
    /// Over [`super::DOCUMENT_BYTES_MAX`].
    TooLarge,
    /// Over [`super::NODES_MAX`].
    TooManyNodes,
    /// Over [`super::DEPTH_MAX`].
    TooDeep,
    /// A key twice in one map.
    RepeatedKey,
    /// A number too large for an `f64`.
    NumberTooLarge,
    /// Infinity, or not a number.
    NumberNotFinite,
    /// The filter was given something else than its two forms.
    UnknownForm,
    /// Bytes that are not a serialized `google.protobuf.Struct`.
    NotStruct,
    /// A `google.protobuf.Value` that says nothing, not even null.
    ValueWithoutKind,
    /// A JSON text that breaks off.
    EarlyEnd,
    /// Something follows a complete JSON text.
    TrailingText,
    /// A comma before a closing bracket.
    TrailingComma,
    /// In JSON: neither a comma nor the end of the list or map.
    MissingComma,
    /// In JSON: a key without a colon.
    MissingColon,
    /// In JSON: text that is not UTF-8, or half of a surrogate pair.
    NotUnicode,
    /// In JSON: a line break or another control character inside a string.
    ControlCharacter,
    /// A backslash with something unknown after it.
    UnknownEscape,
    /// Any other JSON error.
    NotJson,
    /// A key that is a number, a truth value, null, a list, a map, an alias, or has an anchor.
    KeyNotString,
    /// A number with a comma between its digits, which in `{ }` ends it.
    ThousandsSeparator,
    /// A second document, or anything else, after the first.
    SeveralDocuments,
    /// Over [`super::COPIES_MAX`].
    TooManyCopies,
    /// An alias whose anchor is not complete before it.
    UnknownAlias,
    /// An alias of a part of a directory, or one in a directory of a part outside: a part that is
    /// secret in one place would be shown in the other.
    AliasAcrossDirectory,
    /// A tag other than `!!str`.
    UnknownTag,
    /// A tab in a place for spaces.
    Tab,
    /// A line that begins in no column of those above it.
    WrongIndentation,
    /// `a: b: c`, or a key below a value.
    NestedMapping,
    /// A line of a map that is not a `key: value`.
    MissingKey,
    /// A quote that is never closed, or continues in a line that is not indented.
    UnclosedQuote,
    /// Something behind a closing quote.
    TextAfterQuote,
    /// `[` or `{` without its partner, or entries without a comma between them.
    UnclosedBracket,
    /// `]` or `}` that closes nothing.
    StrayBracket,
    /// An unquoted text that begins with a character which YAML keeps for itself.
    ReservedCharacter,
    /// Any other YAML error.
    NotYaml,
}

impl Rule {
    /// The error at a place in the text.
    pub(super) fn at_position(self, line: u32, column: u32) -> SyntaxError {
        SyntaxError {
            line,
            column,
            pointer: None,
            rule: self,
        }
    }

    /// The error at a place in the tree; `line` is 0 if unknown.
    pub(super) fn at(self, pointer: &Pointer<'_>, line: u32) -> SyntaxError {
        SyntaxError {
            line,
            column: 0,
            pointer: Some(mentionable(pointer)),
            rule: self,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Rule::EmptyConfiguration => "no policy: the plugin's configuration is empty",
            Rule::EmptyDocument => "the document is empty",
            Rule::TooLarge => "more than 64 MiB",
            Rule::TooManyNodes => "more than 8000000 values",
            Rule::TooDeep => "more than 32 lists and maps inside one another",
            Rule::RepeatedKey => "duplicate key",
            Rule::NumberTooLarge => "this number is too large",
            Rule::NumberNotFinite => "a number must be finite",
            Rule::UnknownForm => {
                "the configuration is neither a JSON object nor a google.protobuf.Struct"
            }
            Rule::NotStruct => {
                "not a google.protobuf.Struct, or one that is broken or nested too deep"
            }
            Rule::ValueWithoutKind => "a google.protobuf.Value without a value",
            Rule::EarlyEnd => "the JSON text ends too early",
            Rule::TrailingText => "something follows the end of the JSON text",
            Rule::TrailingComma => "a comma with nothing after it",
            Rule::MissingComma => "a comma or a closing bracket is missing",
            Rule::MissingColon => "a colon is missing after the key",
            Rule::NotUnicode => "the text is not valid UTF-8",
            Rule::ControlCharacter => "a line break, tab or control character inside a JSON string",
            Rule::UnknownEscape => "an unknown escape after a backslash",
            Rule::NotJson => "not valid JSON",
            Rule::KeyNotString => "a key must be a string (a number in quotes)",
            Rule::ThousandsSeparator => {
                "a comma ends a value in { }: write the number without separators (5000000, not \
                 5,000,000)"
            }
            Rule::SeveralDocuments => "something follows the document: there may be only one",
            Rule::TooManyCopies => "anchors and aliases expand to more than 1000000 values",
            Rule::UnknownAlias => "an alias without a complete anchor above it",
            Rule::AliasAcrossDirectory => {
                "an alias of something on the other side of the directory's border"
            }
            Rule::UnknownTag => "a tag: only !!str is known",
            Rule::Tab => "a tab instead of indentation or a blank: use blanks",
            Rule::WrongIndentation => "the indentation matches no line above",
            Rule::NestedMapping => {
                "a second `: ` in one value: put a text with `: ` in quotes, or begin a new line"
            }
            Rule::MissingKey => "expected `key: value` before this",
            Rule::UnclosedQuote => "an unclosed quote, or its text continues without indentation",
            Rule::TextAfterQuote => "text after a closing quote",
            Rule::UnclosedBracket => "an unclosed bracket, or a comma is missing",
            Rule::StrayBracket => "a closing bracket without an opening one",
            Rule::ReservedCharacter => "a text that begins with @, ` or % must be in quotes",
            Rule::NotYaml => "not valid YAML",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for SyntaxError {
    /// `line 3, column 7: /limits/0: rule`, without the parts that are not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => {}
            (line, 0) => write!(f, "line {line}: ")?,
            (line, column) => write!(f, "line {line}, column {column}: ")?,
        }
        if let Some(pointer) = self
            .pointer
            .as_deref()
            .filter(|pointer| !pointer.is_empty())
        {
            write!(f, "{}: ", Shown(pointer))?;
        }
        self.rule.fmt(f)
    }
}

impl std::error::Error for SyntaxError {}

/// The pointer as far as a message may repeat it: one below a key `directory`, at any depth, ends
/// at the entry's index, and before it if the directory is wrongly a map, whose keys may be the
/// secrets.
#[must_use]
pub fn mentionable(at: &Pointer<'_>) -> String {
    let Some(depth) = directory_depth(at) else {
        return at.to_string();
    };
    let entry = at.ancestor(depth.saturating_add(1));
    match entry.token() {
        Token::Index(_) => entry.to_string(),
        Token::Key(_) | Token::Root => at.ancestor(depth).to_string(),
    }
}

/// Whether this is a directory, or within one.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn in_directory(at: &Pointer<'_>) -> bool {
    directory_depth(at).is_some()
}

fn directory_depth(at: &Pointer<'_>) -> Option<usize> {
    (1..=at.depth()).find(|depth| at.ancestor(*depth).token() == Token::Key("directory"))
}
