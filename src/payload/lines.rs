//! Counts the lines of a body that are neither empty nor a comment.

/// Counts lines as they stream. A line ends with LF, the last one also with the body. A line of
/// blanks alone (space, tab, CR) does not count; a line whose first other byte is `#` is a comment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    ended: u64,
    line: Line,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Blank,
    Comment,
    Counts,
}

impl Lines {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut parts = chunk.split(|byte| *byte == b'\n');
        self.classify(parts.next().unwrap_or_default());
        for part in parts {
            self.ended = self.count();
            self.line = Line::Blank;
            self.classify(part);
        }
    }

    /// The lines so far, including the open one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ended
            .saturating_add(u64::from(self.line == Line::Counts))
    }

    fn classify(&mut self, part: &[u8]) {
        if self.line == Line::Blank {
            self.line = match part
                .iter()
                .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'))
            {
                None => Line::Blank,
                Some(b'#') => Line::Comment,
                Some(_) => Line::Counts,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_the_same_in_every_chunking() {
        for (body, count) in [
            ("", 0),
            ("a", 1),
            ("a\n", 1),
            ("a\n\nb\r\n \t\n# c\n  # d\n#\ne # f", 3),
            ("\n\n\r\n", 0),
            ("#a\nb", 1),
            ("\u{e9}\n\u{85}", 2),
        ] {
            let body = body.as_bytes();
            for size in 1..=body.len().max(1) {
                let mut lines = Lines::default();
                for chunk in body.chunks(size) {
                    lines.feed(chunk);
                }
                assert_eq!(lines.count(), count, "{body:?} by {size}");
            }
        }
    }
}
