//! The rows of a table of keys.

use serde_json::Value as Json;

use super::super::prose::paragraphs;
use crate::policy::language::{KeyDescription, Rest, Shape, Stated, TextFormat};

/// The row of a key.
pub(super) fn row(key: &KeyDescription) -> String {
    let default = match &key.stated {
        Stated::Required => "required".to_owned(),
        Stated::Optional(absent) => (*absent).to_owned(),
        Stated::Default(value) => literal(value),
    };
    let meaning = format!("{}{}", paragraphs(key.doc), words(&key.shape));
    cells(&[
        &format!("`{}`", key.name),
        &values(&key.shape),
        &default,
        &meaning,
    ])
}

/// The row of the keys that the operator chooses.
pub(super) fn rest(rest: &Rest) -> String {
    cells(&[rest.key, &values(&rest.shape), rest.absent, rest.doc])
}

fn cells(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn literal(value: &Json) -> String {
    match value {
        Json::Number(number) => number.as_u64().map(grouped).unwrap_or_default(),
        Json::String(text) => format!("`{text}`"),
        other @ (Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_)) => {
            format!("`{other}`")
        }
    }
}

/// The meanings of the words of a choice.
fn words(shape: &Shape) -> String {
    let words = match shape {
        Shape::Choice(words) => words,
        Shape::List { of, .. } => return self::words(of),
        Shape::Either(shapes) => return shapes.iter().map(self::words).collect(),
        Shape::Count { .. }
        | Shape::Boolean
        | Shape::True
        | Shape::Text(_)
        | Shape::Map(_)
        | Shape::BySibling(_) => return String::new(),
    };
    words
        .iter()
        .map(|word| format!(" `{}`: {}", word.text, continued(&paragraphs(word.doc))))
        .collect()
}

fn values(shape: &Shape) -> String {
    match shape {
        Shape::Count { min, max } if min == max => format!("`{min}`"),
        Shape::Count { min, max } => range(*min, *max),
        Shape::Boolean => "`true`, `false`".to_owned(),
        Shape::True => "`true`".to_owned(),
        Shape::Choice(words) => {
            let words: Vec<String> = words
                .iter()
                .map(|word| format!("`{}`", word.text))
                .collect();
            words.join(", ")
        }
        Shape::Text(format) => text(format),
        Shape::List { min, max, of, .. } => list(of, &length(*min, *max)),
        Shape::Map(_) | Shape::BySibling(_) => "map".to_owned(),
        Shape::Either(shapes) => {
            let shapes: Vec<String> = shapes.iter().map(values).collect();
            shapes.join(", or ")
        }
    }
}

/// A sentence that follows a colon.
fn continued(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

fn list(of: &Shape, length: &str) -> String {
    match of {
        Shape::Text(format) => {
            let each = match format.bytes {
                (_, Some(max)) if format.name.is_empty() => {
                    format!(", up to {} bytes each", grouped_size(max))
                }
                _ => String::new(),
            };
            format!("list of {length} {}{each}", format.plural)
        }
        Shape::Choice(_) => format!("list of {}", values(of)),
        Shape::Count { .. }
        | Shape::Boolean
        | Shape::True
        | Shape::List { .. }
        | Shape::Map(_)
        | Shape::Either(_)
        | Shape::BySibling(_) => format!("list, {length}"),
    }
}

fn text(format: &TextFormat) -> String {
    let values = format.values;
    match format.bytes {
        (Some(min), Some(max)) => {
            let [min, max] = [min, max].map(grouped_size);
            format!("{values} of {min} to {max} bytes")
        }
        (None, Some(max)) => format!("{values}, up to {} bytes", grouped_size(max)),
        (_, None) => values.to_owned(),
    }
}

fn length(min: usize, max: usize) -> String {
    if min == 0 {
        format!("up to {}", grouped_size(max))
    } else {
        format!("{} to {}", grouped_size(min), grouped_size(max))
    }
}

fn range(min: u64, max: u64) -> String {
    format!("{} to {}", grouped(min), grouped(max))
}

fn grouped_size(number: usize) -> String {
    u64::try_from(number).map(grouped).unwrap_or_default()
}

/// A number with a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let rest = digits.len().saturating_sub(index);
        if index > 0 && rest.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups() {
        for (number, text) in [
            (7, "7"),
            (123, "123"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
