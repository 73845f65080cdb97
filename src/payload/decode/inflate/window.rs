//! The last 32 KiB of output, and the output of the current step.

use super::MATCH_MAX;

const DISTANCE_MAX: usize = 32 * 1024;
const FIRST_BYTES: usize = 1024;
/// The largest window: the farthest match, the output of one step, and one more match.
const BYTES_MAX: usize = DISTANCE_MAX + super::super::SLICE_MAX + MATCH_MAX;

/// The window grows with the stream. When it is full, its last 32 KiB move to the front.
#[derive(Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// The position of the next byte.
    at: usize,
    /// The position of the first byte of this step.
    start: usize,
    /// The last position at which a match may begin in this step.
    last: usize,
}

impl Window {
    pub(super) const fn restart(&mut self) {
        self.at = 0;
        self.start = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `room` bytes.
    pub(super) fn begin(&mut self, room: usize) {
        let room = room.min(super::super::SLICE_MAX);
        if self.at.saturating_add(room) > BYTES_MAX {
            let kept = self.at.saturating_sub(DISTANCE_MAX);
            self.bytes.copy_within(kept..self.at, 0);
            self.at = self.at.saturating_sub(kept);
        }
        self.start = self.at;
        self.last = self.at.saturating_add(room).saturating_sub(MATCH_MAX);
    }

    pub(super) fn fresh(&self) -> &[u8] {
        self.bytes.get(self.start..self.at).unwrap_or_default()
    }

    /// Whether one more match fits.
    #[inline]
    pub(super) fn has_room(&mut self) -> bool {
        if self.at > self.last {
            return false;
        }
        let end = self.at.wrapping_add(MATCH_MAX);
        if end > self.bytes.len() {
            self.grow(end);
        }
        true
    }

    /// Grows to at least `least` bytes, and by more than that, so that it rarely grows.
    #[cold]
    fn grow(&mut self, least: usize) {
        let bytes = self
            .bytes
            .len()
            .saturating_mul(2)
            .max(FIRST_BYTES)
            .max(least)
            .min(BYTES_MAX);
        self.bytes
            .reserve_exact(bytes.saturating_sub(self.bytes.len()));
        self.bytes.resize(bytes, 0);
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(target) = self.bytes.get_mut(self.at) {
            *target = byte;
            self.at = self.at.wrapping_add(1);
        }
    }

    /// Copies at most `most` bytes of `input`; returns the number copied.
    pub(super) fn append(&mut self, input: &[u8], most: usize) -> usize {
        let room = self.last.saturating_add(MATCH_MAX).saturating_sub(self.at);
        let count = most.min(input.len()).min(room);
        let end = self.at.saturating_add(count);
        if end > self.bytes.len() {
            self.grow(end);
        }
        let (Some(target), Some(data)) = (self.bytes.get_mut(self.at..end), input.get(..count))
        else {
            return 0;
        };
        target.copy_from_slice(data);
        self.at = end;
        count
    }

    /// Repeats `length` bytes from `distance` bytes back; `None` if the window does not reach that
    /// far.
    #[inline]
    pub(super) fn repeat(&mut self, distance: usize, length: usize) -> Option<()> {
        let from = self.at.checked_sub(distance)?;
        let end = self.at.wrapping_add(length);
        if length <= 16 || distance == 1 {
            if distance == 1 {
                let byte = *self.bytes.get(from)?;
                self.bytes.get_mut(self.at..end)?.fill(byte);
            } else {
                let (mut source, mut target) = (from, self.at);
                while target < end {
                    *self.bytes.get_mut(target)? = *self.bytes.get(source)?;
                    (source, target) = (source.wrapping_add(1), target.wrapping_add(1));
                }
            }
            self.at = end;
            return Some(());
        }
        if end > self.bytes.len() {
            return None;
        }
        // The copied bytes repeat with the same distance, so each round can copy twice as much.
        while self.at < end {
            let count = self.at.wrapping_sub(from).min(end.wrapping_sub(self.at));
            self.bytes
                .copy_within(from..from.wrapping_add(count), self.at);
            self.at = self.at.wrapping_add(count);
        }
        Some(())
    }
}
