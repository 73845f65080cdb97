//! The value of a scalar: the core schema, YAML 1.2.2 §10.3.2.

use super::{Cow, Rule, ScalarStyle, Tag, Value};
use crate::policy::document::number;

/// The value of a scalar: a quoted scalar, a block, and one tagged `!!str` or `!` is a string as
/// written.
pub(super) fn value(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Result<Value, Rule> {
    if tag.is_some_and(|tag| !is_string(tag)) {
        return Err(Rule::UnknownTag);
    }
    if style == ScalarStyle::Plain
        && tag.is_none()
        && let Some(value) = plain(&text)?
    {
        return Ok(value);
    }
    Ok(Value::String(text.into_owned().into_boxed_str()))
}

fn is_string(tag: &Tag) -> bool {
    (tag.is_yaml_core_schema() && tag.suffix == "str")
        || (tag.handle.is_empty() && tag.suffix == "!")
}

/// The value of an unquoted text, if it is not a string.
fn plain(text: &str) -> Result<Option<Value>, Rule> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => number(text)?.map(Value::Number),
    })
}

fn number(text: &str) -> Result<Option<Box<str>>, Rule> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        let Some(digits) = text.strip_prefix(prefix) else {
            continue;
        };
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Ok(None);
        }
        let number = u64::from_str_radix(digits, radix).map_err(|_| Rule::NumberTooLarge)?;
        return Ok(Some(number.to_string().into_boxed_str()));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(Rule::NumberNotFinite);
    }
    if !is_decimal(unsigned) {
        return Ok(None);
    }
    number::from_decimal(text)
        .map(Some)
        .ok_or(Rule::NumberTooLarge)
}

/// `60`, `1.`, `.5` or `1.5e-3`: the core schema's expression for a float, which covers its decimal
/// integers.
fn is_decimal(unsigned: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
