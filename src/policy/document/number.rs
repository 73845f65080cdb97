//! Decimal numbers as YAML writes them, as text.

use crate::base::number::from_f64;

/// The text of a decimal number in YAML's notation (`+5`, `007`, `.5`, `1e3`); `None` if it is too
/// large for an `f64`.
pub(in crate::policy) fn from_decimal(decimal: &str) -> Option<Box<str>> {
    if let Ok(number) = decimal.parse::<u64>() {
        return Some(number.to_string().into_boxed_str());
    }
    if let Ok(number) = decimal.parse::<i64>() {
        return Some(number.to_string().into_boxed_str());
    }
    decimal.parse().ok().and_then(from_f64)
}
