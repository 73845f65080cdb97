//! The memory of one VM for bodies that are being measured.
//!
//! Everything that a body makes the filter keep counts: windows and tables of decoders, buffers,
//! records of archives, names and nesting of JSON. All policies of a VM share one [`Budget`], as
//! they share its memory.

use std::cell::Cell;
use std::rc::Rc;

/// The memory that all bodies of a VM hold together.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    held: Rc<Cell<u64>>,
}

/// No memory is left for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// Bytes that all bodies of a VM may hold together: 384 MiB.
    pub const BYTES: u64 = 384 << 20;

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.get()
    }
}

/// The part of the budget that one body holds; dropping it returns the bytes.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    bytes: u64,
}

impl Reservation {
    /// Reserves nothing yet.
    pub(super) fn new(budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    /// Changes the reservation to `bytes`.
    ///
    /// # Errors
    /// [`Exhausted`] if that is more than before, and more than the budget has left. The
    /// reservation then stays as it was.
    pub(super) fn resize(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let all = self
            .budget
            .held()
            .saturating_sub(self.bytes)
            .saturating_add(bytes);
        if bytes > self.bytes && all > Budget::BYTES {
            return Err(Exhausted);
        }
        self.budget.held.set(all);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget
            .held
            .set(self.budget.held().saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_fill_the_budget_and_return_to_it() {
        let budget = Budget::default();
        let (mut first, mut second) = (Reservation::new(&budget), Reservation::new(&budget));
        assert_eq!(first.resize(Budget::BYTES - 10), Ok(()));
        assert_eq!(second.resize(11), Err(Exhausted));
        assert_eq!((second.resize(10), budget.held()), (Ok(()), Budget::BYTES));
        assert_eq!((first.resize(5), second.resize(11)), (Ok(()), Ok(())));
        drop(first);
        assert_eq!(budget.held(), 11);
        drop(second);
        assert_eq!(budget.held(), 0);
    }
}
