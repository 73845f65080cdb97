//! The replies in an answer, one after the other, and no other ones.

use crate::base::time::Span;
use crate::fleet::command::{Command, EXACT_MAX, UNITS_MAX};
use crate::fleet::engine::EngineError;
use crate::fleet::take::Answer;

/// The longest line that is read: an error with all that a script's may say.
const LINE_MAX: usize = 4096;

/// The rest of an answer.
pub(super) struct Replies<'a> {
    rest: &'a [u8],
}

/// A line of an answer, without its type and end.
enum Line<'a> {
    Status(&'a [u8]),
    Error(&'a [u8]),
    Number(i64),
    Array(i64),
}

impl<'a> Replies<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads `+OK`.
    pub(super) fn ok(&mut self) -> Result<(), EngineError> {
        match self.line()? {
            Line::Status(b"OK") => Ok(()),
            Line::Error(message) => Err(reason(message)),
            Line::Status(_) | Line::Number(_) | Line::Array(_) => Err(EngineError::Garbage),
        }
    }

    /// Reads the answer to a take.
    pub(super) fn answer(&mut self, command: &Command) -> Result<Answer, EngineError> {
        match self.line()? {
            Line::Array(10) => {}
            Line::Error(message) => return Err(reason(message)),
            Line::Status(_) | Line::Number(_) | Line::Array(_) => {
                return Err(EngineError::Garbage);
            }
        }
        let granted = self.number(command.need.max(command.want))?;
        let valid = self.span()?;
        let wait = self.span()?;
        let again = self.span()?;
        let left = self.signed()?;
        let next = self.span()?;
        let reset = self.span()?;
        let now = self.number(EXACT_MAX)?;
        let lapsed = self.number(1)? == 1;
        let locked = self.span()?;
        let units = UNITS_MAX.saturating_mul(4);
        if left.unsigned_abs() > units {
            return Err(EngineError::Garbage);
        }
        Ok(Answer {
            granted,
            valid,
            wait,
            again,
            left,
            next,
            reset,
            now,
            lapsed,
            locked,
        })
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), EngineError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(EngineError::Garbage)
        }
    }

    fn span(&mut self) -> Result<Span, EngineError> {
        self.number(EXACT_MAX).map(Span::from_micros)
    }

    fn number(&mut self, most: u64) -> Result<u64, EngineError> {
        u64::try_from(self.signed()?)
            .ok()
            .filter(|number| *number <= most)
            .ok_or(EngineError::Garbage)
    }

    fn signed(&mut self) -> Result<i64, EngineError> {
        match self.line()? {
            Line::Number(number) => Ok(number),
            Line::Status(_) | Line::Error(_) | Line::Array(_) => Err(EngineError::Garbage),
        }
    }

    fn line(&mut self) -> Result<Line<'a>, EngineError> {
        let within = self.rest.get(..LINE_MAX).unwrap_or(self.rest);
        let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
            let is_cut = self.rest.len() < LINE_MAX;
            return Err(match self.rest.first() {
                None | Some(b'+' | b'-' | b':' | b'*') if is_cut => EngineError::Truncated,
                _ => EngineError::Garbage,
            });
        };
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest.get(2..).unwrap_or_default();
        let line = match line.split_first() {
            Some((b'+', status)) => Some(Line::Status(status)),
            Some((b'-', message)) => Some(Line::Error(message)),
            Some((b':', number)) => integer(number).map(Line::Number),
            Some((b'*', number)) => integer(number).map(Line::Array),
            _ => None,
        };
        line.ok_or(EngineError::Garbage)
    }
}

/// A decimal number as Redis writes it: digits, after a minus at most.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

/// The meaning of an error reply. An error in a script has the one of its command in it (Redis 6),
/// or begins with it.
fn reason(message: &[u8]) -> EngineError {
    let code = |message: &[u8]| {
        let word = message.split(|byte| *byte == b' ').next()?;
        Some(match word {
            b"NOSCRIPT" => EngineError::NoScript,
            b"OOM" => EngineError::Oom,
            b"READONLY" | b"MISCONF" | b"NOREPLICAS" => EngineError::ReadOnly,
            b"MOVED" | b"ASK" | b"CLUSTERDOWN" | b"TRYAGAIN" => EngineError::Moved,
            b"NOAUTH" | b"WRONGPASS" => EngineError::NoAuth,
            b"NOPERM" | b"DENIED" => EngineError::NoPermission,
            b"BUSY" => EngineError::Busy,
            b"LOADING" | b"MASTERDOWN" => EngineError::Loading,
            _ => return None,
        })
    };
    if let Some(reason) = code(message) {
        return reason;
    }
    let has = |part: &[u8]| message.windows(part.len()).any(|window| window == part);
    if has(b"max number of clients") {
        return EngineError::Busy;
    }
    // A client that has not logged in may not send that many arguments.
    if has(b"unauthenticated multibulk") {
        return EngineError::NoAuth;
    }
    if has(b"The user executing the script can't") {
        return EngineError::NoPermission;
    }
    let inner = message.split(|byte| *byte == b'-').skip(1).find_map(code);
    inner.unwrap_or(EngineError::Script)
}
