//! Numbers as text: equal numbers have equal texts, from every source.

/// The first integer that an `f64` may have been rounded to: 2^53.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// The text of a finite number; `None` for the others.
///
/// An integer below 2^53 has neither point nor exponent. A greater `f64` may be the rounded form of
/// a neighbour, so it keeps one of the two, and cannot be mistaken for a count.
#[must_use]
pub fn from_f64(number: f64) -> Option<Box<str>> {
    if !number.is_finite() {
        return None;
    }
    // The sign of -0 means nothing here.
    let number = if number == 0.0 { 0.0 } else { number };
    let exact = number.fract() == 0.0 && number.abs() < FIRST_INEXACT;
    let text = if exact {
        format!("{number}")
    } else {
        format!("{number:?}")
    };
    Some(text.into_boxed_str())
}

/// `1 fault`, `2 faults`.
#[must_use]
pub fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
