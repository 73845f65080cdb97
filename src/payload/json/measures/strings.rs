//! Names and strings: their lengths, and which of them the rules name.

use super::super::breach::{Breach, Stop};
use super::super::candidates::{CANDIDATES_MAX, Candidates};
use super::super::cursors::ROLES;
use super::super::names::Names;
use super::super::rules::CONDITIONS_MAX;
use super::Measures;

/// The use of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Use {
    /// The name of a member.
    Name,
    Value,
}

/// The string that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenText {
    bytes: u64,
    candidates: Candidates,
}

/// Conditions are the first candidates, paths the last.
const PATHS_AT: usize = CONDITIONS_MAX;
const _: () = assert!(PATHS_AT + ROLES <= CANDIDATES_MAX);

/// The bits of the conditions among those of the candidates.
const CONDITIONS: u16 = !(u16::MAX << PATHS_AT);

impl Measures {
    /// A name begins with the quote at `at`.
    #[inline(always)]
    pub(in super::super) fn begin_name(&mut self, at: u64) -> Result<(), Stop> {
        if self.top.entries >= self.members_max {
            return Err(Breach::Members {
                limit: self.members_max,
            }
            .at(at));
        }
        self.top.entries = self.top.entries.saturating_add(1);
        let depth = self.depth();
        if let Some(names) = &mut self.names {
            names.begin(depth);
        }
        // A condition that was met stays met.
        let conditions = if self.counts() {
            self.conditions & !self.top.met
        } else {
            0
        };
        let paths = if self.cursors.reaches(depth) {
            self.cursors.continuing(depth)
        } else {
            0
        };
        self.text = OpenText::new(conditions | paths << PATHS_AT);
        Ok(())
    }

    /// A string begins; its value has begun.
    #[inline(always)]
    pub(in super::super) fn begin_string(&mut self) {
        self.text = OpenText::new(self.named);
    }

    /// The string continues with `piece`, whose last byte is at `last`.
    #[inline(always)]
    pub(in super::super) fn push_text(
        &mut self,
        purpose: Use,
        piece: &[u8],
        last: u64,
    ) -> Result<(), Stop> {
        self.text.bytes = self.text.bytes.saturating_add(piece.len() as u64);
        self.bound_text(purpose, self.text.bytes, last)?;
        if !self.text.candidates.is_empty() {
            let mut candidates = self.text.candidates;
            candidates.push(piece, self.candidate(purpose));
            self.text.candidates = candidates;
        }
        if let Some(names) = &mut self.names
            && purpose == Use::Name
        {
            names.push(piece);
        }
        Ok(())
    }

    /// The string ends with the quote before `end`.
    pub(in super::super) fn end_text(&mut self, purpose: Use, end: u64) -> Result<(), Stop> {
        let found = self.text.candidates.end(self.candidate(purpose));
        self.found_text(purpose, found, end)
    }

    /// The string is `text`, in one piece, and ends with the quote before `end`.
    #[inline(always)]
    pub(in super::super) fn whole_text(
        &mut self,
        purpose: Use,
        text: &[u8],
        end: u64,
    ) -> Result<(), Stop> {
        self.bound_text(purpose, text.len() as u64, end.saturating_sub(2))?;
        if let Some(names) = &mut self.names
            && purpose == Use::Name
        {
            names.push(text);
        }
        let candidates = self.text.candidates;
        let found = if candidates.is_empty() {
            0
        } else {
            candidates.whole(text, self.candidate(purpose))
        };
        self.found_text(purpose, found, end)
    }

    /// The string has this many `bytes`, the last of them at `last`.
    #[inline(always)]
    fn bound_text(&self, purpose: Use, bytes: u64, last: u64) -> Result<(), Stop> {
        let (limit, breach) = match purpose {
            Use::Name => (
                self.name_bytes_max,
                Breach::NameBytes {
                    limit: self.name_bytes_max,
                },
            ),
            Use::Value => (
                self.string_bytes_max,
                Breach::StringBytes {
                    limit: self.string_bytes_max,
                },
            ),
        };
        if bytes <= limit {
            return Ok(());
        }
        let after = bytes.saturating_sub(limit).saturating_sub(1);
        Err(breach.at(last.saturating_sub(after)))
    }

    /// A string has ended before `end` and equals the candidates in `found`.
    #[inline(always)]
    fn found_text(&mut self, purpose: Use, found: u16, end: u64) -> Result<(), Stop> {
        let last = end.saturating_sub(1);
        match purpose {
            Use::Name => {
                self.named = found & CONDITIONS;
                if found & !CONDITIONS != 0 {
                    self.cursors.enter_member(found >> PATHS_AT, self.depth());
                }
                self.names
                    .as_mut()
                    .map_or(Ok(()), Names::end)
                    .map_err(|breach| breach.at(last))
            }
            Use::Value => {
                if found != 0 {
                    self.top.met |= found;
                    self.match_top(last)?;
                }
                self.end_value(end)
            }
        }
    }

    /// The candidates for a string, by their numbers.
    fn candidate<'m>(&'m self, purpose: Use) -> impl Fn(usize) -> Option<&'m [u8]> {
        let conditions = self.rules.objects.as_ref().map(|rule| &rule.conditions);
        move |number| match (purpose, number.checked_sub(PATHS_AT)) {
            (Use::Name, Some(role)) => self.cursors.name(role, self.depth()),
            (Use::Name, None) => conditions?.name(number),
            (Use::Value, _) => conditions?.text(number),
        }
    }
}

impl OpenText {
    /// Begins a string that may equal one of `candidates`.
    pub(super) const fn new(candidates: u16) -> Self {
        Self {
            bytes: 0,
            candidates: Candidates::new(candidates),
        }
    }
}
