//! The memory of one VM for bodies that are being measured.
//!
//! Everything that a body makes the filter keep counts: windows and tables of decoders, buffers,
//! records of archives, names and nesting of JSON. All policies of a VM share one [`Budget`], as
//! they share its memory. The bodies of each policy are counted by themselves as well.

use std::cell::Cell;
use std::rc::Rc;

/// The memory that all bodies of a VM hold together, for the bodies of one policy.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    held: Rc<Cell<u64>>,
    /// The part of the policy.
    own: Rc<Cell<Uploads>>,
}

/// Bodies that are inspected at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// How many there are.
    pub open: u64,
    /// The bytes that they hold.
    pub bytes: u64,
}

/// A body that is inspected; dropping it ends that.
#[derive(Debug)]
pub struct OpenUpload(Budget);

/// No memory is left for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// Bytes that all bodies of a VM may hold together: 384 MiB.
    pub const BYTES: u64 = 384 << 20;

    /// The same memory for the bodies of one more policy.
    #[must_use]
    pub fn for_another_policy(&self) -> Self {
        Self {
            held: Rc::clone(&self.held),
            own: Rc::default(),
        }
    }

    /// Bytes that the bodies of all policies hold.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    /// The bodies of this policy.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        self.own.get()
    }

    /// Counts a body of this policy as open until the result is dropped.
    #[must_use]
    pub fn open(&self) -> OpenUpload {
        self.count(|uploads| uploads.open = uploads.open.saturating_add(1));
        OpenUpload(self.clone())
    }

    fn count(&self, change: impl FnOnce(&mut Uploads)) {
        let mut uploads = self.own.get();
        change(&mut uploads);
        self.own.set(uploads);
    }

    /// Replaces `before` bytes of one body by `after`.
    fn hold(&self, before: u64, after: u64) {
        let resized = |all: u64| all.saturating_sub(before).saturating_add(after);
        self.held.set(resized(self.held.get()));
        self.count(|uploads| uploads.bytes = resized(uploads.bytes));
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        self.0
            .count(|uploads| uploads.open = uploads.open.saturating_sub(1));
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
        self.budget.hold(self.bytes, bytes);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.hold(self.bytes, 0);
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

    #[test]
    fn the_bodies_of_each_policy_are_counted_by_themselves() {
        let one = Budget::default();
        let two = one.for_another_policy();
        let opened = [one.open(), two.open(), two.open()];
        let (mut first, mut second) = (Reservation::new(&one), Reservation::new(&two));
        assert_eq!((first.resize(7), second.resize(5)), (Ok(()), Ok(())));
        assert_eq!((one.held(), two.held()), (12, 12));
        assert_eq!(one.uploads(), Uploads { open: 1, bytes: 7 });
        assert_eq!(two.uploads(), Uploads { open: 2, bytes: 5 });
        assert_eq!(second.resize(Budget::BYTES), Err(Exhausted), "one memory");
        drop((opened, first, second));
        assert_eq!([one.uploads(), two.uploads()], [Uploads::default(); 2]);
    }
}
