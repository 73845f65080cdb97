//! How messages quote a document: short, on one line, and with the word that was probably meant.

use std::fmt;

use super::Reason;

impl Reason {
    /// A word that is none of `choices`; `kind` is the noun for them.
    pub(in crate::policy) fn not_one_of(
        value: &str,
        choices: Vec<String>,
        kind: &'static str,
    ) -> Self {
        Self::NotOneOf {
            value: value.to_owned(),
            choices,
            kind,
        }
    }
}

/// A value from the document, short and on one line.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

const QUOTED_CHARS_MAX: usize = 60;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.0.chars().take(QUOTED_CHARS_MAX).collect();
        let more = if short.len() < self.0.len() {
            "…"
        } else {
            ""
        };
        write!(f, "\"{}{more}\"", short.escape_debug())
    }
}

/// A pointer on one line: its keys are the document's own, and may be anything.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

const SHOWN_CHARS_MAX: usize = 240;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(SHOWN_CHARS_MAX) {
            match character {
                '"' | '\'' | '\\' => write!(f, "{character}")?,
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        f.write_str(if self.0.chars().nth(SHOWN_CHARS_MAX).is_some() {
            "…"
        } else {
            ""
        })
    }
}

pub(super) struct Named<'a>(pub(super) &'a Option<String>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{} ", Quoted(value)),
            None => Ok(()),
        }
    }
}

/// Keys of which one is enough.
pub(super) struct Either<'a>(pub(super) &'a [&'static str]);

impl fmt::Display for Either<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_last() {
            Some((last, rest @ [_, ..])) => write!(f, "{} or {last}", rest.join(", ")),
            Some((only, [])) => f.write_str(only),
            None => Ok(()),
        }
    }
}

pub(crate) struct Choices<'a>(pub(crate) &'a [String]);

const CHOICES_MAX: usize = 12;

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&str> = self
            .0
            .iter()
            .take(CHOICES_MAX)
            .map(String::as_str)
            .collect();
        let more = if shown.len() < self.0.len() {
            ", …"
        } else {
            ""
        };
        write!(f, "{}{more}", shown.join(", "))
    }
}

/// A word that was probably meant, if one is near.
pub(super) struct Meant<'a>(pub(super) Option<&'a str>);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |word| write!(f, "; did you mean {}?", Quoted(word)))
    }
}

/// The error in digits that are not a number, and their right form; nothing for another text.
pub(super) struct Digits<'a>(pub(super) &'a str);

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self
            .0
            .trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let mut groups = number.split([',', '_', '\'', ' ', '.']);
        let is_group =
            |group: &str| group.len() <= 3 && group.bytes().all(|byte| byte.is_ascii_digit());
        let begins = groups
            .next()
            .is_some_and(|first| !first.is_empty() && is_group(first));
        let goes_on = groups.clone().next().is_some()
            && groups.all(|group| group.len() == 3 && is_group(group));
        if !begins || !goes_on || number.len() > DIGITS_MAX {
            return Ok(());
        }
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let rest = self.0.get(number.len()..).unwrap_or_default();
        let rest = rest.trim_start_matches('_');
        write!(
            f,
            "; a number has no separators but `_` between digits: {digits}{rest}"
        )
    }
}

const DIGITS_MAX: usize = 24;

/// The one of `words` that is a slip of the hand away from `written`.
///
/// A slip is a letter too many, too few, another or two that changed places; one for each three
/// letters.
pub(crate) fn nearest<'w>(written: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let written: Vec<char> = written
        .to_lowercase()
        .chars()
        .take(WORD_CHARS_MAX)
        .collect();
    let slips_max = written.len().div_ceil(3);
    let near = words.take(WORDS_MAX).filter_map(|word| {
        let letters: Vec<char> = word.to_lowercase().chars().take(WORD_CHARS_MAX).collect();
        let slips = slips(&written, &letters, slips_max)?;
        // A word that shares no more than it differs is another word.
        (slips < letters.len()).then_some((slips, word))
    });
    near.min().map(|(_, word)| word)
}

/// The most words to look at, and the most characters of each.
const WORDS_MAX: usize = 1_000;
const WORD_CHARS_MAX: usize = 64;

/// How many slips make `other` of `one`, if they are at most `max`.
fn slips(one: &[char], other: &[char], max: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > max {
        return None;
    }
    // Rows of the table for the letters before the last, for the last, and for this one.
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut this = vec![row.saturating_add(1)];
        for (column, wanted) in other.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&last, column).saturating_add(usize::from(letter != wanted));
            let added = at(&this, column).saturating_add(1);
            let lost = at(&last, column.saturating_add(1)).saturating_add(1);
            let previous = |letters: &[char], place: usize| {
                place
                    .checked_sub(1)
                    .and_then(|place| letters.get(place).copied())
            };
            let swapped =
                previous(one, row) == Some(*wanted) && previous(other, column) == Some(*letter);
            let swap = if swapped {
                at(&before, column.saturating_sub(1)).saturating_add(1)
            } else {
                usize::MAX
            };
            this.push(changed.min(added).min(lost).min(swap));
        }
        before = std::mem::replace(&mut last, this);
    }
    last.last().copied().filter(|slips| *slips <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_a_slip_of_the_hand_away() {
        let words = ["free", "paid", "enterprise", "org", "user"];
        for (written, meant) in [
            ("fre", Some("free")),
            ("Free", Some("free")),
            ("rfee", Some("free")),
            ("enterprize", Some("enterprise")),
            ("entreprize", Some("enterprise")),
            ("ogr", Some("org")),
            ("usr", Some("user")),
            ("gold", None),
            ("", None),
            ("x", None),
            ("organization", None),
        ] {
            assert_eq!(nearest(written, words.into_iter()), meant, "{written}");
        }
        let long = "x".repeat(10_000);
        assert_eq!(nearest(&long, [&*long].into_iter()), Some(&*long));
    }

    #[test]
    fn separators_are_reported_with_the_number_meant() {
        for (text, message) in [
            ("5,000,000", "5000000"),
            ("5_000_000", "5000000"),
            ("5'000'000", "5000000"),
            ("5 000", "5000"),
            ("1.000.000", "1000000"),
            ("1,000/min", "1000/min"),
            ("1,000KB", "1000KB"),
        ] {
            assert_eq!(
                Digits(text).to_string(),
                format!("; a number has no separators but `_` between digits: {message}")
            );
        }
        for text in [
            "",
            "5",
            "60/min",
            "abc",
            "1,b",
            "-5",
            ",",
            "1/2/3",
            "1.5MB",
            "1,5",
            "1,0000",
            &"999,".repeat(99),
        ] {
            assert_eq!(Digits(text).to_string(), "", "{text}");
        }
    }
}
