//! Conditions that hold by construction, in ways that the compiler cannot see.

use std::sync::atomic::{AtomicU64, Ordering};

/// Broken invariants that no metric has yet. One number for the VM, since such a fault is ours and
/// not a policy's.
static BROKEN: AtomicU64 = AtomicU64::new(0);

/// Returns `value`, which must be there because `holds`.
///
/// If it is not, a debug build panics. A release build counts the broken invariant for
/// [`drain_broken`] and returns `None`, so that the caller leaves by its own failure path.
#[track_caller]
pub fn invariant<T>(value: Option<T>, holds: &'static str) -> Option<T> {
    if value.is_none() {
        BROKEN.fetch_add(1, Ordering::Relaxed);
    }
    debug_assert!(value.is_some(), "broken invariant: {holds}");
    value
}

/// Returns the number of broken invariants since the last call.
#[must_use]
pub fn drain_broken() -> u64 {
    BROKEN.swap(0, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_there_is_returned() {
        assert_eq!(invariant(Some(1), "one is there"), Some(1));
    }

    #[test]
    #[should_panic(expected = "broken invariant: two is there")]
    fn a_debug_build_panics_at_a_broken_invariant() {
        let _ = invariant(None::<u8>, "two is there");
    }
}
