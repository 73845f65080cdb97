//! The sentences about placeholders of templates.

use std::fmt;

use super::super::template::{Suffix, Word};
use super::words::Quoted;

/// A text in braces that is not a placeholder of this template; `known` are its placeholders.
pub(super) fn placeholder(f: &mut fmt::Formatter<'_>, value: &str, known: &[Word]) -> fmt::Result {
    let known: Vec<String> = known.iter().map(|word| written(*word)).collect();
    write!(
        f,
        "{} is not a placeholder here; known placeholders: {}",
        Quoted(value),
        known.join(", ")
    )
}

/// A placeholder whose form is none of those that it may have.
pub(super) fn form(f: &mut fmt::Formatter<'_>, value: &str, word: Word) -> fmt::Result {
    let value = Quoted(value);
    match word.suffix() {
        Suffix::None => write!(f, "{value}: {{{}}} takes no form", word.name()),
        Suffix::Attribute => write!(f, "{value} must be {}", written(word)),
        Suffix::Form(forms) => write!(
            f,
            "{value} is not a form of {{{}}}; known forms: {}",
            word.name(),
            forms.join(", ")
        ),
    }
}

/// A placeholder as it is written, with its needs.
fn written(word: Word) -> String {
    match word.suffix() {
        Suffix::Attribute => format!("{{{}:NAME}}", word.name()),
        Suffix::None | Suffix::Form(_) => format!("{{{}}}", word.name()),
    }
}
